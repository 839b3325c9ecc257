//! What can go wrong with one exchange, how likely it is, and scripted rules that make it happen.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::answer::Answer;
use super::options::Collection;
use super::span::Span;
use super::throttle::RetryAfter;

/// When the revocation that a request asked for really happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Never: the request was lost on its way in.
    Never,
    /// Before the exchange ends: only the answer is lost.
    Before,
    /// This long after the exchange ended: the front end gave up, the work goes on.
    Later(Span),
}

/// How the exchange ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As if nothing were wrong. In a rule it shields a request from the faults by chance.
    None,
    /// With a server error, perhaps with a `Retry-After` of one to five seconds.
    Status {
        /// 500, 502, 503, 504 or any other.
        status: u16,
        /// The shape of the header, if there is one.
        retry_after: Option<RetryAfter>,
    },
    /// With 429 although the quota is not used up; the wait is one to five seconds (Entra: the
    /// behaviour's `token_retry_after`, as plain text).
    Throttle(RetryAfter),
    /// With 200 and an HTML page of something between client and service.
    Page,
    /// As it should, this much later.
    Slow(Span),
    /// Never: the connection stays open and silent.
    Hang,
    /// The connection is closed without a byte of answer.
    Cut,
    /// With 401; the service refuses this bearer from now on.
    TokenExpired,
    /// With 401 and a claims challenge (continuous access evaluation), and so is every request with this bearer from now on.
    Claims,
    /// With exactly this answer, for instance a pending approval.
    Canned(Canned),
}

/// A complete answer prepared by a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canned(Arc<Answer>);

impl Canned {
    /// The prepared answer; the service adds its common headers.
    pub fn new(answer: Answer) -> Self {
        Self(Arc::new(answer))
    }

    pub(super) fn answer(&self) -> Answer {
        Answer::clone(&self.0)
    }
}

/// One way an exchange fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How the exchange ends.
    pub kind: Kind,
    /// When the effect happens. Reads have none; `Kind::None` and `Kind::Slow` always have it before.
    pub effect: Effect,
}

impl Fault {
    /// A fault of this kind without any effect.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, effect: Effect::Never }
    }

    /// A server error without `Retry-After` and without any effect.
    pub const fn status(status: u16) -> Self {
        Self::new(Kind::Status { status, retry_after: None })
    }

    /// An answer prepared by a test, without any effect.
    pub fn canned(answer: Answer) -> Self {
        Self::new(Kind::Canned(Canned::new(answer)))
    }

    /// The same, but the effect has happened.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Self { effect: Effect::Before, ..self }
    }

    /// The same, and the effect happens so much later.
    #[must_use]
    pub fn with_late_effect(self, by: Span) -> Self {
        Self { effect: Effect::Later(by), ..self }
    }

    /// The same with a chance in `0.0..=1.0`.
    pub fn at(self, chance: f64) -> Odds {
        Odds { fault: self, chance }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::None => return f.write_str("none"),
            Kind::Slow(_) => return f.write_str("slow"),
            Kind::Status { status, .. } => write!(f, "{status}")?,
            Kind::Throttle(_) => f.write_str("throttle")?,
            Kind::Page => f.write_str("page")?,
            Kind::Hang => f.write_str("hang")?,
            Kind::Cut => f.write_str("cut")?,
            Kind::TokenExpired => f.write_str("token expired")?,
            Kind::Claims => f.write_str("claims")?,
            Kind::Canned(_) => f.write_str("canned")?,
        }
        f.write_str(match self.effect {
            Effect::Never => "",
            Effect::Before => " after effect",
            Effect::Later(_) => " with late effect",
        })
    }
}

/// A fault and its chance.
#[derive(Clone, Debug, PartialEq)]
pub struct Odds {
    /// The fault.
    pub fault: Fault,
    /// Its probability; those of one list add up, beyond 1.0 the last ones never come.
    pub chance: f64,
}

/// The faults of one list share one throw.
pub(super) fn draw(odds: &[Odds], throw: f64) -> Option<&Fault> {
    let mut sum = 0.0;
    odds.iter()
        .find(|one| {
            sum += one.chance;
            throw < sum
        })
        .map(|one| &one.fault)
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// A token (Entra).
    Token,
    /// A device code (Entra).
    DeviceCode,
    /// The metadata of a tenant's authority (Entra).
    Discovery,
    /// A token of the platform's: managed identity, or a pipeline's own.
    Platform,
    /// The tenant's own record.
    Organization,
    /// A page of a collection.
    List,
    /// One object.
    Get,
    /// The action that revokes (the only POST to Graph).
    Revoke,
    /// A page of the requests for an approval, or one of them.
    Approvals,
}

/// A scripted fault. Every condition that is given must hold; the first rule that matches wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Only this kind of request.
    pub call: Option<Call>,
    /// Only in this collection.
    pub collection: Option<Collection>,
    /// Only this object.
    pub id: Option<Uuid>,
    /// Only the nth such request for that object (1 is the first; for calls without an object: of that call
    /// and collection). Counted are requests that passed the bearer check, validation and the quota.
    pub nth: Option<u32>,
    /// How often the rule may be used; `None` is without end.
    pub times: Option<u32>,
    /// What happens.
    pub fault: Fault,
}

impl Rule {
    /// Matches everything, always.
    pub const fn always(fault: Fault) -> Self {
        Self { call: None, collection: None, id: None, nth: None, times: None, fault }
    }

    /// Matches every request of this kind.
    pub const fn on(call: Call, fault: Fault) -> Self {
        Self { call: Some(call), collection: None, id: None, nth: None, times: None, fault }
    }

    /// Only this object.
    #[must_use]
    pub fn of(self, id: Uuid) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Only in this collection.
    #[must_use]
    pub fn within(self, collection: Collection) -> Self {
        Self { collection: Some(collection), ..self }
    }

    /// Only the nth such request for that object.
    #[must_use]
    pub fn nth(self, nth: u32) -> Self {
        Self { nth: Some(nth), ..self }
    }

    /// At most so often.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    pub(super) fn matches(&self, target: &Target) -> bool {
        self.call.is_none_or(|call| call == target.call)
            && self.collection.is_none_or(|collection| Some(collection) == target.collection)
            && self.id.is_none_or(|id| Some(id) == target.id)
            && self.nth.is_none_or(|nth| nth == target.nth)
    }
}

/// What a request is about, as rules and dice see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) tenant: u16,
    pub(super) call: Call,
    pub(super) collection: Option<Collection>,
    pub(super) id: Option<Uuid>,
    /// Which of the requests for the same thing it is; 0 stands for all of them.
    pub(super) nth: u32,
}

impl Target {
    /// A call as such.
    pub(super) const fn new(tenant: u16, call: Call) -> Self {
        Self { tenant, call, collection: None, id: None, nth: 0 }
    }
}
