//! The value of an effect that a plan has recorded and not performed.
//!
//! It may be passed on and looked into; it may not be computed with. Rhai would answer
//! `planned == 5` with a silent false, so every comparison, arithmetic and interpolation is
//! registered here to end the item with "decided when it runs".

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, Position};
use rust_decimal::Decimal;

use super::stop::{Stop, Trouble};

/// "The dump of step X": known only when it runs.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What it will be, for people.
    pub what: String,
}

impl Planned {
    /// The name under which the script engine knows it; errors that name it are planned, too.
    pub const NAME: &'static str = "planned value";

    /// A planned value.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// A loop over a planned value ends the item: only the run knows what it goes over.
impl IntoIterator for Planned {
    type Item = Result<Dynamic, Box<EvalAltResult>>;
    type IntoIter = std::iter::Once<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(decided(&self))
    }
}

/// True where an error names the type: `if planned` and `planned.len()` do. Where a condition stands
/// the engine writes Rust's name of it.
pub(super) fn names_planned(error: &EvalAltResult) -> bool {
    let text = error.to_string();
    text.contains(Planned::NAME) || text.contains(std::any::type_name::<Planned>())
}

/// True where a value is planned, or has a planned one in it.
pub(super) fn holds_planned(value: &Dynamic) -> bool {
    if value.is::<Planned>() {
        return true;
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().any(holds_planned);
    }
    value.read_lock::<Map>().is_some_and(|map| map.values().any(holds_planned))
}

/// Where an interpolation trips: the engine swallows errors of `to_string`.
pub type Tripped = Rc<RefCell<Option<String>>>;

fn decided<T>(planned: &Planned) -> Result<T, Box<EvalAltResult>> {
    Err(Trouble::Stop(Stop::Decided(planned.what.clone())).raise(Position::NONE))
}

macro_rules! against {
    ($engine:expr, $($kind:ty),*) => {$(
        for operator in ["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "**", "&", "|", "^"] {
            $engine.register_fn(operator, |p: Planned, _: $kind| decided::<Dynamic>(&p));
            $engine.register_fn(operator, |_: $kind, p: Planned| decided::<Dynamic>(&p));
        }
    )*};
}

/// Makes planned values known to an engine.
pub fn register_planned(engine: &mut Engine, tripped: &Tripped) {
    engine.register_type_with_name::<Planned>(Planned::NAME);
    engine.register_iterator_result::<Planned, Dynamic>();
    against!(engine, i64, f64, bool, char, ImmutableString, Array, Map, Decimal, ());
    for operator in ["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/"] {
        engine.register_fn(operator, |p: Planned, _: Planned| decided::<Dynamic>(&p));
    }
    engine.register_fn("!", |p: Planned| decided::<Dynamic>(&p));
    engine.register_fn("contains", |_: &mut Array, p: Planned| decided::<bool>(&p));
    engine.register_fn("contains", |_: &mut Map, p: Planned| decided::<bool>(&p));
    engine.register_fn("contains", |p: &mut Planned, _: Dynamic| decided::<bool>(p));
    engine.register_indexer_get(|p: &mut Planned, key: ImmutableString| {
        Planned::new(format!("{}.{key}", p.what))
    });
    engine
        .register_indexer_get(|p: &mut Planned, at: i64| Planned::new(format!("{}[{at}]", p.what)));
    for name in ["to_string", "to_debug"] {
        let tripped = tripped.clone();
        engine.register_fn(name, move |p: &mut Planned| {
            tripped.borrow_mut().get_or_insert(p.what.clone());
            String::new()
        });
    }
}
