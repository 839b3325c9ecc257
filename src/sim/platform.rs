//! The platforms that give a program an identity: a virtual machine's metadata service, App Service, GitHub Actions and
//! Azure Pipelines (their documentation as of 2026; it leaves the statuses of most refusals open).

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, Request};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::admission::text_header;
use super::answer::Answer;
use super::context::Context;
use super::issuer::Issuer;
use super::query;
use super::registration::FederatedCredential;
use super::service::Service;
use super::token::Claims;

/// What the platforms know about the program that asks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The tenant of a managed identity's tokens, whatever tenant was meant; `None` is the first one.
    pub tenant: Option<Uuid>,
    /// The app id of the machine's own identity; `None` is no such identity.
    pub system: Option<Uuid>,
    /// The identities that were assigned to it; `None` is any.
    pub assigned: Option<Vec<Assigned>>,
    /// What lets a program ask: `IDENTITY_HEADER`, `ACTIONS_ID_TOKEN_REQUEST_TOKEN` and `SYSTEM_ACCESSTOKEN`.
    pub secret: String,
    /// Whom GitHub's tokens are about.
    pub github_subject: String,
    /// Whom Azure Pipelines' tokens are about.
    pub pipelines_subject: String,
    /// The service connections; `None` is any.
    pub connections: Option<Vec<String>>,
}

/// A user-assigned identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Its app (client) id.
    pub client: Uuid,
    /// Its object (principal) id.
    pub object: Uuid,
    /// Its resource id.
    pub resource: String,
}

impl Default for Platform {
    /// A machine with its own identity and any other; the secret is `simulated`.
    fn default() -> Self {
        Self {
            tenant: None,
            system: Some(Uuid::from_u128(0x5e1f)),
            assigned: None,
            secret: "simulated".to_owned(),
            github_subject: "repo:octo-org/octo-repo:ref:refs/heads/main".to_owned(),
            pipelines_subject: "sc://octo-org/octo-project/octo-connection".to_owned(),
            connections: None,
        }
    }
}

/// How long a job's token lives: GitHub documents 5 minutes, Azure Pipelines' end after 10.
const GITHUB_LIFETIME: Duration = Duration::from_mins(5);
const PIPELINES_LIFETIME: Duration = Duration::from_mins(10);

/// The versions of the metadata service's interface that clients use.
const VERSIONS: [&str; 2] = ["2018-02-01", "2019-08-01"];

/// A platform's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// `/metadata/identity/oauth2/token`
    VirtualMachine,
    /// `/msi/token`
    AppService,
    /// `/_github/token`
    GitHub,
    /// `/_pipelines/oidc`
    AzurePipelines,
}

impl Door {
    const fn method(self) -> Method {
        match self {
            Self::VirtualMachine | Self::AppService | Self::GitHub => Method::GET,
            Self::AzurePipelines => Method::POST,
        }
    }
}

/// A request to a platform.
struct Visit<'a> {
    context: &'a Context,
    origin: &'a str,
    request: &'a Request<Bytes>,
}

impl<'a> Visit<'a> {
    fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        query::value(self.request.uri().query().unwrap_or_default(), name).filter(|value| !value.is_empty())
    }

    /// Whether it brings what lets it ask.
    fn bears(&self, secret: &str) -> bool {
        let bearer = text_header(self.request, "authorization").and_then(|value| value.split_once(' '));
        bearer.is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token == secret)
    }
}

impl Service {
    /// What a platform says.
    pub(super) fn platform(&mut self, context: &Context, origin: &str, door: Door, request: &Request<Bytes>) -> Answer {
        if *request.method() != door.method() {
            return Answer::empty(405).with("allow", door.method().as_str());
        }
        let visit = Visit { context, origin, request };
        let answer = match door {
            Door::VirtualMachine => self.metadata(&visit),
            Door::AppService => self.app_service(&visit),
            Door::GitHub => self.github(&visit),
            Door::AzurePipelines => self.pipelines(&visit),
        };
        let (Ok(answer) | Err(answer)) = answer;
        answer
    }

    /// The metadata service of a virtual machine (article `how-to-use-vm-token`).
    fn metadata(&mut self, visit: &Visit<'_>) -> Result<Answer, Answer> {
        let wrong = |error: &str, text: &str| json_answer(400, &json!({"error": error, "error_description": text}));
        if text_header(visit.request, "metadata") != Some("true") {
            return Err(wrong("bad_request_102", "Required metadata header not specified"));
        }
        if !visit.value("api-version").is_some_and(|version| VERSIONS.contains(&version.as_ref())) {
            let text =
                "Bad request. api-version was not specified in the request. For more information refer to aka.ms/azureimds";
            return Err(json_answer(400, &json!({"error": text, "newest-versions": VERSIONS})));
        }
        let missing = || wrong("invalid_request", "Required query variable 'resource' is missing");
        let resource = visit.value("resource").ok_or_else(missing)?;
        if resource.trim_end_matches('/') != visit.origin {
            let text = format!("AADSTS50001: The application named {resource} wasn't found in the tenant named {}.", self.home());
            return Err(wrong("invalid_resource", &text));
        }
        let app = self.identity(visit).ok_or_else(|| wrong("invalid_request", "Identity not found"))?;
        let claims = self.machine_claims(visit, app);
        let life = claims.expires - claims.issued;
        Ok(json_answer(
            200,
            &json!({
                "access_token": self.mint.issue(&claims),
                "client_id": app.to_string(),
                "expires_in": life.to_string(),
                "expires_on": claims.expires.to_string(),
                "ext_expires_in": life.to_string(),
                "not_before": claims.issued.to_string(),
                "resource": resource,
                "token_type": "Bearer",
            }),
        ))
    }

