//! ALTER TABLE, action by action: risk and the lock on the table.
//!
//! Locks and rewrites after the manual's page "ALTER TABLE".

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::risk::Verdict;
use super::seen::{Seen, named};
use super::{rewrite, tree, words};
use crate::model::Risk;
use crate::msg;

/// The actions of an ALTER TABLE.
pub(super) fn actions(stmt: &SyntaxNode) -> impl Iterator<Item = SyntaxNode> {
    stmt.children().filter(|child| {
        !matches!(
            child.kind(),
            K::TABLE_RELATION_NAME | K::RELATION_NAME | K::TABLE_NAME_REF | K::IF_EXISTS
        )
    })
}

/// The worst of its actions.
pub(super) fn judge(stmt: &SyntaxNode, seen: &Seen) -> Verdict {
    let table = stmt.children().find(|child| {
        matches!(child.kind(), K::TABLE_RELATION_NAME | K::RELATION_NAME | K::TABLE_NAME_REF)
    });
    let table = table.map(|table| tree::name(&table)).unwrap_or_default();
    actions(stmt)
        .map(|action| action_verdict(&action, &table, seen))
        .reduce(Verdict::or_worse)
        .unwrap_or_else(|| Verdict::new(Risk::Medium, msg!("sql.reason.alter")))
}

fn action_verdict(action: &SyntaxNode, table: &str, seen: &Seen) -> Verdict {
    let low = |reason| Verdict::new(Risk::Low, reason);
    let medium = |reason| Verdict::new(Risk::Medium, reason);
    let high = |reason| Verdict::new(Risk::High, reason);
    match action.kind() {
        K::ADD_COLUMN => add_column(action, seen),
        K::DROP_COLUMN => Verdict::loses(msg!("sql.reason.drop-column")),
        K::ALTER_COLUMN => action
            .children()
            .map(|option| column_option(action, &option, table, seen))
            .reduce(Verdict::or_worse)
            .unwrap_or_else(|| medium(msg!("sql.reason.alter"))),
        K::ADD_CONSTRAINT if rewrite::makes_not_null(action, table, seen) => {
            high(msg!("sql.reason.set-not-null"))
        }
        K::ADD_CONSTRAINT => add_constraint(action),
        K::VALIDATE_CONSTRAINT if is_valid(action, table, seen) => low(msg!("sql.reason.catalog")),
        K::VALIDATE_CONSTRAINT => medium(msg!("sql.reason.validate")),
        K::ALL_IN_TABLESPACE => high(msg!("sql.reason.rewrite")),
        K::SET_LOGGED if seen.whole(table).is_some_and(|known| !known.unlogged) => {
            low(msg!("sql.reason.catalog"))
        }
        K::DROP_CONSTRAINT => medium(msg!("sql.reason.drop-constraint")),
        K::TABLE_RENAME_TO | K::RENAME_COLUMN | K::SET_SCHEMA => high(msg!("sql.reason.rename")),
        K::RENAME_CONSTRAINT => low(msg!("sql.reason.catalog")),
        K::SET_LOGGED | K::SET_UNLOGGED | K::SET_TABLESPACE | K::SET_ACCESS_METHOD => {
            high(msg!("sql.reason.rewrite"))
        }
        K::ATTACH_PARTITION => high(msg!("sql.reason.attach")),
        K::DETACH_PARTITION => high(msg!("sql.reason.detach")),
        K::MERGE_PARTITIONS | K::SPLIT_PARTITION => high(msg!("sql.reason.rewrite")),
        K::INHERIT_TABLE | K::NO_INHERIT_TABLE | K::OF_TYPE | K::NOT_OF => {
            medium(msg!("sql.reason.partition"))
        }
        K::ENABLE_RLS | K::DISABLE_RLS | K::FORCE_RLS | K::NO_FORCE_RLS => {
            high(msg!("sql.reason.policy"))
        }
        K::ENABLE_TRIGGER
        | K::DISABLE_TRIGGER
        | K::ENABLE_ALWAYS_TRIGGER
        | K::ENABLE_REPLICA_TRIGGER
        | K::ENABLE_RULE
        | K::DISABLE_RULE
        | K::ENABLE_ALWAYS_RULE
        | K::ENABLE_REPLICA_RULE => medium(msg!("sql.reason.trigger")),
        K::OWNER_TO => medium(msg!("sql.reason.owner")),
        K::SET_OPTIONS
        | K::RESET_OPTIONS
        | K::REPLICA_IDENTITY
        | K::CLUSTER_ON
        | K::SET_WITHOUT_CLUSTER
        | K::SET_WITHOUT_OIDS
        | K::ALTER_CONSTRAINT => low(msg!("sql.reason.catalog")),
        _ => medium(msg!("sql.reason.alter")),
    }
}

