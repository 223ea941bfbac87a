//! `runsheet deploy auto-trader`: what each risk is allowed, and the ways forward and back.

use super::alembic;
use super::application::Application;
use super::trading_floor::{COMPOSE, Floor};

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
    floor.two_revisions();
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

/// G3.04, G3.08: `upgrade head` over two revisions, and back over both; a revision that fails.
#[test]
fn alembic_goes_up_and_back_over_all_revisions_of_a_deployment() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    floor.two_revisions();
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
    floor.two_revisions();
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

#[test]
fn only_what_has_modes_is_deployed_and_one_mode_at_a_time() {
    let floor = Floor::new();
    floor.call("deploy", "iamvet", &["--auto-migrate"]).exits(2).shows("mode");
    floor.deploy(&["--auto-migrate", "--skip-migrate"]).exits(2);
    floor.deploy(&["--set", "mode=whenever"]).exits(2);
}
