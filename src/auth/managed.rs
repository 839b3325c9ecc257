//! The identity that Azure gives a virtual machine or an app: a service beside it hands out the tokens.
//! Sources: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>,
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use super::answer::{Answer, Fault};
use super::entra::{Entra, Fresh, accept, failed, seconds};
use super::service::{Service, never};
use super::{Identity, ManagedIdentity, Method, Platform, SignIn, TokenError};

const PATH: &str = "/metadata/identity/oauth2/token";
/// The service lies on the machine's own host and answers within a second or two; where there is none, packets to its
/// address may simply vanish.
const METADATA_LIMIT: Duration = Duration::from_secs(10);
/// Whether there is one at all shows faster; this is waited on every machine that is not Azure's ...
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// ... and so often: one slow answer must not make somebody else the one who signs in.
const PROBES: u32 = 2;
/// While the service is updated it answers 410 for up to 70 s: the third try comes after that.
const UPDATE: Duration = Duration::from_secs(36);
/// Everything else that mends itself: Microsoft's own libraries try for half a minute, and so do three tries of ours.
const START: Duration = Duration::from_secs(15);

/// A fresh token. The tenant cannot be chosen: it is the machine's.
pub(super) async fn fresh(entra: &Entra, sign_in: &SignIn, managed: &ManagedIdentity) -> Result<Fresh, TokenError> {
    let (token, life) = ask(entra, managed).await.map_err(|fault| failed(sign_in, fault))?;
    Ok(Fresh { bearer: accept(sign_in, Method::ManagedIdentity, token)?, life })
}

async fn ask(entra: &Entra, managed: &ManagedIdentity) -> Result<(SecretString, Duration), Fault> {
    let (service, request) = prepared(entra, managed)?;
    let Ok(answer) = timeout(METADATA_LIMIT, service.ask(request)).await else {
        let words = format!("{} did not answer within {} s: does this run in Azure?", service.name, METADATA_LIMIT.as_secs());
        return Err(Fault::Passing(words, None));
    };
    let answer = answer.map_err(|fault| match (fault, &managed.place) {
        (Fault::Permanent(words), _) => Fault::Permanent(advised(&words, &managed.identity)),
        (Fault::Passing(words, None), Platform::VirtualMachine { .. }) => Fault::Passing(words, Some(START)),
        (passing @ Fault::Passing(..), _) => passing,
    })?;
    let token = service.token_in(&answer, "access_token")?;
    match life(&answer, entra.clock.wall()) {
        Some(life) => Ok((token, life)),
        None => Err(service.said(answer.useless("a usable end of the token's life"))),
    }
}

/// Whom to ask, and how. No proxy must see any of it.
fn prepared<'a>(entra: &Entra, managed: &'a ManagedIdentity) -> Result<(Service<'a>, RequestBuilder), Fault> {
    let (name, version, resource_id) = match managed.place {
        Platform::VirtualMachine { .. } => ("the metadata service", "2018-02-01", "msi_res_id"),
        Platform::AppService { .. } => ("the identity endpoint", "2019-08-01", "mi_res_id"),
    };
    let mut url = address(&managed.place).map_err(|why| Fault::Permanent(format!("{name} cannot be used: {why}")))?;
    let resource = entra.scope.strip_suffix("/.default").unwrap_or(&entra.scope);
    url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", resource);
    match &managed.identity {
        Identity::System => {}
        Identity::Client(id) => drop(url.query_pairs_mut().append_pair("client_id", id)),
        Identity::Object(id) => drop(url.query_pairs_mut().append_pair("object_id", id)),
        Identity::Resource(id) => drop(url.query_pairs_mut().append_pair(resource_id, id)),
    }
    let request = entra.wires.direct.get(url);
    Ok(match &managed.place {
        Platform::VirtualMachine { .. } => (Service { name, secret: None, mends }, request.header("Metadata", "true")),
        Platform::AppService { header, .. } => {
            (Service { name, secret: Some(header), mends: never }, request.header("X-IDENTITY-HEADER", header.expose_secret()))
        }
    })
}

