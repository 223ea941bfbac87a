//! `db::wait_ready`, `identity`, `require_version`, `require_primary`, `require_database`,
//! `size`, `table_size`, `setting`: which server this is.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::about::{about, fact};
use crate::host::{Verb, bad_span};
use crate::model::{Effect, Fault, parse_span};
use crate::msg;
use crate::postgres::catalog;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patience {
    tries: Option<u32>,
    every: Option<String>,
}

/// `db::wait_ready`
pub(crate) static WAIT_READY: Verb = Verb {
    name: "db::wait_ready",
    args: "[options: map]",
    effect: Effect::Read,
    page: r#"Waits until the database answers, showing each attempt.

Options: `tries` (30), `every` ("2s"); `[run] connect_tries` and `connect_every` of runsheet.toml
say otherwise for all playbooks.

Gives: `#{attempts, tries}`: which attempt was answered.

Errors: the last attempt's (`no-server`, `starting-up`, `wrong-password`), exit 7.

```rhai
check("The database answers", || db::wait_ready(#{ tries: 60, every: "1s" }));
```"#,
    call: |host, call| {
        host.pass(fact(call, ""), call.planned(), || {
            let given: Patience = call.options(0)?;
            let usual = &host.setup.config.run;
            let every = match given.every {
                Some(text) => {
                    parse_span(&text).map_err(|text| bad_span(call.verb.name, "every", &text))?
                }
                None => usual.connect_every,
            };
            let tries = given.tries.unwrap_or(usual.connect_tries).max(1);
            host.connect(tries, every.min(Duration::from_secs(3600)))?;
            host.query("SELECT 1", &[])?;
            Ok(json!({ "attempts": host.attempts(), "tries": tries }))
        })
    },
};

/// `db::identity`
pub(crate) static IDENTITY: Verb = Verb {
    name: "db::identity",
    args: "",
    effect: Effect::Read,
    page: r#"Says which database this is.

Gives: `#{host, port, database, user, system_identifier, version, standby}`, and besides
`version_number` (150018), `timeline`, `encoding`, `read_only`, `server_started`. What this role may
not see is `()`.

```rhai
let here = db::identity();
note(`${here.database} on ${here.host}, PostgreSQL ${here.version}`);
```"#,
    call: |host, call| host.pass(fact(call, ""), call.planned(), || Ok(json!(host.identity()?))),
};

/// `db::require_version`
pub(crate) static REQUIRE_VERSION: Verb = Verb {
    name: "db::require_version",
    args: "versions: text",
    effect: Effect::Read,
    page: r#"Fails unless the server's version is one of these.

Operators `>=`, `>`, `<=`, `<`, `=`; several with commas, all of which must hold. A version is a major
(`13`) or a minor one (`13.4`); `<=15` includes 15.18.

Errors: `wrong-version` with the server's.

```rhai
check("PostgreSQL version", || db::require_version(">=13, <18"));
```"#,
    call: |host, call| {
        let wanted = call.text(0);
        host.pass(fact(call, &wanted), call.planned(), || {
            let identity = host.identity()?;
            let conditions = conditions(&wanted).ok_or_else(|| {
                Fault::usage("wrong-argument", msg!("verbs.not-versions", text = wanted))
                    .remedy(msg!("verbs.not-versions.remedy"))
            })?;
            if conditions.iter().all(|condition| condition.holds(identity.version_number)) {
                return Ok(Value::Null);
            }
            Err(Fault::failed(
                "wrong-version",
                msg!("verbs.wrong-version", wanted = wanted, found = identity.version),
            )
            .into())
        })
    },
};

#[derive(Debug, PartialEq, Eq)]
struct Condition {
    operator: &'static str,
    major: u32,
    minor: Option<u32>,
}

