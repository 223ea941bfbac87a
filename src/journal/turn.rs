//! Turns at a run's file: who looks at its end and writes behind it does so alone.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::recorder::write_fault;
use crate::model::Fault;

/// The right to look at the end of a run's file and write behind it. Whoever was stopped in the
/// middle of that (SIGSTOP) is not waited for long: then the chain of hashes shows it.
pub(super) struct Turn<'f>(Option<&'f File>);

impl<'f> Turn<'f> {
    pub(super) fn of(file: &'f File) -> Self {
        use rustix::fs::{FlockOperation, flock};
        let since = Instant::now();
        while flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if since.elapsed() > Duration::from_secs(2) {
                return Self(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Self(Some(file))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock);
        }
    }
}

/// Writes all of it and moves the end; what could not be written stays pending.
pub(super) fn write(
    mut file: &File,
    pending: &mut Vec<u8>,
    end: &mut u64,
    path: &Path,
) -> Result<(), Fault> {
    let (mut done, mut written) = (0, Ok(()));
    while done < pending.len() && written.is_ok() {
        match file.write(&pending[done..]) {
            Ok(0) => written = Err(std::io::Error::from(std::io::ErrorKind::WriteZero)),
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => written = Err(error),
        }
    }
    *end += done as u64;
    drop(pending.drain(..done));
    written.map_err(|error| write_fault(path, &error))
}
