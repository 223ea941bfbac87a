//! coverage: which item of a written guide is carried by which part of a playbook.
//!
//! The guide's items stand in `guide.toml` in the playbook's folder. An item is carried where its id
//! stands in a title, or in a comment inside or directly above. Nothing of the playbook runs.

use serde::Deserialize;
use serde_json::json;

use super::desk::Desk;
use crate::message::{Language, language};
use crate::model::{Fault, FaultKind};
use crate::msg;
use crate::playbook::{Playbook, find, guide_of, list};
use crate::report::Table;

/// What can carry an item: the words with which a playbook's line begins.
const CARRIERS: [&str; 9] =
    ["playbook", "lock", "check", "step", "verify", "manual", "approve", "always", "on_failure"];

/// A guide in the team's words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guide {
    title: Words,
    /// Other playbooks that carry items of the same guide.
    #[serde(default)]
    also: Vec<String>,
    item: Vec<Wanted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    en: String,
    ko: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    id: String,
    en: String,
    ko: String,
}

/// One part of a playbook with the comments that belong to it.
struct Carrier {
    kind: &'static str,
    title: String,
    file: String,
    line: usize,
    text: String,
}

/// `runsheet coverage [PLAYBOOK..]`: all that have a guide where none is named. 1 where an item is
/// carried by nothing.
pub(super) fn coverage(desk: &Desk, names: &[String]) -> Result<u8, Fault> {
    let names: Vec<String> = match names {
        [] => list(&desk.project)
            .into_iter()
            .map(|one| one.name)
            .filter(|name| guide_of(&desk.project, name).is_some())
            .collect(),
        names => names.to_vec(),
    };
    let (mut missing, mut pages) = (0, Vec::new());
    for name in &names {
        let playbook = find(&desk.project, name)?;
        let guide = read(desk, &playbook)?;
        let mut carriers = carriers(&playbook);
        for other in &guide.also {
            carriers.extend(self::carriers(&find(&desk.project, other)?));
        }
        let carried: Vec<(&Wanted, Vec<&Carrier>)> = guide
            .item
            .iter()
            .map(|item| (item, carriers.iter().filter(|one| holds(&one.text, &item.id)).collect()))
            .collect();
        let bare = carried.iter().filter(|(_, by)| by.is_empty()).count();
        missing += bare;
        if desk.common.json {
            pages.push(as_json(&playbook, &guide, &carried));
        } else {
            shown(desk, &playbook, &guide, &carried, bare);
        }
    }
    if desk.common.json {
        desk.json(&json!({ "guides": pages, "missing": missing }));
    }
    Ok(u8::from(missing > 0))
}

fn read(desk: &Desk, playbook: &Playbook) -> Result<Guide, Fault> {
    let name = &playbook.name;
    let Some((file, text)) = guide_of(&desk.project, name) else {
        return Err(Fault::usage("no-guide", msg!("cli.no-guide", playbook = name))
            .cause(msg!("cli.no-guide.cause", playbook = name)));
    };
    toml::from_str(&text).map_err(|error| {
        Fault::new(FaultKind::Usage, "bad-guide", msg!("cli.bad-guide", file = file))
            .detail(error.to_string())
    })
}

fn shown(
    desk: &Desk,
    playbook: &Playbook,
    guide: &Guide,
    carried: &[(&Wanted, Vec<&Carrier>)],
    bare: usize,
) {
    let mut out = format!("{} ({})\n\n", in_language(&guide.title), playbook.path_display);
    for (item, by) in carried {
        let words = match language() {
            Language::English => &item.en,
            Language::Korean => &item.ko,
        };
        out.push_str(&format!("  {}  {words}\n", item.id));
        let mut table = Table::new([] as [&str; 0]);
        for one in by {
            table.row([one.kind, &one.title, &format!("{}:{}", one.file, one.line)]);
        }
        for line in table.lines(desk.width().saturating_sub(8)) {
            out.push_str(&format!("        {line}\n"));
        }
        if by.is_empty() {
            out.push_str(&format!("        {}\n", msg!("cli.coverage.bare")));
        }
    }
    let of = carried.len();
    out.push_str(&format!("\n{}\n", msg!("cli.coverage.sum", n = of - bare, of = of)));
    desk.out(&out);
}

fn in_language(words: &Words) -> &str {
    match language() {
        Language::English => &words.en,
        Language::Korean => &words.ko,
    }
}

fn as_json(
    playbook: &Playbook,
    guide: &Guide,
    carried: &[(&Wanted, Vec<&Carrier>)],
) -> serde_json::Value {
    let items: Vec<_> = carried
        .iter()
        .map(|(item, by)| {
            let by: Vec<_> = by
                .iter()
                .map(|one| {
                    json!({
                        "kind": one.kind, "title": one.title, "file": one.file, "line": one.line,
                    })
                })
                .collect();
            json!({ "id": item.id, "en": item.en, "ko": item.ko, "carried_by": by })
        })
        .collect();
    json!({ "playbook": playbook.name, "title": in_language(&guide.title), "items": items })
}

