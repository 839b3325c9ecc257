//! Whether a place answers at all; and if not, what stands in the way.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use reqwest::header::DATE;

use crate::auth::{causes, http_date};

/// Longer than a place takes that can be worked with.
const LIMIT: Duration = Duration::from_secs(10);

/// Why there is no answer. Reads after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reach {place}: {message}")]
pub struct Unreachable {
    place: String,
    message: String,
    obstacle: Obstacle,
}

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Name,
    Proxy,
    Certificate,
    Refused,
    Silence,
    Other,
}

impl Unreachable {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self.obstacle {
            Obstacle::Name => "check the name and this machine's DNS; behind a proxy set HTTPS_PROXY",
            Obstacle::Proxy => "the proxy does not let it through: check HTTPS_PROXY, NO_PROXY and the proxy's own rules",
            Obstacle::Certificate => {
                "its certificate is not trusted here: give the company's CA with --ca-file or [graph] ca_file"
            }
            Obstacle::Refused => {
                "nothing listens there, or a firewall refuses: check the address; behind a proxy set HTTPS_PROXY"
            }
            Obstacle::Silence => "a firewall may swallow it: check its rules; behind a proxy set HTTPS_PROXY",
            Obstacle::Other => "check this machine's network; behind a proxy set HTTPS_PROXY",
        }
    }
}

/// Asks a place for anything, without a token: whatever it answers, it is there. Returns its own time, if it says so.
pub async fn probe(client: &Client, place: &str) -> Result<Option<Timestamp>, Unreachable> {
    match client.get(place).timeout(LIMIT).send().await {
        Ok(response) => Ok(response.headers().get(DATE).and_then(|date| http_date(date.to_str().ok()?))),
        Err(error) => {
            let is_silent = error.is_timeout();
            let message = causes(&error.without_url());
            Err(Unreachable { place: place.to_owned(), obstacle: obstacle(&message, is_silent), message })
        }
    }
}

/// The layers below have no types for it that could be asked.
fn obstacle(message: &str, is_silent: bool) -> Obstacle {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["dns", "lookup address", "resolve"]) {
        Obstacle::Name
    } else if says(&["tunnel", "proxy"]) {
        Obstacle::Proxy
    } else if says(&["certificate", "tls", "handshake"]) {
        Obstacle::Certificate
    } else if says(&["refused"]) {
        Obstacle::Refused
    } else if is_silent {
        Obstacle::Silence
    } else {
        Obstacle::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obstacles_are_told_apart() {
        for (message, is_silent, expected) in [
            ("client error (Connect): dns error: failed to lookup address information", false, Obstacle::Name),
            ("client error (Connect): tunnel error: unsuccessful", false, Obstacle::Proxy),
            ("client error (Connect): invalid peer certificate: UnknownIssuer", false, Obstacle::Certificate),
            ("client error (Connect): tcp connect error: Connection refused (os error 111)", false, Obstacle::Refused),
            ("operation timed out", true, Obstacle::Silence),
            ("connection reset", false, Obstacle::Other),
        ] {
            assert_eq!(obstacle(message, is_silent), expected, "{message}");
        }
    }

    #[tokio::test]
    async fn a_port_on_which_nobody_listens_refuses() {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let client = Client::builder().no_proxy().build().unwrap();
        let error = probe(&client, &format!("http://127.0.0.1:{port}")).await.unwrap_err();
        assert_eq!(error.obstacle, Obstacle::Refused, "{error}");
    }
}
