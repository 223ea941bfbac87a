//! Who a scratch server belongs to. A file `owner` in its folder is kept locked for as long as
//! its process lives; the kernel takes the lock back however that process ends, also at kill -9.
//! A server whose lock can be taken is an orphan: it is ended and its folder removed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::model::Fault;
use crate::system::{create_new, write_fault};

const FILE: &str = "owner";

/// Marks a folder as belonging to this process, for as long as the result lives. `sockets` is
/// removed with it where it lies elsewhere.
pub(super) fn claim(folder: &Path, sockets: &Path) -> Result<File, Fault> {
    let path = folder.join(FILE);
    let mut file = create_new(&path)?;
    let claimed = file
        .lock()
        .and_then(|()| write!(file, "{}\n{}\n", std::process::id(), sockets.display()))
        .and_then(|()| file.flush());
    claimed.map_err(|error| write_fault(&path, &error))?;
    Ok(file)
}

/// Is this the data folder of a scratch server of ours, with its socket in that folder?
pub fn is_scratch(data: &Path, sockets: &Path) -> bool {
    let Some(path) = data.parent().map(|folder| folder.join(FILE)) else { return false };
    let me = rustix::process::geteuid().as_raw();
    let ours = std::fs::symlink_metadata(&path)
        .is_ok_and(|meta| meta.is_file() && std::os::unix::fs::MetadataExt::uid(&meta) == me);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    ours && text.lines().nth(1).is_some_and(|own| Path::new(own) == sockets)
}

/// Ends the scratch servers below a folder whose process is gone, and removes what they left.
/// Says how many there were. Servers of living processes are left alone.
pub fn clean_up_the_dead(parent: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(parent) else { return 0 };
    entries.filter_map(Result::ok).filter(|entry| is_dead_and_gone(&entry.path())).count()
}

fn is_dead_and_gone(folder: &Path) -> bool {
    let Ok(owner) = File::open(folder.join(FILE)) else { return false };
    // Taken by the living; and never waited for, so that two cleaners do not meet.
    if owner.try_lock().is_err() {
        return false;
    }
    let Ok(text) = std::fs::read_to_string(folder.join(FILE)) else { return false };
    let mut lines = text.lines();
    let (Some(_), Some(sockets)) = (lines.next(), lines.next()) else {
        // Just made, not locked yet: the next cleaning looks again, once it is surely old.
        return is_old(&owner) && std::fs::remove_dir_all(folder).is_ok();
    };
    end_server(&folder.join("data"));
    remove_sockets(folder, &PathBuf::from(sockets));
    std::fs::remove_dir_all(folder).is_ok()
}

fn is_old(file: &File) -> bool {
    file.metadata()
        .and_then(|meta| meta.modified())
        .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > Duration::from_secs(60)))
}

/// Removes a socket folder that lies outside of the server's folder.
pub(super) fn remove_sockets(folder: &Path, sockets: &Path) {
    let ours = sockets
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(super::folders::SOCKETS_PREFIX));
    if !sockets.starts_with(folder) && ours {
        let _ = std::fs::remove_dir_all(sockets);
    }
}

/// Ends the server of a data folder, where one runs: SIGQUIT (an immediate stop), then SIGKILL.
pub(super) fn end_server(data: &Path) {
    let Some(pid) = server_pid(data) else { return };
    let _ = kill_process(pid, Signal::QUIT);
    if !is_gone_within(pid, Duration::from_secs(5)) {
        let _ = kill_process(pid, Signal::KILL);
        is_gone_within(pid, Duration::from_secs(5));
    }
}

/// The process that serves a data folder. Its id is in `postmaster.pid`, which stays behind after
/// a crash; so the process itself must say that it works in that folder.
fn server_pid(data: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    let pid = Pid::from_raw(number)?;
    let serves = if cfg!(target_os = "linux") {
        let data = data.canonicalize().ok()?;
        std::fs::read_link(format!("/proc/{number}/cwd")).is_ok_and(|cwd| cwd == data)
    } else {
        let output = std::process::Command::new("ps")
            .args(["-o", "command=", "-p", &number.to_string()])
            .output()
            .ok()?;
        String::from_utf8_lossy(&output.stdout).contains(&data.display().to_string())
    };
    serves.then_some(pid)
}

fn is_gone_within(pid: Pid, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        if test_kill_process(pid).is_err() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
