//! The embedded Graph in a child process of its own, without quota, latency or log; and the way to reach it.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bulk_revoke::auth::{Authority, Credential, SignIn, Tokens};
use bulk_revoke::graph::{ClientPolicy, GraphRoot, client};
use bulk_revoke::model::TenantId;
use bulk_revoke::sim::{Behaviour, Collection, Object, Options, Server};
use reqwest::Client;
use uuid::Uuid;

/// The only tenant.
pub(super) const TENANT: TenantId = TenantId(Uuid::from_u128(0x1b5a_7e7e_0000_4000_8000_0000_0000_0001));

/// The `row`-th object.
pub(super) const fn id(row: u32) -> Uuid {
    Uuid::from_u128(0x4f1c_7b2e_0c5e_4f0e_9d0b_0000_0000_0000 | row as u128)
}

/// Serves so many objects until standard input ends, which it does when the parent is gone.
pub(super) fn serve(count: u32) -> Result<(), Box<dyn Error>> {
    let mut options = Options::new(Behaviour { log: false, ..Behaviour::immediate() });
    let object = |row| Object { tenant: TENANT.0, collection: Collection::AndroidDeviceOwner, id: id(row) };
    options.objects = (0..count).map(object).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let server = runtime.block_on(Server::start(options))?;
    println!("{}", server.url());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(server.stop());
    Ok(())
}

/// A service that runs, with the client that this program would use. Dropped, it ends.
pub(super) struct Place {
    process: Child,
    pub(super) root: GraphRoot,
    pub(super) client: Client,
    pub(super) tokens: Arc<Tokens>,
}

impl Place {
    /// Starts a service with so many objects.
    pub(super) fn start(objects: u32, concurrency: usize) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--serve", &objects.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut url = String::new();
        if let Some(output) = &mut process.stdout {
            BufReader::new(output).read_line(&mut url)?;
        }
        let url = url.trim();
        let policy = ClientPolicy { timeout: Duration::from_secs(100), concurrency, ca_pem: None, loopback: true };
        let (client, root) = (client(&policy)?, GraphRoot::new(url)?);
        let sign_in = SignIn {
            tenant: TENANT,
            label: "contoso".to_owned(),
            client_id: Uuid::from_u128(1).to_string(),
            credential: Credential::ClientSecret("simulated".into()),
            allow_opaque: false,
        };
        let tokens = Tokens::new(client.clone(), Authority::new(url)?, root.scope(), vec![sign_in]);
        Ok(Self { process, root, client, tokens: Arc::new(tokens) })
    }

    /// Where the `row`-th object is revoked.
    pub(super) fn action(&self, row: u32) -> String {
        format!("{}/beta/deviceManagement/androidDeviceOwnerEnrollmentProfiles/{}/revokeToken", self.root, id(row))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It may have ended already; either way it is waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
