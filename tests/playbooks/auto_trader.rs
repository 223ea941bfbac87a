//! `runsheet deploy auto-trader`: what each risk is allowed, and what happens when it goes wrong.

use std::process::Command;

use super::alembic;
use super::application::Application;
use super::ground::shipped;
use crate::faults::fingerprint;
use crate::support::{Cluster, Gate, Project, Ran};

/// A server with the traders' database, a project, and stand-ins for docker and alembic.
struct Floor {
    cluster: Cluster,
    project: Project,
}

const COMPOSE: &str = "compose=[\"docker\",\"compose\",\"-f\",\"docker-compose.prod.yml\"]";

impl Floor {
    fn new() -> Self {
        let mut floor = Self { cluster: Cluster::start(), project: Project::new() };
        floor.cluster.create_database("trader");
        floor.cluster.psql("trader", &shipped("auto-trader", "schema.sql"), &[]);
        floor.cluster.psql("trader", &shipped("auto-trader", "data.sql"), &["rows=500"]);
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = source.join("playbooks/auto-trader/stand-ins");
        for name in ["docker", "alembic"] {
            let text = std::fs::read_to_string(source.join(name)).expect("the stand-in");
            floor.project.program(name, &text);
        }
        floor.project.file(
            "runsheet.toml",
            "[commands]\nallow = [\"docker\", \"alembic\", \"touch\", \"rm\", \"git\"]\n",
        );
        floor
    }

    fn url(&self) -> String {
        self.cluster.url("trader")
    }

    fn deploy(&self, words: &[&str]) -> Ran {
        self.call("deploy", "auto-trader", words)
    }

    fn call(&self, command: &str, playbook: &str, words: &[&str]) -> Ran {
        let url = self.url();
        let begin = [command, playbook, "--lang", "ko", "--url", &url, "--yes"];
        self.project.run(&[&begin, words].concat())
    }

    /// One of the shipped changes.
    fn change(&self, way: &str, name: &str, words: &[&str]) -> Ran {
        let sets = [
            format!("sql=playbooks/auto-trader/sql/{name}.sql"),
            format!("down=playbooks/auto-trader/sql/{name}.down.sql"),
            format!("revision={name}"),
        ];
        self.with(way, &sets, words)
    }

    /// A change of the project's own.
    fn own(&self, way: &str, up: &str, down: &str, words: &[&str]) -> Ran {
        self.project.file("sql/own.sql", up).file("sql/own.down.sql", down);
        let down = if down.is_empty() { "down=" } else { "down=sql/own.down.sql" };
        let sets = ["sql=sql/own.sql".into(), down.into(), "revision=own".into()];
        self.with(way, &sets, words)
    }

    fn with(&self, way: &str, sets: &[String], words: &[&str]) -> Ran {
        let mut all = vec![way];
        sets.iter().for_each(|set| all.extend(["--set", set]));
        all.extend(words);
        self.deploy(&all)
    }

    fn value(&self, sql: &str) -> String {
        self.cluster.value("trader", sql)
    }

    fn revision(&self) -> String {
        self.value("SELECT version_num FROM alembic_version")
    }

    fn fingerprint(&self) -> String {
        fingerprint(&self.cluster, "trader")
    }

    fn image(&self, tag: &str, content: &str) {
        self.project.file(&format!(".stand-in/images/ghcr.io_team_auto_trader:{tag}"), content);
    }
}

/// A session waits for a lock on a table.
const WAITS: &str =
    "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted)";

