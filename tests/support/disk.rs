//! A disk that is soon full, for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted one; gone when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// So many MiB at a folder, which is made, and which everybody may write. None, and a line that
    /// says so, where the machine does not allow a mount: then a test shows only what it has shown
    /// before it asked, that the same goes well where there is room.
    pub fn at(folder: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("its place");
        let options = format!("size={mib}m,mode=777");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(folder)
            .output();
        let why = match mount {
            Ok(ran) if ran.status.success() => return Some(Self(folder.to_path_buf())),
            Ok(ran) => String::from_utf8_lossy(&ran.stderr).trim().to_string(),
            Err(error) => error.to_string(),
        };
        eprintln!("SKIPPED: no full disk, this account may not mount a small one: {why}");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
