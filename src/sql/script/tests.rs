#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::sql::{Summary, validate};

struct Project(tempfile::TempDir);

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn validate(&self, vars: &[(&str, &str)], transactional: bool) -> Result<Summary, Fault> {
        validate(self.0.path(), "a.sql", map(vars), ScriptOptions { transactional })
    }

    fn run(&self, vars: &[(&str, &str)], transactional: bool) -> Result<Vec<String>, Fault> {
        let options = ScriptOptions { transactional };
        let mut script = Script::open(self.0.path(), "a.sql", map(vars), options)?;
        let mut lines = Vec::new();
        while let Some(unit) = script.next()? {
            lines.push(match unit {
                Unit::Statement { text, follow: Follow::None, .. } => text,
                Unit::Statement { text, follow, .. } => format!("{text} -> {follow:?}"),
                Unit::CopyFrom { text, .. } => {
                    let mut data = Vec::new();
                    while let Some(chunk) = script.copy_chunk()? {
                        data.extend(chunk);
                    }
                    format!("{text} <- {:?}", String::from_utf8(data).unwrap())
                }
                Unit::CopyFile { text, path, direction, .. } => {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    format!("{text} {direction:?} {name}")
                }
                Unit::Echo(line) => format!("echo: {line}"),
                Unit::Skipped { command, place } => format!("skipped {command} at {}", place.line),
            });
        }
        Ok(lines)
    }
}

fn map(vars: &[(&str, &str)]) -> BTreeMap<String, String> {
    vars.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn run(text: &str) -> Result<Vec<String>, Fault> {
    Project::new(&[("a.sql", text)]).run(&[], true)
}

/// The code, line, column and length of what both the run and the validation refuse.
fn refused(text: &str) -> (String, u32, u32, u32) {
    let project = Project::new(&[("a.sql", text)]);
    let fault = project.validate(&[], true).expect_err("refused");
    let by_run = project.run(&[], true).expect_err("refused");
    assert_eq!(fault, by_run);
    let place = &fault.places[0];
    assert_eq!(place.file, "a.sql");
    assert_eq!(place.source, text.lines().nth(place.line as usize - 1).unwrap());
    (fault.code, place.line, place.column, place.length)
}

fn at(code: &str, line: u32, column: u32, length: u32) -> (String, u32, u32, u32) {
    (code.to_string(), line, column, length)
}

#[test]
fn a_script_is_read_as_psql_reads_it() {
    let project = Project::new(&[
        (
            "a.sql",
            "\\set ON_ERROR_STOP on\n\\set tbl users\n\\timing on\n\\echo 'table:' :tbl\n\
             SELECT count(*) AS n FROM :tbl \\gset c_\n\\i sub/b.sql\n\\warn end\n\
             SELECT format('x') \\gexec\nselect 1\\; select 2 \\g\n\
             \\copy t (a) from 'data.csv' csv\n\\copy t from stdin\n1\n2\n\\.\n\
             COPY t FROM stdin;\nx\ty\n\\.\n\\copy t to out.csv\n",
        ),
        ("sub/b.sql", "\\ir c.sql\nselect 'b';"),
        ("sub/c.sql", "select :'tbl';"),
        ("data.csv", "1\n"),
    ]);
    assert_eq!(
        project.run(&[], true).unwrap(),
        [
            "skipped \\timing on at 3",
            "echo: table: users",
            "SELECT count(*) AS n FROM users -> Gset { prefix: \"c_\" }",
            "select 'users'",
            "select 'b'",
            "echo: end",
            "SELECT format('x') -> Gexec",
            "select 1",
            "select 2",
            "COPY t (a) FROM STDIN csv From data.csv",
            "COPY t FROM STDIN <- \"1\\n2\\n\"",
            "COPY t FROM stdin <- \"x\\ty\\n\"",
            "COPY t TO STDOUT To out.csv",
        ]
    );
    let summary = project.validate(&[], true).unwrap();
    assert_eq!(summary.statements, 10);
    let names: Vec<_> =
        summary.files.iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy()).collect();
    assert_eq!(names, ["a.sql", "b.sql", "c.sql", "data.csv"]);
}

#[test]
fn conditions_choose_and_nest() {
    let text = "\\if :x\nselect 1;\n\\if off\nselect 2;\n\\else\nselect 3;\n\\endif\n\\elif true\nselect 4;\n\
                \\! never\n\\else\nselect 5;\nCOPY t FROM stdin;\n'\n\\.\n\\endif\n\\if :{?y} \\echo y \\else \\echo none \\endif\n";
    let project = Project::new(&[("a.sql", text)]);
    assert_eq!(project.run(&[("x", "1")], true).unwrap(), ["select 1", "select 3", "echo: none"]);
    assert_eq!(project.run(&[("x", "no"), ("y", "")], true).unwrap_err().code, "sql-meta-refused");
    assert_eq!(refused("\\if true\nselect 1;\n"), at("sql-if-open", 1, 1, 8));
    assert_eq!(refused("\\if true\n\\else\n\\else\n\\endif"), at("sql-if-misplaced", 3, 1, 5));
    assert_eq!(refused("select 1;\n  \\endif"), at("sql-if-misplaced", 2, 3, 6));
    assert_eq!(refused("\\if :nope\n\\endif"), at("sql-not-boolean", 1, 1, 9));
}

