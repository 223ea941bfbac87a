//! Whole outputs of one night, in both languages, looked at by eye and kept as snapshots; and what
//! no snapshot shows: escapes, secrets, speed.
#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::sample::{Night, failure, fault, plan, resumed_and_rolled_back, success};
use super::screen::Screen;
use super::sink::Sink;
use super::*;
use crate::message::{Language, in_language};
use crate::model::{
    Action, Advance, Backup, BackupFile, Effect, EventKind, Fault, FinalState, ItemKind, ItemState,
    Party, Place, Redactor, RunEvent, Wait, Watched,
};

/// A writer that can be read afterwards, and counts its writes.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<(Vec<u8>, usize)>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
    }

    fn writes(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut inner = self.0.lock().unwrap();
        inner.0.extend_from_slice(bytes);
        inner.1 += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn plain(events: &[RunEvent], verbose: bool) -> (String, String) {
    let (out, faults) = (Paper::default(), Paper::default());
    let (to, err) = (Box::new(out.clone()), Box::new(faults.clone()));
    let mut sink = PlainSink::new(to, err, Redactor::default(), verbose);
    events.iter().for_each(|event| sink.event(event));
    sink.finish();
    (out.text(), faults.text())
}

fn live(events: &[RunEvent], colour: bool, moving: bool) -> (String, Paper) {
    let (out, faults) = (Paper::default(), Paper::default());
    let screen = Screen::new(Box::new(out.clone()), || (100, 30));
    let err = Box::new(faults.clone());
    let mut sink = LiveSink::on_screen(screen, err, Redactor::default(), (colour, false), moving);
    events.iter().for_each(|event| sink.event(event));
    sink.finish();
    (format!("{}--- stderr\n{}", out.text(), faults.text()), out)
}

/// CPU time of this thread, so that a busy machine does not fail a test about speed.
fn cpu_ms() -> u128 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<u128>().ok()).unwrap_or(0) / 1_000_000
}

macro_rules! both {
    ($name:literal, $body:expr) => {
        let english = in_language(Language::English, || $body);
        insta::assert_snapshot!(concat!($name, "-en"), english);
        let korean = in_language(Language::Korean, || $body);
        insta::assert_snapshot!(concat!($name, "-ko"), korean);
    };
}

#[test]
fn the_good_night_in_plain_lines() {
    both!("plain-success", plain(&success().events, false).0);
}

#[test]
fn the_bad_night_in_plain_lines() {
    both!("plain-failure", {
        let (out, faults) = plain(&failure().events, false);
        format!("{out}--- stderr\n{faults}")
    });
}

#[test]
fn the_good_night_on_a_terminal() {
    both!("live-success", live(&success().events, false, false).0);
}

#[test]
fn the_bad_night_on_a_terminal() {
    both!("live-failure", live(&failure().events, false, false).0);
}

#[test]
fn a_plan_on_a_terminal_and_again_from_its_report() {
    both!("live-plan", live(&plan().events, false, false).0);
    both!("plan-text", plan_text(&Report::from_events(&plan().events)));
}

#[test]
fn the_report_of_the_good_night() {
    both!("report-success", markdown(&Report::from_events(&success().events)));
}

#[test]
fn the_report_of_a_night_with_failure_resume_and_rollback() {
    both!("report-rolled-back", markdown(&Report::from_events(&resumed_and_rolled_back().events)));
}

#[test]
fn the_report_of_a_bad_night_and_of_a_plan() {
    both!("report-failure", markdown(&Report::from_events(&failure().events)));
    both!("report-plan", markdown(&Report::from_events(&plan().events)));
}

#[test]
fn a_fault_runs_through_two_files_with_hangul_before_the_underline() {
    both!("fault-two-files", render(&fault(), 100, false));
}

#[test]
fn faults_of_a_configuration_are_counted_and_shown_below_each_other() {
    let text = "[environments.prod]\nurl = 5\nprotceted = true\n";
    let mut first = Fault::usage("wrong-type", "url must be a text").place(Place::at_offset(
        "runsheet.toml",
        text,
        text.find('5').unwrap(),
        1,
    ));
    let at = text.find("protceted").unwrap();
    first.more.push(Fault::usage("unknown-key", "unknown key `protceted`").place(
        Place::at_offset("runsheet.toml", text, at, 9).labelled("did you mean `protected`?"),
    ));
    let only_file = Place {
        file: "runsheet.toml".into(),
        line: 0,
        column: 0,
        length: 0,
        label: String::new(),
        source: String::new(),
    };
    first.more.push(Fault::usage("no-playbooks", "no playbook was found").place(only_file));
    both!("fault-several", render(&first, 80, false));
}

