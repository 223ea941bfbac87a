//! Every sentence that people read, in English and in Korean.
//!
//! The texts live in `messages/en/*.txt` and `messages/ko/*.txt`, one `key = text` a line, and are
//! compiled in. `{name}` inserts an argument; in Korean `{name:을/를}` inserts it with the particle
//! that fits its last sound, in English `{name:row/rows}` with the word for one or for many. A test
//! compares both languages and every key that the sources use. The language is chosen once per
//! process.

mod particle;

use std::cell::Cell;
use std::fmt::Display;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

pub use particle::with_particle;

/// The language that people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Korean.
    Korean,
}

impl Language {
    /// From `ko`, `ko_KR.UTF-8`, `en`, `C`. None where the word names another language.
    pub fn from_locale(locale: &str) -> Option<Self> {
        let word = locale.split(['_', '-', '.', '@']).next().unwrap_or("").to_lowercase();
        match word.as_str() {
            "ko" | "kor" | "korean" => Some(Self::Korean),
            "en" | "eng" | "english" | "c" | "posix" => Some(Self::English),
            _ => None,
        }
    }

    /// The stable word: `en`, `ko`.
    pub fn word(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }
}

static LANGUAGE: AtomicU8 = AtomicU8::new(0);

/// Chooses the language of this process.
pub fn set_language(language: Language) {
    LANGUAGE.store(language as u8, Ordering::Relaxed);
}

thread_local! {
    static SCOPED: Cell<Option<Language>> = const { Cell::new(None) };
}

/// Runs the body with another language on this thread: a report in the reader's language, and
/// tests of both languages side by side in one process.
pub fn in_language<R>(language: Language, body: impl FnOnce() -> R) -> R {
    struct Restore(Option<Language>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SCOPED.with(|scoped| scoped.set(self.0));
        }
    }
    let _restore = Restore(SCOPED.with(|scoped| scoped.replace(Some(language))));
    body()
}

/// The language of this process (or of the scope, see [`in_language`]); English until one is chosen.
pub fn language() -> Language {
    if let Some(language) = SCOPED.with(Cell::get) {
        return language;
    }
    if LANGUAGE.load(Ordering::Relaxed) == Language::Korean as u8 {
        Language::Korean
    } else {
        Language::English
    }
}

/// One file in its two languages, each cut into lines when its first sentence is needed: all of them
/// together would take longer than most commands take for the rest.
struct Room {
    name: &'static str,
    files: [&'static str; 2],
    lines: [OnceLock<Vec<(&'static str, &'static str)>>; 2],
}

macro_rules! rooms {
    ($($room:literal),* $(,)?) => {
        /// English, then Korean. Each file's keys begin with its name.
        static ROOMS: [Room; [$($room),*].len()] = [$(Room {
            name: $room,
            files: [
                include_str!(concat!("../../messages/en/", $room, ".txt")),
                include_str!(concat!("../../messages/ko/", $room, ".txt")),
            ],
            lines: [const { OnceLock::new() }; 2],
        }),*];
    };
}

rooms!(
    "cli",
    "config",
    "engine",
    "host",
    "journal",
    "lint",
    "pairs",
    "playbook",
    "postgres",
    "rehearsal",
    "report",
    "sql",
    "sqlstate",
    "system",
    "verbs",
);

/// The pattern of a key. The lines of a file stand in the order of their keys.
fn pattern(language: Language, key: &str) -> Option<&'static str> {
    let (name, _) = key.split_once('.')?;
    let room = ROOMS.iter().find(|room| room.name == name)?;
    let file = room.files[language as usize];
    let lines = room.lines[language as usize].get_or_init(|| entries(file).collect());
    let at = lines.binary_search_by(|(found, _)| (*found).cmp(key)).ok()?;
    Some(lines[at].1)
}

/// The `key = text` lines of a message file; `#` starts a comment line.
pub fn entries(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    file.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (key, text) = line.split_once(' ')?;
        Some((key, text.strip_prefix("= ")?.trim_end()))
    })
}

