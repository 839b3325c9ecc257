//! The front on loopback: HTTP/1.1, one task per connection, obeying the core's plans to the letter.
//! A revocation under way goes on when its client leaves, as it does at the real service.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use super::answer::{Answer, Ending};
use super::approval::{ApprovalRecord, Decision};
use super::clock::Clock;
use super::issuer::Issuer;
use super::log::LogEntry;
use super::options::{Collection, Options};
use super::revoke::Revocation;
use super::service::Service;

/// Bodies are a few dozen bytes; more than this many is refused by closing the connection.
const LONGEST_BODY: usize = 64 * 1024;

/// How long to let the system recover when it refuses a connection (out of file descriptors).
const BREATH: Duration = Duration::from_millis(10);

/// A simulated Graph and Entra at one loopback address. Dropping it ends it.
pub struct Server {
    url: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<Infallible>>,
    task: JoinHandle<()>,
}

struct Shared {
    clock: Clock,
    service: Mutex<Service>,
}

impl Shared {
    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until this long after the start.
    async fn until(&self, due: Duration) {
        let left = due.saturating_sub(self.clock.elapsed());
        if !left.is_zero() {
            tokio::time::sleep(left).await;
        }
    }
}

impl Server {
    /// Starts serving; must be called within a tokio runtime. Fails if the port cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let clock = Clock::start();
        let service = Mutex::new(Service::new(options, clock.wall()));
        let shared = Arc::new(Shared { clock, service });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), stopped));
        Ok(Self { url, shared, stop: Some(stop), task })
    }

    /// Graph root and authority alike, for instance `http://127.0.0.1:4711`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every exchange so far, in order of arrival; empty if the log is switched off.
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared.service().log().to_vec()
    }

    /// How often a revocation took effect on objects of this collection and id, in whatever tenant.
    pub fn effects(&self, collection: Collection, id: Uuid) -> u32 {
        self.shared.service().effects(collection, id)
    }

    /// The largest number of requests to revoke one object that were open at the same time.
    pub fn max_in_flight(&self, collection: Collection, id: Uuid) -> usize {
        super::log::max_in_flight(self.shared.service().log(), collection, id)
    }

    /// Gives an object a new token, as an administrator would: it is live again. False if it is unknown.
    pub fn reissue(&self, tenant: Uuid, collection: Collection, id: Uuid) -> bool {
        let now = self.shared.clock.elapsed();
        self.shared.service().reissue(now, tenant, collection, id)
    }

    /// Deletes an object. False if it is unknown.
    pub fn remove(&self, tenant: Uuid, collection: Collection, id: Uuid) -> bool {
        self.shared.service().remove(tenant, collection, id)
    }

    /// Every request for an approval so far, in the order in which they were filed.
    pub fn approvals(&self) -> Vec<ApprovalRecord> {
        let now = self.shared.clock.elapsed();
        self.shared.service().approvals(now)
    }

    /// Decides a request as the second administrator, or takes an approval back. False if it is unknown or has ended.
    pub fn decide(&self, tenant: Uuid, code: Uuid, decision: Decision) -> bool {
        let now = self.shared.clock.elapsed();
        self.shared.service().decide_approval(now, tenant, code, decision)
    }

    /// Decides all requests of a tenant that wait; how many those were.
    pub fn decide_all(&self, tenant: Uuid, decision: Decision) -> usize {
        let now = self.shared.clock.elapsed();
        self.shared.service().decide_approvals(now, tenant, decision)
    }

    /// The codes that devices wait with for a person to type in.
    pub fn user_codes(&self) -> Vec<String> {
        self.shared.service().people.user_codes()
    }

    /// The person types in this code, and agrees or declines. False if no device waits with it.
    pub fn answer_device(&self, user_code: &str, agrees: bool) -> bool {
        self.shared.service().people.decide(user_code, agrees)
    }

    /// Revokes all refresh tokens that there are, as an administrator or a new password would.
    pub fn revoke_sessions(&self) {
        let now = self.shared.clock.elapsed();
        self.shared.service().people.sign_out(now);
    }

    /// A token for an app, as somebody else could have got it.
    pub fn access_token(&self, tenant: Uuid, app: Uuid) -> String {
        let now = self.shared.clock.elapsed();
        self.shared.service().spare_token(now, &self.url, (tenant, app))
    }

    /// An issuer's token about this subject for [`FederatedCredential::AUDIENCE`], good for so long.
    ///
    /// [`FederatedCredential::AUDIENCE`]: super::FederatedCredential::AUDIENCE
    pub fn federated_token(&self, issuer: Issuer, subject: &str, lifetime: Duration) -> String {
        let now = self.shared.clock.elapsed();
        self.shared.service().federated_token(now, (issuer, subject), lifetime)
    }

    /// Ends it: closes the listener and every connection, and returns when they are closed.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        // It fails only if the task was cancelled or died, and then everything is closed as well.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Takes connections until the other end of `stopped` is dropped.
