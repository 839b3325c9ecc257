//! People who sign in by device code, and the refresh tokens that they leave behind.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::client::{APP, Client, Reply, TENANT, ask_token, exchange, host, options};
use super::entra::denied;
use crate::sim::query::encode;
use crate::sim::{Behaviour, Collection, Person, Registration, Server};

/// A person who does what the test says, and no waiting between polls.
fn behaviour() -> Behaviour {
    Behaviour { person: Person { interval: Duration::ZERO, ..Person::default() }, ..Behaviour::immediate() }
}

async fn serve(behaviour: Behaviour) -> Server {
    Server::start(options(behaviour, 1)).await.unwrap()
}

async fn begin(server: &Server, scope: &str) -> Reply {
    let form = format!("client_id={APP}&scope={}", encode(&scope.replace("ROOT", server.url())));
    let request = format!(
        "POST /{TENANT}/oauth2/v2.0/devicecode HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        host(server),
        form.len()
    );
    exchange(server, &request).await.unwrap()
}

async fn poll(server: &Server, code: &Value) -> Reply {
    let grant = encode("urn:ietf:params:oauth:grant-type:device_code");
    let form = format!("grant_type={grant}&client_id={APP}&device_code={}", code.as_str().unwrap());
    ask_token(server, &TENANT.to_string(), "", &form).await
}

async fn refresh(server: &Server, token: &Value) -> Reply {
    let form = format!("grant_type=refresh_token&client_id={APP}&refresh_token={}", token.as_str().unwrap());
    ask_token(server, &TENANT.to_string(), "", &form).await
}

/// A person who has signed in.
async fn signed_in(server: &Server, scope: &str) -> Value {
    let code = begin(server, scope).await.json();
    assert!(server.answer_device(code["user_code"].as_str().unwrap(), true));
    poll(server, &code["device_code"]).await.json()
}

#[tokio::test]
async fn a_person_signs_in_and_the_token_carries_their_scopes() {
    let server = serve(behaviour()).await;
    let code = begin(&server, "ROOT/.default offline_access").await.json();
    assert_eq!((&code["expires_in"], &code["interval"]), (&900.into(), &0.into()));
    assert!(code["message"].as_str().unwrap().contains(code["user_code"].as_str().unwrap()));
    denied(&poll(&server, &code["device_code"]).await, 400, "authorization_pending", 70_016);
    assert_eq!(server.user_codes(), [code["user_code"].as_str().unwrap()]);
    assert!(server.answer_device(&server.user_codes()[0], true) && server.user_codes().is_empty());
    let reply = poll(&server, &code["device_code"]).await.json();
    let token = reply["access_token"].as_str().unwrap().to_owned();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((&payload["upn"], &payload["roles"]), (&"adele@simulated.example".into(), &Value::Null));
    assert!(payload["scp"].as_str().unwrap().contains("DeviceManagementConfiguration.ReadWrite.All "), "{payload}");
    denied(&poll(&server, &code["device_code"]).await, 400, "bad_verification_code", 70_018);
    let client = Client { server, token };
    assert_eq!(client.revoke(Collection::VppTokens, 1).await.unwrap().status, 204);
    assert!(refresh(&client.server, &reply["refresh_token"]).await.json()["refresh_token"].is_string());
    let log = serde_json::to_string(&client.server.log()).unwrap();
    let secrets = [&code["device_code"], &code["user_code"], &reply["refresh_token"], &reply["access_token"]];
    assert!(log.contains("/devicecode") && secrets.iter().all(|secret| !log.contains(secret.as_str().unwrap())), "{log}");
}

#[tokio::test]
async fn scopes_decide_what_a_token_is_for_and_whether_it_can_be_renewed() {
    let server = serve(behaviour()).await;
    let reply = signed_in(&server, "ROOT/Organization.Read.All").await;
    assert_eq!((&reply["scope"], &reply["refresh_token"]), (&"Organization.Read.All".into(), &Value::Null));
    let client = Client { token: reply["access_token"].as_str().unwrap().to_owned(), server };
    assert_eq!(client.get("/beta/organization").await.status, 200);
    assert_eq!(client.revoke(Collection::VppTokens, 1).await.unwrap().status, 403);
    for scope in ["https://graph.microsoft.com/.default", "offline_access"] {
        denied(&begin(&client.server, scope).await, 400, "invalid_scope", 70_011);
    }
    denied(&begin(&client.server, "ROOT/Mail.Read").await, 400, "invalid_grant", 65_001);
}

