//! Texts of scripts: UTF-8, without a byte order mark.

use std::path::Path;

use crate::model::{Fault, Place};
use crate::msg;

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
    fn a_text_in_another_encoding_names_its_first_wrong_byte() {
        let fault = decode(b"// ok\n// \xc7\xd1", "x.rhai").unwrap_err();
        assert_eq!((fault.places[0].line, fault.places[0].column), (2, 4));
        assert_eq!(decode(b"\xef\xbb\xbflet", "x").ok().as_deref(), Some("let"));
    }
}