async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<Infallible>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                Err(_) => tokio::time::sleep(BREATH).await,
            },
        }
    }
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without it answers wait for acknowledgements; where it cannot be set they are late, not wrong.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| exchange(Arc::clone(&shared), request));
    // Ends with an error when a plan says `Cut` or the client leaves: in both cases the stream is dropped.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut as planned")
    }
}

impl std::error::Error for Cut {}

async fn exchange(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(|_| Cut)?.to_bytes();
    let request = Request::from_parts(parts, body);
    if request.uri().path() == "/_log" {
        return response(&shared, log_lines(&shared));
    }
    let arrived = shared.clock.elapsed();
    let plan = shared.service().handle(arrived, &request);
    let mut open = Open { shared: &shared, ordinal: plan.ordinal, status: None };
    let outcome = plan.effect.map(|(due, revocation)| begin(&shared, arrived + due, revocation));
    shared.until(arrived + plan.delay).await;
    let answer = match plan.ending {
        Ending::Answer(answer) => answer,
        Ending::Outcome => match outcome {
            Some(outcome) => outcome.answer().await?,
            None => return Err(Cut),
        },
        Ending::Cut => return Err(Cut),
        Ending::Hang => std::future::pending().await,
    };
    open.status = Some(answer.status);
    response(&shared, answer)
}

/// The answer to a revocation, there already or on its way.
enum Outcome {
    There(Answer),
    Coming(oneshot::Receiver<Answer>),
}

impl Outcome {
    async fn answer(self) -> Result<Answer, Cut> {
        match self {
            Self::There(answer) => Ok(answer),
            Self::Coming(receiver) => receiver.await.map_err(|_| Cut),
        }
    }
}

/// Performs a revocation when it is due, whether or not anybody still waits for it; not after the end of the server.
fn begin(shared: &Arc<Shared>, due: Duration, revocation: Revocation) -> Outcome {
    let now = shared.clock.elapsed();
    if due <= now {
        return Outcome::There(shared.service().perform(now, &revocation));
    }
    let (sender, receiver) = oneshot::channel();
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        tokio::time::sleep(due.saturating_sub(now)).await;
        if let Some(shared) = shared.upgrade() {
            let now = shared.clock.elapsed();
            // Nobody listens where the exchange has ended otherwise.
            let _ = sender.send(shared.service().perform(now, &revocation));
        }
    });
    Outcome::Coming(receiver)
}

/// An exchange under way; notes its end, also when the client leaves and hyper drops the whole future.
struct Open<'a> {
    shared: &'a Shared,
    ordinal: u64,
    status: Option<u16>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let now = self.shared.clock.elapsed();
        self.shared.service().close(self.ordinal, now, self.status);
    }
}

fn log_lines(shared: &Shared) -> Answer {
    let mut lines = String::new();
    for line in shared.service().log().iter().filter_map(|entry| serde_json::to_string(entry).ok()) {
        lines.push_str(&line);
        lines.push('\n');
    }
    Answer::text(200, "application/x-ndjson", lines)
}

fn response(shared: &Shared, answer: Answer) -> Result<Response<Full<Bytes>>, Cut> {
    let date = shared.service().date(shared.clock.elapsed());
    let mut builder = Response::builder().status(answer.status).header("date", date);
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(answer.body)).map_err(|_| Cut)
}
