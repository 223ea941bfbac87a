//! Playbook, imports, SQL files and parameters of an unfinished run: any change stops a resume.

use crate::faults::Desk;

const BODY: &str = r#"import "tool" as tool;
let p = playbook("it", #{ params: #{ name: "one" } });
step("first", || { db::exec("INSERT INTO items VALUES (101, $1)", [p.name]); sql::run_file("sql/up.sql") });
step("second", || { db::exec(`INSERT INTO items VALUES (${tool::number()}, 'two')`); expect(p.name != "one" || db::has_table("go"), "not yet") });
"#;

/// P9, F67, F68: the road of a person at the command line, each kind of input once.
#[test]
fn every_changed_input_is_refused_by_name_and_the_old_ones_go_on() {
    let desk = Desk::new(BODY);
    let (tool, up) = ("fn number() { 103 }\n", "INSERT INTO items VALUES (102, 'file');\n");
    desk.project.file("playbooks/tool.rhai", tool).file("sql/up.sql", up);
    desk.run().exits(5).shows("not yet");
    desk.sql("CREATE TABLE go ()");
    let resume = ["resume", "--yes"];
    let stands =
        || desk.value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM items WHERE id > 100");

    desk.body(&BODY.replace("'two'", "'deux'"));
    desk.call(&resume).exits(2).shows("playbooks/it.rhai").shows("--accept-changes");
    desk.body(BODY);
    desk.project.file("playbooks/tool.rhai", "fn number() { 104 }\n");
    desk.call(&resume).exits(2).shows("playbooks/tool.rhai").shows("--accept-changes");
    desk.project.file("playbooks/tool.rhai", tool);
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (105, 'file');\n");
    desk.call(&resume).exits(2).shows("sql/up.sql").shows("what the earlier run did stands");
    desk.project.file("sql/up.sql", up);
    desk.call(&["resume", "--yes", "--set", "name=zwei"]).exits(2).shows("name");
    assert_eq!(stands(), "101 102");

    // Line ends and a byte order mark are no change.
    desk.body(&BODY.replace('\n', "\r\n"));
    desk.project.file("sql/up.sql", &format!("\u{feff}{up}"));
    desk.call(&resume).exits(0);
    assert_eq!(stands(), "101 102 103");
}

/// P9, F66, F67: every byte of playbook, import, SQL files (of a finished and of a pending step)
/// and parameter, replaced by another one between run and resume.
#[test]
fn p9_every_single_byte_that_is_replaced_between_run_and_resume_is_refused() {
    const BOOK: &str = "import \"tool\" as tool;\nlet p = playbook(\"it\", #{ params: #{ name: \"one\" } }); // why\nstep(\"a\", || sql::run_file(\"sql/a.sql\"));\nstep(\"b\", || { sql::run_file(\"sql/b.sql\"); expect(tool::ready(), p.name) });\n";
    let desk = Desk::new(BOOK);
    let files = [
        ("playbooks/it.rhai", BOOK),
        ("playbooks/tool.rhai", "fn ready() { db::has_table(\"go\") }\n"),
        ("sql/a.sql", "INSERT INTO items VALUES (101, 'a');\n"),
        ("sql/b.sql", "-- b\nINSERT INTO items VALUES (102, 'b');\n"),
    ];
    for (path, text) in files {
        desk.project.file(path, text);
    }
    desk.run().exits(5);
    desk.sql("CREATE TABLE go ()");
    let stands = || desk.value("SELECT string_agg(id::text, ' ') FROM items WHERE id > 100");
    let mut refused = 0;
    let stride = mutation_stride();
    for (path, text) in files {
        for at in (0..text.len()).step_by(stride) {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            desk.project.file(path, std::str::from_utf8(&bytes).unwrap());
            let ran = desk.call(&["resume", "--yes"]);
            assert_eq!(ran.code, 2, "{path} byte {at}\n{}{}", ran.stdout, ran.stderr);
            refused += 1;
        }
        desk.project.file(path, text);
    }
    for name in ["xne", "oxe", "onx", "one ", ""] {
        desk.call(&["resume", "--yes", "--set", &format!("name={name}")]).exits(2);
        refused += 1;
    }
    assert_eq!(stands(), "101");
    // What does not count as a change.
    desk.body(&BOOK.replace('\n', "\r\n"));
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(stands(), "101 102");
    eprintln!("{refused} mutations, {refused} refused");
}

/// All bytes where `RUNSHEET_EVERY_BYTE` is set, else every ninth: a call takes 0.1 s.
fn mutation_stride() -> usize {
    if std::env::var_os("RUNSHEET_EVERY_BYTE").is_some() { 1 } else { 9 }
}

/// F66: the code of a plan runs that plan and nothing else, also where nobody can be asked.
#[test]
fn f66_an_approval_code_is_bound_to_playbook_sql_parameters_and_address() {
    let mut desk = Desk::new(BODY);
    desk.live("protected = true\n");
    desk.project.file("playbooks/tool.rhai", "fn number() { 103 }\n");
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (102, 'file');\n");
    desk.sql("CREATE TABLE go ()");
    let code = desk.project.run(&["plan", "it"]).approval_code();
    let run = |more: &[&str]| desk.project.run(&[&["run", "it"], more].concat());
    run(&[]).exits(4).shows("protected");
    run(&["--approve", "000000000000"]).exits(4).shows("000000000000").shows("runsheet plan it");
    run(&["--approve", &code, "--set", "name=two"]).exits(4).shows("not what the code");
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (104, 'file');\n");
    run(&["--approve", &code]).exits(4).shows("not what the code");
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (102, 'file');\r\n");
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id > 100"), "0");
    run(&["--approve", &code]).exits(0).shows("this is what was approved");
}

/// F66: a file that changes between the approval and its step.
#[test]
fn f66_a_file_that_changes_after_the_run_was_approved_is_not_run() {
    let desk = Desk::new(
        r#"step("wait", || db::exec("DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM go) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"));
step("file", || sql::run_file("sql/up.sql"));"#,
    );
    desk.sql("CREATE TABLE go (n int)");
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (101, 'read');\n");
    let code = desk.call(&["plan", "it"]).approval_code();
    let run = desk.start(&["run", "it", "--yes", "--approve", &code]);
    desk.wait_for_statement("FROM go");
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (666, 'not read');\n");
    desk.sql("INSERT INTO go VALUES (1)");
    let ran = run.wait();
    ran.shows("sql/up.sql is not what was approved");
    assert_ne!(ran.code, 0);
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id > 100"), "0");
    // Bound while the run is unfinished: it goes on with what was read.
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (101, 'read');\n");
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.value("SELECT name FROM items WHERE id > 100"), "read");
}
