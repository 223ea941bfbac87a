//! Writes the table of shipped files: everything below `playbooks/` and `stdlib/`, compiled in.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
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
