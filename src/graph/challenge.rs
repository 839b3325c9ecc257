//! What a refusal asks for in its `WWW-Authenticate`: the words of the service, and the conditions of continuous access
//! evaluation, explained to the administrator. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

/// The longest value that is shown.
const VALUE_CHARS: usize = 300;

/// Claims longer than this, in bytes, are not read; the documented ones have about a hundred.
const LONGEST_CLAIMS: usize = 8 * 1024;

/// Wishes that are shown.
const MOST_WISHES: usize = 3;

/// What a tenant's administrator has to do with it.
const CAUSES: &str = "the app or the user was disabled, deleted, revoked or found at risk, or a conditional access policy \
     changed or does not allow this place: the tenant's sign-in logs tell which";

/// The conditions that a token must meet, if that is what a refusal is about: asking for another one as before would bring
/// the same refusal. Source: <https://learn.microsoft.com/entra/identity-platform/claims-challenge>.
pub(super) fn conditions(headers: &[String]) -> Option<String> {
    let error = parameter(headers, "error").unwrap_or_default();
    let claims = parameter(headers, "claims");
    if claims.is_none() && !error.eq_ignore_ascii_case("insufficient_claims") {
        return None;
    }
    let wishes = claims.and_then(|claims| wishes(&claims)).filter(|wishes| !wishes.is_empty());
    let wishes = wishes.map(|wishes| format!(": {}", wishes.join(", "))).unwrap_or_default();
    Some(format!("the service does not accept the sign-in any more (continuous access evaluation){wishes}; {CAUSES}"))
}

/// The service's words for people.
pub(super) fn description(headers: &[String]) -> Option<String> {
    parameter(headers, "error_description").map(|text| short(&text)).filter(|text| !text.is_empty())
}

/// What `{"access_token": {...}}` in Base64 wants of the next token; none if it cannot be read.
fn wishes(claims: &str) -> Option<Vec<String>> {
    if claims.len() > LONGEST_CLAIMS {
        return None;
    }
    let text = claims.trim().trim_end_matches('=').replace('-', "+").replace('_', "/");
    let wanted: Value = serde_json::from_slice(&STANDARD_NO_PAD.decode(text).ok()?).ok()?;
    let wish = |(name, wish): (&String, &Value)| {
        let value = wish.get("value").or_else(|| wish.get("values")).unwrap_or(&Value::Null);
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let since = value.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        match (name.as_str(), since) {
            ("nbf", Some(since)) => format!("it takes no token from before {since}"),
            ("acrs", _) => format!("it wants the authentication context {}", short(&value)),
            (name, _) if value == "null" => format!("it wants the claim {}", short(name)),
            (name, _) => format!("it wants the claim {} to be {}", short(name), short(&value)),
        }
    };
    Some(wanted.get("access_token")?.as_object()?.iter().take(MOST_WISHES).map(wish).collect())
}

/// One line without control characters, so that nothing a server says can steer a terminal.
fn short(text: &str) -> String {
    let line: String = text.chars().take(VALUE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().to_owned()
}

/// The first value of a parameter, in whichever header has one (RFC 9110 section 11.6.1): the order of parameters, and
/// of challenges, means nothing.
fn parameter(headers: &[String], name: &str) -> Option<String> {
    headers
        .iter()
        .flat_map(|header| parameters(header))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn parameters(header: &str) -> Vec<(String, String)> {
    let (mut found, mut rest) = (Vec::new(), header);
    while let Some((before, after)) = rest.split_once('=') {
        // A scheme, or a comma, may stand before the name.
        let name = before.trim_end().rsplit([' ', '\t', ',']).next().unwrap_or_default();
        let after = after.trim_start();
        let (value, left) = if let Some(quoted) = after.strip_prefix('"') {
            unquoted(quoted)
        } else {
            let (value, left) = after.split_at(after.find([' ', '\t', ',']).unwrap_or(after.len()));
            (value.to_owned(), left)
        };
        found.push((name.to_owned(), value));
        rest = left;
    }
    found
}

/// What stands before the closing quote, and what follows it.
fn unquoted(text: &str) -> (String, &str) {
    let (mut value, mut letters) = (String::new(), text.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => value.extend(letters.next()),
            _ => value.push(letter),
        }
    }
    (value, letters.as_str())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    fn explained(headers: &[&str]) -> Option<String> {
        let text = conditions(&headers.iter().map(|&header| header.to_owned()).collect::<Vec<_>>())?;
        assert!(text.ends_with(CAUSES), "{text}");
        Some(text.trim_end_matches(CAUSES).to_owned())
    }

    #[test]
    fn the_documented_challenge_is_explained() {
        // The example of the claims challenge page, in two headers, the way RFC 9110 allows.
        let claims = "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwgInZhbHVlIjoiMTYwNDEwNjY1MSJ9fX0=";
        let bearer = format!(
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
             error=\"insufficient_claims\", claims=\"{claims}\""
        );
        let wanted = "the service does not accept the sign-in any more (continuous access evaluation): \
                      it takes no token from before 2020-10-31T01:10:51Z; ";
        assert_eq!(explained(&["PoP nonce=\"a=b, \\\"c\\\"\"", &bearer]).as_deref(), Some(wanted));
        let bare = format!("bearer claims={claims} , Error = insufficient_claims");
        assert_eq!(explained(&[&bare]).as_deref(), Some(wanted));
    }

    #[test]
    fn other_wishes_are_named_and_unreadable_ones_are_still_a_challenge() {
        let says = |claims: &str| explained(&[&format!("Bearer error=\"insufficient_claims\", claims=\"{claims}\"")]).unwrap();
        let wants = |claims: Value| says(&URL_SAFE_NO_PAD.encode(json!({"access_token": claims}).to_string()));
        assert!(wants(json!({"acrs": {"essential": true, "value": "c1"}})).contains("the authentication context c1;"));
        assert!(wants(json!({"ip": {"value": "10.0.0.1"}})).contains("the claim ip to be 10.0.0.1;"));
        assert!(wants(json!({"new": null})).contains("it wants the claim new;"));
        assert!(wants(json!({"ip": {"value": "\u{1b}[2J"}})).contains("to be [2J;"));
        let many = wants(json!({"a": null, "b": null, "c": null, "d": null}));
        assert!(many.contains("the claim c;") && !many.contains("the claim d"), "{many}");
        let bare = says("");
        assert_eq!(wants(json!({"acrs": {"value": "c".repeat(8 * 1024)}})), bare);
        for odd in ["!!", "bm8=", &STANDARD.encode("{}"), &STANDARD.encode(r#"{"access_token":{}}"#)] {
            assert_eq!(says(odd), bare, "{odd}");
        }
    }

    #[test]
    fn a_refusal_without_conditions_is_none_and_may_have_words() {
        let expired = "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
                       error=\"invalid_token\", error_description=\"The token expired at \\\"x\\\", a=b.\"";
        for header in ["", "Bearer", "Negotiate abc==", "Basic realm=\"claims=\"", expired] {
            assert_eq!(explained(&[header]), None, "{header}");
        }
        assert_eq!(description(&[expired.to_owned()]).as_deref(), Some("The token expired at \"x\", a=b."));
        assert_eq!(description(&["Bearer error_description=\"cut".to_owned()]).as_deref(), Some("cut"));
        assert_eq!(description(&["Bearer error_description=\"\"".to_owned()]), None);
    }
}
