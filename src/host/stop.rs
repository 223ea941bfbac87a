//! How a host function leaves a script: with a fault that the script may catch, or with a stop
//! that it may not.

use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, Position};

use crate::model::Fault;

/// A fault as scripts see it: `e.code`, `e.message`, `e.sqlstate`, `e.detail`, `e.remedy`.
#[derive(Clone, Debug)]
pub struct FaultValue(pub Rc<Fault>);

/// Leaves the script past every `catch`.
#[derive(Clone, Debug)]
pub enum Stop {
    /// This item ends here, and that is well: `skip(reason)`, or a value known beforehand.
    Skip(String),
    /// In a plan: the flow hangs on a value that only the run will know.
    Decided(String),
    /// The script ends here, and that is well: nothing to do, `--until`, the end of a replay.
    Finished,
    /// The run ends here: an item failed, was interrupted, or may not go on.
    Failed(Rc<Fault>),
}

/// What a verb may answer instead of a value.
#[derive(Debug)]
pub enum Trouble {
    /// The script may catch it.
    Fault(Box<Fault>),
    /// It may not.
    Stop(Stop),
    /// An error of the script itself, frames and all.
    Script(Box<EvalAltResult>),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Box<EvalAltResult>> for Trouble {
    fn from(error: Box<EvalAltResult>) -> Self {
        Self::Script(error)
    }
}

impl Trouble {
    /// As an error of the script engine, raised at a position.
    pub fn raise(self, at: Position) -> Box<EvalAltResult> {
        match self {
            Self::Fault(fault) => Box::new(EvalAltResult::ErrorRuntime(
                Dynamic::from(FaultValue(Rc::new(*fault))),
                at,
            )),
            Self::Stop(stop) => Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(stop), at)),
            Self::Script(error) => error,
        }
    }
}

/// The stop inside an engine error, where there is one.
pub fn stop_in(error: &EvalAltResult) -> Option<Stop> {
    match error {
        EvalAltResult::ErrorTerminated(value, _) => value.clone().try_cast::<Stop>(),
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _)
        | EvalAltResult::ErrorInModule(_, inner, _) => stop_in(inner),
        _ => None,
    }
}

/// The host's fault inside an engine error, where there is one.
pub fn fault_in(error: &EvalAltResult) -> Option<Rc<Fault>> {
    match error {
        EvalAltResult::ErrorRuntime(value, _) => {
            value.clone().try_cast::<FaultValue>().map(|value| value.0)
        }
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _)
        | EvalAltResult::ErrorInModule(_, inner, _) => fault_in(inner),
        _ => None,
    }
}
