//! Unpacks error bodies: Graph's own object, the JSON that Intune hides in its message, pages and plain text. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::auth::retry_after_field;

/// What an error body says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fault {
    /// The most specific code named.
    pub(super) code: Option<String>,
    /// The words for people, without ids that only support needs.
    pub(super) message: Option<String>,
    /// Intune's own wish to wait.
    pub(super) retry_after: Option<Duration>,
    /// The permissions of which one would have been enough.
    pub(super) scopes: Vec<String>,
}

/// The longest message that goes into a report's cell.
const MESSAGE_CHARS: usize = 500;

/// The longest code; Graph's are words of a few dozen letters.
const CODE_CHARS: usize = 100;

/// How deep nested errors are followed; deeper ones were never seen.
const DEPTH: usize = 8;

/// `{"error": {...}}` as Graph documents it.
#[derive(Deserialize)]
struct Envelope {
    error: Body,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: Value,
    #[serde(default, alias = "innererror")]
    #[serde(rename = "innerError")]
    inner: Value,
}

/// Intune packs a JSON object of its own into `error.message` (Microsoft support article of 2023-12-05).
#[derive(Deserialize)]
struct Nested {
    #[serde(rename = "Message")]
    message: Option<String>,
    #[serde(rename = "CustomApiErrorPhrase")]
    phrase: Option<String>,
    #[serde(rename = "RetryAfter", default)]
    retry_after: Value,
}

impl Fault {
    /// Reads a body of whatever kind. `now` is the answer's own `Date`, or ours.
    pub(super) fn read(body: &[u8], now: Timestamp) -> Self {
        match serde_json::from_slice::<Envelope>(body) {
            Ok(envelope) => Self::of(&envelope.error, now),
            Err(_) => Self { message: page_or_text(body), ..Self::default() },
        }
    }

    fn of(body: &Body, now: Timestamp) -> Self {
        let text = body.message.as_str().unwrap_or_default();
        let nested = serde_json::from_str::<Nested>(text).ok();
        let outer = body.code.as_str().filter(|code| !code.is_empty());
        let phrase = nested.as_ref().and_then(|nested| nested.phrase.clone()).filter(|phrase| !phrase.is_empty());
        let said = nested.as_ref().and_then(|nested| nested.message.as_deref()).unwrap_or(text);
        Self {
            code: specific(&body.inner, DEPTH)
                .or(outer)
                .or(phrase.as_deref())
                .map(|code| code.chars().take(CODE_CHARS).collect()),
            message: shorten(said),
            retry_after: nested.as_ref().and_then(|nested| retry_after_field(&nested.retry_after, Some(now))),
            scopes: scopes(said),
        }
    }
}

/// The code of the innermost error that has one in words: Graph puts the bare status there as well.
fn specific(inner: &Value, depth: usize) -> Option<&str> {
    if depth == 0 {
        return None;
    }
    let deeper = inner.get("innerError").or_else(|| inner.get("innererror")).and_then(|inner| specific(inner, depth - 1));
    let own = || inner.get("code").and_then(Value::as_str).filter(|code| code.chars().any(char::is_alphabetic));
    deeper.or_else(own)
}

/// Cuts what only support needs (`- Operation ID (for customer support): ... - Activity ID: ... - Url: ...`).
fn shorten(text: &str) -> Option<String> {
    let text = text.split(" - Operation ID").next().unwrap_or(text).trim();
    (!text.is_empty()).then(|| text.chars().take(MESSAGE_CHARS).collect())
}

/// The list in "Application must have one of the following scopes: A, B - Operation ID ...".
fn scopes(text: &str) -> Vec<String> {
    let Some((_, list)) = text.split_once("one of the following scopes:") else { return Vec::new() };
    let list = list.split(" - ").next().unwrap_or(list);
    list.split(',').map(|scope| scope.trim().trim_end_matches('.').to_owned()).filter(|scope| !scope.is_empty()).collect()
}

/// A web page is named as such; plain text is quoted by its first line.
fn page_or_text(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    page(&text).or_else(|| text.lines().map(str::trim).find(|line| !line.is_empty()).and_then(shorten))
}

/// Names a web page; nothing else has a name here.
pub(super) fn page(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if !(lower.contains("<html") || lower.contains("<!doctype")) {
        return None;
    }
    let title = lower.find("<title>").zip(lower.find("</title>")).and_then(|(from, to)| text.get(from + "<title>".len()..to));
    let title = title.map(str::trim).filter(|title| !title.is_empty());
    shorten(&title.map_or_else(|| "a web page".to_owned(), |title| format!("a web page titled {title:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Fault {
        Fault::read(body.as_bytes(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn intunes_nested_json_is_unpacked() {
        let message = r#"{\"_version\":3,\"Message\":\"Application is not authorized to perform this operation. Application must have one of the following scopes: DeviceManagementConfiguration.ReadWrite.All, Other.All - Operation ID (for customer support): 0000 - Activity ID: 5c97 - Url: https://fef.example\",\"CustomApiErrorPhrase\":\"\",\"RetryAfter\":17,\"ErrorSourceService\":\"\",\"HttpHeaders\":\"{}\"}"#;
        let fault = read(&format!(r#"{{"error":{{"code":"Forbidden","message":"{message}","innerError":{{"date":"x"}}}}}}"#));
        assert_eq!(fault.code.as_deref(), Some("Forbidden"));
        assert!(fault.message.unwrap().ends_with("Other.All"));
        assert_eq!(fault.retry_after, Some(Duration::from_secs(17)));
        assert_eq!(fault.scopes, ["DeviceManagementConfiguration.ReadWrite.All", "Other.All"]);
    }

    #[test]
    fn the_most_specific_code_in_words_wins() {
        let fault = read(r#"{"error":{"code":"TooManyRequests","message":"later","innerError":{"code":"429","status":"429"}}}"#);
        assert_eq!(fault.code.as_deref(), Some("TooManyRequests"));
        let fault = read(r#"{"error":{"code":"","message":"m","innererror":{"code":"outer","innererror":{"code":"deep"}}}}"#);
        assert_eq!(fault.code.as_deref(), Some("deep"));
        let fault = read(r#"{"error":{"code":"","message":"{\"Message\":\"m\",\"CustomApiErrorPhrase\":\"CancelOnTimeout\"}"}}"#);
        assert_eq!((fault.code.as_deref(), fault.message.as_deref()), (Some("CancelOnTimeout"), Some("m")));
    }

    #[test]
    fn pages_text_and_nothing_are_told_apart() {
        let page = read("<!DOCTYPE html><HTML><head><title> Sign in\u{20ac} </title></head></html>");
        assert_eq!(page.message.as_deref(), Some("a web page titled \"Sign in\u{20ac}\""));
        assert_eq!(read("<html></html>").message.as_deref(), Some("a web page"));
        assert_eq!(read("\nToo Many Requests\nx").message.as_deref(), Some("Too Many Requests"));
        assert_eq!(read(""), Fault::default());
        assert_eq!(read(r#"{"error":{"code":5,"message":{}}}"#), Fault::default());
        assert_eq!(read(r#"{"error":"plain"}"#).code, None);
    }
}
