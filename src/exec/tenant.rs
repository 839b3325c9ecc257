//! What the scheduler knows of a tenant, over all its lanes: its rate, its pauses, its tokens. Pure.

use std::time::Duration;

use super::backoff::RETRY;
use super::gate::Stream;
use super::rate::Rate;
use crate::clock::Moment;
use crate::model::TenantId;

/// What may still be done in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everything.
    Open,
    /// What was sent is read back, and nothing more is sent.
    ReadOnly,
    /// Nothing.
    Closed,
}

/// A tenant, over all its lanes.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: TenantId,
    /// Its lanes.
    pub(super) lanes: Vec<usize>,
    /// Requests under way.
    pub(super) in_flight: usize,
    pub(super) access: Access,
    /// Whether it wants to know why requests are made.
    pub(super) asks_why: bool,
    pub(super) rate: Option<Rate>,
    /// Whether a token is being asked for.
    pub(super) signing_in: bool,
    pub(super) paused_until: Moment,
    /// Since when nothing but "later" came back, of writes and of reads: one that goes well does not help the other.
    dry_since: [Option<Moment>; 2],
    /// Since when no token was to be had.
    signed_out_since: Option<Moment>,
    /// How many tokens in a row were refused, and the number of the last one.
    refused_tokens: u32,
    refused: Option<u64>,
    sign_in_waits: u32,
}

impl Tenant {
    pub(super) fn new(id: TenantId, rate: Option<Rate>) -> Self {
        Self {
            id,
            lanes: Vec::new(),
            in_flight: 0,
            access: Access::Open,
            asks_why: false,
            rate,
            signing_in: false,
            paused_until: Moment::ZERO,
            dry_since: [None; 2],
            signed_out_since: None,
            refused_tokens: 0,
            refused: None,
            sign_in_waits: 0,
        }
    }

    /// The service answered something other than "later" or "who are you".
    pub(super) fn answered(&mut self, stream: Stream, token: Option<u64>) {
        self.dry_since[stream as usize] = None;
        // A late answer to an older token says nothing about the fresh one.
        if token > self.refused || token.is_none() {
            self.refused_tokens = 0;
        }
    }

    /// A token was refused. True if it was the second in a row, each fresher than the last: a third would be refused as well.
    pub(super) fn token_refused(&mut self, token: Option<u64>) -> bool {
        if self.refused_tokens == 0 && self.refused.is_none() || token > self.refused {
            self.refused_tokens += 1;
            self.refused = token;
        }
        self.refused_tokens >= 2
    }

    /// A token is there.
    pub(super) fn signed_in(&mut self) {
        self.sign_in_waits = 0;
        self.signed_out_since = None;
    }

    /// Notes that no token was to be had, and says for how long it has been so.
    pub(super) fn signed_out_for(&mut self, now: Moment) -> Duration {
        now.saturating_sub(*self.signed_out_since.get_or_insert(now))
    }

    /// Everything of the tenant waits, because no token is to be had just now. Says for how long.
    pub(super) fn no_token(&mut self, now: Moment, after: Duration) -> Duration {
        let delay = after.max(RETRY.delay(self.sign_in_waits));
        self.sign_in_waits += 1;
        self.paused_until = self.paused_until.max(now + delay);
        delay
    }

    /// Notes that nothing was accepted, and says for how long it has been so.
    pub(super) fn dry_for(&mut self, stream: Stream, now: Moment) -> Duration {
        now.saturating_sub(*self.dry_since[stream as usize].get_or_insert(now))
    }
}
