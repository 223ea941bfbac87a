//! `runsheet rehearse --pairs`: migrations of other tools, one by one.

use serde_json::Value;

use crate::support::{Project, Ran};

struct Pairs {
    project: Project,
}

impl Pairs {
    /// Files below `migrations`.
    fn new(files: &[(&str, &str)]) -> Self {
        let project = Project::new();
        for (name, text) in files {
            let path = project.path().join("migrations").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self { project }
    }

    fn walk(&self, more: &[&str]) -> Ran {
        self.project.run(&[&["rehearse", "--pairs", "migrations"], more].concat())
    }

    /// What is said of each, by name.
    fn told(&self) -> Vec<Value> {
        let lines = self.walk(&["--json"]).stdout;
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["event"] == "pair").map(|event| event["pair"].clone()).collect()
    }
}

const USERS: &str = "CREATE TABLE users (id serial PRIMARY KEY, mail text NOT NULL UNIQUE, \
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'shut')), phone text)";

#[test]
fn a_pair_that_leads_back_is_told_from_seven_that_do_not() {
    let pairs = Pairs::new(&[
        ("01_users.up.sql", USERS),
        ("01_users.down.sql", "DROP TABLE users"),
        // An empty down that "succeeds".
        ("02_empty.up.sql", "ALTER TABLE users ADD COLUMN a int"),
        ("02_empty.down.sql", "-- nothing\n"),
        // A down that takes another object along.
        (
            "03_cascade.up.sql",
            "CREATE VIEW mails AS SELECT mail FROM users; CREATE TYPE mood AS ENUM ('good')",
        ),
        (
            "03_cascade.down.sql",
            "DROP TYPE mood; DROP VIEW mails; ALTER TABLE users DROP COLUMN phone CASCADE",
        ),
        // A down that names a table that does not exist.
        (
            "04_missing.up.sql",
            "CREATE TABLE notes (id int PRIMARY KEY, user_id int REFERENCES users)",
        ),
        ("04_missing.down.sql", "DROP TABLE note"),
        // A down that works on an empty table only.
        (
            "05_rows.up.sql",
            "ALTER TABLE notes ALTER COLUMN user_id DROP NOT NULL; ALTER TABLE notes ADD COLUMN body text DEFAULT 'x'",
        ),
        (
            "05_rows.down.sql",
            "ALTER TABLE notes DROP COLUMN body; ALTER TABLE notes ADD COLUMN tag int NOT NULL; ALTER TABLE notes DROP COLUMN tag",
        ),
        // A down that drops what was there before.
        ("06_before.up.sql", "CREATE TABLE IF NOT EXISTS notes (id int)"),
        ("06_before.down.sql", "DROP TABLE notes"),
        // An index where a constraint was.
        ("07_index.up.sql", "ALTER TABLE users DROP CONSTRAINT users_mail_key"),
        ("07_index.down.sql", "CREATE UNIQUE INDEX users_mail_key ON users (mail)"),
        // Nobody ever ran it.
        ("08_syntax.up.sql", "CREATE INDEX users_state ON users (state)"),
        ("08_syntax.down.sql", "DROP INDX users_state"),
    ]);
    let told = pairs.told();
    let word = |at: usize, what: &str| told[at][what].as_str().unwrap_or_default().to_string();
    for (at, pair) in told.iter().enumerate() {
        assert_eq!((word(at, "up"), word(at, "up_rows")), ("ok".into(), "ok".into()), "{pair}");
    }
    assert_eq!(
        (word(0, "schema"), word(0, "rows"), word(0, "again")),
        ("exact".into(), "same".into(), "ok".into())
    );
    assert_eq!(
        (word(1, "down"), word(1, "schema"), word(1, "again")),
        ("empty".into(), "differs".into(), "failed".into())
    );
    assert_eq!((word(2, "schema"), word(2, "rows")), ("differs".into(), "values_changed".into()));
    assert_eq!(told[2]["objects"][0]["what"], "column public.users.phone");
    assert_eq!(told[2]["tables"][0]["columns"][0]["column"], "phone");
    assert_eq!((word(3, "down"), word(3, "schema")), ("failed".into(), "unknown".into()));
    assert!(told[3]["errors"]["down"].as_str().unwrap().starts_with("42P01"));
    assert_eq!((word(4, "down"), word(4, "down_rows")), ("ok".into(), "failed".into()));
    assert_eq!((word(5, "schema"), word(5, "rows")), ("differs".into(), "tables_gone".into()));
    assert_eq!((word(6, "schema"), word(6, "rows")), ("differs".into(), "same".into()));
    assert_eq!(word(7, "down"), "failed");
    let ran = pairs.walk(&[]);
    ran.exits(6).stdout_shows("8 ups apply").stdout_shows("1 lead back");
    ran.stdout_shows("public.users.phone: values of ").stdout_shows("the down is empty");
    ran.stdout_shows("the down fails with rows in the tables: 23502");
}

#[test]
fn every_layout_is_walked_and_what_needs_no_transaction_gets_none() {
    let pairs = Pairs::new(&[
        (
            "1_diesel/up.sql",
            "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE a (m mood, n numeric(3,1))",
        ),
        ("1_diesel/down.sql", "DROP TABLE a; DROP TYPE mood"),
        ("2_prisma/migration.sql", "CREATE INDEX CONCURRENTLY a_n ON a (n)"),
        (
            "3_dbmate.sql",
            "-- migrate:up\nCREATE TABLE c (id int REFERENCES nothing);\n-- migrate:down\nDROP TABLE c;\n",
        ),
        ("4_own.up.sql", "BEGIN; CREATE TABLE d (id int); COMMIT;"),
        ("4_own.down.sql", "DROP TABLE d"),
        // A value of an enum cannot be used in the transaction that adds it.
        ("5_enum.up.sql", "ALTER TYPE mood ADD VALUE 'bad'; INSERT INTO a VALUES ('bad', 1.5)"),
        ("6_copy.up.sql", "\\restrict x\nCOPY d FROM stdin;\n7\n\\.\n"),
        ("6_copy.down.sql", "DELETE FROM d WHERE id = 7"),
    ]);
    let told = pairs.told();
    let is = |at: usize, up: &str, down: &str| {
        assert_eq!(
            (&told[at]["up"], &told[at]["down"]),
            (&up.into(), &down.into()),
            "{}",
            told[at]
        );
    };
    is(0, "ok", "ok");
    is(1, "outside", "none");
    is(2, "failed", "unknown");
    is(3, "ok", "ok");
    is(4, "outside", "none");
    is(5, "ok", "ok");
    assert_eq!(told[5]["rows"], "same");
    pairs.walk(&[]).exits(1).stdout_shows("42P01").stdout_shows("2 of them only outside");
}

#[test]
fn a_folder_without_migrations_is_a_wrong_command_line() {
    let pairs = Pairs::new(&[("README.md", "")]);
    pairs.walk(&[]).exits(2).stderr_shows("there are no migrations in");
    pairs.project.run(&["rehearse", "it", "--pairs", "migrations"]).exits(2);
}
