//! `std/prisma`: with a stand-in of the same command line (`prisma/standin.sh`), and with the real
//! Prisma where `./test` could fetch it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ground::Ground;

const PLAYBOOK: &str = r#"import "std/prisma" as prisma;
let p = playbook("shop", #{ params: #{ url: #{ value: "", env: "DATABASE_URL", secret: true } } });
let options = #{ argv: ["prisma"], url: p.url };
let deployed = step("deploy", #{ undo: || db::exec("DROP TABLE shop; DROP TABLE _prisma_migrations") }, || prisma::deploy(options));
step("status", || prisma::status(options));
check("clean", || prisma::require_clean(options));
let saved = step("keep the file", || fs::backup("prisma/schema.prisma"));
let pulled = step("pull", #{ undo: || fs::restore(saved) }, || prisma::pull(options));
check("pulled", || { expect_equal("applied", deployed.applied, ["1_shop"]); pulled.changed });
step("by hand", #{ undo: || () }, || prisma::execute(options, "sql/more.sql"));"#;

const SCHEMA: &str =
    "datasource db {\n  provider = \"postgresql\"\n  url      = env(\"DATABASE_URL\")\n}\n";

pub(super) fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/prisma").join(file)
}

/// Puts the stand-in in the project.
pub(super) fn stand_in(ground: &mut Ground) {
    let script = std::fs::read_to_string(source("standin.sh")).expect("the stand-in");
    ground.program("prisma", &script);
    let url = ground.cluster.tcp_url("app");
    ground.project.env("DATABASE_URL", &url);
}

/// The modules that `./test` fetched, or those in the folder that the variable names.
fn modules() -> Option<PathBuf> {
    let fetched = option_env!("CARGO_TARGET_TMPDIR").map(|folder| Path::new(folder).join("prisma"));
    let folder = std::env::var_os("RUNSHEET_TEST_PRISMA").map(PathBuf::from).or(fetched)?;
    let modules = folder.join("node_modules");
    modules.join("prisma/build/index.js").is_file().then_some(modules)
}

/// Puts the real one in the project; false where it cannot be had.
pub(super) fn real(ground: &mut Ground) -> bool {
    let Some(modules) = modules() else {
        eprintln!(
            "skipped: the real Prisma is not here (./test fetches it with npm; \
             RUNSHEET_TEST_PRISMA=FOLDER names a folder with its node_modules)"
        );
        return false;
    };
    let version: u32 = ground.value("SHOW server_version_num").parse().expect("a number");
    if version >= 180_000 {
        eprintln!(
            "skipped: Prisma's engine does not know the NOT NULL constraints of PostgreSQL 18 \
             and breaks off (prisma/orm, issue 29635)"
        );
        return false;
    }
    // What is there and empty is not looked for in the network.
    ground.project.file("home/no-engine", "");
    ground.program(
        "prisma",
        &format!(
            "#!/bin/sh\nexport PRISMA_QUERY_ENGINE_LIBRARY='{}' PRISMA_SCHEMA_ENGINE_BINARY=/bin/true \
             CHECKPOINT_DISABLE=1 PRISMA_HIDE_UPDATE_MESSAGE=1\nexec node '{}' \"$@\"\n",
            ground.project.path().join("home/no-engine").display(),
            modules.join("prisma/build/index.js").display()
        ),
    );
    let config = std::fs::read_to_string(source("prisma.config.ts")).expect("its configuration");
    ground.project.file("prisma.config.ts", &config);
    ground.project.file("package.json", "{\"private\":true,\"type\":\"module\"}");
    let link = ground.project.path().join("node_modules");
    std::os::unix::fs::symlink(&modules, link).expect("a link");
    let url = ground.cluster.tcp_url("app");
    ground.project.env("DATABASE_URL", &url);
    // Each call of it compiles its engine: seconds, on a busy machine many of them.
    ground.patience = Duration::from_secs(600);
    true
}

fn shop() -> Ground {
    let ground = Ground::bare();
    ground.project.file("prisma/schema.prisma", SCHEMA);
    ground.project.file(
        "prisma/migrations/1_shop/migration.sql",
        "CREATE TABLE shop (id int PRIMARY KEY, name text);\n",
    );
    let lock = "provider = \"postgresql\"\n";
    ground.project.file("prisma/migrations/migration_lock.toml", lock);
    ground.project.file("sql/more.sql", "ALTER TABLE shop ADD COLUMN city text;\n");
    ground.project.playbook("shop", PLAYBOOK);
    ground
}

fn runs_whole(ground: &Ground) {
    ground.call(&["run", "shop", "--yes"]).exits(0);
    assert_eq!(
        ground.value("SELECT count(*) FROM _prisma_migrations WHERE finished_at IS NOT NULL"),
        "1"
    );
    assert!(ground.project.read("prisma/schema.prisma").contains("shop"));
    assert!(ground.report().contains("```diff"), "{}", ground.report());
    ground.call(&["run", "shop", "--yes"]).exits(0).shows("할 일 없음");
    ground.back(&[]).exits(0);
    assert_eq!(ground.project.read("prisma/schema.prisma"), SCHEMA);
}

#[test]
fn deploy_status_pull_and_execute_with_the_stand_in() {
    let mut ground = shop();
    stand_in(&mut ground);
    runs_whole(&ground);
}

#[test]
fn deploy_status_pull_and_execute_with_the_real_prisma() {
    let mut ground = shop();
    if real(&mut ground) {
        runs_whole(&ground);
    }
}

/// Exit code 0 and nothing done: a Prisma without its engine.
#[test]
fn a_deploy_that_applies_nothing_is_not_believed() {
    let mut ground = shop();
    ground.program("prisma", "#!/bin/sh\necho 'All migrations have been successfully applied.'\n");
    let ran = ground.call(&["run", "shop", "--yes"]);
    ran.shows("_prisma_migrations does not hold these as applied: [\"1_shop\"]");
    assert_ne!(ran.code, 0);
    assert_eq!(ground.value("SELECT to_regclass('shop') IS NULL"), "t");
}

/// A migration that failed half-way stops the next deploy by name.
#[test]
fn a_failed_migration_is_named() {
    let mut ground = shop();
    stand_in(&mut ground);
    ground.project.file(
        "prisma/migrations/2_broken/migration.sql",
        "ALTER TABLE nowhere ADD COLUMN x int;\n",
    );
    assert_ne!(ground.call(&["run", "shop", "--yes"]).shows("nowhere").code, 0);
    ground
        .project
        .playbook("again", &PLAYBOOK.replace("\"shop\", #{ params", "\"again\", #{ params"));
    ground.call(&["run", "again", "--yes"]).exits(1).shows("2_broken").shows("migrate resolve");
}

const DEPLOY: &str = r#"import "std/prisma" as prisma;
let p = playbook("deploy", #{ params: #{ url: #{ value: "", env: "DATABASE_URL", secret: true } } });
let options = #{ argv: ["prisma"], url: p.url };
check("no failed migration", || expect_equal("failed", prisma::failed(), []));
let deployed = step("deploy", || prisma::deploy(options));
verify("nothing is pending", || prisma::require_clean(options));
step("status", || prisma::status(options));
verify("in the report", || note(`${deployed.applied.len()} applied in ${deployed.took}`));"#;

/// The migrations of Prisma projects that other people wrote, deployed from the first to the last.
#[test]
fn a_real_projects_migrations_are_deployed_by_the_real_prisma() {
    let Some(root) = std::env::var_os("RUNSHEET_SHARED") else {
        eprintln!("skipped: RUNSHEET_SHARED names no folder with Prisma projects");
        return;
    };
    for folder in std::fs::read_dir(root).expect("the folder").map(|entry| entry.unwrap().path()) {
        let migrations = folder.join("prisma/migrations");
        let Ok(entries) = std::fs::read_dir(&migrations) else { continue };
        let mut ground = Ground::bare();
        if !real(&mut ground) {
            return;
        }
        let all = entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
        // A link would lead out of the project, and is not followed.
        let mut copy = std::process::Command::new("cp");
        copy.arg("-R").arg(folder.join("prisma")).arg(ground.project.path());
        assert!(copy.status().is_ok_and(|status| status.success()), "a copy");
        ground.project.playbook("deploy", DEPLOY);
        let began = std::time::Instant::now();
        let ran = ground.call(&["run", "deploy", "--yes"]);
        ran.exits(0).shows(&format!("{all} applied in"));
        let applied = ground.value(
            "SELECT count(*) FROM _prisma_migrations WHERE finished_at IS NOT NULL \
             AND rolled_back_at IS NULL",
        );
        println!("{}: {applied} of {all} in {:.1?}", folder.display(), began.elapsed());
        assert_eq!(applied, all.to_string());
        ground.call(&["run", "deploy", "--yes"]).exits(0).shows("할 일 없음");
    }
}
