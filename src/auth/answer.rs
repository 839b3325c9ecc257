//! One raw answer of the authority, and what its status and `error` mean: permanent, passing, or fine.

use std::fmt;
use std::time::Duration;

use azure_core::Bytes;
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{DATE, RETRY_AFTER};
use serde_json::Value;

use super::causes::causes;
use super::hints;
use super::obstacle::Obstacle;
use super::retry_after::{http_date, retry_after};

/// How long one exchange with the authority may take in all; a sign-in is normally answered within a second.
pub(super) const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);
/// Largest body read, in bytes; tokens and discovery documents are a few thousand.
const LARGEST_BODY: usize = 1024 * 1024;

/// What came back. The body may hold a token, so `Debug` does not show it.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// When the service says it answered.
    pub(super) date: Option<Timestamp>,
    pub(super) body: Bytes,
    request_id: Option<String>,
}

/// Why an answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Permanent(String),
    Passing(String, Option<Duration>),
}

impl Answer {
    /// Sends a request and reads the answer. Fails with words that hold neither the URL nor anything that was sent.
    pub(super) async fn of(request: reqwest::RequestBuilder) -> Result<Self, Fault> {
        let mut response =
            request.timeout(EXCHANGE_LIMIT).send().await.map_err(|error| network(error, "could not be reached"))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let waits = response.headers().get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
        let date = header(DATE.as_str()).and_then(http_date);
        let retry_after = retry_after(waits, date);
        let request_id = header("x-ms-request-id").map(str::to_owned);
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| network(error, "broke off its answer"))? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_BODY {
                let message = "the sign-in service sent an answer of more than a megabyte".to_owned();
                return Err(Fault::Passing(message, None));
            }
        }
        Ok(Self { status, retry_after, date, body: body.into(), request_id })
    }

    /// The body as JSON; null if it is not.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Whether this is an error, and of which sort; what it echoes of the `secrets` is blanked out.
    /// `temporarily_unavailable` and `server_error` ask for a retry whatever the status is
    /// (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>, RFC 6749 section 4.1.2.1).
    pub(super) fn fault(&self, secrets: &[String]) -> Option<Fault> {
        if self.status.is_success() {
            return None;
        }
        let body = self.json();
        let code = self.status.as_u16();
        let words = hints::explain(&body, secrets).unwrap_or_else(|| hints::blank(&self.bare(), secrets));
        let error = body.get("error").and_then(Value::as_str).unwrap_or_default();
        let wait = hints::wait(&body);
        let passing = wait.is_some()
            || matches!(code, 408 | 429 | 500..=599)
            || matches!(error, "temporarily_unavailable" | "server_error");
        Some(if passing {
            Fault::Passing(format!("the sign-in service answered {code}: {words}"), self.retry_after.max(wait))
        } else {
            Fault::Permanent(format!("the sign-in service answered {code}: {words}"))
        })
    }

    /// A success that does not hold what it should.
    pub(super) fn useless(&self, what: &str) -> Fault {
        Fault::Passing(format!("the sign-in service answered {} without {what}", self.status.as_u16()), self.retry_after)
    }

    /// Words for an answer that is no OAuth error, such as the plain-text 429 of the token endpoint or a proxy's page.
    fn bare(&self) -> String {
        let reason = self.status.canonical_reason().unwrap_or("no reason given").to_ascii_lowercase();
        let id =
            self.request_id.as_deref().filter(|id| id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        id.map_or_else(|| reason.clone(), |id| format!("{reason} (trace id {id})"))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("retry_after", &self.retry_after).finish_non_exhaustive()
    }
}