/// The text of a key in the language of the process, arguments inserted. See [`crate::msg`].
pub fn text(key: &str, arguments: &[(&str, &dyn Display)]) -> String {
    text_in(language(), key, arguments)
}

/// The text of a key in a given language.
pub fn text_in(language: Language, key: &str, arguments: &[(&str, &dyn Display)]) -> String {
    let Some(pattern) = pattern(language, key).or_else(|| pattern(Language::English, key)) else {
        return fallback(key, arguments);
    };
    fill(pattern, arguments)
}

/// The text of a key, or None where there is no such key: for tables looked up by data (SQLSTATE).
pub fn find(key: &str, arguments: &[(&str, &dyn Display)]) -> Option<String> {
    pattern(language(), key).map(|pattern| fill(pattern, arguments))
}

fn fallback(key: &str, arguments: &[(&str, &dyn Display)]) -> String {
    let mut text = key.to_string();
    for (name, value) in arguments {
        text.push_str(&format!(" {name}={value}"));
    }
    text
}

fn fill(pattern: &str, arguments: &[(&str, &dyn Display)]) -> String {
    let mut out = String::with_capacity(pattern.len() + 32);
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|at| open + at) else { break };
        push_escaped(&mut out, &rest[..open]);
        let inside = &rest[open + 1..close];
        let (name, particle) = inside.split_once(':').unwrap_or((inside, ""));
        match arguments.iter().find(|(given, _)| *given == name) {
            Some((_, value)) if particle.is_empty() => out.push_str(&value.to_string()),
            Some((_, value)) => out.push_str(&with_particle(&value.to_string(), particle)),
            None => out.push_str(&rest[open..=close]),
        }
        rest = &rest[close + 1..];
    }
    push_escaped(&mut out, rest);
    out
}

fn push_escaped(out: &mut String, text: &str) {
    match text.contains('\\') {
        true => out.push_str(&text.replace("\\n", "\n")),
        false => out.push_str(text),
    }
}

/// A sentence for people: `msg!("sql.nul-byte", file = name, line = 3)`.
#[macro_export]
macro_rules! msg {
    ($key:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::message::text($key, &[$((stringify!($name), &$value as &dyn std::fmt::Display)),*])
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_inserted_with_their_particles() {
        let arguments: &[(&str, &dyn Display)] = &[("table", &"users"), ("n", &3)];
        assert_eq!(fill("{n} rows of {table}\\nleft", arguments), "3 rows of users\nleft");
        assert_eq!(fill("{table:을/를} {n:이/가}", &[("table", &"표"), ("n", &3)]), "표를 3이");
        assert_eq!(fill("{n:row is/rows are} left", arguments), "3 rows are left");
        assert_eq!(fill("{n:row is/rows are} left", &[("n", &1)]), "1 row is left");
        assert_eq!(fill("left {unknown}", arguments), "left {unknown}");
    }

    #[test]
    fn every_key_of_every_file_is_found_and_nothing_else() {
        for room in &ROOMS {
            let languages = [Language::English, Language::Korean];
            for (language, file) in languages.into_iter().zip(room.files) {
                assert_eq!(entries(file).count() + 1, file.lines().count(), "{}", room.name);
                for (key, text) in entries(file) {
                    assert_eq!(pattern(language, key), Some(text), "{key}");
                    assert_eq!(pattern(language, &format!("{key}.")), None, "{key}");
                }
            }
        }
        for unknown in ["", "cli", "cli.", "cli.zzz", "nowhere.to-be-found"] {
            assert_eq!(pattern(Language::English, unknown), None);
        }
    }

    #[test]
    fn a_scope_speaks_its_own_language_and_gives_the_old_one_back() {
        let outside = language();
        let inside = in_language(Language::Korean, language);
        assert_eq!((inside, language()), (Language::Korean, outside));
    }

    #[test]
    fn a_locale_picks_the_language() {
        assert_eq!(Language::from_locale("ko_KR.UTF-8"), Some(Language::Korean));
        assert_eq!(Language::from_locale("C.UTF-8"), Some(Language::English));
        assert_eq!(Language::from_locale("fr_FR"), None);
    }
}
