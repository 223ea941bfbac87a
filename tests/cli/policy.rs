//! The policy: what each risk asks for, who decided that, and what is stopped where.

use crate::faults::Desk;
use crate::support::Ran;

/// A desk whose database is the protected environment `live`.
fn live(policy: &str, body: &str) -> Desk {
    let mut desk = Desk::new(body);
    desk.live(&format!("protected = true\n{policy}"));
    desk
}

fn rules(desk: &Desk, policy: &str) {
    let text = format!("[environments.live]\nurl_env = \"LIVE\"\nprotected = true\n{policy}");
    desk.project.file("runsheet.toml", &text);
}

/// The code of the plan as it is now.
pub fn code(desk: &Desk) -> String {
    desk.project.run(&["plan", "it"]).approval_code()
}

/// The same, signed.
pub fn signed(desk: &Desk, by: &str) -> String {
    let ran = desk.project.run(&["approve", "it", "--by", by, "--because", "ticket 12"]);
    ran.exits(0).shows(&format!("approved by {by}")).approval_code()
}

fn run(desk: &Desk, code: &str) -> Ran {
    desk.project.run(&["run", "it", "--approve", code])
}

const ADD: &str = r#"step("new table", #{ undo: || db::exec("DROP TABLE extra") },
    || db::exec("CREATE TABLE extra (id int)"));"#;
const DROP: &str = r#"step("away", || db::exec("ALTER TABLE items DROP COLUMN name"));"#;
const SAFE_DROP: &str = r#"step("dump", || pg::dump());
step("away", || db::exec("ALTER TABLE items DROP COLUMN name"));"#;
const NO_REHEARSAL: &str = "[policy]\nvery_high = { rehearsal = false }\n";

#[test]
fn the_built_in_table_holds_in_protected_environments_and_names_itself() {
    let desk = live("", DROP);
    let ran = run(&desk, &code(&desk));
    ran.exits(4)
        .stderr_shows("policy-manual")
        .stderr_shows("policy-backup")
        .stderr_shows("playbooks/it.rhai:2")
        .stderr_shows("way = \"manual\" (built-in default)")
        .stderr_shows("runsheet approve it --by NAME");
    desk.unchanged();
    assert_eq!(desk.value("SELECT to_regnamespace('runsheet') IS NULL"), "t");
    // Signed, with a dump before it, and without the rehearsal.
    desk.body(SAFE_DROP);
    run(&desk, &signed(&desk, "kim")).exits(4).stderr_shows("no-receipt");
    rules(&desk, NO_REHEARSAL);
    let ran = run(&desk, &signed(&desk, "kim"));
    ran.exits(0).shows("rehearsal = false (runsheet.toml:5)").shows("ticket 12");
    let approval = desk.value("SELECT inputs->'approval'->>'by' FROM runsheet.run");
    assert_eq!(approval, "kim");
    assert!(desk.of_run("report.md").contains("by kim"), "the report names who approved");
    // Elsewhere nobody asks.
    let desk = Desk::new(DROP);
    desk.run().exits(0);
}