/// G3.02, G3.04, G3.11, G3.12: low risk, by itself, while people trade.
#[test]
fn a_low_risk_is_deployed_by_itself_while_people_read_and_write() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    let url = floor.url();
    floor.project.run(&["plan", "auto-trader", "--url", &url]).exits(0).shows("G3.04");
    assert_eq!(floor.fingerprint(), before);

    let mut site = Application::start(
        &url,
        "SELECT count(*) FROM orders",
        "INSERT INTO users (email, name) VALUES (gen_random_uuid()::text, 'new')",
    );
    site.open();
    let health = format!("health={}", site.health());
    let words = ["--health-check", "--set", &health];
    floor.change("--auto-migrate", "001_low", &words).exits(0).shows("low").shows("G3.12.1");
    assert_eq!(site.close(), 0, "nobody was sent away");
    assert_eq!(floor.revision(), "001_low");
    assert_eq!(floor.project.dumps().len(), 0, "a backup is a matter of choice here");

    let after = floor.fingerprint();
    floor.change("--auto-migrate", "001_low", &[]).exits(0).shows("할 일이 없습니다");
    assert_eq!(floor.fingerprint(), after);
}

/// One class of the table: there and back, and by itself or not.
fn there_and_back(name: &str, risk: &str, alone: bool, dumps: usize) {
    let floor = Floor::new();
    let before = floor.fingerprint();
    let ran = floor.change("--auto-migrate", name, &[]);
    if alone {
        ran.exits(0);
    } else {
        ran.exits(1).shows("G3.02").shows(risk).shows("--manual-migrate");
        assert_eq!(floor.fingerprint(), before);
        floor.change("--manual-migrate", name, &[]).exits(0).shows(&format!("위험도 {risk}"));
    }
    assert_ne!(floor.fingerprint(), before);
    assert_eq!(floor.revision(), name);
    assert_eq!(floor.project.dumps().len(), dumps);
    floor.call("rollback", &floor.project.newest_run(), &[]).exits(0);
    assert_eq!(floor.fingerprint(), before);
    assert_eq!(floor.revision(), "base");
}

/// G3.01, G3.02, G3.04: what adds something goes by itself, and back with its own parameters.
#[test]
fn a_low_risk_goes_there_and_back_without_a_backup() {
    there_and_back("001_low", "low", true, 0);
}

/// G3.02, G3.15: an index goes by itself because it is CONCURRENTLY.
#[test]
fn a_medium_risk_goes_there_and_back() {
    there_and_back("002_medium", "medium", true, 0);
}

/// G3.01, G3.02, G3.05: another type: by hand, with a backup.
#[test]
fn a_high_risk_is_refused_by_itself_and_goes_by_hand_with_a_backup() {
    there_and_back("003_high", "high", false, 1);
}

/// G3.01, G3.02, G3.05: rows moved and a column dropped: by hand, with a backup.
#[test]
fn a_very_high_risk_is_refused_by_itself_and_goes_by_hand_with_a_backup() {
    there_and_back("004_very_high", "very_high", false, 1);
}

/// G3.01, G3.03, G3.09, G3.15: what the table of risks leaves open.
#[test]
fn what_is_mixed_unknown_or_without_a_way_back_is_not_done_by_itself() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    let mixed = "ALTER TABLE users ADD COLUMN phone text;\nALTER TABLE users DROP COLUMN name;";
    floor
        .own("--auto-migrate", mixed, "SELECT 1;", &[])
        .exits(1)
        .shows("위험도 very_high")
        .shows("own.sql:2");
    let unknown = "DO $$ BEGIN EXECUTE 'DROP TABLE ' || 'orders'; END $$;";
    floor.own("--auto-migrate", unknown, "SELECT 1;", &[]).exits(1).shows("very_high");
    let index = "CREATE INDEX idx_orders_symbol ON orders (symbol);";
    let down = "DROP INDEX idx_orders_symbol;";
    let big = ["--set", "small=0"];
    floor.own("--auto-migrate", index, down, &big).exits(1).shows("own.sql:1 medium");
    floor.own("--manual-migrate", mixed, "", &[]).exits(1).shows("롤백 계획이 없습니다");
    assert_eq!(floor.fingerprint(), before);
    // On a small table it may go by itself; by hand on a big one it is warned of.
    floor.own("--auto-migrate", index, down, &[]).exits(0);
    floor.call("rollback", &floor.project.newest_run(), &[]).exits(0);
    floor
        .own("--manual-migrate", index, down, &big)
        .exits(0)
        .shows("⚠️")
        .shows("CONCURRENTLY 없이 만들면");
    floor.call("rollback", &floor.project.newest_run(), &[]).exits(0);
    // A constraint that is not validated yet is low.
    let check = "ALTER TABLE orders ADD CONSTRAINT p CHECK (price > 0) NOT VALID;";
    floor.own("--auto-migrate", check, "ALTER TABLE orders DROP CONSTRAINT p;", &[]).exits(0);
}

