//! The simulator, started in the test itself so that its log can be read.
#![expect(clippy::unwrap_used, reason = "a simulator that does not start is a failed test")]

use bulk_revoke::sim::{Behaviour, Collection, LogEntry, Object, Options, Rule, Server, Tenant};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::{OTHER, TENANT, id};

/// Objects of each collection that each tenant has.
const OBJECTS: u128 = 40;

/// A simulator with two tenants.
pub(crate) struct Graph {
    server: Server,
    _runtime: Runtime,
}

impl Graph {
    /// One that answers at once and does what the rules say.
    pub(crate) fn with(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self::of(Behaviour { rules: rules.into_iter().collect(), ..Behaviour::immediate() })
    }

    /// One that behaves like this.
    pub(crate) fn of(behaviour: Behaviour) -> Self {
        Self::with_secret(behaviour, "simulated")
    }

    /// One whose apps have this secret.
    pub(crate) fn with_secret(behaviour: Behaviour, secret: &str) -> Self {
        let mut options = Options::new(behaviour);
        secret.clone_into(&mut options.secret);
        options.tenants = vec![
            Tenant { id: TENANT, domains: vec!["contoso.com".to_owned(), "contoso.onmicrosoft.com".to_owned()] },
            Tenant { id: OTHER, domains: vec!["fabrikam.com".to_owned()] },
        ];
        let everything = Collection::ALL.into_iter().flat_map(|collection| (1..=OBJECTS).map(move |n| (collection, id(n))));
        options.objects =
            everything.flat_map(|(collection, id)| [TENANT, OTHER].map(|tenant| Object { tenant, collection, id })).collect();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(options)).unwrap();
        Self { server, _runtime: runtime }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        self.server.url()
    }

    /// The flags that send a run there without asking.
    pub(crate) fn flags(&self) -> String {
        format!("--yes --out out {}", self.places())
    }

    /// The flags that only say where it is.
    pub(crate) fn places(&self) -> String {
        format!("--graph-root {0} --authority {0}", self.url())
    }

    /// Every request to revoke, in order of arrival.
    pub(crate) fn posts(&self) -> Vec<LogEntry> {
        self.server.log().into_iter().filter(|entry| entry.method == "POST" && !is_token(entry)).collect()
    }

    /// How many tokens were asked for.
    pub(crate) fn token_requests(&self) -> usize {
        self.token_log().len()
    }

    /// Every request for a token, in order of arrival.
    pub(crate) fn token_log(&self) -> Vec<LogEntry> {
        self.server.log().into_iter().filter(is_token).collect()
    }

    /// How often revoking this object took effect.
    pub(crate) fn effects(&self, collection: Collection, id: Uuid) -> u32 {
        self.server.effects(collection, id)
    }
}

fn is_token(entry: &LogEntry) -> bool {
    entry.path.ends_with("/oauth2/v2.0/token")
}
