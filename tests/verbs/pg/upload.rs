//! Dumps that are carried elsewhere: `[backup] upload`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::shop;
use crate::faults::Desk;
use crate::support::Stage;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn manifest_in(folder: &Path) -> Value {
    let name = names(folder).into_iter().find(|name| name.ends_with(".manifest.json")).unwrap();
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

#[test]
fn a_dump_is_carried_to_a_folder_with_its_manifest_and_is_the_same_there() {
    let cluster = shop();
    let elsewhere = tempfile::tempdir().unwrap();
    let there = elsewhere.path();
    let stage = Stage::on(&cluster, "shop")
        .config(&format!("[backup]\nupload = \"file://{}\"\n", there.display()));
    let played =
        stage.run(r#"step("dump", || pg::dump(#{ formats: ["custom", "directory"] }));"#).fine();
    let dump = played.value("dump");
    let here = stage.path().join("backups");
    assert_eq!(names(&here), names(there));
    let (custom, folder) = (&names(there)[1], &names(there)[0]);
    assert!(custom.ends_with(".dump") && folder.ends_with(".dir"), "{:?}", names(there));
    assert_eq!(
        std::fs::read(here.join(custom)).unwrap(),
        std::fs::read(there.join(custom)).unwrap()
    );
    assert_eq!(names(&here.join(folder)), names(&there.join(folder)));
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(there.join(custom)), mode(there.join(folder))), (0o600, 0o700));
    let place = format!("file://{}/{custom}", there.display());
    assert_eq!(dump["uploaded"][0], place.as_str());
    assert_eq!(manifest_in(&here), manifest_in(there));
    assert_eq!(manifest_in(there)["uploaded"], dump["uploaded"]);
    let report = played.run.as_ref().unwrap();
    let report = stage.project.read(&format!(".runsheet/runs/{report}/report.md"));
    assert!(report.contains(&place), "{report}");
}

#[test]
fn a_folder_that_is_not_there_is_found_before_the_dump_and_nothing_is_written_over() {
    let cluster = shop();
    let elsewhere = tempfile::tempdir().unwrap();
    let there = elsewhere.path().join("mnt");
    let stage = Stage::on(&cluster, "shop")
        .config(&format!("[backup]\nupload = \"file://{}\"\n", there.display()));
    let text = r#"step("dump", || pg::dump());"#;
    let fault = stage.run(text).fails_with("upload-failed");
    assert!(fault.message.contains(there.to_str().unwrap()), "{fault}");
    assert!(!stage.path().join("backups").exists());
    std::fs::create_dir(&there).unwrap();
    // Files of all names that the dump can get lie there already.
    let now = jiff::Zoned::now();
    for second in 0..90 {
        let at = &now + jiff::Span::new().seconds(second);
        let name = format!("shop_{}.dump", at.strftime("%Y%m%d_%H%M%S"));
        std::fs::write(there.join(name), "mine").unwrap();
    }
    let fault = stage.run(text).fails_with("upload-failed");
    assert!(fault.remedy.unwrap().contains("backup folder"));
    assert!(names(&there).iter().all(|n| std::fs::read(there.join(n)).unwrap() == b"mine"));
    // The dump itself is whole, and its manifest names no place.
    let here = stage.path().join("backups");
    assert_eq!(names(&here).len(), 2);
    assert!(manifest_in(&here).get("uploaded").is_none());
}

#[test]
fn the_dump_of_a_rehearsal_is_carried_nowhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let desk = Desk::new(r#"step("dump", #{ undo: || () }, || pg::dump());"#);
    let place = elsewhere.path().display();
    desk.project.file("runsheet.toml", &format!("[backup]\nupload = \"file://{place}\"\n"));
    desk.call(&["rehearse", "it"]).exits(0);
    assert!(names(elsewhere.path()).is_empty());
    desk.run().exits(0).shows("read back and compared");
    assert_eq!(names(elsewhere.path()).len(), 2);
}

#[cfg(feature = "object_store")]
mod bucket {
    use super::*;
    use crate::support::bucket::{Bucket, Mood};

    const SECRET: &str = "s3cr3t-canary-91";

