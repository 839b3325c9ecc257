//! The simulator's own record of every exchange, for tests and for `GET /_log`. Bearers and the
//! bodies of token requests are never in it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::fault::Call;
use super::handshake::{CODE, JUSTIFICATION, decoded, given};
use super::options::Collection;

/// One exchange. Times count from the start of the simulator; as JSON they are milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogEntry {
    /// The number of the request, from 1, in order of arrival.
    pub ordinal: u64,
    /// When it arrived, complete with its body.
    #[serde(rename = "arrived_ms", serialize_with = "as_millis")]
    pub arrived: Duration,
    /// When its answer was handed to the connection; `None` if it was cut, never answered or given up.
    #[serde(rename = "answered_ms", serialize_with = "as_some_millis")]
    pub answered: Option<Duration>,
    /// When it ended in whatever way, the client's leaving included; `None` while it is open.
    #[serde(rename = "closed_ms", serialize_with = "as_some_millis")]
    pub closed: Option<Duration>,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, as sent.
    pub query: Option<String>,
    /// The tenant of the bearer, or of the authority.
    #[serde(serialize_with = "as_text")]
    pub tenant: Option<Uuid>,
    /// The app of the bearer, or the one that asked for a token.
    #[serde(serialize_with = "as_text")]
    pub app: Option<Uuid>,
    /// The collection.
    pub collection: Option<Collection>,
    /// The object, or the request for an approval that was read.
    #[serde(serialize_with = "as_text")]
    pub id: Option<Uuid>,
    /// The status of the answer; `None` where there was none.
    pub status: Option<u16>,
    /// The fault that was applied, by its name, such as `cut after effect`.
    pub fault: Option<String>,
    /// Whether it made a revocation take effect, be it after the end of the exchange.
    pub effect: bool,
    /// Whether it carried a valid bearer.
    pub bearer: bool,
    /// `accept`, `content-length`, `content-type`, `user-agent`, `client-request-id` and `x-ms-*`, where sent.
    pub headers: BTreeMap<String, String>,
    /// The justification for a second administrator: decoded, or as sent where that fails.
    pub justification: Option<String>,
    /// The code by which it was to finish an approved request.
    pub approval_code: Option<String>,
    /// The body, except of requests to Entra and to platforms.
    pub body: String,
}

fn as_millis<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(value.as_secs_f64() * 1_000.0)
}

#[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
fn as_some_millis<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => as_millis(value, serializer),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
fn as_text<S: Serializer>(value: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

impl LogEntry {
    /// The outside of a request.
    pub(super) fn of(ordinal: u64, arrived: Duration, call: Option<Call>, request: &Request<Bytes>) -> Self {
        let wanted = |name: &str| {
            matches!(name, "accept" | "content-length" | "content-type" | "user-agent" | "client-request-id")
                || name.starts_with("x-ms-")
        };
        let headers = request.headers().iter().filter(|(name, _)| wanted(name.as_str()));
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let secret = matches!(call, Some(Call::Token | Call::DeviceCode | Call::Platform));
        Self {
            ordinal,
            arrived,
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            headers: headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            justification: given(request, JUSTIFICATION).map(|value| decoded(value).unwrap_or_else(|| text(value))),
            approval_code: given(request, CODE).map(text),
            body: if secret { String::new() } else { text(request.body()) },
            ..Self::default()
        }
    }
}

/// All entries, or none at all if it is switched off.
#[derive(Debug)]
pub(super) struct Log {
    on: bool,
    entries: Vec<LogEntry>,
}

impl Log {
    pub(super) fn new(on: bool) -> Self {
        Self { on, entries: Vec::new() }
    }

    pub(super) fn entries(&self) -> &[LogEntry] {
        &self.entries
    }

    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// Takes the next entry; its ordinal is one more than the number of entries before.
    pub(super) fn push(&mut self, entry: LogEntry) {
        self.entries.push(entry);
    }

    pub(super) fn effect(&mut self, ordinal: u64) {
        if let Some(entry) = self.entry(ordinal) {
            entry.effect = true;
        }
    }

    /// The end of an exchange; without a status it had no answer.
    pub(super) fn close(&mut self, ordinal: u64, now: Duration, status: Option<u16>) {
        if let Some(entry) = self.entry(ordinal) {
            entry.status = status;
            entry.answered = status.map(|_| now);
            entry.closed = Some(now);
        }
    }

    /// The entry of a request.
    pub(super) fn entry(&mut self, ordinal: u64) -> Option<&mut LogEntry> {
        self.entries.get_mut(usize::try_from(ordinal.checked_sub(1)?).ok()?)
    }
}

/// The largest number of POSTs for one object that were open at the same time.
pub fn max_in_flight(log: &[LogEntry], collection: Collection, id: Uuid) -> usize {
    let posts = log.iter().filter(|entry| entry.method == "POST" && entry.collection == Some(collection) && entry.id == Some(id));
    let mut turns: Vec<(Duration, bool)> =
        posts.flat_map(|entry| [(entry.arrived, true), (entry.closed.unwrap_or(Duration::MAX), false)]).collect();
    turns.sort_unstable();
    let (mut open, mut most) = (0_usize, 0);
    for (_, opens) in turns {
        open = if opens { open + 1 } else { open.saturating_sub(1) };
        most = most.max(open);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(from: u64, to: Option<u64>) -> LogEntry {
        LogEntry {
            arrived: Duration::from_millis(from),
            closed: to.map(Duration::from_millis),
            method: "POST".to_owned(),
            collection: Some(Collection::VppTokens),
            id: Some(Uuid::nil()),
            ..LogEntry::default()
        }
    }

    #[test]
    fn overlapping_posts_are_counted_and_following_ones_are_not() {
        let most = |log: &[LogEntry]| max_in_flight(log, Collection::VppTokens, Uuid::nil());
        assert_eq!(most(&[post(0, Some(5)), post(6, Some(9))]), 1);
        assert_eq!(most(&[post(0, Some(5)), post(5, Some(9))]), 1);
        assert_eq!(most(&[post(0, None), post(6, Some(9)), post(7, Some(8))]), 3);
        assert_eq!(most(&[]), 0);
    }

    #[test]
    fn neither_bearer_nor_secret_is_logged() {
        let request = Request::post("/t/oauth2/v2.0/token")
            .header("authorization", "Bearer HIDDEN")
            .header("accept", "application/json")
            .body(Bytes::from("client_secret=HIDDEN"))
            .unwrap();
        let entry = LogEntry::of(1, Duration::ZERO, Some(Call::Token), &request);
        let json = serde_json::to_string(&entry).unwrap();
        assert!(json.contains("application/json") && !json.contains("HIDDEN"), "{json}");
    }
}
