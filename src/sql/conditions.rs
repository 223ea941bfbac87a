//! `\if`, `\elif`, `\else`, `\endif` of one file, by psql's rules.

use crate::model::Place;

/// Whether a branch is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Branch {
    /// Is read.
    Taken,
    /// Is not read; a later one may be.
    Waiting,
    /// Is not read, nor is any later one.
    Passed,
    /// Only the run will know: a validation reads every branch.
    Undecided,
}

#[derive(Clone, Debug)]
struct Condition {
    branch: Branch,
    otherwise: bool,
    place: Place,
}

/// A command that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    NoIf,
    AfterElse,
}

/// The open conditions of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    stack: Vec<Condition>,
}

impl Conditions {
    /// True where what follows is read.
    pub(crate) fn active(&self) -> bool {
        self.stack
            .last()
            .is_none_or(|last| matches!(last.branch, Branch::Taken | Branch::Undecided))
    }

    /// True inside a branch that the run may not take.
    pub(crate) fn undecided(&self) -> bool {
        self.stack.iter().any(|condition| condition.branch == Branch::Undecided)
    }

    /// True where an `\elif` has to be evaluated.
    pub(crate) fn evaluates_elif(&self) -> bool {
        self.stack.last().is_some_and(|last| last.branch == Branch::Waiting)
    }

    /// `\if`; the value None is only known when it runs, and is not looked at where nothing is
    /// read.
    pub(crate) fn begin(&mut self, value: Option<bool>, place: Place) {
        let branch = match value {
            _ if !self.active() => Branch::Passed,
            Some(true) => Branch::Taken,
            Some(false) => Branch::Waiting,
            None => Branch::Undecided,
        };
        self.stack.push(Condition { branch, otherwise: false, place });
    }

    /// `\elif`.
    pub(crate) fn elif(&mut self, value: Option<bool>) -> Result<(), Misplaced> {
        let last = self.stack.last_mut().ok_or(Misplaced::NoIf)?;
        if last.otherwise {
            return Err(Misplaced::AfterElse);
        }
        last.branch = match (last.branch, value) {
            (Branch::Taken | Branch::Passed, _) => Branch::Passed,
            (Branch::Undecided, _) | (Branch::Waiting, None) => Branch::Undecided,
            (Branch::Waiting, Some(true)) => Branch::Taken,
            (Branch::Waiting, Some(false)) => Branch::Waiting,
        };
        Ok(())
    }

    /// `\else`.
    pub(crate) fn otherwise(&mut self) -> Result<(), Misplaced> {
        let last = self.stack.last_mut().ok_or(Misplaced::NoIf)?;
        if last.otherwise {
            return Err(Misplaced::AfterElse);
        }
        last.otherwise = true;
        last.branch = match last.branch {
            Branch::Taken | Branch::Passed => Branch::Passed,
            Branch::Waiting => Branch::Taken,
            Branch::Undecided => Branch::Undecided,
        };
        Ok(())
    }

    /// `\endif`.
    pub(crate) fn end(&mut self) -> Result<(), Misplaced> {
        self.stack.pop().map(|_| ()).ok_or(Misplaced::NoIf)
    }

    /// The place of the innermost `\if` that was never closed.
    pub(crate) fn open(&self) -> Option<&Place> {
        self.stack.last().map(|condition| &condition.place)
    }
}
