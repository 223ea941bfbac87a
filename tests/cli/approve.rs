//! `runsheet approve` and `runsheet tick`: who put their name to what, and what that is worth.

use super::policy::{code, signed};
use crate::faults::Desk;
use crate::support::Ran;

const TOOL: &str = "fn number() { 103 }\n";
const UP: &str = "INSERT INTO items VALUES (102, 'file');\n";
const BODY: &str = r#"import "tool" as tool;
let p = playbook("it", #{ params: #{ name: "one" } });
step("first", || { db::exec("INSERT INTO items VALUES (101, $1)", [p.name]); sql::run_file("sql/up.sql") });
step("second", || db::exec(`INSERT INTO items VALUES (${tool::number()}, 'two')`));
"#;
const RULES: &str = "[environments.live]\nurl_env = \"LIVE\"\nprotected = true\n\
    [policy]\nlow = { way = \"manual\" }\nmedium = { way = \"manual\" }\n";

fn desk() -> Desk {
    let mut desk = Desk::new(BODY);
    let url = desk.url();
    desk.project.env("LIVE", &url);
    desk.project.file("runsheet.toml", RULES);
    desk.project.file("playbooks/tool.rhai", TOOL).file("sql/up.sql", UP);
    desk
}

fn run(desk: &Desk, code: &str, more: &[&str]) -> Ran {
    desk.project.run(&[&["run", "it", "--approve", code], more].concat())
}

/// P9: one byte of each kind of input, and each other thing that an approval is bound to.
#[test]
fn p9_nothing_approved_passes_after_a_change_of_one_byte_of_anything() {
    let desk = desk();
    let code = signed(&desk, "kim");
    let stale = |ran: &Ran, what: &str| {
        ran.exits(4).stderr_shows("approval-stale").stderr_shows(what).stderr_shows("kim");
    };
    for (path, text) in
        [("playbooks/it.rhai", BODY), ("playbooks/tool.rhai", TOOL), ("sql/up.sql", UP)]
    {
        let at = text.rfind(|c: char| c.is_ascii_digit() || c == 'w').unwrap();
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1;
        desk.project.file(path, std::str::from_utf8(&bytes).unwrap());
        stale(&run(&desk, &code, &[]), &format!("{path} has changed"));
        desk.project.file(path, text);
    }
    stale(&run(&desk, &code, &["--set", "name=onf"]), "parameter name");
    // The schema: a column, an index, and the default of a column by one byte.
    for (change, back, what) in [
        ("ALTER TABLE items ADD extra int", "ALTER TABLE items DROP extra", "public.items.extra"),
        ("CREATE INDEX i ON items (name)", "DROP INDEX i", "index public.i"),
        (
            "ALTER TABLE items ALTER name SET DEFAULT 'a'",
            "ALTER TABLE items ALTER name DROP DEFAULT",
            "public.items.name",
        ),
    ] {
        desk.sql(change);
        stale(&run(&desk, &code, &[]), what);
        desk.sql(back);
    }
    // Another database, address, environment.
    desk.cluster.sql("postgres", "CREATE DATABASE other TEMPLATE shop");
    stale(&run(&desk, &code, &["--url", &desk.cluster.url("other")]), "\"other\"");
    stale(&run(&desk, &code, &["--url", &desk.cluster.tcp_url("shop")]), "address");
    desk.project.file("runsheet.toml", &RULES.replace("environments.live", "environments.dawn"));
    stale(&run(&desk, &code, &[]), "environment: live then, dawn now");
    desk.project.file("runsheet.toml", RULES);
    // The approval itself.
    let path = format!(".runsheet/approvals/{code}.json");
    let text = desk.project.read(&path);
    desk.project.file(&path, &text.replace("\"kim\"", "\"lee\""));
    run(&desk, &code, &[]).exits(4).stderr_shows("approval-edited");
    desk.project.file(&path, &text);
    run(&desk, "000000000000", &[]).exits(4).stderr_shows("other-than-approved");
    desk.unchanged();
    assert_eq!(desk.value("SELECT to_regnamespace('runsheet') IS NULL"), "t");
    // A partition or a table that was made at midnight spoils nothing, and line ends are no change.
    desk.sql("CREATE TABLE midnight (id int)");
    desk.project.file("sql/up.sql", &UP.replace('\n', "\r\n"));
    run(&desk, &code, &[]).exits(0).shows("kim");
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id > 100"), "3");
}

#[test]
fn a_plans_code_without_a_name_is_no_approval_and_an_old_one_is_none_either() {
    let desk = desk();
    run(&desk, &code(&desk), &[]).exits(4).stderr_shows("policy-manual");
    let code = signed(&desk, "kim");
    desk.project.file("runsheet.toml", &format!("{RULES}approval_age = \"0s\"\n"));
    run(&desk, &code, &[]).exits(4).stderr_shows("approval-expired").stderr_shows("kim");
    desk.unchanged();
    desk.project.file("runsheet.toml", RULES);
    run(&desk, &code, &[]).exits(0);
    let kept =
        |what: &str| desk.value(&format!("SELECT inputs->'approval'->>'{what}' FROM runsheet.run"));
    assert_eq!(
        (kept("by"), kept("because"), kept("code")),
        ("kim".into(), "ticket 12".into(), code)
    );
    assert_eq!(
        desk.value("SELECT (inputs->'approval'->>'at')::timestamptz < now() FROM runsheet.run"),
        "t"
    );
}

#[test]
fn a_plan_that_fails_is_not_signed() {
    let desk = desk();
    desk.body(&format!("{BODY}check(\"no\", || false);"));
    let ran = desk.project.run(&["approve", "it", "--by", "kim"]);
    ran.exits(1);
    assert!(!desk.project.path().join(".runsheet/approvals").exists());
    desk.project.run(&["approve", "it"]).exits(2);
    desk.project.run(&["approve", "it", "--by", " "]).exits(2);
}

#[test]
fn a_receipt_may_be_as_old_as_the_policy_says() {
    let mut desk = Desk::new(
        r#"let p = playbook("it", #{ risk: "high" });
step("new", #{ undo: || db::exec("DROP TABLE extra") }, || db::exec("CREATE TABLE extra (id int)"));"#,
    );
    let url = desk.url();
    desk.project.env("LIVE", &url);
    let rules = |age: &str| {
        let text = format!(
            "[environments.live]\nurl_env = \"LIVE\"\nprotected = true\n[policy]\nreceipt_age = \"{age}\"\nhigh = {{ backup = \"optional\" }}\n"
        );
        desk.project.file("runsheet.toml", &text);
    };
    rules("1ms");
    desk.project.run(&["rehearse", "it"]).exits(0);
    let code = signed(&desk, "kim");
    run(&desk, &code, &[]).exits(4).stderr_shows("a receipt holds for 1ms");
    rules("36h");
    run(&desk, &code, &[]).exits(0);
}

#[test]
fn what_nobody_attested_is_ticked_afterwards_with_name_time_and_reason() {
    let desk = Desk::new(
        r#"step("new", || db::exec("CREATE TABLE extra (id int)"));
manual("G1.12 Main functions", ["log in", "sign up"]);
approve("Go live");"#,
    );
    desk.run().exits(0).shows("not attested");
    let run = desk.newest_run();
    let command = format!("runsheet tick {run} G1.12 --by NAME");
    assert!(desk.of_run("report.md").contains(&command), "{}", desk.of_run("report.md"));
    desk.call(&["tick", "nothing", "--by", "kim"]).exits(2).stderr_shows("Go live");
    desk.call(&["tick", "G1.12"]).exits(2);
    desk.call(&["tick", "G1.12", "--by", "kim", "--because", "looked at it"]).exits(0).shows("kim");
    desk.call(&["tick", &run, "Go live", "--by", "lee", "--json"]).exits(0).stdout_shows("\"lee\"");
    desk.call(&["tick", "G1.12", "--by", "kim"]).exits(0).stderr_shows("already");
    for report in [desk.of_run("report.md"), desk.call(&["report", &run]).stdout] {
        assert!(report.contains("kim") && report.contains("looked at it"), "{report}");
        assert!(!report.contains("runsheet tick"), "nothing is left to be ticked: {report}");
    }
    let ticked = "SELECT value->'ticked'->>'by' FROM runsheet.step WHERE title LIKE 'G1.12%'";
    assert_eq!(desk.value(ticked), "kim");
    assert_eq!(desk.value("SELECT report::text LIKE '%looked at it%' FROM runsheet.run"), "t");
    // The file is longer, its chain holds, and there is nothing to do.
    desk.run().exits(0).shows("nothing");
    // On another machine there is the ledger alone.
    std::fs::remove_dir_all(desk.project.path().join(".runsheet")).unwrap();
    desk.call(&["tick", &run, "Go live", "--by", "kim"]).exits(0).stderr_shows("already");
    desk.call(&["report", &run]).exits(0).stdout_shows("looked at it");
}

/// What the ledger does not take stands in no file either, so it can be ticked again.
#[test]
fn a_tick_that_the_ledger_does_not_take_leaves_no_trace_on_this_machine() {
    let desk = Desk::new(
        "step(\"new\", || db::exec(\"CREATE TABLE extra (id int)\"));\napprove(\"Go live\");",
    );
    desk.run().exits(0);
    let files =
        || (desk.of_run("events.jsonl"), desk.of_run("report.json"), desk.of_run("report.md"));
    let before = files();
    let refuse = "ALTER TABLE runsheet.step ADD CONSTRAINT no CHECK (value->'ticked' IS NULL)";
    desk.sql(refuse);
    desk.call(&["tick", "Go live", "--by", "kim"]).exits(1).stderr_shows("no");
    assert_eq!(files(), before);
    desk.sql("ALTER TABLE runsheet.step DROP CONSTRAINT no");
    desk.sql("UPDATE runsheet.step SET title = 'Go' WHERE title = 'Go live'");
    desk.call(&["tick", "Go live", "--by", "kim"]).exits(2).stderr_shows("nothing-to-tick");
    assert_eq!(files(), before);
    desk.sql("UPDATE runsheet.step SET title = 'Go live' WHERE title = 'Go'");
    desk.call(&["tick", "Go live", "--by", "kim"]).exits(0).shows("kim");
    desk.call(&["tick", "Go live", "--by", "kim"]).exits(0).stderr_shows("already");
}