#[test]
fn a_report_survives_its_own_json() {
    let report = Report::from_events(&resumed_and_rolled_back().events);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn a_resume_keeps_the_evidence_of_what_it_only_replays() {
    let report = Report::from_events(&resumed_and_rolled_back().events);
    let item =
        |title: &str| report.items().find(|entry| entry.item.title == title).unwrap().clone();
    let dump = item("G1.01 전체 백업");
    assert!(matches!(dump.outcome, Some(ItemState::Done { .. })), "the first process did it");
    assert_eq!(dump.took_ms, 412_000);
    assert_eq!(report.backups.len(), 1);
    let sql = item("G1.07 정규화 SQL");
    assert_eq!((sql.attempts, sql.undone), (2, true));
    assert_eq!(sql.files[0].ran, 1, "evidence of the failed attempt is gone");
    assert!(report.faults[0].made_good);
    assert_eq!(report.state, Some(FinalState::RolledBack));
    assert_eq!(report.processes.len(), 3);
}

fn watched(text: &str) -> Watched {
    let party = |pid, ours| Party {
        pid,
        ours,
        user: Some(text.into()),
        application_name: text.into(),
        state: Some(text.into()),
        millis: Some(200_000),
        query: Some(text.into()),
    };
    Watched {
        advances: vec![Advance {
            pid: 7,
            command: text.into(),
            object: Some(text.into()),
            phase: text.into(),
            done: 3,
            total: Some(9),
            unit: "blocks".into(),
        }],
        waits: vec![
            Wait {
                waiter: party(8, false),
                by: vec![party(7, true)],
                relation: Some(text.into()),
                millis: 12_345,
            },
            Wait {
                waiter: party(7, true),
                by: vec![party(9, false)],
                relation: None,
                millis: 61_000,
            },
        ],
    }
}

/// A night in which everything that comes from outside carries an attack.
fn hostile() -> Night {
    let evil = "x\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}y\r\nz|`</td>";
    let mut night = Night::new();
    night.start("run");
    night.section(evil);
    let item = night.item(ItemKind::Step, evil, Some(evil));
    night.statement(1, 1, evil, Some(1), 5_000);
    night.compared(evil, 1, 2);
    let mut action = Action::new("db::exec", Effect::Write, evil).statement(evil);
    action.locks = vec![evil.into()];
    action.remarks = vec![evil.into()];
    for kind in [
        EventKind::Notice { severity: "NOTICE".into(), text: evil.into() },
        EventKind::Warning { text: evil.into() },
        EventKind::Note { text: evil.into() },
        EventKind::Waiting { what: evil.into() },
        EventKind::Text { markdown: evil.into() },
        EventKind::Table { title: evil.into(), rows: serde_json::json!([{ evil: evil }]) },
        EventKind::Backup {
            backup: Backup {
                files: vec![BackupFile { path: evil.into(), ..BackupFile::default() }],
                restore: Some(evil.into()),
                ..Backup::default()
            },
        },
        EventKind::Watched(watched(evil)),
        EventKind::Progress { what: evil.into(), done: 1, total: Some(2), unit: evil.into() },
        EventKind::Action { action: action.clone(), planned: true },
        EventKind::Intent { item: evil.into(), key: evil.into(), ordinal: 1, action },
    ] {
        night.tell(kind);
    }
    let mut fault = Fault::failed(evil, evil).detail(evil).cause(evil).remedy(evil).next(evil);
    fault.sqlstate = Some(evil.into());
    let source = format!("SELECT '\u{1b}[31m가\t나'; {evil}");
    fault.places.push(Place {
        file: evil.into(),
        line: 7,
        column: 9,
        length: 9,
        label: evil.into(),
        source,
    });
    let outcome = ItemState::Failed { fault: Box::new(fault.clone()), optional: false };
    night.end(item, outcome, 10);
    night.finish(FinalState::FailedSomeStand, 5, Some(evil), Some(fault));
    night
}

/// No characters.
const NONE: [char; 0] = [];

fn controls(text: &str) -> Vec<char> {
    let bad = |c: &char| (c.is_control() && *c != '\n' && *c != '\t') || *c == '\u{202e}';
    text.chars().filter(bad).collect()
}

#[test]
fn no_escape_from_outside_reaches_a_terminal_a_log_or_the_report() {
    let night = hostile();
    for verbose in [false, true] {
        let (out, faults) = plain(&night.events, verbose);
        assert_eq!(controls(&out), NONE, "plain");
        assert_eq!(controls(&faults), NONE, "fault");
    }
    let report = Report::from_events(&night.events);
    assert_eq!(controls(&markdown(&report)), NONE);
    assert_eq!(controls(&plan_text(&report)), NONE);
    // The screen writes its own movements; none of the attack's may be among them.
    let (screen, _) = live(&night.events, true, true);
    assert!(!screen.contains("\u{1b}[2J\u{1b}"), "{screen:?}");
    for attack in ["\u{7}", "\u{9b}", "\u{1b}]0", "\u{202e}"] {
        assert!(!screen.contains(attack), "{attack:?} in {screen:?}");
    }
    let coloured = render(&fault(), 80, true);
    assert!(coloured.contains('\u{1b}'), "colour was asked for");
    let json = Paper::default();
    let mut sink = JsonSink::new(Box::new(json.clone()), Redactor::default());
    night.events.iter().for_each(|event| sink.event(event));
    assert_eq!(controls(&json.text()), NONE);
    for (line, event) in json.text().lines().zip(&night.events) {
        assert_eq!(&serde_json::from_str::<RunEvent>(line).unwrap(), event, "data is unchanged");
    }
}

#[test]
fn the_last_json_line_says_how_it_ended_and_what_is_next() {
    let json = Paper::default();
    let mut sink = JsonSink::new(Box::new(json.clone()), Redactor::default());
    failure().events.iter().for_each(|event| sink.event(event));
    let text = json.text();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "run_finished");
    assert_eq!(last["state"], "failed_unchanged");
    assert_eq!(last["changed"], false);
    assert_eq!(last["next"], "runsheet run normalize --env production");
}

