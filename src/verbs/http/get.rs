//! `http::get`: what an address answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::fetch::{LONGEST_BODY, Request, TIMEOUT, checked_url, fetch};
use crate::host::Verb;
use crate::model::{Action, Effect, Fault, format_bytes};
use crate::msg;
use crate::verbs::given::{self, OneOrMany};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct GetOptions {
    timeout: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    status: Option<OneOrMany>,
}

/// `http::get`
pub(in crate::verbs) static GET: Verb = Verb {
    name: "http::get",
    args: "url: text, [options: map]",
    effect: Effect::Read,
    page: r#"Asks an address and gives its answer.

Redirections are followed. Without `status` every status is an answer.

Options: `timeout` ("10s"), `headers` (a map), `status` (a number or several: anything else fails).

Gives: `#{status, body}`; the body as text, at most 1 MiB.

Errors: `http-failed`, `http-timeout`, `http-status`, `http-body-too-long`, `bad-url`.

```rhai
let answer = http::get("http://127.0.0.1:3000/version", #{ status: 200 });
note(answer.body);
```"#,
    call: |host, call| {
        let url = call.text(0);
        let options: GetOptions = call.options(1)?;
        let timeout = given::span(call.verb.name, "timeout", options.timeout.as_deref(), TIMEOUT)?;
        let mut action = Action::new(call.verb.name, Effect::Read, url.clone());
        // A command that a plan has recorded may change what the address answers.
        action.touches = vec!["*".into()];
        let stand_in = json!({ "status": 200, "body": "" });
        host.pass_look_outside(action, call.planned(), stand_in, || {
            checked_url(&url)?;
            let headers = options.headers.into_iter().collect();
            let answer = fetch(host, Request { url: url.clone(), timeout, headers })?;
            if answer.cut {
                let limit = format_bytes(LONGEST_BODY);
                return Err(Fault::failed(
                    "http-body-too-long",
                    msg!("verbs.http.too-long", url = url, limit = limit),
                )
                .into());
            }
            if options.status.is_some_and(|wanted| !wanted.has(answer.status.into())) {
                return Err(Fault::failed(
                    "http-status",
                    msg!("verbs.http.status", url = url, status = answer.status),
                )
                .detail(answer.body.chars().take(500).collect::<String>())
                .into());
            }
            Ok(json!({ "status": answer.status, "body": answer.body }))
        })
    },
};
