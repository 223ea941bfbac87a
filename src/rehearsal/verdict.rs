//! What a way back loses, in words: the start of the copy beside what came back.

use tokio::runtime::Runtime;

use super::copy::Copy;
use crate::model::Fault;
use crate::msg;
use crate::postgres::fingerprint::relation_of;
use crate::postgres::{
    Change, Difference, Fingerprint, Look, ObjectChange, TableChange, Target, compare,
};

/// So many rows are named of each table.
const SAMPLES: usize = 5;
/// Sessions that compare at a time.
const SESSIONS: usize = 4;

/// The fingerprint of a database of the copy, rows included.
///
/// # Errors
/// Those of connecting; the server's.
pub(super) fn print(
    runtime: &Runtime,
    target: &Target,
    ledger: &str,
) -> Result<Fingerprint, Fault> {
    runtime.block_on(async {
        let look = Look::open(target, "runsheet/rehearsal", SESSIONS).await?;
        let print = look.fingerprint(ledger, true).await?;
        look.close().await;
        Ok(print)
    })
}

/// What differs between the start and the database that is worked on.
///
/// # Errors
/// Those of connecting; the server's.
pub(super) fn against_start(
    runtime: &Runtime,
    copy: &Copy,
    ledger: &str,
) -> Result<Difference, Fault> {
    let (start, now) = (copy.start()?, copy.admin(&copy.database)?);
    runtime.block_on(async {
        let left = Look::open(&start, "runsheet/rehearsal", SESSIONS).await?;
        let right = Look::open(&now, "runsheet/rehearsal", SESSIONS).await?;
        let prints =
            (left.fingerprint(ledger, true).await?, right.fingerprint(ledger, true).await?);
        let difference = compare((&left, &right), (&prints.0, &prints.1), SAMPLES).await?;
        left.close().await;
        right.close().await;
        Ok(difference)
    })
}

/// One line for each thing that is lost, left over or changed.
pub fn lines(difference: &Difference) -> Vec<String> {
    let gone = |what: &str| {
        difference.objects.iter().any(|one| one.what == what && one.change != Change::Different)
    };
    let mut lines: Vec<String> = difference
        .objects
        .iter()
        // What stands in a table that is gone is gone with it.
        .filter(|one| {
            let body = one.left.as_deref().or(one.right.as_deref()).unwrap_or_default();
            !relation_of(&one.what, body).is_some_and(|relation| gone(&relation))
        })
        .map(object)
        .collect();
    for table in &difference.tables {
        rows(table, &mut lines);
    }
    lines
}

fn object(one: &ObjectChange) -> String {
    let what = spoken(&one.what);
    match one.change {
        Change::Missing => msg!("rehearsal.lost.object", what = what),
        Change::Extra => msg!("rehearsal.lost.left-over", what = what),
        Change::Different if moved(one) => msg!("rehearsal.lost.moved", what = what),
        Change::Different => msg!("rehearsal.lost.changed", what = what),
    }
}

/// A column that was dropped and made again stands at the end.
fn moved(one: &ObjectChange) -> bool {
    let list = |text: &Option<String>| -> Vec<serde_json::Value> {
        serde_json::from_str(text.as_deref().unwrap_or_default()).unwrap_or_default()
    };
    let (left, right) = (list(&one.left), list(&one.right));
    one.what.starts_with("column ") && left.len() > 1 && left.get(1..) == right.get(1..)
}

/// "relation public.users" is a table to people.
fn spoken(what: &str) -> String {
    match what.strip_prefix("relation ") {
        Some(name) => msg!("rehearsal.relation", name = name),
        None => what.to_string(),
    }
}

fn rows(table: &TableChange, lines: &mut Vec<String>) {
    let keys = |change: Change, column: Option<&str>| -> String {
        let samples = table.samples.iter().filter(|sample| sample.change == change);
        let named = samples.filter(|sample| {
            column.is_none_or(|column| sample.columns.iter().any(|name| name == column))
        });
        named.map(|sample| sample.key.as_str()).collect::<Vec<_>>().join("; ")
    };
    let name = &table.table;
    if table.missing > 0 {
        let keys = keys(Change::Missing, None);
        lines.push(msg!("rehearsal.lost.rows", table = name, rows = table.missing, keys = keys));
    }
    if table.extra > 0 {
        let keys = keys(Change::Extra, None);
        lines.push(msg!(
            "rehearsal.lost.rows-extra",
            table = name,
            rows = table.extra,
            keys = keys
        ));
    }
    for loss in &table.columns {
        lines.push(msg!(
            "rehearsal.lost.values",
            table = name,
            column = loss.column,
            rows = loss.rows,
            keys = keys(Change::Different, Some(&loss.column))
        ));
    }
    let unnamed = table.missing + table.extra == 0 && table.columns.is_empty();
    if unnamed && table.different > 0 {
        lines.push(msg!("rehearsal.lost.other-rows", table = name, rows = table.different));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{ColumnLoss, RowSample};

    fn one(what: &str, change: Change, left: &str, right: &str) -> ObjectChange {
        let side = |text: &str| (!text.is_empty()).then(|| text.to_string());
        ObjectChange { what: what.into(), change, left: side(left), right: side(right) }
    }

    #[test]
    fn what_stands_in_a_lost_table_is_not_named_again_and_a_moved_column_is_no_loss_of_values() {
        crate::message::set_language(crate::message::Language::English);
        let difference = Difference {
            objects: vec![
                one("column public.t.a", Change::Missing, "[1, \"int\"]", ""),
                one("column public.u.b", Change::Different, "[2, \"text\"]", "[5, \"text\"]"),
                one("relation public.t", Change::Missing, "[]", ""),
            ],
            tables: vec![TableChange {
                table: "public.u".into(),
                left: Some(3),
                right: Some(3),
                missing: 0,
                extra: 0,
                different: 2,
                samples: vec![RowSample {
                    change: Change::Different,
                    key: "id=7".into(),
                    columns: vec!["b".into()],
                }],
                columns: vec![ColumnLoss { column: "b".into(), rows: 2 }],
            }],
        };
        let lines = lines(&difference);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("u.b") && lines[1].contains("public.t"), "{lines:?}");
        assert!(lines[2].contains("id=7") && lines[2].contains('2'), "{lines:?}");
    }
}