const fn mends(status: u16) -> Option<Duration> {
    match status {
        404 => Some(START),
        410 => Some(UPDATE),
        _ => None,
    }
}

/// The service's address. Its plain http must not leave the machine and its host.
fn address(place: &Platform) -> Result<Url, &'static str> {
    let (given, is_app) = match place {
        Platform::VirtualMachine { url } => (url, false),
        Platform::AppService { url, .. } => (url, true),
    };
    let mut url = Url::parse(given.trim()).map_err(|_| "its address is no URL")?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_near = host == "localhost" || host.parse().is_ok_and(|ip| is_near(ip, is_app));
    match (is_near, is_app) {
        // Its certificate is nobody's but its own, and comes with a thumbprint to know it by.
        (_, true) if url.scheme() == "https" => return Err("Service Fabric's, which speaks https, is not supported"),
        (true, true) => {}
        (true, false) => url.set_path(PATH),
        (false, true) => return Err("its address is neither link-local nor loopback nor private"),
        (false, false) => return Err("its address is neither link-local nor loopback"),
    }
    Ok(url)
}

/// Loopback and link-local; for apps, whose platform documents such addresses, private networks too.
fn is_near(ip: IpAddr, is_app: bool) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || is_app && ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || is_app && ip.is_unique_local(),
    }
}

/// `expires_in`, or how far `expires_on` lies behind the answer's own time; both are seen as numbers and as texts.
fn life(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let body = answer.json();
    let span = |name: &str| body.get(name).and_then(seconds);
    let is_some = |left: &Duration| !left.is_zero();
    span("expires_in").filter(is_some).or_else(|| {
        let now = Duration::try_from(answer.date.unwrap_or(now).duration_since(Timestamp::UNIX_EPOCH)).ok()?;
        span("expires_on")?.checked_sub(now).filter(is_some)
    })
}

/// Who was asked for, and what to do if the service speaks of that.
fn advised(words: &str, identity: &Identity) -> String {
    let advice = if lacks_identity(words) { "; assign it under Identity in the portal, or name another one" } else { "" };
    format!("{words}{ASKED}{identity}{advice}")
}

/// What stands between the service's words and ours.
const ASKED: &str = "; asked for ";

/// Whether that is how the service says that there is no such identity: 400 "Identity not found".
pub(super) fn lacks_identity(words: &str) -> bool {
    let said = words.split_once(ASKED).map_or(words, |(said, _)| said);
    said.split_once(" answered 400: ").is_some_and(|(_, said)| said.contains("dentity"))
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the system-assigned identity"),
            Self::Client(id) => write!(f, "the user-assigned identity with client id {id}"),
            Self::Object(id) => write!(f, "the user-assigned identity with object id {id}"),
            Self::Resource(id) => write!(f, "the user-assigned identity {id}"),
        }
    }
}

/// Whether the service is there at all; if not, why that is thought.
pub(super) async fn is_there(entra: &Entra, place: &Platform) -> Result<(), String> {
    let Platform::VirtualMachine { url: shown } = place else { return Ok(()) };
    let url = address(place)?;
    for _ in 0..PROBES {
        match timeout(PROBE_LIMIT, Answer::of(entra.wires.direct.get(url.clone()))).await {
            Ok(Ok(answer)) if is_azures(&answer) => return Ok(()),
            Ok(Ok(_)) => return Err(format!("what answers at {shown} is not Azure's")),
            Ok(Err(_)) => return Err(format!("nobody answers at {shown}")),
            Err(_) => {}
        }
    }
    Err(format!("nobody answers at {shown} within {} s", PROBE_LIMIT.as_secs()))
}

