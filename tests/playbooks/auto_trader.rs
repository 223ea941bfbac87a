//! `runsheet deploy auto-trader`: what each risk is allowed, and what happens when it goes wrong.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use super::application::Application;
use super::{load, wait_until};
use crate::faults::fingerprint;
use crate::support::{Cluster, Project, Ran};

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
        load(&floor.cluster, "trader", "auto-trader", "schema.sql", &[]);
        load(&floor.cluster, "trader", "auto-trader", "data.sql", &["rows=500"]);
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["docker", "pm2", "alembic"] {
            let text =
                std::fs::read_to_string(source.join("playbooks/auto-trader/stand-ins").join(name));
            let path = format!("bin/{name}");
            floor.project.file(&path, &text.expect("the stand-in"));
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(floor.project.path().join(path), mode).expect("its mode");
        }
        let path = std::env::var("PATH").expect("a path");
        let path = format!("{}:{path}", floor.project.path().join("bin").display());
        floor.project.env("PATH", &path);
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

    fn newest_run(&self) -> String {
        self.value("SELECT run FROM runsheet.run ORDER BY seq DESC LIMIT 1")
    }

    fn dumps(&self) -> usize {
        let entries = std::fs::read_dir(self.project.path().join("backups"));
        entries
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "dump"))
            .count()
    }

    fn image(&self, tag: &str, content: &str) {
        self.project.file(&format!(".stand-in/images/ghcr.io_team_auto_trader:{tag}"), content);
    }

    fn session(&self) -> Child {
        let psql = runsheet::postgres::programs::Programs::new(None, None).find("psql", None);
        Command::new(psql.expect("psql").path)
            .args(["-X", "-q", &self.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("psql")
    }
}

fn tell(session: &mut Child, text: &str) {
    session.stdin.as_mut().expect("piped").write_all(text.as_bytes()).expect("it listens");
}

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
    assert_eq!(floor.dumps(), 0, "a backup is a matter of choice here");

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
    assert_eq!(floor.dumps(), dumps);
    floor.call("rollback", &floor.newest_run(), &[]).exits(0);
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
    floor.call("rollback", &floor.newest_run(), &[]).exits(0);
    floor
        .own("--manual-migrate", index, down, &big)
        .exits(0)
        .shows("⚠️")
        .shows("CONCURRENTLY 없이 만들면");
    floor.call("rollback", &floor.newest_run(), &[]).exits(0);
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
    let words = ["--set", "runner=compose", "--set", "deploy=false", "--set", &url];
    let ran = floor.deploy(&[&["--auto-migrate"], &image[..], &words].concat());
    ran.exits(0).shows_nowhere("canary-7");
    assert_eq!(floor.revision(), "001_low");
    let log = floor.project.read(".stand-in/log");
    assert!(log.contains("docker compose -f docker-compose.prod.yml --profile migration run --rm -e DATABASE_URL migration"), "{log}");
    assert!(!log.contains("canary-7"), "the address is handed on by its name");
    assert!(!floor.project.path().join(".stand-in/services/app").exists());

    let after = floor.fingerprint();
    floor.deploy(&[&["--skip-migrate"], &image[..]].concat()).exits(0);
    assert!(floor.project.path().join(".stand-in/services/app").exists());
    assert_eq!(floor.fingerprint(), after);
    floor.call("rollback", &floor.newest_run(), &[]).exits(0);
    assert_eq!(floor.project.read(".stand-in/images/ghcr.io_team_auto_trader:latest"), "old");
    assert_ne!(after, before);
}

