//! Words that depend on what is inserted before them: Korean particles (을/를, 이/가, 은/는, 과/와,
//! 으로/로, 이나/나), and in English the singular or the plural of what is counted (row/rows).
//!
//! A particle follows the last sound of the word before it. For Hangul that is the syllable's
//! final consonant; digits and Latin letters are taken as they are read aloud in Korean.

/// The word with the fitting one of `with-final/without-final` appended, "을/를"; a number with the
/// fitting one of `one/many`, "row/rows".
pub fn with_particle(word: &str, pair: &str) -> String {
    let (closed, open) = pair.split_once('/').unwrap_or((pair, pair));
    if pair.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return format!("{word} {}", if word == "1" { closed } else { open });
    }
    let last = word.chars().rev().find(|c| c.is_alphanumeric());
    let sound = last.map_or(Sound::Open, sound_of);
    // 로 also follows ㄹ: 서울로, 1(일)로.
    let fits_closed = match sound {
        Sound::Closed => true,
        Sound::Rieul => !closed.starts_with("으로"),
        Sound::Open => false,
    };
    format!("{word}{}", if fits_closed { closed } else { open })
}

#[derive(Clone, Copy, PartialEq)]
enum Sound {
    Open,
    Rieul,
    Closed,
}

fn sound_of(last: char) -> Sound {
    match last {
        '가'..='힣' => match (last as u32 - '가' as u32) % 28 {
            0 => Sound::Open,
            8 => Sound::Rieul,
            _ => Sound::Closed,
        },
        // 영 일 삼 육 칠 팔 are closed; 일 칠 팔 end in ㄹ.
        '1' | '7' | '8' => Sound::Rieul,
        '0' | '3' | '6' => Sound::Closed,
        '2' | '4' | '5' | '9' => Sound::Open,
        // A Latin word is read as a word: most that end in these letters close the syllable.
        'l' | 'L' | 'r' | 'R' => {
            if matches!(last, 'l' | 'L') {
                Sound::Rieul
            } else {
                Sound::Open
            }
        }
        'm' | 'M' | 'n' | 'N' | 'b' | 'B' | 'k' | 'K' | 'p' | 'P' => Sound::Closed,
        _ => Sound::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::with_particle;

    #[test]
    fn the_particle_follows_the_last_sound() {
        for (word, pair, wanted) in [
            ("표", "을/를", "표를"),
            ("복원", "을/를", "복원을"),
            ("서울", "으로/로", "서울로"),
            ("부산", "으로/로", "부산으로"),
            ("3", "은/는", "3은"),
            ("2", "은/는", "2는"),
            ("1", "으로/로", "1로"),
            ("users", "이/가", "users가"),
            ("plan", "이/가", "plan이"),
            ("\"표\"", "과/와", "\"표\"와"),
        ] {
            assert_eq!(with_particle(word, pair), wanted);
        }
    }
}
