//! Items of the checklist as scopes: check, step, verify, and what always or on failure runs.
//!
//! A scope begins the item, lets its body run, and ends it, whatever way the body ends.

mod second_look;

use std::rc::Rc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, FnPtr};
use serde_json::Value;

use super::diagnose::diagnose;
use super::gate::{Host, Mode};
use super::keep::{kind_word, names};
use super::options::ItemOptions;
use super::scope::{Deferred, Frame, UndoEntry};
use super::stop::{Stop, Trouble, stop_in};
use super::value::{from_json, to_json};
use super::verb::Call;
use crate::journal::{Recorded, StepRow, StepState};
use crate::model::{EventKind, Fault, FaultKind, Item, ItemKind, ItemState, parse_span};
use crate::msg;

/// SQLSTATEs after which a step that only touched the database is simply tried again: lock
/// timeout, deadlock, serialization failure.
const TRY_AGAIN: [&str; 3] = ["55P03", "40P01", "40001"];
/// How often such a step is tried in all.
const LOCK_TRIES: u32 = 5;

/// How an item's body ended.
enum End {
    Done(Value, Dynamic),
    Skipped(String),
    Decided(String),
    Failed(Box<Fault>),
}

impl Host {
    /// `check`, `step`, `verify`: title, options, body; the undo body where there is one.
    ///
    /// # Errors
    /// The stop that ends the run where the item fails.
    pub fn item(
        self: &Rc<Self>,
        call: &Call<'_, '_>,
        kind: ItemKind,
        title: &str,
        options: ItemOptions,
        undo: Option<FnPtr>,
        body: &FnPtr,
    ) -> Result<Dynamic, Trouble> {
        self.may_go_on()?;
        let undo = undo.map(|body| self.defer(call, &format!("undo: {title}"), &body));
        let item = self.new_item(kind, title, &options, undo.is_some())?;
        let key =
            options.item.clone().filter(|_| kind == ItemKind::Step).unwrap_or(item.title.clone());
        self.item_keyed(call, item, key, options, undo, body)
    }

    /// An item under its key in the ledger.
    pub(super) fn item_keyed(
        self: &Rc<Self>,
        call: &Call<'_, '_>,
        item: Item,
        key: String,
        options: ItemOptions,
        undo: Option<Deferred>,
        body: &FnPtr,
    ) -> Result<Dynamic, Trouble> {
        let kind = item.kind;
        if !options.applies_to(self.setup.environment.name.as_deref()) {
            let reason = msg!("host.not-here", environment = self.environment_name());
            return self.end_item(item, ItemState::Skipped { reason }, 0, None, Dynamic::UNIT);
        }
        let text = self.sources.call_hash(body.fn_name(), call.position());
        if let Some(value) = self.replayed(&item, &key, &text, undo.as_ref().is_some())? {
            let changes = value.1;
            let value = value.0;
            if kind == ItemKind::Step {
                let entry = UndoEntry { item: item.clone(), key, undo, changes, options };
                self.tell_rung(&entry)?;
                self.undos.borrow_mut().push(entry);
            } else if options.every_run == Some(true) && self.mode() == Mode::Run {
                return self.look_again(call, item, key, &options, body, &text);
            }
            let shown = ItemState::Replayed { value: value.clone() };
            return self.end_item(item, shown, 0, None, from_json(value));
        }
        if self.mode() == Mode::Undo {
            // Behind the last finished step there is nothing to undo.
            return match kind {
                ItemKind::Step => Err(Stop::Finished.into()),
                _ => Ok(Dynamic::UNIT),
            };
        }
        if kind == ItemKind::Step || self.worker.borrow().is_some() {
            self.start_recording()?;
        }
        self.xid.take();
        self.measure_from_here(kind)?;
        self.emit(EventKind::ItemStarted { item: item.clone() })?;
        let started = Instant::now();
        let (tries, every) = options.tries();
        let mut attempt = 0;
        let end = loop {
            attempt += 1;
            self.lock_watch.begin(attempt);
            let mut end = self.attempt(call, &item, &key, &options, body, &text);
            let End::Failed(fault) = &mut end else { break end };
            let blocked = self.name_blockers(fault, &options);
            let of = if self.is_lock_trouble(fault) { tries.max(LOCK_TRIES) } else { tries };
            let final_word = matches!(fault.kind, FaultKind::Busy | FaultKind::Usage)
                || fault.code == "commit-unknown";
            if attempt >= of || final_word || self.setup.cancel.is_cancelled() {
                break end;
            }
            self.emit(EventKind::Retry {
                what: item.title.clone(),
                attempt,
                of,
                reason: blocked.unwrap_or_else(|| fault.message.clone()),
            })?;
            let pause =
                if tries > 1 { every } else { Duration::from_millis(200 * u64::from(attempt)) };
            self.pause(pause)?;
        };
        self.tell_lock_waits(&item.title)?;
        self.conclude(item, key, options, undo, end, started)
    }

