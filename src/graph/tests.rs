//! Reading over real sockets: what the service gets byte by byte, and what becomes of answers that are none.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::{ClientPolicy, Graph, GraphRoot, wires};
use crate::auth::{Authority, Credential, SignIn, Tokens};
use crate::clock::Clock;
use crate::exec::{NextPage, Reading, Sight, Transport as _};
use crate::model::{Expiry, Item, ItemNo, Kind, ObjectId, Seen, Snapshot, TenantId, VppOptions};

const TENANT: TenantId = TenantId(Uuid::from_u128(7));
const ID: ObjectId = ObjectId(Uuid::from_u128(0x9ceb_2f92));
const DATE: &str = "Date: Mon, 01 Jun 2026 12:00:00 GMT\r\n";

/// A service on a loopback socket: it issues tokens, and answers everything else as it is told.
struct Fake {
    url: String,
    reads: mpsc::Receiver<String>,
}

impl Fake {
    /// An answer is its bytes; none closes the connection, and an unfinished one ends with it.
    async fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, reads) = mpsc::channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                let reply = if request.starts_with("POST") {
                    reply(200, "", &json!({"token_type": "Bearer", "expires_in": 3_600, "access_token": jwt()}).to_string())
                } else {
                    drop(seen.send(request.clone()));
                    answer(&request)
                };
                // A client that has seen enough leaves.
                drop(stream.write_all(reply.as_bytes()).await);
            }
        });
        Self { url, reads }
    }

    /// What was read since this was last asked.
    fn reads(&self) -> Vec<String> {
        self.reads.try_iter().collect()
    }

    /// Graph at this root, with a token from here.
    async fn signed_in_for(&self, root: &str, timeout: Duration) -> Graph<Tokens> {
        let wires = wires(&ClientPolicy { timeout, concurrency: 1, ca_pem: None }, &[]).unwrap();
        let root = GraphRoot::new(root).unwrap();
        let sign_in = SignIn {
            tenant: TENANT,
            label: "contoso".to_owned(),
            client_id: "app".to_owned(),
            credential: Credential::ClientSecret("secret".into()),
            allow_opaque: false,
            expect_domain: None,
        };
        let client = wires.direct.clone();
        let tokens = Tokens::new(wires, Authority::new(&self.url).unwrap(), root.scope(), vec![sign_in], Clock::system());
        let graph = Graph::new(client, root, Arc::new(tokens), Clock::system());
        graph.sign_in(TENANT).await.unwrap();
        graph
    }

    async fn signed_in(&self) -> Graph<Tokens> {
        self.signed_in_for(&self.url, Duration::from_mins(1)).await
    }
}

/// None of the requests has a body that matters here.
async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let n = if text.contains("\r\n\r\n") { 0 } else { stream.read(&mut buffer).await.unwrap() };
        if n == 0 {
            return text;
        }
        bytes.extend_from_slice(&buffer[..n]);
    }
}

fn reply(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn jwt() -> String {
    let claims = json!({"tid": TENANT.to_string(), "appid": "app"}).to_string();
    format!("e30.{}.BEARER-IN-PERSON", URL_SAFE_NO_PAD.encode(claims))
}

fn item(kind: Kind) -> Item {
    Item { no: ItemNo(1), tenant: TENANT, kind, id: ID, options: VppOptions::default() }
}

/// The request line and the headers whose values do not change, sorted.
fn fixed(request: &str) -> (String, Vec<String>) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines().map(str::to_owned);
    let line = lines.next().unwrap();
    let mut headers: Vec<String> = lines.filter(|line| !line.starts_with("host:")).collect();
    headers.sort();
    let id = headers.iter().position(|line| line.starts_with("client-request-id: ")).unwrap();
    headers.remove(id).split_once(": ").unwrap().1.parse::<Uuid>().unwrap();
    assert_eq!(body, "");
    (line, headers)
}

fn expected() -> Vec<String> {
    let agent = concat!("user-agent: bulk-revoke/", env!("CARGO_PKG_VERSION")).to_owned();
    vec!["accept: application/json".to_owned(), format!("authorization: Bearer {}", jwt()), agent]
}

