//! `always` and `on_failure`: what runs at the end.

use std::rc::Rc;

use rhai::Dynamic;

use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Effect, Fault};
use crate::msg;

/// `always`
pub static ALWAYS: Verb = Verb {
    name: "always",
    args: "title: text, body: fn",
    effect: Effect::None,
    page: r#"Runs its body at the end of the run, whatever happened, also after resume and takeover.

For what must not stay behind: a maintenance page, a stopped application. It is registered where it
stands, so it runs only once the run has got there, and it is journaled like a step.

```rhai
always("maintenance page off", || app::run(["maintenance", "off"]));
```"#,
    call: |host, call| keep(host, call, true),
};

/// `on_failure`
pub static ON_FAILURE: Verb = Verb {
    name: "on_failure",
    args: "title: text, body: fn",
    effect: Effect::None,
    page: r#"Runs its body at the end of the run, but only after a failure, and before `always`.

```rhai
on_failure("stop the service", || app::run(["pm2", "stop", "shop"]));
```"#,
    call: |host, call| keep(host, call, false),
};

fn keep(host: &Rc<Host>, call: &Call<'_, '_>, always: bool) -> Result<Dynamic, Trouble> {
    host.may_go_on()?;
    let Some(body) = call.body(1) else {
        return Err(
            Fault::usage("wrong-argument", msg!("verbs.no-body", verb = call.verb.name)).into()
        );
    };
    let deferred = host.defer(call, &call.text(0), &body);
    host.keep_for_the_end(deferred, always)?;
    Ok(Dynamic::UNIT)
}
