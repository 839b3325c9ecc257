//! Apps that prove themselves by an assertion, and what an administrator did with them.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::client::{APP, OTHER, Reply, TENANT, ask_token, host, options};
use super::entra::denied;
use crate::sim::clock::Clock;
use crate::sim::query::encode;
use crate::sim::{AppSecret, Behaviour, FederatedCredential, Issuer, Registration, Server};

/// A certificate with its key.
struct Signer {
    der: Vec<u8>,
    key: KeyPair,
}

impl Signer {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        Self { der: certificate.der().to_vec(), key: KeyPair::from_pkcs8(&key.serialize_der()).unwrap() }
    }

    fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": "PS256", "x5t#S256": URL_SAFE_NO_PAD.encode(Sha256::digest(&self.der))})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let [head, body] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let (signed, mut signature) = (format!("{head}.{body}"), vec![0; self.key.public_modulus_len()]);
        let padding = if header["alg"] == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
        self.key.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

async fn serve(registration: Registration) -> Server {
    let mut options = options(Behaviour::immediate(), 1);
    options.registrations.push(registration);
    Server::start(options).await.unwrap()
}

/// What a good assertion claims.
fn claims(server: &Server) -> Value {
    let now = Clock::start().wall().as_second();
    let audience = format!("{}/{TENANT}/oauth2/v2.0/token", server.url());
    json!({"aud": audience, "iss": APP.to_string(), "sub": APP.to_string(), "jti": "1", "nbf": now - 1, "exp": now + 300})
}

fn form(server: &Server) -> String {
    let scope = encode(&format!("http://{}/.default", host(server)));
    format!("grant_type=client_credentials&client_id={APP}&scope={scope}")
}

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

async fn present(server: &Server, assertion: &str) -> Reply {
    let form = format!("{}&client_assertion_type={}&client_assertion={assertion}", form(server), encode(TYPE));
    ask_token(server, "contoso.com", "", &form).await
}

#[tokio::test]
async fn a_certificate_signs_in_as_documented_today_and_as_before() {
    let signer = Signer::new();
    let server = serve(Registration::new(APP).with_certificate(&signer.der)).await;
    let mut claims = claims(&server);
    assert_eq!(present(&server, &signer.sign(&signer.header(), &claims)).await.status, 200);
    let print = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &signer.der);
    let before = json!({"alg": "RS256", "x5t": URL_SAFE.encode(print)});
    claims["exp"] = 4_000_000_000.5.into();
    claims["aud"] = format!("{}/contoso.com/oauth2/v2.0/token", server.url()).into();
    assert_eq!(present(&server, &signer.sign(&before, &claims)).await.status, 200);
}

/// What is wrong with the header or the claims, and the status, the error and the number that follow.
type Wrong = (fn(&mut Value, &mut Value), u16, &'static str, u32);

const WRONG: [Wrong; 9] = [
    (|_, claims| claims["aud"] = "http://127.0.0.1/other".into(), 401, "invalid_client", 700_023),
    (|_, claims| claims["exp"] = 1_700_000_000.into(), 401, "invalid_client", 700_024),
    (|_, claims| claims["exp"] = Value::Null, 401, "invalid_client", 700_024),
    (|_, claims| claims["nbf"] = 4_000_000_000_u64.into(), 401, "invalid_client", 700_024),
    (|_, claims| claims["sub"] = "someone".into(), 401, "invalid_client", 700_021),
    (|_, claims| (claims["iss"], claims["sub"]) = ("me".into(), "me".into()), 400, "invalid_request", 5_002_738),
    (|header, _| header["alg"] = "HS256".into(), 400, "invalid_request", 5_002_738),
    (|header, _| header["x5t#S256"] = Value::Null, 400, "invalid_request", 50_027),
    (|header, _| header["x5t#S256"] = "AAAA".into(), 401, "invalid_client", 700_027),
];

#[tokio::test]
async fn a_wrong_assertion_is_refused_by_number() {
    let signer = Signer::new();
    let server = serve(Registration::new(APP).with_certificate(&signer.der)).await;
    for (spoil, status, error, number) in WRONG {
        let (mut header, mut claims) = (signer.header(), claims(&server));
        spoil(&mut header, &mut claims);
        let reply = present(&server, &signer.sign(&header, &claims)).await;
        denied(&reply, status, error, number);
    }
    let good = signer.sign(&signer.header(), &claims(&server));
    denied(&present(&server, "opaque").await, 400, "invalid_request", 50_027);
    let form = format!("{}&client_assertion={good}", form(&server));
    denied(&ask_token(&server, "contoso.com", "", &form).await, 400, "invalid_request", 900_144);
    let other = format!("{form}&client_assertion_type=saml");
    assert_eq!(ask_token(&server, "contoso.com", "", &other).await.json()["error"], "invalid_request");
}

#[tokio::test]
async fn a_signature_must_be_of_this_text_by_the_registered_key() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let server = serve(Registration::new(APP).with_certificate(&signer.der)).await;
    let claims = claims(&server);
    let reply = present(&server, &stranger.sign(&stranger.header(), &claims)).await;
    denied(&reply, 401, "invalid_client", 700_027);
    assert!(reply.body.contains("is not registered on application") && reply.body.contains("The key was not found"));
    let reply = present(&server, &stranger.sign(&signer.header(), &claims)).await;
    denied(&reply, 401, "invalid_client", 700_027);
    assert!(reply.body.contains("failed signature validation") && reply.body.contains("Key was found"), "{}", reply.body);
}

