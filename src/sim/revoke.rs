//! The action itself: what the service refuses before it does anything, and what happens when a
//! revocation takes effect.

use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use serde_json::Value;
use uuid::Uuid;

use super::answer::Answer;
use super::context::Context;
use super::dice::{Dice, Topic};
use super::handshake::Submission;
use super::options::Collection;
use super::service::Service;
use super::store::{Place, Revoked, Standing, millis};
use super::vpp::{Action, Meanwhile};

/// What revoking an Android token that is no longer active may be told. Which it is, is not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// 204, as the first time.
    Accepted,
    /// 400.
    BadRequest,
    /// 409.
    Conflict,
}

impl Again {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accepted, Self::BadRequest, Self::Conflict];
}

/// A revocation that the service took in and that has yet to take effect, or to be queued for approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub(super) context: Context,
    pub(super) tenant: u16,
    pub(super) collection: Collection,
    pub(super) id: Uuid,
    /// What it brings where it needs an approval.
    pub(super) submission: Option<Submission>,
}

/// Refuses what is no request to revoke at all.
pub(super) fn validate(context: &Context, collection: Collection, request: &Request<Bytes>) -> Result<(), Answer> {
    match collection {
        Collection::AndroidForWork | Collection::AndroidDeviceOwner if request.body().is_empty() => Ok(()),
        Collection::AndroidForWork | Collection::AndroidDeviceOwner => {
            Err(context.graph(400, "BadRequest", "The action 'revokeToken' does not take a request body."))
        }
        Collection::VppTokens => {
            let media_type = request.headers().get("content-type").and_then(|value| value.to_str().ok());
            let is_json = media_type.is_some_and(|value| {
                value.split(';').next().is_some_and(|base| base.trim().eq_ignore_ascii_case("application/json"))
            });
            if is_json { parameters(request.body()) } else { Err("The content type must be application/json.".to_owned()) }
                .map_err(|message| context.graph(400, "BadRequest", &message))
        }
    }
}

/// Both parameters must be there, both Booleans, and nothing else.
fn parameters(body: &[u8]) -> Result<(), String> {
    let Ok(Value::Object(given)) = serde_json::from_slice(body) else {
        return Err("Unable to read JSON request payload.".to_owned());
    };
    let expected = ["notifyManagedDevices", "revokeUntrackedLicenses"];
    if let Some(name) = expected.iter().find(|name| !given.get(**name).is_some_and(Value::is_boolean)) {
        return Err(format!("The parameter '{name}' is missing or not of the type 'Edm.Boolean'."));
    }
    given
        .keys()
        .find(|name| !expected.contains(&name.as_str()))
        .map_or(Ok(()), |name| Err(format!("The parameter '{name}' is not a parameter of the operation 'revokeLicenses'.")))
}

impl Service {
    /// Carries out a revocation: queues it or changes the object, and gives the answer a client hears if all goes well.
    pub fn perform(&mut self, now: Duration, revocation: &Revocation) -> Answer {
        let Revocation { context, tenant, collection, id, submission } = revocation;
        if let Some(Err(held)) = submission.as_ref().map(|submission| self.hold(now, revocation, submission)) {
            return context.dress(held);
        }
        let answer = match self.store.place(*tenant, *collection, *id) {
            Some(place) => self.revoke(now, place, revocation),
            None => None,
        };
        let answer = answer.unwrap_or_else(|| not_found(context, *collection, *id));
        if let Some(submission) = submission.as_ref().filter(|_| answer.status == 204) {
            self.complete(now, *tenant, submission);
        }
        context.dress(answer)
    }

    /// `None` where the object is unknown.
    fn revoke(&mut self, now: Duration, place: Place, revocation: &Revocation) -> Option<Answer> {
        let Revocation { context, collection, id, .. } = revocation;
        let record = self.store.known(place)?;
        let (standing, inactive) = (record.standing, record.revoked.is_some() || record.standing == Standing::Expired);
        if standing == Standing::Forbidden {
            return Some(context.forbidden(collection.write_roles()));
        }
        if *collection == Collection::VppTokens {
            return Some(self.revoke_licenses(now, place, revocation, standing == Standing::Expired));
        }
        let again = Dice::new(self.seed, Topic::Again).about(*id).pick(&self.behaviour.again, Again::Accepted);
        if inactive && again != Again::Accepted {
            let (status, code) = if again == Again::BadRequest { (400, "BadRequest") } else { (409, "Conflict") };
            return Some(context.intune(status, code, "The enrollment token is not active.", None));
        }
        self.take_effect(now, place, context);
        Some(Answer::empty(204))
    }

