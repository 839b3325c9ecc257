//! Judges every answer to a revocation. The only place that knows what a status means. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::fault::Fault;
use crate::auth::retry_after;
use crate::exec::{Answer, Verdict};
use crate::model::{Reached, Status};

/// What of an answer is judged.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) retry_after: Vec<String>,
    /// `x-msft-approval-code`: the request waits for a second administrator.
    pub(super) approval_code: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Judges an answer. `now` is the answer's own `Date`, or ours.
pub(super) fn judge(response: Response, now: Timestamp) -> Answer {
    let fault = if response.status == 204 { Fault::default() } else { Fault::read(&response.body, now) };
    let header = retry_after(response.retry_after.iter().map(String::as_str), Some(now));
    let after = header.max(fault.retry_after);
    let verdict = verdict(&response, &fault, after);
    Answer {
        verdict,
        token: None,
        http_status: Some(response.status),
        error_code: fault.code,
        message: fault.message,
        request_id: response.request_id,
        approval_code: response.approval_code,
    }
}

/// Statuses as Graph's error page documents them (concept docs of 2026-03); what it does not know may have
/// come from anywhere on the way, and says nothing about the effect.
fn verdict(response: &Response, fault: &Fault, after: Option<Duration>) -> Verdict {
    let again = |reached| Verdict::Again { reached, after };
    match response.status {
        204 => settled(Status::Accepted, ""),
        401 => Verdict::Unauthorized,
        403 => Verdict::Denied { reason: denied(fault) },
        404 => settled(Status::NotFound, "the service does not know this id"),
        409 if awaits_approval(fault) => waiting(),
        409 | 423 | 425 => again(Reached::Answered),
        412 if response.approval_code.is_some() => waiting(),
        429 => Verdict::Throttled { after },
        status @ (400 | 402 | 405 | 406 | 410..=413 | 415 | 416 | 422) => {
            settled(Status::Refused, &format!("the service refused the request ({status})"))
        }
        _ => again(Reached::Maybe),
    }
}

fn settled(status: Status, reason: &str) -> Verdict {
    Verdict::Settled { status, reason: reason.to_owned() }
}

fn waiting() -> Verdict {
    settled(Status::AwaitingApproval, "queued for a second administrator")
}

fn denied(fault: &Fault) -> String {
    if fault.scopes.is_empty() {
        "the service denied it (403): a licence, a role or a permission is missing".to_owned()
    } else {
        format!("the app lacks a permission; one of these is enough: {}", fault.scopes.join(", "))
    }
}

/// A second request for an object that waits for approval is answered 409 (Multi Admin Approval, field reports).
fn awaits_approval(fault: &Fault) -> bool {
    let said = fault.message.as_deref().unwrap_or_default().to_lowercase();
    said.contains("approval") && ["pending", "already", "exists"].iter().any(|word| said.contains(word))
}

/// A request that ended without an answer.
pub(super) fn unanswered(reached: Reached, message: String) -> Answer {
    Answer {
        verdict: Verdict::Again { reached, after: None },
        token: None,
        http_status: None,
        error_code: None,
        message: Some(message),
        request_id: None,
        approval_code: None,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn of(status: u16, body: &str) -> Verdict {
        judge(Response { status, body: body.as_bytes().to_vec(), ..Response::default() }, Timestamp::UNIX_EPOCH).verdict
    }

    const TABLE: &str = "\
100-203 again, reached Maybe
204-204 settled accepted
205-399 again, reached Maybe
400-400 settled refused
401-401 unauthorized
402-402 settled refused
403-403 denied
404-404 settled not_found
405-406 settled refused
407-408 again, reached Maybe
409-409 again, reached Answered
410-413 settled refused
414-414 again, reached Maybe
415-416 settled refused
417-421 again, reached Maybe
422-422 settled refused
423-423 again, reached Answered
424-424 again, reached Maybe
425-425 again, reached Answered
426-428 again, reached Maybe
429-429 throttled
430-599 again, reached Maybe
";

    /// One line per run of statuses that are judged alike.
    #[test]
    fn every_status_is_judged_as_the_table_says() {
        let mut table = String::new();
        let mut last: Option<(u16, u16, String)> = None;
        for status in 100..=599 {
            let verdict = match of(status, "") {
                Verdict::Settled { status, .. } => format!("settled {status}"),
                Verdict::Again { reached, .. } => format!("again, reached {reached:?}"),
                Verdict::Denied { .. } => "denied".to_owned(),
                Verdict::Throttled { .. } => "throttled".to_owned(),
                Verdict::Unauthorized => "unauthorized".to_owned(),
                Verdict::NoToken => "no token".to_owned(),
            };
            match &mut last {
                Some((_, to, same)) if *same == verdict => *to = status,
                _ => {
                    if let Some((from, to, verdict)) = last.replace((status, status, verdict)) {
                        writeln!(table, "{from}-{to} {verdict}").unwrap();
                    }
                }
            }
        }
        let (from, to, verdict) = last.unwrap();
        writeln!(table, "{from}-{to} {verdict}").unwrap();
        assert_eq!(table, TABLE);
    }

    #[test]
    fn a_412_with_a_code_waits_and_one_without_is_refused() {
        let mut response = Response { status: 412, approval_code: Some("c0de".into()), ..Response::default() };
        response.body = br#"{"error":{"code":"BadRequest","message":"queued"}}"#.to_vec();
        let answer = judge(response, Timestamp::UNIX_EPOCH);
        assert!(matches!(answer.verdict, Verdict::Settled { status: Status::AwaitingApproval, .. }));
        assert_eq!(answer.approval_code.as_deref(), Some("c0de"));
        assert!(matches!(of(412, ""), Verdict::Settled { status: Status::Refused, .. }));
    }

    #[test]
    fn a_409_waits_only_if_it_names_a_pending_approval() {
        let body = r#"{"error":{"code":"Conflict","message":"An approval request for this object is already pending."}}"#;
        assert!(matches!(of(409, body), Verdict::Settled { status: Status::AwaitingApproval, .. }));
        assert!(matches!(of(409, ""), Verdict::Again { reached: Reached::Answered, .. }));
    }

    #[test]
    fn a_page_with_status_200_is_no_success() {
        assert!(matches!(of(200, "<html><title>Welcome</title></html>"), Verdict::Again { reached: Reached::Maybe, .. }));
    }

    #[test]
    fn the_longer_of_header_and_nested_field_counts() {
        let response = Response {
            status: 429,
            retry_after: vec!["3".into()],
            body: br#"{"error":{"code":"TooManyRequests","message":"{\"Message\":\"m\",\"RetryAfter\":9}"}}"#.to_vec(),
            ..Response::default()
        };
        let answer = judge(response, Timestamp::UNIX_EPOCH);
        assert_eq!(answer.verdict, Verdict::Throttled { after: Some(Duration::from_secs(9)) });
    }

    #[test]
    fn a_denial_names_the_scopes_that_the_service_names() {
        let body = r#"{"error":{"code":"Forbidden","message":"Application must have one of the following scopes: A.All, B.All - Operation ID: 1"}}"#;
        assert_eq!(
            of(403, body),
            Verdict::Denied { reason: "the app lacks a permission; one of these is enough: A.All, B.All".into() }
        );
    }
}
