//! What a rehearsal has proven of this playbook, and whether that still holds: the receipt held
//! against files, parameters, schema and server of now.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::Demand;
use crate::host::gate::{Host, Mode};
use crate::host::stop::Trouble;
use crate::journal::{Origin, Receipt, WayBackWord, object_hash};
use crate::model::{EventKind, Fault, FaultKind, Risk, format_span};
use crate::msg;
use crate::postgres::fingerprint;

/// So many stale things are named.
const NAMED: usize = 12;

/// The receipt, and what of it no longer holds.
#[derive(Default)]
pub struct Proof {
    receipt: Option<Receipt>,
    stale: Vec<String>,
    /// The receipt cannot be read, or was edited.
    broken: Option<Fault>,
}

impl Host {
    /// A protected environment whose policy asks for a rehearsal wants a fresh receipt, before
    /// anything new happens.
    ///
    /// # Errors
    /// `no-receipt`, `receipt-stale` with what changed, `receipt-lossy`, `receipt-edited`: kind
    /// Refused.
    pub(in crate::host) fn demand_rehearsal(self: &Rc<Self>) -> Result<(), Trouble> {
        let setup = &self.setup;
        if self.mode() == Mode::Run && setup.rehearsal.is_none() {
            // Looked at before this run changes anything.
            self.proof();
        }
        let asked =
            self.mode() == Mode::Run && setup.rehearsal.is_none() && setup.wishes.resume.is_none();
        let policy = &setup.environment.policy;
        let wants =
            |risk: Risk| policy.rule(risk).rehearsal && self.in_force(risk, Demand::Rehearsal);
        if !asked || !Risk::ALL.into_iter().any(wants) {
            return Ok(());
        }
        let Some(worst) = self.worst_foreseen().filter(|worst| wants(worst.risk)) else {
            return Ok(());
        };
        let (risk, what) = (worst.risk.word(), worst.what.as_str());
        let rule = policy.origin(worst.risk, Demand::Rehearsal).shown();
        let again = format!("runsheet rehearse {}", setup.playbook.name);
        let refused = |code: &str, text: String| {
            Fault::new(FaultKind::Refused, code, text)
                .cause(msg!("host.receipt.cause", risk = risk, what = what, rule = rule))
                .next(again.clone())
        };
        let proof = self.proof();
        if let Some(broken) = &proof.broken {
            return Err(Self::fatal(broken.clone().next(again)));
        }
        let Some(receipt) = &proof.receipt else {
            return Err(Self::fatal(refused("no-receipt", msg!("host.no-receipt"))));
        };
        if !proof.stale.is_empty() {
            let text = msg!("host.receipt-stale", at = day(&receipt.at));
            let fault = refused("receipt-stale", text).detail(shown(&proof.stale));
            return Err(Self::fatal(fault));
        }
        let nameless = |origin: &Origin| origin.system_identifier.is_none();
        if let Some(there) =
            receipt.origin.as_ref().filter(|one| nameless(one) || nameless(&self.origin()))
        {
            let text = msg!("host.receipt-by-name", database = there.database);
            self.emit(EventKind::Warning { text })?;
        }
        if receipt.way_back == WayBackWord::Proven {
            let text = msg!("host.receipt-holds", at = day(&receipt.at), id = receipt.rehearsal);
            return self.emit(EventKind::Note { text }).map_err(Into::into);
        }
        let lost = shown(&receipt.lost);
        if let Some(reason) = &setup.wishes.reason {
            let text = msg!("host.receipt-lossy-accepted", lost = lost, reason = reason);
            return self.emit(EventKind::Warning { text }).map_err(Into::into);
        }
        let fault = refused("receipt-lossy", msg!("host.receipt-lossy", at = day(&receipt.at)));
        Err(Self::fatal(fault.detail(lost).remedy(msg!("host.receipt-lossy.remedy"))))
    }

    /// What plan and report say of a step's undo: the rehearsal that went it, or None.
    pub(in crate::host) fn proven_way_back(self: &Rc<Self>, title: &str) -> Option<String> {
        if self.setup.rehearsal.is_some() {
            return None;
        }
        let proof = self.proof();
        let receipt = proof.receipt.as_ref().filter(|_| proof.stale.is_empty())?;
        let step = receipt.steps.iter().find(|step| step.title == title && !step.outside)?;
        let took = crate::model::format_span(std::time::Duration::from_millis(step.back_ms?));
        let proven = receipt.way_back == WayBackWord::Proven;
        proven.then(|| msg!("host.proven", at = day(&receipt.at), took = took))
    }