    fn revoke_licenses(&mut self, now: Duration, place: Place, revocation: &Revocation, expired: bool) -> Answer {
        let Revocation { context, id, .. } = revocation;
        let free = self.store.actions(place).iter().map(|action| action.ended).max().unwrap_or(Duration::ZERO);
        if self.store.actions(place).iter().any(|action| action.at_work(now)) {
            let mut dice = Dice::new(self.seed, Topic::Again).about(*id);
            match dice.pick(&self.behaviour.vpp.meanwhile, Meanwhile::Merged) {
                Meanwhile::Merged => return Answer::empty(204),
                Meanwhile::Rejected => {
                    return context.intune(409, "Conflict", "A revocation of this token is in progress.", None);
                }
                Meanwhile::Queued => {}
            }
        }
        let (ordinal, lag) = self.take_effect(now, place, context);
        let dice = Dice::new(self.seed, Topic::Action).about(*id).nth(u64::from(ordinal));
        let action = Action::new(&self.behaviour.vpp, (now, free, lag), expired, dice);
        self.store.actions_mut(place).push(action);
        Answer::empty(204)
    }

    /// Notes the effect in the object and the log; its number, and how late readers see it.
    fn take_effect(&mut self, now: Duration, place: Place, context: &Context) -> (u16, Duration) {
        self.log.effect(context.ordinal);
        let Some(record) = self.store.record_mut(place) else {
            return (0, Duration::ZERO);
        };
        record.effects = record.effects.saturating_add(1);
        let mut dice = Dice::new(self.seed, Topic::Visibility).about(record.id).nth(u64::from(record.effects));
        let rules = self.behaviour.visibility;
        let lag = if dice.chance(rules.late) { dice.within(rules.lag) } else { Duration::ZERO };
        record.revoked.get_or_insert(Revoked { at_ms: millis(now), seen_ms: millis(now + lag) });
        (record.effects, lag)
    }
}

/// Intune's answer for an id it does not know in this tenant.
pub(super) fn not_found(context: &Context, collection: Collection, id: Uuid) -> Answer {
    context.intune(404, "ResourceNotFound", &format!("{collection} '{id}' not found"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(collection: Collection, media_type: Option<&str>, body: &'static str) -> u16 {
        let mut request = Request::post("/");
        if let Some(value) = media_type {
            request = request.header("content-type", value);
        }
        let request = request.body(Bytes::from(body)).unwrap();
        validate(&Context::for_tests(), collection, &request).map_or_else(|answer| answer.status, |()| 204)
    }

    #[test]
    fn revoke_token_takes_no_body() {
        for collection in [Collection::AndroidForWork, Collection::AndroidDeviceOwner] {
            assert_eq!(validated(collection, None, ""), 204);
            assert_eq!(validated(collection, Some("application/json"), "{}"), 400);
        }
    }

    #[test]
    fn revoke_licenses_takes_exactly_its_two_booleans_as_json() {
        let good = r#"{"notifyManagedDevices":true,"revokeUntrackedLicenses":false}"#;
        let json = Some("application/json; charset=utf-8");
        assert_eq!(validated(Collection::VppTokens, json, good), 204);
        assert_eq!(validated(Collection::VppTokens, None, good), 400);
        for bad in [
            "",
            "{}",
            r#"{"notifyManagedDevices":true}"#,
            r#"{"notifyManagedDevices":"true","revokeUntrackedLicenses":false}"#,
            r#"{"notifyManagedDevices":true,"revokeUntrackedLicenses":false,"more":1}"#,
        ] {
            assert_eq!(validated(Collection::VppTokens, json, bad), 400, "{bad}");
        }
    }
}
