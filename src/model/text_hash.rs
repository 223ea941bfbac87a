//! What identifies a text: a hash that line ends and a byte order mark do not change.
//!
//! The same file checked out on another system is the same file. Used for scripts, SQL files and
//! everything that a run is bound to; the encoding does not matter.

use std::io::Read;

use sha2::{Digest, Sha256};

use super::hex;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// SHA-256 of a text in hex, taken without a byte order mark and with LF line ends.
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
pub fn hash_reader(mut reader: impl Read) -> std::io::Result<String> {
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
    /// The text's first bytes, until there are enough of them.
    start: Vec<u8>,
    begun: bool,
    carriage: bool,
}

impl TextHash {
    fn take(&mut self, bytes: &[u8]) {
        if self.begun {
            return self.lines(bytes);
        }
        let wanting = MARK.len().saturating_sub(self.start.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(wanting);
        self.start.extend_from_slice(first);
        if self.start.len() == MARK.len() {
            self.begin();
            self.lines(rest);
        }
    }

    fn begin(&mut self) {
        self.begun = true;
        let start = std::mem::take(&mut self.start);
        self.lines(start.strip_prefix(MARK).unwrap_or(&start));
    }

    fn lines(&mut self, mut rest: &[u8]) {
        let Some(first) = rest.first() else { return };
        if std::mem::take(&mut self.carriage) && *first != b'\n' {
            self.hash.update(b"\r");
        }
        while let Some(at) = rest.iter().position(|byte| *byte == b'\r') {
            self.hash.update(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.first() {
                Some(b'\n') => {}
                Some(_) => self.hash.update(b"\r"),
                None => self.carriage = true,
            }
        }
        self.hash.update(rest);
    }

    fn end(mut self) -> String {
        if !self.begun {
            self.begin();
        }
        if self.carriage {
            self.hash.update(b"\r");
        }
        hex(&self.hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let size = self.1.min(self.0.len());
            to[..size].copy_from_slice(&self.0[..size]);
            self.0 = &self.0[size..];
            Ok(size)
        }
    }

    #[test]
    fn a_text_has_one_hash_however_it_is_cut_into_pieces() {
        let texts: [&[u8]; 7] = [
            b"a\r\nb\r\n",
            b"\xef\xbb\xbfa\r\r\nb\r",
            b"\r",
            b"\xef\xbb",
            b"",
            b"\xef\xbb\xbf",
            b"\xef\xbb\xbf\xef\xbb\xbf",
        ];
        for text in texts {
            for size in 1..5 {
                let cut = hash_reader(Pieces(text, size));
                assert_eq!(cut.ok(), Some(hash_bytes(text)), "{text:?} {size}");
            }
        }
        let long = |end: &[u8]| [&[b'x'; 64 * 1024 - 1], end, b"y"].concat();
        assert_eq!(hash_reader(&long(b"\r\n")[..]).ok(), Some(hash_bytes(&long(b"\n"))));
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_do_not_change_the_hash() {
        let plain = hash_text("a\nb\n");
        assert_eq!(plain, hash_text("\u{feff}a\r\nb\r\n"));
        assert_ne!(plain, hash_text("a\nb"));
        assert_ne!(plain, hash_text("a\rb\n"), "a lone CR is content");
        assert_ne!(plain, hash_text("a\nb\n\r"), "a lone CR is content");
        assert_ne!(plain, hash_text("\u{feff}\u{feff}a\nb\n"), "one mark is none");
        assert_eq!(
            hash_text("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hash_text(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
