//! Before anything is sent: the HTTP client, a token for every tenant that is really that tenant's, and the proof that it
//! is the tenant that was meant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tokio::task::JoinSet;

use super::context::{invalid, unreadable};
use super::credentials::Access;
use super::exit::{Exit, Quit};
use super::streams;
use crate::auth::{AuthError, Authority, BaseUrl, Method, SignIn, TokenError, Tokens, Wires, discover};
use crate::clock::Clock;
use crate::config::{Choice, Settings};
use crate::graph::{self, ClientPolicy, GraphRoot};
use crate::model::{StopCause, TenantId, TenantRow, TenantStop};
use crate::report::{plain, span};

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
    /// A sign-in service that wants us to wait longer than `--max-pause` is not waited for.
    max_pause: Duration,
    /// For a run that must be over by then, so must its sign-ins.
    deadline: Option<Duration>,
    /// The domains that must belong to their tenants.
    domains: Arc<HashMap<TenantId, String>>,
    /// Which way each tenant signs in, and why.
    choices: Arc<HashMap<TenantId, (Choice, Option<String>)>>,
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

/// Makes the clients for these places.
pub(super) fn wires(settings: &Settings, places: &[&BaseUrl]) -> Result<Wires, Quit> {
    if let Some(flaw) = settings.proxy_flaw.as_ref().filter(|_| places.iter().any(|place| !place.is_loopback())) {
        return Err(invalid(std::slice::from_ref(flaw)));
    }
    let ca_pem = match &settings.ca_file {
        Some(path) => Some(std::fs::read(path).map_err(|error| unreadable(path, &error))?),
        None => None,
    };
    let concurrency = settings.policy.concurrency.get();
    Ok(graph::wires(&ClientPolicy { timeout: settings.timeout, concurrency, ca_pem }, places)?)
}

/// The service with its sign-ins; nothing is asked for yet.
pub(super) fn service(
    settings: &Settings,
    root: GraphRoot,
    authority: Authority,
    accesses: Vec<Access>,
) -> Result<Service, Quit> {
    let wires = wires(settings, &[root.base(), authority.base()])?;
    let (entra, client) = (wires.to(authority.base()).clone(), wires.to(root.base()).clone());
    let choices = accesses.iter().map(|Access { sign_in, choice }| {
        let app = Some(sign_in.client_id.clone()).filter(|_| choice.names_app());
        (sign_in.tenant, (choice.clone(), app))
    });
    let choices = choices.collect();
    let sign_ins: Vec<SignIn> = accesses.into_iter().map(|access| access.sign_in).collect();
    let domains = sign_ins.iter().filter_map(|sign_in| Some((sign_in.tenant, sign_in.expect_domain.clone()?))).collect();
    let tokens = Arc::new(Tokens::new(wires, authority.clone(), root.scope(), sign_ins, Clock::system()));
    let (max_pause, deadline) = (settings.policy.max_pause, settings.policy.deadline);
    let (domains, choices) = (Arc::new(domains), Arc::new(choices));
    Ok(Service { client, root, tokens, entra, authority, max_pause, deadline, domains, choices })
}

/// Signs in to every tenant that has something to send, before the deadline. Tenants that cannot are told, and the others
/// go on; a token or a domain of another tenant than asked for refuses the run.
pub(super) async fn sign_in(service: &Service, tenants: &[TenantRow]) -> Result<Vec<TenantStop>, Quit> {
    let all = sign_in_to_all(service, tenants);
    let Some(deadline) = service.deadline else { return all.await };
    tokio::time::timeout(deadline, all)
        .await
        .unwrap_or_else(|_| Err(Quit::new(Exit::Deadline, "the deadline passed while signing in; nothing more was sent")))
}

async fn sign_in_to_all(service: &Service, tenants: &[TenantRow]) -> Result<Vec<TenantStop>, Quit> {
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
            let (cause, why) = match &error {
                NoEntry::Token(TokenError::Passing { after: Some(after), .. }) if *after > service.max_pause => {
                    let (after, most) = (span(*after), span(service.max_pause));
                    (StopCause::MaxPause, format!("; a pause of {after} is longer than --max-pause ({most})"))
                }
                NoEntry::Token(_) | NoEntry::Foreign { .. } | NoEntry::Unproven { .. } => (StopCause::SignIn, String::new()),
            };
            let message = format!("failed to {error}{why}");
            streams::note(&plain(&format!("{message}; its items are not attempted")));
            TenantStop { tenant, service: None, cause, message }
        })
        .collect())
}

impl Service {
    /// Which way a tenant signs in.
    pub(super) fn choice(&self, tenant: TenantId) -> Option<&Choice> {
        self.choices.get(&tenant).map(|(choice, _)| choice)
    }

    /// The app that the configuration names for it; none where only a token shows it.
    pub(super) fn named_app(&self, tenant: TenantId) -> Option<&str> {
        self.choices.get(&tenant)?.1.as_deref()
    }

    async fn enter(&self, tenant: TenantId) -> Result<(), NoEntry> {
        if let Some(choice) = self.choice(tenant) {
            let method = choice.method.map_or("auto", Method::name);
            tracing::info!(%tenant, "signing in: {method}, because {}", choice.why);
            if !choice.unused.is_empty() {
                tracing::info!(%tenant, "not used: {}", choice.unused.join(", "));
            }
        }
        self.sign_in(tenant).await?;
        self.prove(tenant).await.map(drop)
    }

    /// A blip of the network or a short throttle of the sign-in service is waited out.
    pub(super) async fn sign_in(&self, tenant: TenantId) -> Result<(), TokenError> {
        for _ in 1..TRIES {
            match self.tokens.token(tenant).await {
                Err(TokenError::Passing { after: Some(after), message }) if after <= PATIENCE.min(self.max_pause) => {
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
        match look_up(&self.entra, &self.authority, domain).await {
            Ok(found) if found == tenant => Ok(Some(domain)),
            Ok(found) => Err(NoEntry::Foreign { expected: tenant, found, domain: domain.clone() }),
            Err(error) => Err(NoEntry::Unproven { expected: tenant, error }),
        }
    }
}

/// The tenant behind a domain. A blip is waited out.
pub(super) async fn look_up(client: &Client, authority: &Authority, domain: &str) -> Result<TenantId, AuthError> {
    for _ in 1..TRIES {
        match discover(client, authority, domain).await {
            Err(AuthError::Passing { after, .. }) if after.unwrap_or(PAUSE) <= PATIENCE => {
                tokio::time::sleep(after.unwrap_or(PAUSE)).await;
            }
            found => return found,
        }
    }
    discover(client, authority, domain).await
}
