//! The log, and the life of the server.

use serde_json::Value;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::client::{APP, Client, TENANT, eventually, host, options};
use crate::sim::{Behaviour, Collection, Server};

#[tokio::test]
async fn the_log_tells_everything_but_the_bearer_and_the_secret() {
    let client = Client::start(Behaviour::immediate()).await;
    client.revoke(Collection::VppTokens, 1).await.unwrap();
    let text = client.get("/_log").await.body;
    assert!(!text.contains(&client.token) && !text.contains("simulated"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "the token and the revocation, not the log itself");
    let entry = &lines[1];
    assert_eq!(entry["ordinal"], 2);
    assert_eq!(entry["tenant"], TENANT.to_string());
    assert_eq!(entry["app"], APP.to_string());
    assert_eq!(entry["collection"], "vppTokens");
    assert_eq!(entry["id"], Uuid::from_u128(1).to_string());
    assert_eq!((&entry["status"], &entry["effect"], &entry["bearer"]), (&204.into(), &true.into(), &true.into()));
    assert_eq!(entry["headers"]["content-type"], "application/json");
    assert_eq!(entry["headers"]["client-request-id"], "mine");
    assert!(entry["body"].as_str().unwrap().contains("notifyManagedDevices"));
    assert!(entry["closed_ms"].as_f64().unwrap() >= entry["arrived_ms"].as_f64().unwrap());
}

#[tokio::test]
async fn the_log_can_be_switched_off_while_effects_are_still_counted() {
    let client = Client::start(Behaviour { log: false, ..Behaviour::immediate() }).await;
    client.revoke(Collection::AndroidForWork, 1).await.unwrap();
    assert!(client.server.log().is_empty());
    assert_eq!(client.server.effects(Collection::AndroidForWork, Uuid::from_u128(1)), 1);
}

#[tokio::test]
async fn requests_one_after_the_other_are_never_in_flight_together() {
    let client = Client::start(Behaviour::immediate()).await;
    for _ in 0..3 {
        client.revoke(Collection::VppTokens, 1).await.unwrap();
    }
    assert_eq!(client.server.max_in_flight(Collection::VppTokens, Uuid::from_u128(1)), 1);
}

#[tokio::test]
async fn stopping_or_dropping_closes_the_port() {
    let server = Server::start(options(Behaviour::immediate(), 1)).await.unwrap();
    let address = host(&server).to_owned();
    server.stop().await;
    assert!(TcpStream::connect(&address).await.is_err());
    let server = Server::start(options(Behaviour::immediate(), 1)).await.unwrap();
    let address = host(&server).to_owned();
    drop(server);
    eventually(async || TcpStream::connect(&address).await.is_err()).await;
}
