//! `app::run`: a command, from an array and without a shell.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::argv::{allowed, application_name, argv, quoted};
use crate::host::{Call, External, Host, Repeat, Trouble, Verb};
use crate::model::{Action, Effect, EventKind, Fault, FaultKind, format_span};
use crate::msg;
use crate::system::{Command, Output, trampoline};
use crate::verbs::fs::place::inside;
use crate::verbs::given::{self, OneOrMany, Retry};

/// How long a command may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// How long a probe may take: it only looks.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// So much of the end of each output goes into the recorded value.
const KEPT_OUTPUT: usize = 16 * 1024;
/// Lines of a failed command that a fault shows.
const SHOWN_LINES: usize = 20;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RunOptions {
    cwd: Option<String>,
    stdin: Option<String>,
    timeout: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    allow_status: Option<OneOrMany>,
    retry: Option<Retry>,
    probe: Option<Value>,
    undo_hint: Option<String>,
    changes: Option<bool>,
}

/// `app::run`
pub(in crate::verbs) static RUN: Verb = Verb {
    name: "app::run",
    args: "argv: array|text, [options: map]",
    effect: Effect::External,
    page: r#"Runs a command: an array of program and arguments, never a shell.

The program must stand in `[commands] allow` of runsheet.toml. It gets PATH, HOME, LANG, TZ, TMPDIR
and USER, `PGAPPNAME`, `PGOPTIONS` (the server looks after its client twice a second, so that a
statement does not outlive its command; `env: #{ PGOPTIONS: "" }` for a pooler that refuses it), and
what `env` gives; never DATABASE_URL by itself. Its whole process group is ended at its time limit,
at Ctrl-C, and when this program dies.

A command cannot be rolled back, and nobody can make it exactly-once: it is announced in the
journal before it starts. Where a run died in between, `probe` decides (exit 0: it had happened);
without one a person has to say.

Options: `cwd` (inside the project), `stdin` (text), `timeout` ("1h"), `env` (a map),
`allow_status` (a number or several, besides 0), `retry` (3, or `#{tries, every}`), `probe` (an
array as well), `undo_hint` (for people: how it is taken back), `changes` (true): false for a command
that only looks and may be repeated, `git diff`, `prisma migrate status`: there is nothing to take back
then, and where the run fails nothing is said to stand because of it.

Gives: `#{status, stdout, stderr, took}`; of each output the last 16 KiB.

Errors: `command-not-allowed`, `command-failed` with the last lines, `command-timeout`,
`command-not-found`, `not-an-argv`, `path-outside`.

```rhai
step("Stop the application", || app::run(["pm2", "stop", "all"], #{
    timeout: "1m", undo_hint: "pm2 start all",
}));
```"#,
    call: |host, call| {
        let options: RunOptions = call.options(1)?;
        let planned = call.planned();
        let argv = match &planned {
            // The array may hold values that only the run will know.
            Some(planned) => vec![planned.what.clone()],
            None => argv(call, &call.json(0)?)?,
        };
        let work = Work::new(host, call, argv, options, planned.is_none())?;
        let mut action = Action::new(call.verb.name, Effect::External, work.argv[0].clone())
            .statement(quoted(&work.argv));
        action.opaque = work.changes;
        if work.changes {
            action.risk = host.command_risk(&work.argv[0]);
        }
        if let Some(hint) = &work.undo_hint {
            action.remarks.push(msg!("verbs.app.undo-hint", hint = hint));
        }
        let probe = || {
            let Some(probe) = &work.probe else { return Ok(None) };
            work.once(host, probe, PROBE_TIMEOUT).map(|output| Some(output.succeeded()))
        };
        let repeat = match (&work.probe, work.changes) {
            (_, false) => Repeat::Harmless,
            (Some(_), true) => Repeat::Probe(&probe),
            (None, true) => Repeat::Ask,
        };
        let probed = json!({
            "status": 0, "stdout": "", "stderr": "", "took": "0ms", "took_ms": 0, "probed": true,
        });
        let perform = Box::new(|| work.perform(host));
        let argv = work.argv.clone();
        let external = External { action, repeat, probed, perform };
        host.pass_command(&argv, external, planned, |instead| work.perform_as(host, &instead))
    },
};

