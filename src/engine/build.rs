//! An engine with every limit set by hand: Rhai's own differ between debug and release builds.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rhai::packages::{Package, StandardPackage};
use rhai::{AST, Dynamic, Engine, EvalAltResult, OptimizationLevel, Position};

use super::memory::{Busy, Full};
use super::resolver::Resolver;
use crate::host::{FaultValue, Host, Mode, Sources, diagnose, register, register_planned, used_up};
use crate::model::Fault;

/// What a script may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Operations of the whole run; about 20 ns each.
    pub operations: u64,
    /// Nested calls; each body called by the host adds two.
    pub call_levels: usize,
    /// Nested expressions.
    pub expression_depth: usize,
    /// Characters of one string.
    pub string_size: usize,
    /// Elements of one array.
    pub array_size: usize,
    /// Entries of one map.
    pub map_size: usize,
    /// Variables in scope.
    pub variables: usize,
    /// Imported modules.
    pub modules: usize,
    /// Bytes that the process may take beyond what it took before the script.
    pub memory: u64,
    /// Seconds of the processor between two calls of verbs, taken together.
    pub seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            operations: 500_000_000,
            call_levels: 64,
            expression_depth: 128,
            string_size: 64 * 1024 * 1024,
            array_size: 1_000_000,
            map_size: 100_000,
            variables: 10_000,
            modules: 200,
            memory: 1 << 30,
            seconds: 60,
        }
        .for_tests()
    }
}

impl Limits {
    /// A machine that tests share is not filled to the brim to show a bound.
    #[cfg(feature = "failpoints")]
    fn for_tests(self) -> Self {
        let read = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        Self {
            operations: read("RUNSHEET_OPERATIONS").unwrap_or(self.operations),
            memory: read("RUNSHEET_MEMORY").unwrap_or(self.memory),
            seconds: read("RUNSHEET_SECONDS").unwrap_or(self.seconds),
            ..self
        }
    }

    #[cfg(not(feature = "failpoints"))]
    fn for_tests(self) -> Self {
        self
    }
}

/// An engine without verbs: limits, strictness, resolver.
pub(super) fn bare(limits: Limits, resolver: Resolver, functions: StandardPackage) -> Engine {
    let mut engine = Engine::new_raw();
    functions.register_into_engine(&mut engine);
    limited(&mut engine, limits);
    // `Full` would run host functions while compiling.
    engine.set_optimization_level(OptimizationLevel::Simple);
    engine.disable_symbol("eval");
    engine.set_module_resolver(resolver);
    engine
}

/// What bounds and tightens an engine, whether it runs scripts or only looks at them.
pub(super) fn limited(engine: &mut Engine, limits: Limits) {
    engine.set_max_call_levels(limits.call_levels);
    engine.set_max_expr_depths(limits.expression_depth, limits.expression_depth / 2);
    engine.set_max_string_size(limits.string_size);
    engine.set_max_array_size(limits.array_size);
    engine.set_max_map_size(limits.map_size);
    engine.set_max_variables(limits.variables);
    engine.set_max_modules(limits.modules);
    // Counted in on_progress: the engine's own count starts anew in each body the host calls.
    engine.set_max_operations(0);
    engine.set_strict_variables(true);
    engine.set_fail_on_invalid_map_property(true);
}