#[test]
fn what_is_reviewed_wants_the_code_of_its_plan_and_no_signature() {
    let desk = live("", r#"step("index", || db::exec("CREATE INDEX ON items (name)"));"#);
    let plan = desk.project.run(&["plan", "it"]);
    plan.exits(0).shows("way = \"review\" (built-in default)").shows("recommends a backup");
    run(&desk, &code(&desk)).exits(0);
}

#[test]
fn a_line_of_the_file_is_stronger_than_the_table_and_an_environments_own_than_both() {
    let policy = "[policy]\nlow = { way = \"manual\" }\n[environments.live.policy]\nlow = { way = \"auto\" }\n";
    let desk = live("[policy]\nlow = { way = \"manual\" }\n", ADD);
    run(&desk, &code(&desk)).exits(4).stderr_shows("way = \"manual\" (runsheet.toml:5)");
    rules(&desk, policy);
    // By itself: nobody is asked, although the environment is protected.
    desk.project.run(&["run", "it"]).exits(0).shows("way = \"auto\" (runsheet.toml:7)");
}

#[test]
fn what_is_forbidden_is_forbidden_wherever_that_is_written() {
    let desk = live("[policy]\nvery_high = { way = \"forbid\" }\n", SAFE_DROP);
    let ran = run(&desk, &signed(&desk, "kim"));
    ran.exits(4).stderr_shows("policy-forbids").stderr_shows("runsheet.toml:5");
    let desk = Desk::new(DROP);
    desk.project.file("runsheet.toml", "[policy]\nvery_high = { way = \"forbid\" }\n");
    desk.run().exits(4).stderr_shows("policy-forbids");
    desk.unchanged();
}

#[test]
fn an_environments_own_table_holds_without_protection() {
    let mut desk = Desk::new(ADD);
    let url = desk.url();
    desk.project.env("LIVE", &url);
    desk.project.file(
        "runsheet.toml",
        "[environments.test]\nurl_env = \"LIVE\"\npolicy = { low = { way = \"manual\" } }\n",
    );
    desk.project.run(&["run", "it", "--yes"]).exits(4).stderr_shows("shop");
    run(&desk, &code(&desk)).exits(4).stderr_shows("policy-manual").stderr_shows("runsheet.toml:3");
    run(&desk, &signed(&desk, "kim")).exits(0);
}

/// The larger of what is declared and what the SQL does; a statement that only shows itself when it
/// runs is stopped before it is sent.
#[test]
fn the_effective_risk_is_the_larger_of_declared_and_judged() {
    let auto = "[environments.live.policy]\nlow = { way = \"auto\" }\n";
    // Declared high, and harmless.
    let desk =
        live(auto, r#"step("x", #{ risk: "high" }, || db::exec("CREATE TABLE extra (id int)"));"#);
    desk.project.run(&["run", "it"]).exits(4);
    run(&desk, &code(&desk))
        .exits(4)
        .stderr_shows("policy-manual")
        .stderr_shows("it.rhai:2 declares");
    // Declared low, and judged very high: in the text, in a file, and put together.
    for body in [
        r#"step("x", #{ risk: "low" }, || db::exec("DELETE FROM items"));"#,
        r#"step("x", #{ risk: "low" }, || sql::run_file("sql/x.sql"));"#,
        r#"let t = "items"; step("x", #{ risk: "low" }, || db::exec(`DELETE FROM ${t}`));"#,
    ] {
        desk.project.file("sql/x.sql", "DELETE FROM items;\n");
        desk.body(body);
        run(&desk, &code(&desk)).exits(4).stderr_shows("very_high");
        desk.unchanged();
    }
    // Nobody can foretell it: the gate stops it, and what was before it stands.
    desk.body(
        r#"step("new", || db::exec("CREATE TABLE extra (id int)"));
let words = ["DELETE", "FROM", "items"];
step("x", || { let sql = ""; for w in words { sql += w + " "; } db::exec(sql) });"#,
    );
    let ran = desk.project.run(&["run", "it"]);
    ran.exits(4).stderr_shows("policy-manual").stderr_shows("db::exec DELETE FROM items");
    assert_eq!(desk.value("SELECT count(*) FROM items"), "20");
    // A caught refusal is a refusal all the same.
    desk.body(
        r#"let words = ["DELETE", "FROM", "items"];
step("x2", || { let sql = ""; for w in words { sql += w + " "; } try { db::exec(sql) } catch { } 1 });"#,
    );
    desk.project.run(&["run", "it", "--again"]).exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "20");
}

/// A backup that stands in the text and is not made before the statement.
#[test]
fn a_backup_that_comes_too_late_is_no_backup() {
    let desk = live(
        NO_REHEARSAL,
        r#"step("away", || db::exec("ALTER TABLE items DROP COLUMN name")); step("dump", || pg::dump());"#,
    );
    let ran = run(&desk, &signed(&desk, "kim"));
    ran.exits(4).stderr_shows("policy-backup");
    desk.unchanged();
}

#[test]
fn a_second_person_is_another_one_than_the_runner() {
    let policy = "[policy]\nlow = { way = \"manual\", two_person = true }\n";
    let desk = live(policy, ADD);
    run(&desk, &code(&desk)).exits(4).stderr_shows("policy-two-person").stderr_shows("toml:5");
    // Another name from the same account is the same person.
    run(&desk, &signed(&desk, "kim")).exits(4).stderr_shows("policy-two-person");
    // Somebody else's account: the approval is signed there.
    let ran = {
        let mut command = desk.project.command(&["approve", "it", "--by", "kim"]);
        command.env("USER", "kim").env("LOGNAME", "kim");
        crate::support::project::Running::start(command, desk.project.path().to_path_buf()).wait()
    };
    ran.exits(0);
    run(&desk, &code(&desk)).exits(0).shows("kim");
}

#[test]
fn every_complaint_about_a_policy_is_said_at_once_with_its_line() {
    let desk = live(
        "[policy]\nlow = { way = \"fly\" }\nhuge = {}\nhigh = { backup = 3, two_person = \"yes\" }\nmedium = { two_person = true }\nreceipt_age = 7\n[environments.live.policy]\nvery_high = { rehersal = true }\n",
        ADD,
    );
    let ran = desk.project.run(&["plan", "it"]);
    ran.exits(2);
    for line in [5, 6, 7, 8, 9, 11] {
        ran.stderr_shows(&format!("runsheet.toml:{line}"));
    }
    ran.stderr_shows("two_person").stderr_shows("rehearsal");
    rules(&desk, "[policy]\nmedium = { way = \"manual\" }\nhigh = { way = \"auto\" }\n");
    desk.project.run(&["plan", "it"]).exits(0).stderr_shows("high may do by itself");
}

#[test]
fn what_has_begun_is_taken_back_whatever_the_policy_says() {
    let desk = live(
        NO_REHEARSAL,
        r#"step("dump", || pg::dump());
step("fill", #{ undo: || db::exec("DELETE FROM items WHERE id = 77") }, || db::exec("INSERT INTO items VALUES (77, 'x')"));
step("stop", || db::exec("SELECT 1 / 0"));"#,
    );
    let code = signed(&desk, "kim");
    run(&desk, &code).exits(5);
    rules(&desk, "[policy]\nvery_high = { way = \"forbid\" }\nmedium = { way = \"forbid\" }\n");
    desk.project.run(&["rollback", "--yes"]).exits(4);
    // Forward and back were approved together.
    desk.project.run(&["rollback", "--yes", "--approve", &code]).exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id = 77"), "0");
}

/// Nothing has ever run here.
fn forget(desk: &Desk) {
    desk.sql("DROP SCHEMA IF EXISTS runsheet CASCADE");
    std::fs::remove_dir_all(desk.project.path().join(".runsheet")).expect("the state folder");
}

/// What a way back does is told in the plan, and decides nothing: `.down.sql` files drop tables.
#[test]
fn the_risk_of_a_way_back_does_not_decide_about_the_run() {
    let body = r#"let down = "sql/two.down.sql";
step("one", #{ undo: || sql::run_file("sql/one.down.sql") }, || sql::run_file("sql/one.up.sql"));
step("two", #{ undo: || { sql::run_file(down); db::exec("DROP TABLE three") } },
    || { sql::run_file("sql/two.up.sql"); db::exec("CREATE TABLE three (id int)") });"#;
    let desk = live("", body);
    for name in ["one", "two"] {
        desk.project
            .file(&format!("sql/{name}.up.sql"), &format!("CREATE TABLE {name} (id int);\n"));
        desk.project.file(&format!("sql/{name}.down.sql"), &format!("DROP TABLE {name};\n"));
    }
    let plan = desk.project.run(&["plan", "it"]);
    plan.exits(0).shows("way back: very_high (sql/one.down.sql:1 drop table");
    plan.shows("way = \"auto\" (built-in default)");
    let code_of_it = code(&desk);
    run(&desk, &code_of_it).exits(0);
    assert_eq!(desk.value("SELECT to_regclass('two') IS NOT NULL"), "t");
    // A way back is open, whatever it drops.
    let back = ["rollback", &desk.newest_run(), "--yes", "--approve", &code_of_it];
    desk.project.run(&back).exits(0);
    desk.unchanged();
    forget(&desk);
    // What a step uses as well counts.
    desk.body(r#"step("x", #{ undo: || sql::run_file("sql/one.down.sql") }, || sql::run_file("sql/one.down.sql"));"#);
    run(&desk, &code(&desk)).exits(4).stderr_shows("policy-manual").stderr_shows("one.down.sql:1");
}

#[test]
fn a_command_is_a_program_that_nobody_judges() {
    let policy =
        "[policy]\nmedium = { way = \"manual\" }\n[commands]\nallow = [\"true\", \"sh\"]\n";
    let desk = live(policy, r#"step("x", || app::run(["true"]));"#);
    let ran = run(&desk, &code(&desk));
    ran.exits(4)
        .stderr_shows("policy-manual")
        .stderr_shows("it.rhai:2 true: a program that nobody");
    // One that is put together is stopped at the gate.
    desk.body(r#"step("x", || { let argv = ["true"]; app::run(argv) });"#);
    run(&desk, &code(&desk)).exits(4).stderr_shows("policy-manual");
    for body in [
        r#"step("x", #{ risk: "low" }, || app::run(["true"]));"#,
        r#"step("y", || app::run(["sh", "-c", "true"], #{ changes: false }));"#,
    ] {
        desk.body(body);
        run(&desk, &code(&desk)).exits(0);
        forget(&desk);
    }
    desk.body(r#"step("z", || app::run(["true"]));"#);
    rules(&desk, &format!("{policy}risk = {{ true = \"low\" }}\n"));
    run(&desk, &code(&desk)).exits(0);
    // What the file says is heard beside what the step says.
    rules(&desk, &format!("{policy}risk = {{ true = \"very_high\" }}\n"));
    forget(&desk);
    desk.body(r#"step("x", #{ risk: "low" }, || app::run(["true"]));"#);
    run(&desk, &code(&desk)).exits(4).stderr_shows("very_high");
    rules(&desk, &format!("{policy}risk = {{ true = \"huge\" }}\n"));
    desk.project.run(&["plan", "it"]).exits(2).stderr_shows("huge").stderr_shows("toml:8");
}

/// A dump of some tables is none of what a `DROP` elsewhere loses.
#[test]
fn a_dump_of_some_tables_is_no_backup() {
    let some = r#"step("dump", || pg::dump(#{ tables: ["items"] }));
step("away", || db::exec("ALTER TABLE items DROP COLUMN name"));"#;
    let desk = live(NO_REHEARSAL, some);
    run(&desk, &signed(&desk, "kim")).exits(4).stderr_shows("policy-backup");
    // Options that are put together: only the gate knows.
    desk.body(
        r#"let options = #{ tables: ["items"] };
step("dump", || pg::dump(options));
step("away", || db::exec("ALTER TABLE items DROP COLUMN name"));"#,
    );
    run(&desk, &signed(&desk, "kim")).exits(4).stderr_shows("policy-backup");
    desk.unchanged();
}
