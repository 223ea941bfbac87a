//! Words that several displays share: marks, kinds, times, values, targets.
//!
//! A mark is a symbol and a word, so that nobody needs colour to understand it.

use std::time::Duration;

use serde_json::Value;

use super::harmless::one_line;
use super::table::width_of;
use crate::model::{FinalState, Item, ItemKind, ItemState, Risk, format_span, parse_estimate};
use crate::msg;

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Heading,
    Dim,
    Good,
    Warn,
    Bad,
}

/// A symbol and its word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) symbol: &'static str,
    pub(super) word: String,
    pub(super) tone: Tone,
}

/// The mark of an item's end; None: it began and nobody wrote down how it ended.
pub(super) fn mark(kind: ItemKind, outcome: Option<&ItemState>) -> Mark {
    let (symbol, word, tone) = match outcome {
        Some(ItemState::Done { .. }) => ("✓", done_word(kind), Tone::Good),
        Some(ItemState::Replayed { .. }) => ("✓", msg!("report.mark.replayed"), Tone::Dim),
        Some(ItemState::Skipped { .. }) => ("–", msg!("report.mark.skipped"), Tone::Dim),
        Some(ItemState::Failed { optional: true, .. }) => {
            ("✗", msg!("report.mark.failed"), Tone::Warn)
        }
        Some(ItemState::Failed { .. }) => ("✗", msg!("report.mark.failed"), Tone::Bad),
        Some(ItemState::Planned) => ("→", msg!("report.mark.planned"), Tone::Plain),
        Some(ItemState::WillCheck) => ("?", msg!("report.mark.will-check"), Tone::Plain),
        Some(ItemState::DecidedWhenItRuns { .. }) => ("?", msg!("report.mark.decided"), Tone::Warn),
        Some(ItemState::NotAttested) => ("?", msg!("report.mark.not-attested"), Tone::Warn),
        None => ("?", msg!("report.mark.unfinished"), Tone::Warn),
    };
    Mark { symbol, word, tone }
}

fn done_word(kind: ItemKind) -> String {
    match kind {
        ItemKind::Check | ItemKind::Verify => msg!("report.mark.passed"),
        ItemKind::Manual => msg!("report.mark.ticked"),
        ItemKind::Approve => msg!("report.mark.approved"),
        ItemKind::Undo => msg!("report.mark.undone"),
        ItemKind::Step | ItemKind::Always | ItemKind::OnFailure => msg!("report.mark.done"),
    }
}

/// Cells that the widest mark word takes in the language of the process.
pub(super) fn mark_width() -> usize {
    [
        msg!("report.mark.passed"),
        msg!("report.mark.done"),
        msg!("report.mark.ticked"),
        msg!("report.mark.approved"),
        msg!("report.mark.undone"),
        msg!("report.mark.replayed"),
        msg!("report.mark.skipped"),
        msg!("report.mark.failed"),
        msg!("report.mark.running"),
        msg!("report.mark.planned"),
        msg!("report.mark.will-check"),
        msg!("report.mark.decided"),
        msg!("report.mark.not-attested"),
    ]
    .iter()
    .map(|word| width_of(word))
    .max()
    .unwrap_or(0)
}

/// What an item is, in one word.
pub(super) fn kind_word(kind: ItemKind) -> String {
    match kind {
        ItemKind::Check => msg!("report.kind.check"),
        ItemKind::Step => msg!("report.kind.step"),
        ItemKind::Verify => msg!("report.kind.verify"),
        ItemKind::Manual => msg!("report.kind.manual"),
        ItemKind::Approve => msg!("report.kind.approve"),
        ItemKind::Always => msg!("report.kind.always"),
        ItemKind::OnFailure => msg!("report.kind.on-failure"),
        ItemKind::Undo => msg!("report.kind.undo"),
    }
}

/// Risk in one word.
pub(super) fn risk_word(risk: Risk) -> String {
    match risk {
        Risk::Low => msg!("report.risk.low"),
        Risk::Medium => msg!("report.risk.medium"),
        Risk::High => msg!("report.risk.high"),
        Risk::VeryHigh => msg!("report.risk.very-high"),
    }
}

/// The title, its id before it where the title does not begin with it.
pub(super) fn name_of(item: &Item) -> String {
    match &item.id {
        Some(id) if !item.title.starts_with(id.as_str()) => format!("{id} {}", item.title),
        _ => item.title.clone(),
    }
}

