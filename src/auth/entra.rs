//! One token request: `azure_identity` builds it, our transport sends it and keeps the raw answer, our code judges that.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::CloudConfiguration;
use azure_core::credentials::{Secret, TokenCredential as _};
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, ClientOptions, HttpClient, Request, RetryOptions, Transport};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::answer::{Answer, Fault};
use super::bearer::{Bearer, Claims};
use super::hints;
use super::{Authority, Credential, SignIn, TokenError};

/// A token that just came.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) bearer: Bearer,
    /// `expires_in`: counts from the moment it was issued, so from no earlier than the request. Never zero.
    pub(super) life: Duration,
}

/// Where fresh tokens come from. One call is one request: no cache, no retry, no sleep.
#[async_trait]
pub(super) trait Source: Send + Sync + 'static {
    async fn fresh(&self, sign_in: &SignIn) -> Result<Fresh, TokenError>;
}

/// The token endpoint, `POST {authority}/{tenant}/oauth2/v2.0/token`
/// (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>).
pub(super) struct Entra {
    pub(super) client: reqwest::Client,
    pub(super) authority: Authority,
    pub(super) scope: String,
}

#[async_trait]
impl Source for Entra {
    async fn fresh(&self, sign_in: &SignIn) -> Result<Fresh, TokenError> {
        let Credential::ClientSecret(secret) = &sign_in.credential;
        let secrets = shapes(secret.expose_secret());
        let answer = self.ask(sign_in, secret).await.and_then(|answer| match answer.fault(&secrets) {
            Some(fault) => Err(fault),
            None => Ok(answer),
        });
        let answer = answer.map_err(|fault| failed(sign_in, fault))?;
        let (token, life) = token_in(&answer).map_err(|fault| failed(sign_in, fault))?;
        Ok(Fresh { bearer: accept(sign_in, token)?, life })
    }
}

impl Entra {
    /// A new credential object each time: its own cache cannot be emptied and goes by the wall clock.
    async fn ask(&self, sign_in: &SignIn, secret: &SecretString) -> Result<Answer, Fault> {
        let recorder =
            Arc::new(Recorder { client: self.client.clone(), authority: self.authority.clone(), heard: Mutex::new(None) });
        let options = ClientOptions {
            transport: Some(Transport::new(recorder.clone())),
            retry: RetryOptions::none(),
            // Named, because without it azure_identity reads AZURE_AUTHORITY_HOST; the recorder goes to our authority anyway.
            cloud: Some(Arc::new(CloudConfiguration::AzurePublic)),
            ..ClientOptions::default()
        };
        let asked = match ClientSecretCredential::new(
            &sign_in.tenant.to_string(),
            sign_in.client_id.clone(),
            Secret::new(secret.expose_secret().to_owned()),
            Some(ClientSecretCredentialOptions { client_options: options }),
        ) {
            Ok(credential) => credential.get_token(&[self.scope.as_str()], None).await.map(drop),
            Err(error) => Err(error),
        };
        // Its own verdict is not used: it refuses an `expires_in` that is a string and calls a plain-text 429 bad JSON.
        match recorder.heard() {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(message)) => Err(Fault::Passing(message, None)),
            None => {
                let why = asked.err().map_or_else(|| "no request was made".to_owned(), |error| error.to_string());
                Err(Fault::Permanent(hints::blank(&why, &shapes(secret.expose_secret()))))
            }
        }
    }
}

/// Sends the credential's request to our authority through our client, and remembers what came back.
struct Recorder {
    client: reqwest::Client,
    authority: Authority,
    heard: Mutex<Option<Result<Answer, String>>>,
}

impl Recorder {
    fn heard(&self) -> Option<Result<Answer, String>> {
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
            Err(message) => Err(azure_core::Error::with_message(ErrorKind::Io, message.clone())),
        };
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
        reply
    }
}

/// The secret as it is and as it stands in a form, to blank out both.
fn shapes(secret: &str) -> Vec<String> {
    let form = Url::parse_with_params("http://form", [("s", secret)]).ok();
    let form = form.and_then(|url| url.query().and_then(|query| query.strip_prefix("s=")).map(str::to_owned));
    std::iter::once(secret.to_owned()).chain(form).collect()
}

fn failed(sign_in: &SignIn, fault: Fault) -> TokenError {
    let label = &sign_in.label;
    match fault {
        Fault::Permanent(message) => TokenError::Permanent { message: format!("{label}: {message}") },
        Fault::Passing(message, after) => TokenError::Passing { message: format!("{label}: {message}"), after },
    }
}

fn token_in(answer: &Answer) -> Result<(SecretString, Duration), Fault> {
    let body = answer.json();
    let token = body.get("access_token").and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(answer.useless("a token"));
    }
    let life = match body.get("expires_in") {
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(number) => number.as_u64(),
        None => None,
    };
    match life {
        Some(seconds) if seconds > 0 => Ok((token.into(), Duration::from_secs(seconds))),
        Some(_) | None => Err(answer.useless("a usable expires_in")),
    }
}

/// Holds the token against the tenant asked for. A token that shows another tenant is never accepted.
fn accept(sign_in: &SignIn, token: SecretString) -> Result<Bearer, TokenError> {
    match Claims::read(token.expose_secret()) {
        Ok(Claims { tenant: Some(found), .. }) if found != sign_in.tenant => {
            Err(TokenError::WrongTenant { expected: sign_in.tenant, found })
        }
        Ok(claims) => Ok(Bearer::new(token, claims)),
        Err(_) if sign_in.allow_opaque => Ok(Bearer::new(token, Claims::default())),
        Err(why) => Err(TokenError::OpaqueToken { tenant: sign_in.tenant, why }),
    }
}
