//! What the first words of a statement say, without parsing it.
//!
//! Enough to see transaction control, statements that refuse to run in a transaction, and those
//! that leave something behind in the session. Cheap enough for every statement of a 100 MB file;
//! `classify` builds on it and knows the rest.

use serde::{Deserialize, Serialize};

use super::lex::{Kind, Token, meaningful};
use super::words::{MODIFIERS, OBJECTS, VERBS};

/// Statements that steer transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// COMMIT AND CHAIN, ROLLBACK AND CHAIN.
    Chain,
    /// ROLLBACK, ABORT.
    Rollback,
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo,
    /// SAVEPOINT.
    Savepoint,
    /// RELEASE SAVEPOINT.
    Release,
    /// PREPARE TRANSACTION.
    PrepareTransaction,
    /// COMMIT PREPARED, ROLLBACK PREPARED.
    Prepared,
    /// SET TRANSACTION.
    SetTransaction,
}

/// The answer of [`quick_kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quick {
    /// The first word, lower-cased, of those that PostgreSQL knows: `create`; else empty.
    pub verb: &'static str,
    /// For CREATE, ALTER, DROP and COMMENT: the kind of object, `materialized view`; else empty.
    pub object: &'static str,
    /// Transaction control.
    pub control: Option<Control>,
    /// False where the server refuses it inside a transaction.
    pub transactional: bool,
    /// True where something of it stays in the session: SET, PREPARE, temporary tables, DO.
    pub session_dirty: bool,
    /// True where it only sets or shows settings (SET, RESET, SHOW, `SELECT set_config(..)`).
    pub setting: bool,
    /// True for DISCARD ALL.
    pub discards_all: bool,
    /// True where it calls `pg_advisory_unlock_all`, which takes the run's own lock as well.
    pub unlocks_all: bool,
    /// True for a BEGIN or SET TRANSACTION that asks for more than READ COMMITTED, READ WRITE.
    pub special_mode: bool,
    /// True for COPY .. TO STDOUT.
    pub copy_to_stdout: bool,
    /// The word CONCURRENTLY stands in it.
    pub concurrently: bool,
}

impl Quick {
    /// The kind in words: `create materialized view`, `insert`, `statement` where unknown.
    pub fn kind(&self) -> String {
        match (self.verb, self.object) {
            ("", _) => "statement".to_string(),
            (verb, "") => verb.to_string(),
            (verb, object) => format!("{verb} {object}"),
        }
    }
}

/// How many tokens are looked at before a statement's kind is given up.
const HEAD: usize = 14;

/// Reads the first words.
pub fn quick_kind(statement: &str) -> Quick {
    let mut head = [Token { kind: Kind::Space, start: 0, text: "" }; HEAD];
    let mut count = 0;
    let open = |token: &Token<'_>| token.kind == Kind::Open;
    for token in meaningful(statement).skip_while(open).take(HEAD) {
        head[count] = token;
        count += 1;
    }
    let head = &head[..count];
    let verb = head.first().and_then(|token| known(VERBS, token)).unwrap_or("");
    let mut quick = Quick {
        verb,
        object: "",
        control: None,
        transactional: true,
        session_dirty: false,
        setting: false,
        discards_all: false,
        unlocks_all: false,
        special_mode: false,
        copy_to_stdout: false,
        concurrently: false,
    };
    let word = |at: usize, wanted: &str| head.get(at).is_some_and(|token| token.is(wanted));
    let has = |wanted: &str| head.iter().any(|token| token.is(wanted));
    quick.concurrently = has("concurrently");
    match verb {
        "begin" => quick.control = Some(Control::Begin),
        "start" if word(1, "transaction") => quick.control = Some(Control::Begin),
        "commit" | "end" | "rollback" | "abort" => quick.control = Some(ending(verb, head)),
        "savepoint" => quick.control = Some(Control::Savepoint),
        "release" => quick.control = Some(Control::Release),
        "prepare" if word(1, "transaction") => quick.control = Some(Control::PrepareTransaction),
        "prepare" | "deallocate" | "listen" | "unlisten" | "load" | "do" | "call" | "execute" => {
            quick.session_dirty = true;
        }
        "set" if word(1, "transaction") => quick.control = Some(Control::SetTransaction),
        "set" => {
            quick.setting = true;
            quick.session_dirty = !word(1, "local") && !word(1, "constraints");
        }
        "reset" | "show" => {
            quick.setting = true;
            quick.session_dirty = verb == "reset";
        }
        "discard" => {
            quick.session_dirty = true;
            quick.discards_all = word(1, "all");
            quick.transactional = !quick.discards_all;
        }
        "declare" => quick.session_dirty = statement_has(statement, "hold"),
        "create" | "alter" | "drop" | "comment" => object(&mut quick, statement, head),
        "vacuum" => quick.transactional = false,
        "cluster" => quick.transactional = cluster_names_a_table(head),
        "reindex" => {
            let whole = ["database", "system", "schema"].iter().any(|scope| has(scope));
            quick.transactional = !whole && !quick.concurrently;
        }
        "copy" => quick.copy_to_stdout = copies_to_stdout(statement),
        "select" | "with" | "values" => functions(&mut quick, statement),
        _ => {}
    }
    if matches!(quick.control, Some(Control::Begin | Control::SetTransaction)) {
        quick.special_mode =
            ["serializable", "repeatable", "only", "deferrable", "snapshot"].iter().any(|w| has(w));
    }
    quick
}

