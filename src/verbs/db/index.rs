//! `db::index_concurrently`: an index built without blocking writers, wrecks repaired.

use std::rc::Rc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use super::about::listed;
use crate::host::{Call, External, Host, Repeat, Trouble, Verb, wrong_option};
use crate::model::{Action, Effect, EventKind, Fault, Risk, quote_ident, quote_name};
use crate::msg;

/// `db::index_concurrently`
pub(crate) static INDEX_CONCURRENTLY: Verb = Verb {
    name: "db::index_concurrently",
    args: "index: map",
    effect: Effect::External,
    page: r#"Builds an index without blocking writers, in a step that does nothing else to the database.

An INVALID index of that name, the wreck of a build that failed, is dropped and built again. A valid
one with the same definition is left as it is; with another definition it is a fault. A build that
fails clears its own wreck away.

Options: `name`, `table`, `on` (columns, or expressions like `lower(email)` and `created_at DESC`; one
or several), `unique`, `where`, `method` (`btree`, `gin`, ..).

Gives: `#{name, built, repaired, took_ms}`.

Errors: `index-differs`, `index-being-built` where somebody else builds it just now; the server's (23505
where rows are not unique).

```rhai
step("Index for the search", || db::index_concurrently(
    #{ name: "users_email_idx", table: "users", on: ["lower(email)"], unique: true }));
```"#,
    call: |host, call| {
        let wish = match call.planned() {
            Some(_) => Wish::default(),
            None => Wish::of(call)?,
        };
        let mut action = Action::new(call.verb.name, Effect::External, wish.name.clone())
            .statement(wish.sql("CONCURRENTLY ", &quote_name(&wish.table)));
        action.touches = vec![wish.table.to_lowercase()];
        action.risk = Some(Risk::Medium);
        action.locks = vec![format!("SHARE UPDATE EXCLUSIVE on {}", wish.table)];
        action.remarks = vec![msg!("verbs.runs-alone")];
        host.pass_external(
            External {
                action,
                repeat: Repeat::Probe(&|| stands(host, &wish)),
                probed: result(&wish, true, false, Instant::now()),
                perform: Box::new(|| build(host, &wish)),
            },
            call.planned(),
        )
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    name: String,
    table: String,
    on: Value,
    #[serde(default)]
    unique: bool,
    r#where: Option<String>,
    method: Option<String>,
}

#[derive(Default)]
struct Wish {
    name: String,
    table: String,
    unique: bool,
    /// What stands behind the table: `USING btree (a) WHERE b`.
    how: String,
}

impl Wish {
    fn of(call: &Call<'_, '_>) -> Result<Self, Fault> {
        let options: Options = call.options(0)?;
        let on = listed(call.verb.name, "on", &options.on)?;
        if on.is_empty() {
            return Err(wrong_option(call.verb.name, "on")
                .remedy(msg!("host.see-verb", verb = call.verb.name)));
        }
        let parts: Vec<String> = on.iter().map(|part| column_or_expression(part)).collect();
        let mut how = String::new();
        if let Some(method) = &options.method {
            how.push_str(&format!("USING {} ", quote_ident(method)));
        }
        how.push_str(&format!("({})", parts.join(", ")));
        if let Some(condition) = &options.r#where {
            how.push_str(&format!(" WHERE {condition}"));
        }
        Ok(Self { name: options.name, table: options.table, unique: options.unique, how })
    }

    fn sql(&self, concurrently: &str, table: &str) -> String {
        let unique = if self.unique { "UNIQUE " } else { "" };
        format!(
            "CREATE {unique}INDEX {concurrently}{} ON {table} {}",
            quote_ident(&self.name),
            self.how
        )
    }
}

/// A bare word is a column, case and all; anything else is taken as SQL.
fn column_or_expression(part: &str) -> String {
    let part = part.trim();
    let bare = part.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !part.starts_with(|c: char| c.is_ascii_digit());
    if bare { quote_ident(part) } else { part.into() }
}

/// An index of that name in the table's schema.
#[derive(Deserialize)]
struct There {
    /// Its name as SQL, with its schema.
    sql: String,
    valid: bool,
    definition: String,
    same_table: bool,
    being_built: bool,
}

const THERE: &str = "SELECT (SELECT json_build_object(\
        'sql', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'valid', i.indisvalid, \
        'definition', pg_get_indexdef(c.oid), 'same_table', i.indrelid = t.oid, \
        'being_built', EXISTS (SELECT FROM pg_stat_progress_create_index p \
            WHERE p.index_relid = c.oid AND p.pid <> pg_backend_pid())) \
    FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace \
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2 \
    JOIN pg_index i ON i.indexrelid = c.oid WHERE t.oid = to_regclass($1))";

fn there(host: &Rc<Host>, wish: &Wish) -> Result<Option<There>, Trouble> {
    let rows = host.query(THERE, &[quote_name(&wish.table).into(), json!(wish.name)])?;
    let found = rows.first().cloned().unwrap_or(Value::Null);
    serde_json::from_value(found)
        .map_err(|error| Fault::failed("bad-answer", error.to_string()).into())
}