/// What one look at a profile brings where the service answers like this.
async fn look(answer: impl Fn(&str) -> String + Send + 'static) -> Reading<Snapshot> {
    Fake::start(answer).await.signed_in().await.look(item(Kind::AndroidForWork)).await
}

fn shown<T: std::fmt::Debug>(sight: Sight<T>) -> Result<T, String> {
    if let Sight::Shown(shown) = sight { Ok(shown) } else { Err(format!("{sight:?}")) }
}

fn again(sight: Sight<Snapshot>) -> Result<String, String> {
    if let Sight::Again { reached: true, after: None, message } = sight { Ok(message) } else { Err(format!("{sight:?}")) }
}

#[tokio::test]
async fn a_look_asks_for_one_object_and_nothing_secret() {
    let body = json!({"id": ID.to_string(), "displayName": "Kiosk", "tokenExpirationDateTime": "2026-07-01T00:00:00.0000000Z"});
    let fake = Fake::start(move |_| reply(200, DATE, &body.to_string())).await;
    let reading = fake.signed_in().await.look(item(Kind::AndroidDeviceOwner)).await;
    assert!(reading.token.is_some());
    let snapshot = shown(reading.sight).unwrap();
    assert_eq!((snapshot.date, snapshot.name.as_deref()), ("2026-06-01T12:00:00Z".parse().ok(), Some("Kiosk")));
    assert_eq!(snapshot.seen, Seen::Android { expiry: Expiry::read(Some("2026-07-01T00:00:00Z")), created: None });
    let [request]: [String; 1] = fake.reads().try_into().unwrap();
    let line = format!(
        "GET /beta/deviceManagement/androidDeviceOwnerEnrollmentProfiles/{ID}?$select=id,displayName,enrollmentMode,\
         tokenCreationDateTime,tokenExpirationDateTime,enrolledDeviceCount HTTP/1.1"
    );
    assert_eq!(fixed(&request), (line, expected()));
}

#[tokio::test]
async fn a_list_follows_the_services_own_link_to_the_next_page() {
    let fake = Fake::start(|request| {
        let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let link = format!("http://{host}/beta/deviceappmanagement/vpptokens?$skiptoken=a%2Fb'c");
        let first = !request.contains("skiptoken");
        let value = json!([{"id": ID.to_string(), "tokenActionResults": [], "token": "S3CRET"}]);
        reply(
            200,
            "",
            &if first { json!({"value": value, "@odata.nextLink": link}) } else { json!({"value": value}) }.to_string(),
        )
    })
    .await;
    let graph = fake.signed_in().await;
    let mut next = None;
    for last in [false, true] {
        let page = shown(graph.list(TENANT, Kind::VppToken, next).await.sight).unwrap();
        assert_eq!((page.objects.len(), page.objects[0].0, page.next.is_none()), (1, ID, last));
        assert_eq!(page.objects[0].1.date, None);
        next = page.next;
    }
    let [first, second]: [String; 2] = fake.reads().try_into().unwrap();
    let select = "id,displayName,organizationName,appleId,locationName,state,expirationDateTime,tokenActionResults";
    let line = format!("GET /beta/deviceAppManagement/vppTokens?$select={select} HTTP/1.1");
    assert_eq!(fixed(&first), (line, expected()));
    // A quote is the one thing that HTTP clients escape by themselves.
    let line = "GET /beta/deviceappmanagement/vpptokens?$skiptoken=a%2Fb%27c HTTP/1.1".to_owned();
    assert_eq!(fixed(&second), (line, expected()));
}