    fn desk(bucket: &Bucket, body: &str) -> Desk {
        let mut desk = Desk::new(body);
        desk.project.file("runsheet.toml", "[backup]\nupload = \"s3://vault/shop/nightly\"\n");
        desk.project
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &bucket.url())
            .env("AWS_ALLOW_HTTP", "true");
        desk
    }

    /// In one request, and in parts.
    #[test]
    fn a_dump_is_carried_to_a_bucket_and_is_the_same_there() {
        let bucket = Bucket::start(Mood::Good);
        let desk = desk(&bucket, r#"step("d", || pg::dump(#{ formats: ["custom", "plain"] }));"#);
        desk.sql(
            "CREATE TABLE large AS SELECT repeat(md5(n::text), 64) AS a \
             FROM generate_series(1, 10000) n",
        );
        let ran = desk.run();
        ran.exits(0).shows("s3://vault/shop/nightly/shop_").shows_nowhere(SECRET);
        let here = desk.project.path().join("backups");
        for name in names(&here) {
            let (sent, kept) = (std::fs::read(here.join(&name)).unwrap(), bucket.get(&name));
            assert!(kept == sent, "{name}: {} of {} bytes", kept.len(), sent.len());
            assert_eq!(bucket.parts(&name) > 1, sent.len() > 16 << 20, "{name}");
        }
        let uploaded = manifest_in(&here)["uploaded"].clone();
        assert_eq!(uploaded.as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_bucket_that_loses_a_byte_is_found_out() {
        let bucket = Bucket::start(Mood::LosesAByte);
        let desk = desk(&bucket, r#"step("d", || pg::dump());"#);
        let ran = desk.run();
        ran.exits(1).stderr_shows("upload-differs").stderr_shows("s3://vault/shop/nightly/");
        assert_eq!(names(&desk.project.path().join("backups")).len(), 2, "the dump stays");
    }

    #[test]
    fn a_bucket_that_refuses_is_told_without_the_secret() {
        let bucket = Bucket::start(Mood::Refuses);
        let desk = desk(&bucket, r#"step("d", || pg::dump());"#);
        let ran = desk.run();
        ran.exits(1).stderr_shows("upload-failed").shows_nowhere(SECRET);
        ran.stderr_shows("AWS_SECRET_ACCESS_KEY").stderr_shows("Nothing was dumped");
        assert!(!desk.project.path().join("backups").exists());
    }

    /// A store that somebody else has written, with the bucket `vault` in it; its keys are those of
    /// the environment. tests/bucket.sh starts one, and looks afterwards at what is there.
    fn independent(body: &str) -> Option<Desk> {
        let Ok(endpoint) = std::env::var("RUNSHEET_TEST_STORE") else {
            println!("skipped: RUNSHEET_TEST_STORE names no store (tests/bucket.sh starts one)");
            return None;
        };
        let mut desk = Desk::new(body);
        desk.project.file("runsheet.toml", "[backup]\nupload = \"s3://vault/shop/nightly\"\n");
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            desk.project.env(name, &std::env::var(name).expect("the store's keys"));
        }
        desk.project
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &endpoint)
            .env("AWS_ALLOW_HTTP", "true");
        desk.sql(
            "CREATE TABLE large AS SELECT repeat(md5(n::text), 64) AS a \
             FROM generate_series(1, 20000) n",
        );
        Some(desk)
    }

    /// One request, several parts, a folder, and a manifest.
    #[test]
    fn an_independent_store_takes_a_dump_in_parts_and_gives_it_back() {
        let formats = r#"step("d", || pg::dump(#{ formats: ["custom", "plain", "directory"] }));"#;
        let Some(desk) = independent(formats) else { return };
        let secret = std::env::var("AWS_SECRET_ACCESS_KEY").unwrap();
        let ran = desk.run();
        ran.exits(0).shows("s3://vault/shop/nightly/shop_").shows("read back and compared");
        ran.shows_nowhere(&secret);
        let here = desk.project.path().join("backups");
        let plain = names(&here).into_iter().find(|name| name.ends_with(".sql")).unwrap();
        let bytes = std::fs::metadata(here.join(plain)).unwrap().len();
        assert!(bytes > 32 << 20, "{bytes} are no three parts");
        assert_eq!(manifest_in(&here)["uploaded"].as_array().unwrap().len(), 3);
        desk.nothing_is_left();
    }

    #[test]
    fn an_independent_store_refuses_a_wrong_key_and_an_unknown_bucket_by_name() {
        let Some(mut desk) = independent(r#"step("d", || pg::dump());"#) else { return };
        let wrong = "w".repeat(40);
        desk.project.env("AWS_SECRET_ACCESS_KEY", &wrong);
        let ran = desk.run();
        ran.exits(1).stderr_shows("upload-failed").stderr_shows("s3://vault/shop/nightly");
        ran.stderr_shows("403").stderr_shows("AWS_SECRET_ACCESS_KEY").shows_nowhere(&wrong);
        assert!(!desk.project.path().join("backups").exists(), "found before the dump");
        desk.project.env("AWS_SECRET_ACCESS_KEY", &std::env::var("AWS_SECRET_ACCESS_KEY").unwrap());
        desk.project.file("runsheet.toml", "[backup]\nupload = \"s3://nowhere/shop\"\n");
        let ran = desk.run();
        ran.exits(1).stderr_shows("upload-failed").stderr_shows("There is no bucket nowhere");
    }
}
