//! Files that only their recipients can read: age (age-encryption.org/v1) with X25519 keys, written
//! and read as a stream, so that the plain text never lies on a disk.
//!
//! The feature `age` compiles it in; without it everything here says so. Identities (the secret
//! half) are read here and nowhere else, and are in no message. Called by dumps, restores and
//! rehearsals; what is in the files does not matter here.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::command::Input;
use crate::model::Fault;
use crate::msg;

/// How such a file begins.
const CIPHER_MARK: &[u8] = b"age-encryption.org/v1";

/// Is this file encrypted? By its first bytes, or by its name where those are damaged.
///
/// # Errors
/// Those of reading it.
pub fn is_encrypted(path: &Path) -> std::io::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    let mut start = Vec::new();
    std::fs::File::open(path)?.take(CIPHER_MARK.len() as u64).read_to_end(&mut start)?;
    Ok(start == CIPHER_MARK || path.extension().is_some_and(|ending| ending == "age"))
}

/// What is in a file, where it is encrypted; None where programs can read the file itself.
///
/// # Errors
/// `identity-missing`, `read-failed`, and those of [`open_encrypted`].
pub fn plain_of(path: &Path, identity: Option<&Path>) -> Result<Option<Input>, Fault> {
    let encrypted = is_encrypted(path).map_err(|error| unreadable(path, &error))?;
    if !encrypted {
        return Ok(None);
    }
    // Without the feature no identity would help.
    match identity.or((!cfg!(feature = "age")).then_some(path)) {
        Some(identity) => open_encrypted(path, identity).map(Some),
        None => Err(Fault::failed(
            "identity-missing",
            msg!("system.identity-missing", path = path.display()),
        )
        .remedy(msg!("system.identity-missing.remedy"))),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    let text = msg!("system.read-failed", path = path.display(), error = error);
    Fault::failed("read-failed", text)
}

/// The fault of a file that turned out damaged while it was decrypted.
pub fn broken(path: &Path, error: &std::io::Error) -> Fault {
    let why = match error.kind() {
        ErrorKind::UnexpectedEof => msg!("system.encrypted-short"),
        ErrorKind::InvalidData => msg!("system.encrypted-changed"),
        _ => error.to_string(),
    };
    damaged(path, why)
}

fn damaged(path: &Path, why: String) -> Fault {
    Fault::failed("backup-damaged", msg!("system.encrypted-damaged", path = path.display()))
        .detail(why)
        .remedy(msg!("system.encrypted-damaged.remedy"))
}

#[cfg(feature = "age")]
mod compiled_in {
    use std::fs::File;
    use std::io::{BufReader, Write};

    use age::x25519::{Identity, Recipient};
    use age::{DecryptError, Decryptor, Encryptor};

    use super::*;

    /// Encrypts what is written to it; without [`Sealing::finish`] the file is cut off.
    pub struct Sealing<W: Write>(age::stream::StreamWriter<W>);

    impl<W: Write> Sealing<W> {
        /// For these recipients, `age1..`; the head of the file is written at once.
        ///
        /// # Errors
        /// `InvalidInput` where one of them is none, and those of writing.
        pub fn new(recipients: &[String], output: W) -> std::io::Result<Self> {
            let known: Result<Vec<Recipient>, _> =
                recipients.iter().map(|one| one.parse()).collect();
            let known =
                known.map_err(|error| std::io::Error::new(ErrorKind::InvalidInput, error))?;
            let each = known.iter().map(|one| one as &dyn age::Recipient);
            let sealing = Encryptor::with_recipients(each).map_err(std::io::Error::other)?;
            sealing.wrap_output(output).map(Self)
        }

        /// Writes the end.
        ///
        /// # Errors
        /// Those of writing.
        pub fn finish(self) -> std::io::Result<W> {
            self.0.finish()
        }
    }

    impl<W: Write> Write for Sealing<W> {
        fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
            self.0.write(piece)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
        }
    }

    /// The keys of an identity file: lines that begin with `AGE-SECRET-KEY-1`, beside comments.
    fn identities(file: &Path) -> Result<Vec<Identity>, Fault> {
        let fault = |why: String| {
            Fault::failed("identity-unreadable", msg!("system.identity", file = file.display()))
                .detail(why)
                .remedy(msg!("system.identity.remedy"))
        };
        // Lines of a key file are never repeated in a message.
        let text = std::fs::read_to_string(file).map_err(|error| fault(error.to_string()))?;
        let lines = text.lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Result<Vec<Identity>, _> = keys.map(str::parse).collect();
        match keys {
            Ok(keys) if !keys.is_empty() => Ok(keys),
            _ => Err(fault(msg!("system.identity.none"))),
        }
    }

    /// Can what is written for these recipients be read with this identity?
    ///
    /// # Errors
    /// `wrong-identity`, `identity-unreadable`.
    pub fn belongs(recipients: &[String], identity: &Path) -> Result<(), Fault> {
        let own = identities(identity)?;
        let fits = |key: &Identity| recipients.contains(&key.to_public().to_string());
        if own.iter().any(fits) {
            return Ok(());
        }
        let shown = identity.display();
        Err(Fault::failed("wrong-identity", msg!("system.identity-of-nobody", file = shown))
            .remedy(msg!("system.identity-of-nobody.remedy")))
    }

    /// Opens an encrypted file; what is read from it is the plain text.
    ///
    /// # Errors
    /// `wrong-identity`, `identity-unreadable`, `backup-damaged` where its head is, `read-failed`.
    /// Damage further on is an error of reading; see [`broken`].
    pub fn open_encrypted(path: &Path, identity: &Path) -> Result<Input, Fault> {
        let keys = identities(identity)?;
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let opened = Decryptor::new_buffered(BufReader::with_capacity(64 * 1024, file))
            .and_then(|file| file.decrypt(keys.iter().map(|key| key as &dyn age::Identity)));
        match opened {
            Ok(plain) => Ok(Box::new(plain)),
            Err(DecryptError::Io(error)) => Err(broken(path, &error)),
            Err(DecryptError::NoMatchingKeys) => Err(Fault::failed(
                "wrong-identity",
                msg!("system.wrong-identity", path = path.display(), file = identity.display()),
            )
            .remedy(msg!("system.wrong-identity.remedy"))),
            Err(_) => Err(damaged(path, msg!("system.encrypted-head"))),
        }
    }
}

