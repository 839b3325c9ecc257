//! An HTTP proxy: it connects every name to one place, asks who we are if told to, and notes what it was asked for.
#![expect(clippy::unwrap_used, reason = "a proxy that breaks is a failed test")]

use std::io::{BufRead as _, BufReader, Write as _, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The proxy; it serves until the test process ends.
pub(crate) struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that leads everywhere to one place, for whoever gives this `user:password`; none: for everybody.
    pub(crate) fn to(place: SocketAddr, account: Option<&str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let account = account.map(|account| format!("proxy-authorization: basic {}", STANDARD.encode(account)));
        let ours = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, account) = (Arc::clone(&ours), account.clone());
                // An error is the client's leaving.
                thread::spawn(move || drop(serve(&stream, place, &asked, account.as_deref())));
            }
        });
        Self { address, asked }
    }

    /// What a variable says that names it.
    pub(crate) fn url(&self, account: &str) -> String {
        format!("http://{account}{}", self.address)
    }

    /// The request line of everything that came, each once, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }

    /// How often it was asked for anything.
    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn serve(mut stream: &TcpStream, place: SocketAddr, asked: &Mutex<Vec<String>>, account: Option<&str>) -> std::io::Result<()> {
    // The client waits for an answer before it says more, so nothing is left in the buffer.
    let mut head = Vec::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    asked.lock().unwrap().extend(head.first().cloned());
    // Names of headers, and schemes, are the same in either case; Base64 is not.
    let is_known = |wanted: &str| {
        let (name, secret) = wanted.rsplit_once(' ').unwrap();
        head.iter()
            .filter_map(|line| line.rsplit_once(' '))
            .any(|(found, given)| found.eq_ignore_ascii_case(name) && given == secret)
    };
    if !account.is_none_or(is_known) {
        let answer = "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
        return stream.write_all(answer.as_bytes());
    }
    let inner = TcpStream::connect(place)?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from, mut to) = (stream.try_clone()?, inner.try_clone()?);
    thread::spawn(move || drop(copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write))));
    copy(&mut &inner, &mut stream)?;
    stream.shutdown(Shutdown::Write)
}
