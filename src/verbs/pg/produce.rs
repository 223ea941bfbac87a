//! Writes one file (or folder) of a dump under a temporary name, and decodes it whole.
//!
//! It gets its final name only after `pg_dump` ended well and what it wrote was read back.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::tools::{Access, plain_command};
use crate::host::{Host, Trouble};
use crate::model::{EventKind, Fault, format_bytes, hex};
use crate::msg;
use crate::postgres::programs::Program;
use crate::system::{Cancel, Command, Input, Output, Sealing, create_new, free_bytes, write_fault};
use crate::verbs::fs::sum::{read_fault, sha256_of};

/// How a dump is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// One compressed file for `pg_restore`.
    Custom,
    /// A folder of compressed files, written by several processes.
    Directory,
    /// SQL text.
    Plain,
}

impl Format {
    /// The word of options and manifest.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Directory => "directory",
            Self::Plain => "plain",
        }
    }

    /// How its file's name ends.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Custom => "dump",
            Self::Directory => "dir",
            Self::Plain => "sql",
        }
    }
}

/// The last words of a plain dump that is whole.
const END_MARK: &[u8] = b"-- PostgreSQL database dump complete";
/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);

/// A written file, not yet under its final name; removed when dropped before that.
pub(super) struct Written {
    temporary: PathBuf,
    /// Its final path.
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    kept: bool,
}

impl Written {
    /// Where it lies now.
    pub(super) fn at(&self) -> &Path {
        if self.kept { &self.path } else { &self.temporary }
    }

    /// Gives it its final name.
    pub(super) fn keep(&mut self) -> Result<(), Fault> {
        std::fs::rename(&self.temporary, &self.path)
            .map_err(|error| write_fault(&self.path, &error))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.temporary);
        }
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        let _ = std::fs::remove_dir_all(path);
    } else {
        let _ = std::fs::remove_file(path);
    }
}

/// What a dump is written with.
pub(super) struct Work<'a> {
    pub(super) host: &'a Rc<Host>,
    pub(super) pg_dump: &'a Program,
    pub(super) access: &'a Access,
    /// Arguments that all formats share.
    pub(super) args: &'a [String],
    /// Processes of a directory dump.
    pub(super) jobs: u32,
    /// Bytes of the database.
    pub(super) size: u64,
    /// Who alone may read it, `age1..`; anybody where it is empty.
    pub(super) encrypt_to: &'a [String],
}

impl Work<'_> {
    /// Dumps into a file beside `path`.
    ///
    /// # Errors
    /// `disk-full` with the sizes, `dump-failed` with what `pg_dump` said, `dump-empty`.
    pub(super) fn write(&self, path: &Path, format: Format) -> Result<Written, Trouble> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.partial"));
        let mut written = Written {
            temporary,
            path: path.to_path_buf(),
            format,
            bytes: 0,
            sha256: String::new(),
            kept: false,
        };
        let free = free_bytes(path).unwrap_or(0);
        let mut args = self.args.to_vec();
        args.push(format!("--format={}", format.word()));
        let output = match format {
            Format::Directory => self.as_folder(&mut written, args, free)?,
            _ => self.through_sum(&mut written, args, free)?,
        };
        if !output.succeeded() {
            if output.stderr.contains("No space left on device") {
                return Err(self.full(&written, free).into());
            }
            return Err(Fault::failed(
                "dump-failed",
                msg!("verbs.pg.dump-failed", status = output.status),
            )
            .detail(output.last_lines(10))
            .into());
        }
        if written.bytes == 0 {
            return Err(Fault::failed("dump-empty", msg!("verbs.pg.dump-empty")).into());
        }
        for line in output.stderr.lines().filter(|line| !line.trim().is_empty()) {
            self.host.emit(EventKind::Note { text: line.to_string() })?;
        }
        Ok(written)
    }

    fn through_sum(
        &self,
        written: &mut Written,
        args: Vec<String>,
        free: u64,
    ) -> Result<Output, Trouble> {
        let file = create_new(&written.temporary)?;
        let mut sink = Summing {
            file,
            hash: Sha256::new(),
            bytes: 0,
            host: self.host,
            what: written.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            told: Instant::now(),
        };
        let command = self.access.command(self.pg_dump, &args);
        let done = match self.encrypt_to.is_empty() {
            true => command.run_to(&mut sink, &written.path, &self.host.stop_signal()),
            false => self.sealed(command, &mut sink, &written.path),
        };
        written.bytes = sink.bytes;
        let synced = sink.file.sync_all().map_err(|error| write_fault(&written.path, &error));
        sink.tell();
        written.sha256 = hex(&sink.hash.finalize());
        let full = |fault: Fault| match fault.code.as_str() {
            "disk-full" => self.full(written, free),
            _ => fault,
        };
        let output = done.map_err(full)?;
        synced.map_err(full)?;
        Ok(output)
    }

    /// Through the encryption: the plain text is in memory only, a piece at a time.
    fn sealed(
        &self,
        command: Command,
        sink: &mut Summing<'_>,
        path: &Path,
    ) -> Result<Output, Fault> {
        let failed = |error: std::io::Error| write_fault(path, &error);
        let mut sealing = Sealing::new(self.encrypt_to, sink).map_err(failed)?;
        let output = command.run_to(&mut sealing, path, &self.host.stop_signal())?;
        sealing.finish().map_err(failed)?;
        Ok(output)
    }

    fn as_folder(
        &self,
        written: &mut Written,
        mut args: Vec<String>,
        free: u64,
    ) -> Result<Output, Trouble> {
        let folder = written.temporary.clone();
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|error| write_fault(&folder, &error))?;
        args.push(format!("--file={}", folder.display()));
        args.push(format!("--jobs={}", self.jobs));
        let stop = self.host.stop_signal();
        let output = self.access.command(self.pg_dump, &args).run(&stop)?;
        let (sum, bytes) = sum_of_folder(&folder, &stop)?;
        (written.sha256, written.bytes) = (sum, bytes);
        if output.succeeded() {
            close_and_sync(&folder).map_err(|error| match write_fault(&folder, &error) {
                fault if fault.code == "disk-full" => self.full(written, free),
                fault => fault,
            })?;
        }
        Ok(output)
    }

    fn full(&self, written: &Written, free: u64) -> Fault {
        Fault::failed(
            "disk-full",
            msg!(
                "verbs.pg.disk-full",
                path = written.path.display(),
                free = format_bytes(free),
                written = format_bytes(written.bytes)
            ),
        )
        .detail(msg!("verbs.pg.disk-full.size", size = format_bytes(self.size)))
        .remedy(msg!("system.disk-full-remedy"))
    }
}

