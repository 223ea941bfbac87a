#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::{Backup, BackupNeed, Rule, Way};
use crate::model::Risk;

const FULL: &str = r#"
[project]
name = "shop"
language = "ko"

[environments.staging]
url = "postgres://localhost/shop_staging"
unprotected = true

[environments.production]
url_env = "DATABASE_URL"
protected = true
expect = { database = "shop", host = "db", port = 5432, user = "app", system_identifier = "73" }
params = { health = "https://shop.example.com/health" }
rehearsal = { commands = { pm2 = "skip", npx = "run", docker = ["true", "x"] } }

[params]
tries = 0x1E
ratio = 0.5
tables = ["users", "orders"]
since = 2026-01-02
[playbook.normalize.params]
sql = "sql/003.sql"
[commands]
allow = ["pm2", "docker"]
risk = { pm2 = "low" }
[files]
allow = ["/var/www/shop", "../shared"]
[policy]
medium = { way = "auto", rehearsal = true }
very_high = { way = "forbid" }
[backup]
dir = "dumps"
keep = 5
[remedies]
"23505" = "duplicates: run scripts/dedupe"
"08" = "ask the platform team"
[contacts]
dba = "dba@example.com"
[ledger]
schema = "ops"
[state]
dir = "/var/lib/runsheet"
[postgres]
bin = "/usr/lib/postgresql/15/bin"
[run]
lock_timeout = "500ms"
statement_timeout = "15m"
wait = "1m"
watch = "0s"
connect_tries = 5
connect_every = "1s"
[server]
free_bytes_query = "SELECT 1"
"#;

fn parse(text: &str) -> Result<Config, Fault> {
    Config::parse(Path::new("/p"), text)
}

fn complaints(text: &str) -> Vec<Fault> {
    let fault = parse(text).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.kind.exit_code()), ("config", 2));
    fault.more
}

/// The one complaint of a text: its code, and what is underlined.
fn complaint(text: &str) -> (String, String) {
    let all = complaints(text);
    assert_eq!(all.len(), 1, "{all:?}");
    (all[0].code.clone(), underlined(&all[0]))
}

fn underlined(fault: &Fault) -> String {
    let place = &fault.places[0];
    let from = place.column as usize - 1;
    place.source.chars().skip(from).take(place.length as usize).collect()
}

#[test]
fn every_key_of_the_file_arrives() {
    let config = parse(FULL).unwrap();
    assert_eq!((config.name.as_str(), config.language), ("shop", Some(Language::Korean)));
    assert!(config.environments["staging"].unprotected);
    let production = &config.environments["production"];
    assert!(production.protected);
    assert_eq!(production.url_env.as_deref(), Some("DATABASE_URL"));
    assert_eq!(production.expect.port, Some(5432));
    assert_eq!(production.expect.host.as_deref(), Some("db"));
    assert_eq!(production.expect.user.as_deref(), Some("app"));
    assert_eq!(production.params["health"], json!("https://shop.example.com/health"));
    let commands = &production.rehearsal_commands;
    assert_eq!(commands["pm2"], RehearsalCommand::Skip);
    assert_eq!(commands["npx"], RehearsalCommand::Run);
    assert_eq!(commands["docker"], RehearsalCommand::Replace(vec!["true".into(), "x".into()]));
    assert_eq!(config.params["tries"], json!(30));
    assert_eq!(config.params["ratio"], json!(0.5));
    assert_eq!(config.params["tables"], json!(["users", "orders"]));
    assert_eq!(config.params["since"], json!("2026-01-02"));
    assert_eq!(config.playbook_params["normalize"]["sql"], json!("sql/003.sql"));
    assert_eq!(config.commands, ["pm2", "docker"]);
    assert_eq!(config.command_risks, [("pm2".to_string(), Risk::Low)].into());
    assert_eq!(config.files, [Path::new("/var/www/shop"), Path::new("/p/../shared")]);
    assert_eq!(
        config.policy.rule(Risk::Medium),
        Rule {
            way: Way::Auto,
            backup: BackupNeed::Recommended,
            rehearsal: true,
            two_person: false
        }
    );
    assert_eq!(config.policy.rule(Risk::VeryHigh).way, Way::Forbid);
    let backup = Backup { dir: "/p/dumps".into(), keep: Some(5), ..Backup::default() };
    assert_eq!(config.backup, backup);
    assert_eq!(config.remedies["08"], "ask the platform team");
    assert_eq!(config.contacts["dba"], json!("dba@example.com"));
    assert_eq!(config.ledger_schema, "ops");
    assert_eq!(config.state_dir, Path::new("/var/lib/runsheet"));
    assert_eq!(config.postgres_bin.as_deref(), Some(Path::new("/usr/lib/postgresql/15/bin")));
    assert_eq!(config.run.lock_timeout, Duration::from_millis(500));
    assert_eq!(config.run.statement_timeout, Some(Duration::from_secs(900)));
    assert_eq!(config.run.wait, Duration::from_secs(60));
    assert_eq!(config.run.watch, None);
    assert_eq!((config.run.connect_tries, config.run.connect_every.as_secs()), (5, 1));
    assert_eq!(config.free_bytes_query.as_deref(), Some("SELECT 1"));
    assert!(config.warnings.is_empty());
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = parse("").unwrap();
    assert_eq!((config.name.as_str(), config.ledger_schema.as_str()), ("p", "runsheet"));
    assert_eq!(config.run, RunDefaults::default());
    assert_eq!(config.state_dir, Path::new("/p/.runsheet"));
    assert_eq!(config.policy.rule(Risk::Low).way, Way::Auto);
    let high = config.policy.rule(Risk::High);
    assert_eq!((high.way, high.backup, high.rehearsal), (Way::Manual, BackupNeed::Required, true));
}

