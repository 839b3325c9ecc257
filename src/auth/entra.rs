//! One token request: `azure_identity` builds it, our transport sends it and keeps the raw answer, our code judges that.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::CloudConfiguration;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{
    AsyncRawResponse, Body, ClientMethodOptions, ClientOptions, HttpClient, Request, RetryOptions, Transport,
};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions,
};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::answer::{Answer, Fault};
use super::bearer::{Bearer, Claims};
use super::found::Memory;
use super::hints;
use super::{Authority, Credential, Method, SignIn, TokenError, Wires};
use crate::clock::Clock;

/// A token that just came.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) bearer: Bearer,
    /// `expires_in`: counts from the moment it was issued, so from no earlier than the request. Never zero.
    pub(super) life: Duration,
}

/// Where fresh tokens come from. Each call asks anew, with what that takes: no cache, no retry, no sleep.
#[async_trait]
pub(super) trait Source: Send + Sync + 'static {
    async fn fresh(&self, sign_in: &SignIn) -> Result<Fresh, TokenError>;
}

/// The token endpoint, `POST {authority}/{tenant}/oauth2/v2.0/token`
/// (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>).
pub(super) struct Entra {
    pub(super) wires: Wires,
    pub(super) authority: Authority,
    pub(super) scope: String,
    pub(super) clock: Clock,
    /// Which ways to sign in were found.
    pub(super) memory: Memory,
}

/// What an app proves itself with.
pub(super) enum Proof<'a> {
    Secret(&'a SecretString),
    /// A signed JWT.
    Assertion(SecretString),
}

#[async_trait]
impl Source for Entra {
    async fn fresh(&self, sign_in: &SignIn) -> Result<Fresh, TokenError> {
        self.by(sign_in, &sign_in.credential).await
    }
}

impl Entra {
    /// A token by this credential of the tenant.
    pub(super) async fn by(&self, sign_in: &SignIn, credential: &Credential) -> Result<Fresh, TokenError> {
        match credential {
            Credential::ClientSecret(secret) => {
                let now = secret.now().await;
                self.exchange(sign_in, Method::ClientSecret, Proof::Secret(&now)).await
            }
            Credential::Certificate(certificate) => super::certificate::fresh(self, sign_in, certificate).await,
            Credential::Federated(federation) => super::federated::fresh(self, sign_in, federation).await,
            Credential::ManagedIdentity(identity) => super::managed::fresh(self, sign_in, identity).await,
            Credential::DeviceCode(file) => super::device::fresh(self, sign_in, file).await,
            Credential::AzureCli => super::azure_cli::fresh(self, sign_in).await,
            Credential::Token(token) => super::given::fresh(self, sign_in, token).await,
            // Boxed: a candidate is asked by this same function.
            Credential::Found(candidates) => Box::pin(super::found::fresh(self, sign_in, candidates)).await,
        }
    }

    /// The client-credentials grant.
    pub(super) async fn exchange(&self, sign_in: &SignIn, method: Method, proof: Proof<'_>) -> Result<Fresh, TokenError> {
        let secrets = shapes(proof.expose());
        let answer = self.ask(sign_in, proof).await.and_then(|answer| match answer.fault(&secrets) {
            Some(fault) => Err(fault),
            None => Ok(answer),
        });
        let answer = answer.map_err(|fault| failed(sign_in, fault))?;
        let (token, life) = token_in(&answer).map_err(|fault| failed(sign_in, fault))?;
        Ok(Fresh { bearer: accept(sign_in, method, token)?, life })
    }

    /// A new credential object each time: its own cache cannot be emptied and goes by the wall clock.
    async fn ask(&self, sign_in: &SignIn, proof: Proof<'_>) -> Result<Answer, Fault> {
        let secrets = shapes(proof.expose());
        let client = self.wires.to(self.authority.base()).clone();
        let recorder = Arc::new(Recorder { client, authority: self.authority.clone(), heard: Mutex::new(None) });
        let options = ClientOptions {
            transport: Some(Transport::new(recorder.clone())),
            retry: RetryOptions::none(),
            // Named, because without it azure_identity reads AZURE_AUTHORITY_HOST; the recorder goes to our authority anyway.
            cloud: Some(Arc::new(CloudConfiguration::AzurePublic)),
            ..ClientOptions::default()
        };
        let asked = match credential(sign_in, proof, options) {
            Ok(credential) => credential.get_token(&[self.scope.as_str()], None).await.map(drop),
            Err(error) => Err(error),
        };
        // Its own verdict is not used: it refuses an `expires_in` that is a string and calls a plain-text 429 bad JSON.
        recorder.heard().unwrap_or_else(|| {
            let why = asked.err().map_or_else(|| "no request was made".to_owned(), |error| error.to_string());
            Err(Fault::Permanent(hints::blank(&why, &secrets)))
        })
    }
}

