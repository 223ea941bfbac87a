//! `expect`, `expect_equal`, `expect_zero`: expectations that show their values.

use serde_json::{Value, json};

use crate::host::Verb;
use crate::model::{Action, Effect, Fault};
use crate::msg;
use crate::verbs::compared::settle;

/// `expect`
pub static EXPECT: Verb = Verb {
    name: "expect",
    args: "condition: any, message: text",
    effect: Effect::None,
    page: r#"Throws the message unless the condition is true.

Errors: `expectation`.

```rhai
expect(db::setting("wal_level") != "minimal", "wal_level must not be minimal");
```"#,
    call: |host, call| {
        let message = call.text(1);
        let action = Action::new("expect", Effect::None, message.clone());
        let condition = call.any(0);
        host.pass(action, call.planned(), || match condition.as_bool() {
            Ok(true) => Ok(Value::Null),
            Ok(false) => Err(Fault::failed("expectation", message).into()),
            Err(kind) => {
                Err(Fault::usage("wrong-argument", msg!("verbs.not-a-condition", given = kind))
                    .into())
            }
        })
    },
};

/// `expect_equal`
pub static EXPECT_EQUAL: Verb = Verb {
    name: "expect_equal",
    args: "what: text, left: any, right: any",
    effect: Effect::None,
    page: r#"Throws with both values unless they are equal.

Errors: `not-equal` with both values.

```rhai
let before = db::count("users");
expect_equal("users", before, db::count("users"));
```"#,
    call: |host, call| {
        let what = call.text(0);
        let action = Action::new("expect_equal", Effect::None, what.clone());
        host.pass(action, call.planned(), || settle(host, &what, call.json(1)?, call.json(2)?, &[]))
    },
};

/// `expect_zero`
pub static EXPECT_ZERO: Verb = Verb {
    name: "expect_zero",
    args: "what: text, number: any",
    effect: Effect::None,
    page: r#"Throws with the number unless it is zero.

Errors: `not-equal` with the number.

```rhai
expect_zero("users without an address", db::count("SELECT count(*) FROM users WHERE email IS NULL"));
```"#,
    call: |host, call| {
        let what = call.text(0);
        let action = Action::new("expect_zero", Effect::None, what.clone());
        host.pass(action, call.planned(), || settle(host, &what, call.json(1)?, json!(0), &[]))
    },
};
