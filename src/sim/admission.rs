//! Who may come in: the bearer, the method, the length, the body, the permissions and the quota, in the
//! order in which Graph asks for them.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, Request};

use super::answer::Answer;
use super::context::Context;
use super::dice::{Dice, Topic};
use super::fault::Call;
use super::options::Collection;
use super::poll;
use super::quota::{Account, Department, Quota};
use super::revoke;
use super::service::Service;
use super::throttle::{self, RetryAfter};
use super::token::{Claims, Flaw};

/// Any one of these application permissions allows reading the tenant's own record (Graph, list organizations).
const ORGANIZATION_ROLES: [&str; 4] =
    ["Organization.Read.All", "Organization.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];

/// Who asks.
pub(super) struct Visitor {
    pub(super) claims: Claims,
    pub(super) tenant: u16,
}

impl Service {
    /// Who asks, by a bearer that this service issued.
    pub(super) fn visitor(&mut self, context: &Context, origin: &str, request: &Request<Bytes>) -> Result<Visitor, Answer> {
        let bearer = text_header(request, "authorization")
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let claims = match bearer {
            None => Err(Flaw::Missing),
            Some((_, token)) => self.mint.check(token.trim(), origin, context.at),
        };
        let claims = claims.and_then(|claims| if self.dead.contains(&claims.uti) { Err(Flaw::Expired) } else { Ok(claims) });
        let claims = claims.map_err(|flaw| context.unauthenticated(flaw.message()))?;
        if let Some(since) = self.challenged.get(&claims.uti) {
            return Err(context.challenged(*since));
        }
        let tenant =
            *self.names.get(&claims.tenant.to_string()).ok_or_else(|| context.unauthenticated(Flaw::Foreign.message()))?;
        if let Some(entry) = self.log.entry(context.ordinal) {
            (entry.bearer, entry.tenant, entry.app) = (true, Some(claims.tenant), Some(claims.app));
        }
        Ok(Visitor { claims, tenant })
    }

    /// Method, length, body and permissions.
    pub(super) fn gate(
        &self,
        context: &Context,
        (call, collection): (Call, Option<Collection>),
        visitor: &Visitor,
        request: &Request<Bytes>,
    ) -> Result<(), Answer> {
        let method = if call == Call::Revoke { Method::POST } else { Method::GET };
        if *request.method() != method {
            let message = format!("The method '{}' is not allowed here.", request.method());
            return Err(context.graph(405, "Request_BadRequest", &message).with("allow", method.as_str()));
        }
        let has = |header: &str| request.headers().contains_key(header);
        if call == Call::Revoke && !has("content-length") && !has("transfer-encoding") {
            return Err(Answer::text(411, "text/html; charset=us-ascii", "<h2>Length Required</h2>"));
        }
        let held = |wanted: &[&str]| visitor.claims.roles.iter().any(|role| wanted.contains(&role.as_str()));
        match (call, collection) {
            (Call::Revoke, Some(collection)) => {
                revoke::validate(context, collection, request)?;
                let roles = collection.write_roles();
                let may = visitor.claims.person.is_some() || !self.behaviour.delegated_only;
                if may && held(roles) { Ok(()) } else { Err(context.forbidden(roles)) }
            }
            (_, Some(collection)) => {
                let roles = collection.read_roles();
                if held(roles) { Ok(()) } else { Err(context.forbidden(roles)) }
            }
            (Call::Approvals, None) => {
                let open = self.behaviour.approval.as_ref().is_none_or(|policy| policy.polling);
                if open && held(&poll::ROLES) { Ok(()) } else { Err(context.forbidden(&poll::ROLES)) }
            }
            (_, None) if held(&ORGANIZATION_ROLES) => Ok(()),
            (_, None) => {
                let message = "Insufficient privileges to complete the operation.";
                Err(context.graph(403, "Authorization_RequestDenied", message))
            }
        }
    }

    /// Counts the request against all limits that apply to it.
    pub(super) fn admit(
        &mut self,
        now: Duration,
        context: &Context,
        (call, collection): (Call, Option<Collection>),
        visitor: &Visitor,
    ) -> Result<(), Answer> {
        let rules = &self.behaviour;
        let department = match collection {
            Some(Collection::AndroidForWork | Collection::AndroidDeviceOwner) => Department::Android,
            Some(Collection::VppTokens) => Department::Vpp,
            None => Department::Directory,
        };
        let (tenant, app) = (visitor.tenant, Some(visitor.claims.app));
        let halved = rules.halved_after.is_some_and(|after| now >= after);
        let current = |quota: Quota| if halved { quota.halved() } else { quota };
        let mut limits: Vec<(Account, Quota)> = Vec::with_capacity(4);
        let mut limit = |app, writes, quota: Option<Quota>| {
            limits.extend(quota.map(|quota| ((tenant, app, department, writes), quota)));
        };
        if call == Call::Revoke {
            limit(app, true, rules.hidden_write_quota.or(rules.write_quota).map(current));
            limit(None, true, rules.write_quota.map(|quota| current(quota.times(rules.tenant_factor))));
        }
        limit(app, false, rules.request_quota);
        limit(None, false, rules.request_quota.map(|quota| quota.times(rules.tenant_factor)));
        let admitted = self.ledger.admit(now, &limits, rules.throttled_counts);
        admitted.map_err(|wait| {
            let mut dice = Dice::new(self.seed, Topic::Throttle).nth(context.ordinal);
            let shape = dice.pick(&rules.retry_after, RetryAfter::Integer);
            throttle::throttled(context, shape, wait)
        })
    }
}

/// A header that is text.
pub(super) fn text_header<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The origin by which the service was called: this machine by number or by name, nothing else.
pub(super) fn origin(request: &Request<Bytes>) -> Option<String> {
    let host = text_header(request, "host")?;
    let name = host.split(':').next().unwrap_or_default();
    ["127.0.0.1", "localhost"].contains(&name).then(|| format!("http://{host}"))
}
