//! P7: *verified* is a backup that was restored and whose fingerprint is that of its snapshot.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Cluster, Stage};

/// Two tables with enough in them that most of a dump is rows.
fn shop() -> Cluster {
    let cluster = Cluster::start();
    cluster.create_database("shop");
    cluster.sql(
        "shop",
        "CREATE TABLE users (id int PRIMARY KEY, mark text); \
         INSERT INTO users SELECT n, md5(n::text) || md5((n + 1)::text) FROM generate_series(1, 2000) n; \
         CREATE TABLE orders (id int, who int REFERENCES users); \
         INSERT INTO orders SELECT n, n FROM generate_series(1, 500) n",
    );
    cluster
}

fn dumped(stage: &Stage, formats: &str) -> Vec<PathBuf> {
    let played =
        stage.run(&format!(r#"step("dump", || pg::dump(#{{ formats: {formats} }}));"#)).fine();
    let files = played.value("dump")["files"].clone();
    files.as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap().into()).collect()
}

fn manifest_of(dump: &Path) -> PathBuf {
    dump.with_extension("manifest.json")
}

/// Damaged files beside a whole one, each with a manifest that says what the whole one was. With
/// `hidden` the manifest's checksum is that of the damaged file: it broke before it was summed.
struct Damage<'a> {
    whole: Vec<u8>,
    manifest: Value,
    folder: &'a Path,
    format: &'a str,
    hidden: bool,
    made: Vec<String>,
}

impl Damage<'_> {
    fn add(&mut self, bytes: Vec<u8>) {
        assert_ne!(bytes, self.whole);
        let number = self.made.len();
        let ending = if self.format == "plain" { "sql" } else { "dump" };
        let path = self.folder.join(format!("harmed_{}_{number}.{ending}", self.whole.len()));
        let known = if self.hidden { &bytes } else { &self.whole };
        let sum: String = Sha256::digest(known).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut manifest = self.manifest.clone();
        manifest["files"] = json!([{
            "name": path.file_name().unwrap().to_str().unwrap(), "format": self.format,
            "bytes": known.len(), "sha256": sum,
        }]);
        std::fs::write(manifest_of(&path), manifest.to_string()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        self.made.push(path.display().to_string());
    }

    /// Twenty lengths from a tenth of it to nearly all.
    fn truncated(&mut self) {
        for part in 0..20 {
            let length = self.whole.len() * (10 + part * 4) / 100;
            self.add(self.whole[..length].to_vec());
        }
    }

    /// One bit, in twenty places where rows are.
    fn flipped(&mut self) {
        for part in 0..20 {
            let mut bytes = self.whole.clone();
            let at = bytes.len() * (50 + part * 2) / 100;
            bytes[at] ^= 1;
            self.add(bytes);
        }
    }

    /// A page of zeros, in twenty places.
    fn zeroed(&mut self) {
        for part in 0..20 {
            let mut bytes = self.whole.clone();
            let at = bytes.len() * (50 + part * 2) / 100;
            let end = (at + 4096).min(bytes.len());
            bytes[at..end].fill(0);
            self.add(bytes);
        }
    }
}

/// Twenty of each kind, as the kinds are that a disk, a network and a full volume make.
fn damaged(cluster: &Cluster, stage: &Stage, hidden: bool) -> Vec<String> {
    let files = dumped(stage, r#"["custom", "plain"]"#);
    let folder = files[0].parent().unwrap();
    let unpacked = folder.join("unpacked.dump");
    let programs = runsheet::postgres::programs::Programs::new(None, None);
    let pg_dump = programs.find("pg_dump", Some(cluster.major())).unwrap();
    let made = Command::new(pg_dump.path)
        .args(["--format=custom", "--compress=0", "--dbname", &cluster.url("shop"), "--file"])
        .arg(&unpacked)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let manifest = std::fs::read_to_string(manifest_of(&files[0])).unwrap();
    let of = |path: &Path, format: &'static str| Damage {
        whole: std::fs::read(path).unwrap(),
        manifest: serde_json::from_str(&manifest).unwrap(),
        folder,
        format,
        hidden,
        made: Vec::new(),
    };
    let mut packed = of(&files[0], "custom");
    packed.truncated();
    packed.flipped();
    packed.zeroed();
    let mut unpacked = of(&unpacked, "custom");
    unpacked.truncated();
    unpacked.flipped();
    let mut plain = of(&files[1], "plain");
    plain.truncated();
    plain.flipped();
    [packed.made, unpacked.made, plain.made].concat()
}

/// How many of these a verb refuses, and the codes with which it does.
fn refused(stage: &Stage, files: &[String], call: &str) -> (i64, Vec<String>) {
    let list = serde_json::to_string(files).unwrap();
    let played = stage.run(&format!(
        r#"check("all", || {{
            let refused = 0; let accepted = [];
            for f in {list} {{ try {{ {call}; accepted.push(f); }} catch {{ refused += 1; }} }}
            #{{ refused: refused, accepted: accepted }}
        }});"#
    ));
    let value = played.fine().value("all").clone();
    let accepted = value["accepted"].as_array().unwrap();
    (value["refused"].as_i64().unwrap(), accepted.iter().map(Value::to_string).collect())
}

/// P7, F50: 140 of 140, by what stands in the manifest.
#[test]
fn p7_140_of_140_damaged_dumps_are_refused() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let files = damaged(&cluster, &stage, false);
    assert_eq!(files.len(), 140);
    assert_eq!(refused(&stage, &files, "pg::verify(f)"), (140, Vec::new()));
}

/// P7: damage from before the sum was taken deceives a checksum. Of these, none is *verified*.
#[test]
fn p7_140_of_140_that_broke_before_they_were_summed_are_never_called_verified() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let files = damaged(&cluster, &stage, true);
    let call = r#"pg::restore_test(f, #{ into: "shop_try" })"#;
    assert_eq!(refused(&stage, &files, call), (140, Vec::new()));
    // The same way accepts what is whole.
    let whole = dumped(&stage, r#"["custom"]"#)[0].display().to_string();
    assert_eq!(refused(&stage, &[whole], call).0, 0);
}

/// P7, F55: whole, and of another database.
#[test]
fn p7_a_dump_of_another_database_is_refused() {
    let cluster = shop();
    cluster.create_database("other");
    cluster.sql("other", "CREATE TABLE users (id int PRIMARY KEY, mark text)");
    let mine = Stage::on(&cluster, "shop");
    let theirs = Stage::on(&cluster, "other");
    let (own, foreign) = (dumped(&mine, r#"["custom"]"#), dumped(&theirs, r#"["custom"]"#));
    let whole = std::fs::read(&own[0]).unwrap();
    for call in ["pg::verify", "pg::restore_test"] {
        let call = format!(r#"check("sound", || {call}("{}"));"#, own[0].display());
        // Under the name of ours.
        std::fs::copy(&foreign[0], &own[0]).unwrap();
        mine.run(&call).fails_with("backup-damaged");
        // With its own manifest.
        let manifest = std::fs::read_to_string(manifest_of(&own[0])).unwrap();
        let mut told: Value =
            serde_json::from_slice(&std::fs::read(manifest_of(&foreign[0])).unwrap()).unwrap();
        told["files"][0]["name"] = own[0].file_name().unwrap().to_str().unwrap().into();
        std::fs::write(manifest_of(&own[0]), told.to_string()).unwrap();
        let fault = mine.run(&call).fails_with("backup-of-another");
        assert!(fault.detail.unwrap().contains("other"));
        std::fs::write(manifest_of(&own[0]), manifest).unwrap();
        std::fs::write(&own[0], &whole).unwrap();
    }
}
