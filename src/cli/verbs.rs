//! verbs: the reference, printed from the verbs' own pages.

use serde_json::{Value, json};

use super::args::Common;
use crate::host::Verb;
use crate::model::{Effect, Fault, nearest};
use crate::msg;
use crate::report::Table;
use crate::verbs::ALL;

/// `runsheet verbs [NAME]`. Needs no project.
pub(super) fn verbs(common: &Common, name: Option<&str>, as_markdown: bool) -> Result<u8, Fault> {
    let text = match name {
        _ if as_markdown => markdown(),
        None if common.json => {
            pretty(&Value::Array(ALL.iter().map(|verb| as_json(verb)).collect()))
        }
        None => list(),
        Some(name) => {
            let found = named(name)?;
            if common.json {
                pretty(&Value::Array(found.iter().map(|verb| as_json(verb)).collect()))
            } else {
                found.iter().map(|verb| page(verb)).collect::<Vec<_>>().join("\n")
            }
        }
    };
    super::desk::write_out(&text);
    Ok(0)
}

/// By full name, by bare name, or all of a namespace.
fn named(name: &str) -> Result<Vec<&'static Verb>, Fault> {
    let name = name.trim_end_matches("()");
    let room = name.trim_end_matches("::");
    let exact = ALL.iter().filter(|verb| verb.name == name);
    let bare = ALL.iter().filter(|verb| verb.split_name().1 == name);
    let of_room = ALL.iter().filter(|verb| verb.split_name().0 == room && !room.is_empty());
    for found in
        [exact.copied().collect::<Vec<_>>(), bare.copied().collect(), of_room.copied().collect()]
    {
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let known = ALL.iter().flat_map(|verb| [verb.name, verb.split_name().1]);
    let fault =
        Fault::usage("verb-unknown", msg!("cli.verb-unknown", name = name)).next("runsheet verbs");
    Err(match nearest(name, known) {
        Some(guess) => fault.remedy(msg!("cli.did-you-mean", guess = guess)),
        None => fault,
    })
}

/// Namespaces in the order of the list, the items of a checklist first.
fn rooms() -> Vec<(&'static str, Vec<&'static Verb>)> {
    let mut rooms: Vec<(&str, Vec<&Verb>)> = Vec::new();
    for &verb in ALL {
        let room = verb.split_name().0;
        match rooms.iter_mut().find(|(name, _)| *name == room) {
            Some((_, verbs)) => verbs.push(verb),
            None => rooms.push((room, vec![verb])),
        }
    }
    rooms
}

fn heading(room: &str) -> String {
    if room.is_empty() { msg!("cli.verbs.items") } else { format!("{room}::") }
}

fn first_line(verb: &Verb) -> &'static str {
    verb.page.lines().next().unwrap_or_default()
}

fn list() -> String {
    let mut out = String::new();
    for (room, verbs) in rooms() {
        let mut table = Table::new([] as [&str; 0]);
        for verb in verbs {
            table.row([verb.name, first_line(verb)]);
        }
        let lines = table.lines(160).into_iter().map(|line| format!("  {line}\n"));
        out.push_str(&format!("{}\n{}\n", heading(room), lines.collect::<String>()));
    }
    out.push_str(&msg!("cli.verbs.more"));
    out.push('\n');
    out
}

fn effect_word(effect: Effect) -> String {
    match effect {
        Effect::None => msg!("cli.effect.none"),
        Effect::Read => msg!("cli.effect.read"),
        Effect::Write => msg!("cli.effect.write"),
        Effect::External => msg!("cli.effect.external"),
    }
}

fn arguments(verb: &Verb) -> String {
    let list: Vec<String> = verb
        .arguments()
        .map(|argument| {
            let text = format!("{}: {}", argument.name, argument.kind.replace('|', " | "));
            if argument.optional { format!("[{text}]") } else { text }
        })
        .collect();
    format!("{}({})", verb.name, list.join(", "))
}

fn page(verb: &Verb) -> String {
    let effect = effect_word(verb.effect);
    format!("{}\n{effect}\n\n{}\n", arguments(verb), verb.page.trim_end())
}

/// The whole reference, as `docs/verbs.md` keeps it: English, whatever the reader's language.
pub(super) fn markdown() -> String {
    let written = || {
        let mut out = format!("# {}\n\n{}\n", msg!("cli.verbs.title"), msg!("cli.verbs.intro"));
        for (room, verbs) in rooms() {
            out.push_str(&format!("\n## {}\n", heading(room)));
            for verb in verbs {
                out.push_str(&format!(
                    "\n### `{}`\n\n*{}*\n\n{}\n",
                    arguments(verb),
                    effect_word(verb.effect),
                    verb.page.trim_end()
                ));
            }
        }
        out
    };
    crate::message::in_language(crate::message::Language::English, written)
}

fn as_json(verb: &Verb) -> Value {
    let arguments: Vec<Value> = verb
        .arguments()
        .map(|a| json!({ "name": a.name, "types": a.kind.split('|').collect::<Vec<_>>(), "optional": a.optional }))
        .collect();
    json!({
        "name": verb.name, "arguments": arguments, "effect": verb.effect,
        "usage": verb.usage(), "page": verb.page,
    })
}

fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_verb_is_found_by_name_by_bare_name_and_by_room() {
        assert_eq!(named("db::count").unwrap().len(), 1);
        assert_eq!(named("count").unwrap()[0].name, "db::count");
        assert!(named("db").unwrap().len() > 1);
        let fault = named("db::cuont").err().unwrap();
        assert!(fault.remedy.unwrap().contains("db::count"));
    }

    #[test]
    fn the_reference_has_every_verb_once() {
        let text = markdown();
        for verb in ALL {
            assert_eq!(text.matches(&format!("### `{}(", verb.name)).count(), 1, "{}", verb.name);
        }
    }
}