/// G3.02, G3.07, G3.08, G3.17: migration alone, then the application alone, and back again.
#[test]
fn migration_and_application_are_deployed_apart_and_the_image_goes_back() {
    let floor = Floor::new();
    let image = ["--set", COMPOSE, "--set", "image=ghcr.io/team/auto_trader"];
    // No image to go back to: nothing happens.
    floor
        .deploy(&[&["--skip-migrate"], &image[..]].concat())
        .exits(1)
        .shows("G3.17")
        .shows("No such image: ghcr.io/team/auto_trader:backup");
    floor.image("backup", "old");
    floor.image("latest", "new");
    let before = floor.fingerprint();

    floor.project.file(
        ".stand-in/migration-command",
        "psql -X -q -v ON_ERROR_STOP=1 -d \"$DATABASE_URL\" -c \
         \"BEGIN; ALTER TABLE users ADD COLUMN phone varchar(20); \
         UPDATE alembic_version SET version_num = '001_low'; COMMIT\"\n",
    );
    let url = format!("url={}&password=canary-7", floor.url());
    two_revisions(&floor);
    let words = ["runner=compose", "deploy=false", "versions=versions", &url];
    let words: Vec<&str> = words.iter().flat_map(|set| ["--set", set]).collect();
    let ran = floor.deploy(&[&["--auto-migrate"], &image[..], &words[..]].concat());
    ran.exits(0).shows_nowhere("canary-7");
    assert_eq!(floor.revision(), "001_low");
    let log = floor.project.read(".stand-in/log");
    assert!(log.contains("docker compose -f docker-compose.prod.yml --profile migration run --rm -e DATABASE_URL migration"), "{log}");
    assert!(!log.contains("canary-7"), "the address is handed on by its name");
    assert!(!floor.project.path().join(".stand-in/services/app").exists());
    let migrated = floor.project.newest_run();

    let after = floor.fingerprint();
    floor.deploy(&[&["--skip-migrate"], &image[..]].concat()).exits(0);
    assert!(floor.project.path().join(".stand-in/services/app").exists());
    assert_eq!(floor.fingerprint(), after);
    floor.call("rollback", &floor.project.newest_run(), &[]).exits(0);
    assert_eq!(floor.project.read(".stand-in/images/ghcr.io_team_auto_trader:latest"), "old");
    assert_ne!(after, before);
    // The way back goes through the same container's Alembic.
    floor.call("rollback", &migrated, &["--set", &url]).exits(0).shows_nowhere("canary-7");
    assert_eq!(floor.fingerprint(), before);
    let log = floor.project.read(".stand-in/log");
    assert!(log.contains("-e DATABASE_URL migration alembic downgrade base"), "{log}");
}

/// Two revisions of the stand-in, and how they are run.
fn two_revisions(floor: &Floor) {
    let files = [
        ("001_low.sql", "ALTER TABLE users ADD COLUMN phone varchar(20);"),
        ("001_low.down.sql", "ALTER TABLE users DROP COLUMN phone;"),
        ("002_tags.sql", "CREATE TABLE tags (name text PRIMARY KEY);"),
        ("002_tags.down.sql", "DROP TABLE tags;"),
    ];
    for (name, text) in files {
        floor.project.file(&format!("versions/{name}"), text);
    }
}