struct Summing<'a> {
    file: File,
    hash: Sha256,
    bytes: u64,
    host: &'a Rc<Host>,
    what: String,
    told: Instant,
}

impl Summing<'_> {
    fn tell(&self) {
        let (what, unit) = (self.what.clone(), "bytes".to_string());
        // A journal that cannot be written shows at the next action; the dump does not end for it.
        let _ = self.host.emit(EventKind::Progress { what, done: self.bytes, total: None, unit });
    }
}

impl Write for Summing<'_> {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(piece)?;
        self.hash.update(&piece[..count]);
        self.bytes += count as u64;
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            self.tell();
        }
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Decodes a custom or directory dump to its last byte, `plain` in place of the file where that is
/// encrypted. `pg_restore --list` would read its beginning only.
///
/// # Errors
/// `backup-damaged` with what `pg_restore` said.
pub(super) fn decode(
    pg_restore: &Program,
    path: &Path,
    plain: Option<Input>,
    stop: &Cancel,
) -> Result<(), Fault> {
    if std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == 0) {
        return Err(damaged(path, msg!("verbs.pg.empty-file")));
    }
    let command = plain_command(pg_restore, &["--file=/dev/null".to_string()]);
    let output = command.run_on(path, plain, stop)?;
    if output.succeeded() { Ok(()) } else { Err(damaged(path, output.last_lines(5))) }
}

/// Looks for the last words of a plain dump: one that broke off lacks them.
///
/// # Errors
/// `backup-damaged`, `read-failed`.
pub(super) fn read_to_its_end(path: &Path) -> Result<(), Fault> {
    match ends_well(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(damaged(path, msg!("verbs.pg.no-end"))),
        Err(error) => Err(read_fault(path, &error)),
    }
}

fn damaged(path: &Path, said: String) -> Fault {
    Fault::failed("backup-damaged", msg!("verbs.pg.damaged", path = path.display()))
        .detail(said)
        .remedy(msg!("verbs.pg.damaged.remedy"))
}

fn ends_well(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // Behind the mark stand an empty comment and, since 2025, `\unrestrict KEY`.
    file.seek(SeekFrom::Start(length.saturating_sub(1024)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail.windows(END_MARK.len()).any(|window| window == END_MARK))
}

/// Checksum over a dump, file or folder, and its size.
pub(super) fn sum_of(path: &Path, stop: &Cancel) -> Result<(String, u64), Fault> {
    if path.is_dir() { sum_of_folder(path, stop) } else { sha256_of(path, stop) }
}

fn sum_of_folder(folder: &Path, stop: &Cancel) -> Result<(String, u64), Fault> {
    let failed = |error: std::io::Error| read_fault(folder, &error);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(failed)?;
    files.sort();
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    for file in files {
        let (sum, size) = sha256_of(&file, stop)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        hash.update(format!("{sum}  {name}\n"));
        bytes += size;
    }
    Ok((hex(&hash.finalize()), bytes))
}

fn close_and_sync(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        File::open(&path)?.sync_all()?;
    }
    File::open(folder)?.sync_all()
}

/// Removes what a killed runner left half-written more than a day ago.
pub(super) fn remove_old_partials(folder: &Path) {
    let day = Duration::from_secs(24 * 3600);
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ours = name.starts_with('.') && name.ends_with(".partial");
        let old = std::fs::symlink_metadata(&path)
            .and_then(|meta| meta.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > day));
        if ours && old {
            remove(&path);
        }
    }
}
