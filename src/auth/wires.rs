//! The two ways out of this machine: through the proxy that the environment names, and straight.

use reqwest::Client;

use super::BaseUrl;

/// One client for hosts out there, one for this machine and its platform, which no proxy must see anything of.
/// Both follow no redirects (a 307 would carry a secret to another host) and do not retry by themselves.
#[derive(Debug, Clone)]
pub struct Wires {
    /// Through the proxies of system and environment, unless Graph and the authority both are this machine itself.
    pub proxied: Client,
    /// Past them. Where no place on this machine speaks TLS, it trusts the CA file alone.
    pub direct: Client,
}

impl Wires {
    /// The client for a place.
    pub const fn to(&self, place: &BaseUrl) -> &Client {
        if place.is_loopback() { &self.direct } else { &self.proxied }
    }
}
