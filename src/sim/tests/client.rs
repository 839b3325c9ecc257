//! A client for these tests, on a bare TCP stream so that every byte and every closed connection shows.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::sim::{Behaviour, Collection, Object, Options, Server, Tenant};

pub(super) const TENANT: Uuid = Uuid::from_u128(0x7e);
pub(super) const OTHER: Uuid = Uuid::from_u128(0x07);
pub(super) const APP: Uuid = Uuid::from_u128(0xa99);

/// An answer, taken apart.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// What Intune says inside `error.message`.
    pub(super) fn nested(&self) -> Value {
        serde_json::from_str(self.json()["error"]["message"].as_str().unwrap()).unwrap()
    }
}

/// The objects of the tests: so many of each collection, with ids from 1 on, in [`TENANT`].
pub(super) fn options(behaviour: Behaviour, count: u128) -> Options {
    let mut options = Options::new(behaviour);
    options.tenants = vec![
        Tenant { id: TENANT, domains: vec!["contoso.com".to_owned(), "contoso.onmicrosoft.com".to_owned()] },
        Tenant { id: OTHER, domains: Vec::new() },
    ];
    options.objects = Collection::ALL
        .into_iter()
        .flat_map(|collection| (1..=count).map(move |n| Object { tenant: TENANT, collection, id: Uuid::from_u128(n) }))
        .collect();
    options
}

/// A client with a token for one server.
pub(super) struct Client {
    pub(super) server: Server,
    pub(super) token: String,
}

impl Client {
    pub(super) async fn start(behaviour: Behaviour) -> Self {
        Self::of(options(behaviour, 5)).await
    }

    pub(super) async fn of(options: Options) -> Self {
        let server = Server::start(options).await.unwrap();
        let token = token(&server, TENANT, APP).await;
        Self { server, token }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        let request = format!("GET {path} HTTP/1.1\r\n{}\r\n", self.common());
        exchange(&self.server, &request).await.unwrap()
    }

    pub(super) async fn object(&self, collection: Collection, n: u128) -> Reply {
        self.get(&path(collection, n)).await
    }

    /// The action with the right body for its collection.
    pub(super) async fn revoke(&self, collection: Collection, n: u128) -> io::Result<Reply> {
        exchange(&self.server, &self.request(collection, n)).await
    }

    pub(super) fn request(&self, collection: Collection, n: u128) -> String {
        let path = format!("{}/{}", path(collection, n), collection.action());
        let body = match collection {
            Collection::VppTokens => r#"{"notifyManagedDevices":true,"revokeUntrackedLicenses":false}"#,
            Collection::AndroidForWork | Collection::AndroidDeviceOwner => "",
        };
        let media = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\n{}{media}content-length: {length}\r\n\r\n{body}", self.common())
    }

    pub(super) fn common(&self) -> String {
        format!(
            "host: {}\r\nauthorization: Bearer {}\r\naccept: application/json\r\nclient-request-id: mine\r\nconnection: close\r\n",
            host(&self.server),
            self.token
        )
    }
}

pub(super) fn path(collection: Collection, n: u128) -> String {
    let (area, name) = collection.segments();
    format!("/beta/{area}/{name}/{}", Uuid::from_u128(n))
}

pub(super) fn host(server: &Server) -> &str {
    server.url().trim_start_matches("http://")
}

/// Sends bytes, reads until the server closes, and takes the answer apart. An error if there was none.
pub(super) async fn exchange(server: &Server, request: &str) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(host(server)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut text = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut text)).await??;
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Ok(Reply { status, head: head.to_owned(), body: body.to_owned() })
}

pub(super) async fn ask_token(server: &Server, tenant: &str, headers: &str, form: &str) -> Reply {
    let request = format!(
        "POST /{tenant}/oauth2/v2.0/token HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        host(server),
        form.len()
    );
    exchange(server, &request).await.unwrap()
}

/// A form that gets a token.
pub(super) fn form(server: &Server, app: Uuid) -> String {
    format!(
        "grant_type=client_credentials&client_id={app}&client_secret=simulated&scope=http%3A%2F%2F{}%2F.default",
        host(server).replace(':', "%3A")
    )
}

pub(super) async fn token(server: &Server, tenant: Uuid, app: Uuid) -> String {
    loop {
        let reply = ask_token(server, &tenant.to_string(), "", &form(server, app)).await;
        if reply.status == 200 {
            return reply.json()["access_token"].as_str().unwrap().to_owned();
        }
    }
}

/// Waits for something that is about to happen, a few milliseconds at a time; fails after five seconds.
pub(super) async fn eventually(mut happened: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(happened().await, "it never happened");
}
