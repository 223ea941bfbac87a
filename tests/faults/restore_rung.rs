//! The last rung: the run's dump takes the place of its database, or nothing changes.

use super::Desk;
use crate::support::Gate;

/// A dump, then a step that no undo takes back.
const ONE_WAY: &str = r#"
step("dump", || pg::dump());
step("one way", || { db::exec("DELETE FROM items WHERE id > 5"); db::exec("CREATE TABLE made (id int)") });
"#;

fn done() -> (Desk, String) {
    let desk = Desk::new(ONE_WAY);
    desk.run().exits(0);
    let run = desk.newest_run();
    (desk, run)
}

fn databases(desk: &Desk) -> Vec<String> {
    let sql = "SELECT datname FROM pg_database WHERE datname LIKE 'shop%' ORDER BY 1";
    desk.cluster.query("postgres", sql).into_iter().filter_map(|mut row| row.remove(0)).collect()
}

/// F52, F53: nothing is restored over data. The dump gets a database of its own, which takes the
/// name; the old one is kept with everything that came since, a new table with a key included.
#[test]
fn f52_f53_the_dump_takes_the_place_of_the_database_which_is_kept_aside() {
    let (desk, run) = done();
    desk.sql(
        "CREATE TABLE newer (id int PRIMARY KEY, item int REFERENCES items);
         INSERT INTO newer VALUES (1, 1); INSERT INTO items VALUES (500, 'since')",
    );
    desk.cluster.sql("postgres", "ALTER DATABASE shop SET work_mem = '7MB'");
    let command = format!("runsheet rollback {run} --restore");
    desk.call(&["rollback", &run, "--yes"]).exits(5).shows("one way").shows(&command);
    assert_eq!(databases(&desk), ["shop"]);
    // F58: the numbers come before the question, and without an answer nothing is made.
    desk.call(&["rollback", &run, "--restore"]).exits(4).shows("public.newer").shows("rows now");
    assert_eq!(databases(&desk), ["shop"]);
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "done");
    let ran = desk.call(&["rollback", &run, "--restore", "--yes"]);
    ran.exits(0);
    desk.unchanged().nothing_is_left();
    let names = databases(&desk);
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[1].starts_with("shop_old_2"), "{names:?}");
    ran.shows(&names[1]);
    assert!(desk.of_run("report.md").contains(&names[1]));
    let since =
        desk.cluster.value(&names[1], "SELECT string_agg(name, '') FROM items WHERE id > 5");
    assert_eq!(since, "since");
    assert_eq!(desk.value("SHOW work_mem"), "7MB");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "rolled_back");
    let epochs = |database: &str| desk.cluster.value(database, "SELECT epoch FROM runsheet.lease");
    let (new, old) = (epochs("shop"), epochs(&names[1]));
    assert!(new.parse::<i64>().unwrap() > old.parse::<i64>().unwrap(), "{new} {old}");
    // A process that died behind the exchange is gone on with: there is nothing to restore.
    desk.sql("UPDATE runsheet.run SET state = 'running'");
    desk.call(&["rollback", &run, "--restore", "--yes"])
        .exits(0)
        .shows("restored database already");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "rolled_back");
    assert_eq!(databases(&desk), names);
    desk.run().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "5");
}

/// F52: other sessions stop it before anything changed, and the copy is there for the next try.
#[test]
fn f52_other_sessions_are_listed_and_nothing_is_renamed() {
    let (mut desk, run) = done();
    desk.remember();
    let guest = Gate::connected(&desk.url(), "psql");
    let ran = desk.call(&["rollback", &run, "--restore", "--yes"]);
    ran.exits(5)
        .shows("psql")
        .shows("ALTER DATABASE \"shop\" RENAME TO")
        .shows("pg_terminate_backend");
    desk.unchanged();
    let names = databases(&desk);
    assert!(names.len() == 2 && names[1].starts_with("shop_restored_2"), "{names:?}");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "done");
    guest.open();
    desk.call(&["rollback", &run, "--restore", "--yes"]).exits(0).shows("is used");
    assert_eq!(desk.value("SELECT count(*) FROM items"), "20");
    assert!(databases(&desk)[1].starts_with("shop_old_2"));
}

/// F54: roles are not in a dump; those that are missing are named before anything is made.
#[test]
fn f54_roles_that_the_dump_needs_are_listed_and_missed_before_the_restore() {
    let desk = Desk::new(ONE_WAY);
    desk.sql(
        "CREATE ROLE owner_of_items; CREATE ROLE reader; ALTER TABLE items OWNER TO owner_of_items",
    );
    desk.sql("GRANT SELECT ON items TO reader");
    desk.run().exits(0).shows("owner_of_items").shows("reader");
    let run = desk.newest_run();
    desk.sql("ALTER TABLE items OWNER TO postgres; REVOKE ALL ON items FROM reader");
    desk.sql("DROP ROLE reader; REVOKE ALL ON items FROM owner_of_items; DROP ROLE owner_of_items");
    let ran = desk.call(&["rollback", &run, "--restore", "--yes"]);
    ran.exits(5).shows("CREATE ROLE \"owner_of_items\";").shows("CREATE ROLE \"reader\";");
    assert_eq!(databases(&desk), ["shop"]);
    desk.sql("CREATE ROLE owner_of_items; CREATE ROLE reader");
    desk.call(&["rollback", &run, "--restore", "--yes"]).exits(0);
    let owner = "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'items'";
    assert_eq!(desk.value(owner), "owner_of_items");
}

