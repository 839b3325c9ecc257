//! Multi Admin Approval: filing, deciding, reading, finishing, and every way to get it wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::client::{APP, Client, OTHER, Reply, TENANT, eventually, exchange, options, token};
use crate::sim::{Approval, ApprovalStatus, Behaviour, Call, Collection, Decision, Fault, Kind, Object, Rule, Scenario, Span};

const OWNER: Collection = Collection::AndroidDeviceOwner;
const VPP: Collection = Collection::VppTokens;
const REQUESTS: &str = "/beta/deviceManagement/operationApprovalRequests";

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn behaviour(approval: Approval) -> Behaviour {
    Behaviour { approval: Some(approval), ..Behaviour::immediate() }
}

async fn start(approval: Approval) -> Client {
    Client::start(behaviour(approval)).await
}

async fn deciding(decision: Decision) -> Client {
    start(Approval { decisions: vec![decision], ..Approval::default() }).await
}

fn justification(text: &str) -> String {
    format!("x-msft-approval-justification: {}", STANDARD.encode(text))
}

fn code_of(reply: &Reply) -> Uuid {
    reply.header("x-msft-approval-code").unwrap().parse().unwrap()
}

/// What the answer says, wherever it stands.
fn message(reply: &Reply) -> String {
    let outer = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    let nested = serde_json::from_str::<serde_json::Value>(&outer).ok();
    nested.map_or(outer, |nested| nested["Message"].as_str().unwrap().to_owned())
}

/// A request with further header lines.
fn with(request: &str, headers: &[&str]) -> String {
    headers.iter().fold(request.to_owned(), |request, line| request.replacen("accept:", &format!("{line}\r\naccept:"), 1))
}

impl Client {
    /// The action with further header lines.
    async fn post(&self, (collection, n): (Collection, u128), headers: &[&str]) -> std::io::Result<Reply> {
        exchange(&self.server, &with(&self.request(collection, n), headers)).await
    }

    async fn submit(&self, collection: Collection, n: u128) -> Reply {
        self.post((collection, n), &[&justification("CHG-1")]).await.unwrap()
    }

    async fn finish(&self, collection: Collection, n: u128, code: Uuid) -> Reply {
        self.post((collection, n), &[&format!("x-msft-approval-code: {code}")]).await.unwrap()
    }

