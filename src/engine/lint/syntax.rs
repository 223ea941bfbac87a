//! A text that does not compile: the parser's words, and what to do where the reason is known.

use rhai::{LexError, ParseError, ParseErrorType};

use super::program::Unit;
use crate::model::Fault;
use crate::msg;

/// Words that the script language keeps for itself, as names of variables and as map keys.
const RESERVED: &[&str] = &[
    "as",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "const",
    "continue",
    "default",
    "do",
    "else",
    "export",
    "false",
    "fn",
    "for",
    "global",
    "go",
    "goto",
    "if",
    "import",
    "in",
    "is",
    "let",
    "loop",
    "match",
    "module",
    "new",
    "nil",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "shared",
    "spawn",
    "static",
    "super",
    "switch",
    "sync",
    "this",
    "thread",
    "throw",
    "true",
    "try",
    "until",
    "use",
    "var",
    "void",
    "while",
    "with",
    "yield",
    // As map keys only.
    "Fn",
    "call",
    "curry",
    "debug",
    "eval",
    "print",
    "type_of",
];

/// The fault of a text that does not compile.
pub(super) fn fault(error: &ParseError, unit: &Unit) -> Fault {
    let place = unit.place(error.position());
    let fault = Fault::usage("syntax", msg!("host.syntax", what = error.err_type()));
    let word = word_at(&place.source, place.column);
    let fault = match error.err_type() {
        ParseErrorType::Reserved(word) if is_word(word) => reserved(fault, word),
        ParseErrorType::BadInput(LexError::ImproperSymbol(word, _)) if is_word(word) => {
            reserved(fault, word)
        }
        ParseErrorType::PropertyExpected | ParseErrorType::VariableExpected
            if RESERVED.contains(&word.as_str()) =>
        {
            reserved(fault, &word)
        }
        ParseErrorType::MissingToken(token, _) if token == ";" || token == "," => {
            fault.remedy(msg!("engine.noticed-here.remedy"))
        }
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            fault.remedy(msg!("engine.open-text.remedy"))
        }
        _ => fault,
    };
    fault.place(place)
}

fn reserved(fault: Fault, word: &str) -> Fault {
    fault
        .cause(msg!("engine.reserved.cause", word = word))
        .remedy(msg!("engine.reserved.remedy", word = word))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn word_at(source: &str, column: u32) -> String {
    source
        .chars()
        .skip(column.saturating_sub(1) as usize)
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}
