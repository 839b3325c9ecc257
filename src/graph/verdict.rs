//! Judges every answer, to a revocation and to a read. The only place that knows what a status means. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::challenge::{conditions, description};
use super::fault::Fault;
use crate::auth::retry_after;
use crate::exec::{Answer, Sight, Verdict};
use crate::model::{Reached, Status};

/// What of an answer is judged.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) retry_after: Vec<String>,
    /// `WWW-Authenticate`.
    pub(super) challenges: Vec<String>,
    /// `x-msft-approval-code`: the request waits for a second administrator.
    pub(super) approval_code: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) body: Vec<u8>,
    /// Why the body is not whole, in words.
    pub(super) broken: Option<String>,
}

impl Response {
    /// The conditions that no token as ours meets: 401 by the documentation, and 403 where Graph's own pages say so.
    fn conditions(&self) -> Option<String> {
        if matches!(self.status, 401 | 403) { conditions(&self.challenges) } else { None }
    }

    /// The wish of the headers.
    fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        retry_after(self.retry_after.iter().map(String::as_str), Some(now))
    }
}

/// Judges an answer to a revocation. `now` is the answer's own `Date`, or ours.
pub(super) fn judge(response: Response, now: Timestamp) -> Answer {
    let mut response = response;
    let fault = if response.status == 204 { Fault::default() } else { Fault::read(&response.body, now) };
    response.approval_code = response.approval_code.or_else(|| fault.message.as_deref().and_then(code_within));
    let after = response.retry_after(now).max(fault.retry_after);
    let verdict = verdict(&response, &fault, after);
    Answer {
        verdict,
        token: None,
        http_status: Some(response.status),
        error_code: fault.code,
        message: fault.message.or_else(|| description(&response.challenges)),
        request_id: response.request_id,
        approval_code: response.approval_code,
    }
}

/// Statuses as Graph's error page documents them (concept docs of 2026-03); what it does not know may have
/// come from anywhere on the way, and says nothing about the effect.
fn verdict(response: &Response, fault: &Fault, after: Option<Duration>) -> Verdict {
    let again = |reached| Verdict::Again { reached, after };
    if let Some(reason) = response.conditions() {
        return Verdict::StopTenant { reached: Reached::Answered, reason };
    }
    match response.status {
        204 => settled(Status::Accepted, ""),
        // What says so has been queued: 412 as documented, 403 as a laboratory saw it.
        403 | 412 if response.approval_code.is_some() => waiting(&queued(response)),
        400 | 403 if asks_why(fault) => Verdict::NeedsApproval { reason: fault.message.clone().unwrap_or_default() },
        401 => Verdict::Unauthorized,
        403 => Verdict::Denied { reason: denied(fault) },
        404 => settled(Status::NotFound, "the service does not know this id"),
        409 if awaits_approval(fault) => waiting("another request for it waits for a second administrator"),
        409 | 423 | 425 => again(Reached::Answered),
        429 => Verdict::Throttled { after },
        status if is_permanent(status) => settled(Status::Refused, &format!("the service refused the request ({status})")),
        _ => again(Reached::Maybe),
    }
}

