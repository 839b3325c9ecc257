//! What stands between us and a place, told from an error of the HTTP client: the one file that knows its layers.

use std::error::Error;
use std::io;

use rustls::{AlertDescription as Alert, CertificateError as Flaw};

use super::causes::causes;

/// Why a connection was not made, or gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Nobody knows the name.
    Name,
    /// The proxy wants to know who we are.
    ProxySignIn,
    /// The proxy does not let it through, or is not there.
    Proxy,
    /// Nobody whom this machine trusts vouches for the certificate.
    Issuer,
    /// The certificate is not valid at this time.
    Time,
    /// The certificate is another host's.
    Host,
    /// Something else is wrong with the certificate.
    Certificate,
    /// What answers speaks no TLS.
    Plain,
    /// The two sides found no TLS in common.
    Handshake,
    /// Nothing listens there.
    Refused,
    /// No answer in time.
    Silence,
    /// Anything else.
    Other,
}

impl Obstacle {
    /// What is behind an error. Failures of TLS have types of their own; for the rest there are only words.
    pub fn of(error: &reqwest::Error) -> Self {
        if let Some(tls) = tls(error) {
            return Self::of_tls(tls);
        }
        let words = causes(error).to_lowercase();
        let says = |wanted: &[&str]| wanted.iter().any(|word| words.contains(word));
        if says(&["proxy authorization"]) {
            Self::ProxySignIn
        } else if says(&["tunnel"]) {
            Self::Proxy
        } else if says(&["dns error", "lookup address"]) {
            Self::Name
        } else if says(&["refused"]) {
            Self::Refused
        } else if error.is_timeout() {
            Self::Silence
        } else {
            Self::Other
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        if let rustls::Error::InvalidCertificate(flaw) = error {
            let is_late = matches!(flaw, Flaw::Expired | Flaw::ExpiredContext { .. });
            let is_early = matches!(flaw, Flaw::NotValidYet | Flaw::NotValidYetContext { .. });
            if is_late || is_early {
                Self::Time
            } else if matches!(flaw, Flaw::UnknownIssuer) {
                Self::Issuer
            } else if matches!(flaw, Flaw::NotValidForName | Flaw::NotValidForNameContext { .. }) {
                Self::Host
            } else {
                Self::Certificate
            }
        } else if matches!(error, rustls::Error::InvalidMessage(_)) {
            Self::Plain
        } else if let rustls::Error::AlertReceived(alert) = error
            && is_mishap(*alert)
        {
            Self::Other
        } else {
            Self::Handshake
        }
    }

    /// Whether a connection that it prevented would be prevented again: somebody must mend it.
    pub const fn is_lasting(self) -> bool {
        match self {
            Self::ProxySignIn | Self::Issuer | Self::Time | Self::Host | Self::Certificate | Self::Plain | Self::Handshake => {
                true
            }
            Self::Name | Self::Proxy | Self::Refused | Self::Silence | Self::Other => false,
        }
    }

    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Name => "check the name and this machine's DNS; behind a proxy set HTTPS_PROXY",
            Self::ProxySignIn => "give the proxy's user and password in HTTPS_PROXY",
            Self::Proxy => "the proxy does not let it through: check HTTPS_PROXY, NO_PROXY and the proxy's own rules",
            Self::Issuer => {
                "its certificate is not trusted here: if a proxy or firewall inspects TLS, give the company's CA with --ca-file \
                 or [graph] ca_file"
            }
            Self::Time => "its certificate is not valid now: check this machine's clock, and what stands in between",
            Self::Host => "its certificate is another host's: check the address, and what stands in between",
            Self::Certificate => "its certificate cannot be accepted: check what stands in between",
            Self::Plain => "no TLS is spoken there: check the address and its port, and what stands in between",
            Self::Handshake => "TLS 1.2 or 1.3 is needed: check what stands in between",
            Self::Refused => "nothing listens there, or a firewall refuses: check the address; behind a proxy set HTTPS_PROXY",
            Self::Silence => "a firewall may swallow it: check its rules; behind a proxy set HTTPS_PROXY",
            Self::Other => "check this machine's network; behind a proxy set HTTPS_PROXY",
        }
    }
}

/// Whether the other side had trouble of its own, and did not refuse us (RFC 8446 section 6): a busy balancer may say so.
const fn is_mishap(alert: Alert) -> bool {
    matches!(alert, Alert::InternalError | Alert::UserCanceled | Alert::CloseNotify)
}

/// The failure of TLS behind an error, if it is one.
fn tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // An I/O error is silent about what it was made of: its source is the source of that.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => tls(inner),
        None => tls(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What stands in the way of a place behind a proxy that says this; none: it is not there.
    async fn behind(said: Option<&'static str>) -> Obstacle {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://me:pass@{}", listener.local_addr().unwrap());
        if let Some(said) = said {
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_buf(&mut Vec::new()).await.unwrap();
                stream.write_all(said.as_bytes()).await.unwrap();
            });
        } else {
            drop(listener);
        }
        let proxy = reqwest::Proxy::all(url).unwrap();
        let client = reqwest::Client::builder().proxy(proxy).tls_certs_only([]).build().unwrap();
        let error = client.get("https://graph.test").send().await.unwrap_err();
        assert!(error.is_connect() && !causes(&error).contains("pass"), "{error:?}");
        Obstacle::of(&error)
    }

    #[test]
    fn the_other_sides_own_trouble_passes_and_its_refusal_does_not() {
        for (alert, lasts) in [(Alert::InternalError, false), (Alert::HandshakeFailure, true), (Alert::AccessDenied, true)] {
            assert_eq!(Obstacle::of_tls(&rustls::Error::AlertReceived(alert)).is_lasting(), lasts, "{alert:?}");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_wants_to_know_who_we_are_is_no_outage_and_one_that_fails_is() {
        for (said, obstacle) in [
            (Some("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), Obstacle::ProxySignIn),
            (Some("HTTP/1.1 403 Forbidden\r\n\r\n"), Obstacle::Proxy),
            (Some("HTTP/1.1 502 Bad Gateway\r\n\r\n"), Obstacle::Proxy),
            (Some(""), Obstacle::Proxy),
            (None, Obstacle::Proxy),
        ] {
            let found = behind(said).await;
            assert_eq!((found, found.is_lasting()), (obstacle, obstacle == Obstacle::ProxySignIn));
        }
    }
}
