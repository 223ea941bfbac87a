//! The risk of a statement and the reason for it.
//!
//! The table that teams use: additive is low, an index medium, what rewrites or validates or renames
//! high, what loses or transforms data very high. Sizes are not known here. ALTER TABLE is judged
//! action by action in `alter_table`.

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::quick::Quick;
use super::seen::Seen;
use super::{alter_table, tree, words};
use crate::model::Risk;
use crate::msg;

/// Risk and reason of a statement or of a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) risk: Risk,
    pub(super) reason: String,
    pub(super) destructive: bool,
    pub(super) opaque: bool,
}

impl Verdict {
    pub(super) fn new(risk: Risk, reason: String) -> Self {
        Self { risk, reason, destructive: false, opaque: false }
    }

    pub(super) fn loses(reason: String) -> Self {
        Self { risk: Risk::VeryHigh, reason, destructive: true, opaque: false }
    }

    fn opaque(reason: String, destructive: bool) -> Self {
        Self { risk: Risk::VeryHigh, reason, destructive, opaque: true }
    }

    /// The higher of two, remembering what either loses.
    pub(super) fn or_worse(self, other: Self) -> Self {
        let destructive = self.destructive || other.destructive;
        let opaque = self.opaque || other.opaque;
        let worse = if other.risk > self.risk { other } else { self };
        Self { destructive, opaque, ..worse }
    }
}

/// Statements that change nothing in the database by themselves.
pub(super) fn only_reads(kind: K) -> bool {
    matches!(
        kind,
        K::SELECT
            | K::COMPOUND_SELECT
            | K::PAREN_SELECT
            | K::VALUES
            | K::TABLE
            | K::SHOW
            | K::SET
            | K::RESET
            | K::SET_TRANSACTION
            | K::SET_CONSTRAINTS
            | K::BEGIN
            | K::COMMIT_TRANSACTION
            | K::ROLLBACK_TRANSACTION
            | K::ROLLBACK_TO_SAVEPOINT
            | K::SET_ROLE
            | K::SET_SESSION_AUTH
            | K::RESET_ROLE
            | K::RESET_SESSION_AUTH
            | K::SAVEPOINT_CREATE
            | K::RELEASE_SAVEPOINT
            | K::DECLARE
            | K::FETCH
            | K::MOVE
            | K::CLOSE
            | K::LISTEN
            | K::UNLISTEN
            | K::DISCARD
            | K::PREPARE
            | K::DEALLOCATE
            | K::CHECKPOINT
            | K::LOAD
            | K::EXPLAIN
    )
}

/// Judges a whole statement.
pub(super) fn judge(stmt: &SyntaxNode, quick: &Quick, seen: &Seen) -> Verdict {
    let inner = stmt
        .descendants()
        .skip(1)
        .filter(|node| tree::is_dml(node.kind()) && stmt.kind() != K::CREATE_RULE)
        .filter(|node| !inside_body(stmt, node))
        .map(|node| dml(&node))
        .reduce(Verdict::or_worse);
    let own = whole(stmt, quick, seen);
    match inner {
        Some(inner) => own.or_worse(inner),
        None => own,
    }
}

/// True for statements inside the body of a function that is only defined here.
fn inside_body(stmt: &SyntaxNode, node: &SyntaxNode) -> bool {
    matches!(stmt.kind(), K::CREATE_FUNCTION | K::CREATE_PROCEDURE | K::PREPARE)
        && node.ancestors().any(|outer| &outer == stmt)
}

