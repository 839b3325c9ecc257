//! Sends one revocation, or one read, exactly as Graph wants it, and hands the answer to be judged.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder};
use uuid::Uuid;

use super::root::GraphRoot;
use super::verdict::{CODE, JUSTIFICATION, judge, judge_read};
use super::wire::{Failure, LARGEST_BODY, failure, receive, signed};
use super::{address, reading};
use crate::auth::{Bearer, TokenError, Tokens};
use crate::clock::Clock;
use crate::exec::{Answer, NextPage, NoToken, Order, Page, Plea, Reading, Sight, Transport, Verdict};
use crate::model::{Body, Item, Kind, Reached, Snapshot, TenantId, VppOptions};

/// Added to a wait for a token: the keeper measures it by a clock of its own.
const KEEPERS_MARGIN: Duration = Duration::from_millis(10);

/// Largest body of a read that is taken, in bytes: Graph's longest page has 1,000 objects, and each of them has a few
/// thousand at most.
const LARGEST_READ: usize = 16 * 1024 * 1024;

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
    pub(super) root: GraphRoot,
    tokens: Arc<S>,
    clock: Clock,
    /// Why requests are made, for tenants in which a second administrator decides.
    justification: Option<HeaderValue>,
}

impl<S: TokenSource> Graph<S> {
    /// Nothing is sent yet.
    pub const fn new(client: Client, root: GraphRoot, tokens: Arc<S>, clock: Clock) -> Self {
        Self { client, root, tokens, clock, justification: None }
    }

    /// Says why requests are made, where the executor wants it said.
    #[must_use]
    pub fn because(mut self, justification: Option<&str>) -> Self {
        // Intune takes it in Base64 only (public clients of Multi Admin Approval, 2026); that fits into every header.
        self.justification = justification.and_then(|text| HeaderValue::try_from(STANDARD.encode(text)).ok());
        self
    }

    fn request(&self, order: &Order, bearer: &Bearer) -> RequestBuilder {
        let facts = order.item.kind.facts();
        let url = self.root.action(facts.collection, order.item.id, facts.action);
        let request = signed(self.client.post(url), bearer, order.client_request_id);
        let request = match (&order.plea, &self.justification) {
            (Plea::Code(code), _) => request.header(CODE, code),
            (Plea::Justification, Some(why)) => request.header(JUSTIFICATION, why),
            (Plea::Justification, None) | (Plea::None, _) => request,
        };
        match facts.body {
            // Some front ends answer 411 to a POST that does not say how long it is.
            Body::Empty => request.header(CONTENT_LENGTH, HeaderValue::from_static("0")),
            Body::VppOptions => {
                request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(vpp_body(order.item.options))
            }
        }
    }

    /// One read. `parse` makes of a body, and of the answer's `Date`, what was asked for, or says what is wrong.
    pub(super) async fn read<T: Send>(
        &self,
        tenant: TenantId,
        url: &str,
        parse: impl FnOnce(&[u8], Option<Timestamp>) -> Result<T, String> + Send,
    ) -> Reading<T> {
        let Some(bearer) = self.tokens.kept(tenant) else { return Reading { sight: Sight::NoToken, token: None } };
        let client_request_id = Uuid::new_v4();
        let (sight, status, request_id) = match signed(self.client.get(url), &bearer, client_request_id).send().await {
            Ok(response) => {
                let (response, date) = receive(response, bearer.expose(), LARGEST_READ).await;
                let sight = judge_read(&response, date.unwrap_or_else(|| self.clock.wall()), |body| parse(body, date));
                (sight, Some(response.status), response.request_id)
            }
            Err(error) => (failure(error).sight(), None, None),
        };
        if matches!(sight, Sight::Unauthorized { .. }) {
            self.tokens.refused(tenant, &bearer);
        }
        tracing::debug!(%tenant, status, request_id, %client_request_id, "read");
        Reading { sight, token: Some(bearer.serial()) }
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
            return Answer { verdict: Verdict::NoToken, ..Failure::Passing(Reached::NotSent, "no token".to_owned()).answer() };
        };
        let answer = match self.request(&order, &bearer).send().await {
            Ok(response) => {
                let (response, date) = receive(response, bearer.expose(), LARGEST_BODY).await;
                judge(response, date.unwrap_or_else(|| self.clock.wall()))
            }
            Err(error) => failure(error).answer(),
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

    async fn look(&self, item: Item) -> Reading<Snapshot> {
        let url = address::object(&self.root, &item);
        self.read(item.tenant, &url, |body, date| reading::object(&item, body, date)).await
    }

    async fn list(&self, tenant: TenantId, kind: Kind, page: Option<NextPage>) -> Reading<Page> {
        match address::page(&self.root, kind, page.as_ref()) {
            Ok(url) => self.read(tenant, &url, |body, date| reading::page(kind, body, date)).await,
            Err(reason) => Reading { sight: Sight::Refused { reason }, token: None },
        }
    }
}

/// Both Booleans, always: whether the service takes a body without them is not documented.
fn vpp_body(options: VppOptions) -> String {
    serde_json::json!({
        "notifyManagedDevices": options.notify_managed_devices,
        "revokeUntrackedLicenses": options.revoke_untracked_licenses,
    })
    .to_string()
}

fn no_token(error: &TokenError) -> NoToken {
    let retry = match error {
        // A moment more than asked, so that the keeper's own wait is over when we come back.
        TokenError::Passing { after, .. } => Some(after.unwrap_or_default() + KEEPERS_MARGIN),
        TokenError::Permanent { .. } | TokenError::WrongTenant { .. } | TokenError::OpaqueToken { .. } => None,
    };
    NoToken { message: format!("failed to {error}"), retry }
}
