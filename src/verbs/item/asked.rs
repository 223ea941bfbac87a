//! `manual` and `approve`: what only a person can say.

use rhai::Dynamic;

use crate::host::Verb;
use crate::model::{Effect, Fault};
use crate::msg;

/// `manual`
pub static MANUAL: Verb = Verb {
    name: "manual",
    args: "title: text, [options: map], points: array",
    effect: Effect::None,
    page: r#"A person ticks each point; who and when is recorded.

Without a terminal the run ends with exit 4, unless `--yes` lets the points pass: they then stand
as "not attested" in the report. Options: `takes`, `optional`, `when`, `item`.

Errors: `no-terminal`, `not-ticked`.

```rhai
manual("Main functions", ["log in", "sign up", "profile"]);
```"#,
    call: |host, call| {
        let (options, _) = super::scopes::item_options("manual", &call.any(1))?;
        let mut points = Vec::new();
        for value in call.params(2)? {
            match value.as_str() {
                Some(text) => points.push(text.to_string()),
                None => {
                    let fault = Fault::usage("wrong-argument", msg!("verbs.points-are-texts"));
                    return Err(fault.into());
                }
            }
        }
        host.manual(&call.text(0), options, &points)
    },
};

/// `approve`
pub static APPROVE: Verb = Verb {
    name: "approve",
    args: "title: text, [options: map]",
    effect: Effect::None,
    page: r#"A person decides whether the run goes on; who and when is recorded.

Without a terminal the run ends with exit 4, unless `--yes` lets it pass (unprotected environments
only), recorded as not attested. Options: `text` (the question), `when`, `optional`, `item`.

Errors: `no-terminal`, `not-approved`.

```rhai
approve("Go ahead with the irreversible part", #{ when: "production" });
```"#,
    call: |host, call| {
        let (options, _) = super::scopes::item_options("approve", &call.any(1))?;
        let answer = host.approve(&call.text(0), options)?;
        Ok::<Dynamic, _>(answer)
    },
};
