//! Dumps for recipients: `[backup] encrypt_to` and `identity_file`.

use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::shop;
use crate::faults::Desk;
use crate::support::{Cluster, Played, Stage, noise};

/// A secret key and its public half.
fn pair() -> (String, String) {
    let key = age::x25519::Identity::generate();
    (key.to_string().expose_secret().to_string(), key.to_public().to_string())
}

/// Dumps are for `public`; the secret key is there, too, where one is given.
fn stage(cluster: &Cluster, public: &str, secret: Option<&str>) -> Stage {
    let stage = Stage::on(cluster, "shop");
    settle(&stage, public, secret);
    stage
}

fn settle(stage: &Stage, public: &str, secret: Option<&str>) {
    let identity = secret.map_or("", |_| "identity_file = \"home/key.txt\"\n");
    stage
        .project
        .file("runsheet.toml", &format!("[backup]\nencrypt_to = [\"{public}\"]\n{identity}"));
    if let Some(secret) = secret {
        stage.project.file("home/key.txt", &format!("# created: today\n{secret}\n"));
    }
}

fn dumped(stage: &Stage) -> (PathBuf, Played) {
    let played = stage.run(r#"step("dump", || pg::dump());"#).fine();
    (played.value("dump")["files"][0]["path"].as_str().unwrap().into(), played)
}

fn verify(stage: &Stage, path: &Path) -> Played {
    stage.run(&format!(r#"check("sound", || pg::verify("{}"));"#, path.display()))
}

/// Every file of a folder and of what is below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn an_encrypted_dump_is_plain_text_nowhere_and_comes_back_whole() {
    let cluster = shop();
    let (secret, public) = pair();
    let stage = stage(&cluster, &public, Some(&secret));
    let played = stage
        .run(
            r#"let d = step("dump", || pg::dump());
            check("sound", || pg::verify(d));
            check("back", || pg::restore_test(d));
            check("beside", || pg::restore_test(d, #{ into: "shop_try" }));
            step("new", || pg::restore(d, #{ into: "shop_back" }));"#,
        )
        .fine();
    let dump = played.value("dump");
    assert_eq!((&dump["state"], &dump["encrypted"]), (&"readable".into(), &true.into()));
    assert!(dump["restore"].as_str().unwrap().contains("age --decrypt --identity"), "{dump}");
    assert_eq!(played.value("sound")["state"], "readable");
    assert_eq!(played.value("back")["state"], "verified");
    assert_eq!(cluster.value("shop_back", "SELECT count(*) FROM users"), "500");
    let path = Path::new(dump["files"][0]["path"].as_str().unwrap());
    assert!(path.to_str().unwrap().ends_with(".dump.age"), "{dump}");
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    // The checksum is that of what lies on the disk: anybody can look after it.
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(dump["files"][0]["sha256"], sum.as_str());
    let manifest = path.to_str().unwrap().replace(".dump.age", ".manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    assert_eq!(manifest["files"][0]["sha256"], sum.as_str());
    assert_eq!(manifest["files"][0]["encrypted_to"], serde_json::json!([public]));
    assert_eq!(manifest["state"], "verified");
    for file in files(stage.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let plain = bytes.windows(5).any(|window| window == b"PGDMP");
        assert!(!plain, "a plain dump in {}", file.display());
    }
    played.shows_nowhere(&secret);
}

#[test]
fn without_the_identity_the_checksum_is_all_that_is_proven_and_that_is_said() {
    let cluster = shop();
    let (_, public) = pair();
    let stage = stage(&cluster, &public, None);
    let (path, played) = dumped(&stage);
    assert_eq!(played.value("dump")["state"], "checksummed");
    let played = verify(&stage, &path).fine();
    assert_eq!(played.value("sound")["state"], "checksummed");
    let said = played.remarks().join("\n");
    assert!(said.contains("its checksum holds") && said.contains("was not looked at"), "{said}");
    let shown = path.display();
    for call in ["pg::restore_test(d)", r#"pg::restore(d, #{ into: "shop_back" })"#] {
        let played = stage.run(&format!("let d = \"{shown}\"; step(\"back\", || {call});"));
        let fault = played.fails_with("identity-missing");
        assert!(fault.remedy.unwrap().contains("identity_file"));
    }
    // A checksum that does not hold is found without any key, and without one nothing is proven.
    let bytes = std::fs::read(&path).unwrap();
    let alone = path.with_file_name("alone.dump.age");
    std::fs::write(&alone, &bytes).unwrap();
    verify(&stage, &alone).fails_with("identity-missing");
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let fault = verify(&stage, &path).fails_with("backup-damaged");
    assert!(fault.detail.unwrap().contains("SHA-256"));
}

#[test]
fn a_wrong_identity_is_named_before_anything_is_dumped_and_when_it_opens_nothing() {
    let cluster = shop();
    let ((secret, public), (other, _)) = (pair(), pair());
    let stage = stage(&cluster, &public, Some(&other));
    let fault = stage.run(r#"step("dump", || pg::dump());"#).fails_with("wrong-identity");
    assert!(fault.message.contains("key.txt"), "{fault}");
    assert!(!stage.path().join("backups").exists());
    settle(&stage, &public, Some(&secret));
    let (path, _) = dumped(&stage);
    settle(&stage, &public, Some(&other));
    let played = verify(&stage, &path);
    let fault = played.fails_with("wrong-identity");
    assert!(fault.message.contains("key.txt"), "{fault}");
    assert!(fault.message.contains(path.to_str().unwrap()), "{fault}");
    played.shows_nowhere(&other);
    // A file without a key in it is another mistake than a key that does not fit.
    for nothing in ["", "# nothing\n", "AGE-SECRET-KEY-1BROKEN\n"] {
        stage.project.file("home/key.txt", nothing);
        let fault = verify(&stage, &path).fails_with("identity-unreadable");
        assert!(!format!("{fault:?}").contains("1BROKEN"), "{fault:?}");
    }
}

/// F50: with its manifest, and where nobody knows a checksum.
#[test]
fn every_damage_to_an_encrypted_dump_is_found() {
    let cluster = shop();
    noise::make(&cluster, "shop", 6000);
    let (secret, public) = pair();
    let stage = stage(&cluster, &public, Some(&secret));
    let (path, _) = dumped(&stage);
    let whole = std::fs::read(&path).unwrap();
    let alone = path.with_file_name("alone.dump.age");
    std::fs::write(&alone, &whole).unwrap();
    verify(&stage, &alone).fine();
    let head = whole.windows(4).position(|window| window == b"\n---").unwrap() + 64;
    // The second one ends just behind the first piece that was encrypted by itself.
    let cuts = [head, head + 16 + 65_536 + 16, whole.len() / 2, whole.len() - 1];
    let flips = [head + 100, whole.len() / 2, whole.len() - 3];
    let cut = cuts.iter().map(|length| whole[..*length].to_vec());
    let flipped = flips.iter().map(|at| {
        let mut bytes = whole.clone();
        bytes[*at] ^= 0x10;
        bytes
    });
    for (number, bytes) in cut.chain(flipped).enumerate() {
        std::fs::write(&alone, &bytes).unwrap();
        let fault = verify(&stage, &alone).fails_with("backup-damaged");
        assert!(fault.message.contains("alone.dump.age"), "{number}: {fault}");
        std::fs::write(&path, &bytes).unwrap();
        let fault = verify(&stage, &path).fails_with("backup-damaged");
        assert!(fault.detail.unwrap().contains("SHA-256"), "{number}");
    }
    std::fs::write(&alone, &whole[..10]).unwrap();
    verify(&stage, &alone).fails_with("backup-damaged");
    let text =
        format!("step(\"x\", || pg::restore(\"{}\", #{{ into: \"back\" }}));", path.display());
    stage.run(&text).fails_with("backup-damaged");
    assert_eq!(
        cluster.value("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'back%'"),
        "0"
    );
}

#[test]
fn what_cannot_be_encrypted_is_refused_before_anything() {
    let cluster = shop();
    let (_, public) = pair();
    let stage = stage(&cluster, &public, None);
    for formats in [r#"["directory"]"#, r#"["custom", "plain"]"#] {
        let played = stage.run(&format!("step(\"d\", || pg::dump(#{{ formats: {formats} }}));"));
        let fault = played.fails_with("encrypt-custom-only");
        assert!(fault.message.contains(if formats.contains("plain") {
            "plain"
        } else {
            "directory"
        }));
        assert!(fault.remedy.unwrap().contains("custom"));
    }
    assert!(!stage.path().join("backups").exists());
}

/// The last rung and a rehearsal take an encrypted dump as they take another one.
#[test]
fn a_run_is_taken_back_and_rehearsed_from_its_encrypted_dump() {
    let (secret, public) = pair();
    let body = r#"step("dump", || pg::dump());
        step("empty", || db::exec("DELETE FROM items"));"#;
    let desk = Desk::new(body);
    desk.project.file("home/key.txt", &secret).file(
        "runsheet.toml",
        &format!("[backup]\nencrypt_to = [\"{public}\"]\nidentity_file = \"home/key.txt\"\n"),
    );
    desk.run().exits(0).shows_nowhere(&secret);
    let dump = files(&desk.project.path().join("backups"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "age"))
        .unwrap();
    let run = desk.newest_run();
    desk.call(&["rollback", &run, "--restore", "--yes"]).exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "20");
    desk.body(&format!("let p = playbook(\"other\");\n{}", crate::rehearsal::GOOD));
    let words = ["rehearse", "it", "--from", dump.to_str().unwrap()];
    desk.project.run(&words).exits(0).stdout_shows("proven").shows_nowhere(&secret);
    desk.project.file("runsheet.toml", "");
    desk.project.run(&words).exits(1).stderr_shows("identity-missing");
}
