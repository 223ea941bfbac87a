//! "Did you mean": the candidate that a mistyped word most likely stands for.

use unicode_normalization::UnicodeNormalization;

/// The candidate nearest to a word, compared without regard to case; None where nothing is near
/// enough to be a slip of the hand (more than a third of the letters differ).
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let low = |text: &str| text.nfc().collect::<String>().to_lowercase();
    let word = low(word);
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &low(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_named_and_a_stranger_is_not() {
        let words = ["staging", "production", "protected"];
        assert_eq!(nearest("prodcution", words), Some("production"));
        assert_eq!(nearest("Protected", words), Some("protected"));
        assert_eq!(nearest("\u{1112}\u{1161}\u{11ab}글", ["한글"]), Some("한글"));
        assert_eq!(nearest("pg", words), None);
        assert_eq!(nearest("completely", words), None);
    }
}
