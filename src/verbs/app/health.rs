//! `app::healthy` and `app::watch_health`: does the application answer, and does it go on to?

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::host::{Call, Host, Planned, Trouble, Verb};
use crate::model::{Action, Effect, EventKind, Fault, format_span};
use crate::msg;
use crate::verbs::given::{self, OneOrMany};
use crate::verbs::http::fetch::{Answer, Request, TIMEOUT, checked_url, fetch};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct HealthyOptions {
    tries: Option<u32>,
    every: Option<String>,
    status: Option<OneOrMany>,
    contains: Option<String>,
    timeout: Option<String>,
}

/// `app::healthy`
pub(in crate::verbs) static HEALTHY: Verb = Verb {
    name: "app::healthy",
    args: "url: text, [options: map]",
    effect: Effect::Read,
    page: r#"Waits until an address answers well, showing "attempt 3/30".

Well means: a status of 2xx, or one of `status`; and `contains`, where given, stands in the answer.

Options: `tries` (30), `every` ("2s"), `status` (a number or several), `contains` (text),
`timeout` of one try ("10s").

Gives: `#{status, attempts, took}`.

Errors: `unhealthy` with what the last try answered, `bad-url`.

```rhai
verify("The application answers", || app::healthy("http://127.0.0.1:3000/health", #{ tries: 5 }));
```"#,
    call: |host, call| {
        let options: HealthyOptions = call.options(1)?;
        let (url, verb) = (call.text(0), call.verb.name);
        let tries = options.tries.unwrap_or(30).max(1);
        let every = given::span(verb, "every", options.every.as_deref(), Duration::from_secs(2))?;
        let timeout = given::span(verb, "timeout", options.timeout.as_deref(), TIMEOUT)?;
        let stand_in = json!({ "status": 200, "attempts": 0, "took": "0ms", "took_ms": 0 });
        host.pass_look_outside(asked(call, &url), call.planned(), stand_in, || {
            checked_url(&url)?;
            let started = Instant::now();
            for attempt in 1..=tries {
                let reason = match look(host, &url, timeout)? {
                    Ok(answer) => match unwell(&answer, &options) {
                        None => {
                            return Ok(json!({
                                "status": answer.status,
                                "attempts": attempt,
                                "took": format_span(started.elapsed()),
                                "took_ms": started.elapsed().as_millis() as u64,
                            }));
                        }
                        Some(reason) => reason,
                    },
                    Err(fault) => fault.to_string(),
                };
                if attempt == tries {
                    return Err(Fault::failed(
                        "unhealthy",
                        msg!("verbs.app.unhealthy", url = url, tries = tries),
                    )
                    .detail(reason)
                    .into());
                }
                host.emit(EventKind::Retry { what: url.clone(), attempt, of: tries, reason })?;
                host.pause(every)?;
            }
            Err(Fault::failed("internal", "no try").into())
        })
    },
};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WatchOptions {
    during: Option<String>,
    every: Option<String>,
    #[serde(default)]
    max_failures: u32,
    timeout: Option<String>,
}

/// `app::watch_health`
pub(in crate::verbs) static WATCH_HEALTH: Verb = Verb {
    name: "app::watch_health",
    args: "url: text, [options: map]",
    effect: Effect::Read,
    page: r#"Watches an address for a while: more failures than allowed end it at once.

A failure is a status that is not 2xx, or no answer.

Options: `during` ("1m"), `every` ("5s"), `max_failures` (0), `timeout` of one try ("10s").

Gives: `#{checks, failures, worst}`; `worst` is the slowest answer, "420ms".

Errors: `unhealthy` with the last failure, `bad-url`.

```rhai
verify("It stays well", || app::watch_health("http://127.0.0.1:3000/health", #{ during: "30s" }));
```"#,
    call: |host, call| {
        let options: WatchOptions = call.options(1)?;
        let (url, verb) = (call.text(0), call.verb.name);
        let span = |option: &str, given: &Option<String>, default: u64| {
            given::span(verb, option, given.as_deref(), Duration::from_secs(default))
        };
        let during = span("during", &options.during, 60)?;
        let every = span("every", &options.every, 5)?;
        let timeout = span("timeout", &options.timeout, TIMEOUT.as_secs())?;
        // A plan has no time to watch.
        let later = call.planned().unwrap_or_else(|| Planned::new(url.clone()));
        let stand_in = json!({ "checks": 0, "failures": 0, "worst": "0ms", "worst_ms": 0 });
        host.pass_look_outside(asked(call, &url), Some(later), stand_in, || {
            checked_url(&url)?;
            let started = Instant::now();
            let (mut checks, mut failures, mut worst) = (0u64, 0u32, Duration::ZERO);
            loop {
                checks += 1;
                let reason = match look(host, &url, timeout)? {
                    Ok(answer) => {
                        worst = worst.max(answer.took);
                        unwell(&answer, &HealthyOptions::default())
                    }
                    Err(fault) => Some(fault.to_string()),
                };
                if let Some(reason) = reason {
                    failures += 1;
                    if failures > options.max_failures {
                        return Err(Fault::failed(
                            "unhealthy",
                            msg!(
                                "verbs.app.unhealthy-watched",
                                url = url,
                                failures = failures,
                                checks = checks
                            ),
                        )
                        .detail(reason)
                        .into());
                    }
                }
                let unit = "checks".to_string();
                host.emit(EventKind::Progress {
                    what: url.clone(),
                    done: checks,
                    total: None,
                    unit,
                })?;
                if started.elapsed() + every > during {
                    return Ok(json!({
                        "checks": checks,
                        "failures": failures,
                        "worst": format_span(worst),
                        "worst_ms": worst.as_millis() as u64,
                    }));
                }
                host.pause(every)?;
            }
        })
    },
};

fn asked(call: &Call<'_, '_>, url: &str) -> Action {
    let mut action = Action::new(call.verb.name, Effect::Read, url);
    // A command that a plan has recorded may start or stop the application.
    action.touches = vec!["*".into()];
    action
}

/// One try: its answer, or why there was none.
fn look(host: &Rc<Host>, url: &str, timeout: Duration) -> Result<Result<Answer, Fault>, Trouble> {
    let request = Request { url: url.to_string(), timeout, headers: Vec::new() };
    match fetch(host, request) {
        Ok(answer) => Ok(Ok(answer)),
        Err(Trouble::Fault(fault)) if fault.code.starts_with("http-") => Ok(Err(*fault)),
        Err(other) => Err(other),
    }
}

/// Why an answer does not count as healthy.
fn unwell(answer: &Answer, options: &HealthyOptions) -> Option<String> {
    let right = match &options.status {
        Some(wanted) => wanted.has(answer.status.into()),
        None => (200..300).contains(&answer.status),
    };
    if !right {
        return Some(msg!("verbs.app.status", status = answer.status));
    }
    match &options.contains {
        Some(text) if !answer.body.contains(text.as_str()) => {
            Some(msg!("verbs.app.contains-not", text = text))
        }
        _ => None,
    }
}
