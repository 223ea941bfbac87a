//! Random numbers that a seed brings back.

/// A generator (splitmix64): the same seed gives the same numbers on every machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of one trial under a seed.
    pub fn new(seed: u64, trial: u64) -> Self {
        let mut dice = Self(seed ^ trial.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.next();
        dice
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Heads or tails.
    pub fn toss(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

#[test]
fn a_seed_brings_the_same_numbers_back() {
    let (mut one, mut same, mut other) = (Dice::new(1, 7), Dice::new(1, 7), Dice::new(1, 8));
    let numbers = |dice: &mut Dice| (0..4).map(|_| dice.below(1000)).collect::<Vec<_>>();
    let first = numbers(&mut one);
    assert_eq!(first, numbers(&mut same));
    assert_ne!(first, numbers(&mut other));
}