    fn is_lock_trouble(&self, fault: &Fault) -> bool {
        // Of a step whose COMMIT never arrived nothing happened: it is run again, like one that
        // lost a deadlock.
        (fault.code == "commit-absent"
            || fault.sqlstate.as_deref().is_some_and(|state| TRY_AGAIN.contains(&state)))
            && self.frames.borrow().is_empty()
            && !fault.code.starts_with("external")
    }

    /// One try: the body between the beginning and the end of its transaction.
    fn attempt(
        self: &Rc<Self>,
        call: &Call<'_, '_>,
        item: &Item,
        key: &str,
        options: &ItemOptions,
        body: &FnPtr,
        text: &str,
    ) -> End {
        match self.keep_locks() {
            Ok(()) => {}
            Err(Trouble::Fault(fault)) => return End::Failed(fault),
            Err(Trouble::Stop(Stop::Failed(fault))) => {
                return End::Failed(Box::new((*fault).clone()));
            }
            Err(Trouble::Stop(_) | Trouble::Script(_)) => {
                return End::Failed(Box::new(Fault::failed("internal", "unexpected stop")));
            }
        }
        let limit = options.timeout.as_deref().and_then(|text| parse_span(text).ok());
        let deadline = limit.map(|limit| Instant::now() + limit);
        let frame = Frame::new(item.clone(), key.into(), options.clone(), deadline);
        self.frames.borrow_mut().push(frame);
        let end = self.run_body(call, item, key, body, text);
        if !matches!(end, End::Done(..)) {
            self.measuring.borrow_mut().forget();
            self.abort_step();
        }
        // What the plan learnt inside belongs to the item, also when its flow broke off.
        let frame = self.frames.borrow_mut().pop();
        self.last_changes.set(frame.as_ref().is_some_and(|frame| frame.changes));
        self.note_part(frame.as_ref(), matches!(end, End::Failed(_)));
        match (end, frame) {
            (End::Done(value, given), Some(frame)) if self.mode() == Mode::Plan => {
                self.planned_end(item, value, given, &frame)
            }
            (end, _) => end,
        }
    }

    fn planned_end(&self, item: &Item, value: Value, given: Dynamic, frame: &Frame) -> End {
        let planned = given.is::<super::planned::Planned>();
        if item.kind == ItemKind::Step {
            let given = if planned {
                given
            } else {
                Dynamic::from(super::planned::Planned::new(item.title.clone()))
            };
            return End::Done(Value::String("planned".into()), given);
        }
        if planned || frame.will_check {
            return End::Done(Value::String("will_check".into()), given);
        }
        End::Done(value, given)
    }

    fn run_body(
        self: &Rc<Self>,
        call: &Call<'_, '_>,
        item: &Item,
        key: &str,
        body: &FnPtr,
        text: &str,
    ) -> End {
        let before = captured(body);
        let started = Instant::now();
        let result = body.call_raw(call.context, None, []);
        let given = match result {
            Ok(given) => given.flatten(),
            Err(error) => return self.broken(call, body, &error),
        };
        if let Some(what) = self.take_tripped() {
            return End::Decided(what);
        }
        let failed = |fault: Fault| End::Failed(Box::new(self.placed(call, body, fault)));
        if captured(body) != before {
            return failed(
                Fault::usage("outer-assignment", msg!("host.outer-assignment", item = item.title))
                    .cause(msg!("host.outer-assignment.cause"))
                    .remedy(msg!("host.outer-assignment.remedy")),
            );
        }
        if given.is::<super::planned::Planned>() {
            return End::Done(Value::Null, given);
        }
        if self.mode() == Mode::Plan && super::planned::holds_planned(&given) {
            // Partly known is not known: what the plan cannot say must not look like a value.
            let given = Dynamic::from(super::planned::Planned::new(item.title.clone()));
            return End::Done(Value::Null, given);
        }
        if matches!(item.kind, ItemKind::Check | ItemKind::Verify) && given.as_bool() == Ok(false) {
            return failed(Fault::failed("not-true", msg!("host.not-true", item = item.title)));
        }
        let value = match self.normalised(&given) {
            Ok(value) => value,
            Err(fault) => return failed(fault),
        };
        if self.mode() == Mode::Run && item.kind != ItemKind::Check && item.kind != ItemKind::Verify
        {
            match self.journal_step(item, key, &value, text, started) {
                Ok(true) => {}
                Ok(false) => {
                    return failed(Fault::failed(
                        "commit-absent",
                        msg!("host.commit-absent", item = item.title),
                    ));
                }
                Err(Trouble::Fault(fault)) => return failed(*fault),
                Err(Trouble::Stop(Stop::Failed(fault))) => return failed((*fault).clone()),
                Err(Trouble::Stop(_) | Trouble::Script(_)) => {
                    return failed(Fault::failed("internal", "unexpected stop"));
                }
            }
        }
        let given = from_json(value.clone());
        End::Done(value, given)
    }

