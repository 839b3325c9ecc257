//! Reading: pages, selections, secrets, the tenant's own record.

use serde_json::Value;

use super::client::{Client, OTHER, TENANT, options, path, token};
use crate::sim::{Behaviour, Collection};

const OWNERS: &str = "/beta/deviceManagement/androidDeviceOwnerEnrollmentProfiles";

#[tokio::test]
async fn every_object_is_met_once_by_following_the_links() {
    let mut behaviour = Behaviour::immediate();
    behaviour.page_size = 4;
    let client = Client::of(options(behaviour, 10)).await;
    for (query, pages) in [("?%24select=id%2CdisplayName", 3), ("", 3), ("?$top=3", 4), ("?$top=10", 1)] {
        let (mut next, mut ids, mut met) = (format!("{OWNERS}{query}"), Vec::new(), 0);
        loop {
            let page = client.get(&next).await.json();
            met += 1;
            ids.extend(page["value"].as_array().unwrap().iter().map(|one| one["id"].to_string()));
            match page["@odata.nextLink"].as_str() {
                Some(link) => next = link.strip_prefix(client.server.url()).unwrap().to_owned(),
                None => break,
            }
        }
        ids.dedup();
        assert_eq!((met, ids.len()), (pages, 10), "{query}");
    }
}

#[tokio::test]
async fn without_a_selection_the_secrets_come_along() {
    let client = Client::start(Behaviour::immediate()).await;
    for (collection, secrets) in [
        (Collection::AndroidForWork, &["tokenValue", "qrCodeContent"][..]),
        (Collection::AndroidDeviceOwner, &["tokenValue", "qrCodeContent", "wifiPassword"]),
        (Collection::VppTokens, &["token"]),
    ] {
        let object = client.object(collection, 1).await.json();
        for secret in secrets {
            assert!(object[secret].as_str().unwrap().contains("LIVE-SECRET-"), "{secret}");
        }
        let selected = client.get(&format!("{}?$select=id,displayName", path(collection, 1))).await;
        assert!(!selected.body.contains("LIVE-SECRET-"));
        assert_eq!(selected.json().as_object().unwrap().len(), 3, "with @odata.context");
    }
    let image = client.get(&format!("{}?$select=qrCodeImage", path(Collection::AndroidForWork, 1))).await;
    assert!(image.body.contains("LIVE-SECRET-image"));
}

#[tokio::test]
async fn a_wrong_name_or_option_is_refused() {
    let client = Client::start(Behaviour::immediate()).await;
    let legacy = path(Collection::AndroidForWork, 1);
    for path in [
        format!("{legacy}?$select=id,tokenCreationDateTime"),
        format!("{OWNERS}?$select=Id"),
        format!("{OWNERS}?$filter=id eq 1").replace(' ', "%20"),
        format!("{OWNERS}?$top=none"),
        format!("{OWNERS}?$skiptoken=guess"),
        format!("{OWNERS}/not-a-guid"),
        "/beta/deviceManagement/androidDeviceOwnerEnrollmentProfile".to_owned(),
        "/v1.0/deviceAppManagement/vppTokens".to_owned(),
    ] {
        assert_eq!(client.get(&path).await.status, 400, "{path}");
    }
    let reply = client.get("/beta/devices").await;
    assert_eq!(reply.json()["error"]["message"], "Resource not found for the segment 'devices'.");
    assert_eq!(client.get(&format!("{legacy}/revokeToken")).await.status, 405);
}

#[tokio::test]
async fn times_have_seven_digits_and_sometimes_an_offset() {
    let client = Client::of(options(Behaviour::immediate(), 60)).await;
    let page = client.get(&format!("{OWNERS}?$select=tokenExpirationDateTime")).await.json();
    let times: Vec<String> =
        page["value"].as_array().unwrap().iter().map(|one| one["tokenExpirationDateTime"].as_str().unwrap().to_owned()).collect();
    assert!(times.iter().all(|time| time.parse::<jiff::Timestamp>().is_ok() && time.as_bytes()[19] == b'.'));
    assert!(times.iter().all(|time| time[20..27].bytes().all(|byte| byte.is_ascii_digit())));
    assert!(times.iter().any(|time| time.ends_with("-08:00")) && times.iter().any(|time| time.ends_with('Z')));
}

