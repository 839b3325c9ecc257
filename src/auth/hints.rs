//! Entra's error texts made short: what the AADSTS number means here and what to do, without the noise.
//!
//! Numbers are for people only (Microsoft: they may change); decisions are made on `error` and the HTTP status.

use serde_json::Value;

/// Characters of a service's sentence that are shown: enough for two lines of a terminal.
const LONGEST: usize = 300;

/// What a number means for this tool, and what to do about it.
/// Source: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
const HINTS: [(u64, &str); 7] = [
    (7_000_215, "the client secret is wrong; give the secret's Value, not its Secret ID"),
    (7_000_222, "the client secret has expired; create a new one for the app and give that"),
    (
        700_016,
        "the app is not in this tenant; check the client id and the tenant, or have the tenant's administrator add the app",
    ),
    (90_002, "the tenant is unknown here; check the tenant and the cloud"),
    (65_001, "nobody consented to the app's permissions; have an administrator grant consent in this tenant"),
    (700_024, "the assertion is outside its time of validity; check this machine's clock"),
    (53_003, "a conditional access policy blocks the sign-in; have the administrator let the app in, or run where it is allowed"),
];

/// The words for an error body, or none if it is not one: `invalid_client, AADSTS7000215: ... (trace id ...)`.
/// Whatever the service echoes of the `secrets` is blanked out.
pub(super) fn explain(body: &Value, secrets: &[String]) -> Option<String> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(|text| blank(text, secrets));
    let error = text("error")?;
    let description = text("error_description").unwrap_or_default();
    let trace = text("trace_id").or_else(|| after(&description, "Trace ID: "));
    let trace = trace.filter(|id| !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));

    let numbers = numbers(body, &description);
    let hinted = numbers.iter().find_map(|number| HINTS.iter().find(|(known, _)| known == number));
    let number = hinted.map(|(known, _)| known).or(numbers.first());
    let sentence = hinted.map_or_else(|| first_sentence(&description), |(_, hint)| (*hint).to_owned());

    let number = number.map(|number| format!(", AADSTS{number}")).unwrap_or_default();
    let sentence = if sentence.is_empty() { sentence } else { format!(": {sentence}") };
    let trace = trace.map(|id| format!(" (trace id {id})")).unwrap_or_default();
    Some(format!("{}{number}{sentence}{trace}", shorten(&error)))
}

fn numbers(body: &Value, description: &str) -> Vec<u64> {
    let listed = body.get("error_codes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64);
    let written = after(description, "AADSTS").and_then(|rest| rest.trim_end_matches(':').parse().ok());
    listed.chain(written).collect()
}

/// The word that follows a mark.
fn after(text: &str, mark: &str) -> Option<String> {
    text.split_once(mark)?.1.split_whitespace().next().map(str::to_owned)
}

/// Without the number in front and without `Trace ID`, `Correlation ID` and `Timestamp` behind.
fn first_sentence(description: &str) -> String {
    let cut = ["Trace ID:", "Correlation ID:", "Timestamp:"].iter().filter_map(|mark| description.find(mark)).min();
    let text = description.get(..cut.unwrap_or(description.len())).unwrap_or_default().trim();
    let text = match text.split_once(": ") {
        Some((number, rest)) if number.starts_with("AADSTS") => rest,
        Some(_) | None => text,
    };
    let end = [". ", ".\r", ".\n"].iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    shorten(text.get(..end).unwrap_or_default().trim_end_matches('.'))
}

/// One line without control characters, so that nothing a server says can steer a terminal.
fn shorten(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    line.trim().to_owned()
}

/// Replaces every occurrence of a secret.
pub(super) fn blank(text: &str, secrets: &[String]) -> String {
    let secrets = secrets.iter().filter(|secret| !secret.is_empty());
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "[redacted]"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_known_number_gets_its_meaning_and_keeps_one_trace_id() {
        let body = json!({
            "error": "invalid_client",
            "error_description": "AADSTS7000215: Invalid client secret provided. Ensure it is the value.\r\nTrace ID: 0aa-1\r\n\
                                  Correlation ID: 0bb-2\r\nTimestamp: 2026-11-22 04:00:00Z",
            "error_codes": [7_000_215], "trace_id": "0aa-1", "correlation_id": "0bb-2"
        });
        assert_eq!(
            explain(&body, &[]).unwrap(),
            "invalid_client, AADSTS7000215: the client secret is wrong; give the secret's Value, not its Secret ID (trace id 0aa-1)"
        );
    }

    #[test]
    fn an_unknown_number_keeps_the_first_sentence_of_the_service() {
        let body = json!({
            "error": "invalid_request",
            "error_description": "AADSTS900144: The request body to login.example.com must contain 'x'. More. Trace ID: 7-7 Timestamp: now"
        });
        assert_eq!(
            explain(&body, &[]).unwrap(),
            "invalid_request, AADSTS900144: The request body to login.example.com must contain 'x' (trace id 7-7)"
        );
    }

    #[test]
    fn echoed_secrets_and_control_characters_are_taken_out() {
        let body = json!({ "error": "bad\u{1b}[2J", "error_description": "you sent s3cr3t~value and s3cr3t%7Evalue", "trace_id": "a b" });
        let words = explain(&body, &["s3cr3t~value".to_owned(), "s3cr3t%7Evalue".to_owned(), String::new()]).unwrap();
        assert_eq!(words, "bad [2J: you sent [redacted] and [redacted]");
    }

    #[test]
    fn a_body_without_an_error_has_no_words() {
        assert_eq!(explain(&json!({ "access_token": "x" }), &[]), None);
        assert_eq!(explain(&Value::Null, &[]), None);
        assert_eq!(explain(&json!({ "error": "x" }), &[]).unwrap(), "x");
    }
}
