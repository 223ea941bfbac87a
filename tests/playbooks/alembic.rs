//! `std/alembic` with the real Alembic on a project of three revisions.
//!
//! Alembic is fetched with pip, once, into the target folder; where that cannot be done the tests
//! say so and pass.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::ground::Ground;
use crate::support::cluster::query;

const PLAYBOOK: &str = r#"import "std/alembic" as alembic;
let p = playbook("orders", #{ params: #{ url: #{ value: "", env: "DATABASE_URL", secret: true } } });
let options = #{ cwd: "alembic", url: p.url };
check("every downgrade does something", || expect_equal("empty", alembic::empty_downgrades("alembic/versions"), []));
let before = check("before", || alembic::state());
let up = step("upgrade", #{ undo: || alembic::back(options, before) }, || alembic::upgrade_head(options));
verify("revision", || expect_equal("revision", alembic::version(), "b2"));
verify("changes", || report::table("Changes", alembic::changes(before)));"#;

/// A bare `pass` below a docstring, as the generator leaves it.
const EMPTY: &str = "\"\"\"index\"\"\"\nfrom alembic import op\nrevision = \"c3\"\ndown_revision = \"b2\"\n\n\
    def upgrade():\n    op.create_index(\"orders_note\", \"orders\", [\"note\"])\n\n\
    def downgrade() -> None:\n    \"\"\"\n    Nothing yet.\n    \"\"\"\n    # later\n    pass\n";

pub(super) fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/alembic")
}

/// The folder with Alembic in it; one process fetches, the others wait for it.
fn library() -> Option<PathBuf> {
    let folder = Path::new(option_env!("CARGO_TARGET_TMPDIR")?).join("alembic");
    std::fs::create_dir_all(folder.parent()?).ok()?;
    let lock = std::fs::File::create(folder.with_extension("lock")).ok()?;
    lock.lock().ok()?;
    if !folder.join("alembic").is_dir() {
        let fresh = folder.with_extension("fresh");
        let _ = std::fs::remove_dir_all(&fresh);
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        pip.arg(&fresh).arg("-r").arg(source().join("requirements.txt"));
        let fetched = pip.output().is_ok_and(|ran| ran.status.success());
        if !fetched || std::fs::rename(&fresh, &folder).is_err() {
            eprintln!("skipped: Alembic could not be fetched (python3 -m pip install alembic)");
            return None;
        }
    }
    Some(folder)
}

/// A script that runs the real one, where it can be had, with lines in front.
pub(super) fn program(before: &str) -> Option<String> {
    Some(format!(
        "#!/bin/sh\n{before}\nPYTHONDONTWRITEBYTECODE=1 PYTHONPATH='{}' exec python3 -m alembic \"$@\"\n",
        library()?.display()
    ))
}

/// An empty database and the project.
fn ground() -> Option<Ground> {
    let script = program("")?;
    let mut ground = Ground::bare();
    ground.program("alembic", &script);
    for file in ["alembic.ini", "env.py", "versions/a1_orders.py", "versions/b2_note.py"] {
        let text = std::fs::read_to_string(source().join(file)).expect("the project");
        ground.project.file(&format!("alembic/{file}"), &text);
    }
    let url = ground.cluster.url("app");
    ground.project.env("DATABASE_URL", &url);
    ground.project.playbook("orders", PLAYBOOK);
    ground.remember();
    Some(ground)
}

fn columns(ground: &Ground) -> String {
    ground.value(
        "SELECT coalesce(string_agg(column_name, ' ' ORDER BY ordinal_position), '') \
         FROM information_schema.columns WHERE table_name = 'orders'",
    )
}

/// G3.04: there, nothing more to do, and back.
#[test]
fn upgrade_head_and_the_way_back_are_judged_by_the_database() {
    let Some(ground) = ground() else { return };
    ground.call(&["plan", "orders"]).exits(0).shows("upgrade");
    ground.unchanged();
    ground.call(&["run", "orders", "--yes"]).exits(0).shows("orders");
    assert_eq!(columns(&ground), "id total note");
    ground.call(&["run", "orders", "--yes"]).exits(0).shows("할 일 없음");
    ground.back(&[]).exits(0);
    assert_eq!(columns(&ground), "");
    assert_eq!(ground.value("SELECT count(*) FROM alembic_version"), "0");
}

/// G3.04: a bare `pass` is named before anything runs, and found out where it runs after all.
#[test]
fn a_downgrade_that_does_nothing_is_found_out() {
    let Some(ground) = ground() else { return };
    ground.project.file("alembic/versions/c3_index.py", EMPTY);
    ground.call(&["run", "orders", "--yes"]).exits(1).shows("c3_index.py");
    ground.unchanged();

    let unlooked =
        PLAYBOOK.replace("check(\"every", "// check(\"every").replace("\"b2\"", "\"c3\"");
    ground.project.playbook("orders", &unlooked);
    ground.call(&["run", "orders", "--yes"]).exits(0);
    ground.sql("DELETE FROM alembic_version; INSERT INTO alembic_version VALUES ('c3')");
    let one = "import \"std/alembic\" as alembic;\nlet p = playbook(\"one\", #{ params: #{ url: #{ value: \"\", env: \"DATABASE_URL\", secret: true } } });\n\
        step(\"back\", || alembic::downgrade_one(#{ cwd: \"alembic\", url: p.url }));";
    ground.project.playbook("one", one);
    let ran = ground.call(&["run", "one", "--yes"]);
    ran.exits(5).shows("its downgrade() does nothing").shows("alembic stamp c3");
    assert_eq!(ground.value("SELECT version_num FROM alembic_version"), "b2");
    assert_eq!(ground.value("SELECT to_regclass('orders_note') IS NOT NULL"), "t");
}

/// G3.04: exit code 0 proves nothing: here Alembic worked on another database.
#[test]
fn an_upgrade_of_another_database_is_not_believed() {
    let Some(mut ground) = ground() else { return };
    ground.cluster.create_database("other");
    let other = ground.cluster.url("other");
    ground.project.env("DATABASE_URL", &other);
    let ran = ground.call(&["run", "orders", "--yes"]);
    ran.shows("alembic_version is \"\" and not \"b2\"");
    assert_ne!(ran.code, 0);
    ground.unchanged();
    assert_eq!(query(&other, "SELECT version_num FROM alembic_version").unwrap().len(), 1);
}

/// G3.04: a way back that leaves something behind says what.
#[test]
fn a_way_back_that_leaves_something_is_named() {
    let Some(ground) = ground() else { return };
    let note = ground.project.read("alembic/versions/a1_orders.py");
    let note = note
        .replace("op.drop_table(\"orders\")", "op.execute('ALTER TABLE orders DROP COLUMN total')");
    ground.project.file("alembic/versions/a1_orders.py", &note);
    ground.call(&["run", "orders", "--yes"]).exits(0);
    ground.back(&[]).exits(5).shows("added table orders");
}