/// F55: the manifest says whose dump it is; another database's is refused.
#[test]
fn f55_a_dump_of_another_database_is_refused() {
    let (mut desk, run) = done();
    desk.remember();
    let other = Desk::new(ONE_WAY);
    other.run().exits(0);
    let mut there = std::fs::read_dir(other.project.path().join("backups")).unwrap();
    for entry in there.by_ref() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let to = desk.project.path().join("backups").join(name.replacen("shop_", "foreign_", 1));
        std::fs::copy(entry.path(), to).unwrap();
    }
    let dump = |ending: &str| {
        std::fs::read_dir(desk.project.path().join("backups"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .find(|name| name.starts_with("foreign_") && name.ends_with(ending))
            .unwrap()
    };
    let manifest = format!("backups/{}", dump(".manifest.json"));
    let text = desk.project.read(&manifest).replace("\"name\": \"shop_", "\"name\": \"foreign_");
    let restore = format!("--restore=backups/{}", dump(".dump"));
    let call = || desk.call(&["rollback", &run, &restore, "--yes"]);
    // The servers of the tests are copies of one: the identifier is made another one here.
    let at = text.find("\"system_identifier\": \"").unwrap() + 22;
    desk.project.file(&manifest, &format!("{}9{}", &text[..at], &text[at + 1..]));
    call().exits(5).shows("another database").shows(&format!("9{}", &text[at + 1..at + 19]));
    desk.project
        .file(&manifest, &text.replace("\"database\": \"shop\"", "\"database\": \"staging\""));
    call().exits(5).shows("another database").shows("staging");
    desk.unchanged();
    assert_eq!(databases(&desk), ["shop"]);
}

/// F55: a run without a dump of its own says so, and how one is named.
#[test]
fn f55_a_run_without_a_whole_dump_has_no_last_rung() {
    let desk = Desk::new(
        r#"step("part", || pg::dump(#{ tables: ["items"] }));
step("one way", || db::exec("DELETE FROM items"));"#,
    );
    desk.run().exits(0);
    let run = desk.newest_run();
    desk.call(&["rollback", &run, "--yes"]).exits(5).shows("no dump");
    desk.call(&["rollback", &run, "--restore", "--yes"]).exits(5).shows("--restore=PATH");
    assert_eq!(databases(&desk), ["shop"]);
}

#[test]
fn a_role_that_may_not_rename_is_told_so_with_the_commands_before_anything_is_made() {
    let (desk, run) = done();
    desk.sql(
        "CREATE ROLE weak LOGIN; GRANT ALL ON SCHEMA runsheet TO weak; GRANT pg_read_all_data TO weak;
         GRANT ALL ON ALL TABLES IN SCHEMA runsheet TO weak",
    );
    let url = desk.url().replace("user=postgres", "user=weak");
    let ran = desk.project.run(&["rollback", &run, "--restore", "--yes", "--url", &url]);
    ran.exits(5).shows("CREATEDB").shows("ALTER DATABASE \"shop\" RENAME TO");
    assert_eq!(databases(&desk), ["shop"]);
}

/// A restore that was killed left a half database: it is dropped and made anew, and the one that
/// is in use was never touched. The playbook may be gone by then.
#[test]
fn a_restore_that_was_killed_is_begun_again() {
    let desk = Desk::new(ONE_WAY);
    desk.sql(
        "CREATE FUNCTION public.slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            PERFORM pg_sleep(coalesce(nullif(current_setting('app.slow', true), ''), '0')::float);
            RETURN 1; END $$;
         CREATE INDEX by_slow ON items (public.slow(id))",
    );
    desk.run().exits(0);
    let run = desk.newest_run();
    desk.cluster.sql("postgres", "ALTER ROLE postgres SET app.slow = '60'");
    let back = desk.start(&["rollback", &run, "--restore", "--yes"]);
    desk.wait_for_statement("CREATE INDEX by_slow");
    back.kill();
    desk.cluster.sql("postgres", "ALTER ROLE postgres RESET app.slow");
    desk.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name LIKE 'runsheet%'",
    );
    assert_eq!(desk.value("SELECT count(*) FROM items"), "5");
    assert_eq!(databases(&desk).len(), 2);
    std::fs::remove_file(desk.project.path().join("playbooks/it.rhai")).unwrap();
    desk.call(&["rollback", &run, "--restore", "--yes"]).exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "20");
    assert_eq!(databases(&desk).len(), 2);
}
