//! What the events so far say of an item: the one transition function of running, replay and report.

use uuid::Uuid;

use super::{AfterLook, Event, IllegalEvent, Look, Outcome, Reached, Reply, Ruling, Snapshot, Stamp, Status, Then, What};

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
    /// Whether that is the pin of a sealed plan: this run has not read the object itself yet.
    pub by_plan: bool,
    /// What the service calls the object.
    pub name: Option<String>,
    /// Attempts that count: every one but the throttled.
    pub attempts: u32,
    /// Answers that only said "later".
    pub throttled: u32,
    /// Answers that only asked why.
    pub asked: u32,
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
    /// Of the last request that was queued for a second administrator.
    pub approval_code: Option<String>,
    /// Whether that was granted, and nothing has come of it yet.
    pub granted: bool,
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
            (What::Ruled(ruling), Phase::Settled(Status::AwaitingApproval)) => self.ruled(ruling),
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

    /// Whether this run has not read the object yet.
    pub const fn is_unread(&self) -> bool {
        self.pin.is_none() || self.by_plan
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
            Then::Justify => {
                // A code that is asked for a reason is good for nothing any more.
                (self.asked, self.granted, self.approval_code) = (self.asked + 1, false, None);
            }
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
        match &reply.then {
            Then::Settled { status, reason } => {
                // A code is good for the request that it was given to until another is given; what is queued under an
                // unknown one may be that very request.
                if *status != Status::AwaitingApproval || reply.approval_code.is_some() {
                    self.approval_code.clone_from(&reply.approval_code);
                }
                self.granted = false;
                self.settle(*status, reason, at);
            }
            Then::Again | Then::SignIn | Then::Throttled | Then::Justify => self.phase = Phase::Ready,
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
            (AfterLook::Planned, phase) => matches!(phase, Phase::Ready) && self.pin.is_none() && !self.doubted,
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
            AfterLook::Pin | AfterLook::Planned => {
                self.pin = look.reading.clone().map(Box::new);
                self.by_plan = look.then == AfterLook::Planned;
            }
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
            AfterLook::Settled(Outcome { status, reason }) => {
                // What needs no request is told of as it was found.
                if self.pin.is_none() && self.first_sent_at().is_none() {
                    self.pin = look.reading.clone().map(Box::new);
                }
                self.settle(*status, reason, at);
            }
        }
    }

    fn ruled(&mut self, ruling: &Ruling) {
        match ruling {
            Ruling::Granted => (self.granted, self.phase) = (true, Phase::Ready),
            Ruling::Look { otherwise } => {
                (self.doubted, self.lost, self.phase) = (true, true, Phase::InDoubt);
                self.otherwise.clone_from(otherwise);
            }
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
mod tests;
