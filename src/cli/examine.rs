//! One tenant, examined as a run would meet it: its sign-in, whose it is, what the app may do, and a real read of each kind.

use std::sync::Arc;
use std::time::Duration;

use super::check::Findings;
use super::exit::Exit;
use super::preflight::{NoEntry, Service};
use crate::auth::{Bearer, TokenError};
use crate::clock::Clock;
use crate::exec::{Page, Sight, Transport as _};
use crate::graph::{Graph, introduce};
use crate::model::{Kind, TenantRow};
use crate::report::span;

/// How long a tenant may take to say who it is.
const LIMIT: Duration = Duration::from_secs(10);

/// How often a read that fails for a passing reason is tried, and how long between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// A tenant, and what is asked of it.
pub(super) struct Patient {
    pub(super) service: Service,
    pub(super) row: TenantRow,
    pub(super) kinds: Vec<Kind>,
    pub(super) clock: Clock,
}

impl Patient {
    /// Asks everything, whatever the answer to the question before was.
    pub(super) async fn examine(self) -> Findings {
        let mut found = Findings::of(&self.row);
        self.sign_in(&mut found).await;
        self.domain(&mut found).await;
        if let Some(bearer) = self.service.tokens.kept(self.row.id) {
            self.organization(&bearer, &mut found).await;
            for &kind in &self.kinds {
                self.permission(kind, &bearer, &mut found);
                self.read(kind, &mut found).await;
            }
        }
        found
    }

    async fn sign_in(&self, found: &mut Findings) {
        let error = match self.service.sign_in(self.row.id).await {
            Ok(()) => {
                let bearer = self.service.tokens.kept(self.row.id);
                let ends = bearer.and_then(|bearer| bearer.claims().expires);
                let life = ends.map(|ends| ends.duration_since(self.clock.wall()).unsigned_abs());
                let life = life.map(|life| format!(", token for {}", span(life))).unwrap_or_default();
                return found.ok("sign-in", format!("client-secret, app {}{life}", self.row.app));
            }
            Err(error) => error,
        };
        let (check, detail, error) = ("sign-in", format!("failed to {error}"), NoEntry::from(error));
        let hint = match &error {
            NoEntry::Token(TokenError::Passing { .. }) => "it may pass: try again".to_owned(),
            NoEntry::Token(TokenError::WrongTenant { .. }) => "check tenant_id, and whose app client_id names".to_owned(),
            NoEntry::Token(TokenError::OpaqueToken { .. }) => {
                "only if the token's issuer is trusted: allow_opaque_token = true".to_owned()
            }
            NoEntry::Token(TokenError::Permanent { .. }) | NoEntry::Foreign { .. } | NoEntry::Unproven { .. } => {
                format!("check client_id and client_secret; an administrator lets the app in at {}", self.consent())
            }
        };
        found.failed(if error.is_wrong() { Exit::Refused } else { Exit::SignIn }, check, detail, hint);
    }

    async fn domain(&self, found: &mut Findings) {
        match self.service.prove(self.row.id).await {
            Ok(None) => {}
            Ok(Some(domain)) => found.ok("expect_domain", format!("{domain} belongs to the tenant")),
            Err(error) => {
                let hint = match error {
                    NoEntry::Unproven { .. } => "check expect_domain, and that the authority can be reached",
                    NoEntry::Foreign { .. } | NoEntry::Token(_) => {
                        "check tenant_id and expect_domain: one of them names another tenant than was meant"
                    }
                };
                found.failed(Exit::Refused, "expect_domain", format!("failed to {error}"), hint);
            }
        }
    }

    async fn organization(&self, bearer: &Bearer, found: &mut Findings) {
        let asked = introduce(&self.service.client, &self.service.root, bearer);
        match tokio::time::timeout(LIMIT, asked).await.map(|introduction| introduction.organization) {
            Ok(Ok(organization)) => found.ok("organisation", organization.to_string()),
            Ok(Err(_)) | Err(_) => found.ok("organisation", "its name is not shown, which harms nothing"),
        }
    }

    /// What the token shows. The service decides, so a permission that is not there is no failure.
    fn permission(&self, kind: Kind, bearer: &Bearer, found: &mut Findings) {
        let (facts, held) = (kind.facts(), &bearer.claims().permissions);
        let check = format!("revoke {}", short(kind));
        if held.is_empty() {
            let hint = format!("an administrator grants {} at {}", facts.permission, self.consent());
            found.warning(&check, "the token shows no permissions at all", hint);
        } else if kind.is_permitted(held) {
            found.ok(&check, "the token shows a permission for it");
        } else {
            let hint = format!("add it to the app; an administrator grants it at {}", self.consent());
            found.warning(&check, format!("the token does not show {}", facts.permission), hint);
        }
    }

    /// Reads the first page of what a run would read.
    async fn read(&self, kind: Kind, found: &mut Findings) {
        let check = format!("read {}", short(kind));
        let (detail, hint) = match self.list(kind).await {
            Sight::Shown(Page { objects, next, .. }) => {
                let more = if next.is_some() { " on the first page" } else { "" };
                return found.ok(&check, format!("{} shown{more}", objects.len()));
            }
            Sight::Throttled { .. } => {
                let hint = "wait a little; a run waits by itself";
                return found.warning(&check, "the service wants everybody to wait", hint);
            }
            Sight::Denied { reason } => {
                let facts = kind.facts();
                let hint = format!(
                    "the app needs {} or {}, the tenant a licence; an administrator grants permissions at {}",
                    facts.read_permission,
                    facts.permission,
                    self.consent()
                );
                (reason, hint)
            }
            Sight::Refused { reason } => (reason, "check the Graph root and the cloud".to_owned()),
            Sight::Again { message, .. } => (message, "it may pass: try again".to_owned()),
            Sight::Gone => ("the service does not know this list".to_owned(), "check the Graph root and the cloud".to_owned()),
            Sight::Unauthorized | Sight::NoToken => (
                "the service does not take the token".to_owned(),
                "check that Graph root and authority are one cloud's".to_owned(),
            ),
        };
        found.failed(Exit::SignIn, &check, detail, hint);
    }

    async fn list(&self, kind: Kind) -> Sight<Page> {
        let Service { client, root, tokens, .. } = &self.service;
        let graph = Graph::new(client.clone(), root.clone(), Arc::clone(tokens), self.clock);
        for _ in 1..TRIES {
            let sight = graph.list(self.row.id, kind, None).await.sight;
            if !matches!(sight, Sight::Again { .. }) {
                return sight;
            }
            tokio::time::sleep(PAUSE).await;
        }
        graph.list(self.row.id, kind, None).await.sight
    }

    /// Where an administrator lets the app into the tenant, with the permissions that it asks for
    /// (<https://learn.microsoft.com/entra/identity-platform/v2-admin-consent>).
    fn consent(&self) -> String {
        format!("{}/{}/adminconsent?client_id={}", self.service.authority, self.row.id, self.row.app)
    }
}

/// A kind's name as it fits into a table.
fn short(kind: Kind) -> &'static str {
    kind.facts().aliases.first().copied().unwrap_or(kind.name())
}