#[test]
fn what_only_a_gset_knows_is_read_in_every_branch() {
    let text = "SELECT true AS has \\gset\n\\if :has\nselect 1;\n\\else\n\\! rm\n\\endif\n";
    let project = Project::new(&[("a.sql", text)]);
    let fault = project.validate(&[], true).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.places[0].line), ("sql-meta-refused", 5));
    let mut script =
        Script::open(project.0.path(), "a.sql", map(&[]), ScriptOptions::default()).unwrap();
    assert!(matches!(script.next(), Ok(Some(Unit::Statement { follow: Follow::Gset { .. }, .. }))));
    script.set_var("has", "t");
    assert!(matches!(script.next(), Ok(Some(Unit::Statement { .. }))));
    assert_eq!(script.next(), Ok(None));
    let unknown = "SELECT 'b.sql' AS f \\gset\n\\i :f\n";
    let project = Project::new(&[("a.sql", unknown)]);
    assert_eq!(project.validate(&[], true).unwrap_err().code, "sql-include-unknown");
}

#[test]
fn commands_that_leave_the_run_are_refused_by_name() {
    for (text, wanted) in [
        ("select 1;\n\\! rm -rf /\n", at("sql-meta-refused", 2, 1, 11)),
        ("\\c other", at("sql-meta-refused", 1, 1, 8)),
        ("  \\connect - - host", at("sql-meta-refused", 1, 3, 17)),
        ("\\set x `date`", at("sql-meta-refused", 1, 1, 13)),
        ("\\echo 'a' `date`", at("sql-meta-refused", 1, 1, 16)),
        ("\\d `date`", at("sql-meta-refused", 1, 1, 9)),
        ("\\copy t from program 'x'", at("sql-meta-refused", 1, 1, 24)),
        ("\\copy t to stdout", at("sql-meta-refused", 1, 1, 17)),
        ("\\o | cat", at("sql-meta-refused", 1, 1, 8)),
        ("\\o file", at("sql-meta-refused", 1, 1, 7)),
        ("select 1 \\g /tmp/x", at("sql-meta-refused", 1, 10, 9)),
        ("select 1 \\watch 2", at("sql-meta-refused", 1, 10, 8)),
        ("\\prompt x", at("sql-meta-refused", 1, 1, 9)),
        ("\\setenv a b", at("sql-meta-refused", 1, 1, 11)),
        ("\\가나 b", at("sql-meta-refused", 1, 1, 5)),
        ("\\.", at("sql-meta-refused", 1, 1, 2)),
        ("\\encoding EUC_KR", at("sql-encoding", 1, 1, 16)),
        ("\\gexec", at("sql-nothing-to-send", 1, 1, 6)),
        ("\\set 'a b' c", at("sql-variable-name", 1, 1, 12)),
        ("\\i", at("sql-argument-missing", 1, 1, 2)),
        ("\\copy t", at("sql-copy-syntax", 1, 1, 7)),
        ("\\echo 'open", at("sql-unclosed", 1, 1, 11)),
        ("copy t to stdout;", at("sql-copy-to-stdout", 1, 1, 16)),
    ] {
        assert_eq!(refused(text), wanted, "{text}");
    }
}

#[test]
fn display_commands_are_skipped_with_a_note() {
    let text = "\\d users\n\\dt+\n\\pset pager off\n\\x\n\\a\n\\t\n\\o\n\\conninfo\n\\encoding UTF-8\n\\set AUTOCOMMIT off\n\\set\n";
    assert_eq!(run(text).unwrap().len(), 11);
    assert_eq!(run("\\dt+").unwrap(), ["skipped \\dt+ at 1"]);
}

