//! `note`, `skip`, `fail`.

use rhai::Dynamic;

use crate::host::{Stop, Verb};
use crate::model::{Effect, Fault};

/// `note`
pub static NOTE: Verb = Verb {
    name: "note",
    args: "text: any",
    effect: Effect::None,
    page: r#"Puts a remark into the checklist and the report: at most 8 KiB of it, and 10,000 in a run.

A plan leaves it out behind what it has only recorded: a remark of a step may say that it is done.

```rhai
note("The old columns stay until the next release.");
```"#,
    call: |host, call| {
        host.may_go_on()?;
        let text = match call.planned() {
            Some(planned) => planned.what,
            None => match call.json(0)? {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            },
        };
        // What a plan has not done, it does not say.
        if !host.only_planned() {
            host.remark(&text)?;
        }
        Ok(Dynamic::UNIT)
    },
};

/// `skip`
pub static SKIP: Verb = Verb {
    name: "skip",
    args: "reason: text",
    effect: Effect::None,
    page: r#"Ends this item as skipped, with the reason. What it did before is rolled back.

```rhai
step("Stop the application", || {
    skip("no command is configured");
});
```"#,
    call: |_, call| Err(Stop::Skip(call.text(0)).into()),
};

/// `fail`
pub static FAIL: Verb = Verb {
    name: "fail",
    args: "message: text",
    effect: Effect::None,
    page: r#"Fails this item with the message.

Errors: `failed`, always.

```rhai
check("Only on weekdays", || { if false { fail("it is Sunday"); } true });
```"#,
    call: |_, call| Err(Fault::failed("failed", call.text(0)).into()),
};
