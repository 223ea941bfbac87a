//! "Did you mean": the candidate that a mistyped word most likely stands for.

/// The candidate nearest to a word, compared without regard to case; None where nothing is near
/// enough to be a slip of the hand (more than a third of the letters differ).
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
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
        assert_eq!(nearest("pg", words), None);
        assert_eq!(nearest("completely", words), None);
    }
}
