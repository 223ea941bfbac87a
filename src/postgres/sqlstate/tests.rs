#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use super::*;
use crate::message::entries;

static ENGLISH: &str = include_str!("../../../messages/en/sqlstate.txt");
static KOREAN: &str = include_str!("../../../messages/ko/sqlstate.txt");

/// What people meet in migrations, and everything that the guides warn of.
const WANTED: &str = "08000 08001 08003 08004 08006 08007 08P01 0A000 21000 22001 22003 22004 22007 \
    22008 22012 22021 22023 22P02 22P04 22P05 23001 23502 23503 23505 23514 23P01 25001 25006 25P01 \
    25P02 25P03 26000 28000 28P01 2BP01 34000 38001 3D000 3F000 40001 40003 40P01 42501 42601 42602 \
    42622 42701 42702 42703 42704 42710 42723 42803 42804 42830 42846 42883 42939 42P01 42P04 42P06 \
    42P07 42P10 42P16 42P17 53100 53200 53300 53400 54000 54001 54011 55000 55006 55P03 55P04 57014 \
    57P01 57P02 57P03 57P04 57P05 58030 58P01 P0001 P0002 P0003 P0004 XX000 XX001 XX002";

/// The states and classes that a file has texts for, with what is said of each.
fn described(file: &'static str) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for (key, text) in entries(file) {
        if let [_, state, what] = key.split('.').collect::<Vec<_>>()[..] {
            assert!(found.entry(state).or_default().insert(what), "{key} stands twice");
            assert!(
                text.ends_with('.') && !text.contains('{'),
                "{key} relies on what may be absent"
            );
        }
    }
    found
}

#[test]
fn every_state_has_cause_and_remedy_in_both_languages() {
    let (english, korean) = (described(ENGLISH), described(KOREAN));
    assert_eq!(english, korean);
    let pair = BTreeSet::from(["cause", "remedy"]);
    for (state, said) in &english {
        assert_eq!(said, &pair, "{state}");
        if state.len() == 5 {
            assert!(condition_name(state).is_some(), "{state} is not in the manual's appendix");
            assert!(english.contains_key(&state[..2]), "{state} has no text for its class");
        }
    }
    for state in WANTED.split_whitespace() {
        assert!(english.contains_key(state), "{state}");
    }
}

#[test]
fn names_are_sorted_and_found() {
    assert!(names::NAMES.windows(2).all(|two| two[0].0 < two[1].0));
    assert_eq!(condition_name("23505"), Some("unique_violation"));
    assert_eq!(condition_name("XX002"), Some("index_corrupted"));
    assert_eq!(condition_name("99999"), None);
}

#[test]
fn a_state_without_words_of_its_own_takes_those_of_its_class() {
    let none = BTreeMap::new();
    let rare = explain("2203F", &none, &Arguments::default());
    assert_eq!(rare.cause, message::find("sqlstate.22.cause", &[]));
    let own = explain("22012", &none, &Arguments::default());
    assert_ne!(own.cause, rare.cause);
    let unknown = explain("ZZ999", &none, &Arguments::default());
    assert_eq!(unknown, Explained { cause: None, remedy: None, name: "" });
    assert_eq!(explain("é", &none, &Arguments::default()).cause, None);
}

#[test]
fn the_teams_words_replace_the_remedy_and_the_exact_state_wins() {
    let team = BTreeMap::from([
        ("23".to_string(), "ask the data team".to_string()),
        ("23505".to_string(), "dedupe {table} first: {detail} ({column})".to_string()),
    ]);
    let arguments =
        Arguments { table: Some("users"), detail: Some("Key (id)=(1)"), ..Arguments::default() };
    let exact = explain("23505", &team, &arguments);
    assert_eq!(exact.remedy.as_deref(), Some("dedupe users first: Key (id)=(1) ((not named))"));
    assert_eq!(exact.cause, message::find("sqlstate.23505.cause", &[]));
    let class = explain("23502", &team, &arguments);
    assert_eq!(class.remedy.as_deref(), Some("ask the data team"));
}

#[test]
fn a_fault_gets_what_it_lacks_and_keeps_what_it_has() {
    let none = BTreeMap::new();
    let mut fault = Fault::failed("sql", "x").sqlstate("23505").cause("known");
    fault.more.push(Fault::failed("sql", "y").sqlstate("55P03"));
    decorate(&mut fault, &none);
    assert_eq!(fault.cause.as_deref(), Some("known"));
    assert_eq!(fault.remedy, message::find("sqlstate.23505.remedy", &[]));
    assert_eq!(fault.more[0].cause, message::find("sqlstate.55P03.cause", &[]));

    let team = BTreeMap::from([("23".to_string(), "ask the data team".to_string())]);
    let mut fault = Fault::failed("sql", "x").sqlstate("23505").remedy("precise advice");
    decorate(&mut fault, &team);
    decorate(&mut fault, &team);
    assert_eq!(fault.remedy.as_deref(), Some("ask the data team\nprecise advice"));

    let mut fault = Fault::failed("sql", "x").sqlstate("23505");
    decorate(&mut fault, &none);
    decorate(&mut fault, &team);
    assert_eq!(fault.remedy.as_deref(), Some("ask the data team"));

    let mut plain = Fault::failed("x", "y");
    decorate(&mut plain, &team);
    assert_eq!(plain, Fault::failed("x", "y"));
}
