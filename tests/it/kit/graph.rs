//! The simulator, started in the test itself so that its log can be read.
#![expect(clippy::unwrap_used, reason = "a simulator that does not start is a failed test")]

use std::time::Duration;

use bulk_revoke::sim::{ApprovalRecord, Behaviour, Collection, Decision, LogEntry, Object, Options, Rule, Server, Tenant};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::{OTHER, Process, TENANT, id};

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
        Self::start(Options { secret: secret.to_owned(), ..Options::new(behaviour) })
    }

    /// One whose choices follow from this seed.
    pub(crate) fn seeded(behaviour: Behaviour, seed: u64) -> Self {
        Self::start(Options { seed, ..Options::new(behaviour) })
    }

    /// One with these options, the tenants and objects aside.
    pub(crate) fn start(mut options: Options) -> Self {
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

    /// The simulator itself, for what only a test of it can ask.
    pub(crate) const fn server(&self) -> &Server {
        &self.server
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

    /// Every request to Graph that is about an object or a list, in order of arrival.
    pub(crate) fn log(&self) -> Vec<LogEntry> {
        let is_aside = |entry: &LogEntry| is_token(entry) || entry.path.ends_with("/organization");
        self.server.log().into_iter().filter(|entry| !is_aside(entry)).collect()
    }

    /// Every request to revoke, in order of arrival.
    pub(crate) fn posts(&self) -> Vec<LogEntry> {
        self.log().into_iter().filter(|entry| entry.method == "POST").collect()
    }

    /// Every read, in order of arrival.
    pub(crate) fn reads(&self) -> Vec<LogEntry> {
        self.log().into_iter().filter(|entry| entry.method == "GET").collect()
    }

    /// How many lists were read, and how many objects by their ids.
    pub(crate) fn lists_and_objects(&self) -> (usize, usize) {
        let reads = self.reads();
        let lists = reads.iter().filter(|read| read.id.is_none()).count();
        (lists, reads.len() - lists)
    }

    /// How many tokens were asked for.
    pub(crate) fn token_requests(&self) -> usize {
        self.token_log().len()
    }

    /// Every request for a token, in order of arrival.
    pub(crate) fn token_log(&self) -> Vec<LogEntry> {
        self.server.log().into_iter().filter(is_token).collect()
    }

    /// Waits until the log shows something, or the process has ended.
    pub(crate) fn wait_until(&self, process: &mut Process, shown: impl Fn(&[LogEntry]) -> bool) {
        // A minute: longer than anything takes on a slow machine.
        let mut turns = 0..30_000;
        while !shown(&self.server.log()) && !process.ends_within(Duration::from_millis(2)) {
            assert!(turns.next().is_some(), "waited in vain");
        }
    }

    /// Waits until so many requests to revoke have come, or the process has ended.
    pub(crate) fn wait_for_posts(&self, count: usize, process: &mut Process) {
        let is_post = |entry: &&LogEntry| entry.method == "POST" && !is_token(entry);
        self.wait_until(process, |log| log.iter().filter(is_post).count() >= count);
    }

    /// The largest number of requests to revoke this object that were open at once.
    pub(crate) fn max_in_flight(&self, collection: Collection, id: Uuid) -> usize {
        self.server.max_in_flight(collection, id)
    }

    /// Gives an object a new token. False if the service does not know it.
    pub(crate) fn reissue(&self, tenant: Uuid, collection: Collection, id: Uuid) -> bool {
        self.server.reissue(tenant, collection, id)
    }

    /// The requests that wait for a second administrator, or waited.
    pub(crate) fn approvals(&self) -> Vec<ApprovalRecord> {
        self.server.approvals()
    }

    /// Lets the second administrator decide on all requests that are open.
    pub(crate) fn decide(&self, decision: Decision) -> usize {
        self.server.decide_all(TENANT, decision)
    }

    /// How often revoking this object took effect.
    pub(crate) fn effects(&self, collection: Collection, id: Uuid) -> u32 {
        self.server.effects(collection, id)
    }
}

/// Where platforms give out tokens.
const PLATFORMS: [&str; 4] = ["/metadata/identity/oauth2/token", "/msi/token", "/_github/token", "/_pipelines/oidc"];

fn is_token(entry: &LogEntry) -> bool {
    entry.path.contains("/oauth2/v2.0/") || PLATFORMS.contains(&entry.path.as_str())
}
