//! squawk's rules over a whole file, under their own names and in their own words.

use std::panic::{AssertUnwindSafe, catch_unwind};

use squawk_linter::Linter;
use squawk_syntax::{Parse, SourceFile};

use crate::sql::parse::SMALL;

/// What a rule found, at a byte of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) rule: String,
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// A file above this is data; its rows break no rule.
const LARGEST: usize = 32 << 20;
const LARGE_STACK: usize = 256 << 20;

/// What squawk's usual rules find in a text of SQL alone. Nothing where the parser gives up.
pub(super) fn violations(text: &str, parsed: Option<&Parse<SourceFile>>) -> Vec<Violation> {
    if text.len() > LARGEST {
        return Vec::new();
    }
    if let Some(parsed) = parsed {
        return catch_unwind(AssertUnwindSafe(|| ask(text, parsed))).unwrap_or_default();
    }
    let ask = || ask(text, &SourceFile::parse(text));
    let ask = || catch_unwind(AssertUnwindSafe(ask)).unwrap_or_default();
    if text.len() < SMALL {
        return ask();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(LARGE_STACK);
        let spawned = thread.spawn_scoped(scope, ask);
        spawned.ok().and_then(|thread| thread.join().ok()).unwrap_or_default()
    })
}

fn ask(text: &str, parsed: &Parse<SourceFile>) -> Vec<Violation> {
    let found = Linter::with_default_rules().lint(parsed, text);
    found
        .into_iter()
        .map(|one| Violation {
            rule: one.code.to_string(),
            offset: usize::from(one.text_range.start()),
            message: one.message,
            help: one.help,
        })
        .collect()
}