/// G3.04, G3.08: `upgrade head` over two revisions, and back over both; a revision that fails.
#[test]
fn alembic_goes_up_and_back_over_all_revisions_of_a_deployment() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    two_revisions(&floor);
    let url = format!("url={}&password=canary-8", floor.url());
    let words = ["--set", "runner=alembic", "--set", "versions=versions", "--set", &url];
    let to_two = [&words[..], &["--set", "revision=002_tags"]].concat();
    floor.deploy(&[&["--auto-migrate"], &to_two[..]].concat()).exits(0).shows_nowhere("canary-8");
    assert_eq!(floor.revision(), "002_tags");
    assert_eq!(floor.value("SELECT to_regclass('tags') IS NOT NULL"), "t");
    floor.call("rollback", &floor.project.newest_run(), &to_two).exits(0);
    assert_eq!(floor.fingerprint(), before);

    floor.project.file("versions/001_low.sql", "ALTER TABLE nobody ADD COLUMN phone text;");
    let ran = floor.change("--auto-migrate", "001_low", &words);
    ran.shows("relation \"nobody\" does not exist").shows("G3.07");
    assert_ne!(ran.code, 0);
    assert_eq!(floor.fingerprint(), before);
}

/// G3.04, G3.08: what a downgrade leaves behind is named, and the rollback is no success.
#[test]
fn a_downgrade_that_leaves_something_behind_is_no_rollback() {
    let floor = Floor::new();
    two_revisions(&floor);
    floor.project.file("versions/001_low.down.sql", "SELECT 1;");
    let url = format!("url={}", floor.url());
    let words = ["--set", "runner=alembic", "--set", "versions=versions", "--set", &url];
    let words = [&words[..], &["--set", "revision=002_tags"]].concat();
    floor.deploy(&[&["--auto-migrate"], &words[..]].concat()).exits(0);
    let ran = floor.call("rollback", &floor.project.newest_run(), &words);
    ran.exits(5).shows("added column users.phone");
    assert_eq!(floor.revision(), "base");
}

const PHONE: &str = "from alembic import op\nimport sqlalchemy as sa\nrevision = \"p1\"\n\
    down_revision = None\n\ndef upgrade():\n    op.add_column(\"users\", sa.Column(\"phone\", sa.String(20)))\n\n\
    def downgrade():\n    op.drop_column(\"users\", \"phone\")\n";
const TAGS: &str = "from alembic import op\nimport sqlalchemy as sa\nrevision = \"p2\"\n\
    down_revision = \"p1\"\n\ndef upgrade():\n    op.create_table(\"tags\", sa.Column(\"name\", sa.Text, primary_key=True))\n\n\
    def downgrade():\n    op.drop_table(\"tags\")\n";

/// G3.03, G3.04, G3.08: the same with the real Alembic, from a database that it never saw; a bare
/// `pass` is named before anything runs.
#[test]
fn the_real_alembic_goes_up_and_back_over_two_revisions() {
    let mut floor = Floor::new();
    let Some(script) = alembic::program("") else { return };
    floor.project.program("alembic", &script);
    for file in ["alembic.ini", "env.py"] {
        let text = std::fs::read_to_string(alembic::source().join(file)).expect("the project");
        floor.project.file(&format!("backend/{file}"), &text);
    }
    floor.project.file("backend/versions/p1.py", PHONE).file("backend/versions/p2.py", TAGS);
    floor.cluster.sql("trader", "DELETE FROM alembic_version");
    let before = floor.fingerprint();
    let url = format!("url={}", floor.url());
    let sets = [
        "runner=alembic",
        "alembic=[\"alembic\",\"-c\",\"backend/alembic.ini\"]",
        "versions=backend/versions",
        "revision=p2",
        &url,
    ];
    let words: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let deploy = || floor.deploy(&[&["--auto-migrate"], &words[..]].concat());
    floor.project.file("backend/versions/p2.py", &TAGS.replace("op.drop_table(\"tags\")", "pass"));
    deploy().exits(1).shows("G3.03").shows("p2.py");
    assert_eq!(floor.fingerprint(), before);

    floor.project.file("backend/versions/p2.py", TAGS);
    deploy().exits(0);
    assert_eq!(floor.revision(), "p2");
    floor.call("rollback", &floor.project.newest_run(), &words).exits(0);
    assert_eq!(floor.fingerprint(), before);
}

