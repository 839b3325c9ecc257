//! How Entra refuses: a status, an OAuth error, mostly a number, and a text. Words and numbers are those of Microsoft's
//! error list and of reports with whole answers in them; where nobody reported a number, there is none.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::answer::Answer;
use super::context::Context;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    status: u16,
    error: &'static str,
    number: Option<u32>,
    text: String,
}

impl Denial {
    pub(super) fn new(status: u16, error: &'static str, number: u32, text: impl Into<String>) -> Self {
        Self { status, error, number: Some(number), text: text.into() }
    }

    /// One whose number is not known.
    pub(super) fn unnumbered(error: &'static str, text: impl Into<String>) -> Self {
        Self { status: 400, error, number: None, text: text.into() }
    }

    /// The app did not prove itself.
    pub(super) fn client(number: u32, text: impl Into<String>) -> Self {
        Self::new(401, "invalid_client", number, text)
    }

    /// The grant does not count.
    pub(super) fn grant(number: u32, text: impl Into<String>) -> Self {
        Self::new(400, "invalid_grant", number, text)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        let text = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::new(400, "invalid_request", 900_144, text)
    }

    pub(super) fn verb(allowed: &str, received: &str) -> Self {
        let text = format!("The endpoint only accepts {allowed} requests. Received a {received} request.");
        Self::new(405, "invalid_request", 900_561, text)
    }

    pub(super) fn unknown_tenant(tenant: &str, error: &'static str) -> Self {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."
        );
        Self::new(400, error, 90_002, text)
    }

    pub(super) fn unknown_app(app: &str, tenant: Uuid) -> Self {
        let text = format!(
            "Application with identifier '{app}' was not found in the directory '{tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."
        );
        Self::new(400, "unauthorized_client", 700_016, text)
    }

    pub(super) fn scope(scope: &str) -> Self {
        let text = format!("The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid.");
        Self::new(400, "invalid_scope", 70_011, text)
    }

    pub(super) fn consent(app: Uuid) -> Self {
        let text = format!(
            "The user or administrator has not consented to use the application with ID '{app}' named 'Simulated'. Send an interactive authorization request for this user and resource."
        );
        Self::grant(65_001, text)
    }

    /// The body that Entra sends.
    pub(super) fn answer(&self, context: &Context) -> Answer {
        let timestamp = context.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let trace = context.request_id.to_string();
        let correlation = context.client_request_id.clone().unwrap_or_else(|| trace.clone());
        let number = self.number.map(|number| format!("AADSTS{number}: ")).unwrap_or_default();
        let mut body = json!({
            "error": self.error,
            "error_description": format!(
                "{number}{} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}", self.text
            ),
            "error_codes": self.number.into_iter().collect::<Vec<_>>(),
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
        });
        if let Some(number) = self.number {
            body["error_uri"] = format!("https://login.microsoftonline.com/error?code={number}").into();
        }
        Answer::text(self.status, "application/json; charset=utf-8", body.to_string())
    }
}

/// A time as Entra writes it into its texts.
pub(super) fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%7fZ").to_string()
}