/// G3.04: `upgrade head` and `downgrade -1`, and a revision that fails.
#[test]
fn alembic_goes_up_and_down() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    floor.project.file("versions/001_low.sql", "ALTER TABLE users ADD COLUMN phone varchar(20);");
    floor.project.file("versions/001_low.down.sql", "ALTER TABLE users DROP COLUMN phone;");
    let url = format!("url={}&password=canary-8", floor.url());
    let words = ["--set", "runner=alembic", "--set", "versions=versions", "--set", &url];
    floor.change("--auto-migrate", "001_low", &words).exits(0).shows_nowhere("canary-8");
    assert_eq!(floor.revision(), "001_low");
    floor.call("rollback", &floor.newest_run(), &words).exits(0);
    assert_eq!(floor.fingerprint(), before);

    floor.project.file("versions/001_low.sql", "ALTER TABLE nobody ADD COLUMN phone text;");
    let ran = floor.change("--auto-migrate", "001_low", &words);
    ran.shows("relation \"nobody\" does not exist").shows("G3.07");
    assert_ne!(ran.code, 0);
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
    let (mut holder, mut waiter) = (floor.session(), floor.session());
    tell(&mut holder, "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;\n");
    let locked = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'orders'::regclass \
                  AND mode = 'AccessExclusiveLock' AND granted)";
    wait_until(&floor.cluster, "trader", locked);
    tell(&mut waiter, "SELECT count(*) FROM orders;\n");
    let blocked =
        "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted)";
    wait_until(&floor.cluster, "trader", blocked);
    let ids = floor.cluster.query(
        "trader",
        "SELECT pid::text, pg_blocking_pids(pid)::text FROM pg_stat_activity \
         WHERE cardinality(pg_blocking_pids(pid)) > 0",
    );
    let (pid, by) = (ids[0][0].clone().unwrap(), ids[0][1].clone().unwrap());
    let ran = floor.change("--auto-migrate", "001_low", &[]);
    ran.exits(1).shows("G3.11").shows(&format!("세션 {pid}이(가) {by}을(를) 기다립니다"));
    tell(&mut holder, "ROLLBACK;\n\\q\n");
    tell(&mut waiter, "\\q\n");
    holder.wait().expect("psql");
    waiter.wait().expect("psql");
    assert_eq!(floor.fingerprint(), before);
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
    let run = floor.newest_run();
    floor.call("rollback", &run, &["--restore"]).exits(0);
    assert_eq!(floor.value("SELECT count(*) FROM orders"), "500");
    assert_eq!(floor.fingerprint(), before);
}

/// G3.16: nobody there to approve; no rehearsal in a protected environment.
#[test]
fn by_hand_without_a_person_or_a_rehearsal_is_refused() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    let url = floor.url();
    let high =
        ["--set", "sql=playbooks/auto-trader/sql/003_high.sql", "--set", "revision=003_high"];
    let begin = ["deploy", "auto-trader", "--manual-migrate", "--lang", "ko"];
    floor.project.run(&[&begin, &high[..], &["--url", &url]].concat()).exits(4);
    floor.project.file(
        "runsheet.toml",
        &format!("[environments.production]\nurl = \"{url}\"\nprotected = true\n"),
    );
    let words = ["--yes"];
    floor.project.run(&[&begin, &high[..], &words].concat()).exits(4);
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
    stage(1, &[]).exits(0).shows("할 일이 없습니다");
    stage(2, &["--set", "apart=1 day"]).exits(1).shows("1 day later");
    stage(2, &[]).exits(0);
    stage(4, &[]).exits(1).shows("stage 3 (move the data) comes first");
    stage(3, &["--set", "batch=100"]).exits(0);
    assert_eq!(
        floor.value("SELECT count(*) FROM orders WHERE instrument = replace(symbol, ':', '/')"),
        "500"
    );
    stage(4, &[]).exits(0);
    let four = floor.newest_run();
    let rows = "SELECT string_agg(symbol, ',' ORDER BY id) FROM orders";
    let symbols = floor.value(rows);
    stage(5, &[]).exits(0);
    assert_eq!(site.close(), 0, "nobody was sent away");
    let five = floor.newest_run();
    let gone = "SELECT count(*) FROM information_schema.columns \
                WHERE table_name = 'orders' AND column_name = 'symbol'";
    assert_eq!(floor.value(gone), "0");

    // The fourth before the fifth is refused, and changes nothing.
    let after = floor.fingerprint();
    let refused = floor.call("rollback", &four, &[]);
    refused.shows("stage 5 is done; take its run back first");
    assert_ne!(refused.code, 0);
    assert_eq!(floor.fingerprint(), after);
    floor.call("rollback", &five, &[]).exits(0);
    assert_eq!(floor.value(rows), symbols);
}
