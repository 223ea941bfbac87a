//! The words that a playbook may use: verbs, the script language's own functions, options.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use rhai::Engine;
use rhai::packages::{Package, StandardPackage};

use crate::host::{ItemOptions, Verb, from_json, options};
use crate::model::ItemKind;

/// What every script may call without a namespace, beside the standard functions.
const KEYWORDS: &[(&str, usize)] = &[
    ("print", 1),
    ("debug", 0),
    ("debug", 1),
    ("debug", 2),
    ("type_of", 1),
    ("Fn", 1),
    ("is_def_var", 1),
    ("is_def_fn", 2),
    ("is_def_fn", 3),
    ("is_shared", 1),
];

/// The namespaces of the verbs.
pub(super) fn rooms() -> impl Iterator<Item = &'static str> {
    let rooms: BTreeSet<&str> = crate::verbs::ALL.iter().map(|verb| verb.split_name().0).collect();
    rooms.into_iter().filter(|room| !room.is_empty())
}

/// Is this the namespace of verbs?
pub(super) fn is_room(name: &str) -> bool {
    rooms().any(|room| room == name)
}

/// A verb by its whole name.
pub(super) fn verb(name: &str) -> Option<&'static Verb> {
    crate::verbs::ALL.iter().copied().find(|verb| verb.name == name)
}

/// The bare names of the verbs of a namespace; the empty one has the items.
pub(super) fn names_in(room: &str) -> impl Iterator<Item = &'static str> {
    crate::verbs::ALL
        .iter()
        .map(|verb| verb.split_name())
        .filter(move |(known, _)| *known == room)
        .map(|(_, name)| name)
}

/// The item that a verb begins.
pub(super) fn item_kind(verb: &str) -> Option<ItemKind> {
    Some(match verb {
        "check" => ItemKind::Check,
        "step" => ItemKind::Step,
        "verify" => ItemKind::Verify,
        "manual" => ItemKind::Manual,
        "approve" => ItemKind::Approve,
        "always" => ItemKind::Always,
        "on_failure" => ItemKind::OnFailure,
        _ => return None,
    })
}

/// The script language's own functions, and with how many arguments they are called; a method has
/// its object as its first.
pub(super) fn natives() -> &'static BTreeMap<String, BTreeSet<usize>> {
    static NATIVES: OnceLock<BTreeMap<String, BTreeSet<usize>>> = OnceLock::new();
    NATIVES.get_or_init(|| {
        let mut engine = Engine::new_raw();
        StandardPackage::new().register_into_engine(&mut engine);
        let known = engine.collect_fn_metadata(
            None,
            |info| Some((info.metadata.name.to_string(), info.metadata.num_params)),
            true,
        );
        let mut natives: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let keywords = KEYWORDS.iter().map(|(name, arity)| (name.to_string(), *arity));
        for (name, arity) in known.into_iter().chain(keywords) {
            if name.starts_with(|c: char| c.is_alphabetic()) && !name.contains('$') {
                natives.entry(name).or_default().insert(arity);
            }
        }
        natives
    })
}

/// The options that a verb's page names; None where it has no such list.
pub(super) fn options_of(verb: &Verb) -> Option<Vec<&'static str>> {
    let (_, rest) = verb.page.split_once("Options:")?;
    let list = rest.split("\n\n").next().unwrap_or("");
    let list = list.split("Gives:").next().unwrap_or("");
    let words = list.split('`').skip(1).step_by(2);
    let is_name =
        |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    Some(words.filter(is_name).collect())
}

/// What is wrong with one option of an item, exactly as the run would say it.
pub(super) fn item_option(
    verb: &str,
    key: &str,
    value: serde_json::Value,
) -> Option<crate::model::Fault> {
    let map = from_json(serde_json::json!({ key: value }));
    options::<ItemOptions>(verb, &map).and_then(|options| options.checked(verb)).err()
}
