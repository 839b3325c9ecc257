//! Seeded chance without state: a die is named by the seed, a topic and what it is about, so the
//! same question gets the same answer in whatever order the questions come.

use std::time::Duration;

use uuid::Uuid;

use super::span::Span;

/// What a die is thrown for; keeps the streams of one seed apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Topic {
    /// Where an object stands at the start.
    Standing,
    /// What an object looks like.
    Face,
    /// Whether lists leave an object out.
    Listing,
    /// Which fault a request meets.
    Fault,
    /// How long an exchange takes.
    Latency,
    /// Ids and spellings of one answer.
    Answer,
    /// How a throttled request is told to wait.
    Throttle,
    /// What a revoked object looks like.
    Trace,
    /// When a revocation is seen by readers.
    Visibility,
    /// What a second revocation is told.
    Again,
    /// How an Apple licence revocation goes.
    Action,
    /// The signing key.
    Key,
    /// Lifetime and id of one token.
    Token,
    /// How the service counts requests.
    Counting,
    /// The code of a request for an approval, and what becomes of it.
    Approval,
    /// Device codes, what a person types in, and refresh tokens.
    Device,
}

/// A stream of pseudo-random numbers (`SplitMix64`, Steele, Lea and Flood, 2014).
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

/// The odd constant of `SplitMix64`: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Dice {
    /// The die of one topic.
    pub(super) fn new(seed: u64, topic: Topic) -> Self {
        Self(mix(seed)).nth(topic as u64)
    }

    /// The same die, thrown for the `n`th thing.
    pub(super) fn nth(self, n: u64) -> Self {
        Self(mix(self.0 ^ mix(n.wrapping_add(GOLDEN))))
    }

    /// The same die, thrown for one object.
    pub(super) fn about(self, id: Uuid) -> Self {
        let (high, low) = id.as_u64_pair();
        self.nth(high).nth(low)
    }

    /// The next number.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in `0..limit`; 0 where the limit is 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.roll().checked_rem(limit).unwrap_or(0)
    }

    /// A number in `0.0..1.0`, in steps of 2^-32.
    pub(super) fn unit(&mut self) -> f64 {
        let high = u32::try_from(self.roll() >> 32).unwrap_or(u32::MAX);
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A duration in the span, both ends included.
    pub(super) fn within(&mut self, span: Span) -> Duration {
        let width = span.to.saturating_sub(span.from);
        let nanos = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX);
        span.from.saturating_add(Duration::from_nanos(self.below(nanos.saturating_add(1))))
    }

    /// One of the choices, or the fallback where there is none.
    pub(super) fn pick<T: Clone>(&mut self, choices: &[T], fallback: T) -> T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices.get(index).cloned().unwrap_or(fallback)
    }

    /// A GUID of version 4.
    pub(super) fn guid(&mut self) -> Uuid {
        let bits = (u128::from(self.roll()) << 64) | u128::from(self.roll());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_gets_the_same_answer() {
        let ask = || Dice::new(7, Topic::Fault).about(Uuid::from_u128(9)).nth(3).roll();
        assert_eq!(ask(), ask());
    }

    #[test]
    fn another_topic_is_another_stream() {
        assert_ne!(Dice::new(7, Topic::Fault).roll(), Dice::new(7, Topic::Trace).roll());
    }

    #[test]
    fn a_chance_of_a_fifth_comes_true_in_a_fifth_of_the_cases() {
        let hits = (0..10_000).filter(|n| Dice::new(1, Topic::Fault).nth(*n).chance(0.2)).count();
        assert!((1_850..2_150).contains(&hits), "{hits}");
    }

    #[test]
    fn a_span_is_never_left() {
        let span = Span::of_millis(10, 30);
        for n in 0..1_000 {
            let drawn = Dice::new(1, Topic::Latency).nth(n).within(span);
            assert!(span.from <= drawn && drawn <= span.to, "{drawn:?}");
        }
    }

    #[test]
    fn picking_from_nothing_gives_the_fallback() {
        assert_eq!(Dice::new(1, Topic::Trace).pick(&[], 'x'), 'x');
    }
}