#[test]
fn a_secret_is_blanked_in_every_output() {
    let redactor = Redactor::default();
    redactor.add("hunter2hunter2");
    let mut night = Night::new();
    night.start("run");
    night.tell(EventKind::Note { text: "password hunter2hunter2".into() });
    let place = Place::at_offset("a.sql", "ALTER ROLE app PASSWORD 'hunter2hunter2'", 24, 16);
    let fault = Fault::failed("x", "hunter2hunter2 is weak").place(place);
    night.finish(FinalState::FailedUnchanged, 1, None, Some(fault));
    let (out, err) = (Paper::default(), Paper::default());
    let mut sinks: Vec<Box<dyn Sink>> = vec![
        Box::new(PlainSink::new(
            Box::new(out.clone()),
            Box::new(err.clone()),
            redactor.clone(),
            true,
        )),
        Box::new(LiveSink::on_screen(
            Screen::new(Box::new(out.clone()), || (80, 24)),
            Box::new(err.clone()),
            redactor.clone(),
            (true, true),
            true,
        )),
        Box::new(JsonSink::new(Box::new(out.clone()), redactor)),
    ];
    for sink in &mut sinks {
        night.events.iter().for_each(|event| sink.event(event));
        sink.finish();
    }
    let all = format!("{}{}", out.text(), err.text());
    assert!(!all.contains("hunter2"), "{all}");
    assert!(all.matches("******").count() >= 6, "{all}");
}

#[test]
fn a_hundred_thousand_statements_cost_a_log_less_than_a_second() {
    let mut night = Night::new();
    night.start("run");
    let item = night.item(ItemKind::Step, "대량 SQL", None);
    for number in 1..=100_000 {
        let text = "INSERT INTO hospitals (name, address) VALUES ('동물병원', '서울')";
        night.statement(number, 100_000, text, Some(1), 1);
    }
    night.end(item, ItemState::Done { value: serde_json::Value::Null }, 100_000);
    let before = cpu_ms();
    let (all, _) = plain(&night.events, true);
    let took = cpu_ms() - before;
    assert!(all.lines().count() > 100_000);
    assert!(took < 1_000, "{took} ms");
    let (some, _) = plain(&night.events, false);
    assert!(some.lines().count() < 60, "a quiet log tells a long file in steps");
    let report = Report::from_events(&night.events);
    let files = &report.items().next().unwrap().files;
    assert_eq!((files[0].ran, files[0].rows, files[0].shown.len()), (100_000, 100_000, 20));
}