#[test]
fn paths_stay_below_the_project() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.sql");
    std::fs::write(&secret, "select 'secret';").unwrap();
    let project = Project::new(&[("a.sql", ""), ("sub/b.sql", "select 1;"), ("sub/c.sql", "")]);
    let write = |text: &str| std::fs::write(project.0.path().join("a.sql"), text).unwrap();
    let code = || project.run(&[], true).unwrap_err().code;
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&secret, project.0.path().join("link.sql")).unwrap();
        write("\\i link.sql");
        assert_eq!(code(), "sql-path-outside");
        let dangling = project.0.path().join("dangling.csv");
        std::os::unix::fs::symlink(outside.path().join("new.csv"), dangling).unwrap();
        write("\\copy t to dangling.csv");
        assert_eq!(code(), "sql-path-outside");
    }
    write(&format!("\\i {}", secret.display()));
    assert_eq!(code(), "sql-path-outside");
    write(&format!("\\i ../{}/secret.sql", outside.path().file_name().unwrap().to_string_lossy()));
    assert_eq!(code(), "sql-path-outside");
    write("\\copy t to '../x.csv'");
    assert_eq!(code(), "sql-path-outside");
    write("\\i sub");
    assert_eq!(code(), "sql-file-missing");
    write("\\copy t from data.csv");
    assert_eq!(code(), "sql-file-missing");
    write(&format!("\\i {}/sub/../sub/b.sql", project.0.path().display()));
    assert_eq!(project.run(&[], true).unwrap(), ["select 1"]);
    assert_eq!(
        Script::open(project.0.path(), "../x.sql", map(&[]), ScriptOptions::default())
            .err()
            .unwrap()
            .code,
        "sql-file-missing"
    );
}

#[test]
fn a_missing_include_names_the_file_beside() {
    let project = Project::new(&[
        ("a.sql", "\\i sub/b.sql"),
        ("sub/b.sql", "\n\\i c.sql"),
        ("sub/c.sql", ""),
    ]);
    let fault = project.run(&[], true).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.places[0].line), ("sql-file-missing", 2));
    assert_eq!(fault.places[0].file, "sub/b.sql");
    assert!(fault.remedy.unwrap().contains("\\ir c.sql"));
}

#[test]
fn a_file_that_includes_itself_is_stopped() {
    assert_eq!(refused("select 1;\n\\ir a.sql\n"), at("sql-include-depth", 2, 1, 9));
}

#[test]
fn between_restrict_and_unrestrict_only_sql_is_allowed() {
    let key = "hiC7tdn";
    let text = format!(
        "\\restrict {key}\nSET x = 1;\nCOPY t FROM stdin;\n\\N\n\\.\n\\unrestrict {key}\n\\echo on\n"
    );
    assert_eq!(run(&text).unwrap(), ["SET x = 1", "COPY t FROM stdin <- \"\\\\N\\n\"", "echo: on"]);
    assert_eq!(refused("\\restrict a1\n\\echo x\n"), at("sql-meta-refused", 2, 1, 7));
    assert_eq!(refused("\\restrict a1\n\\if false\n"), at("sql-meta-refused", 2, 1, 9));
    assert_eq!(refused("\\restrict a1\n\\unrestrict b2\n"), at("sql-restrict-key", 2, 1, 14));
    assert_eq!(refused("\\unrestrict a1\n"), at("sql-restrict-key", 1, 1, 14));
    assert_eq!(refused("\\restrict `date`\n"), at("sql-restrict-key", 1, 1, 16));
}

#[test]
fn one_transaction_around_the_file_is_the_steps_own() {
    assert_eq!(
        run("-- head\nSET x = 1;\nBEGIN;\nselect 1;\nSAVEPOINT a;\nROLLBACK TO SAVEPOINT a;\nRELEASE a;\nCOMMIT;\nRESET x;\n").unwrap(),
        ["SET x = 1", "skipped BEGIN at 3", "select 1", "SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", "RELEASE a", "skipped COMMIT at 8", "RESET x"]
    );
    assert_eq!(
        run("SELECT pg_catalog.set_config('search_path', '', false);\nSTART TRANSACTION;select 1;END;").unwrap().len(),
        4
    );
    // Outside of a step's transaction the file's own control is its own affair.
    let project = Project::new(&[("a.sql", "BEGIN; select 1; COMMIT; select 2; VACUUM;")]);
    assert_eq!(project.run(&[], false).unwrap().len(), 5);
}

#[test]
fn everything_else_that_steers_transactions_is_refused() {
    for (text, wanted) in [
        ("select 1;\nCOMMIT;", at("sql-own-transaction", 2, 1, 6)),
        ("select 1; rollback", at("sql-own-transaction", 1, 11, 8)),
        ("select 1; begin; select 2; commit;", at("sql-own-transaction", 1, 11, 5)),
        ("begin; begin; commit;", at("sql-own-transaction", 1, 8, 5)),
        ("begin; select 1; rollback;", at("sql-own-transaction", 1, 18, 8)),
        ("begin; select 1; commit and chain;", at("sql-own-transaction", 1, 18, 16)),
        ("begin; select 1; commit; select 2;", at("sql-after-commit", 1, 26, 8)),
        ("begin; commit; begin; commit;", at("sql-after-commit", 1, 16, 5)),
        ("begin;\nselect 1;", at("sql-begin-open", 1, 1, 5)),
        ("begin isolation level serializable; commit;", at("sql-transaction-mode", 1, 1, 34)),
        ("select 1; set transaction read write", at("sql-transaction-mode", 1, 11, 26)),
        ("prepare transaction 'x'", at("sql-own-transaction", 1, 1, 23)),
        ("commit prepared 'x'", at("sql-own-transaction", 1, 1, 19)),
        ("discard all", at("sql-discard-all", 1, 1, 11)),
        ("create index concurrently i on t (a)", at("sql-not-transactional", 1, 1, 36)),
        ("vacuum", at("sql-not-transactional", 1, 1, 6)),
    ] {
        assert_eq!(refused(text), wanted, "{text}");
    }
    let summary =
        Project::new(&[("a.sql", "select pg_advisory_unlock_all();")]).validate(&[], true);
    assert_eq!(summary.unwrap().notes.len(), 1);
}