fn whole(stmt: &SyntaxNode, quick: &Quick, seen: &Seen) -> Verdict {
    let low = |reason| Verdict::new(Risk::Low, reason);
    let medium = |reason| Verdict::new(Risk::Medium, reason);
    let high = |reason| Verdict::new(Risk::High, reason);
    let has = |word: &str| tree::has_word(stmt, word);
    let kind = stmt.kind();
    match kind {
        K::INSERT | K::UPDATE | K::DELETE | K::MERGE => dml(stmt),
        K::TRUNCATE => Verdict::loses(msg!("sql.reason.truncate")),
        K::DO => Verdict::opaque(msg!("sql.reason.do"), true),
        K::CALL | K::EXECUTE => Verdict::opaque(msg!("sql.reason.call"), false),
        K::COPY if runs_program(stmt) => Verdict::opaque(msg!("sql.reason.program"), false),
        K::COPY if stmt.children().any(|child| child.kind() == K::COPY_FROM) => {
            medium(msg!("sql.reason.copy"))
        }
        K::SELECT_INTO => medium(msg!("sql.reason.create-as")),
        K::SET
        | K::RESET
        | K::SET_CONSTRAINTS
        | K::SET_TRANSACTION
        | K::SET_ROLE
        | K::SET_SESSION_AUTH
        | K::RESET_ROLE
        | K::RESET_SESSION_AUTH
        | K::SHOW => low(msg!("sql.reason.setting")),
        K::GRANT | K::ALTER_DEFAULT_PRIVILEGES => low(msg!("sql.reason.grant")),
        K::REVOKE => medium(msg!("sql.reason.revoke")),
        K::COMMENT_ON => low(msg!("sql.reason.comment")),
        K::VACUUM if has("full") => high(msg!("sql.reason.rewrite")),
        K::VACUUM | K::ANALYZE => low(msg!("sql.reason.vacuum")),
        K::CLUSTER => high(msg!("sql.reason.rewrite")),
        K::REINDEX if quick.concurrently => medium(msg!("sql.reason.index-concurrently")),
        K::REINDEX => medium(msg!("sql.reason.index")),
        K::REFRESH => medium(msg!("sql.reason.refresh")),
        K::LOCK => medium(msg!("sql.reason.lock")),
        K::REASSIGN => high(msg!("sql.reason.owner")),
        K::ALTER_TABLE | K::ALTER_FOREIGN_TABLE => alter_table::judge(stmt, seen),
        K::ALTER_INDEX | K::ALTER_VIEW | K::ALTER_MATERIALIZED_VIEW
            if stmt
                .children()
                .any(|node| matches!(node.kind(), K::SET_OPTIONS | K::RESET_OPTIONS)) =>
        {
            low(msg!("sql.reason.catalog"))
        }
        K::ALTER_INDEX | K::ALTER_MATERIALIZED_VIEW if has("tablespace") => {
            high(msg!("sql.reason.rewrite"))
        }
        K::ALTER_TYPE if stmt.children().any(|child| child.kind() == K::ADD_VALUE) => {
            medium(msg!("sql.reason.add-value"))
        }
        _ => match quick.verb {
            "create" => create(stmt, quick),
            "drop" => drop(quick, has("cascade")),
            "alter"
                if has("rename")
                    && matches!(
                        quick.object,
                        "index" | "trigger" | "policy" | "rule" | "statistics"
                    ) =>
            {
                low(msg!("sql.reason.catalog"))
            }
            "alter" if has("rename") => high(msg!("sql.reason.rename")),
            "alter" if matches!(quick.object, "type" | "domain" | "extension") => {
                high(msg!("sql.reason.alter-type"))
            }
            "alter" => medium(msg!("sql.reason.alter")),
            _ if quick.control.is_some() => low(msg!("sql.reason.control")),
            _ if only_reads(kind) => low(msg!("sql.reason.read")),
            "copy" => low(msg!("sql.reason.read")),
            "notify" | "security" | "checkpoint" => low(msg!("sql.reason.catalog")),
            _ => medium(msg!("sql.reason.other")),
        },
    }
}