/// An engine with every verb, bound to a host.
pub(super) fn engine(
    host: &Rc<Host>,
    limits: Limits,
    functions: StandardPackage,
    full: Full,
) -> Engine {
    let setup = &host.setup;
    let resolver =
        Resolver::new(&setup.project, &setup.playbook.path_display, host.sources.clone());
    let mut engine = bare(limits, resolver, functions);
    // What is done has a value: only a plan, and what a rollback goes over, has planned ones.
    if host.mode() != Mode::Run {
        register_planned(&mut engine, &host.tripped());
    }
    register_faults(&mut engine);
    register(&mut engine, host, crate::verbs::ALL);
    // A function, not a symbol: it cannot be disabled, only replaced.
    engine.register_fn("exit", || -> Result<(), Box<EvalAltResult>> { Err(no_exit()) });
    engine.register_fn("exit", |_: Dynamic| -> Result<(), Box<EvalAltResult>> { Err(no_exit()) });
    let printing = host.clone();
    engine.on_print(move |text| {
        let _ = printing.remark(text);
    });
    engine.on_debug(|_, _, _| {});
    // Rhai's own would hold the thread for as long as it is told, deaf to Ctrl-C.
    let waiting = host.clone();
    engine.register_fn("sleep", move |seconds: i64| sleep(&waiting, seconds as f64));
    let waiting = host.clone();
    engine.register_fn("sleep", move |seconds: f64| sleep(&waiting, seconds));
    full.bound(limits.memory);
    let (counted, busy) = (Cell::new(0u64), Busy::default());
    let cancel = host.setup.cancel.clone();
    let tripped = host.tripped();
    let bounded = host.clone();
    engine.on_progress(move |_| {
        let count = counted.get() + 1;
        counted.set(count);
        let used = if count > limits.operations {
            Some(crate::msg!("engine.operations"))
        } else if full.is_set() {
            Some(crate::msg!("engine.memory"))
        } else if count.is_multiple_of(LOOK_EVERY) && busy.seconds(bounded.calls()) > limits.seconds
        {
            Some(crate::msg!("engine.seconds"))
        } else {
            None
        };
        if let Some(what) = used {
            let fault = Rc::new(used_up(what));
            bounded.fall(&fault);
            return Some(Dynamic::from(crate::host::Stop::Failed(fault)));
        }
        if cancel.is_cancelled() {
            return Some(Dynamic::UNIT);
        }
        if tripped.borrow().is_some() {
            let what = tripped.borrow_mut().take().unwrap_or_default();
            return Some(Dynamic::from(crate::host::Stop::Decided(what)));
        }
        None
    });
    engine
}

fn no_exit() -> Box<EvalAltResult> {
    let fault = Fault::usage("no-exit", crate::msg!("engine.no-exit"))
        .remedy(crate::msg!("engine.no-exit.remedy"));
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(FaultValue(Rc::new(fault))), Position::NONE))
}

/// Operations between two looks at the clock: deep lists make a single one slow.
const LOOK_EVERY: u64 = 1024;

/// Longest pause that a script may ask for at once.
const LONGEST: f64 = 3600.0;

fn sleep(host: &Rc<Host>, seconds: f64) -> Result<(), Box<EvalAltResult>> {
    let seconds = if seconds.is_finite() { seconds.clamp(0.0, LONGEST) } else { 0.0 };
    if host.is_planning() || seconds == 0.0 {
        return Ok(());
    }
    let slept = host.pause(Duration::from_secs_f64(seconds));
    slept.map_err(|trouble| trouble.raise(Position::NONE))
}

/// What `catch (e)` gives: the fields of a fault.
fn register_faults(engine: &mut Engine) {
    fn text(value: &Option<String>) -> Dynamic {
        value.clone().map_or(Dynamic::UNIT, Dynamic::from)
    }
    engine.register_type_with_name::<FaultValue>("fault");
    engine.register_get("code", |f: &mut FaultValue| f.0.code.clone());
    engine.register_get("message", |f: &mut FaultValue| f.0.message.clone());
    engine.register_get("sqlstate", |f: &mut FaultValue| text(&f.0.sqlstate));
    engine.register_get("detail", |f: &mut FaultValue| text(&f.0.detail));
    engine.register_get("cause", |f: &mut FaultValue| text(&f.0.cause));
    engine.register_get("remedy", |f: &mut FaultValue| text(&f.0.remedy));
    engine.register_fn("to_string", |f: &mut FaultValue| f.0.to_string());
    engine.register_fn("to_debug", |f: &mut FaultValue| f.0.to_string());
}

/// Compiles a playbook and keeps its text for faults.
///
/// # Errors
/// `syntax` with its place.
pub fn compile(engine: &Engine, sources: &Sources, file: &str, text: &str) -> Result<AST, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match engine.compile(text) {
        Ok(mut ast) => {
            ast.set_source(file);
            sources.add(file, text, &ast);
            Ok(ast)
        }
        Err(error) => {
            sources.add_text(file, text);
            let at = error.position();
            let error = EvalAltResult::ErrorParsing(*error.0, at);
            Err(diagnose(&error, sources, Some(file)))
        }
    }
}

/// Id and title from the literal `playbook("id", #{..})` of a compiled playbook.
pub fn header(ast: &AST) -> Option<(String, Option<String>)> {
    super::lint::header(ast)
}
