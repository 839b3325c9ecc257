//! A base URL that secrets may be sent to: https, or plain http to this machine itself.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

/// A base URL without a slash at the end. Plain http exists only for loopback, because secrets go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    path: bool,
    loopback: bool,
}

impl BaseUrl {
    /// Checks a base URL; the error says what is wrong with it.
    pub fn new(given: &str) -> Result<Self, &'static str> {
        let url = Url::parse(given.trim()).map_err(|_| "not a URL such as https://graph.microsoft.com")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must not hold a user name or a password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it must end with the host or a path");
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else { return Err("it names no host") };
        let loopback = is_loopback(host);
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err("plain http is accepted only for a loopback address; use https"),
            _ => return Err("only https is accepted"),
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { text, path: url.path() != "/", loopback })
    }

    /// What may be shown of a URL that was given: nothing, if it may hold a password.
    pub fn shown(given: &str) -> String {
        if given.contains('@') { "[withheld]".to_owned() } else { given.to_owned() }
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether anything follows the host.
    pub const fn has_path(&self) -> bool {
        self.path
    }

    /// Whether it is this machine itself, which no proxy can reach.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