fn build(host: &Rc<Host>, wish: &Wish) -> Result<Value, Trouble> {
    let started = Instant::now();
    let mut repaired = false;
    match there(host, wish)? {
        Some(index) if index.valid || !index.same_table => {
            let wanted = definition(host, wish)?;
            if index.same_table && how_of(&index.definition) == how_of(&wanted) {
                host.emit(EventKind::Note { text: msg!("verbs.index-there", index = wish.name) })?;
                return Ok(result(wish, false, false, started));
            }
            return Err(Fault::failed(
                "index-differs",
                msg!("verbs.index-differs", index = wish.name),
            )
            .detail(msg!("verbs.index-differs.detail", found = index.definition, wanted = wanted))
            .into());
        }
        Some(index) if index.being_built => {
            return Err(Fault::failed(
                "index-being-built",
                msg!("verbs.index-being-built", index = wish.name),
            )
            .remedy(msg!("verbs.index-being-built.remedy"))
            .into());
        }
        Some(index) => {
            host.emit(EventKind::Note { text: msg!("verbs.index-wreck", index = wish.name) })?;
            host.run_alone(&format!("DROP INDEX CONCURRENTLY {}", index.sql))?;
            repaired = true;
        }
        None => {}
    }
    if let Err(trouble) = host.run_alone(&wish.sql("CONCURRENTLY ", &quote_name(&wish.table))) {
        // After Ctrl-C within limits; else whoever goes on finds the wreck and clears it.
        let _ = host.tidying(|| stands(host, wish));
        return Err(trouble);
    }
    match there(host, wish)? {
        Some(index) if index.valid => Ok(result(wish, true, repaired, started)),
        _ => Err(Fault::failed("invalid-index", msg!("verbs.invalid-index", index = wish.name))
            .cause(msg!("verbs.invalid-index.cause"))
            .into()),
    }
}

/// Does the announced index stand? Clears its wreck away where it does not.
fn stands(host: &Rc<Host>, wish: &Wish) -> Result<Option<bool>, Trouble> {
    Ok(match there(host, wish)? {
        Some(index) if !index.same_table || index.being_built => None,
        Some(index) if index.valid => Some(true),
        Some(wreck) => {
            host.run_alone(&format!("DROP INDEX CONCURRENTLY {}", wreck.sql))?;
            Some(false)
        }
        None => Some(false),
    })
}

fn result(wish: &Wish, built: bool, repaired: bool, started: Instant) -> Value {
    let took = started.elapsed().as_millis() as u64;
    json!({ "name": wish.name, "built": built, "repaired": repaired, "took_ms": took })
}

/// The wanted index as the server writes it down: built on an empty copy of the table that is
/// never committed. Where this role may make no temporary tables, as the playbook wrote it.
fn definition(host: &Rc<Host>, wish: &Wish) -> Result<String, Trouble> {
    let copy = "pg_temp.runsheet_index_probe";
    let sql = format!(
        "BEGIN; CREATE TEMPORARY TABLE runsheet_index_probe (LIKE {}) ON COMMIT DROP; {}; \
         SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = '{copy}'::regclass; \
         ROLLBACK",
        quote_name(&wish.table),
        wish.sql("", copy)
    );
    let session = host.session()?;
    let answer = host.wait(async {
        let answer = session.simple(&sql).await;
        if answer.is_err() {
            let _ = session.batch("ROLLBACK").await;
        }
        answer
    })?;
    let told = answer.ok().and_then(|results| {
        results
            .into_iter()
            .find_map(|result| result.cells.into_iter().next()?.into_iter().next()?)
    });
    Ok(told.unwrap_or_else(|| wish.sql("", &quote_name(&wish.table))))
}

/// Unique or not, and everything behind the table's name.
fn how_of(definition: &str) -> (bool, String) {
    let how = match definition.find(" USING ") {
        Some(at) => &definition[at..],
        None => definition.find(" (").map_or("", |at| &definition[at..]),
    };
    (definition.starts_with("CREATE UNIQUE"), how.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_word_is_a_column_and_all_else_is_sql() {
        assert_eq!(column_or_expression("userType"), "\"userType\"");
        assert_eq!(column_or_expression("lower(email)"), "lower(email)");
        assert_eq!(column_or_expression("created_at DESC"), "created_at DESC");
    }

    #[test]
    fn definitions_are_compared_without_the_names_of_table_and_index() {
        let one = "CREATE UNIQUE INDEX a ON public.t USING btree (x) WHERE (y > 0)";
        let other = "CREATE UNIQUE INDEX b ON pg_temp_3.p USING btree (x) WHERE (y > 0)";
        assert_eq!(how_of(one), how_of(other));
        assert_ne!(how_of(one), how_of(&other.replace("UNIQUE ", "")));
    }
}