    async fn status(&self, code: Uuid) -> String {
        self.get(&format!("{REQUESTS}/{code}")).await.json()["status"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_protected_write_is_filed_approved_and_finished_once() {
    for collection in Collection::ALL {
        let client = deciding(Decision::Nothing).await;
        let queued = client.submit(collection, 1).await;
        let code = code_of(&queued);
        assert_eq!((queued.status, queued.json()["error"]["code"].as_str()), (412, Some("BadRequest")));
        assert!(message(&queued).contains(&format!("response header. x-msft-approval-code: {code}")), "{}", queued.body);
        assert_eq!((client.status(code).await.as_str(), client.server.effects(collection, id(1))), ("needsApproval", 0));

        assert_eq!(client.finish(collection, 1, code).await.status, 400);
        assert!(client.server.decide(TENANT, code, Decision::Approve));
        assert_eq!((client.status(code).await.as_str(), client.server.effects(collection, id(1))), ("approved", 0));

        assert_eq!(client.finish(collection, 1, code).await.status, 204);
        assert_eq!((client.status(code).await.as_str(), client.server.effects(collection, id(1))), ("completed", 1));
        let again = client.finish(collection, 1, code).await;
        assert!(again.status == 400 && message(&again).contains("'completed'"), "{}", again.body);
        assert!(!client.server.decide(TENANT, code, Decision::Reject));
        assert_eq!(client.server.effects(collection, id(1)), 1);

        let log = client.server.log();
        let posts: Vec<_> = log.iter().filter(|entry| entry.collection.is_some() && entry.method == "POST").collect();
        let shown: Vec<_> =
            posts.iter().map(|post| (post.justification.as_deref(), post.approval_code.is_some(), post.effect)).collect();
        assert_eq!(shown, [(Some("CHG-1"), false, false), (None, true, false), (None, true, true), (None, true, false)]);
    }
}

#[tokio::test]
async fn what_is_no_justification_queues_nothing() {
    let client = deciding(Decision::Approve).await;
    let (longest, long) = ("ü".repeat(1_024), "ü".repeat(1_025));
    for (headers, says) in [
        (vec![], "Header 'x-msft-approval-justification' is required to request approval"),
        (vec!["x-msft-approval-justification: plain text"], "Base64"),
        (vec!["x-msft-approval-justification: //79"], "Base64"),
        (vec!["x-msft-approval-justification: "], "empty"),
        (vec![justification(&long).as_str()], "must be no greater than 1024 characters"),
        (vec![justification("CHG-1").as_str(), &format!("x-msft-approval-code: {}", id(1))], "exclude each other"),
    ] {
        let reply = client.post((OWNER, 1), &headers).await.unwrap();
        assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (400, Some("BadRequest")), "{headers:?}");
        assert!(message(&reply).contains(says) && reply.header("x-msft-approval-code").is_none(), "{}", reply.body);
    }
    assert_eq!(client.server.approvals(), []);
    assert_eq!(client.post((OWNER, 1), &[&justification(&longest)]).await.unwrap().status, 412);
    assert_eq!(client.server.approvals()[0].justification, longest);
}

#[tokio::test]
async fn the_refusal_and_the_queueing_may_be_403() {
    let client = start(Approval { refusal: 403, queued: 403, ..Approval::default() }).await;
    let refused = client.revoke(OWNER, 1).await.unwrap();
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (403, Some("Forbidden")));
    let queued = client.submit(OWNER, 1).await;
    assert_eq!((queued.status, queued.json()["error"]["code"].as_str()), (403, Some("ApprovalRequired")));
    assert_eq!(client.status(code_of(&queued)).await, "needsApproval");
}

#[tokio::test]
async fn only_what_a_policy_covers_needs_an_approval_and_elsewhere_the_headers_mean_nothing() {
    let client = start(Approval { protects: vec![VPP], ..Approval::default() }).await;
    assert_eq!(client.revoke(VPP, 1).await.unwrap().status, 400);
    assert_eq!(client.revoke(OWNER, 1).await.unwrap().status, 204);
    assert_eq!(client.post((OWNER, 2), &["x-msft-approval-justification: plain text"]).await.unwrap().status, 204);
    assert_eq!(client.object(VPP, 1).await.status, 200, "reads are free");
    let elsewhere = start(Approval { tenants: vec![OTHER], ..Approval::default() }).await;
    assert_eq!(elsewhere.revoke(VPP, 1).await.unwrap().status, 204);
}

#[tokio::test]
async fn an_object_has_one_active_request_and_a_new_one_after_it_ended() {
    let client = deciding(Decision::Nothing).await;
    let code = code_of(&client.submit(OWNER, 1).await);
    for decision in [Decision::Nothing, Decision::Approve] {
        assert!(client.server.decide(TENANT, code, decision));
        let again = client.submit(OWNER, 1).await;
        assert_eq!((again.status, again.json()["error"]["code"].as_str()), (409, Some("Conflict")), "{decision}");
        assert!(message(&again).contains("An active Approval Request already exists"));
        assert!(again.header("x-msft-approval-code").is_none());
    }
    assert_eq!(client.submit(OWNER, 2).await.status, 412, "another object");
    assert!(client.server.decide(TENANT, code, Decision::Cancel));
    let second = client.submit(OWNER, 1).await;
    assert_eq!(second.status, 412);
    assert_ne!(code_of(&second), code);
    assert_eq!(client.server.approvals().iter().filter(|one| one.id == id(1)).count(), 2);
}

#[tokio::test]
async fn a_request_that_was_not_approved_cannot_be_finished() {
    for (decision, status) in [
        (Decision::Nothing, "needsApproval"),
        (Decision::Reject, "rejected"),
        (Decision::Cancel, "cancelled"),
        (Decision::Expire, "expired"),
    ] {
        let client = deciding(decision).await;
        let code = code_of(&client.submit(OWNER, 1).await);
        assert_eq!(client.status(code).await, status);
        let reply = client.finish(OWNER, 1, code).await;
        assert!(reply.status == 400 && message(&reply).contains(status), "{}", reply.body);
        assert!(reply.header("x-msft-approval-code").is_none());
        assert_eq!(client.server.effects(OWNER, id(1)), 0);
    }
}

#[tokio::test]
async fn an_approval_that_is_not_used_in_time_expires() {
    let policy = Approval { decisions: vec![Decision::Approve], expiry: Span::of_millis(40, 40), ..Approval::default() };
    let client = start(policy).await;
    let code = code_of(&client.submit(OWNER, 1).await);
    eventually(async || client.status(code).await == "expired").await;
    assert_eq!(client.finish(OWNER, 1, code).await.status, 400);
}

#[tokio::test]
async fn a_code_serves_only_the_request_and_the_app_that_were_approved() {
    let mut options = options(behaviour(Approval::default()), 2);
    options.objects.push(Object { tenant: OTHER, collection: OWNER, id: id(1) });
    let mut client = Client::of(options).await;
    let code = code_of(&client.submit(VPP, 1).await);
    assert_eq!(client.server.decide_all(TENANT, Decision::Approve), 1);
    assert_eq!(client.finish(VPP, 2, code).await.status, 403);
    assert_eq!(client.finish(OWNER, 1, code).await.status, 403);
    let header = format!("x-msft-approval-code: {code}");
    let swapped = with(&client.request(VPP, 1), &[&header]);
    let swapped = swapped.replace("false", "was").replace("true", "false").replace("was", "true");
    assert_eq!(exchange(&client.server, &swapped).await.unwrap().status, 403, "other options");
    for unknown in [id(7).to_string(), STANDARD.encode(code.to_string()), code.as_simple().to_string()] {
        let reply = client.post((VPP, 1), &[&format!("x-msft-approval-code: {unknown}")]).await.unwrap();
        assert_eq!(reply.status, 400, "{unknown}");
    }
    let own = std::mem::replace(&mut client.token, token(&client.server, TENANT, id(0xa9a)).await);
    assert_eq!(client.finish(VPP, 1, code).await.status, 403, "another app");
    client.token = token(&client.server, OTHER, APP).await;
    assert_eq!(client.finish(OWNER, 1, code).await.status, 400, "another tenant");
    assert_eq!(client.get(&format!("{REQUESTS}/{code}")).await.status, 404);
    client.token = own;
    assert_eq!(client.status(code).await, "approved", "none of that used it up");
    assert_eq!(client.finish(VPP, 1, code).await.status, 204);
}

#[tokio::test]
async fn a_lost_filing_is_found_by_the_conflict_and_by_reading() {
    for (fault, filed) in
        [(Fault::new(Kind::Cut).after_effect(), 1), (Fault::status(503), 0), (Fault::status(504).after_effect(), 1)]
    {
        let rules = vec![Rule::on(Call::Revoke, fault.clone()).nth(1)];
        let client = Client::start(Behaviour { rules, ..behaviour(Approval::default()) }).await;
        let lost = client.post((OWNER, 1), &[&justification("CHG-1")]).await;
        assert!(lost.is_err() || lost.unwrap().status >= 503, "{fault}");
        assert_eq!(client.server.approvals().len(), filed, "{fault}");
        assert_eq!(client.submit(OWNER, 1).await.status, if filed == 1 { 409 } else { 412 }, "{fault}");
        assert_eq!(client.get(REQUESTS).await.json()["value"][0]["requestJustification"], "CHG-1");
    }
}

#[tokio::test]
async fn a_finish_that_fails_completes_the_request_only_if_it_took_effect() {
    for (fault, status, effects) in [
        (Fault::new(Kind::Cut).after_effect(), "completed", 1),
        (Fault::status(500).after_effect(), "completed", 1),
        (Fault::new(Kind::Cut), "approved", 0),
        (Fault::status(503), "approved", 0),
    ] {
        let rules = vec![Rule::on(Call::Revoke, fault.clone()).nth(2)];
        let policy = Approval { decisions: vec![Decision::Approve], ..Approval::default() };
        let client = Client::start(Behaviour { rules, ..behaviour(policy) }).await;
        let code = code_of(&client.submit(OWNER, 1).await);
        let _ = client.post((OWNER, 1), &[&format!("x-msft-approval-code: {code}")]).await;
        assert_eq!((client.status(code).await.as_str(), client.server.effects(OWNER, id(1))), (status, effects), "{fault}");
        assert_eq!(client.finish(OWNER, 1, code).await.status, if effects == 1 { 400 } else { 204 }, "{fault}");
        assert_eq!(client.server.effects(OWNER, id(1)), 1, "{fault}");
    }
}

#[tokio::test]
async fn an_approved_request_for_an_unknown_object_is_404_and_stays_open() {
    let client = deciding(Decision::Approve).await;
    let code = code_of(&client.submit(OWNER, 99).await);
    assert_eq!(client.finish(OWNER, 99, code).await.status, 404);
    assert_eq!(client.status(code).await, "approved");
}

#[tokio::test]
async fn requests_are_read_in_pages_by_status_and_by_selection() {
    let client = deciding(Decision::Nothing).await;
    for n in 1..=5 {
        client.submit(OWNER, n).await;
    }
    client.server.decide(TENANT, client.server.approvals()[1].code, Decision::Approve);
    let mut page = client.get(&format!("{REQUESTS}?$top=2&$select=id,status")).await.json();
    let mut seen = page["value"].as_array().unwrap().clone();
    while let Some(link) = page["@odata.nextLink"].as_str() {
        page = client.get(link.strip_prefix(client.server.url()).unwrap()).await.json();
        seen.extend(page["value"].as_array().unwrap().clone());
    }
    assert!(seen.iter().all(|one| one.as_object().unwrap().len() == 2));
    let codes: Vec<_> = client.server.approvals().iter().map(|one| one.code.to_string()).collect();
    assert_eq!(seen.iter().map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(), codes);

    for (filter, count) in
        [("status%20eq%20'needsApproval'", 4), (&format!("id+eq+'{}'", codes[1]), 1), ("status eq 'expired'", 0)]
    {
        let page = client.get(&format!("{REQUESTS}?$filter={}", filter.replace(' ', "%20"))).await;
        assert_eq!(page.json()["value"].as_array().unwrap().len(), count, "{filter}");
    }
    for wrong in
        ["$filter=requestId%20eq%20'1'", "$filter=status%20ne%20'approved'", "$select=payloadId", "$orderby=id", "$top=0"]
    {
        assert_eq!(client.get(&format!("{REQUESTS}?{wrong}")).await.status, 400, "{wrong}");
    }
    let one = client.get(&format!("{REQUESTS}/{}", codes[1])).await.json();
    assert_eq!(one["requestor"]["application"]["id"], APP.to_string());
    assert!(one["approver"].is_object() && one["lastModifiedDateTime"].as_str() > one["requestDateTime"].as_str(), "{one}");
    let time = |name: &str| one[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("expirationDateTime").duration_since(time("requestDateTime")).as_hours(), 72);
    assert_eq!(client.get(&format!("{REQUESTS}/{}", id(1))).await.status, 404);
    assert_eq!(client.get(&format!("{REQUESTS}/1")).await.status, 400);
}

#[tokio::test]
async fn reading_requests_needs_a_permission_of_its_own_and_can_be_denied() {
    let enough_to_write = vec!["DeviceManagementServiceConfig.ReadWrite.All".to_owned()];
    let without = Behaviour { roles: enough_to_write, ..behaviour(Approval::default()) };
    for behaviour in [without, behaviour(Approval { polling: false, ..Approval::default() })] {
        let client = Client::start(behaviour).await;
        let code = code_of(&client.submit(VPP, 1).await);
        for path in [REQUESTS.to_owned(), format!("{REQUESTS}/{code}")] {
            let reply = client.get(&path).await;
            assert_eq!(reply.status, 403);
            assert!(message(&reply).contains("following scopes: DeviceManagementConfiguration.Read.All, "), "{}", reply.body);
        }
        client.server.decide_all(TENANT, Decision::Approve);
        assert_eq!(client.finish(VPP, 1, code).await.status, 204, "finishing needs no reading");
    }
    let calm = Client::start(Behaviour { latency: Span::ZERO, ..Behaviour::of(Scenario::Calm) }).await;
    assert_eq!(calm.get(REQUESTS).await.json()["value"].as_array().map(Vec::len), Some(0), "no policy, no requests");
}

#[tokio::test]
async fn the_second_administrator_takes_a_while_and_may_decide_differently_each_time() {
    let decisions = vec![Decision::Approve, Decision::Reject];
    let policy = |after| Approval { decisions: decisions.clone(), after, ..Approval::default() };
    let slow = start(policy(Span::of_secs(60, 60))).await;
    assert_eq!(slow.status(code_of(&slow.submit(OWNER, 1).await)).await, "needsApproval");
    let client = Client::of(options(behaviour(policy(Span::of_millis(1, 20))), 20)).await;
    for n in 1..=20 {
        client.submit(OWNER, n).await;
    }
    let count = |status| client.server.approvals().iter().filter(|one| one.status == status).count();
    eventually(async || count(ApprovalStatus::NeedsApproval) == 0).await;
    assert!(count(ApprovalStatus::Approved) > 2 && count(ApprovalStatus::Rejected) > 2);
}

#[tokio::test]
async fn a_code_follows_from_the_seed_whatever_was_filed_before() {
    let (one, other) = (deciding(Decision::Nothing).await, deciding(Decision::Nothing).await);
    other.submit(OWNER, 2).await;
    assert_eq!(code_of(&one.submit(OWNER, 1).await), code_of(&other.submit(OWNER, 1).await));
}

#[test]
fn every_decision_reads_back_from_its_name() {
    for decision in Decision::ALL {
        assert_eq!(decision.to_string().parse(), Ok(decision));
    }
    assert!("maybe".parse::<Decision>().unwrap_err().to_string().contains("approve, reject, cancel, expire, wait"));
}