    /// The newest rehearsal of this playbook as a script sees it; null where there is none, or its
    /// receipt cannot be read. In a rehearsal itself it is the one that is under way.
    pub fn rehearsed(self: &Rc<Self>) -> Value {
        if self.setup.rehearsal.is_some() {
            return json!({
                "running": true, "id": "", "at": "", "by": "", "way_back": "unproven", "lost": [],
                "repeatable": false, "forward": "", "back": "", "disk": null, "steps": [],
                "holds": false, "stale": [],
            });
        }
        let proof = self.proof();
        let Some(receipt) = &proof.receipt else { return Value::Null };
        let span = |ms: u64| crate::model::format_span(std::time::Duration::from_millis(ms));
        let steps = receipt.steps.iter().map(|step| {
            json!({
                "title": step.title, "took": span(step.took_ms),
                "back": step.back_ms.map(span), "outside": step.outside,
            })
        });
        json!({
            "running": false, "id": receipt.rehearsal, "at": day(&receipt.at), "by": receipt.by,
            "way_back": receipt.way_back, "lost": receipt.lost, "repeatable": receipt.repeatable,
            "forward": span(receipt.forward_ms), "back": receipt.back_ms.map(span),
            "disk": receipt.disk, "steps": steps.collect::<Vec<_>>(),
            "holds": proof.stale.is_empty(), "stale": proof.stale,
        })
    }

    /// Says in a plan what the rehearsed way back lost, or why the receipt no longer holds.
    ///
    /// # Errors
    /// `journal-write`.
    pub(in crate::host) fn tell_proof(self: &Rc<Self>) -> Result<(), Fault> {
        let mode = self.mode();
        if self.setup.rehearsal.is_some() || mode != Mode::Plan || self.worker.borrow().is_none() {
            return Ok(());
        }
        let proof = self.proof();
        let text = match &proof.receipt {
            _ if proof.broken.is_some() => {
                proof.broken.as_ref().map(|broken| broken.message.clone())
            }
            Some(receipt) if !proof.stale.is_empty() => {
                let text = msg!("host.receipt-stale", at = day(&receipt.at));
                Some(format!("{text}\n{}", shown(&proof.stale)))
            }
            Some(receipt) if receipt.way_back != WayBackWord::Proven => {
                let (at, lost) = (day(&receipt.at), shown(&receipt.lost));
                Some(msg!("host.way-back-lossy", at = at, lost = lost))
            }
            _ => None,
        };
        text.map_or(Ok(()), |text| self.emit(EventKind::Warning { text }))
    }

    /// The receipt, looked at once: later this run itself has changed the schema.
    fn proof(self: &Rc<Self>) -> &Proof {
        self.proof.get_or_init(|| {
            let id = self.begun.borrow().as_ref().map(|begun| begun.id.clone());
            match Receipt::newest(&self.setup.state, &id.unwrap_or_default()) {
                Err(fault) => Proof { broken: Some(fault), ..Proof::default() },
                Ok(None) => Proof::default(),
                Ok(Some(receipt)) => {
                    let stale = self.stale(&receipt);
                    Proof { receipt: Some(receipt), stale, broken: None }
                }
            }
        })
    }

    fn stale(self: &Rc<Self>, receipt: &Receipt) -> Vec<String> {
        let mut stale = Vec::new();
        if !receipt.with_rows {
            stale.push(msg!("host.stale.no-rows"));
        }
        stale.extend(self.stale_inputs(&receipt.files, &receipt.params));
        let limit = self.setup.environment.policy.receipt_age;
        let old = age(&receipt.at);
        if old.is_none_or(|old| old >= limit) {
            let old = old.map_or("?".to_string(), aged);
            stale.push(msg!("host.stale.age", age = old, limit = aged(limit)));
        }
        // A run that has begun has changed the schema itself.
        let untouched = self.mode() == Mode::Plan || self.setup.wishes.resume.is_none();
        if untouched && self.mode() != Mode::Undo {
            match self.stale_server(receipt) {
                Ok(found) => stale.extend(found),
                Err(trouble) => {
                    let why = crate::host::undo::fault_of(trouble).message;
                    stale.push(msg!("host.stale.unknown", why = why));
                }
            }
        }
        stale
    }

