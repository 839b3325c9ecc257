//! The embedded Graph, and the way to reach it; and the same in a child process of its own, so that what it does counts
//! for nobody. The child is this program again, and has neither quota nor latency nor log.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bulk_revoke::auth::{Authority, Credential, SignIn, Tokens};
use bulk_revoke::clock::Clock;
use bulk_revoke::graph::{ClientPolicy, GraphRoot, wires};
use bulk_revoke::model::TenantId;
use bulk_revoke::sim::{Behaviour, Collection, Object, Options, Server};
use reqwest::Client;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::Outcome;

/// The only tenant.
pub(super) const TENANT: TenantId = TenantId(Uuid::from_u128(0x1b5a_7e7e_0000_4000_8000_0000_0000_0001));

/// The `row`-th object.
pub(super) const fn id(row: u32) -> Uuid {
    Uuid::from_u128(0x4f1c_7b2e_0c5e_4f0e_9d0b_0000_0000_0000 | row as u128)
}

/// A runtime of one thread, as the command line has it: it drives all I/O of a run.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A runtime of as many threads as there are cores.
pub(super) fn threads() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

/// A service with so many objects.
pub(super) fn options(behaviour: Behaviour, count: u32) -> Options {
    let object = |row| Object { tenant: TENANT.0, collection: Collection::AndroidDeviceOwner, id: id(row) };
    Options { objects: (0..count).map(object).collect(), ..Options::new(behaviour) }
}

/// Serves so many objects until standard input ends, which it does when the parent is gone.
pub(super) fn serve(count: u32) -> Outcome<()> {
    let behaviour = Behaviour { log: false, ..Behaviour::immediate() };
    let runtime = threads()?;
    let server = runtime.block_on(Server::start(options(behaviour, count)))?;
    println!("{}", server.url());
    io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(server.stop());
    Ok(())
}

/// What is needed to reach a service: the client that this program would use, and its tokens.
pub(super) struct Access {
    pub(super) root: GraphRoot,
    pub(super) client: Client,
    pub(super) tokens: Arc<Tokens>,
}

impl Access {
    pub(super) fn new(url: &str, concurrency: usize) -> Outcome<Self> {
        let policy = ClientPolicy { timeout: Duration::from_secs(100), concurrency, ca_pem: None };
        let (wires, root) = (wires(&policy, &[])?, GraphRoot::new(url)?);
        let sign_in = SignIn {
            tenant: TENANT,
            label: "contoso".to_owned(),
            client_id: Uuid::from_u128(1).to_string(),
            credential: Credential::ClientSecret("simulated".into()),
            allow_opaque: false,
            expect_domain: None,
        };
        let client = wires.direct.clone();
        let tokens = Tokens::new(wires, Authority::new(url)?, root.scope(), vec![sign_in], Clock::system());
        Ok(Self { root, client, tokens: Arc::new(tokens) })
    }

    /// Where the `row`-th object is revoked.
    pub(super) fn action(&self, row: u32) -> String {
        format!("{}/beta/deviceManagement/androidDeviceOwnerEnrollmentProfiles/{}/revokeToken", self.root, id(row))
    }
}

/// A service in a child process. Dropped, it ends.
pub(super) struct Place {
    process: Child,
    pub(super) access: Access,
}

impl Place {
    /// Starts a service with so many objects.
    pub(super) fn start(objects: u32, concurrency: usize) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--serve", &objects.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut url = String::new();
        if let Some(output) = &mut process.stdout {
            BufReader::new(output).read_line(&mut url)?;
        }
        Ok(Self { process, access: Access::new(url.trim(), concurrency)? })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It may have ended already; either way it is waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
