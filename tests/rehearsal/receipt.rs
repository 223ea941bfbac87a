//! What a receipt is worth: to a protected environment, edited, and when things have changed.

use super::{GOOD, receipts, rehearse};
use crate::faults::Desk;
use crate::support::Ran;

const RULES: &str = "protected = true\n\
    [policy]\nhigh = { backup = \"optional\" }\nvery_high = { backup = \"optional\" }\n";

/// A protected environment, and a playbook that calls itself dangerous.
fn protected(body: &str) -> Desk {
    let mut desk = Desk::new("");
    desk.live(RULES);
    let begin = "let p = playbook(\"it\", #{ risk: \"high\", params: #{ size: 5 } });\n";
    desk.body(&format!("{begin}{body}"));
    desk
}

fn run(desk: &Desk, more: &[&str]) -> Ran {
    let plan = desk.project.run(&[&["approve", "it", "--by", "somebody"], set_of(more)].concat());
    desk.project.run(&[&["run", "it", "--approve", &plan.approval_code()], more].concat())
}

/// A reason is the run's, parameters are the plan's too.
fn set_of<'w>(more: &'w [&'w str]) -> &'w [&'w str] {
    if more.contains(&"--set") { more } else { &[] }
}

fn rehearsed(desk: &Desk) -> Ran {
    desk.project.run(&["rehearse", "it"])
}

#[test]
fn a_protected_environment_wants_a_fresh_receipt() {
    let desk = protected(GOOD);
    let ran = run(&desk, &[]);
    ran.exits(4).stderr_shows("no-receipt").stderr_shows("runsheet rehearse it");
    desk.unchanged();
    rehearsed(&desk).exits(0);
    desk.unchanged();
    run(&desk, &[]).exits(0).shows("nothing has changed since");
    // Done is done: fifty containers that start again need no receipt, which is stale by now.
    run(&desk, &[]).exits(0);
}

#[test]
fn a_stale_receipt_says_exactly_what_has_changed() {
    let desk = protected(GOOD);
    desk.sql("CREATE TABLE parts (a int) PARTITION BY RANGE (a)");
    rehearsed(&desk).exits(0);
    // A partition made at midnight spoils nothing.
    desk.sql("CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (2); CREATE INDEX ON parts_1 (a)");
    desk.project.run(&["plan", "it"]).exits(0).shows("proven: rehearsal of");
    desk.sql("ALTER TABLE items ADD COLUMN extra int; CREATE INDEX items_name ON items (name)");
    let ran = run(&desk, &[]);
    ran.exits(4).stderr_shows("receipt-stale").stderr_shows("column public.items.extra is new");
    ran.stderr_shows("index public.items_name is new");
    assert!(!ran.stderr.contains("parts_1"), "{}", ran.stderr);
    desk.project
        .run(&["plan", "it"])
        .exits(0)
        .shows("column public.items.extra is new")
        .shows("unproven");
    desk.sql("ALTER TABLE items DROP COLUMN extra; DROP INDEX items_name");
    run(&desk, &["--set", "size=6"]).exits(4).stderr_shows("parameter size: 5 then, 6 now");
    desk.body(&format!("let p = playbook(\"it\", #{{ risk: \"high\", params: #{{ size: 5 }} }});\n{GOOD}\nnote(\"more\");"));
    run(&desk, &[]).exits(4).stderr_shows("playbooks/it.rhai has changed");
    assert_eq!(desk.value("SELECT to_regnamespace('runsheet') IS NULL"), "t");
}

#[test]
fn an_sql_file_gives_a_playbook_its_risk_and_binds_the_receipt() {
    let mut desk = Desk::new("");
    desk.live(RULES);
    desk.project.file("sql/more.sql", "DROP TABLE items;\n");
    desk.project.file("sql/up.sql", "CREATE TABLE before_it (a int);\n\\ir more.sql\n");
    desk.body(r#"step("x", #{ undo: || () }, || sql::run_file("sql/up.sql"));"#);
    run(&desk, &[]).exits(4).stderr_shows("no-receipt");
    rehearsed(&desk).exits(6).stdout_shows("table public.items is gone");
    // A file that another one includes counts as well.
    desk.project.file("sql/more.sql", "DROP TABLE items; -- and more\n");
    run(&desk, &[]).exits(4).stderr_shows("sql/more.sql has changed");
}

#[test]
fn a_lossy_way_back_is_refused_until_somebody_says_why() {
    let desk =
        protected(r#"step("x", #{ undo: || () }, || db::exec("DELETE FROM items WHERE id = 9"));"#);
    rehearsed(&desk).exits(6);
    let ran = run(&desk, &[]);
    ran.exits(4).stderr_shows("receipt-lossy").stderr_shows("id=9");
    desk.unchanged();
    run(&desk, &["--reason", "item 9 is in the archive"])
        .exits(0)
        .shows("item 9 is in the archive");
}

#[test]
fn an_edited_receipt_is_refused() {
    let desk =
        protected(r#"step("x", #{ undo: || () }, || db::exec("DELETE FROM items WHERE id = 9"));"#);
    rehearsed(&desk).exits(6);
    let path = receipts(&desk).pop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap().replace("\"lossy\"", "\"proven\"");
    std::fs::write(&path, text).unwrap();
    run(&desk, &[]).exits(4).stderr_shows("receipt-edited").stderr_shows("runsheet rehearse it");
    desk.unchanged();
    std::fs::remove_file(&path).unwrap();
    run(&desk, &[]).exits(4).stderr_shows("no-receipt");
}

#[test]
fn the_policy_decides_which_risk_needs_a_rehearsal() {
    let mut desk = protected(GOOD);
    desk.live(
        "protected = true\n[policy]\nhigh = { rehearsal = false, backup = \"optional\" }\n\
         very_high = { rehearsal = false, backup = \"optional\" }\n",
    );
    run(&desk, &[]).exits(0);
    // Where nothing is protected nobody asks.
    let desk = Desk::new("");
    desk.body(&format!("let p = playbook(\"it\", #{{ risk: \"very_high\" }});\n{GOOD}"));
    desk.run().exits(0);
    rehearse(&desk, &[]).exits(0);
}

/// Schema, files and parameters are the same; the database is another one.
#[test]
fn a_receipt_of_another_database_is_refused() {
    let mut desk = protected(GOOD);
    desk.cluster.sql("postgres", "CREATE DATABASE mall TEMPLATE shop");
    rehearsed(&desk).exits(0);
    let (here, mall) = (desk.url(), desk.cluster.url("mall"));
    desk.project.env("LIVE", &mall);
    let ran = run(&desk, &[]);
    ran.exits(4).stderr_shows("receipt-stale").stderr_shows("database and server: shop (");
    ran.stderr_shows(" then, mall (");
    assert_eq!(desk.cluster.value("mall", "SELECT to_regnamespace('runsheet') IS NULL"), "t");
    // The right one it is good for.
    desk.project.env("LIVE", &here);
    run(&desk, &[]).exits(0);
}

/// A dump knows by its manifest where it was made; any other one has the name of its database alone.
#[test]
fn a_receipt_of_a_dump_knows_the_database_by_its_manifest() {
    let mut desk = protected(GOOD);
    desk.project
        .playbook("backup", "let p = playbook(\"backup\");\nstep(\"dump\", || pg::dump());\n");
    desk.call(&["run", "backup", "--yes"]);
    desk.project.file("runsheet.toml", "");
    desk.call(&["run", "backup", "--yes"]).exits(0);
    desk.sql("DROP SCHEMA runsheet CASCADE");
    desk.live(RULES);
    let dump = desk.project.dump().to_string_lossy().into_owned();
    desk.project.run(&["rehearse", "it", "--from", &dump]).exits(0);
    let origin = |desk: &Desk| {
        let text = std::fs::read_to_string(receipts(desk).pop().unwrap()).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["origin"].clone()
    };
    let known = desk.value("SELECT system_identifier::text FROM pg_control_system()");
    assert_eq!(origin(&desk)["system_identifier"], known.as_str());
    // Without its manifest.
    let bare = desk.project.path().join("bare.dump");
    std::fs::copy(&dump, &bare).unwrap();
    let bare = bare.to_string_lossy().into_owned();
    desk.project.run(&["rehearse", "it", "--from", &bare]).exits(0);
    assert_eq!(origin(&desk)["database"], "shop");
    assert!(origin(&desk)["system_identifier"].is_null());
    let ran = run(&desk, &[]);
    ran.exits(0).shows("by its name alone (shop)");
}
