//! What one exchange carries through all answers: its ids, its time, and the words in which Graph
//! and Intune refuse. Intune packs its own JSON into `error.message` (Microsoft support article of
//! 2023-12-05, "403 Forbidden error when you query Intune objects in Graph Explorer").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::answer::Answer;
use super::dice::{Dice, Topic};

/// One exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    /// The number of the request, from 1.
    pub(super) ordinal: u64,
    /// The seed of the service.
    pub(super) seed: u64,
    /// The service's wall time when the request arrived.
    pub(super) at: Timestamp,
    /// The service's id of the request.
    pub(super) request_id: Uuid,
    /// The client's id of the request, echoed.
    pub(super) client_request_id: Option<String>,
}

/// The date format of HTTP (RFC 9110).
pub(super) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The header Graph sends with every answer so that support can find the machine.
const DIAGNOSTIC: &str =
    r#"{"ServerInfo":{"DataCenter":"Simulated West","Slice":"E","Ring":"3","ScaleUnit":"000","RoleInstance":"SIM0000000A"}}"#;

/// What Graph says with every 401.
const BEARER: &str = r#"Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000""#;

impl Context {
    pub(super) fn new(seed: u64, ordinal: u64, at: Timestamp, client_request_id: Option<String>) -> Self {
        let request_id = Dice::new(seed, Topic::Answer).nth(ordinal).guid();
        Self { ordinal, seed, at, request_id, client_request_id }
    }

    /// A die for the wording of this exchange.
    pub(super) fn dice(&self, purpose: u64) -> Dice {
        Dice::new(self.seed, Topic::Answer).nth(self.ordinal).nth(purpose)
    }

    /// Adds what every answer of Graph carries.
    pub(super) fn dress(&self, answer: Answer) -> Answer {
        let answer = answer.with("request-id", self.request_id.to_string()).with("x-ms-ags-diagnostic", DIAGNOSTIC);
        self.echo(answer)
    }

    /// Adds what every answer of Entra carries.
    pub(super) fn dress_entra(&self, answer: Answer) -> Answer {
        let answer = answer.with("x-ms-request-id", self.request_id.to_string());
        self.echo(answer)
    }

    fn echo(&self, answer: Answer) -> Answer {
        match &self.client_request_id {
            Some(id) => answer.with("client-request-id", id.clone()),
            None => answer,
        }
    }

    /// A refusal in Graph's own words.
    pub(super) fn graph(&self, status: u16, code: &str, message: &str) -> Answer {
        self.refusal(status, code, message)
    }

    /// A refusal by Intune: the message is JSON in a string.
    pub(super) fn intune(&self, status: u16, code: &str, message: &str, retry_after: Option<u64>) -> Answer {
        let nested = json!({
            "_version": 3,
            "Message": format!(
                "{message} - Operation ID (for customer support): {} - Activity ID: {} - Url: https://fef.msub05.manage.microsoft.com/DeviceFE/StatelessDeviceFEService?api-version=5026-09-20",
                Uuid::nil(),
                self.client_request_id.clone().unwrap_or_else(|| self.request_id.to_string()),
            ),
            "CustomApiErrorPhrase": "",
            "RetryAfter": retry_after,
            "ErrorSourceService": "",
            "HttpHeaders": "{}",
        });
        self.refusal(status, code, &nested.to_string())
    }

    /// Both spellings of the inner error occur.
    fn refusal(&self, status: u16, code: &str, message: &str) -> Answer {
        let inner = if self.dice(1).chance(0.5) { "innerError" } else { "innererror" };
        let mut error = json!({"code": code, "message": message});
        error[inner] = json!({
            "date": self.at.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": self.request_id.to_string(),
            "client-request-id": self.client_request_id,
        });
        Answer::json(status, &json!({"error": error}))
    }

    /// 401 with the header that Graph sends along.
    pub(super) fn unauthenticated(&self, message: &str) -> Answer {
        self.graph(401, "InvalidAuthenticationToken", message).with("www-authenticate", BEARER)
    }

    /// 401 for a token that was issued before something happened at `since` (article "claims challenge", 2024-04, and a
    /// challenge of Graph's in Azure's SDK for Java).
    pub(super) fn challenged(&self, since: Timestamp) -> Answer {
        let since = since.as_second().to_string();
        let claims = json!({"access_token": {"nbf": {"essential": true, "value": since}}});
        let message = "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp";
        self.graph(401, "InvalidAuthenticationToken", message).with(
            "www-authenticate",
            format!(r#"{BEARER}, error="insufficient_claims", claims="{}""#, STANDARD.encode(claims.to_string())),
        )
    }

    /// 403 that names the missing scopes.
    pub(super) fn forbidden(&self, scopes: &[&str]) -> Answer {
        let message = format!(
            "Application is not authorized to perform this operation. Application must have one of the following scopes: {}",
            scopes.join(", ")
        );
        self.intune(403, "Forbidden", &message, None)
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        Self::new(1, 1, "2026-11-22T04:14:00Z".parse().unwrap(), Some("from-the-client".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_intune_refusal_is_json_in_json() {
        let answer = Context::for_tests().forbidden(&["A", "B"]);
        let outer: Value = serde_json::from_slice(&answer.body).unwrap();
        let inner: Value = serde_json::from_str(outer["error"]["message"].as_str().unwrap()).unwrap();
        assert_eq!(answer.status, 403);
        assert!(inner["Message"].as_str().unwrap().contains("following scopes: A, B - Operation ID"));
        assert_eq!(inner["RetryAfter"], Value::Null);
    }

    #[test]
    fn every_answer_carries_the_ids_that_support_asks_for() {
        let answer = Context::for_tests().dress(Answer::empty(204));
        let names: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["request-id", "x-ms-ags-diagnostic", "client-request-id"]);
    }
}
