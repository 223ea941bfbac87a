//! P7: *verified* is a backup that was restored and whose fingerprint is that of its snapshot.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Cluster, Stage, noise};

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

/// Damaged dumps beside a whole one, each with a manifest that says what the whole one was. With
/// `hidden` the manifest's checksum is that of the damaged dump: it broke before it was summed.
struct Damage<'a> {
    /// The file, or that of a folder which holds the most rows.
    whole: Vec<u8>,
    /// The folder, where the dump is one: the file's name, and sums and names of the others.
    within: Option<(PathBuf, String)>,
    manifest: Value,
    folder: &'a Path,
    kind: &'a str,
    hidden: bool,
    made: Vec<String>,
}

impl Damage<'_> {
    fn add(&mut self, bytes: Vec<u8>) {
        assert_ne!(bytes, self.whole);
        let number = self.made.len();
        let ending = if self.within.is_some() { "dir" } else { "dump" };
        let path = self.folder.join(format!("harmed_{}_{number}.{ending}", self.kind));
        let known = if self.hidden { &bytes } else { &self.whole };
        let sum = match &self.within {
            None => sum(known),
            Some((folder, name)) => {
                std::fs::create_dir(&path).unwrap();
                let mut lines = Vec::new();
                for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
                    let own = file.file_name().into_string().unwrap();
                    let other = std::fs::read(file.path()).unwrap();
                    let (there, known) =
                        if own == *name { (&bytes, known) } else { (&other, &other) };
                    std::fs::write(path.join(&own), there).unwrap();
                    lines.push((own.clone(), format!("{}  {own}\n", sum(known))));
                }
                lines.sort();
                sum(lines.into_iter().map(|(_, line)| line).collect::<String>().as_bytes())
            }
        };
        let mut manifest = self.manifest.clone();
        manifest["files"] = json!([{
            "name": path.file_name().unwrap().to_str().unwrap(),
            "format": if self.within.is_some() { "directory" } else { "custom" },
            "bytes": known.len(), "sha256": sum,
        }]);
        std::fs::write(manifest_of(&path), manifest.to_string()).unwrap();
        if self.within.is_none() {
            std::fs::write(&path, bytes).unwrap();
        }
        self.made.push(path.display().to_string());
    }

    /// Twenty lengths from a tenth of it to nearly all.
    fn truncated(mut self) -> Vec<String> {
        for part in 0..20 {
            let length = self.whole.len() * (10 + part * 4) / 100;
            self.add(self.whole[..length].to_vec());
        }
        self.made
    }

    /// Twenty places where rows are, from the first ones to nearly the last ones.
    fn places(&self) -> Vec<usize> {
        let rows = match &self.within {
            // A file of rows and nothing else: behind its head, before its sum.
            Some(_) => 64..self.whole.len() - 64,
            None => noise::packed_rows(&self.whole),
        };
        (0..20).map(|part| noise::at(&rows, part * 5)).collect()
    }

    /// One bit, in twenty places where rows are.
    fn flipped(mut self) -> Vec<String> {
        for at in self.places() {
            let mut bytes = self.whole.clone();
            bytes[at] ^= 1;
            self.add(bytes);
        }
        self.made
    }

    /// One bit of a letter, in twenty rows of a dump that is not packed: the file stays one that can
    /// be read, of whatever length what stands before the rows is.
    fn misspelt(mut self) -> Vec<String> {
        for part in 0..20 {
            let mut bytes = self.whole.clone();
            let from = bytes.len() * (50 + part * 2) / 100;
            let row =
                bytes[from..].windows(32).position(|text| text.iter().all(u8::is_ascii_hexdigit));
            bytes[from + row.expect("rows stand behind the first half")] ^= 1;
            self.add(bytes);
        }
        self.made
    }

    /// A page of zeros, in twenty places.
    fn zeroed(mut self) -> Vec<String> {
        for at in self.places() {
            let mut bytes = self.whole.clone();
            let end = (at + 4096).min(bytes.len());
            bytes[at..end].fill(0);
            self.add(bytes);
        }
        self.made
    }
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Twenty of each kind, as the kinds are that a disk, a network and a full volume make, in every
/// format that can be restored.
fn damaged(cluster: &Cluster, stage: &Stage, hidden: bool) -> Vec<(&'static str, Vec<String>)> {
    let files = dumped(stage, r#"["custom", "directory"]"#);
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
    let rows = std::fs::read_dir(&files[1]).unwrap().map(|entry| entry.unwrap());
    let rows = rows.max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    assert!(rows.file_name().to_str().unwrap().ends_with(".dat.gz"), "{rows:?}");
    let of = |path: &Path, kind: &'static str| Damage {
        whole: std::fs::read(path).unwrap(),
        within: (path == rows.path())
            .then(|| (files[1].clone(), rows.file_name().into_string().unwrap())),
        manifest: serde_json::from_str(&manifest).unwrap(),
        folder,
        kind,
        hidden,
        made: Vec::new(),
    };
    let rows = rows.path();
    vec![
        ("packed, cut", of(&files[0], "packed_cut").truncated()),
        ("packed, a bit", of(&files[0], "packed_bit").flipped()),
        ("packed, a page", of(&files[0], "packed_page").zeroed()),
        ("unpacked, cut", of(&unpacked, "unpacked_cut").truncated()),
        ("unpacked, a bit", of(&unpacked, "unpacked_bit").misspelt()),
        ("folder, cut", of(&rows, "folder_cut").truncated()),
        ("folder, a bit", of(&rows, "folder_bit").flipped()),
    ]
}

