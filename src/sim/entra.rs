//! The simulated Entra: tokens for apps by client credentials, and the metadata of an authority.
//! Errors carry the AADSTS codes and texts of Microsoft's client-credentials page and error list.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Request;
use serde_json::json;
use uuid::Uuid;

use super::answer::Answer;
use super::context::Context;
use super::dice::{Dice, Topic};
use super::fault::Kind;
use super::query;
use super::service::Service;
use super::token::Claims;

/// An error of the token endpoint: status, OAuth error, AADSTS number, text.
type Denial = (u16, &'static str, u32, String);

impl Service {
    /// The metadata of an authority (`OpenID` Connect discovery).
    pub(super) fn discovery(&self, context: &Context, origin: &str, tenant: &str) -> Answer {
        let Some(id) = self.directory(tenant) else {
            return denied(context, &unknown_tenant(tenant, "invalid_tenant"));
        };
        let authority = format!("{origin}/{id}");
        let body = json!({
            "issuer": format!("{authority}/v2.0"),
            "token_endpoint": format!("{authority}/oauth2/v2.0/token"),
            "authorization_endpoint": format!("{authority}/oauth2/v2.0/authorize"),
            "jwks_uri": format!("{authority}/discovery/v2.0/keys"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "cloud_instance_name": "127.0.0.1",
            "msgraph_host": origin.trim_start_matches("http://"),
        });
        Answer::text(200, "application/json; charset=utf-8", body.to_string())
    }

    /// A token, or why not.
    pub(super) fn token(&mut self, context: &Context, origin: &str, tenant: &str, request: &Request<Bytes>) -> Answer {
        match self.grant(context, origin, tenant, request) {
            Ok(claims) => {
                self.log.entry(context.ordinal).into_iter().for_each(|entry| entry.app = Some(claims.app));
                let seconds = claims.expires - claims.issued;
                let body = json!({
                    "token_type": "Bearer",
                    "expires_in": seconds,
                    "ext_expires_in": seconds,
                    "access_token": self.mint.issue(&claims),
                });
                Answer::text(200, "application/json; charset=utf-8", body.to_string()).with("cache-control", "no-store, no-cache")
            }
            Err(denial) => denied(context, &denial),
        }
    }

    fn grant(&self, context: &Context, origin: &str, tenant: &str, request: &Request<Bytes>) -> Result<Claims, Denial> {
        let form = std::str::from_utf8(request.body()).unwrap_or_default();
        let given = |name: &str| query::value(form, name).filter(|value| !value.is_empty());
        let missing = |name: &str| {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            (400, "invalid_request", 900_144, text)
        };
        let id = self.directory(tenant).ok_or_else(|| unknown_tenant(tenant, "invalid_request"))?;
        let grant = given("grant_type").ok_or_else(|| missing("grant_type"))?;
        if grant != "client_credentials" {
            let text = format!("The app requested an unsupported grant type '{grant}'.");
            return Err((400, "unsupported_grant_type", 70_003, text));
        }
        let basic = basic(request);
        let client = given("client_id").map(String::from).or_else(|| basic.as_ref().map(|(id, _)| id.clone()));
        let client = client.ok_or_else(|| missing("client_id"))?;
        let app = Uuid::parse_str(&client).ok().filter(|app| self.knows(*app)).ok_or_else(|| {
            let text = format!("Application with identifier '{client}' was not found in the directory '{id}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.");
            (400, "unauthorized_client", 700_016, text)
        })?;
        let scope = given("scope").ok_or_else(|| missing("scope"))?;
        if scope != format!("{origin}/.default") {
            let text =
                format!("The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid.");
            return Err((400, "invalid_scope", 70_011, text));
        }
        let secret = given("client_secret").map(String::from).or_else(|| basic.map(|(_, secret)| secret));
        let secret = secret.ok_or_else(|| {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            (401, "invalid_client", 7_000_218, text.to_owned())
        })?;
        if secret != self.secret {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{app}'."
            );
            return Err((401, "invalid_client", 7_000_215, text));
        }
        Ok(self.claims(context, origin, id, app))
    }

    fn claims(&self, context: &Context, origin: &str, tenant: Uuid, app: Uuid) -> Claims {
        let mut dice = Dice::new(self.seed, Topic::Token).nth(context.ordinal);
        let lifetime = dice.within(self.behaviour.token_lifetime).max(Duration::from_secs(1));
        let issued = context.at.as_second();
        Claims {
            tenant,
            app,
            audience: origin.to_owned(),
            roles: self.behaviour.roles.clone(),
            issued,
            expires: issued.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX)),
            uti: dice.guid(),
        }
    }

    fn knows(&self, app: Uuid) -> bool {
        self.behaviour.apps.as_ref().is_none_or(|apps| apps.contains(&app))
    }

    /// What Entra answers when it is throttled or broken. For client credentials its 429 is plain text
    /// with `Retry-After: 60` (MSAL documentation, client and server throttling).
    pub(super) fn entra_trouble(&self, kind: &Kind) -> Option<Answer> {
        match kind {
            Kind::Throttle(_) => {
                let seconds = self.behaviour.token_retry_after.as_secs();
                Some(Answer::text(429, "text/plain", "Too Many Requests").with("retry-after", seconds.to_string()))
            }
            Kind::Status { status, .. } => {
                Some(Answer::text(*status, "text/html", "<html><body>Service unavailable</body></html>"))
            }
            Kind::TokenExpired | Kind::None | Kind::Slow(_) | Kind::Page | Kind::Hang | Kind::Cut | Kind::Canned(_) => None,
        }
    }
}

fn unknown_tenant(tenant: &str, error: &'static str) -> Denial {
    let text = format!(
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."
    );
    (400, error, 90_002, text)
}

/// The name and the secret of HTTP Basic, both form-encoded (RFC 6749, 2.3.1).
fn basic(request: &Request<Bytes>) -> Option<(String, String)> {
    let header = request.headers().get("authorization")?.to_str().ok()?;
    let (scheme, credentials) = header.split_once(' ')?;
    let decoded = STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((query::decode(name).into_owned(), query::decode(secret).into_owned()))
}

fn denied(context: &Context, (status, error, number, text): &Denial) -> Answer {
    let timestamp = context.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let trace = context.request_id.to_string();
    let correlation = context.client_request_id.clone().unwrap_or_else(|| trace.clone());
    let body = json!({
        "error": error,
        "error_description": format!(
            "AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"
        ),
        "error_codes": [number],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
    });
    Answer::text(*status, "application/json; charset=utf-8", body.to_string())
}
