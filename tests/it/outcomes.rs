//! What each answer of the service makes of an item: the row, the exit code, and how often it was sent.

use std::time::Duration;

use bulk_revoke::sim::{Answer, Behaviour, Call, Collection, Fault, Kind, Rule};
use serde_json::json;

use crate::kit::{Graph, Home, Left, Row, Stub, all_at_once, devices, id, tokens};

/// Runs a list against a simulator with one fault for every request to revoke.
fn against(fault: Fault, list: &str, flags: &str) -> (Graph, Left, Home) {
    let graph = Graph::with([Rule::on(Call::Revoke, fault)]);
    let home = Home::signed_in().file("list.csv", list);
    let left = home.run(&format!("run list.csv {flags} {}", graph.flags()));
    (graph, left, home)
}

fn only(left: &Left) -> Row {
    let mut rows = left.rows();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

#[test]
fn every_204_is_read_back_and_everything_about_it_is_in_the_report() {
    let graph = Graph::with([]);
    let home = Home::signed_in().file("list.csv", format!("{}vpp,{}\n", devices(3), id(7)));
    let left = home.run(&format!("run list.csv --ticket CHG-1 {}", graph.flags())).exits(0).counts_are(&[("revoked", 4)]);
    let posts = graph.posts();
    assert_eq!(posts.len(), 4);
    for row in left.rows() {
        let post = posts.iter().find(|post| post.id.map(|id| id.to_string()).as_ref() == Some(&row["result_id"]));
        let post = post.expect("a request for each row");
        assert_eq!(post.headers.get("client-request-id"), Some(&row["result_client_request_id"]));
        assert_eq!((row["result_http_status"].as_str(), row["result_attempts"].as_str()), ("204", "1"));
        assert_eq!((row["result_source"].as_str(), row["result_throttled"].as_str()), ("list.csv", "0"));
        assert!(row["result_sent_at"].ends_with('Z') && row["result_finished_at"] >= row["result_sent_at"]);
        assert!(!row["result_request_id"].is_empty() && row["result_error_code"].is_empty());
    }
    let summary = left.summary();
    assert_eq!((&summary["schema"], &summary["ticket"], &summary["job"]), (&json!(1), &json!("CHG-1"), &json!("list")));
    assert_eq!((&summary["requests"], &summary["retries"], &summary["throttled"]), (&json!(4), &json!(0), &json!(0)));
    assert_eq!((&summary["stopped_by"], &summary["operator"]), (&json!(null), &json!("tester")));
    assert!(left.stdout.trim_end().ends_with("report.csv"), "{}", left.stdout);
}

/// Two attempts, and quick looks at what they did.
const TWICE: &str = "--max-attempts 2 --settle 50ms";

#[test]
fn every_server_error_is_in_doubt_and_the_item_is_sent_again_only_if_it_had_no_effect() {
    let faults = [500, 501, 502, 503, 504, 408].map(Fault::status);
    let after_effect = faults.clone().map(Fault::after_effect);
    all_at_once(faults, |fault| {
        let (graph, left, _home) = against(fault, &devices(2), TWICE);
        left.exits(7).counts_are(&[("failed", 2)]);
        assert_eq!((graph.posts().len(), graph.effects(Collection::AndroidDeviceOwner, id(1))), (4, 0));
    });
    all_at_once(after_effect, |fault| {
        let (graph, left, _home) = against(fault, &devices(2), TWICE);
        left.exits(0).counts_are(&[("revoked", 2)]);
        assert_eq!((graph.posts().len(), graph.effects(Collection::AndroidDeviceOwner, id(1))), (2, 1));
    });
}

#[test]
fn a_503_that_tells_when_to_come_back_delays_its_own_item() {
    let busy = Fault::canned(Answer::empty(503).with("retry-after", "2"));
    let graph = Graph::with([Rule::on(Call::Revoke, busy).of(id(1)).times(1)]);
    let home = Home::signed_in().file("list.csv", devices(3));
    let left = home.run(&format!("run list.csv --concurrency 1 --settle 50ms {}", graph.flags())).exits(0);
    assert_eq!(left.counts_are(&[("revoked", 3)]).column("result_attempts"), ["2", "1", "1"]);
    let posts = graph.posts();
    assert_eq!(posts.iter().map(|post| post.id).collect::<Vec<_>>(), [1, 2, 3, 1].map(|n| Some(id(n))));
    let told = posts[0].answered.unwrap_or_default();
    assert!(posts[2].arrived < told + Duration::from_secs(2) && posts[3].arrived >= told + Duration::from_secs(2), "{posts:?}");
}

#[test]
fn a_cut_before_or_after_the_effect_is_in_doubt_and_has_one_effect() {
    for (fault, attempts) in [(Fault::new(Kind::Cut), 2), (Fault::new(Kind::Cut).after_effect(), 1)] {
        let graph = Graph::with([Rule::on(Call::Revoke, fault).nth(1)]);
        let home = Home::signed_in().file("list.csv", devices(2));
        let left = home.run(&format!("run list.csv {TWICE} {}", graph.flags())).exits(0).counts_are(&[("revoked", 2)]);
        assert_eq!(graph.posts().len(), 2 * attempts);
        assert!(left.column("result_attempts").iter().all(|found| *found == attempts.to_string()));
        assert_eq!(graph.effects(Collection::AndroidDeviceOwner, id(1)), 1);
    }
}

#[test]
fn an_answer_that_does_not_come_in_time_is_in_doubt() {
    let (graph, left, _home) = against(Fault::new(Kind::Hang).after_effect(), &devices(1), "--timeout 300ms --settle 50ms");
    let left = left.exits(0).counts_are(&[("revoked", 1)]);
    assert!(only(&left)["result_message"].contains("--timeout"), "{:?}", only(&left));
    assert_eq!(graph.posts().len(), 1);
}

#[test]
fn a_page_in_a_200_is_not_success() {
    let (graph, left, _home) = against(Fault::new(Kind::Page), &devices(2), TWICE);
    let left = left.exits(7).counts_are(&[("failed", 2)]);
    assert_eq!(left.column("result_http_status"), ["200", "200"]);
    assert_eq!(graph.posts().len(), 4);
}

#[test]
fn an_id_that_the_service_does_not_know_is_not_found() {
    let list = format!("{}afw,{}\n", devices(2), id(1_000));
    // Sent without having been read, the request itself is told so.
    for (home, success, posts, told) in
        [(Home::signed_in(), "revoked", 2, ""), (Home::signed_in().sending_only(), "accepted", 3, "404")]
    {
        let (graph, home) = (Graph::with([]), home.file("list.csv", &list));
        let left = home.run(&format!("run list.csv {}", graph.flags())).exits(7);
        let left = left.counts_are(&[(success, 2), ("not_found", 1)]);
        assert_eq!(graph.posts().len(), posts);
        let failed = left.rows_of("out/failed.csv");
        assert_eq!((failed.len(), failed[0]["result_id"].clone()), (1, id(1_000).to_string()));
        assert_eq!(failed[0]["result_http_status"], told);
    }
}

#[test]
fn intunes_nested_errors_are_unpacked() {
    let said = "The token is not active. - Operation ID (for customer support): 0 - Activity ID: 1 - Url: https://x/y";
    for (code, phrase, expected) in [("BadRequest", "", "BadRequest"), ("", "TokenNotActive", "TokenNotActive")] {
        let message = json!({"_version": 3, "Message": said, "CustomApiErrorPhrase": phrase, "RetryAfter": null,
            "ErrorSourceService": "", "HttpHeaders": "{}"});
        let error = json!({"error": {"code": code, "message": message.to_string(), "innerError": {"request-id": "x"}}});
        let (_graph, left, _home) = against(Fault::canned(Answer::json(400, &error)), &devices(1), "");
        let row = only(&left.exits(7).counts_are(&[("refused", 1)]));
        assert_eq!((row["result_message"].as_str(), row["result_error_code"].as_str()), ("The token is not active.", expected));
    }
}

#[test]
fn permanent_answers_are_refused_and_not_repeated() {
    all_at_once([400, 402, 405, 406, 410, 411, 413, 415, 416, 422], |status: u16| {
        let (graph, left, _home) = against(Fault::canned(Answer::empty(status)), &tokens(1), "");
        let left = left.exits(7).counts_are(&[("refused", 1)]);
        assert_eq!((graph.posts().len(), only(&left)["result_http_status"].clone()), (1, status.to_string()));
    });
}

#[test]
fn a_403_on_some_items_refuses_those_items() {
    let denied = |n| Rule::on(Call::Revoke, Fault::canned(Answer::json(403, &forbidden()))).of(id(n));
    let graph = Graph::with([denied(3), denied(5)]);
    let home = Home::signed_in().file("list.csv", devices(8));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(7).counts_are(&[("revoked", 6), ("refused", 2)]);
    assert_eq!(graph.posts().len(), 8);
    assert_eq!(left.rows()[2]["result_error_code"], "Forbidden");
}

fn forbidden() -> serde_json::Value {
    json!({"error": {"code": "Forbidden", "message": "This profile is out of your scope."}})
}

#[test]
fn a_403_for_every_one_of_the_first_items_stops_the_tenant() {
    let reader = vec!["DeviceManagementConfiguration.Read.All".to_owned()];
    let graph = Graph::of(Behaviour { roles: reader, ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", devices(30));
    let left = home.run(&format!("run list.csv --concurrency 1 {}", graph.flags())).exits(4);
    let counts = left.counts();
    assert!(counts["not_attempted"] >= 20 && counts["refused"] + counts["not_attempted"] == 30, "{counts:?}");
    assert_eq!(graph.posts().len(), counts["refused"]);
    assert!(left.stderr.contains("DeviceManagementConfiguration.ReadWrite.All"), "{}", left.stderr);
    assert_eq!(left.summary()["exit_code"], 4);
}

#[test]
fn a_token_that_expired_is_renewed_once_for_everybody() {
    let graph = Graph::with([Rule::on(Call::Revoke, Fault::new(Kind::TokenExpired)).times(1)]);
    let home = Home::signed_in().file("list.csv", devices(30));
    home.run(&format!("run list.csv --concurrency 16 {}", graph.flags())).exits(0).counts_are(&[("revoked", 30)]);
    assert_eq!(graph.token_requests(), 2);
}

#[test]
fn a_service_that_refuses_every_token_stops_the_tenant() {
    let graph = Graph::with([Rule::on(Call::Revoke, Fault::new(Kind::TokenExpired))]);
    let home = Home::signed_in().file("list.csv", devices(10));
    let left = home.run(&format!("run list.csv --concurrency 2 {}", graph.flags())).exits(4);
    assert!(left.counts()["not_attempted"] >= 8, "{:?}", left.counts());
    assert!(graph.token_requests() <= 3 && graph.posts().len() <= 6);
    assert_eq!(graph.effects(Collection::AndroidDeviceOwner, id(1)), 0);
}

#[test]
fn tokens_are_renewed_before_they_end() {
    // A token's life is counted in whole seconds, so that it ends up to one second early.
    let life = bulk_revoke::sim::Span::of_secs(4, 4);
    let graph = Graph::of(Behaviour { token_lifetime: life, ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", devices(7));
    let left = home.run(&format!("run list.csv --rate 2/800ms --concurrency 1 {}", graph.flags())).exits(0);
    left.counts_are(&[("revoked", 7)]);
    assert!(graph.token_requests() >= 2);
    assert!(graph.posts().iter().all(|post| post.status == Some(204)), "no token was used until it was refused");
    assert!(graph.reads().iter().all(|read| read.status == Some(200)), "{:?}", graph.reads());
}

#[test]
fn a_queue_for_a_second_administrator_awaits_approval() {
    let body = json!({"error": {"code": "PreconditionFailed", "message": "The request needs approval."}});
    let queued = Answer::json(412, &body).with("x-msft-approval-code", "4711");
    let (graph, left, _home) = against(Fault::canned(queued), &devices(2), "");
    let left = left.exits(9).counts_are(&[("awaiting_approval", 2)]);
    assert_eq!((graph.posts().len(), left.rows_of("out/failed.csv").len()), (2, 2));
}

#[test]
fn a_409_that_names_a_pending_approval_awaits_approval() {
    let body = json!({"error": {"code": "Conflict", "message": "An approval request for this object is already pending."}});
    let (_graph, left, _home) = against(Fault::canned(Answer::json(409, &body)), &devices(1), "");
    left.exits(9).counts_are(&[("awaiting_approval", 1)]);
}

#[test]
fn a_conflict_is_tried_again() {
    let graph = Graph::with([Rule::on(Call::Revoke, Fault::canned(Answer::empty(409))).times(1)]);
    let home = Home::signed_in().file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("revoked", 1)]);
    assert_eq!((graph.posts().len(), only(&left)["result_attempts"].as_str()), (2, "2"));
    assert_eq!(left.summary()["retries"], 1);
}

#[test]
fn a_service_that_is_not_there_fails_the_items_after_the_last_attempt() {
    let authority = Stub::content();
    let home = Home::signed_in().sending_only().file("list.csv", devices(2));
    // Nothing listens on port 1.
    let places = format!("--yes --out out --graph-root http://127.0.0.1:1 --authority {}", authority.url());
    let left = home.run(&format!("run list.csv --max-attempts 2 {places}")).exits(7).counts_are(&[("failed", 2)]);
    assert_eq!(left.column("result_attempts"), ["2", "2"]);
    assert!(left.rows().iter().all(|row| row["result_http_status"].is_empty() && !row["result_message"].is_empty()));
}
