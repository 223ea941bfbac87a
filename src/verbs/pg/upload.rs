//! Carries a complete dump elsewhere, `[backup] upload`, and proves that it arrived: its size, and
//! its checksum read back from there. Nothing that is there already is written over, and nothing
//! there is ever removed. Called by `dump`.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::manifest::Manifest;
use crate::config::Upload;
use crate::host::{Host, Trouble};
use crate::model::Fault;
use crate::msg;
use crate::verbs::fs::sum::{copy_whole, sha256_of};

/// Where dumps are carried to.
pub(super) enum Carrier {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket of an object store.
    #[cfg(feature = "object_store")]
    Bucket(super::bucket::Bucket),
}

/// SHA-256 and size.
type Sum = (String, u64);

impl Carrier {
    /// The project's place; None where there is none, and in a rehearsal, whose dumps are nobody's
    /// backup.
    ///
    /// # Errors
    /// `upload-failed` where the folder is not there, or the store refuses: a disk that is not
    /// mounted and a wrong key are found before the dump, not behind it.
    pub(super) fn of(host: &Host) -> Result<Option<Self>, Trouble> {
        let upload = host.setup.config.backup.upload.as_ref();
        match upload.filter(|_| host.setup.rehearsal.is_none()) {
            None => Ok(None),
            Some(Upload::Folder(folder)) if folder.is_dir() => {
                Ok(Some(Self::Folder(folder.clone())))
            }
            Some(Upload::Folder(folder)) => {
                let place = format!("file://{}", folder.display());
                Err(failed(&place, msg!("verbs.pg.upload.no-folder"))
                    .remedy(msg!("verbs.pg.upload.no-folder.remedy"))
                    .into())
            }
            #[cfg(feature = "object_store")]
            Some(Upload::Bucket { name, prefix }) => {
                let bucket = super::bucket::Bucket::open(name, prefix, &host.setup.redactor)?;
                bucket.look(host)?;
                Ok(Some(Self::Bucket(bucket)))
            }
            #[cfg(not(feature = "object_store"))]
            Some(Upload::Bucket { name, .. }) => {
                Err(failed(&format!("s3://{name}"), msg!("verbs.pg.upload.no-feature")).into())
            }
        }
    }

    /// Carries the files of a dump and then its manifest, which lies at `at` and names the places
    /// from then on.
    ///
    /// # Errors
    /// `upload-failed`, `upload-differs`, `disk-full`; the dump stays where it was written.
    pub(super) fn carry(
        &self,
        host: &Rc<Host>,
        manifest: &mut Manifest,
        at: &Path,
    ) -> Result<(), Trouble> {
        let mut places = Vec::new();
        for file in &manifest.files {
            let path = at.with_file_name(&file.name);
            if path.is_dir() {
                for member in members(&path)? {
                    let name = member.file_name().unwrap_or_default().to_string_lossy();
                    self.put(host, &member, &format!("{}/{name}", file.name), None)?;
                }
            } else {
                let sum = (file.sha256.clone(), file.bytes);
                self.put(host, &path, &file.name, Some(&sum))?;
            }
            places.push(self.place(&file.name));
        }
        manifest.uploaded = places;
        manifest.write(at)?;
        let name = at.file_name().unwrap_or_default().to_string_lossy();
        self.put(host, at, &name, None)
    }

    /// One file. `wanted` is what the manifest says of it.
    fn put(
        &self,
        host: &Rc<Host>,
        from: &Path,
        name: &str,
        wanted: Option<&Sum>,
    ) -> Result<(), Trouble> {
        let stop = host.stop_signal();
        let place = self.place(name);
        let (sent, found) = match self {
            Self::Folder(folder) => {
                let to = folder.join(name);
                if std::fs::symlink_metadata(&to).is_ok() {
                    return Err(failed(&place, msg!("verbs.pg.upload.there")).into());
                }
                if let Some(parent) = to.parent().filter(|parent| parent != folder) {
                    crate::verbs::fs::sum::private_folder(parent)?;
                }
                (copy_whole(from, &to, 0o600, &stop)?, sha256_of(&to, &stop)?)
            }
            #[cfg(feature = "object_store")]
            Self::Bucket(bucket) => (bucket.send(host, from, name)?, bucket.read_back(host, name)?),
        };
        let wanted = wanted.unwrap_or(&sent);
        if *wanted == found {
            return Ok(());
        }
        let shown = |(sum, bytes): &Sum| format!("{sum} ({bytes})");
        let (wanted, found) = (shown(wanted), shown(&found));
        Err(Fault::failed("upload-differs", msg!("verbs.pg.upload.differs", place = place))
            .detail(msg!("verbs.pg.damaged.sums", wanted = wanted, found = found))
            .remedy(msg!("verbs.pg.upload.remedy"))
            .into())
    }

    /// A name as the place shows it.
    fn place(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => format!("file://{}", folder.join(name).display()),
            #[cfg(feature = "object_store")]
            Self::Bucket(bucket) => bucket.place(name),
        }
    }
}

/// The files of a directory dump, in the order of their names.
fn members(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| crate::verbs::fs::sum::read_fault(folder, &error))?;
    files.sort();
    Ok(files)
}

/// The dump is there, and could not be carried away.
pub(super) fn failed(place: &str, why: String) -> Fault {
    Fault::failed("upload-failed", msg!("verbs.pg.upload.failed", place = place))
        .detail(why)
        .remedy(msg!("verbs.pg.upload.remedy"))
}