#[cfg(not(feature = "age"))]
mod compiled_in {
    use std::io::Write;

    use super::*;

    /// Encrypts nothing: this build cannot.
    pub struct Sealing<W: Write>(W);

    impl<W: Write> Sealing<W> {
        /// Refuses.
        ///
        /// # Errors
        /// `Unsupported`.
        pub fn new(_: &[String], _: W) -> std::io::Result<Self> {
            Err(ErrorKind::Unsupported.into())
        }

        /// Gives the output back.
        ///
        /// # Errors
        /// None.
        pub fn finish(self) -> std::io::Result<W> {
            Ok(self.0)
        }
    }

    impl<W: Write> Write for Sealing<W> {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::Unsupported.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Refuses.
    ///
    /// # Errors
    /// `no-encryption`.
    pub fn belongs(_: &[String], identity: &Path) -> Result<(), Fault> {
        Err(without(identity))
    }

    /// Refuses.
    ///
    /// # Errors
    /// `no-encryption`.
    pub fn open_encrypted(path: &Path, _: &Path) -> Result<Input, Fault> {
        Err(without(path))
    }

    fn without(path: &Path) -> Fault {
        Fault::failed("no-encryption", msg!("system.no-encryption", path = path.display()))
            .remedy(msg!("system.no-encryption.remedy"))
    }
}

pub use compiled_in::{Sealing, belongs, open_encrypted};
