//! What the events so far say of an item: the one transition function of running, replay and report.

use uuid::Uuid;

use super::{AfterLook, Event, IllegalEvent, Look, Outcome, Reached, Reply, Snapshot, Stamp, Status, Then, What};

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
    /// The service said 204, or a VPP action is at work: never sent again, and read back until that shows it.
    Confirming,
    /// Over; some of these may still be settled better by reading back, see [`Progress::is_final`].
    Settled(Status),
}

/// Everything that the report says of an item beyond its plan.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, folded from events")]
pub struct Progress {
    /// Where it stands.
    pub phase: Phase,
    /// What the object was before anything was sent.
    pub pin: Option<Box<Snapshot>>,
    /// What the service calls the object.
    pub name: Option<String>,
    /// Attempts that count: every one but the throttled.
    pub attempts: u32,
    /// Answers that only said "later".
    pub throttled: u32,
    /// When the first request left that may have reached the service.
    pub sent_at: Option<Stamp>,
    /// When the request was about to leave of which nothing was heard yet.
    pub intended_at: Option<Stamp>,
    /// Whether any request may have changed the object, or the service said that something else did: what is sent now
    /// repeats it.
    pub doubted: bool,
    /// Whether a request was lost: only a reading can show that it had no effect.
    pub lost: bool,
    /// Whether reading back was over twice and showed nothing: no third time is asked for.
    pub exhausted: bool,
    /// Whether the service said 204.
    pub accepted: bool,
    /// What becomes of an item in doubt that is shown to be untouched; none: it is sent again.
    pub otherwise: Option<Outcome>,
    /// When it was settled.
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

impl Progress {
    /// Takes in what happened.
    ///
    /// # Errors
    /// If that cannot happen to an item in this phase; then nothing has changed.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        match (&event.what, self.phase) {
            (What::Intent { client_request_id }, Phase::Ready) => {
                self.client_request_id = Some(*client_request_id);
                self.intended_at = Some(event.at);
                self.otherwise = None;
                self.phase = Phase::InFlight;
            }
            (What::Released, Phase::InFlight) => {
                self.intended_at = None;
                self.phase = Phase::Ready;
            }
            (What::Reply(reply), Phase::InFlight) => self.take(reply, event.at),
            (What::Looked(look), phase) if self.may_look(&look.then) => self.looked(look, phase, event.at),
            (What::Settled { status, reason }, _) if !self.is_final() => self.settle(*status, reason, event.at),
            (what, phase) => return Err(IllegalEvent { phase, event: what.name() }),
        }
        Ok(())
    }

    /// What became of the item, if nothing more happens.
    pub const fn status(&self) -> Status {
        match self.phase {
            Phase::Ready => Status::NotAttempted,
            Phase::InFlight | Phase::InDoubt => Status::Unknown,
            Phase::Confirming => Status::Unconfirmed,
            Phase::Settled(status) => status,
        }
    }

    /// Whether nothing can change what became of it. Reading back may still tell more of the others.
    pub const fn is_final(&self) -> bool {
        match self.phase {
            Phase::Settled(Status::Accepted | Status::Unconfirmed | Status::Unknown | Status::AwaitingApproval)
            | Phase::Ready
            | Phase::InFlight
            | Phase::InDoubt
            | Phase::Confirming => false,
            Phase::Settled(_) => true,
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
            Then::Settled { .. } | Then::Again | Then::SignIn | Then::Confirm | Then::Look { .. } => self.attempts += 1,
        }
        // A conflict says that the object may not be as it was.
        self.doubted |= reply.then == Then::Again && reply.reached == Reached::Answered;
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
            Then::Confirm => {
                self.accepted = true;
                self.phase = Phase::Confirming;
            }
            Then::Look { otherwise } => {
                (self.doubted, self.lost) = (true, true);
                self.otherwise.clone_from(otherwise);
                self.phase = Phase::InDoubt;
            }
        }
    }

    /// Whether a reading may have this consequence now: nothing that was said yes to is ever sent again.
    const fn may_look(&self, then: &AfterLook) -> bool {
        match (then, self.phase) {
            (AfterLook::Pin, phase) => matches!(phase, Phase::Ready),
            (AfterLook::Untouched, phase) => matches!(phase, Phase::Ready | Phase::InFlight | Phase::InDoubt),
            (AfterLook::Again | AfterLook::Follow | AfterLook::Settled(_), _) => !self.is_final(),
        }
    }

    fn looked(&mut self, look: &Look, phase: Phase, at: Stamp) {
        if phase == Phase::InFlight {
            // Whoever waited for its answer is gone: it may have had an effect like any other lost request.
            self.attempts += 1;
            self.sent_at = self.first_sent_at();
            self.intended_at = None;
            (self.doubted, self.lost) = (true, true);
        }
        if let Some(name) = look.reading.as_ref().and_then(|reading| reading.name.clone()) {
            self.name = Some(name);
        }
        match &look.then {
            AfterLook::Pin => self.pin = look.reading.clone().map(Box::new),
            AfterLook::Again if matches!(phase, Phase::Ready | Phase::InFlight) => self.phase = Phase::InDoubt,
            AfterLook::Again => {}
            AfterLook::Untouched => self.phase = Phase::Ready,
            AfterLook::Follow => {
                // What is followed is judged against what was there before.
                if self.pin.is_none() {
                    self.pin = look.reading.clone().map(Box::new);
                }
                self.phase = Phase::Confirming;
            }
            AfterLook::Settled(Outcome { status, reason }) => self.settle(*status, reason, at),
        }
    }

    fn settle(&mut self, status: Status, reason: &str, at: Stamp) {
        self.exhausted = status == Status::Unconfirmed && self.phase == Phase::Settled(status);
        self.phase = Phase::Settled(status);
        self.accepted |= status == Status::Accepted;
        reason.clone_into(&mut self.reason);
        self.finished_at = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Expiry, Seen};

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

    fn look(then: AfterLook) -> What {
        let seen = Seen::Android { expiry: Expiry::Never, created: None };
        What::Looked(Box::new(Look { reading: Some(Snapshot { date: None, name: Some("n".to_owned()), seen }), then }))
    }

    #[test]
    fn an_intent_of_a_dead_process_is_an_attempt_once_its_object_is_read() {
        let mut progress = Progress::default();
        progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).unwrap();
        progress.apply(&event(look(AfterLook::Again))).unwrap();
        assert_eq!((progress.phase, progress.attempts, progress.sent_at), (Phase::InDoubt, 1, Some(Stamp(9))));
        progress.apply(&event(look(AfterLook::Untouched))).unwrap();
        assert_eq!((progress.status(), progress.requests(), progress.doubted), (Status::NotAttempted, 1, true));
    }

    #[test]
    fn what_the_service_said_yes_to_is_never_sent_again() {
        let mut progress = Progress::default();
        progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).unwrap();
        progress.apply(&event(reply(Then::Confirm))).unwrap();
        assert_eq!(progress.status(), Status::Unconfirmed);
        for what in [What::Intent { client_request_id: Uuid::nil() }, look(AfterLook::Untouched), look(AfterLook::Pin)] {
            assert!(progress.apply(&event(what)).is_err());
        }
        progress.apply(&event(look(AfterLook::Settled(Outcome::new(Status::Revoked, ""))))).unwrap();
        assert!(progress.is_final());
    }

    #[test]
    fn reading_back_that_is_over_twice_is_over() {
        let mut progress = Progress::default();
        progress.apply(&event(look(AfterLook::Follow))).unwrap();
        for exhausted in [false, true] {
            progress.apply(&event(What::Settled { status: Status::Unconfirmed, reason: "x".into() })).unwrap();
            assert_eq!((progress.exhausted, progress.is_final()), (exhausted, false));
        }
    }

    fn any_status() -> impl Strategy<Value = Status> {
        prop::sample::select(Status::ALL.to_vec())
    }

    fn any_what() -> impl Strategy<Value = What> {
        prop_oneof![
            3 => Just(What::Intent { client_request_id: Uuid::nil() }),
            1 => Just(What::Released),
            1 => Just(reply(Then::Again)),
            1 => Just(reply(Then::SignIn)),
            1 => Just(reply(Then::Throttled)),
            1 => Just(reply(Then::Confirm)),
            2 => any_status().prop_map(|status| reply(Then::Look { otherwise: Some(Outcome::new(status, "x")) })),
            2 => Just(reply(Then::Look { otherwise: None })),
            1 => any_status().prop_map(|status| reply(Then::Settled { status, reason: "x".into() })),
            1 => any_status().prop_map(|status| What::Settled { status, reason: "x".into() }),
            1 => any_status().prop_map(|status| look(AfterLook::Settled(Outcome::new(status, "x")))),
            2 => prop::sample::select(vec![AfterLook::Pin, AfterLook::Again, AfterLook::Untouched, AfterLook::Follow]).prop_map(look),
            1 => Just(What::Ended { stopped_by: None, spent: Box::default() }),
        ]
    }

    /// Whether an event shows that nothing that was sent had an effect.
    fn clears(what: &What) -> bool {
        match what {
            What::Released => true,
            What::Reply(reply) => matches!(reply.then, Then::Again | Then::SignIn | Then::Throttled),
            What::Looked(look) => look.then == AfterLook::Untouched,
            What::Intent { .. } | What::Settled { .. } | What::TenantStopped(_) | What::Resumed { .. } | What::Ended { .. } => {
                false
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_final_never_moves_and_refused_events_change_nothing(whats in prop::collection::vec(any_what(), 0..40)) {
            let mut progress = Progress::default();
            for what in whats {
                let before = progress.clone();
                let refused = progress.apply(&event(what)).is_err();
                if refused || before.is_final() {
                    prop_assert!(refused);
                    prop_assert_eq!(&before, &progress);
                }
            }
        }

        #[test]
        fn no_request_follows_another_that_was_not_shown_to_be_without_effect(whats in prop::collection::vec(any_what(), 0..40)) {
            let mut progress = Progress::default();
            let (mut intents, mut clear) = (0, true);
            for what in whats {
                if progress.apply(&event(what.clone())).is_err() {
                    continue;
                }
                if matches!(what, What::Intent { .. }) {
                    prop_assert!(clear, "sent again without proof");
                    (intents, clear) = (intents + 1, false);
                }
                clear |= clears(&what);
            }
            let released = intents - progress.throttled - progress.requests();
            prop_assert!(progress.requests() + progress.throttled <= intents, "{released} released");
        }

        #[test]
        fn the_same_events_give_the_same_progress_wherever_they_are_cut(
            whats in prop::collection::vec(any_what(), 0..40),
            cut in 0_usize..40,
        ) {
            let mut legal = Vec::new();
            let mut whole = Progress::default();
            for what in whats {
                let event = event(what);
                if whole.apply(&event).is_ok() {
                    legal.push(serde_json::to_string(&event).unwrap());
                }
            }
            // What comes back from the ledger is text: a session that begins there knows as much as one that went on.
            let read = |text: &String| serde_json::from_str::<Event>(text).unwrap();
            let mut later = Progress::default();
            legal.iter().take(cut).for_each(|text| later.apply(&read(text)).unwrap());
            legal.iter().skip(cut).for_each(|text| later.apply(&read(text)).unwrap());
            prop_assert_eq!(whole, later);
        }
    }
}
