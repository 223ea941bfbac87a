//! One statement after the other, each judged with what the ones before it have shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use squawk_syntax::SyntaxNode;

use super::shape::{self, ForeignKey, Shape};
use crate::model::{Risk, TableSize};
use crate::msg;
use crate::sql::classify::{StatementInfo, describe, of_body, unparsable};
use crate::sql::insert::plain_insert;
use crate::sql::parse::{of_tree, with_tree};
use crate::sql::quick::quick_kind;
use crate::sql::seen::{Seen, key};
use crate::sql::undo::{self, Undo};
use crate::sql::{body, locks, safer};

/// What is known of a statement in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// As classified, with what the file shows.
    pub info: StatementInfo,
    /// The way back.
    pub undo: Undo,
    /// The form that stops nobody.
    pub safer: Option<String>,
    /// True where it works only on what the file itself created.
    pub new: bool,
    /// False where it does not parse.
    pub parsed: bool,
    /// Parts of the body of a function that do not parse.
    pub unreadable: Vec<String>,
    /// SQL that a body puts together when it runs.
    pub dynamic: Vec<String>,
    /// What stands out in what it makes.
    pub(super) shapes: Vec<Shape>,
    /// How large the tables are whose locks it takes, where a server was asked.
    pub sizes: BTreeMap<String, TableSize>,
    /// Foreign keys that it made.
    pub(super) keys: Vec<ForeignKey>,
}

/// Judges the statements of a file in their order.
#[derive(Clone, Debug, Default)]
pub struct Examiner {
    seen: Seen,
    /// By name without `public.`; empty where no server was asked.
    sizes: Arc<BTreeMap<String, TableSize>>,
}

impl Examiner {
    /// Judges files for a database of which the schema, as statements, and the sizes are known.
    pub fn beside(schema: &[String], sizes: BTreeMap<String, TableSize>) -> Self {
        let mut examiner = Self::default();
        for statement in schema {
            examiner.examine(statement);
        }
        examiner.settle();
        let sizes = sizes.into_iter().map(|(name, size)| (key(&name), size)).collect();
        Self { sizes: Arc::new(sizes), ..examiner }
    }

    /// Everything seen so far counts as having been there before the file.
    pub fn settle(&mut self) {
        self.seen.settle();
    }

    /// Does an index of the file support this key?
    pub(super) fn is_indexed(&self, key: &ForeignKey) -> bool {
        shape::is_indexed(key, &self.seen)
    }

    /// Judges the next statement.
    pub fn examine(&mut self, statement: &str) -> Examined {
        self.examine_tree(statement, None)
    }

    /// The same of a statement whose tree may be there already.
    pub(super) fn examine_tree(&mut self, statement: &str, tree: Option<&SyntaxNode>) -> Examined {
        let quick = quick_kind(statement);
        if quick.verb == "insert"
            && let Some(mut info) = plain_insert(statement)
        {
            let table = info.objects.first().cloned().unwrap_or_default();
            locks::merge(&mut info.locks, locks::of_insert(&table, &self.seen));
            let new = self.seen.is_new(&table);
            return Examined::of(info, Undo::Unknown, None, new);
        }
        let seen = &mut self.seen;
        let judge = |stmt: &SyntaxNode| {
            let info = describe(stmt, &quick, seen);
            let new = !info.objects.is_empty()
                && quick.verb != "create"
                && info.objects.iter().all(|name| seen.is_new(name))
                || quick.verb == "create"
                    && matches!(
                        quick.object,
                        "index" | "trigger" | "policy" | "rule" | "statistics"
                    )
                    && info.objects.iter().all(|name| seen.is_new(name));
            let undo = undo::of(stmt, &quick, seen);
            let gentle = safer::of(stmt, seen);
            let mut examined = Examined::of(info, undo, gentle, new);
            if let Some(body) = body::of(stmt) {
                if matches!(quick.verb, "create") {
                    seen.remember_body(stmt, of_body(&body, &quick, seen));
                }
                examined.unreadable = body.unreadable;
                examined.dynamic = body.dynamic;
            }
            examined.lower(seen);
            examined.shapes = shape::of(stmt, seen);
            let table = examined.info.objects.first().filter(|_| quick.object == "table").cloned();
            let before = table.as_deref().map(|table| shape::keys_of(table, seen));
            seen.learn(stmt);
            if let (Some(table), Some(before)) = (table, before) {
                examined.keys = shape::new_keys(&table, &before, seen);
            }
            examined
        };
        let examined = match tree {
            Some(tree) => of_tree(tree, judge),
            None => with_tree(statement, judge),
        };
        let mut examined = examined.unwrap_or_else(|| {
            let mut unknown = Examined::of(unparsable(&quick), Undo::Unknown, None, false);
            unknown.parsed = false;
            unknown
        });
        examined.weigh(&self.sizes);
        examined
    }
}

impl Examined {
    fn of(info: StatementInfo, undo: Undo, safer: Option<String>, new: bool) -> Self {
        Self {
            info,
            undo,
            safer,
            new,
            parsed: true,
            unreadable: Vec::new(),
            dynamic: Vec::new(),
            shapes: Vec::new(),
            sizes: BTreeMap::new(),
            keys: Vec::new(),
        }
    }

    /// Six rows are rewritten at once, six hundred million are not: what is dangerous for the time
    /// that it takes only is less so on small tables, and more so on large ones.
    fn weigh(&mut self, sizes: &BTreeMap<String, TableSize>) {
        if sizes.is_empty() || self.new {
            return;
        }
        let known = |name: &String| Some((name.clone(), *sizes.get(&key(name))?));
        let info = &mut self.info;
        let locked = info.locks.iter().map(|lock| &lock.object);
        let worked: Vec<&String> = info.rewrites.iter().chain(&info.scans).collect();
        self.sizes = locked.chain(worked.iter().copied()).filter_map(known).collect();
        let all: Vec<Option<(String, TableSize)>> = worked.into_iter().map(known).collect();
        if all.is_empty() || info.destructive || info.opaque {
            return;
        }
        let large = all.iter().flatten().find(|(_, size)| size.is_large());
        let small = all.iter().all(|one| one.as_ref().is_some_and(|(_, size)| size.is_small()));
        let reason = info.reason.clone();
        if let (Some((table, _)), Risk::Medium) = (large, info.risk) {
            info.risk = Risk::High;
            info.reason = msg!("sql.reason.large", reason = reason, table = table);
        } else if small && info.risk == Risk::High {
            info.risk = Risk::Medium;
            info.reason = msg!("sql.reason.small", reason = reason);
        }
    }

    /// Nobody waits for a table that the file itself created, and it is empty or holds what the
    /// file put there. What moves or loses rows keeps its risk: they may have come from elsewhere.
    fn lower(&mut self, seen: &Seen) {
        let info = &mut self.info;
        let moves_rows =
            ["insert", "update", "delete", "merge", "copy"].contains(&info.kind.as_str());
        if !self.new || moves_rows || info.destructive || info.opaque || info.risk > Risk::High {
            return;
        }
        let alone = info.locks.iter().all(|lock| seen.is_new(&lock.object));
        let risk = if alone { Risk::Low } else { Risk::Medium };
        if risk < info.risk {
            info.risk = risk;
            info.reason = msg!("sql.reason.new-object");
        }
    }
}
