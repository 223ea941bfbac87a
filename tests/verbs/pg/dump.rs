use super::shop;
use crate::support::{SmallDisk, Stage, noise};
use runsheet::model::EventKind;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// F59: 0600 files in a 0700 folder. F55: the manifest says whose dump it is, with its counts.
#[test]
fn all_formats_are_written_decoded_and_described() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let played = stage
        .run(r#"step("dump", || pg::dump(#{ formats: ["custom", "directory", "plain"], jobs: 2 }));"#)
        .fine();
    let dump = played.value("dump");
    assert_eq!(dump["state"], "readable");
    assert_eq!(dump["database"], "shop");
    assert_eq!(dump["counts"]["public.users"], 500);
    assert_eq!(dump["counts"]["\"App\".\"Order\""], 70);
    assert!(dump["restore"].as_str().unwrap().contains("pg_restore --exit-on-error"));
    assert!(dump["took"].is_string() && dump["took_ms"].is_u64());
    let files = dump["files"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    for file in files {
        let path = PathBuf::from(file["path"].as_str().unwrap());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("shop_2") && path.exists(), "{name}");
        assert_eq!(file["sha256"].as_str().unwrap().len(), 64);
        if path.is_file() {
            assert_eq!(std::fs::metadata(&path).unwrap().len(), file["bytes"].as_u64().unwrap());
            assert_eq!(mode(&path), 0o600);
        } else {
            assert_eq!(mode(&path), 0o700);
        }
    }
    let backups = stage.path().join("backups");
    assert_eq!(mode(&backups), 0o700);
    let names: Vec<String> = std::fs::read_dir(&backups)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 4, "nothing half-written stays: {names:?}");
    let manifest = names.iter().find(|name| name.ends_with(".manifest.json")).unwrap();
    let manifest: Value =
        serde_json::from_str(&stage.project.read(&format!("backups/{manifest}"))).unwrap();
    assert_eq!(manifest["tables"]["public.users"], 500);
    assert!(manifest["server"]["system_identifier"].is_string());
    let backups = played.all(|kind| match kind {
        EventKind::Backup { backup } => Some(backup.clone()),
        _ => None,
    });
    assert_eq!(serde_json::to_value(&backups[0].files).unwrap(), dump["files"]);
    let ways = played.all(|kind| match kind {
        EventKind::WayBack { command, .. } => command.clone(),
        _ => None,
    });
    let runs = played.all(|kind| match kind {
        EventKind::RunStarted { run, .. } => Some(run.0.clone()),
        _ => None,
    });
    assert_eq!(ways, [format!("runsheet rollback {} --restore", runs[0])]);
}

#[test]
fn the_journal_is_in_the_dump_and_the_leases_row_is_not() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let played = stage
        .run(r#"step("one", || ()); step("dump", || pg::dump(#{ formats: ["plain"], dir: "out" }));"#)
        .fine();
    let dump = played.value("dump");
    let text = std::fs::read_to_string(dump["files"][0]["path"].as_str().unwrap()).unwrap();
    assert!(text.contains("COPY runsheet.step "), "the journal's rows");
    assert!(text.contains("CREATE TABLE runsheet.lease"), "the lease's table");
    assert!(!text.contains("COPY runsheet.lease "), "the lease's row");
    assert!(dump["counts"].get("runsheet.lease").is_none());
}

#[test]
fn a_dump_of_single_tables_holds_those() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let played = stage.run(
        r#"let d = step("dump", || pg::dump(#{ tables: ["users"] }));
            check("back", || pg::restore_test(d));"#,
    );
    assert_eq!(played.value("dump")["counts"].as_object().unwrap().len(), 1);
    played.fine();
    stage.run(r#"step("dump", || pg::dump(#{ tables: ["no_such"] }));"#).fails_with("dump-failed");
}

/// F51: an older pg_dump is found out before it is started.
#[test]
fn a_pg_dump_older_than_the_server_is_refused_before_anything() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop").config("[postgres]\nbin = \"old\"\n");
    stage.project.file("old/pg_dump", "#!/bin/sh\necho 'pg_dump (PostgreSQL) 12.4'\n");
    let program = stage.path().join("old/pg_dump");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let played = stage.run(r#"step("dump", || pg::dump());"#);
    let fault = played.fails_with("pg-dump-too-old");
    assert!(fault.message.contains("12.4"), "{fault}");
    assert!(fault.message.contains(&cluster.major().to_string()), "{fault}");
    assert!(!stage.path().join("backups").exists());
    assert!(played.all(|kind| matches!(kind, EventKind::Intent { .. }).then_some(())).is_empty());
}

