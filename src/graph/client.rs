//! The HTTP clients: nothing is retried, redirected or proxied behind our back.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

use crate::auth::{BaseUrl, Wires, causes};

/// Name resolution, connection and TLS together; longer than any of them takes on a working network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Shorter than the shortest keep-alive that servers and proxies commonly have (5 s): a write that meets a connection
/// being closed is in doubt, and a new connection costs little beside that.
const IDLE: Duration = Duration::from_secs(4);

/// What the clients depend on.
#[derive(Debug, Clone)]
pub struct ClientPolicy {
    /// One request, from the first byte to the last.
    pub timeout: Duration,
    /// Requests in flight.
    pub concurrency: usize,
    /// PEM certificates that are trusted besides the system's.
    pub ca_pem: Option<Vec<u8>>,
}

/// A client could not be made. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
#[error("set up the HTTP client: {0}")]
pub struct ClientError(String);

/// Makes the clients for these places. The system's CA store is read only where TLS is spoken, for that takes a while,
/// and not every machine has one. If all places are this machine itself, no proxy is ever asked for anything.
pub fn wires(policy: &ClientPolicy, places: &[&BaseUrl]) -> Result<Wires, ClientError> {
    let own = policy.ca_pem.as_deref().map_or(Ok(Vec::new()), certificates)?;
    let alone = builder(policy).no_proxy().tls_certs_only(own.clone()).build();
    let alone = alone.map_err(|error| ClientError(format!("the CA file: {}", causes(&error))))?;
    let direct = if places.iter().any(|place| place.is_loopback() && place.is_secure()) {
        trusting(builder(policy).no_proxy(), own.clone())?
    } else {
        alone
    };
    let is_here = places.iter().all(|place| place.is_loopback());
    let proxied = if is_here { direct.clone() } else { trusting(builder(policy), own)? };
    Ok(Wires { proxied, direct })
}

fn builder(policy: &ClientPolicy) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("bulk-revoke/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .timeout(policy.timeout)
        // Shorter than the whole, so that a connection that was never made is known as such.
        .connect_timeout(CONNECT_TIMEOUT.min(policy.timeout.mul_f64(0.8)))
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(policy.concurrency)
}

/// A client that trusts whom the system trusts, and these.
fn trusting(builder: ClientBuilder, own: Vec<Certificate>) -> Result<Client, ClientError> {
    builder.tls_certs_merge(own).build().map_err(|error| {
        let hint = "is there a CA store on this machine? (install ca-certificates, set SSL_CERT_FILE, or give --ca-file)";
        ClientError(format!("{}; {hint}", causes(&error)))
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, ClientError> {
    let refuse = |why: String| ClientError(format!("the CA file {why}"));
    let found = Certificate::from_pem_bundle(pem).map_err(|error| refuse(format!("is no PEM: {}", causes(&error))))?;
    match pem.first() {
        _ if !found.is_empty() => Ok(found),
        None => Err(refuse("is empty".to_owned())),
        // An ASN.1 sequence (ITU-T X.690 8.1.2): what a certificate begins with that is not written as PEM.
        Some(0x30) => {
            Err(refuse("is DER, and PEM is wanted: openssl x509 -inform der -in FILE -out ca.pem makes it that".to_owned()))
        }
        Some(_) => Err(refuse("holds no PEM certificate".to_owned())),
    }
}