impl Proof<'_> {
    fn expose(&self) -> &str {
        match self {
            Self::Secret(secret) => secret.expose_secret(),
            Self::Assertion(assertion) => assertion.expose_secret(),
        }
    }
}

fn credential(sign_in: &SignIn, proof: Proof<'_>, client_options: ClientOptions) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let (tenant, app) = (sign_in.tenant.to_string(), sign_in.client_id.clone());
    Ok(match proof {
        Proof::Secret(secret) => {
            let options = ClientSecretCredentialOptions { client_options };
            ClientSecretCredential::new(&tenant, app, Secret::new(secret.expose_secret().to_owned()), Some(options))?
        }
        Proof::Assertion(assertion) => {
            let options = ClientAssertionCredentialOptions { client_options };
            ClientAssertionCredential::new(tenant, app, Ready(assertion), Some(options))?
        }
    })
}

/// An assertion that is there already. `Debug` shows nothing of it.
#[derive(Debug)]
struct Ready(SecretString);

#[async_trait]
impl ClientAssertion for Ready {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.0.expose_secret().to_owned())
    }
}

/// Sends the credential's request to our authority through our client, and remembers what came back.
struct Recorder {
    client: reqwest::Client,
    authority: Authority,
    heard: Mutex<Option<Result<Answer, Fault>>>,
}

impl Recorder {
    fn heard(&self) -> Option<Result<Answer, Fault>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("authority", &self.authority).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Recorder {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let Body::Bytes(body) = request.body().clone() else {
            return Err(azure_core::Error::with_message(ErrorKind::Other, "the sign-in request has a streamed body"));
        };
        let mut ours = self.client.post(self.authority.at(request.url().path())).body(body);
        for (name, value) in request.headers().iter() {
            ours = ours.header(name.as_str(), value.as_str());
        }
        let heard = Answer::of(ours).await;
        let reply = match &heard {
            Ok(answer) => Ok(AsyncRawResponse::from_bytes(answer.status.as_u16().into(), Headers::new(), answer.body.clone())),
            Err(_) => Err(azure_core::Error::with_message(ErrorKind::Io, "no answer")),
        };
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
        reply
    }
}

/// The secret as it is and as it stands in a form, to blank out both.
pub(super) fn shapes(secret: &str) -> Vec<String> {
    let form = Url::parse_with_params("http://form", [("s", secret)]).ok();
    let form = form.and_then(|url| url.query().and_then(|query| query.strip_prefix("s=")).map(str::to_owned));
    std::iter::once(secret.to_owned()).chain(form).collect()
}

pub(super) fn failed(sign_in: &SignIn, fault: Fault) -> TokenError {
    let label = &sign_in.label;
    match fault {
        Fault::Permanent(message) => TokenError::Permanent { message: format!("{label}: {message}") },
        Fault::Passing(message, after) => TokenError::Passing { message: format!("{label}: {message}"), after },
    }
}

pub(super) fn token_in(answer: &Answer) -> Result<(SecretString, Duration), Fault> {
    let body = answer.json();
    let token = text_in(answer, "access_token")?;
    let life = body.get("expires_in").and_then(seconds).filter(|life| !life.is_zero());
    Ok((token, life.ok_or_else(|| answer.useless("a usable expires_in"))?))
}

/// A token under this name.
pub(super) fn text_in(answer: &Answer, name: &str) -> Result<SecretString, Fault> {
    let body = answer.json();
    let token = body.get(name).and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(answer.useless("a token"));
    }
    Ok(token.into())
}

/// Seconds as a number, or as a text that holds one: both are seen, with and without a fraction.
pub(super) fn seconds(value: &Value) -> Option<Duration> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Duration::try_from_secs_f64(number).ok()
}

/// Holds the token against the tenant asked for. A token that shows another tenant is never accepted.
pub(super) fn accept(sign_in: &SignIn, method: Method, token: SecretString) -> Result<Bearer, TokenError> {
    match Claims::read(token.expose_secret()) {
        Ok(Claims { tenant: Some(found), .. }) if found != sign_in.tenant => {
            Err(TokenError::WrongTenant { expected: sign_in.tenant, found, method })
        }
        Ok(claims) => Ok(Bearer::new(token, method, claims)),
        Err(_) if sign_in.allow_opaque => Ok(Bearer::new(token, method, Claims::default())),
        Err(why) => Err(TokenError::OpaqueToken { tenant: sign_in.tenant, why }),
    }
}
