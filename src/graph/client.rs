//! The one HTTP client: nothing is retried, redirected or proxied behind our back.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use crate::auth::causes;

/// Name resolution, connection and TLS together; longer than any of them takes on a working network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Shorter than the shortest keep-alive that servers and proxies commonly have (5 s): a write that meets a connection
/// being closed is in doubt, and a new connection costs little beside that.
const IDLE: Duration = Duration::from_secs(4);

/// What the client depends on.
#[derive(Debug, Clone)]
pub struct ClientPolicy {
    /// One request, from the first byte to the last.
    pub timeout: Duration,
    /// Requests in flight.
    pub concurrency: usize,
    /// PEM certificates that are trusted besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether all hosts are this machine itself: a proxy of the environment would only be in the way.
    pub loopback: bool,
}

/// The client could not be made. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
#[error("set up the HTTP client: {0}")]
pub struct ClientError(String);

/// Makes the client.
pub fn client(policy: &ClientPolicy) -> Result<Client, ClientError> {
    let mut builder = Client::builder()
        .user_agent(concat!("bulk-revoke/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .timeout(policy.timeout)
        // Shorter than the whole, so that a connection that was never made is known as such.
        .connect_timeout(CONNECT_TIMEOUT.min(policy.timeout.mul_f64(0.8)))
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(policy.concurrency);
    if let Some(pem) = &policy.ca_pem {
        let roots = Certificate::from_pem_bundle(pem).map_err(|error| ClientError(format!("the CA file: {}", causes(&error))))?;
        if roots.is_empty() {
            return Err(ClientError("the CA file holds no PEM certificate".to_owned()));
        }
        builder = builder.tls_certs_merge(roots);
    }
    if policy.loopback {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| {
        let hint = "is there a CA store on this machine? (install ca-certificates, set SSL_CERT_FILE, or give --ca-file)";
        ClientError(format!("{}; {hint}", causes(&error)))
    })
}