    /// Writes the step's row: inside its transaction where it has one.
    fn journal_step(
        self: &Rc<Self>,
        item: &Item,
        key: &str,
        value: &Value,
        text: &str,
        started: Instant,
    ) -> Result<bool, Trouble> {
        // A playbook without a database has its file alone.
        if self.setup.target.is_none() {
            return Ok(true);
        }
        self.session()?;
        if !self.has_lease() {
            return Ok(true);
        }
        self.measure_to_here(&item.title)?;
        let (inputs, effects, more) = {
            let frames = self.frames.borrow();
            let Some(frame) = frames.last() else { return Ok(true) };
            let undone = (item.kind == ItemKind::Undo)
                .then(|| key.strip_prefix("undo: ").map(String::from))
                .flatten();
            let more: Vec<String> = match (undone, self.worker.borrow().as_ref()) {
                (Some(step), Some(worker)) => {
                    vec![worker.ledger.undone_sql(&self.run_id().0, &step)]
                }
                _ => Vec::new(),
            };
            let mut inputs = Self::taken_inputs(frame.inputs.clone(), text, frame.changes);
            if let Some((key, after)) = &*self.snapshot.borrow() {
                inputs["prior"] = serde_json::json!({ "key": key, "after": after });
            }
            (inputs, frame.effects.clone(), more)
        };
        let row = StepRow {
            key: key.into(),
            number: i64::from(item.number),
            title: item.title.clone(),
            kind: kind_word(item.kind).into(),
            state: StepState::Done,
            value: value.clone(),
            before: self.before.borrow().clone(),
            inputs,
            effects,
            took_ms: started.elapsed().as_millis() as i64,
            head: self.recorder.borrow().head(),
        };
        let committed = self.commit_step(&row, &more)?;
        if committed {
            self.before.borrow_mut().clear();
        }
        Ok(committed)
    }

    /// A body that did not return: skipped, decided later, stopped, or failed.
    fn broken(
        self: &Rc<Self>,
        call: &Call<'_, '_>,
        body: &FnPtr,
        error: &rhai::EvalAltResult,
    ) -> End {
        match stop_in(error) {
            Some(Stop::Skip(reason)) => return End::Skipped(reason),
            Some(Stop::Decided(on)) => return End::Decided(on),
            Some(Stop::Failed(fault)) => {
                return End::Failed(Box::new(self.placed(call, body, (*fault).clone())));
            }
            Some(Stop::Finished) | None => {}
        }
        if let Some(what) = self.take_tripped() {
            return End::Decided(what);
        }
        if self.mode() == Mode::Plan && super::planned::names_planned(error) {
            return End::Decided(super::planned::Planned::NAME.into());
        }
        let file = self.sources.file_of(body.fn_name());
        let mut fault = diagnose(error, &self.sources, file.as_deref());
        if matches!(error, rhai::EvalAltResult::ErrorTerminated(..))
            || self.setup.cancel.is_cancelled()
        {
            let places = std::mem::take(&mut fault.places);
            fault = self.interrupted();
            fault.places = places;
        }
        End::Failed(Box::new(self.placed(call, body, fault)))
    }

    /// The fault with the item's own call as its outermost place.
    fn placed(&self, call: &Call<'_, '_>, body: &FnPtr, fault: Fault) -> Fault {
        let file = self.sources.file_of(body.fn_name());
        match self.sources.place(file.as_deref(), call.position()) {
            Some(place)
                if !fault.places.iter().any(|p| p.line == place.line && p.file == place.file) =>
            {
                fault.place(place.labelled(msg!("host.in-this-item")))
            }
            _ => fault,
        }
    }

