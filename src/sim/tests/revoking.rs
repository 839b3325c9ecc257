//! The actions, and what they do to the objects.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::client::{Client, TENANT, eventually, exchange, host, options, path};
use crate::sim::{Again, Behaviour, Collection, Meanwhile, Shares, Span, Trace, Visibility};

const OWNER: Collection = Collection::AndroidDeviceOwner;
const VPP: Collection = Collection::VppTokens;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

#[tokio::test]
async fn a_revocation_is_answered_with_204_and_every_id_that_support_asks_for() {
    let client = Client::start(Behaviour::immediate()).await;
    for collection in Collection::ALL {
        let reply = client.revoke(collection, 1).await.unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (204, ""));
        assert_eq!(reply.header("client-request-id"), Some("mine"));
        assert!(reply.header("request-id").is_some_and(|id| Uuid::parse_str(id).is_ok()));
        assert!(reply.header("x-ms-ags-diagnostic").is_some_and(|value| value.contains("ServerInfo")));
        assert!(reply.header("date").is_some_and(|value| value.ends_with(" GMT")));
        assert_eq!(reply.head.matches("date: ").count(), 1);
        assert_eq!(client.server.effects(collection, id(1)), 1);
    }
}

#[tokio::test]
async fn a_post_without_a_length_is_411_and_without_a_bearer_401() {
    let client = Client::start(Behaviour::immediate()).await;
    let request = client.request(OWNER, 1).replace("content-length: 0\r\n", "");
    assert_eq!(exchange(&client.server, &request).await.unwrap().status, 411);
    let bare = format!(
        "POST {}/revokeToken HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        path(OWNER, 1),
        host(&client.server)
    );
    let reply = exchange(&client.server, &bare).await.unwrap();
    assert_eq!((reply.status, reply.json()["error"]["message"].as_str()), (401, Some("Access token is empty.")));
    assert_eq!(client.server.effects(OWNER, id(1)), 0);
}

#[tokio::test]
async fn v1_has_no_such_action() {
    let client = Client::start(Behaviour::immediate()).await;
    let request = client.request(OWNER, 1).replace("/beta/", "/v1.0/");
    let reply = exchange(&client.server, &request).await.unwrap();
    let message = "Resource not found for the segment 'revokeToken'.";
    assert_eq!((reply.status, reply.json()["error"]["message"].as_str()), (400, Some(message)));
}

#[tokio::test]
async fn an_unknown_id_is_404_in_the_words_of_intune() {
    let client = Client::start(Behaviour::immediate()).await;
    for reply in [client.revoke(OWNER, 99).await.unwrap(), client.object(OWNER, 99).await] {
        assert_eq!((reply.status, reply.nested()["_version"].as_u64()), (404, Some(3)));
    }
}

/// The expiry before and after, and the object after.
async fn traced(trace: Trace) -> (Timestamp, Option<Value>, Value) {
    let mut behaviour = Behaviour::immediate();
    behaviour.traces = vec![trace];
    let client = Client::start(behaviour).await;
    let before = client.object(OWNER, 1).await.json();
    client.revoke(OWNER, 1).await.unwrap();
    let after = client.object(OWNER, 1).await.json();
    let expiry = after.as_object().unwrap().get("tokenExpirationDateTime").cloned();
    assert_eq!(before["tokenCreationDateTime"], after["tokenCreationDateTime"]);
    (before["tokenExpirationDateTime"].as_str().unwrap().parse().unwrap(), expiry, after)
}

#[tokio::test]
async fn each_trace_of_a_revocation_looks_as_it_says() {
    for trace in Trace::ALL {
        let (before, expiry, after) = traced(trace).await;
        let time = expiry.as_ref().and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
        let token = after["tokenValue"].as_str().unwrap();
        match trace {
            Trace::ExpiryNow | Trace::ExpiryPast => {
                assert!(time.unwrap() < before && !token.is_empty());
            }
            Trace::ExpiryMissing => assert_eq!(expiry, None),
            Trace::ExpiryNull => assert_eq!(expiry, Some(Value::Null)),
            Trace::ExpiryZero => assert_eq!(expiry.unwrap(), "0001-01-01T00:00:00Z"),
            Trace::TokenEmptied => assert!(time.unwrap() < before && token.is_empty()),
            Trace::TokenReplaced => {
                assert!(time.unwrap() < before && token.starts_with("LIVE-SECRET-"));
            }
            Trace::OnlyTokenEmptied => assert!(time.unwrap() == before && token.is_empty()),
        }
    }
}

async fn lagging(lag: Span) -> Client {
    let mut behaviour = Behaviour::immediate();
    behaviour.visibility = Visibility { late: 1.0, lag };
    behaviour.traces = vec![Trace::ExpiryNull];
    let client = Client::start(behaviour).await;
    client.revoke(OWNER, 1).await.unwrap();
    client.revoke(VPP, 1).await.unwrap();
    client
}

