//! P3: only the holder of the newest epoch can commit.
//!
//! Rounds of four runners that are started at once on one database while somebody stops, kills,
//! overtakes or cuts them off. `RUNSHEET_ROUNDS=1000` makes them many (each about a second).

use std::time::{Duration, Instant};

use crate::faults::Desk;
use crate::support::Pooler;
use crate::support::project::Running;

/// Four steps that would be seen if one happened twice, or under an old epoch.
const STEPS: &str = r#"
for n in 1..=4 {
    step(`step ${n}`, || {
        db::exec(`INSERT INTO log (round, step, epoch, xid)
            SELECT $1, $2, epoch, pg_current_xact_id()::text::bigint FROM runsheet.lease`, [ROUND, n]);
        db::exec("SELECT pg_sleep(0.02)");
    });
}
"#;

/// What one of the rounds' troublemakers does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Nothing,
    TakeOver,
    Stopped,
    Killed,
    CutOff,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::Nothing, Trouble::TakeOver, Trouble::Stopped, Trouble::Killed, Trouble::CutOff];

/// Numbers that look random and come again with the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// P3, short form: directly.
#[test]
fn of_four_runners_in_trouble_each_step_takes_effect_once() {
    rounds(&Desk::new(""), None);
}

/// P3, short form: behind a transaction pooler that gives all of them the same few sessions.
#[test]
fn behind_a_pooler_each_step_takes_effect_once_as_well() {
    let desk = Desk::new("");
    let Some(pooler) = Pooler::start(desk.cluster.port(), 4) else { return };
    rounds(&desk, Some(&pooler.url("shop")));
}

fn rounds(desk: &Desk, pooled: Option<&str>) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (count, seed) =
        (number("RUNSHEET_ROUNDS").unwrap_or(5), number("RUNSHEET_SEED").unwrap_or(1));
    let mut dice = Dice(seed);
    desk.sql("CREATE TABLE log (n serial, round int, step int, epoch bigint, xid bigint)");
    let url = pooled.map_or_else(|| desk.url(), String::from);
    let mut ends = std::collections::BTreeMap::new();
    let began = Instant::now();
    for round in 1..=count {
        let trouble = TROUBLES[(round % TROUBLES.len() as u64) as usize];
        let name = format!("r{round}");
        let steps = STEPS.replace("ROUND", &round.to_string());
        desk.project.playbook(&name, &format!("playbook(\"{name}\");\n{steps}"));
        let mut words = vec!["run", name.as_str(), "--yes", "--wait", "50s", "--url", url.as_str()];
        if pooled.is_some() {
            words.push("--allow-pooler");
        }
        let runners: Vec<Running> = (0..4).map(|_| desk.project.spawn(&words)).collect();
        make(trouble, desk, &runners, &words, &mut dice);
        for ran in runners.into_iter().map(Running::wait) {
            *ends.entry(ran.code).or_insert(0) += 1;
        }
        // Whoever was left standing has done it; where nobody was, the next container does.
        desk.project.run(&words).exits(0);
        let said = desk.value(&format!(
            "SELECT string_agg(step::text, '' ORDER BY n) FROM log WHERE round = {round}"
        ));
        assert_eq!(said, "1234", "round {round}, {trouble:?}, seed {seed}");
    }
    // The epoch that each step saw in the row is the one its ledger row has, and never sinks.
    let old = "SELECT count(*) FROM (SELECT epoch, max(epoch) OVER (ORDER BY n) newest FROM log) e
        WHERE epoch < newest";
    assert_eq!(desk.value(old), "0", "a commit by an old epoch, seed {seed}");
    let twice = "SELECT count(*) FROM (SELECT FROM log GROUP BY round, step HAVING count(*) > 1) t";
    assert_eq!(desk.value(twice), "0");
    let foreign = "SELECT count(*) FROM runsheet.step s JOIN log l ON l.xid = s.xid::bigint
        WHERE l.epoch <> s.epoch";
    assert_eq!(desk.value(foreign), "0");
    assert_eq!(desk.value("SELECT count(*) FROM runsheet.run WHERE state = 'running'"), "0");
    desk.wait_until("SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')");
    println!(
        "{count} rounds of 4 runners, {}, seed {seed}: 0 steps twice, 0 commits by an old epoch; \
         exit codes {ends:?}; {:?}",
        if pooled.is_some() { "through pgbouncer" } else { "direct" },
        began.elapsed()
    );
}

/// Makes trouble while the round's runners run.
fn make(trouble: Trouble, desk: &Desk, runners: &[Running], words: &[&str], dice: &mut Dice) {
    if trouble == Trouble::Nothing {
        return;
    }
    // Not a moment that is waited for: any moment will do, and another one each time.
    std::thread::sleep(Duration::from_millis(20 + dice.below(300)));
    let victim = &runners[dice.below(4) as usize];
    match trouble {
        Trouble::Nothing => {}
        Trouble::TakeOver => {
            let ran = desk.project.run(&[words, &["--take-over"]].concat());
            assert!([0, 1, 3, 5, 7].contains(&ran.code), "{}{}", ran.stdout, ran.stderr);
        }
        Trouble::Stopped => {
            victim.try_signal("STOP");
            let ran = desk.project.run(&[words, &["--take-over"]].concat());
            assert!([0, 1, 3, 5, 7].contains(&ran.code), "{}{}", ran.stdout, ran.stderr);
            victim.try_signal("CONT");
        }
        Trouble::Killed => {
            victim.try_signal("KILL");
            // Without a session of its own a dead holder counts for half a minute; whoever knows
            // better does not wait for that.
            if words.contains(&"--allow-pooler") {
                desk.project.run(&[words, &["--take-over"]].concat());
            }
        }
        Trouble::CutOff => desk.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name LIKE 'runsheet%' AND pid <> pg_backend_pid()",
        ),
    }
}