/// A network error in words; the URL is of no help. What stands in the way for good is no outage.
fn network(error: reqwest::Error, what: &str) -> Fault {
    // Plain http goes no farther than this machine and its platform: no proxy or firewall has a part in that.
    let is_far = error.url().is_some_and(|url| url.scheme() == "https");
    // A host's name must not pass for a word of the error.
    let error = error.without_url();
    let (obstacle, is_connect) = (Obstacle::of(&error), error.is_connect());
    let why = if error.is_timeout() && !is_connect {
        format!("no answer within {} s", EXCHANGE_LIMIT.as_secs())
    } else {
        causes(&error)
    };
    let message = format!("the sign-in service {what}: {why}");
    let hinted = || format!("{message}; {}", obstacle.hint());
    if is_connect && obstacle.is_lasting() {
        Fault::Permanent(hinted())
    } else if is_far && matches!(obstacle, Obstacle::Name | Obstacle::Proxy | Obstacle::Refused | Obstacle::Silence) {
        Fault::Passing(hinted(), None)
    } else {
        Fault::Passing(message, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fake::{self, Fake};

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, retry_after: None, date: None, body: Bytes::copy_from_slice(body.as_bytes()), request_id: None }
    }

    #[test]
    fn errors_that_a_person_must_mend_are_permanent() {
        for error in
            ["invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "interaction_required", "new_one"]
        {
            for status in [400, 401, 403] {
                let fault = answer(status, &format!(r#"{{"error":"{error}"}}"#)).fault(&[]).unwrap();
                assert!(matches!(fault, Fault::Permanent(_)), "{status} {error}: {fault:?}");
            }
        }
        for status in [302, 400, 404, 407, 410] {
            assert!(matches!(answer(status, "<html>").fault(&[]).unwrap(), Fault::Permanent(_)), "{status}");
        }
    }

    #[test]
    fn errors_that_mend_themselves_are_passing() {
        for status in [408, 429, 500, 502, 503, 504] {
            for body in ["Too Many Requests", r#"{"error":"invalid_grant"}"#, ""] {
                assert!(matches!(answer(status, body).fault(&[]).unwrap(), Fault::Passing(_, None)), "{status} {body}");
            }
        }
        let fault = answer(400, r#"{"error":"temporarily_unavailable"}"#).fault(&[]).unwrap();
        assert_eq!(fault, Fault::Passing("the sign-in service answered 400: temporarily_unavailable".to_owned(), None));
    }

    #[test]
    fn a_throttled_person_is_not_asked_to_sign_in_again() {
        let minute = Duration::from_mins(1);
        for number in [50_196, 90_033, 90_055] {
            for (retry_after, wanted) in [(None, minute), (Some(minute / 2), minute), (Some(minute * 2), minute * 2)] {
                let body = format!(r#"{{"error":"invalid_grant","error_description":"AADSTS{number}: x"}}"#);
                let fault = Answer { retry_after, ..answer(400, &body) }.fault(&[]).unwrap();
                assert!(matches!(fault, Fault::Passing(_, Some(after)) if after == wanted), "{number}: {fault:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_stands_before_a_far_place_is_hinted_at_and_the_places_name_is_no_word_of_it() {
        let dead = format!("{}/tunnel", Fake::dead().await.url());
        for (url, is_hinted) in [(dead.replace("http:", "https:"), true), (dead, false)] {
            let Err(Fault::Passing(words, None)) = Answer::of(fake::client().get(url)).await else { unreachable!() };
            assert_eq!(words.ends_with(Obstacle::Refused.hint()), is_hinted, "{words}");
        }
    }

    #[test]
    fn a_page_that_is_no_oauth_error_is_not_quoted() {
        let fault = answer(403, "<html>secret stuff</html>").fault(&[]).unwrap();
        assert_eq!(fault, Fault::Permanent("the sign-in service answered 403: forbidden".to_owned()));
        assert_eq!(answer(200, "anything").fault(&[]), None);
    }

    #[test]
    fn the_body_stays_out_of_debug() {
        let shown = format!("{:?}", answer(200, r#"{"access_token":"t0ken"}"#));
        assert!(shown.contains("200") && !shown.contains("t0ken"), "{shown}");
    }
}
