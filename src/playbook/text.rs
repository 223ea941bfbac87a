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
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut hash = Sha256::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        hash.update(&rest[..at]);
        rest = &rest[at + 1..];
    }
    hash.update(rest);
    crate::model::hex(&hash.finalize())
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
