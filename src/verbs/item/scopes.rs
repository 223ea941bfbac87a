//! `section`, `check`, `step`, `verify`: the scopes of the checklist.

use std::rc::Rc;

use rhai::{Dynamic, FnPtr, Map};

use crate::host::{Call, Host, ItemOptions, Trouble, Verb, options, wrong_option};
use crate::model::{Effect, EventKind, Fault, ItemKind};
use crate::msg;

/// `section`
pub static SECTION: Verb = Verb {
    name: "section",
    args: "title: text",
    effect: Effect::None,
    page: r#"Sets a heading over the items that follow.

```rhai
section("1. Environment");
```"#,
    call: |host, call| {
        host.may_go_on()?;
        host.set_section(&call.text(0));
        host.emit(EventKind::Section { title: call.text(0) })?;
        Ok(Dynamic::UNIT)
    },
};

/// `check`
pub static CHECK: Verb = Verb {
    name: "check",
    args: "title: text, [options: map], body: fn",
    effect: Effect::None,
    page: r#"Must hold before anything changes: the body returns false or throws, and the run ends.

The body is read-only on the database. A check may also stand after a step.
Options: `takes`, `optional`, `retry`, `timeout`, `when`, `item`, `every_run` (as of `verify`).

Gives: the body's value.

Errors: whatever the body raises; exit 1, or 5 where a step that changed the database stands.

```rhai
check("PostgreSQL version", || db::require_version(">=13"));
```"#,
    call: |host, call| scope(host, call, ItemKind::Check),
};

/// `step`
pub static STEP: Verb = Verb {
    name: "step",
    args: "title: text, [options: map], body: fn",
    effect: Effect::None,
    page: r#"May change things, happens exactly once, and is recorded.

All SQL of the body shares one transaction; the journal row is its last statement, so that the step
is recorded if and only if it took effect. A throw rolls everything back. One step has one kind of
effect: database writes, or external effects (commands, dumps, files).

Options: `takes`, `undo` (a body), `optional`, `retry` (3 or `#{tries, every}`), `timeout`,
`lock_timeout`, `transaction` (false: statements commit one by one), `isolation`, `lock_tables`,
`role`, `risk`, `when` (environment, or ["staging", "!production"]), `item` (a short id).

Gives: the body's value (JSON), on resume the recorded one.

Errors: whatever the body raises; `outer-assignment`, `mixed-effects`, `fenced`.

```rhai
step("Add the column", #{ undo: || db::exec("ALTER TABLE users DROP COLUMN phone") }, || {
    db::exec("ALTER TABLE users ADD COLUMN phone text")
});
```"#,
    call: |host, call| scope(host, call, ItemKind::Step),
};

/// `verify`
pub static VERIFY: Verb = Verb {
    name: "verify",
    args: "title: text, [options: map], body: fn",
    effect: Effect::None,
    page: r#"Must hold afterwards: read-only like a check, but its failure means the changes stand (exit 6).

Options: `takes`, `optional`, `retry`, `timeout`, `when`, `item`, `every_run` (looked at again also
where the run is resumed, or is done and has nothing left to do).

Gives: the body's value.

```rhai
verify("No reference points to nothing", || db::expect_no_orphans("orders", "user_id", "users", "id"));
```"#,
    call: |host, call| scope(host, call, ItemKind::Verify),
};

fn scope(host: &Rc<Host>, call: &Call<'_, '_>, kind: ItemKind) -> Result<Dynamic, Trouble> {
    let (options, undo) = item_options(call.verb.name, &call.any(1))?;
    if undo.is_some() && kind != ItemKind::Step {
        return Err(Fault::usage(
            "wrong-option",
            msg!("verbs.undo-of-check", verb = call.verb.name),
        )
        .into());
    }
    let Some(body) = call.body(2) else {
        return Err(
            Fault::usage("wrong-argument", msg!("verbs.no-body", verb = call.verb.name)).into()
        );
    };
    host.item(call, kind, &call.text(0), options, undo, &body)
}

/// An item's options; the undo body is taken out first, closures have no JSON form.
pub(super) fn item_options(
    verb: &str,
    given: &Dynamic,
) -> Result<(ItemOptions, Option<FnPtr>), Fault> {
    let mut map = given.clone().try_cast::<Map>().unwrap_or_default();
    let undo = match map.remove("undo") {
        None => None,
        Some(value) => match value.try_cast::<FnPtr>() {
            Some(body) => Some(body),
            None => {
                return Err(wrong_option(verb, "undo").remedy(msg!("verbs.undo-is-a-body")));
            }
        },
    };
    let options: ItemOptions = options(verb, &Dynamic::from_map(map))?;
    Ok((options.checked(verb)?, undo))
}
