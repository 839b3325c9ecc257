//! Entra: tokens, their errors, the metadata of an authority.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use uuid::Uuid;

use super::client::{APP, Client, Reply, TENANT, ask_token, exchange, form, host, options, token};
use crate::sim::{Behaviour, Call, Fault, Kind, RetryAfter, Rule, Server};

async fn server() -> Server {
    Server::start(options(Behaviour::immediate(), 1)).await.unwrap()
}

#[tokio::test]
async fn a_token_names_its_audience_tenant_app_and_roles_and_lives_60_to_90_minutes() {
    let server = server().await;
    let reply = ask_token(&server, "CONTOSO.com", "", &form(&server, APP)).await.json();
    let seconds = reply["expires_in"].as_i64().unwrap();
    assert_eq!(reply["token_type"], "Bearer");
    assert!((3_600..=5_400).contains(&seconds), "{seconds}");
    assert_eq!(reply["ext_expires_in"], seconds);
    let token = reply["access_token"].as_str().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["aud"], server.url());
    assert_eq!(payload["tid"], TENANT.to_string());
    assert_eq!(payload["appid"], APP.to_string());
    assert_eq!(payload["roles"].as_array().unwrap().len(), 3);
    assert_eq!(payload["exp"].as_i64().unwrap() - payload["iat"].as_i64().unwrap(), seconds);
}

#[tokio::test]
async fn the_secret_may_come_by_http_basic() {
    let server = server().await;
    let form = form(&server, APP).replace("&client_secret=simulated", "").replace(&format!("&client_id={APP}"), "");
    let header = format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{APP}:simulated")));
    assert_eq!(ask_token(&server, &TENANT.to_string(), &header, &form).await.status, 200);
}

/// What to change in a good form, and the status, error and AADSTS number that follow.
const WRONG: [(&str, &str, u16, &str, u32); 7] = [
    ("simulated", "guess", 401, "invalid_client", 7_000_215),
    ("&client_secret=simulated", "", 401, "invalid_client", 7_000_218),
    ("client_id=0", "client_id=my-app-0", 400, "unauthorized_client", 700_016),
    ("127.0.0.1", "localhost", 400, "invalid_scope", 70_011),
    ("%2F.default", "%2F.defaults", 400, "invalid_scope", 70_011),
    ("grant_type", "type", 400, "invalid_request", 900_144),
    ("client_credentials", "password", 400, "unsupported_grant_type", 70_003),
];

pub(super) fn denied(reply: &Reply, status: u16, error: &str, number: u32) {
    let body = reply.json();
    assert_eq!((reply.status, body["error"].as_str().unwrap()), (status, error));
    assert_eq!(body["error_codes"][0], number);
    let text = body["error_description"].as_str().unwrap();
    assert!(text.starts_with(&format!("AADSTS{number}: ")), "{text}");
    assert!(body["trace_id"].is_string() && body["correlation_id"].is_string());
}

#[tokio::test]
async fn what_is_wrong_is_said_by_number() {
    let server = server().await;
    let good = form(&server, APP);
    for (from, to, status, error, number) in WRONG {
        assert!(good.contains(from), "{from}");
        let reply = ask_token(&server, &TENANT.to_string(), "", &good.replace(from, to)).await;
        denied(&reply, status, error, number);
    }
    let unknown = Uuid::from_u128(404).to_string();
    denied(&ask_token(&server, &unknown, "", &good).await, 400, "invalid_request", 90_002);
}