/// G3.06, G3.13: the failure stops the application, the maintenance page goes, and the same command
/// does the rest after a repair by hand.
#[test]
fn a_failure_stops_the_application_and_can_be_tried_again_after_a_repair() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    floor.project.file(".stand-in/services/app", "");
    let words = [
        "--set",
        COMPOSE,
        "--set",
        "maintenance_on=[\"touch\",\"maintenance\"]",
        "--set",
        "maintenance_off=[\"rm\",\"maintenance\"]",
    ];
    let up = "ALTER TABLE users ADD COLUMN phone text;\n\
              ALTER TABLE users ADD CONSTRAINT one_name UNIQUE (name);";
    let down = "ALTER TABLE users DROP CONSTRAINT one_name;\nALTER TABLE users DROP COLUMN phone;";
    let ran = floor.own("--manual-migrate", up, down, &words);
    ran.shows("own.sql:2").shows("G3.13").shows("G3.06");
    assert_ne!(ran.code, 0);
    assert!(!floor.project.path().join(".stand-in/services/app").exists(), "stopped");
    assert!(!floor.project.path().join("maintenance").exists(), "the page is gone");
    assert_eq!(floor.fingerprint(), before);
    assert_eq!(floor.revision(), "base");

    floor.cluster.sql("trader", "UPDATE users SET name = name || ' ' || id");
    floor.own("--manual-migrate", up, down, &words).exits(0);
    assert_eq!(floor.revision(), "own");
    assert!(floor.project.path().join(".stand-in/services/app").exists(), "up again");
    assert!(!floor.project.path().join("maintenance").exists());
}

/// G3.11: who blocks whom.
#[test]
fn a_blocked_session_stops_the_deployment_and_is_named_with_its_blocker() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    let holder =
        Gate::holding(&floor.url(), "holder", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let mut waiter = Gate::to(&floor.url(), "waiter");
    waiter.tell("SELECT count(*) FROM orders;\n");
    floor.cluster.wait_until("trader", WAITS);
    let ids = floor.cluster.query(
        "trader",
        "SELECT pid::text, pg_blocking_pids(pid)::text FROM pg_stat_activity \
         WHERE cardinality(pg_blocking_pids(pid)) > 0",
    );
    let (pid, by) = (ids[0][0].clone().unwrap(), ids[0][1].clone().unwrap());
    let ran = floor.change("--auto-migrate", "001_low", &[]);
    ran.exits(1).shows("G3.11").shows(&format!("세션 {pid}이(가) {by}을(를) 기다립니다"));
    holder.open();
    waiter.open();
    assert_eq!(floor.fingerprint(), before);
}