#[test]
fn all_mistakes_are_said_at_once_in_the_order_of_the_file() {
    let all = complaints(
        "[run]\nlock_timeout = 2\nwait = \"soon\"\n[environments.production]\nprotcted = true\n\
         url = \"\"\n[comands]\n",
    );
    let codes: Vec<_> = all.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "config-type",
            "config-duration",
            "config-unknown-key",
            "config-empty",
            "config-unknown-key"
        ]
    );
    let lines: Vec<_> = all.iter().map(|one| one.places[0].line).collect();
    assert_eq!(lines, [2, 3, 5, 6, 7]);
    assert!(all[0].message.contains("run.lock_timeout"));
    assert!(all[2].remedy.as_deref().unwrap().contains("protected"));
    assert!(all[4].remedy.as_deref().unwrap().contains("commands"));
    assert_eq!(underlined(&all[1]), "\"soon\"");
    assert_eq!(underlined(&all[2]), "protcted");
}

#[test]
fn each_kind_of_mistake_is_underlined() {
    for (text, code, mark) in [
        ("[environments.a]\nwindows = [\"Tue 2-5\"]", "config-value", "\"Tue 2-5\""),
        (
            "[environments.a]\nwindows = [\"Tue 02:00-05:00 Mars\"]",
            "config-value",
            "\"Tue 02:00-05:00 Mars\"",
        ),
        ("[environments.a]\nfreeze = [\"soon\"]", "config-value", "\"soon\""),
        ("[policy]\nveryhigh = {}", "config-risk", "veryhigh"),
        ("[policy]\nhigh = { way = \"automatic\" }", "config-value", "\"automatic\""),
        ("[commands]\nallow = [\"pm2\", \"npm run x\"]", "config-command", "\"npm run x\""),
        ("[commands]\nallow = [\"/usr/bin/pm2\"]", "config-command", "\"/usr/bin/pm2\""),
        ("[commands]\nallow = [3]", "config-type", "3"),
        ("[files]\nallow = [\"~/x\"]", "config-path", "\"~/x\""),
        ("[files]\nallow = [\"/\"]", "config-path", "\"/\""),
        ("[remedies]\n235 = \"x\"", "config-sqlstate", "235"),
        ("[remedies]\n\"23p01\" = \"x\"", "config-sqlstate", "\"23p01\""),
        ("[ledger]\nschema = \"pg_runs\"", "config-schema", "\"pg_runs\""),
        ("[backup]\nkeep = 0", "config-value", "0"),
        ("[params]\nx = nan", "config-value", "nan"),
        ("[project]\nlanguage = \"fr\"", "config-value", "\"fr\""),
        ("project = 3", "config-type", "3"),
        ("[environments.p]\nprotected = true\nunprotected = true", "config-conflict", "true"),
        ("[environments.p]\nexpect = { port = 70000 }", "config-value", "70000"),
        ("[environments.p]\nrehearsal.commands.pm2 = \"no\"", "config-value", "\"no\""),
        ("a = 1 b", "config-syntax", "1 b"),
    ] {
        let found = complaint(text);
        assert_eq!((found.0.as_str(), found.1.as_str()), (code, mark), "{text}");
    }
}