fn dml(stmt: &SyntaxNode) -> Verdict {
    let child = |wanted: K| stmt.children().any(|child| child.kind() == wanted);
    match stmt.kind() {
        K::DELETE => Verdict::loses(msg!("sql.reason.delete")),
        K::UPDATE if !child(K::WHERE_CLAUSE) && !child(K::WHERE_CURRENT_OF) => {
            Verdict::loses(msg!("sql.reason.update-all"))
        }
        K::UPDATE => Verdict::new(Risk::VeryHigh, msg!("sql.reason.update")),
        K::MERGE => {
            let changes = stmt
                .descendants()
                .any(|node| matches!(node.kind(), K::MERGE_DELETE | K::MERGE_UPDATE));
            let verdict = Verdict::new(Risk::VeryHigh, msg!("sql.reason.merge"));
            Verdict { destructive: changes, ..verdict }
        }
        _ if stmt.descendants().any(|node| node.kind() == K::CONFLICT_DO_UPDATE_SET) => {
            Verdict::new(Risk::High, msg!("sql.reason.upsert"))
        }
        _ if child(K::VALUES) || child(K::DEFAULT_VALUES) => {
            Verdict::new(Risk::Low, msg!("sql.reason.insert"))
        }
        _ => Verdict::new(Risk::Medium, msg!("sql.reason.insert-select")),
    }
}

fn runs_program(stmt: &SyntaxNode) -> bool {
    stmt.children()
        .filter(|child| matches!(child.kind(), K::COPY_FROM | K::COPY_TO))
        .any(|child| tree::has_word(&child, "program"))
}

/// Calls of functions that are not PostgreSQL's own, or that change something.
pub(super) fn calls(functions: &[String]) -> Verdict {
    let writer = functions.iter().any(|name| words::WRITERS.contains(&name.as_str()));
    let reason =
        if writer { msg!("sql.reason.calls-writer") } else { msg!("sql.reason.calls-functions") };
    Verdict::new(Risk::Medium, reason)
}

fn create(stmt: &SyntaxNode, quick: &Quick) -> Verdict {
    let replaces = stmt.children().any(|child| child.kind() == K::OR_REPLACE);
    match quick.object {
        "index" if quick.concurrently => {
            Verdict::new(Risk::Medium, msg!("sql.reason.index-concurrently"))
        }
        "index" => Verdict::new(Risk::Medium, msg!("sql.reason.index")),
        "trigger" => Verdict::new(Risk::Medium, msg!("sql.reason.trigger")),
        "rule" | "event trigger" => Verdict::new(Risk::High, msg!("sql.reason.rule")),
        "policy" => Verdict::new(Risk::Medium, msg!("sql.reason.policy")),
        "subscription" => Verdict::new(Risk::High, msg!("sql.reason.other")),
        "extension" | "publication" => Verdict::new(Risk::Medium, msg!("sql.reason.extension")),
        "table" if stmt.kind() == K::CREATE_TABLE_AS => {
            Verdict::new(Risk::Medium, msg!("sql.reason.create-as"))
        }
        "materialized view" => Verdict::new(Risk::Medium, msg!("sql.reason.create-as")),
        "table" if stmt.children().any(|child| child.kind() == K::PARTITION_OF) => {
            Verdict::new(Risk::Medium, msg!("sql.reason.partition"))
        }
        _ if replaces => Verdict::new(Risk::Medium, msg!("sql.reason.replace")),
        _ => Verdict::new(Risk::Low, msg!("sql.reason.create")),
    }
}

fn drop(quick: &Quick, cascade: bool) -> Verdict {
    match quick.object {
        "table" | "foreign table" => Verdict::loses(msg!("sql.reason.drop-table")),
        "schema" | "database" | "owned" | "tablespace" => {
            Verdict::loses(msg!("sql.reason.drop-schema"))
        }
        "sequence" => Verdict::loses(msg!("sql.reason.drop-sequence")),
        "type" | "domain" | "extension" if cascade => {
            Verdict::loses(msg!("sql.reason.drop-cascade"))
        }
        "type" | "domain" | "extension" | "materialized view" | "role" | "user" | "group"
        | "subscription" => Verdict::new(Risk::High, msg!("sql.reason.drop")),
        _ if cascade => Verdict::new(Risk::High, msg!("sql.reason.drop-dependents")),
        "index" => Verdict::new(Risk::Medium, msg!("sql.reason.drop-index")),
        _ => Verdict::new(Risk::Medium, msg!("sql.reason.drop")),
    }
}
