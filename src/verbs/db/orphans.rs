//! `db::orphans`, `expect_no_orphans`: references that point to nothing.

use std::rc::Rc;

use serde_json::{Value, json};

use super::about::about;
use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Action, Effect, EventKind, Fault};
use crate::msg;
use crate::postgres::catalog::{self, Orphans};

/// `db::orphans`
pub(crate) static ORPHANS: Verb = Verb {
    name: "db::orphans",
    args: "child: text, column: text, parent: text, key: text",
    effect: Effect::Read,
    page: r#"Counts the rows of a table whose reference points to nothing. NULL is no reference.

Gives: `#{count, sample}`, `sample` with up to ten of the values, as texts.

Errors: the server's (42P01, 42703, 42883 where the types cannot be compared).

```rhai
let lost = db::orphans("orders", "user_id", "users", "id");
note(`${lost.count} orders without a user`);
```"#,
    call: |host, call| host.pass(action(call), call.planned(), || Ok(json!(found(host, call)?))),
};

/// `db::expect_no_orphans`
pub(crate) static EXPECT_NO_ORPHANS: Verb = Verb {
    name: "db::expect_no_orphans",
    args: "child: text, column: text, parent: text, key: text",
    effect: Effect::Read,
    page: r#"Fails where a reference points to nothing, and shows up to ten of the values.

Errors: `orphans`; the server's, as `orphans` has them.

```rhai
verify("No order without a user", || db::expect_no_orphans("orders", "user_id", "users", "id"));
```"#,
    call: |host, call| {
        host.pass(action(call), call.planned(), || {
            let orphans = found(host, call)?;
            let (child, column) = (call.text(0), call.text(1));
            let (parent, key) = (call.text(2), call.text(3));
            let what = format!("{child}.{column} -> {parent}.{key}");
            let holds = orphans.count == 0;
            host.emit(EventKind::Compared {
                what: what.clone(),
                left: json!(orphans.count),
                right: json!(0),
                holds,
            })?;
            if holds {
                return Ok(Value::Null);
            }
            Err(Fault::failed("orphans", msg!("verbs.orphans", count = orphans.count, what = what))
                .detail(orphans.sample.join(", "))
                .into())
        })
    },
};

fn action(call: &Call<'_, '_>) -> Action {
    let (child, parent) = (call.text(0), call.text(2));
    let mut action = about(call, &[&child, &parent]);
    action.target = format!("{child}.{} -> {parent}.{}", call.text(1), call.text(3));
    action
}

fn found(host: &Rc<Host>, call: &Call<'_, '_>) -> Result<Orphans, Trouble> {
    let given: Vec<String> = (0..4).map(|at| call.text(at)).collect();
    host.catalog(async |s| catalog::orphans(s, &given[0], &given[1], &given[2], &given[3]).await)
}
