//! The handshake of Multi Admin Approval: a protected write is filed with a justification, decided by a second
//! administrator, and finished by the same request with the code. What nobody documents is refused, not guessed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Request;
use hyper::header::HeaderValue;
use uuid::Uuid;

use super::admission::Visitor;
use super::answer::Answer;
use super::approval::{ApprovalRecord, ApprovalStatus, Decision};
use super::context::Context;
use super::dice::{Dice, Topic};
use super::options::Collection;
use super::pending::{Filed, Wording};
use super::revoke::Revocation;
use super::service::Service;

pub(super) const JUSTIFICATION: &str = "x-msft-approval-justification";
pub(super) const CODE: &str = "x-msft-approval-code";

/// The longest justification, decoded; counted as .NET counts characters, in UTF-16 units.
const LONGEST: usize = 1_024;

/// A protected write: what it brings for the approval, and how it is worded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submission {
    brings: Brings,
    wording: Wording,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Brings {
    Justification(String),
    Code(Uuid),
}

/// The bytes of a header, text or not.
pub(super) fn given<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a [u8]> {
    request.headers().get(name).map(HeaderValue::as_bytes)
}

/// The text of a justification, if it is what the service takes: Base64 of UTF-8.
pub(super) fn decoded(value: &[u8]) -> Option<String> {
    String::from_utf8(STANDARD.decode(value).ok()?).ok()
}

/// A justification, or what is wrong with it.
fn justification(value: &[u8]) -> Result<Brings, String> {
    let text = decoded(value).ok_or_else(|| format!("Header '{JUSTIFICATION}' must be Base64 encoded."))?;
    match text.encode_utf16().count() {
        0 => Err(format!("Header '{JUSTIFICATION}' must not be empty.")),
        1..=LONGEST => Ok(Brings::Justification(text)),
        _ => Err(format!("Decoded content of '{JUSTIFICATION}' header must be no greater than {LONGEST} characters")),
    }
}

fn code(value: &[u8]) -> Result<Brings, String> {
    let code = std::str::from_utf8(value).ok().filter(|text| text.len() == 36).and_then(|text| Uuid::parse_str(text).ok());
    code.map(Brings::Code).ok_or_else(|| "Invalid approval header format, expected GUID format".to_owned())
}

impl Service {
    /// What a write brings for the approval that its tenant asks for; `None` where no policy covers it.
    pub(super) fn submission(
        &self,
        context: &Context,
        collection: Collection,
        visitor: &Visitor,
        request: &Request<Bytes>,
    ) -> Result<Option<Submission>, Answer> {
        let policy = self.behaviour.approval.as_ref();
        let Some(policy) = policy.filter(|policy| policy.covers(visitor.claims.tenant, collection)) else {
            return Ok(None);
        };
        let brings = match (given(request, JUSTIFICATION), given(request, CODE)) {
            (None, None) => {
                let name = if policy.refusal == 403 { "Forbidden" } else { "BadRequest" };
                let message = format!("Header '{JUSTIFICATION}' is required to request approval for this operation.");
                return Err(context.intune(policy.refusal, name, &message, None));
            }
            (Some(_), Some(_)) => Err(format!("Headers '{JUSTIFICATION}' and '{CODE}' exclude each other.")),
            (Some(value), None) => justification(value),
            (None, Some(value)) => code(value),
        };
        let brings = brings.map_err(|message| context.intune(400, "BadRequest", &message, None))?;
        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let wording = Wording { app: visitor.claims.app, target, body: request.body().clone() };
        Ok(Some(Submission { brings, wording }))
    }

    /// Files a protected write, or holds its code against what was approved; `Ok` lets it go on.
    pub(super) fn hold(&mut self, now: Duration, revocation: &Revocation, submission: &Submission) -> Result<(), Answer> {
        match &submission.brings {
            Brings::Justification(text) => Err(self.file(now, revocation, &submission.wording, text)),
            Brings::Code(code) => self.recognise(now, revocation, &submission.wording, *code),
        }
    }

    /// Notes that an approved write took effect.
    pub(super) fn complete(&mut self, now: Duration, tenant: u16, submission: &Submission) {
        if let Brings::Code(code) = submission.brings
            && let Some(filed) = self.pending.get_mut(tenant, code)
        {
            filed.completed = Some(now);
        }
    }

