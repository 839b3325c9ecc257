//! Quotas as clients meet them.

use std::time::Duration;

use uuid::Uuid;

use super::client::{APP, Client, TENANT, options, token};
use crate::sim::{Again, Behaviour, Collection, Quota, RetryAfter};

const OWNER: Collection = Collection::AndroidDeviceOwner;

fn limited(count: u32) -> Behaviour {
    Behaviour { write_quota: Quota::new(count, Duration::from_secs(20)), ..Behaviour::immediate() }
}

/// How many of so many revocations were let in.
async fn admitted(client: &Client, collection: Collection, count: u128) -> usize {
    let mut admitted = 0;
    for n in 1..=count {
        admitted += usize::from(client.revoke(collection, n).await.unwrap().status == 204);
    }
    admitted
}

#[tokio::test]
async fn the_fourth_write_of_three_is_told_to_wait_whole_seconds() {
    let client = Client::start(limited(3)).await;
    assert_eq!(admitted(&client, OWNER, 3).await, 3);
    let reply = client.revoke(OWNER, 4).await.unwrap();
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (429, Some("TooManyRequests")));
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((18..=20).contains(&seconds), "{seconds}");
    assert_eq!(client.server.effects(OWNER, Uuid::from_u128(4)), 0);
}

#[tokio::test]
async fn android_and_apple_count_apart_and_reads_have_a_limit_of_their_own() {
    let client = Client::start(limited(3)).await;
    assert_eq!(admitted(&client, OWNER, 4).await, 3);
    assert_eq!(admitted(&client, Collection::AndroidForWork, 1).await, 0);
    assert_eq!(admitted(&client, Collection::VppTokens, 4).await, 3);
    assert_eq!(client.object(OWNER, 1).await.status, 200);
    let reads = Behaviour { request_quota: Quota::new(2, Duration::from_secs(20)), ..Behaviour::immediate() };
    let client = Client::start(reads).await;
    for status in [200, 200, 429] {
        assert_eq!(client.object(OWNER, 1).await.status, status);
    }
}

#[tokio::test]
async fn a_tenant_s_apps_together_may_do_twice_as_much_as_one() {
    let behaviour = Behaviour { again: vec![Again::Accepted], ..limited(2) };
    let mut client = Client::of(options(behaviour, 9)).await;
    let mut sum = 0;
    for app in 0..4 {
        client.token = token(&client.server, TENANT, Uuid::from_u128(APP.as_u128() + app)).await;
        sum += admitted(&client, OWNER, 3).await;
    }
    assert_eq!(sum, 4);
}

#[tokio::test]
async fn the_hidden_quota_is_the_real_one_and_it_may_be_halved() {
    let mut behaviour = limited(100);
    behaviour.hidden_write_quota = Quota::new(4, Duration::from_secs(20));
    let client = Client::start(behaviour.clone()).await;
    assert_eq!(admitted(&client, OWNER, 5).await, 4);
    behaviour.halved_after = Some(Duration::ZERO);
    let client = Client::start(behaviour).await;
    assert_eq!(admitted(&client, OWNER, 5).await, 2);
}

#[tokio::test]
async fn every_shape_of_retry_after_is_met() {
    let mut behaviour = limited(1);
    behaviour.retry_after = RetryAfter::ALL.to_vec();
    let client = Client::start(behaviour).await;
    admitted(&client, OWNER, 1).await;
    let mut seen = [false; 7];
    for _ in 0..120 {
        let reply = client.revoke(OWNER, 2).await.unwrap();
        let shape = match reply.header("retry-after") {
            None if reply.body.contains(r#"\"RetryAfter\":2"#) || reply.body.contains(r#"\"RetryAfter\":1"#) => 0,
            None => 1,
            Some("0") => 2,
            Some(value) if value.ends_with("GMT") => 3,
            Some(value) if value.contains(',') => 4,
            Some(value) if value.contains('.') => 5,
            Some(value) => usize::from(value.parse::<u64>().is_ok()) * 6,
        };
        seen[shape] = true;
    }
    assert_eq!(seen, [true; 7]);
}
