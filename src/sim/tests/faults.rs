//! Faults: what the client meets, and what has happened all the same.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::client::{APP, Client, TENANT, eventually, host, options, token};
use crate::sim::{Answer, Behaviour, Call, Collection, Fault, Kind, RetryAfter, Rule, Scenario, Span};

const OWNER: Collection = Collection::AndroidDeviceOwner;

async fn with(rules: Vec<Rule>) -> Client {
    Client::start(Behaviour { rules, ..Behaviour::immediate() }).await
}

fn effects(client: &Client, n: u128) -> u32 {
    client.server.effects(OWNER, Uuid::from_u128(n))
}

#[tokio::test]
async fn a_server_error_comes_before_or_after_the_effect() {
    for status in [500, 502, 503, 504] {
        let client = with(vec![
            Rule::on(Call::Revoke, Fault::status(status)).nth(1),
            Rule::on(Call::Revoke, Fault::status(status).after_effect()).nth(2),
        ])
        .await;
        assert_eq!(client.revoke(OWNER, 1).await.unwrap().status, status);
        assert_eq!(effects(&client, 1), 0);
        assert_eq!(client.revoke(OWNER, 1).await.unwrap().status, status);
        assert_eq!(effects(&client, 1), 1);
    }
}

#[tokio::test]
async fn a_503_can_ask_to_wait() {
    let kind = Kind::Status { status: 503, retry_after: Some(RetryAfter::Integer) };
    let client = with(vec![Rule::always(Fault::new(kind)).of(Uuid::from_u128(1))]).await;
    assert!(client.revoke(OWNER, 1).await.unwrap().header("retry-after").is_some());
}

#[tokio::test]
async fn a_cut_connection_gives_not_one_byte() {
    let client = with(vec![
        Rule::on(Call::Revoke, Fault::new(Kind::Cut)).of(Uuid::from_u128(1)),
        Rule::on(Call::Revoke, Fault::new(Kind::Cut).after_effect()).of(Uuid::from_u128(2)),
    ])
    .await;
    assert!(client.revoke(OWNER, 1).await.is_err());
    assert!(client.revoke(OWNER, 2).await.is_err());
    assert_eq!((effects(&client, 1), effects(&client, 2)), (0, 1));
}

#[tokio::test]
async fn a_late_effect_comes_when_the_client_has_gone() {
    let late = |by| Rule::on(Call::Revoke, Fault::new(Kind::Cut).with_late_effect(by));
    let client = with(vec![late(Span::of_secs(60, 60)).of(Uuid::from_u128(1)), late(Span::of_millis(20, 20))]).await;
    assert!(client.revoke(OWNER, 1).await.is_err());
    assert!(client.revoke(OWNER, 2).await.is_err());
    eventually(async || effects(&client, 2) == 1).await;
    assert!(client.server.log().last().unwrap().effect);
    assert_eq!(effects(&client, 1), 0);
}

#[tokio::test]
async fn a_hanging_exchange_ends_when_the_client_leaves_and_its_effect_stands() {
    let client = with(vec![Rule::on(Call::Revoke, Fault::new(Kind::Hang).after_effect())]).await;
    let mut stream = TcpStream::connect(host(&client.server)).await.unwrap();
    stream.write_all(client.request(OWNER, 1).as_bytes()).await.unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(40), stream.read_u8()).await;
    assert!(silent.is_err());
    assert_eq!(effects(&client, 1), 1);
    assert_eq!(client.server.log().last().unwrap().closed, None);
    drop(stream);
    eventually(async || client.server.log().last().unwrap().closed.is_some()).await;
    let log = client.server.log();
    let entry = log.last().unwrap();
    assert!(entry.answered.is_none() && entry.status.is_none());
    assert_eq!(entry.fault.as_deref(), Some("hang after effect"));
}

#[tokio::test]
async fn an_effect_under_way_survives_the_client() {
    let slow = Behaviour { latency: Span::of_millis(60, 60), ..Behaviour::immediate() };
    let client = Client::start(slow).await;
    let mut stream = TcpStream::connect(host(&client.server)).await.unwrap();
    stream.write_all(client.request(OWNER, 1).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(stream);
    eventually(async || effects(&client, 1) == 1).await;
}

#[tokio::test]
async fn a_page_is_no_answer_of_graph() {
    let client = with(vec![Rule::on(Call::Revoke, Fault::new(Kind::Page).after_effect())]).await;
    let reply = client.revoke(OWNER, 1).await.unwrap();
    assert_eq!((reply.status, reply.header("request-id")), (200, None));
    assert!(reply.body.starts_with("<!DOCTYPE html>") && effects(&client, 1) == 1);
}

#[tokio::test]
async fn a_token_declared_expired_stays_so_and_a_new_one_works() {
    let mut client = with(vec![Rule::on(Call::Revoke, Fault::new(Kind::TokenExpired)).times(1)]).await;
    for _ in 0..2 {
        let reply = client.revoke(OWNER, 1).await.unwrap();
        assert_eq!(reply.json()["error"]["message"], "Lifetime validation failed, the token is expired.");
    }
    client.token = token(&client.server, TENANT, APP).await;
    assert_eq!(client.revoke(OWNER, 1).await.unwrap().status, 204);
}

#[tokio::test]
async fn a_prepared_answer_is_given_as_it_is() {
    let approval = Answer::text(412, "application/json", r#"{"error":{"code":"ApprovalRequired"}}"#);
    let client = with(vec![Rule::on(Call::Revoke, Fault::canned(approval)).times(1)]).await;
    assert_eq!(client.revoke(OWNER, 1).await.unwrap().json()["error"]["code"], "ApprovalRequired");
    assert_eq!(client.revoke(OWNER, 1).await.unwrap().status, 204);
}

#[tokio::test]
async fn reads_fail_by_rules_too() {
    let client = with(vec![
        Rule::on(Call::Get, Fault::status(503)).within(OWNER).nth(2),
        Rule::on(Call::List, Fault::new(Kind::Slow(Span::of_millis(30, 30)))),
    ])
    .await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.object(OWNER, 1).await.status);
    }
    assert_eq!(statuses, [200, 503, 200]);
    client.get("/beta/deviceAppManagement/vppTokens").await;
    let log = client.server.log();
    let list = log.last().unwrap();
    assert!(list.closed.unwrap().saturating_sub(list.arrived) >= Duration::from_millis(30));
}

#[tokio::test]
async fn two_stormy_services_of_one_seed_do_the_same_in_whatever_order() {
    let storm = || {
        let mut behaviour = Behaviour::of(Scenario::Stormy);
        behaviour.latency = Span::ZERO;
        behaviour.write_quota = None;
        behaviour.write_faults.retain(|odds| !matches!(odds.fault.kind, Kind::Hang | Kind::Slow(_) | Kind::TokenExpired));
        options(behaviour, 60)
    };
    let (one, two) = (Client::of(storm()).await, Client::of(storm()).await);
    for n in 1..=60 {
        let _ = one.revoke(OWNER, n).await;
        let _ = two.revoke(OWNER, 61 - n).await;
    }
    let met = |client: &Client| {
        let mut met: Vec<_> = client
            .server
            .log()
            .iter()
            .filter(|entry| entry.id.is_some())
            .map(|entry| (entry.id, entry.fault.clone(), entry.status))
            .collect();
        met.sort_unstable();
        met
    };
    assert_eq!(met(&one), met(&two));
    assert!(met(&one).iter().any(|(_, fault, _)| fault.is_some()));
}
