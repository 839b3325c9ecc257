//! A bare HTTP/1.1 server on a standard socket: it shows every byte of a request, and a test writes every byte of the
//! answer. It issues tokens itself, and answers reads unless the test does, so that only requests to revoke reach it.
#![expect(clippy::unwrap_used, reason = "a server that breaks is a failed test")]

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::TENANT;

/// Longer than anything takes on a slow machine; a wait that reaches it is a failure.
const BOUND: Duration = Duration::from_mins(1);

/// What the server does with a request.
pub(crate) enum Reply {
    /// Answers with these bytes.
    Bytes(Vec<u8>),
    /// Answers with these bytes and closes the connection.
    Last(Vec<u8>),
    /// Closes the connection without a word.
    Cut,
    /// Waits until the test says [`Stub::release`], and answers 204.
    Hold,
}

/// A request as it came: the head with its blank line, and the body.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    /// The request line.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Whether it reads one object.
    pub(crate) fn reads_object(&self) -> bool {
        is_read(self) && self.path().rsplit('/').next().is_some_and(|last| last.parse::<Uuid>().is_ok())
    }

    /// Whether it is to revoke.
    pub(crate) fn revokes(&self) -> bool {
        self.line().starts_with("POST /beta/")
    }

    /// The path that was asked for, without its query.
    pub(crate) fn path(&self) -> &str {
        let target = self.line().split(' ').nth(1).unwrap_or_default();
        target.split('?').next().unwrap_or_default()
    }

    /// The path of the object that an action is about.
    fn object(&self) -> &str {
        self.path().rsplit_once('/').map_or("", |(object, _)| object)
    }

    /// Names (in lower case) and values, in order.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect()
    }

    /// The one header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut found = self.headers().into_iter().filter(|(found, _)| found == name).map(|(_, value)| value);
        let first = found.next();
        assert_eq!(found.next(), None, "{name} twice");
        first
    }
}

#[derive(Default)]
struct State {
    connections: usize,
    seen: Vec<Seen>,
    released: bool,
    /// Paths of the objects whose revocation was answered 204.
    revoked: HashSet<String>,
}

/// What a test says to a request; none: what the server says by itself.
type Script = dyn Fn(&Seen) -> Option<Reply> + Send + Sync;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    withholds_tokens: bool,
}

impl Shared {
    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn wait(&self, until: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap();
        let (_state, timeout) = self.changed.wait_timeout_while(state, BOUND, |state| !until(state)).unwrap();
        assert!(!timeout.timed_out(), "waited in vain");
    }
}

/// The server; it serves until the test process ends.
pub(crate) struct Stub {
    url: String,
    shared: Arc<Shared>,
}

impl Stub {
    /// Starts one that answers everything but reads of Graph like this. It knows every object, though its lists are
    /// empty, and shows those as revoked whose revocation was answered 204.
    pub(crate) fn start(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::scripted(move |seen| (!is_read(seen)).then(|| reply(seen)))
    }

    /// One whose reads are answered like this, where that is not none; it says 204 to everything else.
    pub(crate) fn reading(read: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::scripted(move |seen| if is_read(seen) { read(seen) } else { Some(answer(204, "", "")) })
    }

    /// One that answers everything but requests for tokens like this, and by itself where that is none.
    pub(crate) fn scripted(script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::with(Shared::default(), script)
    }

    /// One that holds every request, those for tokens too.
    pub(crate) fn withholding_tokens() -> Self {
        Self::with(Shared { withholds_tokens: true, ..Shared::default() }, |_| Some(Reply::Hold))
    }

    /// One that issues no tokens by itself: requests for them are answered like this as well.
    pub(crate) fn signing_in(script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::with(Shared { withholds_tokens: true, ..Shared::default() }, script)
    }

    fn with(shared: Shared, reply: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(shared);
        let (ours, reply): (_, Arc<Script>) = (Arc::clone(&shared), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, reply) = (Arc::clone(&ours), Arc::clone(&reply));
                shared.change(|state| state.connections += 1);
                // An error is the client's leaving.
                thread::spawn(move || drop(serve(stream, &shared, reply.as_ref())));
            }
        });
        Self { url, shared }
    }

    /// One that says 204 to everything but reads.
    pub(crate) fn content() -> Self {
        Self::start(|_| answer(204, "", ""))
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The flags that send a run there without asking.
    pub(crate) fn flags(&self) -> String {
        format!("--yes {}", self.places())
    }

    /// The flags that only say where it is, and where the report goes.
    pub(crate) fn places(&self) -> String {
        format!("--out out --graph-root {0} --authority {0}", self.url)
    }

    /// Every request but those for tokens, reads of objects and lists, and the question who the tenant is.
    pub(crate) fn posts(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(is_post).collect()
    }

    /// Every read of Graph.
    pub(crate) fn reads(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(is_read).collect()
    }

    /// Every request.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.state.lock().unwrap().seen.clone()
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().connections
    }

    /// Waits until so many requests have come that are neither for tokens nor reads of Graph.
    pub(crate) fn wait_for_posts(&self, count: usize) {
        self.shared.wait(|state| state.seen.iter().filter(|seen| is_post(seen)).count() >= count);
    }

    /// Waits until so much of Graph was read.
    pub(crate) fn wait_for_reads(&self, count: usize) {
        self.shared.wait(|state| state.seen.iter().filter(|seen| is_read(seen)).count() >= count);
    }

    /// Waits until a token was asked for.
    pub(crate) fn wait_for_token_request(&self) {
        self.shared.wait(|state| state.seen.iter().any(is_token));
    }

    /// Lets held requests be answered.
    pub(crate) fn release(&self) {
        self.shared.change(|state| state.released = true);
    }
}