/// F49: pg_dump's own exit code counts, no pipe hides it.
#[test]
fn a_dump_that_fails_leaves_nothing_behind() {
    let cluster = shop();
    // pg_dump reads it, and the server cannot give its rows.
    cluster.sql(
        "shop",
        "CREATE FUNCTION broken(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
         'BEGIN RETURN 1; END'; CREATE TABLE odd (a int); INSERT INTO odd VALUES (1)",
    );
    cluster.sql("postgres", "CREATE ROLE weak LOGIN; GRANT ALL ON DATABASE shop TO weak");
    let url = cluster.tcp_url("shop").replace("postgres@", "weak@");
    let stage = Stage::at(Some(url));
    let played = stage.run(r#"step("dump", || pg::dump());"#);
    assert!(played.early.is_none() && played.exit != 0);
    let left = std::fs::read_dir(stage.path().join("backups")).map_or(0, |entries| entries.count());
    assert_eq!(left, 0);
}

#[test]
fn older_dumps_are_removed_but_never_the_last_verified_one() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop").config("[backup]\ndir = \"b\"\nkeep = 1\n");
    let first = stage
        .run(r#"let d = step("dump", || pg::dump()); check("back", || pg::restore_test(d));"#)
        .fine();
    let second = stage.run(r#"step("dump", || pg::dump());"#).fine();
    let third = stage.run(r#"step("dump", || pg::dump());"#).fine();
    let exists = |played: &crate::support::Played| {
        let dump = played.value("dump");
        std::path::Path::new(dump["files"][0]["path"].as_str().unwrap()).exists()
    };
    assert!(exists(&first), "it was restored and compared");
    assert!(!exists(&second));
    assert!(exists(&third));
}

#[test]
fn a_password_is_in_no_argument_event_or_file() {
    let cluster = shop();
    cluster.sql("postgres", "CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'canary-77aa'");
    cluster.admit("host all boss 127.0.0.1/32 scram-sha-256");
    let url = cluster.tcp_url("shop").replace("postgres@", "boss:canary-77aa@");
    let stage = Stage::at(Some(url));
    let played = stage
        .run(
            r#"let d = step("dump", || pg::dump());
            check("back", || pg::restore_test(d, #{ into: "shop_try" }));"#,
        )
        .fine();
    played.shows_nowhere("canary-77aa");
    let left = std::fs::read_dir(stage.path().join(".runsheet/tmp")).unwrap().count();
    assert_eq!(left, 0, "password files are removed");
}

/// F48: a full disk is no backup.
#[test]
fn a_full_disk_is_said_with_the_sizes_and_leaves_nothing() {
    let cluster = shop();
    // Nearly 2 MiB however it is packed.
    noise::make(&cluster, "shop", 60_000);
    let stage = Stage::on(&cluster, "shop").config("[backup]\ndir = \"small\"\n");
    let all = r#"["custom", "plain", "directory"]"#;
    let roomy = format!(r#"step("dump", || pg::dump(#{{ formats: {all}, dir: "roomy" }}));"#);
    assert_eq!(stage.run(&roomy).fine().value("dump")["state"], "readable");
    let small = stage.path().join("small");
    let Some(_disk) = SmallDisk::at(&small, 1) else { return };
    for format in ["custom", "plain", "directory"] {
        let fault = stage
            .run(&format!(r#"step("dump", || pg::dump(#{{ formats: ["{format}"] }}));"#))
            .fails_with("disk-full");
        assert!(fault.message.contains("1.0 MiB were free"), "{format}: {fault}");
        assert!(fault.detail.unwrap().contains("MiB"));
        assert_eq!(std::fs::read_dir(&small).unwrap().count(), 0, "{format}");
    }
}

#[test]
fn a_plan_dumps_nothing_and_goes_on_with_what_will_be() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    stage
        .plan(
            r#"let d = step("dump", || pg::dump());
            check("sound", || pg::verify(d));
            check("back", || pg::restore_test(d));"#,
        )
        .fine();
    assert!(!stage.path().join("backups").exists());
}

/// F60: whoever can write into the folder cannot have another file overwritten.
#[test]
fn a_symlink_at_the_path_of_a_dump_is_not_followed() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let backups = stage.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    stage.project.file("victim", "mine");
    let victim = stage.path().join("victim");
    let now = jiff::Zoned::now();
    for second in 0..90 {
        let at = &now + jiff::Span::new().seconds(second);
        let base = format!("shop_{}", at.strftime("%Y%m%d_%H%M%S"));
        for name in [format!(".{base}.dump.partial"), format!(".{base}.manifest.json.partial")] {
            std::os::unix::fs::symlink(&victim, backups.join(name)).unwrap();
        }
    }
    let played = stage.run(r#"step("dump", || pg::dump());"#);
    assert!(played.exit != 0, "what lies there is not taken away");
    assert_eq!(stage.project.read("victim"), "mine");
}