    /// App Service, Functions and Container Apps (article "managed identities for App Service"). How it refuses is not
    /// documented; Microsoft's libraries read this shape.
    fn app_service(&mut self, visit: &Visit<'_>) -> Result<Answer, Answer> {
        let correlation = visit.context.request_id.to_string();
        let wrong = |status, text: &str| {
            json_answer(status, &json!({"statusCode": status, "message": text, "correlationId": correlation}))
        };
        if text_header(visit.request, "x-identity-header") != Some(self.platform.secret.as_str()) {
            return Err(wrong(401, "Unauthorized"));
        }
        if visit.value("api-version").as_deref() != Some("2019-08-01") {
            return Err(wrong(400, "The api-version is not supported."));
        }
        if visit.value("resource").as_deref() != Some(visit.origin) {
            return Err(wrong(400, "The resource is not valid."));
        }
        let app = self.identity(visit).ok_or_else(|| wrong(400, "Unable to load the proper Managed Identity."))?;
        let claims = self.machine_claims(visit, app);
        Ok(json_answer(
            200,
            &json!({
                "access_token": self.mint.issue(&claims),
                "client_id": app.to_string(),
                "expires_on": claims.expires.to_string(),
                "resource": visit.origin,
                "token_type": "Bearer",
            }),
        ))
    }

    /// A GitHub job's token (article "`OpenID` Connect reference").
    fn github(&mut self, visit: &Visit<'_>) -> Result<Answer, Answer> {
        if !visit.bears(&self.platform.secret) {
            return Err(json_answer(401, &json!({"message": "Unauthorized"})));
        }
        let audience = visit.value("audience").unwrap_or(Cow::Borrowed("https://github.com/octo-org"));
        let said = Said { issuer: Issuer::GitHub, subject: &self.platform.github_subject.clone(), audience: &audience };
        let token = self.vouch(visit.context.at, &said, GITHUB_LIFETIME);
        Ok(json_answer(200, &json!({"count": token.len(), "value": token})))
    }

    /// An Azure Pipelines job's token (REST reference, "oidctoken - create", 7.1).
    fn pipelines(&mut self, visit: &Visit<'_>) -> Result<Answer, Answer> {
        let wrong = |status, text: String| json_answer(status, &json!({"message": text}));
        if !visit.bears(&self.platform.secret) {
            return Err(wrong(401, "Access denied.".to_owned()));
        }
        if !visit.value("api-version").is_some_and(|version| version.starts_with("7.1")) {
            return Err(wrong(400, "The api-version is not supported.".to_owned()));
        }
        let connection = visit.value("serviceConnectionId").unwrap_or_default();
        let is_known = |known: &Vec<String>| known.iter().any(|one| *one == connection);
        if connection.is_empty() || !self.platform.connections.as_ref().is_none_or(is_known) {
            return Err(wrong(404, format!("No service connection found with identifier {connection}.")));
        }
        let subject = self.platform.pipelines_subject.clone();
        let said = Said { issuer: Issuer::AzurePipelines, subject: &subject, audience: FederatedCredential::AUDIENCE };
        let token = self.vouch(visit.context.at, &said, PIPELINES_LIFETIME);
        Ok(json_answer(200, &json!({"oidcToken": token})))
    }

    /// The tenant that managed identities belong to.
    fn home(&self) -> Uuid {
        self.platform.tenant.or_else(|| self.tenants.first().map(|tenant| tenant.id)).unwrap_or_default()
    }

    /// Which identity is meant, by whichever of its ids.
    fn identity(&self, visit: &Visit<'_>) -> Option<Uuid> {
        let named = ["client_id", "object_id", "principal_id", "msi_res_id", "mi_res_id"];
        let Some((by, id)) = named.into_iter().find_map(|name| Some((name, visit.value(name)?))) else {
            return self.platform.system;
        };
        let Some(assigned) = &self.platform.assigned else {
            // Any identity: a client id is its own answer, behind another id stands the same app each time.
            return Some(Uuid::parse_str(&id).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_URL, id.as_bytes())));
        };
        let is_meant = |one: &&Assigned| match by {
            "client_id" => one.client.to_string() == id.to_lowercase(),
            "object_id" | "principal_id" => one.object.to_string() == id.to_lowercase(),
            _ => one.resource.eq_ignore_ascii_case(&id),
        };
        assigned.iter().find(is_meant).map(|one| one.client)
    }

    fn machine_claims(&mut self, visit: &Visit<'_>, app: Uuid) -> Claims {
        let home = self.home();
        self.log.entry(visit.context.ordinal).into_iter().for_each(|entry| (entry.tenant, entry.app) = (Some(home), Some(app)));
        self.claims(visit.context, visit.origin, home, app)
    }

    /// A token of an issuer; empty where the machine cannot make a key.
    fn vouch(&mut self, now: Timestamp, said: &Said<'_>, lifetime: Duration) -> String {
        let now = now.as_second();
        let claims = json!({
            "iss": said.issuer.url(),
            "sub": said.subject,
            "aud": said.audience,
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX)),
        });
        self.notary.sign(&claims).unwrap_or_default()
    }

    /// An issuer's token for the recommended audience.
    pub fn federated_token(&mut self, now: Duration, (issuer, subject): (Issuer, &str), lifetime: Duration) -> String {
        let said = Said { issuer, subject, audience: FederatedCredential::AUDIENCE };
        self.vouch(self.start + now, &said, lifetime)
    }
}

/// What an issuer says: about whom, to whom.
struct Said<'a> {
    issuer: Issuer,
    subject: &'a str,
    audience: &'a str,
}

fn json_answer(status: u16, body: &Value) -> Answer {
    Answer::text(status, "application/json; charset=utf-8", body.to_string())
}