    fn file(&mut self, now: Duration, revocation: &Revocation, wording: &Wording, text: &str) -> Answer {
        let Revocation { context, tenant, collection, id, .. } = revocation;
        let subject = (*tenant, *collection, *id);
        // Only the last one of an object can be active.
        if self.pending.of(subject).next_back().is_some_and(|filed| filed.status(now).is_active()) {
            return context.intune(409, "Conflict", "An active Approval Request already exists for this entity.", None);
        }
        let policy = self.behaviour.approval.clone().unwrap_or_default();
        let round = self.pending.of(subject).count() as u64;
        let dice = Dice::new(self.seed, Topic::Approval).nth(u64::from(*tenant)).nth(*collection as u64);
        let mut dice = dice.about(*id).nth(round);
        let code = dice.guid();
        self.pending.add(Filed {
            code,
            subject,
            wording: wording.clone(),
            justification: text.to_owned(),
            at: now,
            expires: now.saturating_add(dice.within(policy.expiry)),
            decided: (now.saturating_add(dice.within(policy.after)), dice.pick(&policy.decisions, Decision::Nothing)),
            completed: None,
        });
        let name = if policy.queued == 403 { "ApprovalRequired" } else { "BadRequest" };
        let message = format!(
            "Approval Required. Request Approval using the request ID returned as part of the {CODE} response header. {CODE}: {code}"
        );
        // Both were seen: Intune's own JSON in the message, and the bare words.
        let answer = if dice.chance(0.5) {
            context.intune(policy.queued, name, &message, None)
        } else {
            context.graph(policy.queued, name, &message)
        };
        answer.with(CODE, code.to_string())
    }

    /// A code serves who filed the request, for exactly that request, once, while it is approved.
    fn recognise(&self, now: Duration, revocation: &Revocation, wording: &Wording, code: Uuid) -> Result<(), Answer> {
        let context = &revocation.context;
        let refused = |message: String| Err(context.intune(400, "BadRequest", &message, None));
        let Some(filed) = self.pending.get(revocation.tenant, code) else {
            return refused(format!("Approval request '{code}' was not found."));
        };
        if filed.wording != *wording {
            // One lab saw no more than this for another body, another endpoint and another identity.
            return Err(context.intune(403, "Forbidden", "An error has occurred", None));
        }
        let status = filed.status(now);
        if status != ApprovalStatus::Approved {
            return refused(format!("Approval request '{code}' is not approved; its status is '{}'.", status.name()));
        }
        Ok(())
    }

    /// Every request for an approval so far.
    pub fn approvals(&self, now: Duration) -> Vec<ApprovalRecord> {
        let record = |filed: &Filed| {
            let (tenant, collection, id) = filed.subject;
            ApprovalRecord {
                code: filed.code,
                tenant: self.tenants.get(usize::from(tenant)).map_or(Uuid::nil(), |tenant| tenant.id),
                collection,
                id,
                status: filed.status(now),
                justification: filed.justification.clone(),
            }
        };
        self.pending.all().iter().map(record).collect()
    }

    /// Decides a request as the second administrator, or takes an approval back. False if nothing can become of it any more.
    pub fn decide_approval(&mut self, now: Duration, tenant: Uuid, code: Uuid, decision: Decision) -> bool {
        let tenant = self.names.get(&tenant.to_string()).copied();
        let filed = tenant.and_then(|tenant| self.pending.get_mut(tenant, code));
        let filed = filed.filter(|filed| filed.status(now).is_active());
        filed.map(|filed| filed.decided = (now, decision)).is_some()
    }

    /// Decides all requests of a tenant that wait; how many those were.
    pub fn decide_approvals(&mut self, now: Duration, tenant: Uuid, decision: Decision) -> usize {
        let tenant = self.names.get(&tenant.to_string()).copied();
        let waiting = self
            .pending
            .all_mut()
            .iter_mut()
            .filter(|filed| Some(filed.subject.0) == tenant && filed.status(now) == ApprovalStatus::NeedsApproval);
        waiting.map(|filed| filed.decided = (now, decision)).count()
    }
}
