//! What a file may do to the transaction it runs in.
//!
//! A step's transaction belongs to the step: its journal row is its last statement. One BEGIN ..
//! COMMIT around the whole file means the same thing and is taken as such; everything else that
//! would end, split or leave the transaction is refused before the first statement runs.

use super::place::StatementPlace;
use super::quick::{Control, Quick};
use crate::model::Fault;
use crate::msg;

/// What to do with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send it.
    Send,
    /// It is the file's own BEGIN or COMMIT: the step's transaction stands for it.
    Drop,
}

#[derive(Clone, Debug)]
enum Own {
    None,
    Open(Box<StatementPlace>),
    Closed(u32),
}

/// Watches the statements of one script.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    transactional: bool,
    own: Own,
    /// True once a statement was seen that does more than set.
    begun: bool,
    /// True once anything was seen that the server would call a query.
    queried: bool,
}

impl Guard {
    pub(crate) fn new(transactional: bool) -> Self {
        Self { transactional, own: Own::None, begun: false, queried: false }
    }

    /// True between a BEGIN and a COMMIT that the file itself holds.
    pub(crate) fn inside(&self) -> bool {
        matches!(self.own, Own::Open(_))
    }

    /// Decides about the next statement.
    pub(crate) fn look(&mut self, quick: &Quick, place: &StatementPlace) -> Result<Verdict, Fault> {
        if !self.transactional {
            match quick.control {
                Some(Control::Begin) => self.own = Own::Open(Box::new(place.clone())),
                Some(
                    Control::Commit
                    | Control::Rollback
                    | Control::PrepareTransaction
                    | Control::Prepared,
                ) => self.own = Own::None,
                _ => {}
            }
            return Ok(Verdict::Send);
        }
        if let Own::Closed(line) = self.own
            && (!quick.setting || quick.control.is_some())
        {
            return Err(Fault::usage("sql-after-commit", msg!("sql.after-commit"))
                .cause(msg!("sql.after-commit.cause", line = line))
                .remedy(msg!("sql.own-transaction.remedy"))
                .place(place.start()));
        }
        match quick.control {
            Some(Control::Begin) => return self.begin(quick, place),
            Some(Control::Commit) if self.inside() => {
                self.own = Own::Closed(place.line);
                return Ok(Verdict::Drop);
            }
            Some(Control::SetTransaction) => return self.set_transaction(quick, place),
            Some(Control::Savepoint | Control::Release | Control::RollbackTo) => {}
            Some(control) => return Err(refuse(control, place)),
            None => refuse_plain(quick, place)?,
        }
        self.begun |= !quick.setting;
        self.queried |= quick.verb != "set" && quick.verb != "reset";
        Ok(Verdict::Send)
    }

    fn begin(&mut self, quick: &Quick, place: &StatementPlace) -> Result<Verdict, Fault> {
        if self.inside() || self.begun {
            return Err(refuse(Control::Begin, place));
        }
        if quick.special_mode {
            return Err(special_mode(place));
        }
        self.own = Own::Open(Box::new(place.clone()));
        Ok(Verdict::Drop)
    }

    fn set_transaction(&self, quick: &Quick, place: &StatementPlace) -> Result<Verdict, Fault> {
        if quick.special_mode || self.queried {
            return Err(special_mode(place));
        }
        Ok(Verdict::Send)
    }

    /// At the end of the script.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        match &self.own {
            Own::Open(place) if self.transactional => {
                Err(Fault::usage("sql-begin-open", msg!("sql.begin-open"))
                    .cause(msg!("sql.begin-open.cause"))
                    .remedy(msg!("sql.begin-open.remedy"))
                    .place(place.start()))
            }
            _ => Ok(()),
        }
    }
}

fn refuse(control: Control, place: &StatementPlace) -> Fault {
    let words = first_words(&place.text, 2);
    let cause = match control {
        Control::Begin => msg!("sql.own-transaction.begin"),
        Control::Rollback => msg!("sql.own-transaction.rollback"),
        Control::Chain => msg!("sql.own-transaction.chain"),
        Control::PrepareTransaction | Control::Prepared => msg!("sql.own-transaction.prepared"),
        _ => msg!("sql.own-transaction.commit"),
    };
    Fault::usage("sql-own-transaction", msg!("sql.own-transaction", statement = words))
        .cause(cause)
        .remedy(msg!("sql.own-transaction.remedy"))
        .place(place.start())
}

fn special_mode(place: &StatementPlace) -> Fault {
    let words = first_words(&place.text, 6);
    Fault::usage("sql-transaction-mode", msg!("sql.transaction-mode", statement = words))
        .cause(msg!("sql.transaction-mode.cause"))
        .remedy(msg!("sql.own-transaction.remedy"))
        .place(place.start())
}

fn refuse_plain(quick: &Quick, place: &StatementPlace) -> Result<(), Fault> {
    if quick.discards_all {
        return Err(Fault::usage("sql-discard-all", msg!("sql.discard-all"))
            .cause(msg!("sql.discard-all.cause"))
            .remedy(msg!("sql.discard-all.remedy"))
            .place(place.start()));
    }
    if !quick.transactional {
        let mut words = quick.kind().to_uppercase();
        if quick.concurrently {
            words.push_str(" CONCURRENTLY");
        }
        return Err(Fault::usage(
            "sql-not-transactional",
            msg!("sql.not-transactional", statement = words),
        )
        .remedy(msg!("sql.not-transactional.remedy"))
        .place(place.start()));
    }
    Ok(())
}

/// The first words of a statement, upper-cased, for display.
fn first_words(text: &str, most: usize) -> String {
    let words: Vec<_> =
        super::lex::meaningful(text).take(most).map(|token| token.text.to_uppercase()).collect();
    words.join(" ")
}