/// With which codes a verb refuses these, each code once; `accepted` for what it does not refuse.
fn codes(stage: &Stage, files: &[String], call: &str) -> Vec<String> {
    let list = serde_json::to_string(files).unwrap();
    let played = stage.run(&format!(
        r#"check("all", || {{
            let codes = [];
            for f in {list} {{
                try {{ {call}; codes.push("accepted"); }} catch (e) {{ codes.push(e.code); }}
            }}
            codes
        }});"#
    ));
    let given = played.fine().value("all").as_array().unwrap().clone();
    assert_eq!(given.len(), files.len());
    let mut codes: Vec<String> =
        given.iter().map(|code| code.as_str().unwrap().to_string()).collect();
    codes.sort();
    codes.dedup();
    codes
}

/// P7, F50: 140 of 140, by what stands in the manifest.
#[test]
fn p7_140_of_140_damaged_dumps_are_refused() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let mut count = 0;
    for (kind, files) in damaged(&cluster, &stage, false) {
        for call in ["pg::verify(f)", r#"pg::restore_test(f, #{ into: "shop_try" })"#] {
            assert_eq!(codes(&stage, &files, call), ["backup-damaged"], "{call}: {kind}");
        }
        count += files.len();
    }
    assert_eq!(count, 140);
}

/// P7: damage from before the sum was taken deceives a checksum. Of these, none is *verified*: the
/// decoder meets it, or the restored rows are not those of the snapshot.
#[test]
fn p7_140_of_140_that_broke_before_they_were_summed_are_never_called_verified() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let call = r#"pg::restore_test(f, #{ into: "shop_try" })"#;
    let mut count = 0;
    for (kind, files) in damaged(&cluster, &stage, true) {
        let met: &[&str] = match kind {
            // Whole as a file: only the comparison sees another letter in a row.
            "unpacked, a bit" => &["restore-differs"],
            _ => &["backup-damaged"],
        };
        assert_eq!(codes(&stage, &files, call), met, "{kind}");
        count += files.len();
    }
    assert_eq!(count, 140);
    // The same way accepts what is whole.
    let whole = dumped(&stage, r#"["custom", "directory"]"#)
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>();
    assert_eq!(codes(&stage, &whole, call), ["accepted"]);
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