#[tokio::test]
async fn a_tenant_sees_its_own_record_and_nothing_of_others() {
    let mut client = Client::start(Behaviour::immediate()).await;
    let mine = client.get("/beta/organization?$select=id,verifiedDomains").await.json();
    assert_eq!(mine["value"][0]["id"], TENANT.to_string());
    let domains: Vec<_> = mine["value"][0]["verifiedDomains"].as_array().unwrap().iter().collect();
    assert_eq!((&domains[0]["name"], &domains[0]["isDefault"]), (&"contoso.com".into(), &true.into()));
    assert_eq!((&domains[1]["isDefault"], &domains[1]["isInitial"]), (&false.into(), &true.into()));
    assert_eq!(mine["value"][0]["displayName"], Value::Null);
    client.token = token(&client.server, OTHER, TENANT).await;
    assert_eq!(client.object(Collection::VppTokens, 1).await.status, 404);
    assert_eq!(client.get(OWNERS).await.json()["value"].as_array().unwrap().len(), 0);
    assert_eq!(client.revoke(Collection::VppTokens, 1).await.unwrap().status, 404);
}

#[tokio::test]
async fn without_the_permission_the_scopes_are_named() {
    let mut behaviour = Behaviour::immediate();
    behaviour.roles = vec!["DeviceManagementServiceConfig.Read.All".to_owned()];
    let client = Client::start(behaviour).await;
    assert_eq!(client.object(Collection::VppTokens, 1).await.status, 200);
    let reply = client.revoke(Collection::VppTokens, 1).await.unwrap();
    assert_eq!(reply.status, 403);
    let message = reply.nested()["Message"].as_str().unwrap().to_owned();
    assert!(message.contains("one of the following scopes: DeviceManagementServiceConfig.ReadWrite.All, "), "{message}");
    let denied = client.get("/beta/organization").await;
    assert_eq!((denied.status, denied.json()["error"]["code"].as_str()), (403, Some("Authorization_RequestDenied")));
}

#[tokio::test]
async fn a_list_may_leave_out_what_can_be_read_by_id() {
    let mut behaviour = Behaviour::immediate();
    behaviour.shares.unlisted = 0.5;
    let client = Client::of(options(behaviour, 40)).await;
    let listed = client.get(OWNERS).await.json()["value"].as_array().unwrap().len();
    assert!((8..32).contains(&listed), "{listed}");
    for n in 1..=40 {
        assert_eq!(client.object(Collection::AndroidDeviceOwner, n).await.status, 200);
    }
}

#[tokio::test]
async fn an_endless_token_shows_a_far_date_zero_null_or_nothing() {
    let mut behaviour = Behaviour::immediate();
    behaviour.shares.endless = 1.0;
    let client = Client::of(options(behaviour, 40)).await;
    let page = client.get(OWNERS).await.json();
    let expiries = page["value"].as_array().unwrap().iter().map(|one| one.get("tokenExpirationDateTime").map(Value::to_string));
    assert_eq!(expiries.collect::<std::collections::BTreeSet<_>>().len(), 4);
}

#[tokio::test]
async fn the_service_s_clock_may_be_ahead() {
    let mut behaviour = Behaviour::immediate();
    behaviour.clock_skew = jiff::SignedDuration::from_hours(24 * 400);
    let ahead = Client::start(behaviour).await.get(OWNERS).await;
    let level = Client::start(Behaviour::immediate()).await.get(OWNERS).await;
    let year = |date: Option<&str>| date.unwrap().split(' ').nth(3).unwrap().parse::<u16>().unwrap();
    assert!(year(ahead.header("date")) > year(level.header("date")));
    assert_eq!((ahead.status, level.status), (200, 200), "its tokens follow its clock");
}
