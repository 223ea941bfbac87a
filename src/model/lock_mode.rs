//! The modes of table locks: as statements and the manual write them, and as `pg_locks` does.

/// Weakest to strongest, after the manual's chapter "Explicit Locking".
pub const LOCK_MODES: [&str; 8] = [
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
];

/// The place of a mode in [`LOCK_MODES`]; the weakest where it is none of them.
pub fn lock_strength(mode: &str) -> usize {
    LOCK_MODES.iter().position(|known| *known == mode).unwrap_or(0)
}

/// "ACCESS EXCLUSIVE" of `AccessExclusiveLock`.
pub fn spoken_lock(mode: &str) -> String {
    let mut text = String::new();
    for c in mode.trim_end_matches("Lock").chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(c.to_ascii_uppercase());
    }
    text
}

/// `AccessExclusiveLock` of "ACCESS EXCLUSIVE".
pub fn written_lock(mode: &str) -> String {
    let word = |word: &str| format!("{}{}", &word[..1], word[1..].to_lowercase());
    mode.split(' ').map(word).collect::<String>() + "Lock"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_lead_to_each_other() {
        assert_eq!(written_lock("SHARE UPDATE EXCLUSIVE"), "ShareUpdateExclusiveLock");
        for (at, mode) in LOCK_MODES.into_iter().enumerate() {
            assert_eq!(spoken_lock(&written_lock(mode)), mode);
            assert_eq!(lock_strength(mode), at);
        }
    }
}