fn column_option(action: &SyntaxNode, option: &SyntaxNode, table: &str, seen: &Seen) -> Verdict {
    let column = || {
        let name = action.children().find(|child| child.kind() == K::COLUMN_NAME_REF);
        name.map(|name| tree::name(&name)).unwrap_or_default()
    };
    match option.kind() {
        K::SET_TYPE if rewrite::type_change_rewrites(option, table, &column(), seen) => {
            Verdict::new(Risk::High, msg!("sql.reason.set-type"))
        }
        K::SET_TYPE => Verdict::new(Risk::Medium, msg!("sql.reason.set-type-wider")),
        K::SET_NOT_NULL if rewrite::proven_not_null(table, &column(), seen) => {
            Verdict::new(Risk::Low, msg!("sql.reason.set-not-null-proven"))
        }
        K::SET_NOT_NULL => Verdict::new(Risk::High, msg!("sql.reason.set-not-null")),
        K::SET_EXPRESSION => Verdict::new(Risk::High, msg!("sql.reason.rewrite")),
        K::DROP_EXPRESSION
        | K::DROP_IDENTITY
        | K::ADD_GENERATED
        | K::SET_GENERATED
        | K::SET_GENERATED_OPTIONS => Verdict::new(Risk::Medium, msg!("sql.reason.alter")),
        _ => Verdict::new(Risk::Low, msg!("sql.reason.catalog")),
    }
}

/// True for a constraint of the file that has been checked already.
pub(super) fn is_valid(action: &SyntaxNode, table: &str, seen: &Seen) -> bool {
    let name = named(action, K::CONSTRAINT_NAME_REF);
    let known = seen.table(table).and_then(|known| known.constraint(&name));
    known.is_some_and(|one| one.valid)
}

/// Expressions that look like calls of functions and are none.
const EXPRESSIONS: &[&str] =
    &["array", "coalesce", "greatest", "least", "nullif", "row", "cast", "current_setting"];

/// True where a default is worked out for each row instead of once (manual: "a volatile DEFAULT
/// will cause the entire table and its indexes to be rewritten").
fn is_volatile(default: &SyntaxNode, seen: &Seen) -> bool {
    tree::calls(default).iter().any(|name| {
        !words::is_stable(name) && !EXPRESSIONS.contains(&name.as_str()) && !seen.is_stable(name)
    })
}

/// True where a new column needs a value of its own in every row.
pub(super) fn new_column_rewrites(action: &SyntaxNode, seen: &Seen) -> bool {
    let volatile = action
        .children()
        .any(|child| child.kind() == K::DEFAULT_CONSTRAINT && is_volatile(&child, seen));
    let generated = action.children().find(|child| child.kind() == K::GENERATED_CONSTRAINT);
    let made = generated.is_some_and(|generated| {
        let below = |kind: K| generated.descendants().any(|node| node.kind() == kind);
        below(K::GENERATED_IDENTITY) || below(K::GENERATED_STORED) && !below(K::VIRTUAL)
    });
    let kind = action.children().find(|child| child.kind() == K::PATH_TYPE);
    let kind = kind.map(|kind| tree::source(&kind).to_ascii_lowercase()).unwrap_or_default();
    volatile || made || kind.contains("serial") || seen.checks(&kind)
}

fn add_column(action: &SyntaxNode, seen: &Seen) -> Verdict {
    let has = |wanted: K| action.children().any(|child| child.kind() == wanted);
    let default = action.children().find(|child| child.kind() == K::DEFAULT_CONSTRAINT);
    if new_column_rewrites(action, seen) {
        return Verdict::new(Risk::High, msg!("sql.reason.add-column-rewrite"));
    }
    if has(K::PRIMARY_KEY_CONSTRAINT) || has(K::UNIQUE_CONSTRAINT) {
        return Verdict::new(Risk::High, msg!("sql.reason.unique"));
    }
    if has(K::NOT_NULL_CONSTRAINT) && default.is_none() {
        return Verdict::new(Risk::High, msg!("sql.reason.add-column-not-null"));
    }
    if has(K::CHECK_CONSTRAINT) || (has(K::REFERENCES_CONSTRAINT) && default.is_some()) {
        return Verdict::new(Risk::High, msg!("sql.reason.constraint"));
    }
    if has(K::REFERENCES_CONSTRAINT) {
        return Verdict::new(Risk::Medium, msg!("sql.reason.add-column-references"));
    }
    Verdict::new(Risk::Low, msg!("sql.reason.add-column"))
}

