//! Seeded chance, and a bad day at the service that can be judged: every effect shows, and a second one counts.

use std::time::Duration;

use bulk_revoke::sim::{
    Again, Behaviour, Collection, Fault, Kind, Meanwhile, Odds, Retention, RetryAfter, Shares, Span, Trace, Visibility, Vpp,
};
use jiff::SignedDuration;

/// Where the objects of the list's kinds lie.
pub(super) const COLLECTIONS: [Collection; 3] = Collection::ALL;

/// A stream of numbers (`SplitMix64`).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    /// So many milliseconds at most.
    pub(super) fn up_to(&mut self, millis: u64) -> Duration {
        Duration::from_millis(self.below(millis + 1))
    }

    /// One of these.
    pub(super) fn one_of<T: Clone, const N: usize>(&mut self, choices: &[T; N]) -> T {
        let place = usize::try_from(self.below(N as u64)).unwrap_or_default();
        choices[place].clone()
    }
}

/// A third of the writes goes wrong in some way. What is late is less late than `--settle`, in the sum of all that can
/// be: half of the slowest answer, or the latest effect, and the longest lag of readers.
pub(super) fn behaviour(seed: u64) -> Behaviour {
    let hours = Dice(seed).one_of(&[0, 0, 5, -7]);
    Behaviour {
        latency: Span::of_millis(5, 40),
        page_size: 5,
        clock_skew: SignedDuration::from_hours(hours),
        token_lifetime: Span::of_secs(3, 6),
        token_retry_after: Duration::from_secs(1),
        token_faults: vec![Fault::new(Kind::Throttle(RetryAfter::Integer)).at(0.02), Fault::status(503).at(0.02)],
        write_faults: writes(),
        read_faults: reads(),
        shares: Shares { expired: 0.06, unknown: 0.05, forbidden: 0.05, endless: 0.08, unlisted: 0.1 },
        visibility: Visibility { late: 0.3, lag: Span::of_millis(10, 40) },
        traces: Trace::SHOWN.to_vec(),
        // A second revocation has an effect that counts, wherever the service could hide it.
        again: vec![Again::Accepted],
        vpp: Vpp {
            pending: Span::of_millis(0, 150),
            active: Span::of_millis(20, 300),
            partly: 0.1,
            failed: 0.1,
            history: 0.3,
            meanwhile: vec![Meanwhile::Queued],
            retention: Retention::ALL.to_vec(),
        },
        ..Behaviour::immediate()
    }
}

fn writes() -> Vec<Odds> {
    let late = Span::of_millis(10, 60);
    vec![
        Fault::status(500).at(0.02),
        Fault::status(500).after_effect().at(0.03),
        Fault::status(503).at(0.02),
        Fault::status(504).after_effect().at(0.03),
        Fault::status(504).with_late_effect(late).at(0.03),
        Fault::new(Kind::Page).at(0.02),
        Fault::new(Kind::Page).after_effect().at(0.02),
        Fault::new(Kind::Slow(Span::of_millis(50, 120))).at(0.05),
        Fault::new(Kind::Hang).at(0.01),
        Fault::new(Kind::Hang).after_effect().at(0.02),
        Fault::new(Kind::Cut).at(0.02),
        Fault::new(Kind::Cut).after_effect().at(0.03),
        Fault::new(Kind::Cut).with_late_effect(late).at(0.03),
        Fault::new(Kind::TokenExpired).at(0.02),
        Fault::new(Kind::Throttle(RetryAfter::Zero)).at(0.02),
    ]
}

fn reads() -> Vec<Odds> {
    vec![
        Fault::status(500).at(0.01),
        Fault::status(503).at(0.01),
        Fault::new(Kind::Page).at(0.01),
        Fault::new(Kind::Slow(Span::of_millis(50, 200))).at(0.03),
        Fault::new(Kind::Cut).at(0.01),
        Fault::new(Kind::TokenExpired).at(0.01),
    ]
}