#[tokio::test]
async fn a_link_to_another_host_is_not_followed_and_no_bearer_goes_there() {
    let (fake, elsewhere) = (Fake::start(|_| reply(200, "", "{}")).await, Fake::start(|_| reply(200, "", "{}")).await);
    let graph = fake.signed_in().await;
    let link = NextPage(format!("{}/beta/deviceAppManagement/vppTokens?$skiptoken=x", elsewhere.url));
    let reading = graph.list(TENANT, Kind::VppToken, Some(link)).await;
    let reason = format!("the service's link to the next page leads to another place ({})", elsewhere.url);
    assert_eq!(reading, Reading { sight: Sight::Refused { reason }, token: None });
    assert_eq!((fake.reads().len(), elsewhere.reads().len()), (0, 0));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Fake::start(|_| reply(200, "", "{}")).await;
    let location = format!("Location: {}/\r\n", elsewhere.url);
    assert_eq!(again(look(move |_| reply(307, &location, "")).await.sight).unwrap(), "the service answered 307");
    assert!(elsewhere.reads().is_empty());
}

#[tokio::test]
async fn a_page_in_a_200_shows_nothing_and_does_not_repeat_the_bearer() {
    let echo = |request: &str| reply(200, "", &format!("<html><title>{}</title></html>", request.replace("\r\n", " ")));
    let message = again(look(echo).await.sight).unwrap();
    assert!(message.starts_with("the answer is a web page titled") && message.contains("[removed]"), "{message}");
    assert!(!message.contains("BEARER-IN-PERSON"), "{message}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_never_comes_shows_nothing() {
    let body = json!({"id": ID.to_string()}).to_string();
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len() + 1);
    let message = again(look(move |_| cut.clone()).await.sight).unwrap();
    assert!(message.starts_with("the answer broke off: "), "{message}");
    again(look(|_| String::new()).await.sight).unwrap();
    let (half, why) = ("HTTP/1.1 403 X\r\nContent-Length: 9\r\n\r\n<htm", "the service denied it (403): ");
    let sight = look(|_| half.to_owned()).await.sight;
    assert!(matches!(&sight, Sight::Denied { reason } if reason.starts_with(why)), "{sight:?}");
}

#[tokio::test]
async fn an_answer_without_an_end_is_left_in_the_middle() {
    let body: Value = json!({"id": ID.to_string(), "displayName": "x".repeat(16 * 1024 * 1024)});
    let message = again(look(move |_| reply(200, "", &body.to_string())).await.sight).unwrap();
    assert_eq!(message, "the answer is longer than 16777216 bytes");
    let big = json!({"id": ID.to_string(), "description": "x".repeat(15 * 1024 * 1024)});
    assert!(matches!(look(move |_| reply(200, "", &big.to_string())).await.sight, Sight::Shown(_)));
}

#[tokio::test]
async fn a_refused_token_is_handed_out_no_more() {
    let fake = Fake::start(|_| reply(401, "", "")).await;
    let graph = fake.signed_in().await;
    let reading = graph.look(item(Kind::VppToken)).await;
    assert_eq!(
        (reading.sight, reading.token.is_some(), graph.is_ready(TENANT)),
        (Sight::Unauthorized { reason: None }, true, false)
    );
    assert_eq!(graph.look(item(Kind::VppToken)).await, Reading { sight: Sight::NoToken, token: None });
    assert_eq!(fake.reads().len(), 1);
}

#[tokio::test]
async fn what_the_service_does_not_know_is_gone_from_a_list_too() {
    let fake = Fake::start(|_| reply(404, "", "")).await;
    let graph = fake.signed_in().await;
    assert_eq!(graph.look(item(Kind::VppToken)).await.sight, Sight::Gone);
    assert_eq!(graph.list(TENANT, Kind::VppToken, None).await.sight, Sight::Gone);
}

#[tokio::test]
async fn a_service_that_is_not_there_was_not_reached_and_a_silent_one_was() {
    let fake = Fake::start(|_| String::new()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", silent.local_addr().unwrap());
    // Longer than a connection to this machine takes; nothing ever answers.
    let graph = fake.signed_in_for(&root, Duration::from_secs(2)).await;
    let message = again(graph.look(item(Kind::VppToken)).await.sight).unwrap();
    assert_eq!(message, "no answer before the time limit of one request (--timeout)");
    drop(silent);
    let sight = graph.look(item(Kind::VppToken)).await.sight;
    assert!(matches!(sight, Sight::Again { reached: false, after: None, .. }), "{sight:?}");
}
