//! Random numbers that are the same in every run, and random damage.

/// A splitmix64 generator.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next_u64()) * bound as u128;
        (product >> 64) as usize
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.next_u64() as u8
    }

    /// Any bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Numbers at which readers stumble.
const INTERESTING: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xfff,
    0x1000,
    0x1001,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff8,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_f000,
    u64::MAX,
];

/// The longest slice that one change copies, in bytes.
const LONGEST_SLICE: usize = 64;

/// Damages a file in one random way: flips a bit, inserts, deletes, truncates, repeats a slice,
/// or writes a number over what is there. A file without bytes gets some.
pub fn mutate(data: &mut Vec<u8>, rng: &mut Rng) {
    if data.is_empty() {
        let len = 1 + rng.below(16);
        data.extend(rng.bytes(len));
        return;
    }
    let at = rng.below(data.len());
    let len = (1 + rng.below(LONGEST_SLICE)).min(data.len() - at);
    match rng.below(7) {
        0 => data[at] ^= 1 << rng.below(8),
        1 => data[at] = rng.byte(),
        2 => {
            let len = 1 + rng.below(8);
            let new = rng.bytes(len);
            data.splice(at..at, new);
        }
        3 => {
            data.drain(at..at + len);
        }
        4 => data.truncate(at),
        5 => {
            let slice = data[at..at + len].to_vec();
            let to = rng.below(data.len() + 1);
            data.splice(to..to, slice);
        }
        _ => {
            let width = *rng.pick(&[1, 2, 4, 8]);
            let value = *rng.pick(INTERESTING);
            let bytes = if rng.below(2) == 0 {
                value.to_le_bytes()[..width].to_vec()
            } else {
                value.to_be_bytes()[8 - width..].to_vec()
            };
            let end = (at + width).min(data.len());
            data[at..end].copy_from_slice(&bytes[..end - at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([rng.next_u64(), rng.next_u64(), rng.next_u64()], expected);
    }

    #[test]
    fn bounds_hold() {
        let mut rng = Rng::new(1);
        assert_eq!(rng.below(0), 0);
        let mut seen = [false; 7];
        (0..200).for_each(|_| seen[rng.below(7)] = true);
        assert_eq!(seen, [true; 7]);
    }

    #[test]
    fn damage_is_the_same_every_time_and_never_the_identity_for_long() {
        let run = |seed| {
            let mut rng = Rng::new(seed);
            let mut data = vec![0; 100];
            (0..50).for_each(|_| mutate(&mut data, &mut rng));
            data
        };
        assert_eq!(run(3), run(3));
        let different: std::collections::BTreeSet<_> = (0..100).map(run).collect();
        assert!(different.len() > 90);
    }
}
