//! What the events so far say of an item: the one transition function of running, replay and report.

use uuid::Uuid;

use super::{Event, Reached, Reply, Stamp, Status, Then, What};

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Not sent yet, or shown to have had no effect: may be sent.
    #[default]
    Ready,
    /// An intent is durable, and no reply is.
    InFlight,
    /// A request may have had an effect: must be looked at before it is sent again.
    InDoubt,
    /// Over.
    Settled(Status),
}

/// Everything that the report says of an item beyond its plan.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// Where it stands.
    pub phase: Phase,
    /// Attempts that count: every one but the throttled.
    pub attempts: u32,
    /// Answers that only said "later".
    pub throttled: u32,
    /// When the first request left that may have reached the service.
    pub sent_at: Option<Stamp>,
    /// When the request was about to leave of which nothing was heard yet.
    pub intended_at: Option<Stamp>,
    /// Whether the service reported a conflict: the object may not be as it was.
    pub conflicted: bool,
    /// When it was settled, or last heard of.
    pub finished_at: Option<Stamp>,
    /// Of the last answer.
    pub http_status: Option<u16>,
    /// Of the last reply.
    pub error_code: Option<String>,
    /// Of the last reply.
    pub message: Option<String>,
    /// Of the last answer.
    pub request_id: Option<String>,
    /// Of the last request.
    pub client_request_id: Option<Uuid>,
    /// For a request that waits for a second administrator.
    pub approval_code: Option<String>,
    /// Why it ended so.
    pub reason: String,
}

/// An event that cannot happen to an item in this phase: the ledger and the program disagree.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("illegal event {event} in phase {phase:?}")]
pub struct IllegalEvent {
    /// Where the item stood.
    pub phase: Phase,
    /// What was said to have happened.
    pub event: &'static str,
}

impl Progress {
    /// Takes in what happened.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        match (&event.what, self.phase) {
            (What::Intent { client_request_id }, Phase::Ready) => {
                self.client_request_id = Some(*client_request_id);
                self.intended_at = Some(event.at);
                self.phase = Phase::InFlight;
            }
            (What::Released, Phase::InFlight) => {
                self.intended_at = None;
                self.phase = Phase::Ready;
            }
            (What::Reply(reply), Phase::InFlight) => self.take(reply, event.at),
            (What::Settled { status, reason }, Phase::Ready | Phase::InFlight | Phase::InDoubt) => {
                self.settle(*status, reason, event.at);
            }
            (what, phase) => return Err(IllegalEvent { phase, event: name(what) }),
        }
        Ok(())
    }

    /// What became of the item, if nothing more happens.
    pub const fn status(&self) -> Status {
        match self.phase {
            Phase::Ready => Status::NotAttempted,
            Phase::InFlight | Phase::InDoubt => Status::Unknown,
            Phase::Settled(status) => status,
        }
    }

    /// When the first request left that may have reached the service, as far as is known.
    pub fn first_sent_at(&self) -> Option<Stamp> {
        self.sent_at.or(self.intended_at)
    }

    /// Attempts that were made, the throttled ones aside; one of which nothing was heard is among them.
    pub fn requests(&self) -> u32 {
        self.attempts + u32::from(self.intended_at.is_some())
    }

    fn take(&mut self, reply: &Reply, at: Stamp) {
        self.intended_at = None;
        match reply.then {
            Then::Throttled => self.throttled += 1,
            Then::Settled { .. } | Then::Again | Then::SignIn | Then::Look => self.attempts += 1,
        }
        self.conflicted |= reply.then == Then::Again && reply.reached == Reached::Answered;
        if reply.reached != Reached::NotSent {
            self.sent_at.get_or_insert(reply.sent_at);
        }
        self.http_status = reply.http_status;
        self.error_code.clone_from(&reply.error_code);
        self.message.clone_from(&reply.message);
        self.request_id.clone_from(&reply.request_id);
        self.approval_code.clone_from(&reply.approval_code);
        match &reply.then {
            Then::Settled { status, reason } => self.settle(*status, reason, at),
            Then::Again | Then::SignIn | Then::Throttled => self.phase = Phase::Ready,
            Then::Look => self.phase = Phase::InDoubt,
        }
    }

    fn settle(&mut self, status: Status, reason: &str, at: Stamp) {
        self.phase = Phase::Settled(status);
        reason.clone_into(&mut self.reason);
        self.finished_at = Some(at);
    }
}

const fn name(what: &What) -> &'static str {
    match what {
        What::Intent { .. } => "intent",
        What::Released => "released",
        What::Reply(_) => "reply",
        What::Settled { .. } => "settled",
        What::TenantStopped(_) => "tenant_stopped",
        What::Ended { .. } => "ended",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(then: Then) -> What {
        What::Reply(Box::new(Reply {
            reached: Reached::Answered,
            sent_at: Stamp(5),
            elapsed_ms: 1,
            http_status: Some(204),
            error_code: None,
            message: None,
            request_id: None,
            approval_code: None,
            then,
        }))
    }

    fn settled() -> Then {
        Then::Settled { status: Status::Accepted, reason: String::new() }
    }

    fn event(what: What) -> Event {
        Event { item: None, at: Stamp(9), what }
    }

    #[test]
    fn a_throttled_item_keeps_its_attempts() {
        let mut progress = Progress::default();
        for then in [Then::Throttled, Then::Again, settled()] {
            progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).unwrap();
            progress.apply(&event(reply(then))).unwrap();
        }
        assert_eq!((progress.attempts, progress.throttled, progress.status()), (2, 1, Status::Accepted));
        assert_eq!((progress.sent_at, progress.finished_at), (Some(Stamp(5)), Some(Stamp(9))));
    }

    #[test]
    fn an_intent_without_a_reply_is_unknown_and_cannot_be_sent_again() {
        let mut progress = Progress::default();
        progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).unwrap();
        assert_eq!((progress.status(), progress.requests()), (Status::Unknown, 1));
        assert_eq!(progress.first_sent_at(), Some(Stamp(9)));
        assert!(progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).is_err());
    }

    fn any_what() -> impl Strategy<Value = What> {
        prop_oneof![
            Just(What::Intent { client_request_id: Uuid::nil() }),
            Just(What::Released),
            Just(reply(Then::Again)),
            Just(reply(Then::Throttled)),
            Just(reply(Then::Look)),
            Just(reply(settled())),
            Just(What::Settled { status: Status::Failed, reason: "x".into() }),
            Just(What::Ended { stopped_by: None }),
        ]
    }

    proptest! {
        #[test]
        fn a_settled_item_never_moves_and_refused_events_change_nothing(whats in prop::collection::vec(any_what(), 0..30)) {
            let mut progress = Progress::default();
            for what in whats {
                let before = progress.clone();
                let refused = progress.apply(&event(what)).is_err();
                if refused || matches!(before.phase, Phase::Settled(_)) {
                    prop_assert!(refused);
                    prop_assert_eq!(&before, &progress);
                }
            }
        }
    }
}
