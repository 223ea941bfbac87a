//! `db::sessions`, `require_no_sessions`: who is connected.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::about::{fact, listed};
use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Effect, Fault};
use crate::msg;
use crate::postgres::catalog::{self, Activity};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    except: Value,
}

/// `db::sessions`
pub(crate) static SESSIONS: Verb = Verb {
    name: "db::sessions",
    args: "[options: map]",
    effect: Effect::Read,
    page: r#"Gives the other sessions of this database; those of this run are left out.

Options: `except`: one `application_name` or several that do not count.

Gives: an array of `#{pid, user, application_name, client, state, since, transaction_since, query,
blocked_by}`. What this role may not see is `()`.

```rhai
for session in db::sessions(#{ except: "pgAdmin" }) { note(`${session.pid} ${session.application_name}`); }
```"#,
    call: |host, call| {
        host.pass(fact(call, ""), call.planned(), || {
            let options: Options = call.options(0)?;
            let except = listed(call.verb.name, "except", &options.except)?;
            Ok(json!(others(host, &except)?))
        })
    },
};

/// `db::require_no_sessions`
pub(crate) static REQUIRE_NO_SESSIONS: Verb = Verb {
    name: "db::require_no_sessions",
    args: "[options: map]",
    effect: Effect::Read,
    page: r#"Fails while others are connected to this database, and names each of them.

Options: `except`: one `application_name` or several that may stay connected.

Errors: `sessions` with process id, user, application and client of each.

```rhai
check("The application is stopped", #{ retry: #{ tries: 10, every: "3s" } }, || db::require_no_sessions());
```"#,
    call: |host, call| host.pass(fact(call, ""), call.planned(), || require_none(host, call)),
};

fn require_none(host: &Rc<Host>, call: &Call<'_, '_>) -> Result<Value, Trouble> {
    let options: Options = call.options(0)?;
    let except = listed(call.verb.name, "except", &options.except)?;
    let sessions = others(host, &except)?;
    if sessions.is_empty() {
        return Ok(Value::Null);
    }
    Err(Fault::failed("sessions", msg!("verbs.sessions", count = sessions.len()))
        .detail(lines(&sessions))
        .remedy(msg!("verbs.sessions.remedy"))
        .into())
}

/// The sessions that are not this run's.
pub(super) fn others(host: &Rc<Host>, except: &[String]) -> Result<Vec<Activity>, Trouble> {
    let except: Vec<&str> = except.iter().map(String::as_str).collect();
    let mut sessions = host.catalog(async |s| catalog::sessions(s, &except).await)?;
    let own = format!("runsheet/{}", host.run_id());
    sessions.retain(|session| !session.application_name.starts_with(&own));
    Ok(sessions)
}

/// One line for each session.
pub(super) fn lines(sessions: &[Activity]) -> String {
    let line = |session: &Activity| {
        msg!(
            "verbs.session",
            pid = session.pid,
            user = session.user.as_deref().unwrap_or("?"),
            application = session.application_name,
            client = session.client.as_deref().unwrap_or("local"),
            state = session.state.as_deref().unwrap_or("?")
        )
    };
    sessions.iter().map(line).collect::<Vec<_>>().join("\n")
}
