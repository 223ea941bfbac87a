//! SQL files with mistakes.

use super::Desk;

const STEP: &str = r#"step("file", || sql::run_file("sql/up.sql"));"#;

fn with_file(bytes: &[u8]) -> Desk {
    let desk = Desk::new(STEP);
    std::fs::create_dir_all(desk.project.path().join("sql")).unwrap();
    std::fs::write(desk.project.path().join("sql/up.sql"), bytes).unwrap();
    desk
}

/// F38: what cannot run inside a transaction is found before anything of the file runs.
#[test]
fn f38_a_vacuum_in_a_file_of_a_transaction_is_refused_with_its_line() {
    let desk = with_file(b"DELETE FROM items;\nVACUUM items;\n");
    desk.run().exits(2).shows("sql/up.sql:2").shows("VACUUM").shows("transaction: false");
    desk.unchanged();
    let alone =
        desk.body(r#"step("file", #{ transaction: false }, || sql::run_file("sql/up.sql"));"#);
    alone.run().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "0");
}

/// F39: a new value of an enum cannot be used by the transaction that added it.
#[test]
fn f39_a_new_enum_value_used_in_its_own_step_is_rolled_back_and_the_two_steps_are_named() {
    let desk =
        with_file(b"ALTER TYPE mood ADD VALUE 'great';\nINSERT INTO moods VALUES ('great');\n");
    desk.sql("CREATE TYPE mood AS ENUM ('good'); CREATE TABLE moods (mood mood)");
    desk.run().exits(1).shows("55P04").shows("sql/up.sql:2").shows("two steps").shows("as before");
    assert_eq!(desk.value("SELECT array_length(enum_range(NULL::mood), 1)"), "1");
}

#[test]
fn a_missing_file_is_named() {
    let desk = Desk::new(STEP);
    desk.run().exits(2).shows("sql/up.sql").shows("playbooks/it.rhai:2:");
    desk.unchanged();
}

#[test]
fn a_file_that_is_not_utf8_is_refused_with_the_byte() {
    let mut bytes = b"DELETE FROM items;\n-- ".to_vec();
    bytes.extend([0xC7, 0xD1, 0xB1, 0xDB]);
    let desk = with_file(&bytes);
    desk.run().exits(2).shows("sql/up.sql").shows("UTF-8").shows("byte 22");
    desk.unchanged();
}

#[test]
fn an_error_in_the_seventeenth_statement_is_shown_in_its_own_line_and_nothing_stays() {
    let mut text = String::from("-- 16 statements, each a line\n");
    for n in 1..=16 {
        text.push_str(&format!("DELETE FROM items WHERE id = {n};\n"));
    }
    text.push_str("UPDATE items\n   SET name = 'x'\n WHERE nmae = 'item 17';\n");
    let desk = with_file(text.as_bytes());
    desk.run()
        .exits(1)
        .shows("sql/up.sql:20:8")
        .shows("nmae")
        .shows("42703")
        .shows("playbooks/it.rhai:2:");
    desk.unchanged().nothing_is_left();
}

/// F10.
#[test]
fn a_commit_in_the_middle_is_refused_before_the_first_statement() {
    let desk = with_file(b"DELETE FROM items WHERE id = 1;\nCOMMIT;\nDELETE FROM items;\n");
    desk.run().exits(2).shows("sql/up.sql:2:1").shows("COMMIT").shows("transaction: false");
    desk.unchanged();
}

/// F10.
#[test]
fn a_commit_that_nobody_could_see_beforehand_does_not_pass_as_done() {
    let desk = with_file(b"DELETE FROM items WHERE id = 1;\nDO $$ BEGIN COMMIT; END $$;\n");
    let ran = desk.run();
    assert_ne!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    desk.unchanged();
}

#[test]
fn a_statement_that_cannot_run_in_a_transaction_is_refused_before_the_others_run() {
    let desk = with_file(b"DELETE FROM items;\nVACUUM items;\n");
    desk.run().exits(2).shows("sql/up.sql:2:1").shows("VACUUM").shows("transaction: false");
    desk.unchanged();
}

#[test]
fn an_unterminated_quote_is_found_before_anything_runs() {
    let desk = with_file(b"DELETE FROM items;\nINSERT INTO items VALUES (99, 'open);\n");
    desk.run().exits(2).shows("sql/up.sql:2:");
    desk.unchanged();
}

#[test]
fn a_shell_command_in_a_file_is_refused_by_its_name() {
    let desk = with_file(b"DELETE FROM items;\n\\! touch hacked\n");
    desk.run().exits(2).shows("sql/up.sql:2:").shows("\\!");
    assert!(!desk.project.path().join("hacked").exists());
    desk.unchanged();
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let desk = with_file(b"\xEF\xBB\xBFDELETE FROM items\r\n WHERE id = 1;\r\n");
    desk.run().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "19");
}