/// The parts of a playbook in their order. A comment belongs to the part that begins in the line
/// below it, else to the one that it stands in; a blank line ends it.
fn carriers(playbook: &Playbook) -> Vec<Carrier> {
    let mut found: Vec<Carrier> = Vec::new();
    let mut above = String::new();
    for (at, line) in playbook.text.lines().enumerate() {
        let code = line.trim();
        if code.is_empty() {
            above.clear();
        } else if let Some(comment) = code.strip_prefix("//") {
            above.push_str(comment);
            above.push('\n');
        } else if let Some((kind, title)) = beginning(code) {
            let text = format!("{title}\n{above}{}", remark(code));
            let file = playbook.path_display.clone();
            found.push(Carrier { kind, title, file, line: at + 1, text });
            above.clear();
        } else {
            // A statement of its own, behind the last part.
            let outside = line.starts_with(|c: char| c.is_alphabetic());
            if let Some(inside) = found.last_mut().filter(|_| !outside) {
                inside.text.push_str(&above);
                inside.text.push_str(remark(code));
            }
            above.clear();
        }
    }
    found
}

/// `let dump = step("Back up", ..` is a step with its title, and so is `if p.backup { step("Back up", ..`.
fn beginning(code: &str) -> Option<(&'static str, String)> {
    let call = match code.strip_prefix("let ") {
        Some(rest) => rest.split_once('=')?.1.trim_start(),
        None => code,
    };
    let in_blocks = call.match_indices("{ ").map(|(at, brace)| &call[at + brace.len()..]);
    let (kind, rest) = std::iter::once(call).chain(in_blocks).find_map(|call| {
        let (word, rest) = call.split_once('(')?;
        Some((CARRIERS.into_iter().find(|known| *known == word)?, rest))
    })?;
    let mut parts = rest.split(['"', '`']);
    let title = match parts.next() {
        Some("") => parts.next().unwrap_or_default(),
        // A number, a parameter.
        other => other.unwrap_or_default().trim_end_matches([';', ')']),
    };
    Some((kind, title.to_string()))
}

/// The comment at the end of a line of code; an address in a text is none.
fn remark(code: &str) -> &str {
    code.rfind(" // ").map_or("", |at| &code[at..])
}

/// Does the text name this id, and not one that only begins like it? `G1.06.1` names `G1.06`.
fn holds(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + id.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(|c| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::playbook::Origin;

    fn ids_of(text: &str, id: &str) -> Vec<String> {
        let playbook = Playbook {
            name: "it".into(),
            path_display: "it.rhai".into(),
            text: text.into(),
            origin: Origin::Project,
            root: std::path::PathBuf::new(),
        };
        let found = carriers(&playbook);
        found.iter().filter(|one| holds(&one.text, id)).map(|one| one.title.clone()).collect()
    }

    #[test]
    fn an_id_belongs_to_the_item_below_its_comment_or_around_it() {
        let text = "// The whole guide (G1.01-G1.09).\n\nlet p = playbook(\"it\");\n\
            // G1.02 why\ncheck(\"first\", || true);\n\
            step(\"G1.03.1 second\", || {\n    // G1.04 how\n    work(); // G1.05\n});\n";
        assert_eq!(ids_of(text, "G1.02"), ["first"]);
        for id in ["G1.03", "G1.04", "G1.05"] {
            assert_eq!(ids_of(text, id), ["G1.03.1 second"], "{id}");
        }
        assert!(ids_of(text, "G1.01").is_empty(), "the headline carries nothing");
        assert!(ids_of(text, "G1.0").is_empty());
        assert!(ids_of("check(\"G1.10\", || true);", "G1.1").is_empty());
    }

    #[test]
    fn titles_are_read_in_both_kinds_of_quotes() {
        assert_eq!(beginning("let a = verify(`G2.05 ${x}`, || 1);").unwrap().1, "G2.05 ${x}");
        assert_eq!(beginning("lock(p.number);").unwrap(), ("lock", "p.number".into()));
        assert!(beginning("checked(\"a\");").is_none());
    }

    #[test]
    fn an_item_in_a_block_of_one_line_is_found() {
        let found = |code: &str| beginning(code).map(|(kind, title)| format!("{kind} {title}"));
        assert_eq!(found("if p.git { step(\"G3.17 new\", || 1); }").unwrap(), "step G3.17 new");
        let otherwise = "let saved = if p.none { () } else { step(\"G0.05 kept\", || 1) };";
        assert_eq!(found(otherwise).unwrap(), "step G0.05 kept");
        assert_eq!(
            found("for t in all() { verify(`G1.11 ${t}`, || 1); }").unwrap(),
            "verify G1.11 ${t}"
        );
        assert_eq!(found("if p.git { note(\"G3.17\"); }"), None);
    }
}
