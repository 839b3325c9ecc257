//! For tests: a tiny token endpoint on a loopback socket, and made-up tokens and sign-ins.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::entra::Entra;
use super::found::Memory;
use super::{Authority, Bearer, Claims, Credential, Method, SignIn, Wires};
use crate::clock::Clock;
use crate::model::TenantId;

pub(super) const TENANT: &str = "9dfb369b-ab13-4fae-a276-55daa05f1119";
pub(super) const NOW: &str = "2026-11-22T12:00:00Z";

/// Answers every request with what a function makes of its number and its text.
pub(super) struct Fake {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(super) async fn start(answer: impl Fn(usize, &str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                let reply = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    answer(seen.len() - 1, &request)
                };
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        });
        Self { port, requests }
    }

    /// A port on which nobody listens.
    pub(super) async fn dead() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { port: listener.local_addr().unwrap().port(), requests: Arc::default() }
    }

    pub(super) fn authority(&self) -> Authority {
        Authority::new(&format!("http://127.0.0.1:{}", self.port)).unwrap()
    }

    pub(super) fn url(&self) -> String {
        self.authority().to_string()
    }

    /// What asks this endpoint for everything, from [`NOW`] on.
    pub(super) fn entra(&self) -> Entra {
        let (wires, scope) = (wires(), "https://graph.microsoft.com/.default".to_owned());
        let clock = Clock::starting_at(NOW.parse().unwrap());
        Entra { wires, authority: self.authority(), scope, clock, memory: Memory::default() }
    }

    pub(super) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(super) fn request(&self, n: usize) -> String {
        self.requests.lock().unwrap()[n].clone()
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_string();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let n = stream.read(&mut buffer).await.unwrap();
        if n == 0 {
            return text;
        }
        bytes.extend_from_slice(&buffer[..n]);
    }
}

pub(super) fn reply(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A token answer; `expires_in` is raw JSON.
pub(super) fn grant(token: &str, expires_in: &str) -> String {
    format!(r#"{{"token_type":"Bearer","expires_in":{expires_in},"ext_expires_in":{expires_in},"access_token":"{token}"}}"#)
}

pub(super) fn jwt(tenant: &str) -> String {
    let payload = format!(r#"{{"tid":"{tenant}","appid":"the-app","roles":["Some.ReadWrite.All"],"exp":1800000000}}"#);
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
}

/// An answer with a token in the name of Ann, and this after it.
pub(super) fn granted(tenant: &str, rest: &str) -> String {
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"tid":"{tenant}","upn":"ann@contoso.com","scp":"A.Read"}}"#));
    reply(200, "", &format!(r#"{{"access_token":"e30.{payload}.c2ln","expires_in":3599{rest}}}"#))
}

/// Whether a life in seconds is this, give or take what the test has taken.
pub(super) fn is_about(life: u64, wanted: u64) -> bool {
    (wanted.saturating_sub(30)..=wanted).contains(&life)
}

/// A JWT that says this.
pub(super) fn says(payload: &serde_json::Value) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload.to_string()))
}

pub(super) fn client() -> reqwest::Client {
    // No roots: reading those of the system takes longer than a whole test.
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

pub(super) fn wires() -> Wires {
    let client = client();
    Wires { proxied: client.clone(), direct: client }
}

pub(super) fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

pub(super) fn sign_in(secret: &str) -> SignIn {
    signs_in(Credential::ClientSecret(secret.into()))
}

pub(super) fn signs_in(credential: Credential) -> SignIn {
    SignIn {
        tenant: tenant(),
        label: "contoso".to_owned(),
        client_id: "the-app".to_owned(),
        credential,
        allow_opaque: false,
        expect_domain: None,
    }
}

pub(super) fn bearer(n: usize) -> Bearer {
    Bearer::new(format!("token-{n}").into(), Method::ClientSecret, Claims::default())
}
