//! What sending and reading share: the headers of a request, the answer as it comes in, and the failures in between.

use jiff::Timestamp;
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use uuid::Uuid;

use super::verdict::{CODE, Response};
use crate::auth::{Bearer, Obstacle, causes, http_date};
use crate::exec::{Answer, Sight, Verdict};
use crate::model::{REMOVED, Reached};

/// Largest error body read, in bytes; Graph's are a few thousand.
pub(super) const LARGEST_BODY: usize = 64 * 1024;

/// What a request is found by in the service's own logs.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");

/// A request in the app's name.
pub(super) fn signed(request: RequestBuilder, bearer: &Bearer, client_request_id: Uuid) -> RequestBuilder {
    let mut id = Uuid::encode_buffer();
    request
        .header(AUTHORIZATION, bearer.authorization())
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .header(CLIENT_REQUEST_ID, &*client_request_id.as_hyphenated().encode_lower(&mut id))
}

/// What of an answer is judged, and its own `Date`. Of a 200 at most `largest` bytes are read. An error body that
/// breaks off does not undo the status.
pub(super) async fn receive(mut response: reqwest::Response, secret: &str, largest: usize) -> (Response, Option<Timestamp>) {
    let headers = response.headers();
    let date = text(headers, DATE.as_str()).and_then(|date| http_date(&date));
    let mut kept = Response {
        status: response.status().as_u16(),
        retry_after: texts(headers, &RETRY_AFTER).map(str::to_owned).collect(),
        challenges: texts(headers, &WWW_AUTHENTICATE).map(|challenge| without(secret, challenge)).collect(),
        approval_code: text(headers, CODE).map(|code| without(secret, &code)),
        request_id: text(headers, "request-id").map(|id| without(secret, &id)),
        body: Vec::new(),
        broken: None,
    };
    let largest = if kept.status == 200 { largest } else { LARGEST_BODY };
    while kept.status != 204 && kept.broken.is_none() {
        match response.chunk().await {
            Ok(Some(chunk)) => kept.body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => kept.broken = Some(format!("the answer broke off: {}", causes(&error.without_url()))),
        }
        if kept.body.len() > largest {
            kept.broken = Some(format!("the answer is longer than {largest} bytes"));
        }
    }
    if !kept.body.is_empty() {
        kept.body = without(secret, &String::from_utf8_lossy(&kept.body)).into_bytes();
    }
    (kept, date)
}

/// A page or a proxy may repeat what it was sent: a bearer must not get into logs and reports that way. This
/// happens before anything is cut to a length, which would leave half of it.
fn without(secret: &str, text: &str) -> String {
    // What is shorter cannot hold it, and getting ready to look for something long takes a while.
    if text.len() < secret.len() { text.to_owned() } else { text.replace(secret, REMOVED) }
}

fn texts<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection can be made as things stand, in words.
    Lasting(String),
    /// Another try may go well. How far it got, and what went wrong.
    Passing(Reached, String),
}

impl Failure {
    /// What that means for a revocation.
    pub(super) fn answer(self) -> Answer {
        let (verdict, message) = match self {
            Self::Lasting(reason) => (Verdict::StopTenant { reached: Reached::NotSent, reason: reason.clone() }, reason),
            Self::Passing(reached, message) => (Verdict::Again { reached, after: None }, message),
        };
        Answer {
            verdict,
            token: None,
            http_status: None,
            error_code: None,
            message: Some(message),
            request_id: None,
            approval_code: None,
        }
    }

    /// What that means for a read.
    pub(super) fn sight<T>(self) -> Sight<T> {
        match self {
            Self::Lasting(reason) => Sight::StopTenant { reason },
            Self::Passing(reached, message) => Sight::Again { reached: reached != Reached::NotSent, after: None, message },
        }
    }
}

/// How far a request got that has no answer, and what is known of the cause. A connection that was never made
/// carried nothing; everything later may have arrived.
pub(super) fn failure(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let obstacle = Obstacle::of(&error);
    if error.is_connect() && obstacle.is_lasting() {
        Failure::Lasting(format!("failed to reach Graph: {}; {}", causes(&error), obstacle.hint()))
    } else if error.is_connect() || error.is_builder() {
        Failure::Passing(Reached::NotSent, causes(&error))
    } else if error.is_timeout() {
        Failure::Passing(Reached::Maybe, "no answer before the time limit of one request (--timeout)".to_owned())
    } else {
        Failure::Passing(Reached::Maybe, causes(&error))
    }
}