#[test]
fn a_thousand_quick_steps_and_ten_thousand_statements_do_not_flood_a_terminal() {
    let mut night = Night::new();
    night.start("run");
    for number in 0..1_000 {
        night.check(&format!("점검 {number}"), 1);
    }
    let item = night.item(ItemKind::Step, "대량 SQL", None);
    for number in 1..=10_000 {
        night.statement(number, 10_000, "INSERT INTO t VALUES (1)", Some(1), 0);
    }
    night.end(item, ItemState::Done { value: serde_json::Value::Null }, 5);
    night.finish(FinalState::Done, 0, None, None);
    let began = std::time::Instant::now();
    let (text, out) = live(&night.events, false, true);
    let frames = began.elapsed().as_millis() as usize / 100 + 4;
    assert_eq!(text.matches("점검 ").count(), 1_000, "one line each");
    assert!(out.writes() <= frames, "{} writes in {frames} frames", out.writes());
}

#[test]
fn a_thousand_quick_steps_are_a_thousand_lines_of_a_log() {
    let mut night = Night::new();
    night.start("run");
    for number in 0..1_000 {
        night.check(&format!("점검 {number}"), 1);
    }
    night.finish(FinalState::Done, 0, None, None);
    let (text, _) = plain(&night.events, false);
    assert_eq!(text.matches("점검 ").count(), 1_000, "one line each");
}

#[test]
fn a_log_announces_an_item_that_is_silent_for_long() {
    let mut night = Night::new();
    night.start("run");
    night.item(ItemKind::Step, "백필", Some("1m..2m"));
    let out = Paper::default();
    let (to, err) = (Box::new(out.clone()), Box::new(Paper::default()));
    let mut sink = PlainSink::new(to, err, Redactor::default(), false).watched();
    night.events.iter().for_each(|event| sink.event(event));
    assert!(!out.text().contains("백필"), "{}", out.text());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !out.text().contains("백필") && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(out.text().contains("백필"), "{}", out.text());
    sink.finish();
    assert_eq!(out.text().matches("백필").count(), 1);
}

#[test]
fn a_running_item_moves_below_the_lines_that_stay() {
    let mut night = Night::new();
    night.start("run");
    night.item(ItemKind::Step, "백필", Some("1m..2m"));
    night.statement(17, 120, "ALTER TABLE users ADD COLUMN x int", None, 1_200);
    let (kind, unit) = ("users".to_string(), "rows".to_string());
    night.tell(EventKind::Progress { what: kind, done: 400, total: Some(1_000), unit });
    let out = Paper::default();
    let screen = Screen::new(Box::new(out.clone()), || (100, 30));
    let err = Box::new(Paper::default());
    let mut sink = LiveSink::on_screen(screen, err, Redactor::default(), (false, false), true);
    night.events.iter().for_each(|event| sink.event(event));
    // The painter draws by itself: wait for what it has to show, with a deadline.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !out.text().contains("running") && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    let text = out.text();
    assert!(text.contains("백필"), "{text}");
    assert!(text.contains("(estimate 1m..2m)"), "{text}");
    assert!(text.contains("statement 17/120"), "{text}");
    assert!(text.contains("[########------------] 400 of 1,000 rows (40 %)"), "{text}");
    sink.quiet();
    let quiet = out.text();
    let (_, after) = quiet.rsplit_once("\u{1b}[J").expect("the block was taken away");
    assert_eq!(after.lines().count(), 1, "only the slow statement stays: {after:?}");
    sink.finish();
    assert_eq!(out.text(), quiet, "nothing more is drawn");
}

#[test]
fn a_crowd_that_waits_is_named_up_to_a_bound() {
    let mut night = Night::new();
    night.start("run");
    let item = night.item(ItemKind::Step, "long", None);
    for pid in 1_000..2_000 {
        let mut seen = watched("shop web");
        seen.waits[0].waiter.pid = pid;
        night.tell(EventKind::Watched(seen));
    }
    night.end(item, ItemState::Done { value: serde_json::Value::Null }, 5);
    night.finish(FinalState::Done, 0, None, None);
    let paper = markdown(&Report::from_events(&night.events));
    let named = paper.lines().filter(|line| line.contains("shop web")).count();
    assert!((100..=200).contains(&named), "{named}");
}