/// Judges an answer to a read. `now` is the answer's own `Date`, or ours; `parse` makes of a whole body what was
/// asked for, or says what is wrong with it. Nothing was to have an effect, so whatever is unclear is read again.
pub(super) fn judge_read<T>(response: &Response, now: Timestamp, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Sight<T> {
    let header = response.retry_after(now);
    if response.status == 200 {
        let shown = response.broken.clone().map_or_else(|| parse(&response.body), Err);
        return shown.map_or_else(|message| Sight::Again { reached: true, after: header, message }, Sight::Shown);
    }
    let fault = Fault::read(&response.body, now);
    let after = header.max(fault.retry_after);
    if let Some(reason) = response.conditions() {
        return Sight::StopTenant { reason };
    }
    let words = fault.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    match response.status {
        401 => Sight::Unauthorized { reason: fault.message.or_else(|| description(&response.challenges)) },
        403 => Sight::Denied { reason: denied(&fault) },
        404 => Sight::Gone,
        429 => Sight::Throttled { after },
        status if is_permanent(status) => Sight::Refused { reason: format!("the service refused the read ({status}){words}") },
        status => Sight::Again { reached: true, after, message: format!("the service answered {status}{words}") },
    }
}

/// What will be answered in the same way again.
const fn is_permanent(status: u16) -> bool {
    matches!(status, 400 | 402 | 405 | 406 | 410..=413 | 415 | 416 | 422)
}

fn settled(status: Status, reason: &str) -> Verdict {
    Verdict::Settled { status, reason: reason.to_owned() }
}

fn waiting(why: &str) -> Verdict {
    settled(Status::AwaitingApproval, why)
}

fn queued(response: &Response) -> String {
    let code = response.approval_code.as_deref().unwrap_or_default();
    format!("queued for a second administrator: approval request {code}")
}

/// The header that says why a request is made, and the one that says that it was approved; the service names them
/// in its words as well.
pub(super) const JUSTIFICATION: &str = "x-msft-approval-justification";
pub(super) const CODE: &str = "x-msft-approval-code";

/// The code that the words of a queued request name.
fn code_within(message: &str) -> Option<String> {
    let named = message.to_ascii_lowercase().rfind(CODE).and_then(|at| message.get(at + CODE.len()..))?;
    let code = named.trim_start_matches([':', ' ', '"', '\\']);
    let end = code.find(|c: char| c != '-' && !c.is_ascii_hexdigit()).unwrap_or(code.len());
    uuid::Uuid::try_parse(&code[..end]).ok().map(|code| code.to_string())
}

/// Whether a request was refused because it does not say why it is made: 400 by Microsoft's article on Multi Admin
/// Approval over Graph, 403 by its announcement.
fn asks_why(fault: &Fault) -> bool {
    let said = fault.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().all(|word| said.contains(word));
    let is_named = fault.code.as_deref().is_some_and(|code| code.to_ascii_lowercase().contains("approval"));
    names(&[JUSTIFICATION, "required"]) || names(&["multi", "admin approval"]) || is_named
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

    const READS: &str = "\
100-199 again
200-200 shown
201-399 again
400-400 refused
401-401 unauthorized
402-402 refused
403-403 denied
404-404 gone
405-406 refused
407-409 again
410-413 refused
414-414 again
415-416 refused
417-421 again
422-422 refused
423-428 again
429-429 throttled
430-599 again
";

    /// One line per run of statuses that are judged alike.
    fn table(judge: impl Fn(u16) -> String) -> String {
        let mut table = String::new();
        let mut from = 100;
        for status in 100..=599 {
            let same = judge(status);
            if status == 599 || judge(status + 1) != same {
                writeln!(table, "{from}-{status} {same}").unwrap();
                from = status + 1;
            }
        }
        table
    }

    #[test]
    fn every_status_is_judged_as_the_table_says() {
        let word = |status| match of(status, "") {
            Verdict::Settled { status, .. } => format!("settled {status}"),
            Verdict::Again { reached, .. } => format!("again, reached {reached:?}"),
            Verdict::Denied { .. } => "denied".to_owned(),
            Verdict::Throttled { .. } => "throttled".to_owned(),
            Verdict::Unauthorized => "unauthorized".to_owned(),
            Verdict::NoToken => "no token".to_owned(),
            Verdict::StopTenant { .. } => "stop".to_owned(),
            Verdict::NeedsApproval { .. } => "needs approval".to_owned(),
        };
        assert_eq!(table(word), TABLE);
    }

    fn read(status: u16, body: &str) -> Sight<usize> {
        let response = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
        judge_read(&response, Timestamp::UNIX_EPOCH, |body| Ok(body.len()))
    }

    #[test]
    fn every_status_of_a_read_is_judged_as_its_table_says() {
        let word = |status| match read(status, "") {
            Sight::Shown(_) => "shown",
            Sight::Gone => "gone",
            Sight::Denied { .. } => "denied",
            Sight::Refused { .. } => "refused",
            Sight::Again { reached, .. } => {
                if reached {
                    "again"
                } else {
                    "not reached"
                }
            }
            Sight::Throttled { .. } => "throttled",
            Sight::Unauthorized { .. } => "unauthorized",
            Sight::NoToken => "no token",
            Sight::StopTenant { .. } => "stop",
        };
        assert_eq!(table(|status| word(status).to_owned()), READS);
    }

    #[test]
    fn a_read_that_brought_nothing_says_why() {
        let error = r#"{"error":{"code":"BadRequest","message":"Resource not found for the segment 'x'."}}"#;
        let reason = "the service refused the read (400): Resource not found for the segment 'x'.".to_owned();
        assert_eq!(read(400, error), Sight::Refused { reason });
        let again = |message: &str| Sight::Again { reached: true, after: None, message: message.to_owned() };
        assert_eq!(read(503, "busy"), again("the service answered 503: busy"));
        assert_eq!(read(302, ""), again("the service answered 302"));
        let scopes =
            r#"{"error":{"message":"Application must have one of the following scopes: A.All, B.All - Operation ID: 1"}}"#;
        let reason = "the app lacks a permission; one of these is enough: A.All, B.All".to_owned();
        assert_eq!(read(403, scopes), Sight::Denied { reason });
    }

    #[test]
    fn a_200_shows_something_only_if_it_is_whole_and_makes_sense() {
        let mut response = Response { status: 200, retry_after: vec!["2".into()], ..Response::default() };
        let judged = |response: &Response, parsed: Result<u8, String>| judge_read(response, Timestamp::UNIX_EPOCH, |_| parsed);
        let again = |message: &str| Sight::Again { reached: true, after: Some(Duration::from_secs(2)), message: message.into() };
        assert_eq!(judged(&response, Ok(1)), Sight::Shown(1));
        assert_eq!(judged(&response, Err("odd".into())), again("odd"));
        response.broken = Some("it broke off".into());
        assert_eq!(judged(&response, Ok(1)), again("it broke off"));
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
    fn a_code_is_taken_from_the_words_as_well_and_a_403_that_has_one_waits_too() {
        const CODE: &str = "aabb1234-5678-9012-abcd-ef0123456789";
        let message = format!("Approval Required. ... the x-msft-approval-code response header. x-msft-approval-code: {CODE}");
        let body = serde_json::json!({"error": {"code": "ApprovalRequired", "message": message}}).to_string();
        for status in [403, 412] {
            let answer =
                judge(Response { status, body: body.clone().into_bytes(), ..Response::default() }, Timestamp::UNIX_EPOCH);
            assert_eq!(answer.approval_code.as_deref(), Some(CODE));
            let named = format!("queued for a second administrator: approval request {CODE}");
            assert_eq!(answer.verdict, settled(Status::AwaitingApproval, &named));
        }
        assert!(matches!(of(412, &body.replace(CODE, "soon")), Verdict::Settled { status: Status::Refused, .. }));
    }

    #[test]
    fn a_request_that_does_not_say_why_it_is_made_is_told_apart_from_one_that_is_refused() {
        let asks = |status, message: &str| {
            let body = serde_json::json!({"error": {"code": "BadRequest", "message": message}}).to_string();
            matches!(of(status, &body), Verdict::NeedsApproval { .. })
        };
        let nested =
            r#"{"_version":3,"Message":"Header 'x-msft-approval-justification' is required to request approval - Operation ID"}"#;
        assert!(asks(400, nested) && asks(403, nested) && asks(403, "This operation requires Multi Admin Approval."));
        let named = |code: &str| of(403, &serde_json::json!({"error": {"code": code, "message": "no"}}).to_string());
        assert!(matches!(named("ApprovalRequired"), Verdict::NeedsApproval { .. }));
        assert!(matches!(named("Forbidden"), Verdict::Denied { .. }));
        assert!(!asks(400, "Decoded content of 'x-msft-approval-justification' header must be no greater than 1024 characters"));
        assert!(!asks(403, "Application must have one of the following scopes: A.All") && !asks(500, nested) && !asks(400, ""));
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
        let read = judge_read(&response, Timestamp::UNIX_EPOCH, |_| Ok(()));
        assert_eq!(read, Sight::Throttled { after: Some(Duration::from_secs(9)) });
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