#[tokio::test]
async fn called_by_name_it_is_another_origin() {
    let server = server().await;
    let port = host(&server).split(':').nth(1).unwrap().to_owned();
    let form = form(&server, APP).replace("127.0.0.1", "localhost");
    let request = |host: &str| {
        format!(
            "POST /{TENANT}/oauth2/v2.0/token HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        )
    };
    assert_eq!(exchange(&server, &request("localhost")).await.unwrap().status, 200);
    assert_eq!(exchange(&server, &request("graph.microsoft.com")).await.unwrap().status, 400);
}

#[tokio::test]
async fn discovery_resolves_a_domain_to_its_tenant() {
    let server = server().await;
    let ask = |tenant: &str| {
        let request = format!(
            "GET /{tenant}/v2.0/.well-known/openid-configuration HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            host(&server)
        );
        let server = &server;
        async move { exchange(server, &request).await.unwrap() }
    };
    let found = ask("contoso.com").await.json();
    for name in ["contoso.com", "CONTOSO.onmicrosoft.com", &TENANT.to_string()] {
        assert_eq!(ask(name).await.json()["issuer"], format!("{}/{TENANT}/v2.0", server.url()), "{name}");
    }
    assert_eq!(found["token_endpoint"], format!("{}/{TENANT}/oauth2/v2.0/token", server.url()));
    denied(&ask("fabrikam.com").await, 400, "invalid_tenant", 90_002);
}

#[tokio::test]
async fn a_throttled_entra_answers_in_plain_text_with_sixty_seconds() {
    let mut behaviour = Behaviour::immediate();
    behaviour.rules = vec![
        Rule::on(Call::Token, Fault::new(Kind::Throttle(RetryAfter::Integer))).nth(1),
        Rule::on(Call::Token, Fault::status(503)).nth(2),
    ];
    let server = Server::start(options(behaviour, 1)).await.unwrap();
    let reply = ask_token(&server, &TENANT.to_string(), "", &form(&server, APP)).await;
    assert_eq!((reply.status, reply.header("retry-after"), reply.body.as_str()), (429, Some("60"), "Too Many Requests"));
    assert_eq!(ask_token(&server, &TENANT.to_string(), "", &form(&server, APP)).await.status, 503);
    assert!(!token(&server, TENANT, APP).await.is_empty());
}

#[tokio::test]
async fn a_foreign_altered_or_missing_bearer_is_refused_as_documented() {
    let mut client = Client::start(Behaviour::immediate()).await;
    let mut elsewhere = options(Behaviour::immediate(), 1);
    elsewhere.seed = 2;
    let elsewhere = Client::of(elsewhere).await;
    for (token, message) in [
        (elsewhere.token.clone(), "Access token validation failure."),
        (format!("{}x", client.token), "Access token validation failure."),
        ("eyJ".to_owned(), "CompactToken parsing failed with error code: 80049217"),
    ] {
        client.token = token;
        let reply = client.get("/beta/organization").await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.json()["error"]["code"], "InvalidAuthenticationToken");
        assert_eq!(reply.json()["error"]["message"], message);
        assert!(reply.header("www-authenticate").unwrap().contains(r#"client_id="00000003-0000-0000-c000-000000000000""#));
    }
}

#[tokio::test]
async fn a_body_of_another_type_and_another_verb_are_refused_as_documented() {
    let server = server().await;
    let good = form(&server, APP);
    let ask = async |verb: &str, media: &str| {
        let request = format!(
            "{verb} /{TENANT}/oauth2/v2.0/token HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n{good}",
            host(&server),
            good.len()
        );
        exchange(&server, &request).await.unwrap()
    };
    assert_eq!(ask("POST", "application/x-www-form-urlencoded; charset=utf-8").await.status, 200);
    denied(&ask("POST", "application/json").await, 400, "invalid_request", 900_144);
    denied(&ask("PUT", "application/x-www-form-urlencoded").await, 405, "invalid_request", 900_561);
}

#[tokio::test]
async fn a_claims_challenge_is_for_this_bearer_and_says_from_when_on() {
    let mut behaviour = Behaviour::immediate();
    behaviour.rules = vec![Rule::on(Call::Organization, Fault::new(Kind::Claims)).times(1)];
    let mut client = Client::start(behaviour).await;
    for _ in 0..2 {
        let reply = client.get("/beta/organization").await;
        assert_eq!(reply.status, 401);
        let header = reply.header("www-authenticate").unwrap();
        assert!(header.contains(r#"error="insufficient_claims""#), "{header}");
        let claims = header.split_once(r#"claims=""#).unwrap().1.trim_end_matches('"');
        let claims: Value = serde_json::from_slice(&STANDARD.decode(claims).unwrap()).unwrap();
        assert_eq!(claims["access_token"]["nbf"]["essential"], true);
        assert!(claims["access_token"]["nbf"]["value"].as_str().unwrap().parse::<i64>().unwrap() > 0);
    }
    client.token = client.server.access_token(TENANT, APP);
    assert_eq!(client.get("/beta/organization").await.status, 200);
}