    /// The database that the run is on.
    fn origin(&self) -> Origin {
        let server = self.server_value();
        let text = |key: &str| server[key].as_str().map(String::from);
        Origin {
            database: text("database").unwrap_or_default(),
            system_identifier: text("system_identifier"),
        }
    }

    fn stale_server(self: &Rc<Self>, receipt: &Receipt) -> Result<Vec<String>, Trouble> {
        let session = self.session()?;
        let mut stale = Vec::new();
        let here = self.origin();
        match &receipt.origin {
            Some(there) if there.is(&here) => {}
            Some(there) => {
                let what = msg!("host.stale.database");
                stale.push(msg!("host.stale.other", what = what, was = there, now = here));
            }
            None => stale.push(msg!("host.stale.no-origin")),
        }
        let server = session.server_version();
        if server / 10_000 != receipt.server / 10_000 {
            let (was, now) = (receipt.server / 10_000, server / 10_000);
            stale.push(msg!("host.stale.server", was = was, now = now));
        }
        let now = self.schema_before()?;
        stale.extend(changed_objects(&receipt.schema, &receipt.made, now));
        Ok(stale)
    }

    /// What of files and parameters is no longer as it was.
    pub(in crate::host) fn stale_inputs(
        &self,
        files: &BTreeMap<String, String>,
        params: &Value,
    ) -> Vec<String> {
        let mut stale = Vec::new();
        let inputs = self.begun.borrow().as_ref().map(|begun| begun.inputs.clone());
        let inputs = inputs.unwrap_or_default();
        for (file, hash) in files {
            let now = inputs["files"][file].as_str().map(String::from);
            match now.or_else(|| self.file_hash(file)) {
                Some(now) if now == *hash => {}
                Some(_) => stale.push(msg!("host.stale.file", file = file)),
                None => stale.push(msg!("host.stale.file-gone", file = file)),
            }
        }
        for file in inputs["files"].as_object().into_iter().flatten().map(|(name, _)| name) {
            if !files.contains_key(file) {
                stale.push(msg!("host.stale.file-new", file = file));
            }
        }
        let names: BTreeSet<&String> = [params, &inputs["params"]]
            .iter()
            .flat_map(|map| map.as_object().into_iter().flatten().map(|(name, _)| name))
            .collect();
        for name in names {
            let (was, now) = (&params[name], &inputs["params"][name]);
            if was != now {
                stale.push(msg!("host.stale.parameter", name = name, was = was, now = now));
            }
        }
        stale
    }
}

/// What of the schema is no longer as it was rehearsed. A relation that is wholly new, and that the
/// playbook does not make itself, is no difference: partitions are made every night.
pub(in crate::host) fn changed_objects(
    schema: &BTreeMap<String, String>,
    made: &[String],
    now: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (name, hash) in schema {
        match now.get(name) {
            Some(body) if object_hash(body) == *hash => {}
            Some(_) => found.push(msg!("host.stale.changed", object = name)),
            None => found.push(msg!("host.stale.gone", object = name)),
        }
    }
    for (name, body) in now.iter().filter(|(name, _)| !schema.contains_key(*name)) {
        let apart = match fingerprint::relation_of(name, body) {
            Some(table) => !schema.contains_key(&table),
            None => name.starts_with("relation "),
        };
        if !apart || made.contains(name) {
            found.push(msg!("host.stale.new", object = name));
        }
    }
    found
}

/// How long ago that was; None where it cannot be told, or lies in the future.
pub(in crate::host) fn age(at: &str) -> Option<Duration> {
    let then: jiff::Timestamp = at.parse().ok()?;
    Duration::try_from(jiff::Timestamp::now().duration_since(then)).ok()
}

/// "7d", "3d 4h"; below a day as spans are shown.
pub(in crate::host) fn aged(span: Duration) -> String {
    let hours = span.as_secs() / 3600;
    match (hours / 24, hours % 24) {
        (0, _) => format_span(span),
        (days, 0) => format!("{days}d"),
        (days, hours) => format!("{days}d {hours}h"),
    }
}

/// "2026-11-21 11:02" of "2026-11-21T11:02:33+00:00".
fn day(at: &str) -> String {
    at.get(..16).unwrap_or(at).replace('T', " ")
}

pub(in crate::host) fn shown(lines: &[String]) -> String {
    let mut text = lines.iter().take(NAMED).cloned().collect::<Vec<_>>().join("\n");
    if lines.len() > NAMED {
        let more = lines.len() - NAMED;
        text.push_str(&format!("\n{}", msg!("host.stale.more", count = more)));
    }
    text
}
