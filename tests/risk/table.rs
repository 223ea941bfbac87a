//! `statements.tsv`: one statement a line with all that is foretold of it, after `fixture.sql`.

use runsheet::sql::{Examined, Examiner, Piece, Splitter, Undo};

pub const FIXTURE: &str = include_str!("fixture.sql");
const TABLE: &str = include_str!("statements.tsv");

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The first server that runs it; 0 where none of the tests runs it.
    pub since: u32,
    pub statement: String,
    pub kind: String,
    pub risk: String,
    /// `SHARE t; ROW SHARE u`
    pub locks: String,
    pub rewrites: String,
    pub in_transaction: String,
    pub undo: String,
}

impl Row {
    fn read(line: &str) -> Self {
        let mut cells = line.split('\t').map(|cell| cell.replace("\\n", "\n"));
        let mut next = || cells.next().unwrap_or_default();
        Self {
            since: next().parse().unwrap_or(0),
            statement: next(),
            kind: next(),
            risk: next(),
            locks: next(),
            rewrites: next(),
            in_transaction: next(),
            undo: next(),
        }
    }

    pub fn line(&self) -> String {
        let cells = [
            &self.since.to_string(),
            &self.statement,
            &self.kind,
            &self.risk,
            &self.locks,
            &self.rewrites,
            &self.in_transaction,
            &self.undo,
        ];
        cells.map(|cell| cell.replace('\n', "\\n")).join("\t")
    }
}

pub fn rows() -> Vec<Row> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(Row::read).collect()
}

/// The statements of a text.
pub fn statements(text: &str) -> Vec<String> {
    let pieces = Splitter::new("fixture.sql", text.as_bytes());
    pieces
        .filter_map(|piece| match piece.unwrap() {
            Piece::Statement(statement) => Some(statement.text),
            _ => None,
        })
        .collect()
}

/// What is foretold of a statement after the fixture.
pub fn foretold(statement: &str) -> Examined {
    static AFTER: std::sync::LazyLock<Examiner> = std::sync::LazyLock::new(|| {
        let mut examiner = Examiner::default();
        for one in statements(FIXTURE) {
            assert!(examiner.examine(&one).parsed, "{one}");
        }
        examiner.settle();
        examiner
    });
    AFTER.clone().examine(statement)
}

fn as_row(since: u32, statement: &str) -> Row {
    let one = foretold(statement);
    let dash = |text: String| if text.is_empty() { "-".to_string() } else { text };
    let locks: Vec<_> =
        one.info.locks.iter().map(|lock| format!("{} {}", lock.mode, lock.object)).collect();
    Row {
        since,
        statement: statement.to_string(),
        kind: one.info.kind,
        risk: one.info.risk.word().to_string(),
        locks: dash(locks.join("; ")),
        rewrites: dash(one.info.rewrites.join("; ")),
        in_transaction: if one.info.transactional { "yes" } else { "no" }.to_string(),
        undo: match one.undo {
            Undo::NotNeeded => "(not needed)".into(),
            Undo::By(sql) => sql,
            Undo::Lost => "(lost)".into(),
            Undo::Never => "(never)".into(),
            Undo::Unknown => "(unknown)".into(),
        },
    }
}

#[test]
fn every_statement_of_the_table_is_judged_as_it_says() {
    let rows = rows();
    assert!(rows.len() >= 200, "only {} statements", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .map(|row| (row, as_row(row.since, &row.statement)))
        .filter(|(row, found)| *row != found)
        .map(|(row, found)| format!("table {}\nfound {}", row.line(), found.line()))
        .collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every form of the manual's page "ALTER TABLE" has its line.
#[test]
fn the_table_holds_every_form_of_alter_table() {
    let all: Vec<String> = rows().iter().map(|row| row.statement.to_uppercase()).collect();
    for words in [
        "ADD COLUMN",
        "ADD COLUMN IF NOT EXISTS",
        "DROP COLUMN",
        "DROP COLUMN IF EXISTS",
        "TYPE BIGINT",
        "COLLATE",
        "USING",
        "SET DEFAULT",
        "DROP DEFAULT",
        "SET NOT NULL",
        "DROP NOT NULL",
        "SET EXPRESSION",
        "DROP EXPRESSION",
        "ADD GENERATED",
        "SET GENERATED",
        "RESTART WITH",
        "SET INCREMENT",
        "DROP IDENTITY",
        "SET STATISTICS",
        "SET (N_DISTINCT",
        "RESET (N_DISTINCT",
        "SET STORAGE",
        "SET COMPRESSION",
        "ADD CONSTRAINT",
        "NOT VALID",
        "NOT ENFORCED",
        "USING INDEX",
        "ALTER CONSTRAINT",
        "VALIDATE CONSTRAINT",
        "DROP CONSTRAINT",
        "DISABLE TRIGGER ALL",
        "DISABLE TRIGGER USER",
        "ENABLE TRIGGER",
        "ENABLE REPLICA TRIGGER",
        "ENABLE ALWAYS TRIGGER",
        "DISABLE RULE",
        "ENABLE RULE",
        "ENABLE REPLICA RULE",
        "ENABLE ALWAYS RULE",
        "DISABLE ROW LEVEL",
        "ENABLE ROW LEVEL",
        "FORCE ROW LEVEL",
        "NO FORCE ROW LEVEL",
        "CLUSTER ON",
        "SET WITHOUT CLUSTER",
        "SET WITHOUT OIDS",
        "SET ACCESS METHOD",
        "SET TABLESPACE",
        "SET LOGGED",
        "SET UNLOGGED",
        "SET (FILLFACTOR",
        "RESET (FILLFACTOR",
        " INHERIT ",
        "NO INHERIT",
        " OF PAIR",
        "NOT OF",
        "OWNER TO",
        "REPLICA IDENTITY FULL",
        "REPLICA IDENTITY NOTHING",
        "REPLICA IDENTITY DEFAULT",
        "REPLICA IDENTITY USING INDEX",
        "RENAME COLUMN",
        "RENAME CONSTRAINT",
        "RENAME TO",
        "SET SCHEMA",
        "ALL IN TABLESPACE",
        "ATTACH PARTITION",
        "DETACH PARTITION",
        "CONCURRENTLY",
        "FINALIZE",
    ] {
        let there = all.iter().any(|one| one.starts_with("ALTER TABLE") && one.contains(words));
        assert!(there, "ALTER TABLE .. {words} is missing");
    }
}
