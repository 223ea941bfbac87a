//! The road: one script, walked on its own thread, for a plan, a run, a resume or a rollback.

use std::rc::Rc;
use std::sync::mpsc;

use rhai::packages::StandardPackage;
use rhai::{AST, Engine, Scope};

use super::build::{Limits, compile, engine};
use crate::host::{Host, HostSetup, Mode, Sources};
use crate::journal::Recorder;
use crate::model::{Fault, RunId};
use crate::report::Sink;

/// What a walk needs: everything in it can be sent to the script's thread.
pub struct RoadSetup {
    /// What the host is built from.
    pub host: HostSetup,
    /// Where events are shown.
    pub sink: Box<dyn Sink>,
    /// What the script may use up.
    pub limits: Limits,
    /// The process has nothing else to do than to end with the walk's exit code. The script's thread
    /// ends it then: the caller would have to be woken for that.
    pub leave: bool,
}

/// How a walk ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub exit: u8,
    /// The run.
    pub run: RunId,
}

/// Stack of the script's thread: deep recursion meets the call limit long before its end. Lists in
/// lists in lists are freed one inside of the other; only what is used is taken.
const STACK: usize = 256 * 1024 * 1024;

/// The script's thread before it is known what it will walk: it makes the language's own functions,
/// which takes its time, while the playbook is still being read.
pub struct Stage {
    setup: mpsc::Sender<RoadSetup>,
    end: End,
}

impl Stage {
    /// Sets it up.
    ///
    /// # Errors
    /// A thread that cannot be made.
    pub fn begin() -> Result<Self, Fault> {
        let (setup, given) = mpsc::channel();
        let end = spawn(move || {
            let functions = StandardPackage::new();
            match given.recv() {
                Ok(setup) => on_thread(setup, functions),
                Err(_) => Err(Fault::failed("internal", "nothing to walk")),
            }
        })?;
        Ok(Self { setup, end })
    }

    /// Walks the road to its end.
    ///
    /// # Errors
    /// Faults found before the run began: syntax, imports.
    pub fn walk(self, setup: RoadSetup) -> Result<Ended, Fault> {
        let _ = self.setup.send(setup);
        ended(&self.end)
    }
}

/// Walks the road to its end.
///
/// # Errors
/// As [`Stage::begin`] and [`Stage::walk`].
pub fn walk(setup: RoadSetup) -> Result<Ended, Fault> {
    Stage::begin()?.walk(setup)
}

/// Goes the last rung of a run's ladder, without its script: restores the run's dump, or the one
/// that is named, in place of the database. `id` and `title` are the playbook's.
///
/// # Errors
/// A thread that cannot be made; everything else is shown and in the exit code.
pub fn walk_back_by_restore(
    setup: RoadSetup,
    id: String,
    title: String,
    dump: Option<String>,
) -> Result<Ended, Fault> {
    let end = spawn(move || {
        let recorder = Recorder::new(setup.sink, setup.host.redactor.clone());
        let host = Host::new(setup.host, recorder, Rc::new(Sources::default()))?;
        let begun = host.begin_without_script(&id, &title);
        let done = begun.and_then(|()| crate::verbs::restore_run(&host, dump.as_deref()));
        Ok((Ended { exit: host.finish_restore(done), run: host.run_id() }, ()))
    })?;
    ended(&end)
}

type End = mpsc::Receiver<Result<Ended, Fault>>;

/// `work` gives what is left at its end: what the process may keep until its own, which is near, and
/// whoever waits for this one shall not have to share a processor with freeing it.
fn spawn<Left>(
    work: impl FnOnce() -> Result<(Ended, Left), Fault> + Send + 'static,
) -> Result<End, Fault> {
    let (done, end) = mpsc::channel();
    let work = move || match work() {
        Ok((ended, left)) => {
            let _ = done.send(Ok(ended));
            std::mem::forget(left);
        }
        Err(fault) => {
            let _ = done.send(Err(fault));
        }
    };
    std::thread::Builder::new()
        .name("script".into())
        .stack_size(STACK)
        .spawn(work)
        .map_err(|error| Fault::failed("internal", error.to_string()))?;
    Ok(end)
}

fn ended(end: &End) -> Result<Ended, Fault> {
    end.recv().unwrap_or_else(|_| {
        Err(Fault::failed("internal", crate::msg!("engine.panic"))
            .remedy(crate::msg!("host.internal.remedy")))
    })
}

fn on_thread(
    setup: RoadSetup,
    functions: StandardPackage,
) -> Result<(Ended, Option<(Engine, AST)>), Fault> {
    let sources = Rc::new(Sources::default());
    let recorder = Recorder::new(setup.sink, setup.host.redactor.clone());
    let rollback = setup.host.mode == Mode::Undo;
    let leave = setup.leave;
    let host = Host::new(setup.host, recorder, sources.clone())?;
    let engine = engine(&host, setup.limits, functions);
    let playbook = &host.setup.playbook;
    let ast = compile(&engine, &sources, &playbook.path_display, &playbook.text)?;
    super::lint::load_imports(&engine, &ast, &sources, &playbook.path_display)?;
    let result = engine.run_ast_with_scope(&mut Scope::new(), &ast);
    let exit = if rollback {
        let fault = host.script_fault(result);
        host.finish_rollback(&engine, fault)
    } else {
        host.finish(&engine, result)
    };
    let ended = Ended { exit, run: host.run_id() };
    host.hang_up();
    if leave {
        crate::system::leave(exit);
    }
    // A rehearsal drops or copies the database at once: no connection of the host may be left.
    let left = host.setup.rehearsal.is_none().then_some((engine, ast));
    Ok((ended, left))
}
