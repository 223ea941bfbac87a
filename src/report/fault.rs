//! A fault laid out for people: title, the user's own lines underlined, then labelled lines.
//!
//! One report may run through several files (the playbook's line outside, the SQL file's line
//! inside). Only single lines are carried along, so each snippet starts at its own line number.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::harmless::{harmless, one_line};
use super::line::painted;
use super::table::width_of;
use super::words::Tone;
use crate::model::{Fault, Place};
use crate::msg;

/// The fault as text, a line end after each line. `width` is in terminal cells.
pub fn render(fault: &Fault, width: usize, colour: bool) -> String {
    let width = width.max(40);
    let mut out = String::new();
    if !fault.more.is_empty() {
        let count = fault.more.len() + 1;
        let headline = match common_file(fault) {
            Some(file) => msg!("report.fault.problems-in", n = count, file = one_line(file)),
            None => msg!("report.fault.problems", n = count),
        };
        out.push_str(&painted(&headline, Tone::Heading, colour));
        out.push_str("\n\n");
    }
    out.push_str(&one(fault, width, colour));
    for further in &fault.more {
        out.push('\n');
        out.push_str(&render(further, width, colour));
    }
    out
}

fn common_file(fault: &Fault) -> Option<&str> {
    let first = fault.places.first()?.file.as_str();
    let same = |other: &Fault| other.places.first().is_some_and(|place| place.file == first);
    fault.more.iter().all(same).then_some(first)
}

fn one(fault: &Fault, width: usize, colour: bool) -> String {
    let title = harmless(&fault.message).into_owned();
    let code = one_line(&fault.code);
    let word = msg!("report.fault.error");
    let mut elements: Vec<Element<'_>> = Vec::new();
    for (at, place) in fault.places.iter().enumerate() {
        elements.push(element(place, at == 0));
    }
    for (label, text) in labelled(fault) {
        // "  = label: " stands before it.
        let room = width.saturating_sub(width_of(&label) + 6).max(20);
        let text = wrapped(&text, room);
        elements.push(Level::NOTE.with_name(label).message(text).into());
    }
    let mut heading = Level::ERROR.with_name(word).primary_title(title);
    if !code.is_empty() {
        heading = heading.id(code);
    }
    let group = Group::with_title(heading).elements(elements);
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.term_width(width).render(&[group]);
    text.push('\n');
    text
}

fn labelled(fault: &Fault) -> Vec<(String, String)> {
    let sqlstate = fault.sqlstate.as_ref().map(|state| one_line(state));
    [
        (msg!("report.fault.detail"), fault.detail.clone()),
        (msg!("report.fault.sqlstate"), sqlstate),
        (msg!("report.fault.cause"), fault.cause.clone()),
        (msg!("report.fault.done"), fault.done_so_far.clone()),
        (msg!("report.fault.remedy"), fault.remedy.clone()),
        (msg!("report.fault.next"), fault.next.clone()),
    ]
    .into_iter()
    .filter_map(|(label, text)| Some((label, harmless(&text?).trim_end().to_string())))
    .filter(|(_, text)| !text.is_empty())
    .collect()
}

fn element(place: &Place, innermost: bool) -> Element<'static> {
    let file = one_line(&place.file);
    if place.line == 0 || place.source.is_empty() {
        let mut origin = Origin::path(file);
        if place.line > 0 {
            origin = origin.line(place.line as usize);
            if place.column > 0 {
                origin = origin.char_column(place.column as usize);
            }
        }
        return origin.into();
    }
    // Pictures stand in for control characters one for one, so columns in characters stay right.
    let source = harmless(&place.source).replace('\n', " ");
    let span = byte_span(&source, place.column, place.length);
    let kind = if innermost { AnnotationKind::Primary } else { AnnotationKind::Context };
    let mut annotation = kind.span(span);
    if !place.label.is_empty() {
        annotation = annotation.label(one_line(&place.label));
    }
    Snippet::source(source).line_start(place.line as usize).path(file).annotation(annotation).into()
}

/// Bytes of `length` characters from a 1-based column; without a column the whole trimmed line.
fn byte_span(source: &str, column: u32, length: u32) -> std::ops::Range<usize> {
    if column == 0 {
        let start = source.len() - source.trim_start().len();
        return start..source.trim_end().len().max(start);
    }
    let at = |chars: usize| source.char_indices().nth(chars).map_or(source.len(), |(at, _)| at);
    let start = column as usize - 1;
    at(start)..at(start + length.max(1) as usize)
}

/// Breaks lines at blanks so that none takes more than `room` cells; a single long word stays.
pub(super) fn wrapped(text: &str, room: usize) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (at, line) in text.lines().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        if width_of(line) <= room {
            out.push_str(line);
            continue;
        }
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let mut used = 0;
        for word in line.split_whitespace() {
            if used > 0 && used + 1 + width_of(word) > room {
                out.push('\n');
                used = 0;
            }
            if used == 0 {
                out.push_str(&indent);
                used = indent.len();
            } else {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += width_of(word);
        }
    }
    out
}
