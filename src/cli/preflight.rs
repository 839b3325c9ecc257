//! Before anything is sent: the HTTP client, a token for every tenant that is really that tenant's, and the proof that it
//! is the tenant that was meant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tokio::task::JoinSet;

use super::context::unreadable;
use super::exit::{Exit, Quit};
use super::streams;
use crate::auth::{AuthError, Authority, SignIn, TokenError, Tokens, discover};
use crate::config::Settings;
use crate::graph::{ClientPolicy, GraphRoot, client};
use crate::model::{StopCause, TenantId, TenantRow, TenantStop};
use crate::report::plain;

/// How often a sign-in that fails for a passing reason is tried before the tenant is given up.
const TRIES: u32 = 3;

/// A sign-in service that wants us to wait longer than this is not waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// Token requests under way at once, over all tenants.
pub(super) const AT_ONCE: usize = 16;

/// Between two looks at a domain, where the authority names no time.
const PAUSE: Duration = Duration::from_secs(1);

/// Where requests go, and with which tokens. Clones share the tokens.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) client: Client,
    pub(super) root: GraphRoot,
    pub(super) tokens: Arc<Tokens>,
    /// The client of the authority.
    pub(super) entra: Client,
    pub(super) authority: Authority,
    /// The domains that must belong to their tenants.
    domains: Arc<HashMap<TenantId, String>>,
}

/// Why a tenant is not worked on. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub(super) enum NoEntry {
    /// There is no token for it.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The domain that must be its own is another tenant's.
    #[error("prove tenant {expected} by its expect_domain: {domain} belongs to tenant {found}")]
    Foreign { expected: TenantId, found: TenantId, domain: String },
    /// Nobody knows whose domain it is.
    #[error("prove tenant {expected} by its expect_domain: failed to {error}")]
    Unproven { expected: TenantId, error: AuthError },
}

impl NoEntry {
    /// Whether it may be another tenant than the one that was meant, so that nothing must be sent anywhere.
    pub(super) const fn is_wrong(&self) -> bool {
        match self {
            Self::Token(error) => matches!(error, TokenError::WrongTenant { .. } | TokenError::OpaqueToken { .. }),
            Self::Foreign { .. } | Self::Unproven { .. } => true,
        }
    }
}

/// Makes the client for these places.
pub(super) fn http(settings: &Settings, loopback: bool) -> Result<Client, Quit> {
    let ca_pem = match &settings.ca_file {
        Some(path) => Some(std::fs::read(path).map_err(|error| unreadable(path, &error))?),
        None => None,
    };
    let concurrency = settings.policy.concurrency.get();
    Ok(client(&ClientPolicy { timeout: settings.timeout, concurrency, ca_pem, loopback })?)
}

/// The service with its sign-ins; nothing is asked for yet. Graph and the authority have a client each where one of them is
/// this machine itself, which no proxy must see anything of; a second client reads all certificates of the system again.
pub(super) fn service(
    settings: &Settings,
    root: GraphRoot,
    authority: Authority,
    sign_ins: Vec<SignIn>,
) -> Result<Service, Quit> {
    let is_loopback = authority.base().is_loopback();
    let entra = http(settings, is_loopback)?;
    let client = if root.is_loopback() == is_loopback { entra.clone() } else { http(settings, root.is_loopback())? };
    let domains = sign_ins.iter().filter_map(|sign_in| Some((sign_in.tenant, sign_in.expect_domain.clone()?))).collect();
    let tokens = Arc::new(Tokens::new(entra.clone(), authority.clone(), root.scope(), sign_ins));
    Ok(Service { client, root, tokens, entra, authority, domains: Arc::new(domains) })
}

/// Signs in to every tenant that has something to send. Tenants that cannot are told, and the others go on;
/// a token or a domain of another tenant than asked for refuses the run.
pub(super) async fn sign_in(service: &Service, tenants: &[TenantRow]) -> Result<Vec<TenantStop>, Quit> {
    let mut waiting: Vec<&TenantRow> = tenants.iter().rev().collect();
    let mut tasks: JoinSet<(TenantId, Option<NoEntry>)> = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        while tasks.len() < AT_ONCE
            && let Some(tenant) = waiting.pop()
        {
            let (service, tenant) = (service.clone(), tenant.id);
            tasks.spawn(async move { (tenant, service.enter(tenant).await.err()) });
        }
        match tasks.join_next().await {
            Some(Ok((tenant, Some(error)))) => failures.push((tenant, error)),
            Some(Ok((_, None))) => {}
            Some(Err(error)) => return Err(Quit::new(Exit::Internal, format!("failed to sign in: {error}"))),
            None => break,
        }
    }
    failures.sort_by_key(|(tenant, _)| tenants.iter().position(|row| row.id == *tenant));
    if let Some((_, error)) = failures.iter().find(|(_, error)| error.is_wrong()) {
        return Err(Quit::new(Exit::Refused, format!("failed to {error}; nothing was sent")));
    }
    Ok(failures
        .into_iter()
        .map(|(tenant, error)| {
            streams::note(&plain(&format!("failed to {error}; its items are not attempted")));
            TenantStop { tenant, service: None, cause: StopCause::SignIn, message: format!("failed to {error}") }
        })
        .collect())
}

impl Service {
    async fn enter(&self, tenant: TenantId) -> Result<(), NoEntry> {
        self.sign_in(tenant).await?;
        self.prove(tenant).await.map(drop)
    }

    /// A blip of the network or a short throttle of the sign-in service is waited out.
    pub(super) async fn sign_in(&self, tenant: TenantId) -> Result<(), TokenError> {
        for _ in 1..TRIES {
            match self.tokens.token(tenant).await {
                Err(TokenError::Passing { after: Some(after), message }) if after <= PATIENCE => {
                    tracing::warn!(seconds = after.as_secs(), "failed to sign in to {message}; trying again");
                    tokio::time::sleep(after).await;
                }
                Ok(_) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.tokens.token(tenant).await.map(|_| ())
    }

    /// Holds a tenant against the domain that must be its own, and names it; none if there is no such domain.
    pub(super) async fn prove(&self, tenant: TenantId) -> Result<Option<&str>, NoEntry> {
        let Some(domain) = self.domains.get(&tenant) else { return Ok(None) };
        match self.look_up(domain).await {
            Ok(found) if found == tenant => Ok(Some(domain)),
            Ok(found) => Err(NoEntry::Foreign { expected: tenant, found, domain: domain.clone() }),
            Err(error) => Err(NoEntry::Unproven { expected: tenant, error }),
        }
    }

    async fn look_up(&self, domain: &str) -> Result<TenantId, AuthError> {
        for _ in 1..TRIES {
            match discover(&self.entra, &self.authority, domain).await {
                Err(AuthError::Passing { after, .. }) if after.unwrap_or(PAUSE) <= PATIENCE => {
                    tokio::time::sleep(after.unwrap_or(PAUSE)).await;
                }
                found => return found,
            }
        }
        discover(&self.entra, &self.authority, domain).await
    }
}
