//! The road: one script, walked on its own thread, for a plan, a run, a resume or a rollback.

use std::rc::Rc;

use rhai::Scope;

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
}

/// How a walk ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub exit: u8,
    /// The run.
    pub run: RunId,
}

/// Stack of the script's thread: deep recursion meets the call limit long before its end.
const STACK: usize = 64 * 1024 * 1024;

/// Walks the road to its end.
///
/// # Errors
/// Faults found before the run began: syntax, imports, a thread that cannot be made.
pub fn walk(setup: RoadSetup) -> Result<Ended, Fault> {
    let thread = std::thread::Builder::new()
        .name("script".into())
        .stack_size(STACK)
        .spawn(move || on_thread(setup))
        .map_err(|error| Fault::failed("internal", error.to_string()))?;
    match thread.join() {
        Ok(ended) => ended,
        Err(_) => Err(Fault::failed("internal", crate::msg!("engine.panic"))
            .remedy(crate::msg!("host.internal.remedy"))),
    }
}

fn on_thread(mut setup: RoadSetup) -> Result<Ended, Fault> {
    let sources = Rc::new(Sources::default());
    let recorder = Recorder::new(setup.sink, setup.host.redactor.clone());
    look_ahead(&mut setup.host);
    let rollback = setup.host.mode == Mode::Undo;
    let host = Host::new(setup.host, recorder, sources.clone())?;
    let engine = engine(&host, setup.limits);
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
    Ok(Ended { exit, run: host.run_id() })
}

/// What the host has to know before the first item: who will be asked, and whether errors are
/// caught (a step then needs savepoints, which cost a round trip a statement). The words are looked
/// for first, because most playbooks have none of them and need no second reading.
fn look_ahead(setup: &mut HostSetup) {
    let text = &setup.playbook.text;
    let nobody = !setup.terminal.interactive && !setup.terminal.yes;
    let asks = nobody && ["manual", "approve", "import"].iter().any(|word| text.contains(word));
    let catches = text.contains("catch") || text.contains("import");
    if asks || catches {
        let outline = super::lint::outline_of(&setup.project, &setup.playbook);
        setup.asks = outline.asks;
        setup.catches = outline.catches;
    }
}