/// G3.11: somebody takes the table while the deployment is under way: the step gives up after its
/// lock_timeout, says who holds what, and leaves the database as it was.
#[test]
fn a_lock_taken_in_mid_run_ends_the_step_and_its_holder_is_named() {
    let mut floor = Floor::new();
    let before = floor.fingerprint();
    // The maintenance page goes up behind the checks and in front of the migration: there the
    // run waits until somebody else has the table.
    let page = "#!/bin/sh\n[ \"$1\" = on ] || exit 0\necho > page-is-up\nread word < go\n";
    floor.project.program("page", page);
    let pipe = Command::new("mkfifo").arg(floor.project.path().join("go")).status();
    assert!(pipe.is_ok_and(|status| status.success()), "a pipe");
    floor.project.file("runsheet.toml", "[commands]\nallow = [\"page\"]\n");
    let url = floor.url();
    let words = ["deploy", "auto-trader", "--auto-migrate", "--yes", "--lang", "ko", "--url", &url];
    let sets = [
        "--set",
        "maintenance_on=[\"page\",\"on\"]",
        "--set",
        "maintenance_off=[\"page\",\"off\"]",
    ];
    let running = floor.project.spawn(&[&words[..], &sets].concat());
    super::wait_for_file(&floor.project.path().join("page-is-up"));
    let gate = Gate::holding(&floor.url(), "report-job", "SELECT count(*) FROM users");
    floor.project.file("go", "now\n");
    let ran = running.wait();
    ran.shows("G3.04").shows("55P03").shows("report-job").shows("001_low.sql:2").shows("G3.13");
    assert_eq!(ran.code, 5, "the page stands, the migration does not\n{}", ran.stderr);
    gate.open();
    assert_eq!(floor.fingerprint(), before);
    assert_eq!(floor.revision(), "base");
}

/// G3.14: rows are gone: the service stops, and the backup is restored beside.
#[test]
fn lost_rows_stop_the_service_and_the_backup_brings_them_back() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    floor.project.file(".stand-in/services/app", "");
    let words = ["--set", COMPOSE];
    let up = "DELETE FROM orders WHERE status = 'rejected';";
    floor
        .own("--manual-migrate", up, "SELECT 1;", &words)
        .exits(6)
        .shows("G3.14.1")
        .shows("orders에서 20행이 사라졌습니다 (500 -> 480)")
        .shows("--restore");
    assert!(!floor.project.path().join(".stand-in/services/app").exists(), "stopped");
    let run = floor.project.newest_run();
    floor.call("rollback", &run, &["--restore"]).exits(0);
    assert_eq!(floor.value("SELECT count(*) FROM orders"), "500");
    assert_eq!(floor.fingerprint(), before);
}

/// G3.16: nobody there to approve; signed, but never rehearsed in a protected environment.
#[test]
fn by_hand_without_a_person_or_a_rehearsal_is_refused() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    let url = floor.url();
    let high =
        ["--set", "sql=playbooks/auto-trader/sql/003_high.sql", "--set", "revision=003_high"];
    let begin = ["deploy", "auto-trader", "--manual-migrate"];
    let ran = floor.project.run(&[&begin, &high[..], &["--url", &url]].concat());
    ran.exits(4).shows("G3.16");
    floor.project.file(
        "runsheet.toml",
        &format!("[environments.production]\nurl = \"{url}\"\nprotected = true\n"),
    );
    let mode = ["auto-trader", "--set", "mode=manual"];
    let code = floor.project.approved(&[&mode, &high[..]].concat());
    let words = ["--yes", "--approve", &code];
    let ran = floor.project.run(&[&["run"], &mode[..], &high, &words].concat());
    ran.exits(4).shows("no-receipt").shows("runsheet rehearse auto-trader");
    assert_eq!(floor.fingerprint(), before);
}

#[test]
fn only_what_has_modes_is_deployed_and_one_mode_at_a_time() {
    let floor = Floor::new();
    floor.call("deploy", "iamvet", &["--auto-migrate"]).exits(2).shows("mode");
    floor.deploy(&["--auto-migrate", "--skip-migrate"]).exits(2);
    floor.deploy(&["--set", "mode=whenever"]).exits(2);
}