async fn seen(client: &Client) -> (bool, bool) {
    let owner = client.object(OWNER, 1).await.json();
    let token = client.object(VPP, 1).await.json();
    (owner["tokenExpirationDateTime"].is_null(), token["tokenActionResults"][0].is_object())
}

#[tokio::test]
async fn readers_may_see_it_late() {
    assert_eq!(seen(&lagging(Span::of_secs(60, 60)).await).await, (false, false));
    let client = lagging(Span::of_millis(20, 20)).await;
    eventually(async || seen(&client).await == (true, true)).await;
}

#[tokio::test]
async fn a_second_revocation_is_told_what_the_seed_says() {
    for (again, status, effects) in [(Again::Accepted, 204, 2), (Again::BadRequest, 400, 1), (Again::Conflict, 409, 1)] {
        let mut behaviour = Behaviour::immediate();
        behaviour.again = vec![again];
        let client = Client::start(behaviour).await;
        assert_eq!(client.revoke(OWNER, 1).await.unwrap().status, 204);
        assert_eq!(client.revoke(OWNER, 1).await.unwrap().status, status);
        assert_eq!(client.server.effects(OWNER, id(1)), effects);
    }
}

#[tokio::test]
async fn a_licence_revocation_goes_from_pending_over_active_to_done() {
    let mut behaviour = Behaviour::immediate();
    behaviour.vpp.pending = Span::of_millis(30, 30);
    behaviour.vpp.active = Span::of_millis(30, 30);
    let client = Client::start(behaviour).await;
    client.revoke(VPP, 1).await.unwrap();
    let mut states = Vec::new();
    while states.last().is_none_or(|state| state != "done") {
        let object = client.object(VPP, 1).await.json();
        let entry = &object["tokenActionResults"][0];
        assert_eq!(entry["@odata.type"], "#microsoft.graph.vppTokenRevokeLicensesActionResult");
        states.push(entry["actionState"].as_str().unwrap().to_owned());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rank = |state: &String| ["pending", "active", "done"].iter().position(|one| one == state);
    assert!(states.iter().all(|state| rank(state).is_some()) && states.is_sorted_by_key(rank));
}

#[tokio::test]
async fn a_second_licence_revocation_meanwhile_is_merged_rejected_or_queued() {
    for (meanwhile, status, effects) in [(Meanwhile::Merged, 204, 1), (Meanwhile::Rejected, 409, 1), (Meanwhile::Queued, 204, 2)]
    {
        let mut behaviour = Behaviour::immediate();
        behaviour.vpp.pending = Span::of_secs(9, 9);
        behaviour.vpp.meanwhile = vec![meanwhile];
        let client = Client::start(behaviour).await;
        assert_eq!(client.revoke(VPP, 1).await.unwrap().status, 204);
        assert_eq!(client.revoke(VPP, 1).await.unwrap().status, status, "{meanwhile:?}");
        assert_eq!(client.server.effects(VPP, id(1)), effects);
        let results = client.object(VPP, 1).await.json()["tokenActionResults"].as_array().unwrap().len();
        assert_eq!(results, usize::try_from(effects).unwrap());
    }
}

#[tokio::test]
async fn some_objects_are_expired_unknown_or_forbidden_from_the_start() {
    let mut behaviour = Behaviour::immediate();
    behaviour.shares = Shares { expired: 0.25, unknown: 0.25, forbidden: 0.25, ..Shares::default() };
    behaviour.again = vec![Again::Conflict];
    let client = Client::of(options(behaviour, 40)).await;
    let mut statuses = BTreeSet::new();
    for n in 1..=40 {
        statuses.insert(client.revoke(OWNER, n).await.unwrap().status);
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [204, 403, 404, 409]);
}

#[tokio::test]
async fn a_reissued_token_is_live_again_and_a_removed_object_is_gone() {
    let client = Client::start(Behaviour::immediate()).await;
    let before = client.object(OWNER, 1).await.json();
    client.revoke(OWNER, 1).await.unwrap();
    assert!(client.server.reissue(TENANT, OWNER, id(1)));
    let after = client.object(OWNER, 1).await.json();
    let time = |object: &Value, name: &str| object[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    for name in ["tokenCreationDateTime", "tokenExpirationDateTime"] {
        assert!(time(&after, name) > time(&before, name), "{name}");
    }
    assert!(client.server.remove(TENANT, OWNER, id(1)));
    assert_eq!(client.object(OWNER, 1).await.status, 404);
    assert!(!client.server.reissue(TENANT, OWNER, id(1)));
}
