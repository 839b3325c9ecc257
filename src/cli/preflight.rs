//! Before anything is sent: the HTTP client, and a token for every tenant that is really that tenant's.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tokio::task::JoinSet;

use super::context::unreadable;
use super::exit::{Exit, Quit};
use super::streams;
use crate::auth::{Authority, SignIn, TokenError, Tokens};
use crate::config::Settings;
use crate::graph::{ClientPolicy, GraphRoot, client};
use crate::model::{StopCause, TenantId, TenantRow, TenantStop};
use crate::report::plain;

/// How often a sign-in that fails for a passing reason is tried before the tenant is given up.
const TRIES: u32 = 3;

/// A sign-in service that wants us to wait longer than this is not waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// Token requests under way at once, over all tenants.
const AT_ONCE: usize = 16;

/// Where requests go, and with which tokens.
pub(super) struct Service {
    pub(super) client: Client,
    pub(super) root: GraphRoot,
    pub(super) tokens: Arc<Tokens>,
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
    Ok(Service { client, tokens: Arc::new(Tokens::new(entra, authority, root.scope(), sign_ins)), root })
}

/// Signs in to every tenant that has something to send. Tenants that cannot are told, and the others go on;
/// a token of another tenant than asked for refuses the run.
pub(super) async fn sign_in(tokens: &Arc<Tokens>, tenants: &[TenantRow]) -> Result<Vec<TenantStop>, Quit> {
    let mut waiting: Vec<&TenantRow> = tenants.iter().rev().collect();
    let mut tasks: JoinSet<(TenantId, Option<TokenError>)> = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        while tasks.len() < AT_ONCE
            && let Some(tenant) = waiting.pop()
        {
            let (tokens, tenant) = (Arc::clone(tokens), tenant.id);
            tasks.spawn(async move { (tenant, patiently(&tokens, tenant).await.err()) });
        }
        match tasks.join_next().await {
            Some(Ok((tenant, Some(error)))) => failures.push((tenant, error)),
            Some(Ok((_, None))) => {}
            Some(Err(error)) => return Err(Quit::new(Exit::Internal, format!("failed to sign in: {error}"))),
            None => break,
        }
    }
    failures.sort_by_key(|(tenant, _)| tenants.iter().position(|row| row.id == *tenant));
    let wrong =
        failures.iter().find(|(_, error)| matches!(error, TokenError::WrongTenant { .. } | TokenError::OpaqueToken { .. }));
    if let Some((_, error)) = wrong {
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

/// A blip of the network or a short throttle of the sign-in service is waited out.
async fn patiently(tokens: &Tokens, tenant: TenantId) -> Result<(), TokenError> {
    for _ in 1..TRIES {
        match tokens.token(tenant).await {
            Err(TokenError::Passing { after: Some(after), message }) if after <= PATIENCE => {
                tracing::warn!(seconds = after.as_secs(), "failed to sign in to {message}; trying again");
                tokio::time::sleep(after).await;
            }
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    tokens.token(tenant).await.map(|_| ())
}