/// G3.17: code that was not pulled.
#[test]
fn a_folder_with_changes_of_its_own_is_not_deployed() {
    let floor = Floor::new();
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@t.example"]).args(words);
        let done = command.current_dir(floor.project.path()).output();
        assert!(done.is_ok_and(|done| done.status.success()), "{words:?}");
    };
    floor.project.file(".gitignore", "home\nbin\n.runsheet\nbackups\n");
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    floor.change("--auto-migrate", "001_low", &["--set", "git=true"]).exits(0);
    floor.project.file("runsheet.toml", "[commands]\nallow = [\"git\"]\n");
    let before = floor.fingerprint();
    let ran = floor.change("--auto-migrate", "002_medium", &["--set", "git=true"]);
    ran.exits(1).shows("G3.17").shows("git가 상태 1로");
    // What was committed elsewhere and not pulled.
    git(&["commit", "-q", "-a", "-m", "two"]);
    git(&["branch", "production"]);
    git(&["reset", "-q", "--hard", "HEAD~1"]);
    let words = ["--set", "git=true", "--set", "branch=production"];
    floor.change("--auto-migrate", "002_medium", &words).exits(1).shows("git가 상태 1로");
    assert_eq!(floor.fingerprint(), before);
}

/// G3.10: five runs that know each other, while people trade.
#[test]
fn five_stages_go_in_their_order_and_back_in_the_other() {
    let floor = Floor::new();
    let stage = |n: u8, words: &[&str]| {
        let set = format!("stage={n}");
        floor.call("run", "auto-trader-staged", &[&["--set", &set], words].concat())
    };
    let before = floor.fingerprint();
    stage(3, &[]).exits(1).shows("stage 1 (add the column) comes first");
    assert_eq!(floor.fingerprint(), before);

    let mut site = Application::start(
        &floor.url(),
        "SELECT count(*) FROM orders",
        "INSERT INTO users (email, name) VALUES (gen_random_uuid()::text, 'new')",
    );
    site.open();
    stage(1, &[]).exits(0);
    let mut runs = vec![floor.project.newest_run()];
    stage(1, &[]).exits(0).shows("할 일이 없습니다");
    stage(2, &["--set", "apart=1 day"]).exits(1).shows("1 day later");
    stage(2, &[]).exits(0);
    runs.push(floor.project.newest_run());
    stage(4, &[]).exits(1).shows("stage 3 (move the data) comes first");
    stage(3, &["--set", "batch=100"]).exits(0);
    runs.push(floor.project.newest_run());
    assert_eq!(
        floor.value("SELECT count(*) FROM orders WHERE instrument = replace(symbol, ':', '/')"),
        "500"
    );
    stage(4, &[]).exits(0);
    runs.push(floor.project.newest_run());
    let rows = "SELECT string_agg(symbol, ',' ORDER BY id) FROM orders";
    let symbols = floor.value(rows);
    stage(5, &[]).exits(0);
    runs.push(floor.project.newest_run());
    let gone = "SELECT count(*) FROM information_schema.columns \
                WHERE table_name = 'orders' AND column_name = 'symbol'";
    assert_eq!(floor.value(gone), "0");

    // The fourth before the fifth is refused, and changes nothing.
    assert_eq!(site.close(), 0, "nobody was sent away");
    let after = floor.fingerprint();
    let refused = floor.call("rollback", &runs[3], &[]);
    refused.shows("stage 5 is done; take its run back first");
    assert_ne!(refused.code, 0);
    assert_eq!(floor.fingerprint(), after);
    // All five, the last one first; behind the last one nothing is left of them.
    for (at, run) in runs.iter().enumerate().rev() {
        assert_eq!(floor.value("SELECT max(stage) FROM staged_changes"), (at + 1).to_string());
        floor.call("rollback", run, &[]).exits(0);
        assert_eq!(floor.value(rows), symbols);
    }
    assert_eq!(floor.value("SELECT to_regclass('staged_changes') IS NULL"), "t");
    // The rows' text differs: the old column stands behind the others now.
    let schema = |fingerprint: &str| {
        let lines = fingerprint.lines().filter(|line| !line.starts_with("table "));
        lines.map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(schema(&floor.fingerprint()), schema(&before));
}