#[test]
fn a_value_cannot_smuggle_a_statement_in() {
    let project = Project::new(&[("a.sql", "select :x;\nselect :'x';")]);
    for value in ["1; commit", "'open", "1 \\! x", "1 /*"] {
        let fault = project.run(&[("x", value)], true).unwrap_err();
        assert_eq!(fault.code, "sql-variable-splits", "{value}");
        let place = &fault.places[0];
        assert_eq!((place.line, place.column, place.length), (1, 8, 2));
    }
    assert_eq!(project.run(&[("x", "a.b")], true).unwrap(), ["select a.b", "select 'a.b'"]);
    let project = Project::new(&[("a.sql", ":x;")]);
    assert_eq!(project.run(&[("x", "commit")], true).unwrap_err().code, "sql-own-transaction");
}

#[test]
fn generated_statements_are_held_to_the_same_rules() {
    let project = Project::new(&[("a.sql", "select 'x' \\gexec")]);
    let mut script =
        Script::open(project.0.path(), "a.sql", map(&[]), ScriptOptions::default()).unwrap();
    let Ok(Some(Unit::Statement { place, .. })) = script.next() else { panic!() };
    assert!(script.check_generated("create table t (a int); select 1", &place).is_ok());
    for sql in ["commit", "select 1; rollback", "begin", "vacuum"] {
        let fault = script.check_generated(sql, &place).unwrap_err();
        assert_eq!((fault.places[0].line, fault.places[0].column), (1, 1), "{sql}");
    }
}

#[test]
fn the_hash_covers_every_file() {
    let project = Project::new(&[("a.sql", "\\i b.sql\n"), ("b.sql", "select 1;\n")]);
    let before = project.validate(&[], true).unwrap().sha256;
    std::fs::write(project.0.path().join("b.sql"), "select 1;\r\n").unwrap();
    assert_eq!(project.validate(&[], true).unwrap().sha256, before);
    std::fs::write(project.0.path().join("b.sql"), "select 2;\n").unwrap();
    assert_ne!(project.validate(&[], true).unwrap().sha256, before);
    let one = Project::new(&[("a.sql", "select 1;")]);
    let summary = one.validate(&[], true).unwrap();
    assert_eq!(summary.sha256, crate::sql::hash_file(&one.0.path().join("a.sql")).unwrap());
}

#[test]
fn a_large_statement_is_held_once_and_still_found() {
    let text = format!("INSERT INTO t VALUES\n('{}'),\n(없음);\n", "x".repeat(2 << 20));
    let project = Project::new(&[("a.sql", &text)]);
    let mut script =
        Script::open(project.0.path(), "a.sql", map(&[]), ScriptOptions::default()).unwrap();
    let Ok(Some(Unit::Statement { text: sent, place, .. })) = script.next() else { panic!() };
    assert!(place.text.len() < 300 && sent.len() > 2 << 20);
    let found = place.place_of(&sent, sent.chars().count() as u32 - 2);
    assert_eq!((found.line, found.column, found.length), (3, 2, 2));
    assert_eq!(found.source, "(없음);");
}

#[test]
fn a_section_of_a_file_is_a_script_with_the_files_lines() {
    let file = "select 1;\n-- ROLLBACK\n-- BEGIN;\n-- \\echo back\n-- DROP TABLE :t;\n-- COMMIT;\n";
    let project = Project::new(&[("a.sql", file)]);
    let section = crate::sql::rollback_section::find(file, "a.sql").unwrap();
    let mut script = Script::from_text(
        project.0.path(),
        "a.sql",
        section.sql,
        section.line,
        map(&[("t", "users")]),
        ScriptOptions::default(),
    )
    .unwrap();
    assert!(matches!(script.next(), Ok(Some(Unit::Skipped { .. }))));
    assert_eq!(script.next(), Ok(Some(Unit::Echo("back".into()))));
    let Ok(Some(Unit::Statement { text, place, .. })) = script.next() else { panic!() };
    assert_eq!((text.as_str(), place.file.as_str(), place.line), ("DROP TABLE users", "a.sql", 5));
}
