//! Both languages say the same, and the sources ask only for what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, Token, root, sources};

/// Keys that are put together at run time begin with one of these; all others must be found in
/// the sources.
const LOOKED_UP: &[&str] = &["cli.help.", "sqlstate."];

/// What docs/ko/glossary.md has one word for, in words that it has not.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("세요", "-하십시오"),
    ("쿼리", "조회"),
    ("질의", "조회"),
    ("재개", "이어 가기"),
    ("인수", "인자"),
    ("제약 조건", "제약조건"),
    ("목록 파일", "매니페스트"),
    ("스탠바이", "대기 서버"),
    ("프라이머리", "주 서버"),
    ("접속 문자열", "연결 문자열"),
    ("합계 일치", "체크섬 일치"),
    ("(를)", "{name:을/를}"),
    ("(가)", "{name:이/가}"),
    ("(는)", "{name:은/는}"),
];

struct Entry {
    file: String,
    line: usize,
    key: String,
    text: String,
}

fn entries(file: &str, text: &str) -> (Vec<Entry>, Vec<String>) {
    let (mut entries, mut wrong) = (Vec::<Entry>::new(), Vec::new());
    let mut new_group = true;
    for (number, line) in text.lines().enumerate() {
        let line_number = number + 1;
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            new_group = true;
            continue;
        }
        let Some((key, text)) = line.split_once(" = ") else {
            wrong.push(format!("{file}:{line_number}: not `key = text`"));
            continue;
        };
        if let Some(before) = entries.last().filter(|_| !new_group)
            && before.key.as_str() >= key
        {
            wrong.push(format!("{file}:{line_number}: {key} belongs before {}", before.key));
        }
        new_group = false;
        entries.push(Entry {
            file: file.into(),
            line: line_number,
            key: key.trim().into(),
            text: text.into(),
        });
    }
    (entries, wrong)
}

fn placeholders(text: &str) -> BTreeSet<String> {
    let inside = text.split('{').skip(1).filter_map(|part| part.split_once('}'));
    // A brace before anything else is part of the text: `#{ title: .. }`, `:{?NAME}`.
    let named = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    inside
        .map(|(name, _)| name.split(':').next().unwrap_or(""))
        .filter(|name| !name.is_empty() && named(name))
        .map(String::from)
        .collect()
}

/// What is wrong with two languages, each a list of (file name, content).
fn compare(english: &[(String, String)], korean: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut read = |language: &str, files: &[(String, String)]| -> BTreeMap<String, Entry> {
        let mut all = BTreeMap::new();
        for (name, text) in files {
            let (entries, mut complaints) = entries(&format!("messages/{language}/{name}"), text);
            wrong.append(&mut complaints);
            for entry in entries {
                let (key, place) = (entry.key.clone(), format!("{}:{}", entry.file, entry.line));
                if key.split('.').next() != name.strip_suffix(".txt") {
                    wrong.push(format!("{place}: {key} belongs in another file"));
                }
                if all.insert(key.clone(), entry).is_some() {
                    wrong.push(format!("{place}: {key} is there twice"));
                }
            }
        }
        all
    };
    let (english, korean) = (read("en", english), read("ko", korean));
    for (key, entry) in &english {
        match korean.get(key) {
            None => wrong.push(format!("{}:{}: {key} has no Korean", entry.file, entry.line)),
            Some(other) if placeholders(&entry.text) != placeholders(&other.text) => {
                wrong.push(format!("{}:{}: {key} inserts other names", other.file, other.line));
            }
            Some(_) => {}
        }
    }
    for (key, entry) in korean.iter().filter(|(key, _)| !english.contains_key(*key)) {
        wrong.push(format!("{}:{}: {key} has no English", entry.file, entry.line));
    }
    wrong
}

struct Call {
    place: String,
    key: String,
    arguments: BTreeSet<String>,
}

/// The `msg!("key", name = value)` calls of a source.
fn calls(source: &Source) -> Vec<Call> {
    let tokens = &source.tokens;
    let mut calls = Vec::new();
    for at in 0..tokens.len() {
        let is_call = tokens[at].word() == Some("msg")
            && tokens.get(at + 1).is_some_and(|token| token.is('!'))
            && tokens.get(at + 2).is_some_and(|token| token.is('('));
        let Some(key) = tokens.get(at + 3).and_then(Token::text).filter(|_| is_call) else {
            continue;
        };
        calls.push(Call {
            place: format!("{}:{}", source.path, tokens[at].line),
            key: key.into(),
            arguments: arguments(tokens, at + 4),
        });
    }
    calls
}