impl Condition {
    fn holds(&self, number: u32) -> bool {
        // Before 10, two numbers made a major version: 90624 is 9.6.24.
        let (major, minor) = match number {
            100_000.. => (number / 10_000, number % 10_000),
            _ => (number / 10_000, number / 100 % 100),
        };
        let order = match self.minor {
            Some(wanted) => (major, minor).cmp(&(self.major, wanted)),
            None => major.cmp(&self.major),
        };
        match self.operator {
            ">=" => order.is_ge(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            "<" => order.is_lt(),
            _ => order.is_eq(),
        }
    }
}

fn conditions(text: &str) -> Option<Vec<Condition>> {
    text.split(',')
        .map(|part| {
            let part = part.trim();
            let operator = [">=", "<=", "==", ">", "<", "="]
                .into_iter()
                .find(|operator| part.starts_with(operator));
            let version = part[operator.map_or(0, str::len)..].trim();
            let (major, minor) = match version.split_once('.') {
                Some((major, minor)) => (major, Some(minor.parse().ok()?)),
                None => (version, None),
            };
            Some(Condition { operator: operator.unwrap_or("="), major: major.parse().ok()?, minor })
        })
        .collect()
}

/// `db::require_primary`
pub(crate) static REQUIRE_PRIMARY: Verb = Verb {
    name: "db::require_primary",
    args: "",
    effect: Effect::Read,
    page: r#"Fails on a standby: it cannot be written to.

Errors: `standby`.

```rhai
check("We are on the primary", || db::require_primary());
```"#,
    call: |host, call| {
        host.pass(fact(call, ""), call.planned(), || {
            let standby = host.query("SELECT pg_catalog.pg_is_in_recovery()", &[])?;
            if standby.first() == Some(&Value::Bool(true)) {
                return Err(Fault::failed("standby", msg!("host.standby"))
                    .remedy(msg!("host.standby.remedy"))
                    .into());
            }
            Ok(Value::Null)
        })
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: Option<String>,
    host: Option<String>,
    system_identifier: Option<Value>,
}

/// `db::require_database`
pub(crate) static REQUIRE_DATABASE: Verb = Verb {
    name: "db::require_database",
    args: "expected: map",
    effect: Effect::Read,
    page: r#"Fails unless the server says that it is this database.

Options: `name`, `host` (as the connection string gives it), `system_identifier` (digits, as a text).
What is left out is not compared.

Errors: `wrong-database` with everything that differs.

```rhai
check("The right database", || db::require_database(#{ name: "shop" }));
```"#,
    call: |host, call| {
        host.pass(fact(call, ""), call.planned(), || {
            let wanted: Wanted = call.options(0)?;
            let found = host.identity()?;
            let digits = wanted
                .system_identifier
                .map(|value| value.as_str().map_or(value.to_string(), String::from));
            let wrong: Vec<String> = [
                ("database", wanted.name, found.database),
                ("host", wanted.host, found.host),
                ("system_identifier", digits, found.system_identifier.unwrap_or("?".into())),
            ]
            .into_iter()
            .filter_map(|(what, wanted, found)| {
                wanted.filter(|wanted| *wanted != found).map(|wanted| {
                    msg!("host.expected", what = what, wanted = wanted, found = found)
                })
            })
            .collect();
            if wrong.is_empty() {
                return Ok(Value::Null);
            }
            Err(Fault::failed("wrong-database", msg!("host.wrong-database"))
                .detail(wrong.join("\n"))
                .remedy(msg!("verbs.wrong-database.remedy"))
                .into())
        })
    },
};

/// `db::size`
pub(crate) static SIZE: Verb = Verb {
    name: "db::size",
    args: "",
    effect: Effect::Read,
    page: r#"Gives the size of the whole database in bytes.

```rhai
let bytes = db::size();
```"#,
    call: |host, call| {
        host.pass(fact(call, ""), call.planned(), || {
            Ok(json!(host.catalog(catalog::database_size)?))
        })
    },
};

/// `db::table_size`
pub(crate) static TABLE_SIZE: Verb = Verb {
    name: "db::table_size",
    args: "table: text",
    effect: Effect::Read,
    page: r#"Gives the size of a table in bytes: with indexes and TOAST, of a partitioned one with all partitions.

Errors: `no-such-table`.

```rhai
let bytes = db::table_size("users");
```"#,
    call: |host, call| {
        let table = call.text(0);
        host.pass(about(call, &[&table]), call.planned(), || {
            Ok(json!(host.catalog(async |s| catalog::table_size(s, &table).await)?))
        })
    },
};

/// `db::setting`
pub(crate) static SETTING: Verb = Verb {
    name: "db::setting",
    args: "name: text",
    effect: Effect::Read,
    page: r#"Gives a setting of the server as a text, as this session sees it.

Gives: `()` where the server does not know the setting, or hides it from this role.

```rhai
expect(db::setting("wal_level") != "minimal", "wal_level must not be minimal");
```"#,
    call: |host, call| {
        let name = call.text(0);
        host.pass(fact(call, &name), call.planned(), || {
            Ok(json!(host.catalog(async |s| catalog::setting(s, &name).await)?))
        })
    },
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_are_compared_by_major_unless_a_minor_is_given() {
        let holds = |text: &str, number| {
            conditions(text).unwrap().iter().all(|condition| condition.holds(number))
        };
        assert!(holds(">=13", 130_000) && holds("<=15", 150_018) && holds("=15", 150_018));
        assert!(!holds(">15", 150_018) && holds(">15", 160_000));
        assert!(holds(">=15.3, <16", 150_018) && !holds(">=15.19", 150_018));
        assert!(holds("=9.6", 90_624) && !holds(">=10", 90_624));
        assert_eq!(conditions("newest"), None);
    }
}
