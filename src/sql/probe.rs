//! How to find out whether a statement outside of a transaction has happened.
//!
//! Only names what has to be looked for; the looking is done where there is a connection.

use serde::{Deserialize, Serialize};
use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::quick::Quick;
use super::tree;

/// What to look for. Names are as the catalog has them (folded, without quotes); `table` is a name
/// as in SQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "probe", rename_all = "snake_case")]
pub enum Probe {
    /// Is there a valid index of that name? One that is not valid has to be dropped first.
    CreateIndexConcurrently {
        /// Schema of the table, where the statement names one: the index lies there too.
        schema: Option<String>,
        /// None where PostgreSQL picks the name.
        name: Option<String>,
        /// The table.
        table: String,
        /// IF NOT EXISTS: would be content with an index that is not valid.
        if_not_exists: bool,
    },
    /// Are these indexes gone?
    DropIndexConcurrently {
        /// Names as in SQL.
        names: Vec<String>,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// May be repeated; REINDEX CONCURRENTLY leaves `_ccnew` indexes behind when it is cut.
    Reindex {
        /// `index`, `table`, `schema`, `database`, `system`.
        what: String,
        /// Name as in SQL; may be empty for `database` and `system`.
        target: String,
        /// CONCURRENTLY.
        concurrently: bool,
    },
    /// May be repeated: VACUUM, CLUSTER, ALTER SYSTEM.
    Vacuum,
    /// Does the enum have that value?
    AlterTypeAddValue {
        /// Name as in SQL.
        type_name: String,
        /// The value, unquoted.
        value: String,
        /// IF NOT EXISTS.
        if_not_exists: bool,
    },
    /// Is the partition detached? A pending one is finished with DETACH .. FINALIZE.
    DetachPartitionConcurrently {
        /// The partitioned table, as in SQL.
        table: String,
        /// The partition, as in SQL.
        partition: String,
    },
    /// Is the constraint validated?
    ValidateConstraint {
        /// The table, as in SQL.
        table: String,
        /// The constraint's name.
        name: String,
    },
    /// Is there a database of that name?
    CreateDatabase {
        /// Its name.
        name: String,
    },
    /// Is it gone?
    DropDatabase {
        /// Its name.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
    },
}

/// The probe of a statement, where there is one.
pub(super) fn probe_of(stmt: &SyntaxNode, quick: &Quick) -> Option<Probe> {
    let child = |wanted: K| stmt.children().find(|child| child.kind() == wanted);
    let last = |node: &SyntaxNode| tree::name_parts(node).pop().unwrap_or_default();
    match stmt.kind() {
        K::CREATE_INDEX if quick.concurrently => {
            let table = child(K::TABLE_RELATION_NAME)?;
            let mut parts = tree::name_parts(&table);
            parts.pop();
            Some(Probe::CreateIndexConcurrently {
                schema: parts.pop(),
                name: child(K::INDEX).map(|index| last(&index)),
                table: tree::name(&table),
                if_not_exists: child(K::IF_NOT_EXISTS).is_some(),
            })
        }
        K::DROP_INDEX if quick.concurrently => Some(Probe::DropIndexConcurrently {
            names: stmt
                .children()
                .filter(|child| child.kind() == K::INDEX_REF)
                .map(|index| tree::name(&index))
                .collect(),
            if_exists: child(K::IF_EXISTS).is_some(),
        }),
        K::REINDEX => {
            let target = stmt
                .children()
                .find(|child| format!("{:?}", child.kind()).starts_with("REINDEX_TARGET_"))?;
            let kind = format!("{:?}", target.kind()).to_ascii_lowercase();
            Some(Probe::Reindex {
                what: kind.trim_start_matches("reindex_target_").to_string(),
                target: target.children().next().map_or_else(String::new, |name| tree::name(&name)),
                concurrently: quick.concurrently,
            })
        }
        K::VACUUM | K::CLUSTER | K::ALTER_SYSTEM => Some(Probe::Vacuum),
        K::ALTER_TYPE => {
            let added = child(K::ADD_VALUE)?;
            let literal = added.children().find(|child| child.kind() == K::LITERAL)?;
            Some(Probe::AlterTypeAddValue {
                type_name: tree::name(&child(K::TYPE_NAME_REF)?),
                value: unquoted(&tree::source(&literal)),
                if_not_exists: added.children().any(|child| child.kind() == K::IF_NOT_EXISTS),
            })
        }
        K::ALTER_TABLE => alter_table(stmt),
        K::CREATE_DATABASE => Some(Probe::CreateDatabase { name: last(&child(K::DATABASE)?) }),
        K::DROP_DATABASE => Some(Probe::DropDatabase {
            name: last(&child(K::DATABASE_REF)?),
            if_exists: child(K::IF_EXISTS).is_some(),
        }),
        _ => None,
    }
}

fn alter_table(stmt: &SyntaxNode) -> Option<Probe> {
    let table = tree::name(&stmt.children().find(|child| child.kind() == K::TABLE_RELATION_NAME)?);
    stmt.children().find_map(|action| match action.kind() {
        K::VALIDATE_CONSTRAINT => Some(Probe::ValidateConstraint {
            table: table.clone(),
            name: tree::name_parts(&action.children().next()?).pop()?,
        }),
        K::DETACH_PARTITION
            if action.children().any(|child| child.kind() == K::DETACH_CONCURRENTLY) =>
        {
            Some(Probe::DetachPartitionConcurrently {
                table: table.clone(),
                partition: tree::name(&action.children().next()?),
            })
        }
        _ => None,
    })
}

fn unquoted(literal: &str) -> String {
    let inner = literal.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    inner.map_or_else(|| literal.to_string(), |inner| inner.replace("''", "'"))
}
