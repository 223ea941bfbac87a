//! Windows and frozen days: when a run may begin, and what they leave alone.

use jiff::{ToSpan, Zoned};

use crate::support::{Cluster, Project};

const PLAYBOOK: &str = r#"
playbook("fill", #{ title: "Fill" });
step("make", #{ undo: || db::exec("DROP TABLE t") }, || db::exec("CREATE TABLE t (id int)"));
"#;

fn project(cluster: &Cluster, hours: &str) -> Project {
    cluster.create_database("hours");
    let mut project = Project::new();
    project.playbook("fill", PLAYBOOK);
    rules(&project, hours);
    project.env("DATABASE_URL", &cluster.url("hours"));
    project
}

fn rules(project: &Project, hours: &str) {
    let text = format!("[environments.live]\nurl_env = \"DATABASE_URL\"\n{hours}");
    project.file("runsheet.toml", &text);
}

/// A window of one day of the week that is neither today nor beside it, also where midnight comes
/// while a test runs; and when it opens.
fn elsewhere() -> (String, String) {
    let day = Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let later = day.checked_add(3.days()).unwrap();
    let window = format!("windows = [\"{} 02:00-05:00 UTC\"]\n", later.strftime("%a"));
    (window, later.strftime("%Y-%m-%d 02:00").to_string())
}

#[test]
fn outside_of_its_windows_a_run_does_not_begin_and_says_when_it_may() {
    let cluster = Cluster::start();
    let (elsewhere, opens) = elsewhere();
    let project = project(&cluster, &elsewhere);
    let ran = project.run(&["run", "fill"]);
    ran.exits(4)
        .stderr_shows("outside-window")
        .stderr_shows("02:00-05:00 UTC")
        .stderr_shows(&opens);
    assert_eq!(cluster.value("hours", "SELECT to_regclass('t') IS NULL"), "t");
    project.run(&["plan", "fill"]).exits(0);

    // In the window it runs; behind it the finished playbook has nothing to begin, and the way
    // back is open.
    rules(&project, "windows = [\"daily 00:00-24:00 UTC\"]\n");
    project.run(&["run", "fill"]).exits(0);
    rules(&project, &elsewhere);
    project.run(&["run", "fill"]).exits(0);
    let run = project.run(&["history", "--json"]);
    let run: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    project.run(&["rollback", run[0]["run"].as_str().unwrap(), "--yes"]).exits(0);
    assert_eq!(cluster.value("hours", "SELECT to_regclass('t') IS NULL"), "t");
}

#[test]
fn frozen_days_close_every_window() {
    let cluster = Cluster::start();
    let today = Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let (first, last) = (today.yesterday().unwrap(), today.tomorrow().unwrap());
    let rules =
        format!("windows = [\"daily 00:00-24:00 UTC\"]\nfreeze = [\"{first}..{last} UTC\"]\n");
    let project = project(&cluster, &rules);
    let behind = format!("{} 00:00", last.tomorrow().unwrap());
    let ran = project.run(&["run", "fill"]);
    ran.exits(4).stderr_shows("frozen").stderr_shows(&format!("{first}..{last}"));
    ran.stderr_shows(&behind);
}

#[test]
fn a_plan_says_that_the_window_is_closed_and_a_rehearsal_does_not_care() {
    let cluster = Cluster::start();
    let project = project(&cluster, &elsewhere().0);
    project.run(&["plan", "fill"]).exits(0).shows("02:00-05:00 UTC").shows("02:00 UTC");
    project.run(&["rehearse", "fill"]).exits(0);
    rules(&project, "windows = [\"daily 00:00-24:00 UTC\"]\n");
    let plan = project.run(&["plan", "fill"]);
    assert!(!plan.stdout.contains("00:00-24:00"), "{}", plan.stdout);
}
