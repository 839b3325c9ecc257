//! Entra's error texts made short: what the AADSTS number means here and what to do, without the noise.
//!
//! Numbers are for people only (Microsoft: they may change); decisions are made on `error` and the HTTP status. [`wait`] is
//! the one exception.

use std::time::Duration;

use serde_json::Value;

/// Characters of a service's sentence that are shown: enough for two lines of a terminal.
const LONGEST: usize = 300;

/// What a number means for this tool, and what to do about it.
/// Source: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
/// Those of federated credentials: `MicrosoftDocs/azure-devops-docs`, `errors-workload-identity.md`, and what Entra itself
/// writes beside the number (issues of `Azure/azure-workload-identity` and `Azure/login`).
const HINTS: [(&[u64], &str); 31] = [
    // The app and its proof.
    (&[7_000_215, 70_002], "the client secret is wrong; give the secret's Value, not its Secret ID"),
    (&[7_000_222], "the client secret has expired; create a new one for the app and give that"),
    (
        &[7_000_216, 7_000_218],
        "the sign-in has no proof of the app with it: an app needs a secret or a certificate; for device-code sign-in, \
         allow public client flows in the app's registration (Authentication)",
    ),
    (
        &[700_025],
        "the app is a public client, which proves itself with nothing; switch public client flows off in its registration",
    ),
    (
        &[700_016, 700_011],
        "the app is not in this tenant; check the client id and the tenant, or have the tenant's administrator add the app",
    ),
    (&[7_000_229], "the app has no service principal in this tenant; have the tenant's administrator add the app"),
    (&[7_000_112, 70_001], "the app is disabled in this tenant; have an administrator enable it under Enterprise applications"),
    (
        &[700_027, 50_012],
        "the assertion's signature is not accepted; with a certificate: upload this very certificate to the app (Certificates & secrets), \
         compare the thumbprints, and check that it has not expired",
    ),
    (&[50_003], "the app has no certificate; upload this one to it (Certificates & secrets)"),
    (&[700_030], "the certificate's subject is not allowed for this app; use a certificate that is"),
    (&[700_024], "the assertion is outside its time of validity; check this machine's clock"),
    // Tokens of other issuers.
    (&[70_021], "no federated credential of the app fits the token; compare issuer, subject and audience"),
    (&[700_211], "no federated credential of the app has the token's issuer (iss); compare them letter by letter"),
    (
        &[700_212, 7_002_121],
        "no federated credential of the app has the token's audience (aud), commonly api://AzureADTokenExchange; compare them",
    ),
    (
        &[700_213, 7_002_138],
        "no federated credential of the app has the token's subject (sub); compare them letter by letter, capitals too",
    ),
    (&[700_222], "the token is Entra's own; a federated credential takes the tokens of other issuers"),
    // The tenant and its rules.
    (&[90_002], "the tenant is unknown here; check the tenant and the cloud"),
    (&[90_038, 900_382, 900_432], "the tenant belongs to another cloud; set the cloud"),
    (&[500_021, 500_022], "a proxy on the way allows other tenants only; have its administrator add this one"),
    (&[65_001, 90_094, 65_004], "nobody consented to the app's permissions; have an administrator grant consent in this tenant"),
    (&[500_011], "the service that the token is for is not in this tenant; check the tenant and the cloud"),
    (
        &[53_003, 530_032],
        "a conditional access policy blocks the sign-in; have the administrator let the app in, or run where it is allowed",
    ),
    (
        &[53_000, 53_001, 50_097],
        "a conditional access policy wants a managed device; sign in on one, or use an app's own identity",
    ),
    (&[50_196, 90_055], "too many sign-ins in a short time; wait some minutes, and look for what else signs in with this app"),
    // The person.
    (
        &[50_072, 50_074, 50_076, 50_078, 50_079],
        "the person must show a second factor; sign in again, which asks for it, or use an app's own identity",
    ),
    (&[50_158], "the person must pass a check outside Entra; sign in again, which asks for it, or use an app's own identity"),
    (&[50_020, 50_034, 51_004], "the person is not in this tenant; sign in as one who is, or have them invited"),
    (&[500_341, 50_057], "the person's account is disabled or deleted; sign in as somebody else"),
    (&[50_105], "the person is not assigned to the app; have an administrator assign them under Enterprise applications"),
    (&[70_008, 70_043, 700_082, 50_173, 50_089, 50_132, 50_133], "the person's sign-in has ended or was revoked; sign in again"),
    (&[70_000], "the person's sign-in is not accepted any more; sign in again"),
];

/// Too many sign-ins by somebody, a trouble of Entra's own, too many sign-ins to the tenant.
const PASSING: [u64; 3] = [50_196, 90_033, 90_055];

/// What the token endpoint asks for where it asks for a wait at all.
const MINUTE: Duration = Duration::from_mins(1);

/// How long to leave the service alone, if its number says that it is busy. A person who is throttled gets the same
/// `invalid_grant` as one whose sign-in has ended, and only the number tells who must wait
/// (<https://learn.microsoft.com/entra/msal/dotnet/advanced/client-and-server-throttling>).
pub(super) fn wait(body: &Value) -> Option<Duration> {
    let description = body.get("error_description").and_then(Value::as_str).unwrap_or_default();
    numbers(body, description).iter().any(|number| PASSING.contains(number)).then_some(MINUTE)
}

/// The words for an error body, or none if it is not one: `invalid_client, AADSTS7000215: ... (trace id ...)`.
/// Whatever the service echoes of the `secrets` is blanked out.
pub(super) fn explain(body: &Value, secrets: &[String]) -> Option<String> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(|text| blank(text, secrets));
    // Services beside Entra write a message.
    let Some(error) = text("error") else {
        return text("message").map(|message| first_sentence(&message)).filter(|message| !message.is_empty());
    };
    let description = text("error_description").unwrap_or_default();
    let trace = text("trace_id").or_else(|| after(&description, "Trace ID: "));
    let trace = trace.filter(|id| !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));

    let numbers = numbers(body, &description);
    let hint = |number: &u64| HINTS.iter().find(|(known, _)| known.contains(number)).map(|(_, hint)| (*number, *hint));
    let hinted = numbers.iter().find_map(hint);
    let number = hinted.map(|(number, _)| number).or(numbers.first().copied());
    let sentence = hinted.map_or_else(|| first_sentence(&description), |(_, hint)| hint.to_owned());

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
pub(super) fn shorten(text: &str) -> String {
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
    fn every_number_stands_in_one_place() {
        let mut numbers: Vec<u64> = HINTS.iter().flat_map(|(numbers, _)| numbers.iter().copied()).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }

    #[test]
    fn a_service_beside_entra_is_quoted_by_its_message() {
        let body = json!({ "statusCode": 400, "message": "No identity\u{7} for s3cr3t. Ask somebody." });
        assert_eq!(explain(&body, &["s3cr3t".to_owned()]).unwrap(), "No identity  for [redacted]");
        assert_eq!(explain(&json!({ "message": "" }), &[]), None);
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