fn serve(mut stream: TcpStream, shared: &Shared, script: &Script) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(seen) = read(&mut reader)? {
        shared.change(|state| state.seen.push(seen.clone()));
        let reply = if is_token(&seen) && !shared.withholds_tokens {
            issue(&jwt(TENANT))
        } else if asks_who(&seen) {
            answer(403, "", "")
        } else {
            script(&seen).unwrap_or_else(|| shown(&seen, &shared.state.lock().unwrap().revoked))
        };
        let (bytes, is_last) = match reply {
            Reply::Bytes(bytes) => (bytes, false),
            Reply::Last(bytes) => (bytes, true),
            Reply::Cut => return Ok(()),
            Reply::Hold => {
                shared.wait(|state| state.released);
                (head(204, "", 0).into_bytes(), false)
            }
        };
        if bytes.starts_with(b"HTTP/1.1 204") {
            shared.change(|state| state.revoked.extend([seen.object().to_owned()]));
        }
        stream.write_all(&bytes)?;
        if is_last {
            return Ok(());
        }
    }
    Ok(())
}

/// What the server says to a read by itself: an empty list, or the object.
fn shown(seen: &Seen, revoked: &HashSet<String>) -> Reply {
    let path = seen.path();
    if !seen.reads_object() {
        return object(&json!({"value": []}));
    }
    let id = path.rsplit('/').next();
    object(&match (path.contains("/vppTokens/"), revoked.contains(path)) {
        (false, false) => json!({"id": id, "displayName": "Stub", "tokenExpirationDateTime": "2099-01-01T00:00:00Z"}),
        (false, true) => json!({"id": id, "displayName": "Stub", "tokenExpirationDateTime": "2026-06-01T11:59:59Z"}),
        (true, false) => json!({"id": id, "displayName": "Stub", "tokenActionResults": []}),
        (true, true) => json!({"id": id, "displayName": "Stub", "tokenActionResults": [action("done", 0)]}),
    })
}

/// A revoke action of a VPP token with ten licences.
pub(crate) fn action(state: &str, failed: u32) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.vppTokenRevokeLicensesActionResult",
        "actionName": "revokeLicenses",
        "actionState": state,
        "startDateTime": "2026-06-01T11:59:58Z",
        "totalLicensesCount": 10,
        "failedLicensesCount": failed,
    })
}

/// A 200 with this body, sent in the middle of 2026.
pub(crate) fn object(body: &Value) -> Reply {
    answer(200, "Date: Mon, 01 Jun 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n", &body.to_string())
}

fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let seen = Seen { head, body: String::new() };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Seen { body: String::from_utf8_lossy(&body).into_owned(), ..seen }))
}

fn is_token(seen: &Seen) -> bool {
    seen.line().contains("/oauth2/v2.0/token")
}

/// Who the tenant is nobody may read here.
fn asks_who(seen: &Seen) -> bool {
    seen.path() == "/beta/organization"
}

fn is_read(seen: &Seen) -> bool {
    seen.line().starts_with("GET /beta/") && !asks_who(seen)
}

fn is_post(seen: &Seen) -> bool {
    !is_token(seen) && !is_read(seen) && !asks_who(seen)
}

/// An answer with further header lines, each ended by CRLF, and a body.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Reply {
    Reply::Bytes(format!("{}{body}", head(status, headers, body.len())).into_bytes())
}

fn head(status: u16, headers: &str, length: usize) -> String {
    let length = if status == 204 { String::new() } else { format!("Content-Length: {length}\r\n") };
    format!("HTTP/1.1 {status} X\r\n{headers}{length}\r\n")
}

fn issue(token: &str) -> Reply {
    let body = json!({"token_type": "Bearer", "expires_in": 3_600, "access_token": token}).to_string();
    answer(200, "Content-Type: application/json\r\n", &body)
}

/// A token that names this tenant. Its end is the same in every token, for searches.
pub(crate) fn jwt(tenant: Uuid) -> String {
    let [head, claims] = [json!({"alg": "none", "typ": "JWT"}), json!({"tid": tenant.to_string(), "appid": "app"})]
        .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{head}.{claims}.BEARER-IN-PERSON")
}
