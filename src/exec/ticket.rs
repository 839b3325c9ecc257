//! What the scheduler hands to the loop.

use super::held::Held;
use super::port::NextPage;
use crate::clock::Moment;
use crate::model::{Kind, TenantId};

/// An item whose turn has come, to be sent or to be read.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) lane: usize,
    pub(super) held: Held,
}

/// A page whose turn has come.
#[derive(Debug, Clone)]
pub(super) struct PageTicket {
    pub(super) lane: usize,
    pub(super) tenant: TenantId,
    pub(super) kind: Kind,
    pub(super) page: Option<NextPage>,
}

/// What the loop is to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this.
    Send(Ticket),
    /// Read this.
    Look(Ticket),
    /// Read this page of a list.
    List(PageTicket),
    /// Get a token for this tenant; until then its items wait.
    SignIn(TenantId),
    /// The time for reading back is over in this lane.
    Expire(usize),
    /// Nothing may go before this moment.
    WaitUntil(Moment),
    /// Nothing may go before a reply comes.
    AwaitReply,
    /// Nothing is left.
    Done,
}