/// What the end of a run means, as a headline: mark, and a sentence without full stop.
/// `loose` items failed where they may, or wait for somebody's tick.
pub(super) fn end_of(state: FinalState, loose: usize) -> (Mark, String) {
    let (symbol, tone, word, text) = match state {
        FinalState::Done if loose > 0 => {
            ("✓", Tone::Good, msg!("report.end.done"), msg!("report.state.done-loose", n = loose))
        }
        FinalState::Done => ("✓", Tone::Good, msg!("report.end.done"), msg!("report.state.done")),
        FinalState::NothingToDo => {
            ("✓", Tone::Good, msg!("report.end.nothing"), msg!("report.state.nothing-to-do"))
        }
        FinalState::Planned => {
            ("✓", Tone::Good, msg!("report.end.planned"), msg!("report.state.planned"))
        }
        FinalState::Stopped => {
            ("–", Tone::Warn, msg!("report.end.stopped"), msg!("report.state.stopped"))
        }
        FinalState::FailedUnchanged => {
            ("✗", Tone::Bad, msg!("report.end.failed"), msg!("report.state.failed-unchanged"))
        }
        FinalState::FailedSomeStand => {
            ("✗", Tone::Bad, msg!("report.end.failed"), msg!("report.state.failed-some-stand"))
        }
        FinalState::VerifyFailed => {
            ("✗", Tone::Bad, msg!("report.end.failed"), msg!("report.state.verify-failed"))
        }
        FinalState::RolledBack => {
            ("✓", Tone::Good, msg!("report.end.rolled-back"), msg!("report.state.rolled-back"))
        }
        FinalState::Unknown => {
            ("?", Tone::Bad, msg!("report.end.unknown"), msg!("report.state.unknown"))
        }
    };
    (Mark { symbol, word, tone }, text)
}

/// True for an end that a run may have and still be done, but that a reader must hear of.
pub(super) fn is_loose(outcome: &ItemState) -> bool {
    matches!(outcome, ItemState::NotAttested | ItemState::Failed { optional: true, .. })
}

/// True where the run ended badly.
pub(super) fn is_failure(state: FinalState) -> bool {
    matches!(
        state,
        FinalState::FailedUnchanged
            | FinalState::FailedSomeStand
            | FinalState::VerifyFailed
            | FinalState::Unknown
    )
}

/// Milliseconds for people.
pub(super) fn span(ms: u64) -> String {
    format_span(Duration::from_millis(ms))
}

/// True where a measured time is beyond the estimate's upper end.
pub(super) fn exceeds(takes: Option<&str>, took_ms: u64) -> bool {
    takes
        .and_then(|takes| parse_estimate(takes).ok())
        .is_some_and(|(_, high)| Duration::from_millis(took_ms) > high)
}

/// "12.1s (estimate 10m..30m)", and "estimate exceeded" where it was.
pub(super) fn took_beside(took_ms: u64, takes: Option<&str>) -> String {
    let took = span(took_ms);
    match takes {
        Some(takes) if exceeds(Some(takes), took_ms) => {
            msg!("report.took-exceeded", took = took, takes = one_line(takes))
        }
        Some(takes) => msg!("report.took-beside", took = took, takes = one_line(takes)),
        None => took,
    }
}

/// A backup's state in words that mean something; an unknown one as it is.
pub(super) fn backup_state(state: &str) -> String {
    match state {
        "checksummed" => msg!("report.backup.checksummed"),
        "readable" => msg!("report.backup.readable"),
        "verified" => msg!("report.backup.verified"),
        "unverified" => msg!("report.backup.unverified"),
        "external" => msg!("report.backup.external"),
        other => other.to_string(),
    }
}

/// A number with groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, c) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A value as a reader expects it: text without quotes, NULL, everything else as JSON.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".into(),
        other => other.to_string(),
    }
}

/// A counted value: whole numbers get groups.
pub(super) fn count_text(value: &Value) -> String {
    match value.as_i64() {
        Some(number) if number < 0 => format!("-{}", grouped(number.unsigned_abs())),
        Some(number) => grouped(number.unsigned_abs()),
        None => value_text(value),
    }
}

/// "2026-11-21 02:13:01 +09:00" out of RFC 3339; what is not a time stays as it is.
pub(super) fn moment(at: &str) -> String {
    let (Some(date), Some(time), Some(rest)) = (at.get(..10), at.get(11..19), at.get(19..)) else {
        return at.to_string();
    };
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let zone = if zone == "Z" { "UTC" } else { zone };
    format!("{date} {time} {zone}").trim_end().to_string()
}

