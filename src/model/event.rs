//! What happens to an item or a run: the rows of the ledger, and all that an observer ever sees.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ItemNo, Phase, Service, Snapshot, Spent, Stamp, Status, TenantId};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The item it happened to; none for the run as a whole.
    pub item: Option<ItemNo>,
    /// When it was known.
    pub at: Stamp,
    /// What it was.
    pub what: What,
}

/// The kinds of things that happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A request is about to leave. Durable before it does.
    Intent {
        /// The `client-request-id` that it will carry.
        client_request_id: Uuid,
    },
    /// The request of the last intent was held back: it never left.
    Released,
    /// An attempt came to its end, with or without an answer.
    Reply(Box<Reply>),
    /// The object was read, and that was judged.
    Looked(Box<Look>),
    /// The item is settled without a reply or a reading of its own.
    Settled {
        /// What became of it.
        status: Status,
        /// Why, in words.
        reason: String,
    },
    /// Something became of the request for a second administrator's approval.
    Ruled(Ruling),
    /// Nothing more is sent for a tenant.
    TenantStopped(TenantStop),
    /// A token showed which app signs in to a tenant, where the configuration names none: the run is bound to it.
    Bound {
        /// The tenant.
        tenant: TenantId,
        /// The app.
        app: String,
    },
    /// The run was taken up again, by `resume` or `verify`: what stopped it before stops it no longer.
    Resumed {
        /// Who took it up.
        operator: String,
        /// Version of the program that did.
        tool: String,
        /// What it says to tenants that ask why, if that was given anew.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        justification: Option<String>,
    },
    /// The run came to its end.
    Ended {
        /// What ended it before its time, if anything did.
        stopped_by: Option<StoppedBy>,
        /// Where the time went since it began or was taken up again.
        #[serde(default, skip_serializing_if = "is_nothing")]
        spent: Box<Spent>,
    },
}

fn is_nothing(spent: &Spent) -> bool {
    *spent == Spent::default()
}

impl What {
    /// The name in the ledger.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Intent { .. } => "intent",
            Self::Released => "released",
            Self::Reply(_) => "reply",
            Self::Looked(_) => "looked",
            Self::Settled { .. } => "settled",
            Self::Ruled(_) => "ruled",
            Self::TenantStopped(_) => "tenant_stopped",
            Self::Bound { .. } => "bound",
            Self::Resumed { .. } => "resumed",
            Self::Ended { .. } => "ended",
        }
    }
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

/// How far a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    /// It never left: refused connection, name not found, TLS, no token.
    NotSent,
    /// It may have had its effect: no answer, a 408, a 5xx, or an answer that is none.
    Maybe,
    /// The service answered, and said that it did nothing or what it did.
    Answered,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// How far the request got.
    pub reached: Reached,
    /// When it left.
    pub sent_at: Stamp,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The most specific error code that the answer named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The service's words, or those of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The service's `request-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Intune's code for a request that waits for a second administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_code: Option<String>,
    /// What follows from it.
    pub then: Then,
}

/// What follows from a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The item is done with.
    Settled {
        /// What became of it.
        status: Status,
        /// Why, in words; empty where the status says it all.
        reason: String,
    },
    /// It had no effect and is sent again.
    Again,
    /// It had no effect, because of its token, and is sent again with a fresh one.
    SignIn,
    /// It had no effect, does not use up an attempt, and is sent again.
    Throttled,
    /// It had no effect, does not use up an attempt, and is sent again with a justification for it.
    Justify,
    /// The service said 204. Reading back is to show it.
    Confirm,
    /// It may have had an effect: the object is looked at before anything else.
    Look {
        /// What becomes of the item if it is shown to have had none; none: it is sent again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<Outcome>,
    },
}

/// What became of a request for a second administrator's approval, as far as the item goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// It was approved: it may be sent with the code that it was given.
    Granted,
    /// Somebody else may have done it: only a reading can tell.
    Look {
        /// What becomes of the item if it is shown to be as it was; none: it is sent anew.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<Outcome>,
    },
}

/// What became of an item, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What became of it.
    pub status: Status,
    /// Why, in words; empty where the status says it all.
    pub reason: String,
}

impl Outcome {
    /// With a reason.
    pub fn new(status: Status, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

/// A reading of an object, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// What it showed; none: the service does not know the id (404).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Snapshot>,
    /// What follows.
    pub then: AfterLook,
}

/// What follows from a reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterLook {
    /// Nothing was sent yet: later readings are judged against this one.
    Pin,
    /// It is that of a sealed plan: this run reads the object before it is sent, and judges that against this one.
    Planned,
    /// It does not tell, or not alone: the object is looked at again.
    Again,
    /// Shown to be as it was: the item may be sent again.
    Untouched,
    /// A VPP action is at work: it is followed, nothing is sent.
    Follow,
    /// The item is done with.
    Settled(Outcome),
}

/// Why nothing more is sent for a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantStop {
    /// The tenant.
    pub tenant: TenantId,
    /// Only this service of it; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// What kind of reason.
    pub cause: StopCause,
    /// The reason in words.
    pub message: String,
}

/// Kinds of reasons to stop a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// No token is to be had, or fresh tokens are refused.
    SignIn,
    /// The app may not do this.
    Permission,
    /// It asks why a request is made, and nobody has said so.
    Justification,
    /// The service asked for a longer pause than allowed.
    MaxPause,
}

/// What ended a run before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// Too many failures.
    Breaker,
    /// One of the first items was not shown to be revoked.
    Canary,
    /// The run's time was up.
    Deadline,
    /// A signal.
    Interrupted,
    /// The ledger could not be written.
    Ledger,
    /// A fault of this program.
    Bug,
}

impl StopCause {
    /// The name in `summary.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Permission => "permission",
            Self::Justification => "justification",
            Self::MaxPause => "max_pause",
        }
    }
}

impl StoppedBy {
    /// The name in `summary.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Canary => "canary",
            Self::Deadline => "deadline",
            Self::Interrupted => "interrupted",
            Self::Ledger => "ledger",
            Self::Bug => "bug",
        }
    }

    /// Why an item that was not sent was not sent.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Breaker => "too many failures: the run stopped before its turn",
            Self::Canary => "a canary was not shown to be revoked: the run stopped before its turn",
            Self::Deadline => "the deadline passed before its turn",
            Self::Interrupted => "the run was interrupted before its turn",
            Self::Ledger => "the ledger could not be written; nothing was sent without it",
            Self::Bug => "the run ended through a fault of bulk-revoke before its turn",
        }
    }
}
