//! `db::has_table`, `has_column`, `has_index`, `has_constraint`, `has_type`, `columns`: what there
//! is.

use serde_json::json;

use super::about::about;
use crate::host::Verb;
use crate::model::Effect;
use crate::postgres::catalog;

/// `db::has_table`
pub(crate) static HAS_TABLE: Verb = Verb {
    name: "db::has_table",
    args: "table: text",
    effect: Effect::Read,
    page: r#"Is there a table (plain, partitioned or foreign) of this name?

Names are case-exact ("Project") and may be schema-qualified; without a schema they are looked up along
the search path.

```rhai
let there = db::has_table("app.users");
```"#,
    call: |host, call| {
        let table = call.text(0);
        host.pass(about(call, &[&table]), call.planned(), || {
            Ok(json!(host.catalog(async |s| catalog::has_table(s, &table).await)?))
        })
    },
};

/// `db::has_column`
pub(crate) static HAS_COLUMN: Verb = Verb {
    name: "db::has_column",
    args: "table: text, column: text",
    effect: Effect::Read,
    page: r#"Has the table (or view) a column of this name? False where there is no such table.

```rhai
let there = db::has_column("users", "userType");
```"#,
    call: |host, call| {
        let (table, column) = (call.text(0), call.text(1));
        host.pass(about(call, &[&table]), call.planned(), || {
            Ok(json!(host.catalog(async |s| catalog::has_column(s, &table, &column).await)?))
        })
    },
};

/// `db::has_index`
pub(crate) static HAS_INDEX: Verb = Verb {
    name: "db::has_index",
    args: "index: text",
    effect: Effect::Read,
    page: r#"Is there an index of this name, valid or not? `require_index` also wants it valid.

```rhai
let there = db::has_index("users_email_idx");
```"#,
    call: |host, call| {
        let index = call.text(0);
        // Nobody knows on which table it would be.
        let mut action = about(call, &["*"]);
        action.target = index.clone();
        host.pass(action, call.planned(), || {
            Ok(json!(host.catalog(async |s| catalog::has_index(s, &index).await)?))
        })
    },
};

/// `db::has_constraint`
pub(crate) static HAS_CONSTRAINT: Verb = Verb {
    name: "db::has_constraint",
    args: "table: text, constraint: text",
    effect: Effect::Read,
    page: r#"Has the table a constraint of this name? False where there is no such table.

```rhai
let there = db::has_constraint("orders", "orders_user_id_fkey");
```"#,
    call: |host, call| {
        let (table, name) = (call.text(0), call.text(1));
        host.pass(about(call, &[&table]), call.planned(), || {
            Ok(json!(host.catalog(async |s| catalog::has_constraint(s, &table, &name).await)?))
        })
    },
};

/// `db::has_type`
pub(crate) static HAS_TYPE: Verb = Verb {
    name: "db::has_type",
    args: "name: text",
    effect: Effect::Read,
    page: r#"Is there a type of this name: one of the database's own, case and all, or a built-in one?

```rhai
let there = db::has_type("UserType");
```"#,
    call: |host, call| {
        let name = call.text(0);
        let mut action = about(call, &["*"]);
        action.target = name.clone();
        host.pass(action, call.planned(), || {
            Ok(json!(host.catalog(async |s| catalog::has_type(s, &name).await)?))
        })
    },
};

/// `db::columns`
pub(crate) static COLUMNS: Verb = Verb {
    name: "db::columns",
    args: "table: text",
    effect: Effect::Read,
    page: r#"Gives the columns of a table or view, in their order.

Gives: an array of `#{name, type, nullable, default, identity, generated}`; `type` as PostgreSQL writes
it, `character varying(20)`.

Errors: `no-such-table`.

```rhai
for column in db::columns("users") { note(`${column.name}: ${column.type}`); }
```"#,
    call: |host, call| {
        let table = call.text(0);
        host.pass(about(call, &[&table]), call.planned(), || {
            Ok(json!(host.catalog(async |s| catalog::columns(s, &table).await)?))
        })
    },
};
