//! Writes the table of shipped files: everything below `playbooks/` and `stdlib/`, compiled in. And
//! has the program's addresses packed where the system can read them so.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut files = Vec::new();
    for folder in ["playbooks", "stdlib"] {
        writeln!(io::stdout(), "cargo::rerun-if-changed={folder}")?;
        walk(&root, Path::new(folder), &mut files)?;
    }
    writeln!(io::stdout(), "cargo::rerun-if-changed=build.rs")?;
    if reads_packed_addresses() {
        writeln!(io::stdout(), "cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs")?;
    }
    // The table is searched by halves.
    files.sort();
    let mut table = String::from("&[\n");
    for file in files {
        // No folder's name in the table: a moved checkout must not look for its old place.
        let path = format!("/{file}");
        writeln!(
            table,
            "    ({file:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),"
        )
        .map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    fs::write(out.join("shipped.rs"), table)
}

/// Whether the program will be loaded by a glibc that knows packed relative addresses: from 2.36 on.
/// The table of the 28,000 that are put right before `main` is then 7 kB instead of 690, and a
/// program that has little to do ends a seventh earlier.
fn reads_packed_addresses() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let here = env::var_os("HOST") == env::var_os("TARGET");
    if !here || !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return false;
    }
    // "glibc 2.36"
    let Ok(said) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = said.split_whitespace().last().and_then(|version| version.split_once('.'));
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    version.is_some_and(|(major, minor)| (number(major), number(minor)) >= (2, 36))
}

/// Collects the files below a folder, as paths with `/` from the root; hidden ones are left out.
fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = folder.join(&name);
        if entry.file_type()?.is_dir() {
            walk(root, &path, files)?;
        } else {
            files.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}
