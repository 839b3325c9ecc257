//! What a request says to a tenant in which a second administrator decides. Pure.

use super::policy::Justification;
use super::port::Plea;
use super::schedule::Scheduler;
use super::tenant::Access;
use super::ticket::Ticket;
use crate::model::{StopCause, TenantId, TenantStop};

impl Scheduler {
    /// What this request is to say. A code that was given for it says more than any reason.
    pub(super) fn plea(&mut self, ticket: &mut Ticket) -> Plea {
        let progress = &ticket.held.work.progress;
        let asks_why = self.tenants[self.lanes[ticket.lane].tenant].asks_why;
        let plea = match (progress.approval_code.clone().filter(|_| progress.granted), self.policy.justification) {
            (Some(code), _) => Plea::Code(code),
            (None, Justification::Always) => Plea::Justification,
            (None, Justification::Asked) if asks_why => Plea::Justification,
            (None, Justification::Asked | Justification::None) => Plea::None,
        };
        self.lanes[ticket.lane].is_picked |= matches!(plea, Plea::Code(_));
        ticket.held.pleaded = plea == Plea::Justification;
        plea
    }

    /// The tenants that have asked.
    pub(super) fn asks_why(&self) -> Vec<TenantId> {
        self.tenants.iter().filter(|tenant| tenant.asks_why).map(|tenant| tenant.id).collect()
    }

    /// A tenant wants to know why requests are made: from now on they say it. If it cannot be said, none is made any
    /// more; what was sent is still read back.
    pub(super) fn asked_why(&mut self, index: usize) -> Option<TenantStop> {
        let tenant = &mut self.tenants[self.lanes[index].tenant];
        tenant.asks_why = true;
        if self.policy.justification != Justification::None || tenant.access != Access::Open {
            return None;
        }
        tenant.access = Access::ReadOnly;
        let message = "a second administrator decides here, and is to be told why: give --justification TEXT";
        let stop = TenantStop { tenant: tenant.id, service: None, cause: StopCause::Justification, message: message.to_owned() };
        self.tenant_stops.push(stop.clone());
        Some(stop)
    }
}