#[tokio::test]
async fn a_device_that_polls_too_fast_is_slowed_down() {
    let server = serve(Behaviour::immediate()).await;
    let code = begin(&server, "ROOT/.default").await.json();
    assert_eq!(code["interval"], 5);
    denied(&poll(&server, &code["device_code"]).await, 400, "authorization_pending", 70_016);
    assert_eq!(poll(&server, &code["device_code"]).await.json()["error"], "slow_down");
}

#[tokio::test]
async fn a_code_is_declined_expires_or_approves_itself() {
    let server = serve(behaviour()).await;
    let code = begin(&server, "ROOT/.default").await.json();
    assert!(server.answer_device(code["user_code"].as_str().unwrap(), false) && !server.answer_device("OTHER", true));
    assert_eq!(poll(&server, &code["device_code"]).await.json()["error"], "authorization_declined");
    let mut short = behaviour();
    short.person.code_lifetime = Duration::ZERO;
    let server = serve(short).await;
    let code = begin(&server, "ROOT/.default").await.json();
    denied(&poll(&server, &code["device_code"]).await, 400, "expired_token", 70_020);
    let mut willing = behaviour();
    willing.person.approves_after = Some(2);
    let server = serve(willing).await;
    let code = begin(&server, "ROOT/.default").await.json()["device_code"].clone();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(poll(&server, &code).await.status);
    }
    assert_eq!(statuses, [400, 400, 200]);
}

#[tokio::test]
async fn a_refresh_token_ends_by_age_by_use_or_by_an_administrator() {
    let all = "ROOT/.default offline_access";
    let server = serve(behaviour()).await;
    let first = signed_in(&server, all).await["refresh_token"].clone();
    let second = refresh(&server, &first).await.json()["refresh_token"].clone();
    assert_ne!(first, second);
    assert_eq!(refresh(&server, &first).await.status, 200, "documented: the older one stays good");
    server.revoke_sessions();
    denied(&refresh(&server, &second).await, 400, "invalid_grant", 50_173);
    denied(&refresh(&server, &"never".into()).await, 400, "invalid_grant", 70_000);
    let mut strict = behaviour();
    strict.person.old_refresh_works = false;
    let server = serve(strict).await;
    let first = signed_in(&server, all).await["refresh_token"].clone();
    let second = refresh(&server, &first).await.json()["refresh_token"].clone();
    denied(&refresh(&server, &first).await, 400, "invalid_grant", 70_000);
    assert_eq!(refresh(&server, &second).await.status, 200);
    let mut short = behaviour();
    short.person.refresh_lifetime = Duration::ZERO;
    let server = serve(short).await;
    let token = signed_in(&server, all).await["refresh_token"].clone();
    denied(&refresh(&server, &token).await, 400, "invalid_grant", 700_082);
}

#[tokio::test]
async fn an_app_must_allow_public_clients_and_have_consent() {
    let app = Registration::new(APP);
    for (registration, status, error, number) in [
        (app.clone(), 401, "invalid_client", 7_000_218),
        (Registration { public: true, consented: false, ..app }, 400, "invalid_grant", 65_001),
    ] {
        let mut options = options(behaviour(), 1);
        options.registrations.push(registration);
        let server = Server::start(options).await.unwrap();
        let code = begin(&server, "ROOT/.default").await.json();
        server.answer_device(code["user_code"].as_str().unwrap(), true);
        denied(&poll(&server, &code["device_code"]).await, status, error, number);
    }
}

#[tokio::test]
async fn where_only_people_may_revoke_an_app_may_still_read() {
    let client = Client::start(Behaviour { delegated_only: true, ..behaviour() }).await;
    assert_eq!(client.object(Collection::VppTokens, 1).await.status, 200);
    assert_eq!(client.revoke(Collection::VppTokens, 1).await.unwrap().status, 403);
    let token = signed_in(&client.server, "ROOT/.default").await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(Client { token, ..client }.revoke(Collection::VppTokens, 1).await.unwrap().status, 204);
}