#[test]
fn two_addresses_for_one_environment_are_refused_without_showing_the_password() {
    let all = complaints("[environments.p]\nurl_env = \"X\"\nurl = \"postgres://u:geheim@h/d\"");
    assert_eq!(all[0].code, "config-conflict");
    let pasted = complaints("[environments.p]\nurl_env = \"postgres://u:geheim@h/d\"");
    assert_eq!(pasted[0].code, "config-value");
    assert!(!format!("{all:?}{pasted:?}").contains("geheim"));
    assert_eq!(underlined(&pasted[0]), "\"postgres://u:******@h/d\"");
}

#[test]
fn a_password_in_the_file_is_a_warning_that_does_not_repeat_it() {
    let config = parse("[environments.p]\nurl = \"postgres://u:ge/h@im@h/d\" # x").unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(config.warnings[0].code, "config-password");
    assert_eq!(config.warnings[0].places[0].source, "url = \"postgres://u:******@h/d\" # x");
    assert!(!format!("{config:?}").contains("h@im"));
    let config = parse("[environments.p]\nurl = \"postgres://h/d?password=geheim&x=1\"").unwrap();
    assert_eq!(config.warnings[0].places[0].source, "url = \"postgres://h/d?password=******&x=1\"");
    assert!(
        parse("[environments.p]\nurl = \"postgres://u@h:5432/d\"").unwrap().warnings.is_empty()
    );
}

#[test]
fn several_syntax_mistakes_are_said_together() {
    let all = complaints("[run\nx = 1\ny = = 2\n");
    assert!(all.len() >= 2, "{all:?}");
    assert!(all.iter().all(|one| one.code == "config-syntax"));
    assert_eq!(all[0].places[0].line, 1);
}

#[test]
fn a_file_is_found_from_below_and_read_with_its_byte_order_mark() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    assert_eq!(find_project(&below), below);
    assert!(Config::load(dir.path()).unwrap().file.is_none());
    std::fs::write(dir.path().join(FILE_NAME), "\u{feff}[project]\r\nname = \"x\"\r\n").unwrap();
    assert_eq!(find_project(&below), dir.path());
    let config = Config::load(&find_project(&below)).unwrap();
    assert_eq!(config.name, "x");
    assert_eq!(config.file.unwrap(), dir.path().join(FILE_NAME));
}

#[test]
fn a_file_that_is_not_utf8_or_not_a_file_is_a_fault_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, b"[project]\nname = \"\xc7\xd1\"\n").unwrap();
    let fault = Config::load(dir.path()).unwrap_err();
    assert_eq!(fault.more[0].code, "config-encoding");
    assert_eq!((fault.more[0].places[0].line, fault.more[0].places[0].column), (2, 9));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(Config::load(dir.path()).unwrap_err().detail.is_some());
}

#[test]
fn the_manuals_example_is_a_file_without_mistakes() {
    let manual = include_str!("../../../docs/configuration.md");
    let example = manual.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = parse(example).unwrap();
    assert!(config.warnings.is_empty());
    assert_eq!(config.environments.len(), 2);
    // The tables name every default as it is.
    for default in ["\"2s\"", "\"0s\"", "`30`", "\"backups\"", "\"runsheet\"", "\".runsheet\""] {
        assert!(manual.contains(default), "{default}");
    }
}