fn add_constraint(action: &SyntaxNode) -> Verdict {
    let has = |wanted: K| action.descendants().any(|node| node.kind() == wanted);
    if has(K::NOT_VALID) || has(K::NOT_ENFORCED) {
        Verdict::new(Risk::Low, msg!("sql.reason.not-valid"))
    } else if has(K::USING_INDEX_NAME) {
        Verdict::new(Risk::Medium, msg!("sql.reason.using-index"))
    } else if has(K::UNIQUE_CONSTRAINT)
        || has(K::PRIMARY_KEY_CONSTRAINT)
        || has(K::EXCLUDE_CONSTRAINT)
    {
        Verdict::new(Risk::High, msg!("sql.reason.unique"))
    } else {
        Verdict::new(Risk::High, msg!("sql.reason.constraint"))
    }
}

/// True for actions that go down to partitions and children.
pub(super) fn recurses(action: &SyntaxNode) -> bool {
    !matches!(
        action.kind(),
        K::ATTACH_PARTITION
            | K::DETACH_PARTITION
            | K::TABLE_RENAME_TO
            | K::SET_SCHEMA
            | K::OWNER_TO
            | K::SET_OPTIONS
            | K::RESET_OPTIONS
            | K::SET_TABLESPACE
            | K::SET_ACCESS_METHOD
            | K::SET_LOGGED
            | K::SET_UNLOGGED
            | K::REPLICA_IDENTITY
            | K::CLUSTER_ON
            | K::SET_WITHOUT_CLUSTER
            | K::ENABLE_RLS
            | K::DISABLE_RLS
            | K::FORCE_RLS
            | K::NO_FORCE_RLS
            | K::ENABLE_RULE
            | K::DISABLE_RULE
            | K::INHERIT_TABLE
            | K::NO_INHERIT_TABLE
            | K::OF_TYPE
            | K::NOT_OF
    )
}

/// The lock that an action takes on its table.
pub(super) fn lock(action: &SyntaxNode) -> &'static str {
    let child = |wanted: K| action.children().any(|child| child.kind() == wanted);
    match action.kind() {
        K::SET_OPTIONS | K::RESET_OPTIONS => option_lock(action),
        K::VALIDATE_CONSTRAINT | K::ATTACH_PARTITION | K::CLUSTER_ON | K::SET_WITHOUT_CLUSTER => {
            "SHARE UPDATE EXCLUSIVE"
        }
        K::DETACH_PARTITION if child(K::DETACH_CONCURRENTLY) || child(K::DETACH_FINALIZE) => {
            "SHARE UPDATE EXCLUSIVE"
        }
        K::ALTER_COLUMN
            if action.children().any(|option| {
                matches!(
                    option.kind(),
                    K::SET_STATISTICS | K::SET_OPTIONS_LIST | K::SET_OPTIONS | K::RESET_OPTIONS
                )
            }) =>
        {
            "SHARE UPDATE EXCLUSIVE"
        }
        K::ADD_CONSTRAINT if child(K::FOREIGN_KEY_CONSTRAINT) => "SHARE ROW EXCLUSIVE",
        K::ENABLE_TRIGGER
        | K::DISABLE_TRIGGER
        | K::ENABLE_ALWAYS_TRIGGER
        | K::ENABLE_REPLICA_TRIGGER => "SHARE ROW EXCLUSIVE",
        _ => "ACCESS EXCLUSIVE",
    }
}

/// Storage parameters of tables and indexes that need more than SHARE UPDATE EXCLUSIVE, after
/// PostgreSQL's reloptions.c.
const STRICT_OPTIONS: &[&str] = &[
    "user_catalog_table",
    "security_barrier",
    "security_invoker",
    "check_option",
    "fastupdate",
    "gin_pending_list_limit",
    "buffering",
    "pages_per_range",
];

/// The lock of `SET (..)` and `RESET (..)`: the strongest that one of the options needs.
pub(super) fn option_lock(options: &SyntaxNode) -> &'static str {
    let strict = super::lex::meaningful(&tree::source(options))
        .any(|token| STRICT_OPTIONS.iter().any(|name| token.is(name)));
    if strict { "ACCESS EXCLUSIVE" } else { "SHARE UPDATE EXCLUSIVE" }
}
