//! The road: one script, walked on its own thread, for a plan, a run, a resume or a rollback.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;

use rhai::packages::StandardPackage;
use rhai::{AST, Engine, Scope};
use tokio::runtime::Runtime;

use super::build::{Limits, compile, engine};
use super::memory::{EVERY, Full};
use crate::host::{Host, HostSetup, Mode, Sources};
use crate::journal::Recorder;
use crate::model::{Fault, RunId};
use crate::report::Sink;
use crate::system::stop_listening;

/// What a walk needs: everything in it can be sent to the script's thread.
pub struct RoadSetup {
    /// What the host is built from.
    pub host: HostSetup,
    /// Where events are shown.
    pub sink: Box<dyn Sink>,
    /// What the script may use up.
    pub limits: Limits,
    /// Nothing comes behind the walk but the end of the process: nobody listens for signals then.
    pub last: bool,
}

/// How a walk ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub exit: u8,
    /// The run.
    pub run: RunId,
    /// What the connection moves on, where the server still has to be told goodbye.
    goodbye: Option<Arc<Runtime>>,
}

/// Stack of the script's thread: deep recursion meets the call limit long before its end. Lists in
/// lists in lists are freed one inside of the other; only what is used is taken.
const STACK: usize = 256 * 1024 * 1024;

/// The script's thread before it is known what it will walk: it makes the language's own functions,
/// which takes its time, while the playbook is still being read.
pub struct Stage {
    setup: mpsc::Sender<RoadSetup>,
    script: Script,
}

impl Stage {
    /// Sets it up.
    ///
    /// # Errors
    /// A thread that cannot be made.
    pub fn begin() -> Result<Self, Fault> {
        let (setup, given) = mpsc::channel();
        let full = Full::new();
        let bound = full.clone();
        let script = Script::begin(full, move || {
            let functions = StandardPackage::new();
            match given.recv() {
                Ok(setup) => on_thread(setup, functions, bound),
                Err(_) => Err(Fault::failed("internal", "nothing to walk")),
            }
        })?;
        Ok(Self { setup, script })
    }

    /// Walks the road to its end.
    ///
    /// # Errors
    /// Faults found before the run began: syntax, imports.
    pub fn walk(self, setup: RoadSetup) -> Result<Ended, Fault> {
        let last = setup.last;
        let _ = self.setup.send(setup);
        self.script.ended(last)
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
    let last = setup.last;
    let script = Script::begin(Full::new(), move || {
        let recorder = Recorder::new(setup.sink, setup.host.redactor.clone());
        let host = Host::new(setup.host, recorder, Rc::new(Sources::default()))?;
        let begun = host.begin_without_script(&id, &title);
        let done = begun.and_then(|()| crate::verbs::restore_run(&host, dump.as_deref()));
        let exit = host.finish_restore(done);
        Ok((Ended { exit, run: host.run_id(), goodbye: None }, ()))
    })?;
    script.ended(last)
}

/// The script's thread.
struct Script {
    end: mpsc::Receiver<Result<Ended, Fault>>,
    thread: JoinHandle<()>,
    full: Full,
}

impl Script {
    /// `work` gives what is left at its end: what the process may keep until its own, which is near,
    /// and whoever waits for this one shall not have to share a processor with freeing it.
    fn begin<Left>(
        full: Full,
        work: impl FnOnce() -> Result<(Ended, Left), Fault> + Send + 'static,
    ) -> Result<Self, Fault> {
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
        let thread = std::thread::Builder::new()
            .name("script".into())
            .stack_size(STACK)
            .spawn(work)
            .map_err(|error| Fault::failed("internal", error.to_string()))?;
        Ok(Self { end, thread, full })
    }

    /// Waits for its end, and looks at the process's memory meanwhile.
    ///
    /// Goodbye is said by the last thread there is: the server's process then takes a processor for
    /// its own end, and threads that are to end on the same one would have to wait for it.
    fn ended(self, last: bool) -> Result<Ended, Fault> {
        let ended = loop {
            match self.end.recv_timeout(EVERY) {
                Ok(ended) => break ended,
                Err(RecvTimeoutError::Timeout) => self.full.look(),
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(Fault::failed("internal", crate::msg!("engine.panic"))
                        .remedy(crate::msg!("host.internal.remedy")));
                }
            }
        };
        if last {
            stop_listening();
        }
        let _ = self.thread.join();
        if let Ok(Ended { goodbye: Some(runtime), .. }) = &ended {
            Host::say_goodbye(runtime);
        }
        ended
    }
}

fn on_thread(
    setup: RoadSetup,
    functions: StandardPackage,
    full: Full,
) -> Result<(Ended, Option<(Engine, AST)>), Fault> {
    let sources = Rc::new(Sources::default());
    let recorder = Recorder::new(setup.sink, setup.host.redactor.clone());
    let rollback = setup.host.mode == Mode::Undo;
    let host = Host::new(setup.host, recorder, sources.clone())?;
    let engine = engine(&host, setup.limits, functions, full);
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
    let run = host.run_id();
    // A rehearsal drops or copies the database at once: no connection of the host may be left.
    if host.setup.rehearsal.is_some() {
        host.hang_up();
        return Ok((Ended { exit, run, goodbye: None }, None));
    }
    let ended = Ended { exit, run, goodbye: Some(host.let_go()) };
    Ok((ended, Some((engine, ast))))
}