/// Asked without the header that it requires, Azure's answers 400. While it is updated or busy it answers otherwise, and
/// with an error in JSON; other clouds have something else at this address, which knows no such path.
fn is_azures(answer: &Answer) -> bool {
    let mends_itself = mends(answer.status.as_u16()).is_some() || matches!(answer.fault(&[]), Some(Fault::Passing(..)));
    answer.status.as_u16() == 400 || mends_itself && answer.json().get("error").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fake::{self, Fake};

    const SECRET: &str = "h34d3r~s3cr3t";

    fn machine(fake: &Fake) -> Platform {
        Platform::VirtualMachine { url: fake.url() }
    }

    fn app(fake: &Fake) -> Platform {
        Platform::AppService { url: format!("{}/msi/token", fake.url()), header: SECRET.into() }
    }

    async fn ask_for(fake: &Fake, place: Platform, identity: Identity) -> Result<Fresh, TokenError> {
        fresh(&fake.entra(), &fake::sign_in("unused"), &ManagedIdentity { place, identity }).await
    }

    fn token(life: &str) -> String {
        format!(r#"{{"access_token":"{}",{life}}}"#, fake::jwt(fake::TENANT))
    }

    #[tokio::test]
    async fn each_platform_is_asked_as_documented_for_the_identity_that_is_meant() {
        let fake = Fake::start(|_, _| fake::reply(200, "", &token(r#""expires_in":"3599""#))).await;
        let line = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com";
        let at_app = "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fgraph.microsoft.com";
        let cases = [
            (machine(&fake), Identity::System, line, ""),
            (machine(&fake), Identity::Client("c".to_owned()), line, "&client_id=c"),
            (machine(&fake), Identity::Object("o".to_owned()), line, "&object_id=o"),
            (machine(&fake), Identity::Resource("/r".to_owned()), line, "&msi_res_id=%2Fr"),
            (app(&fake), Identity::System, at_app, ""),
            (app(&fake), Identity::Resource("/r".to_owned()), at_app, "&mi_res_id=%2Fr"),
        ];
        for (n, (place, identity, line, which)) in cases.into_iter().enumerate() {
            let header = if line == at_app { format!("x-identity-header: {SECRET}") } else { "metadata: true".to_owned() };
            let fresh = ask_for(&fake, place, identity).await.unwrap();
            assert_eq!((fresh.bearer.method(), fresh.life.as_secs()), (Method::ManagedIdentity, 3_599));
            let request = fake.request(n);
            assert!(request.starts_with(&format!("{line}{which} HTTP/1.1\r\n")), "{request}");
            assert!(request.to_ascii_lowercase().contains(&header), "{request}");
        }
    }

    #[tokio::test]
    async fn a_life_is_read_in_every_shape_and_by_the_services_own_clock() {
        // The clock of the fake stands at 12:00:00, which is 1795348800; the service's at a minute past.
        let date = "Date: Sun, 22 Nov 2026 12:01:00 GMT\r\n";
        for (headers, life, wanted) in [
            ("", r#""expires_in":3599"#, Some(3_599)),
            ("", r#""expires_in":"3599.0","expires_on":"1""#, Some(3_599)),
            ("", r#""expires_in":"0","expires_on":"1795352400""#, Some(3_600)),
            ("", r#""expires_on":"1795352400""#, Some(3_600)),
            ("", r#""expires_on":1795352400"#, Some(3_600)),
            (date, r#""expires_on":"1795352400""#, Some(3_540)),
            (date, r#""expires_on":"1795348860""#, None),
            ("", r#""expires_in":"soon""#, None),
            ("", r#""token_type":"Bearer""#, None),
        ] {
            let fake = Fake::start(move |_, _| fake::reply(200, headers, &token(life))).await;
            let found = ask_for(&fake, app(&fake), Identity::System).await;
            let is_right = match (&found, wanted) {
                (Ok(fresh), Some(wanted)) => fake::is_about(fresh.life.as_secs(), wanted),
                (found, wanted) => found.is_err() && wanted.is_none(),
            };
            assert!(is_right, "{life}: {found:?}");
            assert!(found.is_ok() || matches!(found, Err(TokenError::Passing { .. })), "{life}: {found:?}");
        }
    }

    #[tokio::test]
    async fn what_mends_itself_is_asked_again_and_the_rest_is_for_a_person() {
        let no = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
        for (status, machines, apps) in
            [(400, None, None), (404, Some(15), None), (410, Some(36), None), (429, Some(15), Some(0)), (500, Some(15), Some(0))]
        {
            // Less than an update takes is not what an update takes.
            let headers = if status == 410 { "Retry-After: 1\r\n" } else { "" };
            let fake = Fake::start(move |_, _| fake::reply(status, headers, no)).await;
            for (place, wanted) in [(machine(&fake), machines), (app(&fake), apps)] {
                let error = ask_for(&fake, place, Identity::Client("the-id".to_owned())).await.unwrap_err();
                let after =
                    if let TokenError::Passing { after, .. } = &error { Some(after.unwrap_or_default().as_secs()) } else { None };
                assert_eq!(after, wanted, "{status}: {error:?}");
                let text = error.to_string();
                assert!(text.contains("Identity not found") && text.contains(" answered "), "{text}");
                assert_eq!(
                    wanted.is_none(),
                    text.contains("asked for the user-assigned identity with client id the-id"),
                    "{text}"
                );
                assert_eq!(status == 400, text.contains("; assign it"), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn the_identity_endpoints_words_are_quoted_without_its_secret() {
        let body = format!(r#"{{"statusCode":400,"message":"No identity for {SECRET}. More."}}"#);
        let fake = Fake::start(move |_, _| fake::reply(400, "", &body)).await;
        let error = ask_for(&fake, app(&fake), Identity::System).await.unwrap_err().to_string();
        let wanted = "sign in to contoso: the identity endpoint answered 400: No identity for [redacted]; \
                      asked for the system-assigned identity; assign it under Identity in the portal, or name another one";
        assert_eq!(error, wanted);
    }

    #[test]
    fn plain_http_goes_no_farther_than_the_machine_and_its_host() {
        let machine = |url: &str| address(&Platform::VirtualMachine { url: url.to_owned() }).is_ok();
        let app = |url: &str| address(&Platform::AppService { url: url.to_owned(), header: SECRET.into() }).is_ok();
        for url in ["http://169.254.169.254", "http://127.0.0.1:1", "http://[::1]:1", "http://[fe80::1]:1", "http://localhost:1"]
        {
            assert!(machine(url) && app(url), "{url}");
        }
        for url in ["http://10.0.0.1:81/x", "http://172.16.3.4/x"] {
            assert!(!machine(url) && app(url), "{url}");
        }
        assert!(!app("https://127.0.0.1:1/x"));
        for url in
            ["http://20.1.2.3", "http://metadata.example", "http://169.254.169.254.example", "https://identity.example", ""]
        {
            assert!(!machine(url) && !app(url), "{url}");
        }
    }

    #[tokio::test]
    async fn a_metadata_service_is_there_if_it_answers_as_azures_does_without_its_header() {
        let (error, page) = (r#"{"error":"x"}"#, "<html>");
        for (status, body, wanted) in [
            (400, page, true),
            (404, error, true),
            (410, error, true),
            (429, error, true),
            (503, error, true),
            (404, page, false),
            (503, page, false),
            (200, error, false),
            (401, error, false),
        ] {
            let fake = Fake::start(move |_, _| fake::reply(status, "", body)).await;
            assert_eq!(is_there(&fake.entra(), &machine(&fake)).await.is_ok(), wanted, "{status} {body}");
            assert!(!fake.request(0).to_ascii_lowercase().contains("metadata:"), "{}", fake.request(0));
        }
        let dead = Fake::dead().await;
        assert_eq!(is_there(&dead.entra(), &machine(&dead)).await, Err(format!("nobody answers at {}", dead.url())));
    }
}