/// A checked command.
struct Work {
    argv: Vec<String>,
    cwd: PathBuf,
    stdin: Option<String>,
    timeout: Duration,
    env: Vec<(String, String)>,
    allow_status: Option<OneOrMany>,
    tries: u32,
    every: Duration,
    probe: Option<Vec<String>>,
    undo_hint: Option<String>,
    changes: bool,
}

impl Work {
    fn new(
        host: &Rc<Host>,
        call: &Call<'_, '_>,
        argv_given: Vec<String>,
        options: RunOptions,
        known: bool,
    ) -> Result<Self, Fault> {
        let verb = call.verb.name;
        if known {
            allowed(host, &argv_given[0])?;
        }
        let probe = match &options.probe {
            Some(probe) => {
                let probe = argv(call, probe)?;
                allowed(host, &probe[0])?;
                Some(probe)
            }
            None => None,
        };
        let (tries, every) = Retry::checked(options.retry.as_ref(), verb)?;
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let mut env = vec![("PGAPPNAME".to_string(), application_name(host, &argv_given[0]))];
        if let Some(options) = host.child_options() {
            env.push(("PGOPTIONS".into(), options.into()));
        }
        env.extend(options.env.into_iter().map(|(name, value)| (name, text(value))));
        Ok(Self {
            cwd: inside(host, options.cwd.as_deref().unwrap_or("."))?,
            stdin: options.stdin,
            timeout: given::span(verb, "timeout", options.timeout.as_deref(), TIMEOUT)?,
            env,
            allow_status: options.allow_status,
            tries,
            every,
            probe,
            undo_hint: options.undo_hint,
            changes: options.changes.unwrap_or(true),
            argv: argv_given,
        })
    }

    /// Runs a program once, in the command's folder and environment.
    fn once(&self, host: &Rc<Host>, argv: &[String], timeout: Duration) -> Result<Output, Trouble> {
        let mut command = Command::new(argv);
        command.cwd = self.cwd.clone();
        command.env = self.env.clone();
        command.stdin = self.stdin.clone().map(String::into_bytes);
        command.timeout = timeout;
        command.output_limit = KEPT_OUTPUT;
        command.trampoline = trampoline();
        command.run(&host.stop_signal()).map_err(Into::into)
    }

    fn perform(&self, host: &Rc<Host>) -> Result<Value, Trouble> {
        self.perform_as(host, &self.argv)
    }

    fn perform_as(&self, host: &Rc<Host>, argv: &[String]) -> Result<Value, Trouble> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let fault = match self.once(host, argv, self.timeout) {
                Ok(output) => {
                    let status = i64::from(output.status);
                    let fine = self.allow_status.as_ref().is_some_and(|list| list.has(status));
                    if status == 0 || fine {
                        return Ok(value_of(output));
                    }
                    self.failed(argv, &output)
                }
                Err(Trouble::Fault(fault)) if fault.code == "command-timeout" => *fault,
                // Not there, not allowed, interrupted: another try would end the same way.
                Err(other) => return Err(other),
            };
            if attempt >= self.tries || fault.kind != FaultKind::Failed {
                return Err(fault.into());
            }
            host.emit(EventKind::Retry {
                what: quoted(argv),
                attempt,
                of: self.tries,
                reason: fault.message.clone(),
            })?;
            host.pause(self.every)?;
        }
    }

    fn failed(&self, argv: &[String], output: &Output) -> Fault {
        let (program, status) = (&argv[0], output.status);
        let message = if status > 128 {
            msg!("verbs.app.killed", program = program, signal = status - 128)
        } else {
            msg!("verbs.app.failed", program = program, status = status)
        };
        let fault = Fault::failed("command-failed", message);
        match output.last_lines(SHOWN_LINES) {
            lines if lines.is_empty() => fault.detail(msg!("system.timeout-silent")),
            lines => fault.detail(lines),
        }
    }
}

fn value_of(output: Output) -> Value {
    json!({
        "status": output.status,
        "stdout": output.stdout,
        "stderr": output.stderr,
        "took": format_span(output.took),
        "took_ms": output.took.as_millis() as u64,
    })
}
