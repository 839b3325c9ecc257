//! What the executor asks of the world: a transport, a journal, an observer; and the language of verdicts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::model::{Event, Item, ItemNo, Kind, Lane, ObjectId, Reached, Snapshot, Stamp, Status, TenantId, Work};

/// One exchange that is about to happen.
#[derive(Debug, Clone)]
pub struct Order {
    /// What to revoke.
    pub item: Item,
    /// The `client-request-id` that the durable intent names.
    pub client_request_id: Uuid,
    /// What it says to a tenant in which a second administrator decides.
    pub plea: Plea,
}

/// What a request says to Multi Admin Approval.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Plea {
    /// Nothing.
    #[default]
    None,
    /// Why it is made.
    Justification,
    /// That it was approved, by this code.
    Code(String),
}

/// What an answer means for the item and for the run.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Final for the item.
    Settled {
        /// What became of it.
        status: Status,
        /// Why, in words; empty where the status says it all.
        reason: String,
    },
    /// Final for the item, and a hint that the app may not do this at all.
    Denied {
        /// Why, in words.
        reason: String,
    },
    /// Not final. What may follow depends on how far the request got.
    Again {
        /// How far it got.
        reached: Reached,
        /// The service's wish for this item alone.
        after: Option<Duration>,
    },
    /// The service wants everybody to wait. It had no effect.
    Throttled {
        /// How long, if it said so.
        after: Option<Duration>,
    },
    /// The token was refused; the next attempt is made with a fresh one. It had no effect.
    Unauthorized,
    /// A second administrator decides on such requests, and this one does not say why it is made. It had no effect.
    NeedsApproval {
        /// The service's wish, in words.
        reason: String,
    },
    /// There was no token: nothing left.
    NoToken,
    /// As things stand, no request for this tenant will fare otherwise. It had no effect.
    StopTenant {
        /// Whether it left at all.
        reached: Reached,
        /// Why, in words.
        reason: String,
    },
}

/// What came back from one exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it means.
    pub verdict: Verdict,
    /// Which token it was sent with: a later token has a higher number.
    pub token: Option<u64>,
    /// HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// The most specific error code named.
    pub error_code: Option<String>,
    /// The service's words, or those of the network.
    pub message: Option<String>,
    /// The service's `request-id`.
    pub request_id: Option<String>,
    /// Intune's code for a request that waits for a second administrator.
    pub approval_code: Option<String>,
}

/// What a read brought, or why it brought nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight<T> {
    /// It was answered.
    Shown(T),
    /// The service does not know it (404).
    Gone,
    /// The app may not read it.
    Denied {
        /// Why, in words.
        reason: String,
    },
    /// Reading it will never work.
    Refused {
        /// Why, in words.
        reason: String,
    },
    /// It may work later.
    Again {
        /// Whether the service was reached at all.
        reached: bool,
        /// The service's wish.
        after: Option<Duration>,
        /// What went wrong, in words.
        message: String,
    },
    /// The service wants everybody to wait.
    Throttled {
        /// How long, if it said so.
        after: Option<Duration>,
    },
    /// The token was refused; the next attempt is made with a fresh one.
    Unauthorized {
        /// The service's words.
        reason: Option<String>,
    },
    /// There was no token: nothing left.
    NoToken,
    /// As things stand, no request for this tenant will fare otherwise.
    StopTenant {
        /// Why, in words.
        reason: String,
    },
}

/// What came back from one read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<T> {
    /// What it brought.
    pub sight: Sight<T>,
    /// Which token it was sent with: a later token has a higher number.
    pub token: Option<u64>,
}

/// Where the next page of a list is: the service's own words, which nobody reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextPage(pub String);

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// What is on it.
    pub objects: Vec<(ObjectId, Snapshot)>,
    /// What is on it, and shown too little of to be judged.
    pub partial: Vec<(ObjectId, Snapshot)>,
    /// How many objects on it have no id that could be asked for.
    pub nameless: usize,
    /// Where the next one is, if there is one.
    pub next: Option<NextPage>,
}

/// Speaks to the service. One call is one exchange: it does not retry, sleep or count.
pub trait Transport: Send + Sync + 'static {
    /// Whether a request for this tenant could leave at once. If not, [`Self::sign_in`] is asked first, so that
    /// no request waits for a token between the moment it was allowed to go and the moment it goes.
    fn is_ready(&self, tenant: TenantId) -> bool;

    /// Gets ready for a tenant. The error says what that means for it.
    fn sign_in(&self, tenant: TenantId) -> impl Future<Output = Result<(), NoToken>> + Send;

    /// Sends one revocation.
    fn send(&self, order: Order) -> impl Future<Output = Answer> + Send;

    /// Reads one object.
    fn look(&self, item: Item) -> impl Future<Output = Reading<Snapshot>> + Send;

    /// Reads a page of a tenant's objects of a kind: the first, or the one that the last page named.
    fn list(&self, tenant: TenantId, kind: Kind, page: Option<NextPage>) -> impl Future<Output = Reading<Page>> + Send;
}

/// No token is to be had for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoToken {
    /// Why, in words.
    pub message: String,
    /// Whether a later try may work, and when it may be made; none: never.
    pub retry: Option<Duration>,
}

/// The journal could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JournalError(pub String);

/// Makes events durable and hands out the items of a run.
pub trait Journal {
    /// Returns once all events are durable, in this order.
    fn commit(&mut self, events: Arc<Vec<Event>>) -> impl Future<Output = Result<(), JournalError>>;

    /// The items of a lane that are of a kind and name one of these objects, with what the ledger knows of them.
    fn find(&mut self, lane: Lane, kind: Kind, ids: Vec<ObjectId>) -> impl Future<Output = Result<Vec<Work>, JournalError>>;

    /// The next items of a lane, in order, after the given number, with what the ledger knows of them.
    fn page(&mut self, lane: Lane, after: ItemNo, limit: usize) -> impl Future<Output = Result<Vec<Work>, JournalError>>;
}

/// How a run is doing, for people who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pulse {
    /// When this was so.
    pub at: Stamp,
    /// If everything waits because the service asked for it: how long until the first goes on.
    pub pause_left: Option<Duration>,
    /// Whether a pause is our own, because the service cannot be reached.
    pub unreachable: bool,
    /// How long until the next request may go, if none may go now and none is under way.
    pub next_in: Option<Duration>,
    /// How much of the run is still to be sent.
    pub left: u64,
    /// How much was sent and is being read back.
    pub reading: u64,
    /// How long sending takes at the quota that was learned and at the user's rate, after the pauses; none while that is
    /// not known, and where nothing is to be sent.
    pub eta: Option<Duration>,
}

/// Sees events after they are durable. It cannot influence the run.
pub trait Observer {
    /// Something happened.
    fn observe(&mut self, events: &[Event], pulse: &Pulse);
}
