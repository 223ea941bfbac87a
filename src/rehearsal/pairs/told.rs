//! What is known of a set of migrations afterwards, as data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::read::Layout;
use crate::postgres::{ObjectChange, TableChange};

/// How something went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// In a transaction, or in those that the file opens itself.
    Ok,
    /// Only outside of a transaction.
    Outside,
    /// A down without a statement: it "succeeds".
    Empty,
    /// None is written.
    None,
    /// It fails.
    Failed,
    /// It was not tried, for what comes before it failed.
    #[default]
    Unknown,
}

impl Word {
    /// Did it apply?
    pub fn went_well(self) -> bool {
        matches!(self, Self::Ok | Self::Outside | Self::Empty)
    }

    /// The word of output and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Outside => "outside",
            Self::Empty => "empty",
            Self::None => "none",
            Self::Failed => "failed",
            Self::Unknown => "-",
        }
    }
}

/// The schema behind a down, beside the one before the up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Schema {
    /// The same.
    Exact,
    /// Only the order of columns is another one.
    Order,
    /// Other objects.
    Differs,
    /// It was not looked at.
    #[default]
    Unknown,
}

impl Schema {
    /// The word of output and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Order => "order",
            Self::Differs => "differs",
            Self::Unknown => "-",
        }
    }
}

/// One migration.
#[derive(Clone, Debug, Serialize)]
pub struct PairTold {
    /// Its name.
    pub name: String,
    /// How it was laid out.
    pub layout: Layout,
    /// The up, on tables without rows of ours.
    pub up: Word,
    /// The down behind it.
    pub down: Word,
    /// The schema behind the down.
    pub schema: Schema,
    /// The up again.
    pub again: Word,
    /// The up, with rows in the tables.
    pub up_rows: Word,
    /// The down, with rows in the tables.
    pub down_rows: Word,
    /// The rows behind the down: `same`, or `rows_lost`, `rows_extra`, `values_changed`,
    /// `tables_gone` with `+` between them; empty where it was not looked at.
    pub rows: String,
    /// What of the schema is not as it was.
    pub objects: Vec<ObjectChange>,
    /// What of the rows is not as it was.
    pub tables: Vec<TableChange>,
    /// What the server said, by what failed: `up`, `down`, `again`, `up_rows`, `down_rows`.
    pub errors: BTreeMap<&'static str, String>,
    /// Tables that no row could be made for, and why.
    pub unseeded: BTreeMap<String, String>,
    /// How long all of it took, in milliseconds.
    pub took_ms: u64,
}

impl PairTold {
    /// Is a down written that does not lead back?
    pub fn is_broken(&self) -> bool {
        let written = !matches!(self.down, Word::None | Word::Unknown);
        written
            && (!self.down.went_well()
                || self.schema != Schema::Exact
                || self.again == Word::Failed
                || self.down_rows == Word::Failed
                || !matches!(self.rows.as_str(), "same" | ""))
    }
}

/// All of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PairsTold {
    /// One by one, in order.
    pub pairs: Vec<PairTold>,
    /// Version of the private server, "15.18".
    pub version: String,
    /// How long all took, in milliseconds.
    pub took_ms: u64,
}

impl PairsTold {
    /// How many a question holds for.
    pub fn count(&self, is: impl Fn(&PairTold) -> bool) -> usize {
        self.pairs.iter().filter(|pair| is(pair)).count()
    }

    /// 1 where an up fails, 6 where a way back does not lead back, else 0.
    pub fn exit(&self) -> u8 {
        if self.count(|pair| !pair.up.went_well() || pair.up_rows == Word::Failed) > 0 {
            1
        } else if self.count(PairTold::is_broken) > 0 {
            6
        } else {
            0
        }
    }
}