    fn conclude(
        self: &Rc<Self>,
        item: Item,
        key: String,
        options: ItemOptions,
        undo: Option<Deferred>,
        end: End,
        started: Instant,
    ) -> Result<Dynamic, Trouble> {
        let took = started.elapsed().as_millis() as u64;
        let xid = self.xid.take();
        let is_step = item.kind == ItemKind::Step;
        match end {
            End::Done(value, given) => {
                let outcome = match (self.mode(), value.as_str()) {
                    (Mode::Plan, Some("planned")) => ItemState::Planned,
                    (Mode::Plan, Some("will_check")) => ItemState::WillCheck,
                    _ => ItemState::Done { value: value.clone() },
                };
                if is_step {
                    let changes = self.last_changes.get();
                    let entry = UndoEntry { item: item.clone(), key, undo, changes, options };
                    self.tell_rung(&entry)?;
                    if self.mode() == Mode::Run {
                        self.undos.borrow_mut().push(entry);
                    }
                } else if self.mode() == Mode::Run
                    && matches!(item.kind, ItemKind::Check | ItemKind::Verify)
                {
                    self.before.borrow_mut().push(Recorded::Item { key, value });
                }
                self.end_item(item, outcome, took, xid, given)
            }
            End::Skipped(reason) => {
                self.before.borrow_mut().push(Recorded::Item { key, value: Value::Null });
                self.end_item(item, ItemState::Skipped { reason }, took, None, Dynamic::UNIT)
            }
            End::Decided(on) => {
                let given = Dynamic::from(super::planned::Planned::new(item.title.clone()));
                if is_step {
                    self.planned.borrow_mut().add(&crate::model::Action {
                        opaque: true,
                        ..crate::model::Action::new("step", crate::model::Effect::Write, "")
                    });
                }
                self.end_item(item, ItemState::DecidedWhenItRuns { on }, took, None, given)
            }
            End::Failed(fault) => self.failed_item(xid, item, key, &options, *fault, took),
        }
    }

    fn failed_item(
        self: &Rc<Self>,
        xid: Option<String>,
        item: Item,
        key: String,
        options: &ItemOptions,
        mut fault: Fault,
        took: u64,
    ) -> Result<Dynamic, Trouble> {
        let hard = matches!(fault.kind, FaultKind::Interrupted | FaultKind::Terminated)
            || matches!(
                fault.code.as_str(),
                "fenced" | "journal-write" | "commit-unknown" | "diverged"
            );
        let goes_on = (options.optional && !hard)
            || (self.mode() == Mode::Plan
                && item.kind == ItemKind::Check
                && fault.kind == FaultKind::Failed);
        let outcome = ItemState::Failed {
            fault: Box::new(fault.clone()),
            optional: options.optional && !hard,
        };
        if goes_on {
            if self.mode() == Mode::Plan && !options.optional {
                self.failed.borrow_mut().get_or_insert(Rc::new(fault));
            } else {
                self.before.borrow_mut().push(Recorded::Item { key, value: Value::Null });
            }
            let given = if self.mode() == Mode::Plan {
                // What follows is shown as well; what hangs on this value is decided by the run.
                Dynamic::from(super::planned::Planned::new(item.title.clone()))
            } else {
                Dynamic::UNIT
            };
            return self.end_item(item, outcome, took, xid, given);
        }
        if item.kind == ItemKind::Verify && fault.kind == FaultKind::Failed {
            fault.kind = FaultKind::VerifyFailed;
            self.verify_failed.set(true);
        }
        let fault = Rc::new(fault);
        self.fall(&fault);
        let _ = self.end_item(item, outcome, took, xid, Dynamic::UNIT);
        Err(Stop::Failed(fault).into())
    }

    /// Reports the end of an item, and stops the script behind `--until`.
    pub(super) fn end_item(
        self: &Rc<Self>,
        item: Item,
        outcome: ItemState,
        took_ms: u64,
        xid: Option<String>,
        value: Dynamic,
    ) -> Result<Dynamic, Trouble> {
        let last = self.setup.wishes.until.as_deref().is_some_and(|until| names(until, &item));
        self.emit(EventKind::ItemFinished { item, outcome, took_ms, xid })?;
        super::failpoint::failpoint!("before-next");
        if last {
            self.stopped.set(true);
            return Err(Stop::Finished.into());
        }
        Ok(value)
    }
}

/// The captured variables of a body as text: a change is an assignment to an outer variable.
fn captured(body: &FnPtr) -> Vec<String> {
    body.iter_curry()
        .map(|value| {
            to_json(&value.flatten_clone()).map_or_else(|_| String::new(), |v| v.to_string())
        })
        .collect()
}
