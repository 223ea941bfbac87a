use super::shop;
use crate::support::Stage;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

fn made(stage: &Stage, format: &str) -> PathBuf {
    let played =
        stage.run(&format!(r#"step("dump", || pg::dump(#{{ formats: ["{format}"] }}));"#)).fine();
    PathBuf::from(played.value("dump")["files"][0]["path"].as_str().unwrap())
}

fn verify(stage: &Stage, path: &Path) -> crate::support::Played {
    stage.run(&format!(r#"check("sound", || pg::verify("{}"));"#, path.display()))
}

fn flip(path: &Path, at: u64) {
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 0x40]).unwrap();
}

#[test]
fn a_sound_dump_is_readable_whether_by_value_or_by_path() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let played = stage
        .run(
            r#"let d = step("dump", || pg::dump(#{ formats: ["custom", "plain", "directory"] }));
            check("sound", || pg::verify(d));"#,
        )
        .fine();
    assert_eq!(played.value("sound")["state"], "readable");
    assert_eq!(played.value("sound")["files"], 3);
    for file in played.value("dump")["files"].as_array().unwrap() {
        verify(&stage, Path::new(file["path"].as_str().unwrap())).fine();
    }
}

/// F50: flipped, cut, emptied.
#[test]
fn every_damage_is_found_with_file_and_sums() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    for format in ["custom", "plain"] {
        let path = made(&stage, format);
        let whole = std::fs::read(&path).unwrap();
        let length = whole.len() as u64;
        let harms: [&dyn Fn(); 4] = [
            &|| flip(&path, length / 2),
            &|| flip(&path, length - 3),
            &|| std::fs::write(&path, &whole[..whole.len() - 1]).unwrap(),
            &|| std::fs::write(&path, "").unwrap(),
        ];
        for (number, harm) in harms.iter().enumerate() {
            std::fs::write(&path, &whole).unwrap();
            harm();
            let fault = verify(&stage, &path).fails_with("backup-damaged");
            assert!(fault.message.contains(path.to_str().unwrap()), "{format} {number}: {fault}");
            assert!(fault.detail.unwrap().contains("SHA-256"), "{format} {number}");
        }
    }
}

/// F50: also where no checksum is known.
#[test]
fn a_truncated_dump_is_found_without_any_manifest() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    for format in ["custom", "plain"] {
        let path = made(&stage, format);
        let alone =
            path.with_file_name(format!("alone.{}", path.extension().unwrap().to_str().unwrap()));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&alone, &whole).unwrap();
        verify(&stage, &alone).fine();
        for length in [0, whole.len() / 2, whole.len() - whole.len() / 10] {
            std::fs::write(&alone, &whole[..length]).unwrap();
            verify(&stage, &alone).fails_with("backup-damaged");
        }
    }
}

#[test]
fn a_directory_with_a_harmed_or_missing_member_is_damaged() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    let folder = made(&stage, "directory");
    let member = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "gz"))
        .unwrap();
    std::fs::remove_file(member).unwrap();
    verify(&stage, &folder).fails_with("backup-damaged");
}

#[test]
fn what_is_missing_or_elsewhere_is_no_dump() {
    let cluster = shop();
    let stage = Stage::on(&cluster, "shop");
    verify(&stage, Path::new("backups/none.dump")).fails_with("backup-missing");
    verify(&stage, Path::new("/etc/passwd")).fails_with("path-outside");
    stage.run(r#"check("sound", || pg::verify(#{ a: 1 }));"#).fails_with("not-a-dump");
}
