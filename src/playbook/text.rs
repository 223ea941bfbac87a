//! Texts and what identifies them: UTF-8, without a byte order mark; a hash that line ends and a
//! byte order mark do not change.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::model::{Fault, Place};
use crate::msg;

/// SHA-256 of a text in hex, taken without a byte order mark and with LF line ends: the same file
/// checked out on another system is the same file.
pub fn hash_text(text: &str) -> String {
    hash_bytes(text.as_bytes())
}

/// [`hash_text`] of a file's bytes, whatever their encoding.
pub fn hash_bytes(bytes: &[u8]) -> String {
    let mut hash = TextHash::default();
    hash.take(bytes);
    hash.end()
}

/// [`hash_bytes`] of what a reader gives, piece by piece.
///
/// # Errors
/// The reader's.
pub(super) fn hash_reader(mut reader: impl std::io::Read) -> std::io::Result<String> {
    let mut hash = TextHash::default();
    let mut piece = vec![0; 1 << 16];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(hash.end()),
            read => hash.take(&piece[..read]),
        }
    }
}

/// What is known between two pieces: the first three bytes may be a mark, a CR may end a line.
#[derive(Default)]
struct TextHash {
    hash: Sha256,
    start: Option<Vec<u8>>,
    begun: bool,
    carriage: bool,
}

impl TextHash {
    fn take(&mut self, bytes: &[u8]) {
        if self.begun {
            return self.lines(bytes);
        }
        let mut start = self.start.take().unwrap_or_default();
        start.extend_from_slice(bytes);
        if start.len() < 3 {
            self.start = Some(start);
            return;
        }
        self.begun = true;
        let mark = start.strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
        self.lines(&start[mark..]);
    }

    fn lines(&mut self, bytes: &[u8]) {
        let Some((&first, _)) = bytes.split_first() else { return };
        if std::mem::take(&mut self.carriage) && first != b'\n' {
            self.hash.update(b"\r");
        }
        let mut rest = bytes;
        while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
            self.hash.update(&rest[..at]);
            rest = &rest[at + 1..];
        }
        if let Some(whole) = rest.strip_suffix(b"\r") {
            self.carriage = true;
            rest = whole;
        }
        self.hash.update(rest);
    }

    fn end(mut self) -> String {
        if let Some(start) = self.start.take() {
            self.lines(&start);
        }
        if self.carriage {
            self.hash.update(b"\r");
        }
        crate::model::hex(&self.hash.finalize())
    }
}

/// The text of a script, without a byte order mark.
///
/// # Errors
/// `not-utf8` with the line and column of the first byte that is wrong.
pub(super) fn decode(bytes: &[u8], display: &str) -> Result<String, Fault> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_string()),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
            Err(Fault::usage("not-utf8", msg!("playbook.not-utf8", file = display))
                .remedy(msg!("playbook.not-utf8.remedy"))
                .place(Place::at_offset(display, &good, good.len(), 1)))
        }
    }
}

/// Reads a script of the project.
///
/// # Errors
/// `unreadable` with the system's reason, `not-utf8`.
pub(super) fn read(path: &Path, display: &str) -> Result<String, Fault> {
    let bytes = std::fs::read(path).map_err(|error| {
        Fault::usage("unreadable", msg!("playbook.unreadable", file = display))
            .detail(error.to_string())
    })?;
    decode(&bytes, display)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_text_has_one_hash_however_it_is_cut_into_pieces() {
        struct Pieces<'a>(&'a [u8], usize);
        impl std::io::Read for Pieces<'_> {
            fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
                let size = self.1.min(self.0.len());
                to[..size].copy_from_slice(&self.0[..size]);
                self.0 = &self.0[size..];
                Ok(size)
            }
        }
        let texts: [&[u8]; 6] =
            [b"a\r\nb\r\n", b"\xef\xbb\xbfa\r\r\nb\r", b"\r", b"\xef\xbb", b"", b"\xef\xbb\xbf"];
        for text in texts {
            for size in 1..5 {
                let cut = super::hash_reader(Pieces(text, size));
                assert_eq!(cut.ok(), Some(super::hash_bytes(text)), "{text:?} {size}");
            }
        }
        assert_eq!(super::hash_bytes(b"a\r\nb"), super::hash_bytes(b"\xef\xbb\xbfa\nb"));
        assert_ne!(super::hash_bytes(b"a\rb"), super::hash_bytes(b"a\nb"));
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_do_not_change_the_hash() {
        let plain = hash_text("a\nb\n");
        assert_eq!(plain, hash_text("\u{feff}a\r\nb\r\n"));
        assert_ne!(plain, hash_text("a\nb"));
        assert_ne!(plain, hash_text("a\rb\n"), "a lone CR is content");
        assert_eq!(
            hash_text("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_text_in_another_encoding_names_its_first_wrong_byte() {
        let fault = decode(b"// ok\n// \xc7\xd1", "x.rhai").unwrap_err();
        assert_eq!((fault.places[0].line, fault.places[0].column), (2, 4));
        assert_eq!(decode(b"\xef\xbb\xbflet", "x").ok().as_deref(), Some("let"));
    }
}
