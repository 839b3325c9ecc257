//! Sends one revocation exactly as Graph wants it, and hands the answer to be judged.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder};

use super::root::GraphRoot;
use super::verdict::{Response, judge, unanswered};
use crate::auth::{Bearer, TokenError, Tokens, causes, http_date};
use crate::clock::Clock;
use crate::exec::{Answer, NoToken, Order, Transport, Verdict};
use crate::model::{Body, REMOVED, Reached, TenantId, VppOptions};

/// Added to a wait for a token: the keeper measures it by a clock of its own.
const KEEPERS_MARGIN: Duration = Duration::from_millis(10);

/// Largest error body read, in bytes; Graph's are a few thousand.
const LARGEST_BODY: usize = 64 * 1024;

/// Where bearers come from.
pub trait TokenSource: Send + Sync + 'static {
    /// Whether a bearer is there that is valid now.
    fn is_ready(&self, tenant: TenantId) -> bool;

    /// The bearer that is there, without waiting for one.
    fn kept(&self, tenant: TenantId) -> Option<Bearer>;

    /// A bearer that is valid now.
    fn token(&self, tenant: TenantId) -> impl Future<Output = Result<Bearer, TokenError>> + Send;

    /// The service refused this bearer: the next caller gets a fresh one.
    fn refused(&self, tenant: TenantId, bearer: &Bearer);
}

impl TokenSource for Tokens {
    fn is_ready(&self, tenant: TenantId) -> bool {
        self.is_ready(tenant)
    }

    fn kept(&self, tenant: TenantId) -> Option<Bearer> {
        self.kept(tenant)
    }

    async fn token(&self, tenant: TenantId) -> Result<Bearer, TokenError> {
        self.token(tenant).await
    }

    fn refused(&self, tenant: TenantId, bearer: &Bearer) {
        self.refused(tenant, bearer);
    }
}

/// Microsoft Graph, as one app over several tenants.
#[derive(Debug)]
pub struct Graph<S> {
    client: Client,
    root: GraphRoot,
    tokens: Arc<S>,
    clock: Clock,
}

impl<S: TokenSource> Graph<S> {
    /// Nothing is sent yet.
    pub const fn new(client: Client, root: GraphRoot, tokens: Arc<S>, clock: Clock) -> Self {
        Self { client, root, tokens, clock }
    }

    fn request(&self, order: &Order, bearer: &Bearer) -> RequestBuilder {
        let facts = order.item.kind.facts();
        let url = self.root.beta(&format!("{}/{}/{}", facts.collection, order.item.id, facts.action));
        let request = self
            .client
            .post(url)
            .bearer_auth(bearer.expose())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header("client-request-id", order.client_request_id.to_string());
        match facts.body {
            // Some front ends answer 411 to a POST that does not say how long it is.
            Body::Empty => request.header(CONTENT_LENGTH, HeaderValue::from_static("0")),
            Body::VppOptions => {
                request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(vpp_body(order.item.options))
            }
        }
    }
}

impl<S: TokenSource> Transport for Graph<S> {
    fn is_ready(&self, tenant: TenantId) -> bool {
        self.tokens.is_ready(tenant)
    }

    async fn sign_in(&self, tenant: TenantId) -> Result<(), NoToken> {
        match self.tokens.token(tenant).await {
            Ok(_) if self.tokens.is_ready(tenant) => Ok(()),
            // A token that lives shorter than it takes to get it is none.
            Ok(_) => Err(NoToken {
                message: "failed to sign in: the token had expired when it came".to_owned(),
                retry: Some(Duration::ZERO),
            }),
            Err(error) => Err(no_token(&error)),
        }
    }

    async fn send(&self, order: Order) -> Answer {
        let tenant = order.item.tenant;
        // Whoever may go must not wait here for a token: a pause could begin meanwhile.
        let Some(bearer) = self.tokens.kept(tenant) else {
            return Answer { verdict: Verdict::NoToken, ..unanswered(Reached::NotSent, "no token".to_owned()) };
        };
        let answer = match self.request(&order, &bearer).send().await {
            Ok(response) => {
                let (response, date) = read(response, bearer.expose()).await;
                judge(response, date.unwrap_or_else(|| self.clock.wall()))
            }
            Err(error) => no_answer(error),
        };
        if answer.verdict == Verdict::Unauthorized {
            self.tokens.refused(tenant, &bearer);
        }
        let answer = Answer { token: Some(bearer.serial()), ..answer };
        tracing::debug!(
            kind = %order.item.kind,
            id = %order.item.id,
            status = answer.http_status,
            request_id = answer.request_id,
            client_request_id = %order.client_request_id,
            said = answer.message,
            "answered"
        );
        answer
    }
}

/// A page or a proxy may repeat what it was sent: a bearer must not get into logs and reports that way. This
/// happens before anything is cut to a length, which would leave half of it.
fn without(secret: &str, text: &str) -> String {
    text.replace(secret, REMOVED)
}

/// Both Booleans, always: whether the service takes a body without them is not documented.
fn vpp_body(options: VppOptions) -> String {
    serde_json::json!({
        "notifyManagedDevices": options.notify_managed_devices,
        "revokeUntrackedLicenses": options.revoke_untracked_licenses,
    })
    .to_string()
}

/// What of an answer is judged, and its own `Date`. An error body that breaks off does not undo the status.
async fn read(mut response: reqwest::Response, secret: &str) -> (Response, Option<Timestamp>) {
    let headers = response.headers();
    let date = text(headers, DATE.as_str()).and_then(|date| http_date(&date));
    let mut kept = Response {
        status: response.status().as_u16(),
        retry_after: headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect(),
        approval_code: text(headers, "x-msft-approval-code").map(|code| without(secret, &code)),
        request_id: text(headers, "request-id").map(|id| without(secret, &id)),
        body: Vec::new(),
    };
    while kept.status != 204 && kept.body.len() < LARGEST_BODY {
        match response.chunk().await {
            Ok(Some(chunk)) => kept.body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    if !kept.body.is_empty() {
        kept.body = without(secret, &String::from_utf8_lossy(&kept.body)).into_bytes();
    }
    (kept, date)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A connection that was never made carried nothing; everything later may have arrived.
fn no_answer(error: reqwest::Error) -> Answer {
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        unanswered(Reached::NotSent, causes(&error))
    } else if error.is_timeout() {
        unanswered(Reached::Maybe, "no answer before the time limit of one request (--timeout)".to_owned())
    } else {
        unanswered(Reached::Maybe, causes(&error))
    }
}

fn no_token(error: &TokenError) -> NoToken {
    let retry = match error {
        // A moment more than asked, so that the keeper's own wait is over when we come back.
        TokenError::Passing { after, .. } => Some(after.unwrap_or_default() + KEEPERS_MARGIN),
        TokenError::Permanent { .. } | TokenError::WrongTenant { .. } | TokenError::OpaqueToken { .. } => None,
    };
    NoToken { message: format!("failed to {error}"), retry }
}