fn known(list: &'static [&'static str], token: &Token<'_>) -> Option<&'static str> {
    if token.kind != Kind::Word {
        return None;
    }
    list.iter().copied().find(|word| token.text.eq_ignore_ascii_case(word))
}

fn ending(verb: &str, head: &[Token<'_>]) -> Control {
    let has = |wanted: &str| head.iter().any(|token| token.is(wanted));
    if has("prepared") {
        Control::Prepared
    } else if has("chain") && !has("no") {
        Control::Chain
    } else if matches!(verb, "commit" | "end") {
        Control::Commit
    } else if has("to") {
        Control::RollbackTo
    } else {
        Control::Rollback
    }
}

/// The object words behind CREATE, ALTER, DROP, COMMENT ON.
fn object(quick: &mut Quick, statement: &str, head: &[Token<'_>]) {
    let mut at = 1;
    while head.get(at).is_some_and(|token| {
        (token.is("on") && quick.verb == "comment")
            || MODIFIERS.iter().any(|word| token.is(word))
                && !(token.is("constraint") && quick.verb == "comment")
                && !(token.is("default") && head.get(at + 1).is_some_and(|t| t.is("privileges")))
    }) {
        quick.session_dirty |= head[at].is("temp") || head[at].is("temporary");
        at += 1;
    }
    let rest = &head[at.min(head.len())..];
    quick.object = OBJECTS
        .iter()
        .copied()
        .find(|object| {
            object.split(' ').enumerate().all(|(n, word)| rest.get(n).is_some_and(|t| t.is(word)))
        })
        .unwrap_or("");
    let any = |wanted: &str| head.iter().any(|token| token.is(wanted));
    quick.transactional = match (quick.verb, quick.object) {
        ("create" | "drop", "index") => !quick.concurrently,
        ("create" | "drop", "database" | "tablespace") => false,
        ("alter", "database") => !(any("tablespace") && any("set")),
        ("alter", "system") => false,
        ("create", "subscription") => !creates_slot(statement),
        ("drop", "subscription") => false,
        ("alter", "subscription") => !any("refresh") && !any("publication"),
        ("alter", "table") if detaches_concurrently(statement) => {
            quick.concurrently = true;
            false
        }
        _ => true,
    };
}

fn statement_has(statement: &str, word: &str) -> bool {
    meaningful(statement).any(|token| token.is(word))
}

/// CREATE SUBSCRIPTION makes a slot on the other server, unless told not to.
fn creates_slot(statement: &str) -> bool {
    let mut tokens = meaningful(statement);
    while let Some(token) = tokens.next() {
        if !token.is("connect") && !token.is("create_slot") {
            continue;
        }
        let value = tokens.by_ref().find(|token| token.text != "=");
        if value.is_some_and(|value| ["false", "off", "0"].contains(&value.text)) {
            return false;
        }
    }
    true
}

fn detaches_concurrently(statement: &str) -> bool {
    // Long ALTER TABLEs are rare, DETACH PARTITION stands alone in its statement.
    let mut detach = false;
    meaningful(statement).take(24).any(|token| {
        detach |= token.is("detach");
        detach && token.is("concurrently")
    })
}

/// CLUSTER without a table rewrites every clustered table, each in its own transaction.
fn cluster_names_a_table(head: &[Token<'_>]) -> bool {
    let mut depth = 0;
    head.iter().skip(1).any(|token| {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        depth == 0 && matches!(token.kind, Kind::Word | Kind::Quoted) && !token.is("verbose")
    })
}

fn copies_to_stdout(statement: &str) -> bool {
    let mut depth = 0_i32;
    let mut to = false;
    meaningful(statement).any(|token| {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        let found = depth == 0 && to && token.is("stdout");
        to = token.is("to");
        found
    })
}

/// Functions that change the session, in a SELECT.
fn functions(quick: &mut Quick, statement: &str) {
    let bytes = statement.as_bytes();
    if !bytes.contains(&b'_') {
        return;
    }
    let mut selected = false;
    let mut before = ["", ""];
    for token in meaningful(statement) {
        if token.is("set_config") {
            quick.session_dirty = true;
            // SELECT set_config(..) or SELECT pg_catalog.set_config(..), as pg_dump writes.
            selected |= before[1].eq_ignore_ascii_case("select")
                || (before[1] == "." && before[0].eq_ignore_ascii_case("pg_catalog"));
        } else if token.is("pg_advisory_unlock_all") {
            quick.unlocks_all = true;
            quick.session_dirty = true;
        } else if token.is("pg_advisory_lock")
            || token.is("pg_try_advisory_lock")
            || token.is("pg_advisory_unlock")
            || token.is("lo_open")
            || token.is("dblink_connect")
            || token.is("setseed")
        {
            quick.session_dirty = true;
        }
        before = [before[1], token.text];
    }
    quick.setting = selected && !statement_has(statement, "from");
}

#[cfg(test)]
mod tests;
