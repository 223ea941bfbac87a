//! show: a playbook's page, read from its text: nothing of it runs.

use rhai::{AST, ASTNode, Expr, Stmt};
use serde_json::{Map, Value, json};

use super::desk::Desk;
use super::look::origin_word;
use crate::config::{Layers, ParamSource, resolve};
use crate::engine::{OutlineKind, compile, outline_of};
use crate::host::{Sources, to_json};
use crate::model::{Fault, Redactor};
use crate::msg;
use crate::report::Table;

/// `runsheet show PLAYBOOK`
pub(super) fn show(desk: &Desk, name: &str) -> Result<u8, Fault> {
    let playbook = crate::playbook::find(&desk.project, name)?;
    let sources = Sources::default();
    let engine = rhai::Engine::new_raw();
    let ast = compile(&engine, &sources, &playbook.path_display, &playbook.text)?;
    let outline = outline_of(&desk.project, &playbook);
    let options = options(&ast);
    let params = params(desk, &playbook.name, &options);
    let text = |key: &str| options.get(key).and_then(Value::as_str).map(String::from);
    if desk.common.json {
        desk.json(&json!({
            "name": playbook.name, "file": playbook.path_display, "id": outline.id,
            "title": outline.title, "guide": text("guide"), "risk": text("risk"),
            "takes": text("takes"), "imports": outline.imports, "sql": outline.sql_files,
            "params": params.iter().map(|one| json!({
                "name": one[0], "value": one[1], "from": one[2], "help": one[3],
            })).collect::<Vec<_>>(),
            "items": outline.items.iter().map(|item| json!({
                "kind": kind_word(item.kind), "title": item.title, "undo": item.has_undo,
                "certain": item.certain, "file": item.file, "line": item.line,
            })).collect::<Vec<_>>(),
        }));
        return Ok(0);
    }
    let title = outline.title.as_ref().or(outline.id.as_ref()).unwrap_or(&playbook.name);
    let mut out = format!("{title}\n\n");
    let mut facts = Table::new([] as [&str; 0]);
    let file = format!("{} ({})", playbook.path_display, origin_word(playbook.origin));
    let joined = |list: &[String]| Some(list.join(", ")).filter(|text| !text.is_empty());
    let known = [
        (msg!("cli.show.file"), Some(file)),
        (msg!("cli.show.id"), outline.id.clone()),
        (msg!("cli.show.guide"), text("guide")),
        (msg!("cli.show.risk"), text("risk")),
        (msg!("cli.show.takes"), text("takes")),
        (msg!("cli.show.imports"), joined(&outline.imports)),
        (msg!("cli.show.sql"), joined(&outline.sql_files)),
    ];
    for (label, value) in known {
        if let Some(value) = value {
            facts.row([&label, &value]);
        }
    }
    indented(&facts, desk, &mut out);
    if !params.is_empty() {
        out.push_str(&format!("\n{}\n", msg!("cli.show.params")));
        let mut table = Table::new([] as [&str; 0]);
        params.iter().for_each(|param| table.row(param));
        indented(&table, desk, &mut out);
    }
    out.push_str(&format!("\n{}\n", msg!("cli.show.items")));
    for item in &outline.items {
        let title = item.title.clone().unwrap_or_else(|| "..".into());
        if item.kind == OutlineKind::Section {
            out.push_str(&format!("\n  {title}\n"));
            continue;
        }
        let mut remarks = Vec::new();
        if item.has_undo {
            remarks.push(msg!("cli.show.undo"));
        }
        if !item.certain || item.when {
            remarks.push(msg!("cli.show.perhaps"));
        }
        let remarks = match remarks.join(", ") {
            text if text.is_empty() => text,
            text => format!("  ({text})"),
        };
        out.push_str(&format!("    {:<10} {title}{remarks}\n", kind_word(item.kind)));
    }
    desk.out(&out);
    Ok(0)
}

fn indented(table: &Table, desk: &Desk, out: &mut String) {
    for line in table.lines(desk.width().saturating_sub(2)) {
        out.push_str(&format!("  {line}\n"));
    }
}

/// The word that the script has for it.
fn kind_word(kind: OutlineKind) -> String {
    match kind {
        OutlineKind::Section => "section".into(),
        OutlineKind::Item(kind) => {
            let word = serde_json::to_value(kind).unwrap_or_default();
            word.as_str().unwrap_or_default().to_string()
        }
    }
}

/// The literal options of `playbook(..)`.
fn options(ast: &AST) -> Map<String, Value> {
    let mut options = Map::new();
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        let call = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                call
            }
            _ => return true,
        };
        if call.name == "playbook"
            && !call.is_qualified()
            && let Some(Value::Object(found)) = call.args.get(1).and_then(literal)
        {
            options = found;
            return false;
        }
        true
    });
    options
}

/// The value of an expression that hangs on nothing; parts of a map that do are left out.
fn literal(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::Map(map, _) => {
            let entries = map.0.iter();
            let entries =
                entries.filter_map(|(key, value)| Some((key.name.to_string(), literal(value)?)));
            Some(Value::Object(entries.collect()))
        }
        other => to_json(&other.get_literal_value(None)?).ok(),
    }
}

/// Each parameter: name, value, where the value comes from, help.
fn params(desk: &Desk, playbook: &str, options: &Map<String, Value>) -> Vec<[String; 4]> {
    let Some(params) = options.get("params").and_then(Value::as_object) else {
        return Vec::new();
    };
    let read = |name: &str| std::env::var(name).ok();
    let config = &desk.config;
    // Without a database there may be no environment: its parameters are left out then.
    let environment =
        config.environment(desk.common.env.as_deref(), Some("postgres:///"), &read).ok();
    let environment = environment.map(|one| one.params).unwrap_or_default();
    let own = config.playbook_params.get(playbook).cloned().unwrap_or_default();
    let set = desk.set().unwrap_or_default();
    let declared = params
        .iter()
        .filter_map(|(name, value)| crate::host::declared(name.clone(), value.clone()).ok());
    declared
        .map(|one| {
            let help = one.help.clone().unwrap_or_default();
            let secret = one.secret;
            // One at a time: a wrong one must not hide the others.
            let layers = Layers {
                project: &config.params,
                playbook: &own.iter().filter(|(name, _)| **name == one.name).map(pair).collect(),
                environment: &environment,
                env: &read,
                prompted: &[],
                set: &set.iter().filter(|(name, _)| *name == one.name).cloned().collect::<Vec<_>>(),
            };
            let resolved = resolve(std::slice::from_ref(&one), &layers);
            let resolved = resolved.ok().and_then(|mut list| list.pop());
            let (value, from) = match resolved {
                Some(resolved) => (resolved.value, source_word(&resolved.source, &one.name)),
                None => (Value::Null, msg!("cli.show.missing")),
            };
            let value = match value {
                Value::Null => "–".into(),
                _ if secret => Redactor::BLANK.into(),
                Value::String(text) => text,
                other => other.to_string(),
            };
            [one.name, value, from, help]
        })
        .collect()
}

fn pair((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn source_word(source: &ParamSource, name: &str) -> String {
    match source {
        ParamSource::Default => msg!("cli.source.default"),
        ParamSource::Project => "[params]".into(),
        ParamSource::Playbook => "[playbook.NAME.params]".into(),
        ParamSource::Environment => msg!("cli.source.environment"),
        ParamSource::Variable(variable) => variable.clone(),
        ParamSource::Prompt => msg!("cli.source.prompt"),
        ParamSource::Set => format!("--set {name}"),
    }
}
