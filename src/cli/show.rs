//! show: a playbook's page, read from its text: nothing of it runs.

use rhai::{ASTNode, Expr, FnCallExpr, Stmt};
use serde_json::{Map, Value, json};

use super::desk::Desk;
use super::look::origin_word;
use crate::config::{Layers, ParamSource, resolve};
use crate::host::{Sources, to_json};
use crate::model::{Fault, Redactor};
use crate::msg;
use crate::report::Table;

/// Items that make the outline.
const ITEMS: [&str; 9] =
    ["section", "check", "step", "verify", "manual", "approve", "lock", "always", "on_failure"];

/// What a script says of itself.
#[derive(Default)]
struct Page {
    id: Option<String>,
    options: Map<String, Value>,
    imports: Vec<String>,
    /// Kind and title; a title that is put together at run time is shown with `${..}`.
    items: Vec<(String, String)>,
    sql: Vec<String>,
}

/// `runsheet show PLAYBOOK`
pub(super) fn show(desk: &Desk, name: &str) -> Result<u8, Fault> {
    let playbook = crate::playbook::find(&desk.project, name)?;
    let sources = Sources::default();
    let engine = rhai::Engine::new_raw();
    let ast = crate::engine::compile(&engine, &sources, &playbook.path_display, &playbook.text)?;
    let mut page = Page::default();
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        if let Some(node) = path.last() {
            page.take(node);
        }
        true
    });
    let params = params(desk, &playbook.name, &page);
    let text = |key: &str| page.options.get(key).and_then(Value::as_str).map(String::from);
    if desk.common.json {
        desk.json(&json!({
            "name": playbook.name, "file": playbook.path_display, "id": page.id,
            "title": text("title"), "guide": text("guide"), "risk": text("risk"),
            "takes": text("takes"), "imports": page.imports, "sql": page.sql,
            "params": params.iter().map(|one| json!({
                "name": one[0], "value": one[1], "from": one[2], "help": one[3],
            })).collect::<Vec<_>>(),
            "items": page.items.iter().map(|(kind, title)| json!({ "kind": kind, "title": title }))
                .collect::<Vec<_>>(),
        }));
        return Ok(0);
    }
    let title = text("title").or_else(|| page.id.clone()).unwrap_or_else(|| playbook.name.clone());
    let mut out = format!("{title}\n\n");
    let mut facts = Table::new([] as [&str; 0]);
    let file = format!("{} ({})", playbook.path_display, origin_word(playbook.origin));
    facts.row([&format!("  {}", msg!("cli.show.file")), &file]);
    let known = [
        (msg!("cli.show.id"), page.id.clone()),
        (msg!("cli.show.guide"), text("guide")),
        (msg!("cli.show.risk"), text("risk")),
        (msg!("cli.show.takes"), text("takes")),
        (msg!("cli.show.imports"), Some(page.imports.join(", ")).filter(|t| !t.is_empty())),
        (msg!("cli.show.sql"), Some(page.sql.join(", ")).filter(|t| !t.is_empty())),
    ];
    for (label, value) in known {
        if let Some(value) = value {
            facts.row([&format!("  {label}"), &value]);
        }
    }
    out.push_str(&facts.text(desk.width()));
    if !params.is_empty() {
        out.push_str(&format!("\n{}\n", msg!("cli.show.params")));
        let mut table = Table::new([] as [&str; 0]);
        for [name, value, from, help] in &params {
            table.row([&format!("  {name}"), value, from, help]);
        }
        out.push_str(&table.text(desk.width()));
    }
    out.push_str(&format!("\n{}\n", msg!("cli.show.items")));
    for (kind, title) in &page.items {
        out.push_str(&match kind.as_str() {
            "section" => format!("\n  {title}\n"),
            kind => format!("    {kind:<10} {title}\n"),
        });
    }
    desk.out(&out);
    Ok(0)
}

impl Page {
    fn take(&mut self, node: &ASTNode<'_>) {
        match node {
            ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _)) => {
                self.call(call);
            }
            ASTNode::Stmt(Stmt::Import(import, _)) => {
                self.imports.extend(shown(&import.0));
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &FnCallExpr) {
        let name = call.name.as_str();
        let first = call.args.first();
        if name == "playbook" && !call.is_qualified() {
            self.id = first.and_then(shown);
            self.options = call
                .args
                .get(1)
                .and_then(literal)
                .and_then(|value| value.as_object().cloned())
                .unwrap_or_default();
        } else if ITEMS.contains(&name) && !call.is_qualified() {
            let title = first.and_then(shown).unwrap_or_else(|| "..".into());
            self.items.push((name.into(), title));
        } else if let Some(path) = first.and_then(shown).filter(|path| path.ends_with(".sql"))
            && !self.sql.contains(&path)
        {
            self.sql.push(path);
        }
    }
}

/// A text; what is put into it at run time is shown as `${..}`.
fn shown(expr: &Expr) -> Option<String> {
    match expr {
        Expr::StringConstant(text, _) => Some(text.to_string()),
        Expr::InterpolatedString(parts, _) => {
            let parts = parts.iter().map(|part| shown(part).unwrap_or_else(|| "${..}".into()));
            Some(parts.collect())
        }
        Expr::Variable(variable, ..) => Some(format!("${{{}}}", variable.1)),
        _ => None,
    }
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
fn params(desk: &Desk, playbook: &str, page: &Page) -> Vec<[String; 4]> {
    let Some(params) = page.options.get("params").and_then(Value::as_object) else {
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
