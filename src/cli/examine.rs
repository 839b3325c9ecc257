//! One tenant, examined as a run would meet it: its sign-in, whose it is, what the app may do, and a real read of each kind.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::check::Findings;
use super::exit::Exit;
use super::preflight::{NoEntry, Service};
use crate::auth::{Bearer, Method, SecretRef, TokenError};
use crate::clock::Clock;
use crate::config::{Choice, Means};
use crate::exec::{Page, Sight, Transport as _};
use crate::graph::{Graph, introduce};
use crate::model::{Kind, TenantRow};
use crate::report::span;

/// How long a tenant may take to say who it is.
const LIMIT: Duration = Duration::from_secs(10);

/// How often a read that fails for a passing reason is tried, and how long between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// A token that somebody else got and that ends sooner is hardly worth a run.
const SHORT: SignedDuration = SignedDuration::from_mins(10);

/// Where nobody has consented, or nobody has added the app to the tenant, consent mends it; a wrong secret it does not
/// (<https://learn.microsoft.com/entra/identity-platform/reference-error-codes>).
const LACKS_CONSENT: [&str; 2] = ["AADSTS65001:", "AADSTS700016:"];

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
        let result = self.service.sign_in(self.row.id).await;
        let bearer = self.service.tokens.kept(self.row.id);
        match (result, &bearer) {
            (Ok(()), Some(bearer)) => self.signed_in(bearer, found),
            (Ok(()), None) => found.warning("sign-in", "the token ended at once", "try again"),
            (Err(error), _) => {
                let (detail, error) = (format!("{}failed to {error}", self.way()), NoEntry::from(error));
                let hint = match &error {
                    NoEntry::Token(TokenError::Passing { .. }) => "it may pass: try again".to_owned(),
                    NoEntry::Token(TokenError::WrongTenant { method, .. }) => {
                        format!("check tenant_id, and {}", self.whose(*method))
                    }
                    NoEntry::Token(TokenError::OpaqueToken { .. }) => {
                        "only if the token's issuer is trusted: allow_opaque_token = true".to_owned()
                    }
                    NoEntry::Token(TokenError::Permanent { .. }) | NoEntry::Foreign { .. } | NoEntry::Unproven { .. } => {
                        self.mend(&detail)
                    }
                };
                found.failed(if error.is_wrong() { Exit::Refused } else { Exit::SignIn }, "sign-in", detail, hint);
            }
        }
        let Some(choice) = self.service.choice(self.row.id) else { return };
        let values: Vec<String> = choice.values.iter().map(|(key, origin)| format!("{key} by {origin}")).collect();
        if !values.is_empty() {
            found.ok("values", values.join("; "));
        }
        if !choice.unused.is_empty() {
            found.ok("not used", choice.unused.join("; "));
        }
    }

    /// Who is signed in how, and for how long.
    fn signed_in(&self, bearer: &Bearer, found: &mut Findings) {
        let claims = bearer.claims();
        let why = self.service.choice(self.row.id).map(|choice| format!(", because {}", choice.why)).unwrap_or_default();
        let app = claims.app.as_ref().unwrap_or(&self.row.app);
        let left = claims.expires.map(|ends| ends.duration_since(self.clock.wall()));
        let life = left.map(life).unwrap_or_default();
        let is_given = bearer.method() == Method::Token;
        let renewed = match self.service.choice(self.row.id).map(|choice| &choice.means) {
            Some(Ok(Means::Token(SecretRef::File(_)))) => "its file is read again when it ends",
            Some(Ok(Means::Token(_))) => "nobody renews it",
            Some(_) | None => "renewed by itself",
        };
        let detail = format!("{}{why}; app {app}{life}, {renewed}", bearer.method());
        if is_given && left.is_some_and(|left| left < SHORT) {
            found.warning("sign-in", detail, "a run that lasts longer stops: get a fresh token, or sign in another way");
        } else if claims.is_delegated {
            let hint = "a person's token: what the person may do in Intune counts as well";
            found.warning("sign-in", detail, hint);
        } else {
            found.ok("sign-in", detail);
        }
    }

    /// Which way was tried, and why that one.
    fn way(&self) -> String {
        let way = |choice: &Choice| {
            let method = choice.method.map_or("auto", Method::name);
            format!("{method}, because {}: ", choice.why)
        };
        self.service.choice(self.row.id).map(way).unwrap_or_default()
    }

    /// The method, as far as it is known.
    fn method(&self) -> Option<Method> {
        let kept = self.service.tokens.first(self.row.id).map(|bearer| bearer.method());
        kept.or_else(|| self.service.choice(self.row.id)?.method)
    }

    /// What decides whose tenant a token is for.
    fn whose(&self, method: Method) -> String {
        let what = match method {
            Method::ManagedIdentity => "in which tenant this machine's subscription is",
            Method::AzureCli => "where the Azure CLI is signed in: az account show",
            Method::Token => "where the token comes from",
            Method::DeviceCode => return format!("who signed in: {}", self.login()),
            Method::ClientSecret | Method::Certificate | Method::WorkloadIdentity | Method::GitHub | Method::AzurePipelines => {
                "whose app client_id names"
            }
        };
        what.to_owned()
    }

    fn login(&self) -> String {
        format!("bulk-revoke login --tenant {}", self.row.label)
    }

    /// What to do where a sign-in is refused for good. The refusal says most of it by itself.
    fn mend(&self, detail: &str) -> String {
        if LACKS_CONSENT.iter().any(|number| detail.contains(number)) {
            return self.grant("access");
        }
        match self.method() {
            Some(_) => "mend what it says, and check again".to_owned(),
            None => "mend what it says, or name a way to sign in: [auth] method, or AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
                .to_owned(),
        }
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
        let shown = held.iter().find(|one| kind.is_permitted(std::slice::from_ref(one)));
        let check = format!("revoke {}", short(kind));
        if held.is_empty() {
            let hint = self.grant(facts.permission);
            found.warning(&check, "the token shows no permissions at all", hint);
        } else if let Some(shown) = shown {
            found.ok(&check, format!("the token shows {shown}"));
        } else {
            let hint = self.grant("it");
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
                let (read, write) = (facts.read_permission, facts.permission);
                let hint = format!("it takes {read} or {write}, and a licence in the tenant; {}", self.grant("them"));
                (reason, hint)
            }
            Sight::Refused { reason } => (reason, "check the Graph root and the cloud".to_owned()),
            Sight::Again { message, .. } => (message, "it may pass: try again".to_owned()),
            Sight::Gone => ("the service does not know this list".to_owned(), "check the Graph root and the cloud".to_owned()),
            Sight::StopTenant { reason } => (reason, "a run would stop this tenant here".to_owned()),
            Sight::Unauthorized { .. } | Sight::NoToken => (
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

    /// How an administrator grants what is missing. Only an app that people can consent to has a page for that
    /// (<https://learn.microsoft.com/entra/identity-platform/v2-admin-consent>).
    fn grant(&self, what: &str) -> String {
        let bearer = self.service.tokens.first(self.row.id);
        let is_person = bearer.as_ref().is_some_and(|bearer| bearer.claims().is_delegated);
        let app = bearer.and_then(|bearer| bearer.claims().app.clone()).unwrap_or_else(|| self.row.app.clone());
        match self.method() {
            Some(Method::ManagedIdentity) => {
                format!("an administrator assigns {what} to the identity's service principal (app {app}): it has no consent page")
            }
            // The Azure CLI's own app is Microsoft's: nobody gives it permissions.
            Some(Method::AzureCli) if is_person => {
                "az login as a service principal that has what is missing, or take method device-code with an app of your own"
                    .to_owned()
            }
            Some(Method::AzureCli) => {
                format!("an administrator assigns {what} to the service principal that az login uses (app {app})")
            }
            Some(Method::Token) => format!("whoever issues the token has {what} granted to its app ({app})"),
            method => {
                let kind = if method == Some(Method::DeviceCode) { "delegated permission" } else { "permission" };
                let (authority, tenant) = (&self.service.authority, self.row.id);
                format!(
                    "the app asks for {what} as a {kind}, and an administrator grants it in the portal (API permissions) or, where \
                     the app has a redirect URI, at {authority}/{tenant}/adminconsent?client_id={app}"
                )
            }
        }
    }
}

/// How long a token lives on.
fn life(left: SignedDuration) -> String {
    let time = span(left.unsigned_abs());
    if left.is_negative() {
        format!("; its token ended {time} ago by this machine's clock")
    } else {
        format!("; token for {time}")
    }
}

/// A kind's name as it fits into a table.
fn short(kind: Kind) -> &'static str {
    kind.facts().aliases.first().copied().unwrap_or(kind.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_has_ended_by_our_clock_is_not_told_to_live_on() {
        assert_eq!(life(SignedDuration::from_mins(60)), "; token for 1h 00m");
        assert_eq!(life(SignedDuration::from_mins(-60)), "; its token ended 1h 00m ago by this machine's clock");
    }
}
