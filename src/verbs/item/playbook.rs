//! `playbook(id, #{..})`.

use crate::host::Verb;
use crate::model::Effect;

/// `playbook`
pub static PLAYBOOK: Verb = Verb {
    name: "playbook",
    args: "id: text, [options: map]",
    effect: Effect::None,
    page: r#"Names the playbook, declares its parameters, and begins the run.

It stands first and once. The id is the playbook's stable name in the ledger: a playbook is done
once per database unless it says `repeatable: true`.

Options: `title`, `guide`, `risk` (low, medium, high, very_high), `database` (the only name it may
run on), `takes` ("35m..85m"), `repeatable`, `unattended`, `params`, `remedies` (SQLSTATE or its first
two characters to the team's own words), `contacts`.
`unattended: true` is for what starts with a container, where nobody is asked: an unfinished run
with the same files is gone on with, another run is waited for as long as its holder lives, and a
failure is rolled back, unless the command line says otherwise.
A parameter is a value, or `#{value, env, help, required, secret, choices}`.
Weakest to strongest: the playbook's value, `[params]`, `[playbook.NAME.params]`, the environment's
params, the parameter's own `env` variable, `--set name=value`.

Gives: a map of the parameters, and `id`, `database`, `env`, `run_id`.

Errors: `parameter-missing`, `unknown-option`, `wrong-database`, `no-terminal`, `lease-held`,
`unfinished-run`, `inputs-changed`.

```rhai
let p = playbook("add_phone", #{ title: "Add a phone column", params: #{ table: "users" } });
```"#,
    call: |host, call| host.begin(call),
};