/// "02:13:01" out of RFC 3339.
pub(super) fn clock(at: &str) -> &str {
    at.get(11..19).unwrap_or(at)
}

/// "iamvet_db on 127.0.0.1:5432 as runner, PostgreSQL 15.18" from what is known of the target.
pub(super) fn target_words(target: &Value) -> String {
    let field = |name: &str| target.get(name).filter(|v| !v.is_null()).map(value_text);
    let host = match (field("host"), field("port")) {
        (Some(host), Some(port)) if host.contains(':') => Some(format!("[{host}]:{port}")),
        (Some(host), Some(port)) if !host.starts_with('/') => Some(format!("{host}:{port}")),
        (host, _) => host,
    };
    let mut out = field("database").unwrap_or_default();
    if let Some(host) = host {
        out = msg!("report.target.on", database = out, host = host);
    }
    if let Some(user) = field("user") {
        out = msg!("report.target.as", target = out, user = user);
    }
    if let Some(version) = field("version") {
        let version = version.trim_start_matches("PostgreSQL ").to_string();
        out = format!("{out}, PostgreSQL {version}");
    }
    if out.is_empty() && !target.is_null() {
        out = value_text(target);
    }
    one_line(&out)
}

/// Contacts as "who: how" pairs: a map, an array of maps or of texts, or one text.
pub(super) fn contacts(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(map) => {
            map.iter().map(|(who, how)| (one_line(who), one_line(&plain_value(how)))).collect()
        }
        Value::Array(list) => list
            .iter()
            .map(|entry| match entry {
                Value::Object(map) => {
                    let mut parts = map.values().map(plain_value);
                    let who = parts.next().unwrap_or_default();
                    (one_line(&who), one_line(&parts.collect::<Vec<_>>().join(", ")))
                }
                other => (String::new(), one_line(&plain_value(other))),
            })
            .collect(),
        Value::String(text) if !text.is_empty() => vec![(String::new(), one_line(text))],
        _ => Vec::new(),
    }
}

fn plain_value(value: &Value) -> String {
    match value {
        Value::Array(list) => list.iter().map(plain_value).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| format!("{k}: {}", plain_value(v)))
            .collect::<Vec<_>>()
            .join(", "),
        other => value_text(other),
    }
}

/// Headings and cells of a playbook's table: an array of maps (columns in the order in which they
/// first appear) or an array of arrays (no headings).
pub(super) fn grid(rows: &Value) -> (Vec<String>, Vec<Vec<String>>) {
    let rows = match rows {
        Value::Array(rows) => rows.as_slice(),
        Value::Null => &[],
        other => std::slice::from_ref(other),
    };
    let mut headings: Vec<String> = Vec::new();
    for row in rows.iter().filter_map(Value::as_object) {
        for key in row.keys() {
            if !headings.contains(key) {
                headings.push(key.clone());
            }
        }
    }
    let cells = rows.iter().map(|row| match row {
        Value::Object(map) => {
            headings.iter().map(|key| map.get(key).map(value_text).unwrap_or_default()).collect()
        }
        Value::Array(list) => list.iter().map(value_text).collect(),
        other => vec![value_text(other)],
    });
    let cells = cells.collect();
    (headings, cells)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_target_is_named_without_secrets_and_with_brackets_around_ipv6() {
        let target = json!({"host": "::1", "port": 5432, "database": "shop", "user": "app"});
        assert_eq!(target_words(&target), "shop on [::1]:5432 as app");
        assert_eq!(
            target_words(&json!({"host": "/run/pg", "port": 1, "database": "d"})),
            "d on /run/pg"
        );
        assert_eq!(target_words(&Value::Null), "");
    }

    #[test]
    fn a_moment_keeps_its_zone() {
        assert_eq!(moment("2026-11-21T02:13:01.123+09:00"), "2026-11-21 02:13:01 +09:00");
        assert_eq!(moment("2026-11-21T02:13:01Z"), "2026-11-21 02:13:01 UTC");
        assert_eq!(moment("soon"), "soon");
    }

    #[test]
    fn numbers_have_groups() {
        assert_eq!(grouped(1234567), "1,234,567");
        assert_eq!(count_text(&json!(-1200)), "-1,200");
        assert_eq!(count_text(&json!(999)), "999");
    }

    #[test]
    fn a_table_takes_its_columns_as_they_first_appear() {
        let (headings, cells) = grid(&json!([{"a": 1}, {"b": null, "a": "x"}]));
        assert_eq!(headings, ["a", "b"]);
        assert_eq!(cells, [["1", ""], ["x", "NULL"]]);
    }
}
