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

    /// Whether TLS is spoken there.
    pub fn is_secure(&self) -> bool {
        self.text.starts_with("https:")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_loopback_however_it_is_written_and_nothing_else_is() {
        let cases = [
            ("http://127.0.0.1:8080", Some(true)),
            ("http://127.1", Some(true)),
            ("http://0x7f.0.0.1", Some(true)),
            ("http://2130706433", Some(true)),
            ("http://017700000001", Some(true)),
            ("http://127.255.255.254/", Some(true)),
            ("HTTP://LOCALHOST:1", Some(true)),
            ("http://[::1]:1", Some(true)),
            ("http://[0:0::0:1]", Some(true)),
            ("https://127.0.0.1:8443", Some(true)),
            ("https://graph.microsoft.com", Some(false)),
            ("https://localhost.evil.example", Some(false)),
            ("http://localhost.", None),
            ("http://localhost.evil.example", None),
            ("http://127.0.0.1.evil.example", None),
            ("http://[::ffff:127.0.0.1]", None),
            ("http://[::]", None),
            ("http://0.0.0.0", None),
            ("http://128.0.0.1", None),
            ("http://4278190081", None),
            ("http://127.0.0.1@evil.example", None),
            ("http://evil.example\\@127.0.0.1", None),
            ("http://evil.example#@127.0.0.1", None),
            ("https://user@graph.microsoft.com", None),
            ("http:127.0.0.1:99999", None),
        ];
        for (given, loopback) in cases {
            assert_eq!(BaseUrl::new(given).ok().map(|url| url.is_loopback()), loopback, "{given}");
        }
        // What was judged is what is asked.
        assert_eq!(BaseUrl::new(" http://0x7f.1:80/ ").unwrap().as_str(), "http://127.0.0.1");
    }
}