#[tokio::test]
async fn an_issuers_token_must_match_a_record_in_every_respect() {
    let subject = "system:serviceaccount:intune:Revoker";
    let record = FederatedCredential::new(Issuer::Cluster, subject);
    let server = serve(Registration::new(APP).with_federated(record.clone())).await;
    let minute = Duration::from_mins(1);
    let good = server.federated_token(Issuer::Cluster, subject, minute);
    assert_eq!(present(&server, &good).await.status, 200);
    for (token, number) in [
        (server.federated_token(Issuer::GitHub, subject, minute), 700_211),
        (server.federated_token(Issuer::Cluster, "system:serviceaccount:intune:other", minute), 700_213),
        (server.federated_token(Issuer::Cluster, &subject.to_lowercase(), minute), 7_002_138),
        (server.federated_token(Issuer::Cluster, subject, Duration::ZERO), 700_024),
        (format!("{}AAAA", &good[..good.len() - 4]), 700_027),
    ] {
        denied(&present(&server, &token).await, 401, "invalid_client", number);
    }
    let elsewhere =
        serve(Registration::new(APP).with_federated(FederatedCredential { audience: "api://other".to_owned(), ..record })).await;
    let token = elsewhere.federated_token(Issuer::Cluster, subject, minute);
    denied(&present(&elsewhere, &token).await, 401, "invalid_client", 700_212);
    denied(&present(&server, &token).await, 401, "invalid_client", 7_000_272);
    let without = serve(Registration::new(APP)).await;
    denied(&present(&without, &token).await, 401, "invalid_client", 70_021);
}

#[tokio::test]
async fn what_an_administrator_did_with_an_app_shows() {
    let secret = AppSecret { value: "old".to_owned(), expired: true };
    let app = || Registration { secrets: vec![secret.clone()], ..Registration::new(APP) }.with_secret("new");
    let ask = async |registration, secret: &str| {
        let server = serve(registration).await;
        ask_token(&server, &TENANT.to_string(), "", &format!("{}&client_secret={secret}", form(&server))).await
    };
    assert_eq!(ask(app(), "new").await.status, 200);
    denied(&ask(app(), "old").await, 401, "invalid_client", 7_000_222);
    denied(&ask(app(), "simulated").await, 401, "invalid_client", 7_000_215);
    let disabled = Registration { disabled: true, ..app() };
    denied(&ask(disabled, "new").await, 400, "unauthorized_client", 7_000_112);
    let elsewhere = Registration { tenants: Some(vec![OTHER]), ..app() };
    denied(&ask(elsewhere, "new").await, 400, "unauthorized_client", 700_016);
    let token = ask(Registration { consented: false, ..app() }, "new").await.json()["access_token"].clone();
    let payload = URL_SAFE_NO_PAD.decode(token.as_str().unwrap().split('.').nth(1).unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap()["roles"], Value::Null);
    let unlisted = serve(Registration::new(Uuid::from_u128(9))).await;
    assert_eq!(ask_token(&unlisted, "contoso.com", "", &super::client::form(&unlisted, APP)).await.status, 200);
}