/// The names before `=`, from behind the key to the closing parenthesis of the call.
fn arguments(tokens: &[Token], mut at: usize) -> BTreeSet<String> {
    let (mut depth, mut names) = (1, BTreeSet::new());
    while let Some(token) = tokens.get(at) {
        if token.is('(') || token.is('[') || token.is('{') {
            depth += 1;
        } else if token.is(')') || token.is(']') || token.is('}') {
            depth -= 1;
            if depth == 0 {
                break;
            }
        } else if depth == 1
            && token.is(',')
            && let Some(name) = tokens.get(at + 1).and_then(Token::word)
            && tokens.get(at + 2).is_some_and(|token| token.is('='))
        {
            names.insert(name.to_string());
        }
        at += 1;
    }
    names
}

/// What is wrong between the sources and the texts.
fn match_up(sources: &[Source], texts: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for call in sources.iter().flat_map(calls) {
        match texts.get(&call.key) {
            None => wrong.push(format!("{}: there is no text {}", call.place, call.key)),
            Some(text) if placeholders(text) != call.arguments => wrong.push(format!(
                "{}: {} inserts {:?} and is given {:?}",
                call.place,
                call.key,
                placeholders(text),
                call.arguments
            )),
            Some(_) => {}
        }
    }
    // A key in a table of data counts as used, too.
    let literals: BTreeSet<&str> =
        sources.iter().flat_map(|source| source.tokens.iter().filter_map(Token::text)).collect();
    for key in texts.keys() {
        let looked_up = LOOKED_UP.iter().any(|prefix| key.starts_with(prefix));
        if !looked_up && !literals.contains(key.as_str()) {
            wrong.push(format!("{key} is used nowhere"));
        }
    }
    wrong
}

fn files(language: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> =
        std::fs::read_dir(root().join("messages").join(language))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read_to_string(&path).unwrap())
            })
            .collect();
    files.sort();
    files
}

fn english() -> BTreeMap<String, String> {
    let files = files("en");
    let all = files.iter().flat_map(|(name, text)| entries(name, text).0);
    all.map(|entry| (entry.key, entry.text)).collect()
}

#[test]
fn both_languages_have_the_same_keys_and_names_in_order() {
    let wrong = compare(&files("en"), &files("ko"));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn korean_has_one_word_for_each_thing() {
    let lines = files("ko").into_iter().flat_map(|(name, text)| {
        let lines: Vec<(String, String)> =
            text.lines().map(|line| (name.clone(), line.to_string())).collect();
        lines
    });
    let wrong: Vec<String> = lines
        .flat_map(|(name, line)| {
            let other = OTHER_WORDS.iter().filter(|(other, _)| line.contains(other)).copied();
            other.map(|(_, word)| format!("{name}: {word}: {line}")).collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_sources_ask_for_what_is_there_and_nothing_lies_unused() {
    // What the message room itself shows as examples is no call.
    let sources: Vec<Source> =
        sources().into_iter().filter(|source| !source.path.starts_with("src/message")).collect();
    let wrong = match_up(&sources, &english());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_planted_difference_between_the_languages_is_found() {
    let file = |text: &str| vec![("sql.txt".to_string(), text.to_string())];
    let good = file("# sql\nsql.a = {n} of {table}\nsql.b = x\n");
    assert_eq!(compare(&good, &file("sql.a = {table:을/를} {n}\nsql.b = 가\n")), [""; 0]);
    for bad in [
        "sql.a = {n} {table}\n",
        "sql.a = {n}\nsql.b = x\n",
        "sql.b = x\nsql.a = {n} {table}\n",
        "sql.a = {n} {table}\nsql.b = x\nsql.b = y\n",
        "sql.a = {n} {table}\nsql.b = x\nsql.c = x\n",
        "sql.a = {n} {table}\nsql.b x\n",
        "sql.a = {n} {table}\nsql.b = x\ncli.c = x\n",
    ] {
        assert!(!compare(&good, &file(bad)).is_empty(), "{bad}");
    }
}

#[test]
fn every_planted_difference_to_the_sources_is_found() {
    let texts = BTreeMap::from([("sql.a".to_string(), "{n} of {table}".to_string())]);
    let tried = |text: &str| match_up(&[Source::new("src/sql/split.rs", text)], &texts);
    assert_eq!(tried(r#"fn a() { crate::msg!("sql.a", n = f(1, 2), table = t) }"#), [""; 0]);
    for bad in [
        r#"msg!("sql.a", n = 1)"#,
        r#"msg!("sql.a", n = 1, table = t, more = 2)"#,
        r#"msg!("sql.a", n = 1, table = t); msg!("sql.b")"#,
        r#"let nothing = 1;"#,
    ] {
        assert!(!tried(bad).is_empty(), "{bad}");
    }
}
