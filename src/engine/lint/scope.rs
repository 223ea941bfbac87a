//! The variables that are visible at a place, and what is known of them.

/// What is known of a variable's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Nothing.
    Anything,
    /// What a step gave: in a plan it is not there yet.
    StepResult,
    /// What `playbook(..)` gave.
    Parameters,
}

/// The variables of one function, or of the file's top level, innermost last.
#[derive(Default)]
pub(super) struct Scope {
    variables: Vec<(String, Holds)>,
    // Variables below this index stand outside of the innermost item's body.
    floor: Option<usize>,
}

impl Scope {
    /// Adds a variable.
    pub(super) fn add(&mut self, name: &str, holds: Holds) {
        self.variables.push((name.into(), holds));
    }

    /// What is known of a variable; None where there is no such variable.
    pub(super) fn find(&self, name: &str) -> Option<Holds> {
        self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, holds)| *holds)
    }

    /// Does the variable stand outside of the item in whose body we are?
    pub(super) fn is_outer(&self, name: &str) -> bool {
        let at = self.variables.iter().rposition(|(known, _)| known == name);
        matches!((at, self.floor), (Some(at), Some(floor)) if at < floor)
    }

    /// The names of all variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|(name, _)| name.as_str())
    }

    /// How many there are: the mark that [`Scope::cut`] goes back to.
    pub(super) fn mark(&self) -> usize {
        self.variables.len()
    }

    /// Forgets what was added since the mark.
    pub(super) fn cut(&mut self, mark: usize) {
        self.variables.truncate(mark);
    }

    /// An item's body begins; gives the floor to be put back.
    pub(super) fn begin_item(&mut self) -> Option<usize> {
        self.floor.replace(self.variables.len())
    }

    /// An item's body ends.
    pub(super) fn end_item(&mut self, floor: Option<usize>) {
        self.floor = floor;
    }
}
