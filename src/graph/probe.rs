//! Whether a place answers at all; and if not, what stands in the way.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use reqwest::header::DATE;

use crate::auth::{Obstacle, causes, http_date};

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

impl Unreachable {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        self.obstacle.hint()
    }
}

/// Asks a place for anything, without a token: whatever it answers, it is there. Returns its own time, if it says so.
pub async fn probe(client: &Client, place: &str) -> Result<Option<Timestamp>, Unreachable> {
    match client.get(place).timeout(LIMIT).send().await {
        Ok(response) => Ok(response.headers().get(DATE).and_then(|date| http_date(date.to_str().ok()?))),
        Err(error) => {
            let error = error.without_url();
            Err(Unreachable { place: place.to_owned(), obstacle: Obstacle::of(&error), message: causes(&error) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_on_which_nobody_listens_refuses() {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let client = Client::builder().no_proxy().build().unwrap();
        let error = probe(&client, &format!("http://127.0.0.1:{port}")).await.unwrap_err();
        assert_eq!(error.obstacle, Obstacle::Refused, "{error}");
    }
}
