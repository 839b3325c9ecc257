//! TLS in front of a server of the tests: certificates of an authority of their own, good ones and bad ones.
#![expect(clippy::unwrap_used, reason = "a front that breaks is a failed test")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use uuid::Uuid;

/// Somebody who vouches for servers.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of them are told apart by their names.
        params.distinguished_name.push(DnType::CommonName, Uuid::new_v4().to_string());
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// What a server of these names shows, and which versions of HTTP it offers.
    pub(crate) fn vouch(&self, names: &[&str], alpn: &[&str]) -> Arc<ServerConfig> {
        self.until(2_999, names, alpn)
    }

    /// The same, valid until the beginning of a year.
    pub(crate) fn until(&self, year: i32, names: &[&str], alpn: &[&str]) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(chain, key.serialize_der().try_into().unwrap()).unwrap();
        config.alpn_protocols = alpn.iter().map(|&protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// What a front does with a connection.
#[derive(Clone)]
pub(crate) enum Welcome {
    /// Speaks TLS and hands on what is said.
    Tls(Arc<ServerConfig>),
    /// Hands on what is said, as it is.
    Plain,
    /// Says this to the first thing that it hears, and leaves.
    Bytes(&'static [u8]),
    /// Speaks HTTP/2 over TLS, and refuses every request unheard.
    Refusal(Arc<ServerConfig>),
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    second: AtomicUsize,
}

/// A door on loopback to the server behind it.
pub(crate) struct Front {
    address: SocketAddr,
    counts: Arc<Counts>,
    _runtime: Runtime,
}

impl Front {
    /// One that listens at an address, and hands on to a URL.
    pub(crate) fn at(ip: &str, welcome: Welcome, behind: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((ip, 0))).unwrap();
        let (address, counts) = (listener.local_addr().unwrap(), Arc::new(Counts::default()));
        let (ours, behind) = (Arc::clone(&counts), behind.to_owned());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                ours.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, welcome.clone(), behind.clone(), Arc::clone(&ours)));
            }
        });
        Self { address, counts, _runtime: runtime }
    }

    pub(crate) fn new(welcome: Welcome, behind: &str) -> Self {
        Self::at("127.0.0.1", welcome, behind)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// How many requests came by HTTP/2.
    pub(crate) fn by_second_version(&self) -> usize {
        self.counts.second.load(Ordering::SeqCst)
    }
}

/// Whoever leaves ends it, which is no failure.
async fn serve(mut stream: TcpStream, welcome: Welcome, behind: String, counts: Arc<Counts>) {
    match welcome {
        Welcome::Plain => pipe(stream, &behind).await,
        Welcome::Bytes(bytes) => {
            // What is left unread would take the answer away with it.
            let heard = stream.read_buf(&mut Vec::with_capacity(64 * 1024)).await;
            drop((heard, stream.write_all(bytes).await));
        }
        Welcome::Refusal(config) => {
            let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            drop(refuse(stream, &counts).await);
        }
        Welcome::Tls(config) => {
            let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                multiplex(stream, behind, counts).await;
            } else {
                pipe(stream, &behind).await;
            }
        }
    }
}

/// Frame by frame (RFC 9113 sections 3.4, 4.1 and 6.4): `REFUSED_STREAM` says that nothing was done with a request.
async fn refuse(mut stream: TlsStream<TcpStream>, counts: &Counts) -> std::io::Result<()> {
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await?;
    stream.read_exact(&mut [0; 24]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [high, mid, low, kind, _, id @ ..] = head;
        stream.read_exact(&mut vec![0; u32::from_be_bytes([0, high, mid, low]) as usize]).await?;
        if kind == HEADERS {
            counts.second.fetch_add(1, Ordering::SeqCst);
            stream.write_all(&[&[0, 0, 4, 3, 0], &id[..], &[0, 0, 0, 7]].concat()).await?;
        }
    }
}

async fn pipe(mut stream: impl AsyncRead + AsyncWrite + Unpin, behind: &str) {
    let mut inner = TcpStream::connect(behind.trim_start_matches("http://")).await.unwrap();
    drop(copy_bidirectional(&mut stream, &mut inner).await);
}

async fn multiplex(stream: TlsStream<TcpStream>, behind: String, counts: Arc<Counts>) {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let answer = |request: Request<Incoming>| {
        counts.second.fetch_add(1, Ordering::SeqCst);
        let (client, behind) = (client.clone(), behind.clone());
        async move { Ok::<_, Infallible>(relayed(&client, &behind, request).await) }
    };
    drop(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(answer)).await);
}

async fn relayed(client: &reqwest::Client, behind: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let body = body.collect().await.unwrap().to_bytes();
    let reply = client.request(head.method, format!("{behind}{target}")).headers(head.headers).body(body).send().await.unwrap();
    let mut response = Response::builder().status(reply.status());
    // What is about the connection has no place in HTTP/2 (RFC 9113 section 8.2.2).
    for (name, value) in reply.headers().iter().filter(|(name, _)| *name != "connection") {
        response = response.header(name, value);
    }
    response.body(Full::new(reply.bytes().await.unwrap())).unwrap()
}
