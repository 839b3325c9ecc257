//! Requests of which nobody knows whether they had an effect: nothing is sent again before the service itself has shown
//! that the first one had none, and each object has one effect at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bulk_revoke::sim::{Behaviour, Call, Collection, Fault, Kind, Rule, Span, Vpp};
use serde_json::{Value, json};

use crate::kit::{Graph, Home, Left, Reply, Stub, TENANT, all_at_once, answer, devices, id, object, tokens};

/// Every way in which an answer can be lost or be of no use.
fn losses() -> impl Iterator<Item = Fault> {
    let statuses = [500, 501, 502, 503, 504, 408].map(Fault::status);
    statuses.into_iter().chain([Kind::Cut, Kind::Page, Kind::Hang].map(Fault::new))
}

/// One Android profile and one Apple token.
fn both() -> String {
    format!("{}{}", devices(1), tokens(1).replace("kind,id\n", ""))
}

/// Runs both against a simulator whose first answer for each is lost like this.
fn against(fault: Fault, flags: &str) -> (Graph, Left, Home) {
    let graph = Graph::with([Rule::on(Call::Revoke, fault).nth(1)]);
    let home = Home::signed_in().file("list.csv", both());
    let left = home.run(&format!("run list.csv --settle 50ms --timeout 500ms {flags} {}", graph.flags()));
    (graph, left, home)
}

fn effects(graph: &Graph) -> [u32; 2] {
    [Collection::AndroidDeviceOwner, Collection::VppTokens].map(|collection| graph.effects(collection, id(1)))
}

#[test]
fn what_was_lost_before_its_effect_is_sent_again_and_has_one_effect() {
    all_at_once(losses(), |fault| {
        let what = fault.to_string();
        let (graph, left, _home) = against(fault, "");
        let left = left.exits(0).counts_are(&[("revoked", 2)]);
        assert_eq!((left.column("result_attempts").concat().as_str(), graph.posts().len()), ("22", 4), "{what}");
        assert_eq!((effects(&graph), left.summary()["retries"].as_u64()), ([1, 1], Some(2)), "{what}");
    });
}

#[test]
fn what_was_lost_after_its_effect_is_shown_to_be_done_and_never_sent_again() {
    all_at_once(losses(), |fault| {
        let what = fault.to_string();
        let (graph, left, _home) = against(fault.after_effect(), "");
        let left = left.exits(0).counts_are(&[("revoked", 2)]);
        assert_eq!((left.column("result_attempts").concat().as_str(), graph.posts().len()), ("11", 2), "{what}");
        assert_eq!(effects(&graph), [1, 1], "{what}");
    });
}

#[test]
fn an_effect_that_comes_within_the_settle_time_is_waited_for() {
    let late = Fault::new(Kind::Cut).with_late_effect(Span::of_millis(300, 500));
    let graph = Graph::with([Rule::on(Call::Revoke, late).nth(1)]);
    let home = Home::signed_in().file("list.csv", devices(2));
    let left = home.run(&format!("run list.csv --settle 1s {}", graph.flags())).exits(0).counts_are(&[("revoked", 2)]);
    assert_eq!((left.column("result_attempts").concat().as_str(), graph.posts().len()), ("11", 2));
}

#[test]
fn two_looks_that_agree_a_settle_time_apart_come_before_the_second_request() {
    let graph = Graph::with([Rule::on(Call::Revoke, Fault::new(Kind::Cut)).nth(1)]);
    let home = Home::signed_in().file("list.csv", devices(1));
    home.run(&format!("run list.csv --settle 700ms {}", graph.flags())).exits(0).counts_are(&[("revoked", 1)]);
    let [first, second] = graph.posts().try_into().expect("two requests");
    let lost = first.closed.expect("it was cut");
    let between = graph.reads().into_iter().filter(|read| read.arrived >= lost && read.arrived <= second.arrived);
    let looks: Vec<Duration> = between.map(|read| read.arrived.saturating_sub(lost)).collect();
    // Less what a request may take on its way.
    let settle = Duration::from_millis(600);
    assert_eq!(looks.len(), 2, "{looks:?}");
    assert!(looks[0] >= settle && looks[1].saturating_sub(looks[0]) >= settle, "{looks:?}");
}

#[test]
fn what_used_up_its_attempts_and_is_as_it_was_has_failed() {
    let graph = Graph::with([Rule::on(Call::Revoke, Fault::status(502))]);
    let home = Home::signed_in().file("list.csv", both());
    let left = home.run(&format!("run list.csv --settle 30ms --max-attempts 3 {}", graph.flags())).exits(7);
    let left = left.counts_are(&[("failed", 2)]);
    assert_eq!(left.column("result_reason"), ["shown to be as it was after 3 attempts"; 2]);
    assert_eq!((graph.posts().len(), effects(&graph)), (6, [0, 0]));
    assert_eq!(left.rows()[0]["result_http_status"], "502");
}

#[test]
fn not_reading_back_does_not_mean_not_looking() {
    let (graph, left, _home) = against(Fault::new(Kind::Cut), "--verify off");
    assert_eq!(left.exits(0).counts_are(&[("accepted", 2)]).column("result_attempts"), ["2", "2"]);
    assert_eq!((graph.posts().len(), effects(&graph)), (4, [1, 1]));
    let (graph, left, _home) = against(Fault::new(Kind::Cut).after_effect(), "--verify off");
    assert_eq!(left.exits(0).counts_are(&[("revoked", 2)]).column("result_attempts"), ["1", "1"]);
    assert_eq!((graph.posts().len(), effects(&graph)), (2, [1, 1]));
}

#[test]
fn looks_that_fail_are_made_again() {
    let rules = [Rule::on(Call::Revoke, Fault::new(Kind::Cut)).nth(1), Rule::on(Call::Get, Fault::status(500)).times(1)];
    let graph = Graph::with(rules);
    let home = Home::signed_in().file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv --settle 50ms {}", graph.flags())).exits(0).counts_are(&[("revoked", 1)]);
    assert_eq!((left.column("result_attempts")[0].as_str(), graph.posts().len()), ("2", 2));
    assert_eq!(graph.effects(Collection::AndroidDeviceOwner, id(1)), 1);
}

#[test]
fn a_vpp_action_that_was_begun_by_a_lost_request_is_followed_to_its_end() {
    let vpp = Vpp { active: Span::of_millis(800, 900), ..Behaviour::immediate().vpp };
    let cut = Rule::on(Call::Revoke, Fault::new(Kind::Cut).after_effect()).nth(1);
    let graph = Graph::of(Behaviour { vpp, rules: vec![cut], ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", tokens(2));
    let left = home.run(&format!("run list.csv --settle 20ms {}", graph.flags())).exits(0).counts_are(&[("revoked", 2)]);
    assert_eq!((left.column("result_attempts").concat().as_str(), graph.posts().len()), ("11", 2));
}

/// A server that says these things to the requests to revoke, one after the other, and shows the object as the test
/// wants it after so many of them.
fn scripted(says: &'static [fn() -> Reply], shows: impl Fn(usize) -> Option<Reply> + Send + Sync + 'static) -> Stub {
    let posts = Arc::new(AtomicUsize::new(0));
    Stub::scripted(move |seen| {
        if seen.revokes() {
            return says.get(posts.fetch_add(1, Ordering::SeqCst)).map(|reply| reply());
        }
        shows(posts.load(Ordering::SeqCst)).filter(|_| seen.reads_object())
    })
}

/// A device-owner profile whose token ends then.
fn ends(expiry: &Value) -> Reply {
    object(&json!({"id": id(1), "tokenExpirationDateTime": expiry, "tokenCreationDateTime": "2026-05-01T00:00:00Z"}))
}

const FUTURE: &str = "2026-08-01T00:00:00Z";

const PAST: &str = "2026-06-01T11:59:58Z";

fn refusal() -> Reply {
    answer(400, "", r#"{"error":{"code":"BadRequest","message":"The enrollment token is not active."}}"#)
}

/// The home of one device-owner profile.
fn home() -> Home {
    Home::signed_in().file("list.csv", devices(1))
}

/// Runs it against a server.
fn one(home: &Home, stub: &Stub, flags: &str) -> Left {
    home.run(&format!("run list.csv --settle 50ms {flags} {}", stub.flags()))
}

#[test]
fn a_refusal_of_a_second_request_is_read_back_before_it_counts() {
    const SAYS: &[fn() -> Reply] = &[|| Reply::Cut, refusal];
    // The first request was at work longer than anybody waited: the second one is told that there is nothing to revoke.
    let stub = scripted(SAYS, |posts| Some(ends(&json!(if posts < 2 { FUTURE } else { PAST }))));
    let home = home();
    let left = one(&home, &stub, "").exits(0).counts_are(&[("revoked", 1)]);
    assert_eq!((left.column("result_attempts")[0].as_str(), left.column("result_http_status")[0].as_str()), ("2", "400"));
    assert_eq!(stub.posts().len(), 2);
    // Where it is as it was, the refusal counts.
    let stub = scripted(SAYS, |_| Some(ends(&json!(FUTURE))));
    let left = one(&home, &stub, "").exits(7).counts_are(&[("refused", 1)]);
    assert_eq!((left.column("result_message")[0].as_str(), stub.posts().len()), ("The enrollment token is not active.", 2));
}

#[test]
fn a_token_that_was_reissued_after_the_loss_is_superseded_and_not_sent_again() {
    let cases = [
        (Collection::AndroidDeviceOwner, "device-owner", Fault::new(Kind::Cut)),
        (Collection::AndroidDeviceOwner, "device-owner", Fault::status(504).after_effect()),
        (Collection::AndroidForWork, "afw", Fault::new(Kind::Cut)),
        (Collection::VppTokens, "vpp", Fault::new(Kind::Cut)),
    ];
    all_at_once(cases, |(collection, kind, fault)| {
        let effects = u32::from(fault == fault.clone().after_effect());
        let graph = Graph::with([Rule::on(Call::Revoke, fault).nth(1)]);
        let home = Home::signed_in().file("list.csv", format!("kind,id\n{kind},{}\n", id(1)));
        // The same for both services; longer than it takes to give out another token.
        let settle = if kind == "vpp" { "250ms" } else { "2500ms" };
        let mut process = home.start(&format!("run list.csv -vv --progress never --settle {settle} {}", graph.flags()));
        process.wait_for("answered");
        assert!(graph.reissue(TENANT, collection, id(1)));
        let left = home.left(process).exits(7).counts_are(&[("superseded", 1)]);
        assert!(left.column("result_reason")[0].ends_with("not sent again"), "{:?}", left.column("result_reason"));
        assert_eq!((left.column("result_attempts")[0].as_str(), graph.posts().len()), ("1", 1));
        assert_eq!(graph.effects(collection, id(1)), effects);
    });
}

#[test]
fn a_token_without_an_end_is_unknown_after_a_loss_and_sent_once() {
    all_at_once([json!(null), json!("0001-01-01T00:00:00Z"), json!(""), json!("soon")], |end| {
        let (home, shown) = (home(), end.clone());
        let stub = scripted(&[|| Reply::Cut], move |_| Some(ends(&shown)));
        let left = one(&home, &stub, "--verify-deadline 400ms").exits(8).counts_are(&[("unknown", 1)]);
        assert!(left.column("result_reason")[0].starts_with("reading back could not tell whether a request had its effect"));
        assert_eq!((left.column("result_attempts")[0].as_str(), stub.posts().len()), ("1", 1), "{end}");
        // Only a real past date shows that it was revoked.
        let shown = move |posts| Some(ends(&if posts == 0 { end.clone() } else { json!(PAST) }));
        let stub = scripted(&[|| Reply::Cut], shown);
        one(&home, &stub, "--job other").exits(0).counts_are(&[("revoked", 1)]);
        assert_eq!(stub.posts().len(), 1);
    });
}

#[test]
fn an_object_that_is_gone_after_a_loss_is_unknown() {
    let stub = scripted(&[|| Reply::Cut], |posts| Some(if posts == 0 { ends(&json!(FUTURE)) } else { answer(404, "", "") }));
    let home = home();
    let left = one(&home, &stub, "").exits(8).counts_are(&[("unknown", 1)]);
    assert!(left.column("result_reason")[0].contains("404"), "{:?}", left.column("result_reason"));
    assert_eq!(stub.posts().len(), 1);
}

#[test]
fn what_nobody_could_look_at_is_unknown_until_verify_can() {
    let blind = Arc::new(AtomicUsize::new(1));
    let is_blind = Arc::clone(&blind);
    let stub = scripted(&[|| Reply::Cut], move |posts| {
        let gone = posts > 0 && is_blind.load(Ordering::SeqCst) > 0;
        Some(if gone { answer(500, "", "") } else { ends(&json!(if posts > 0 { PAST } else { FUTURE })) })
    });
    let home = home();
    let left = one(&home, &stub, "--verify-deadline 1500ms").exits(8).counts_are(&[("unknown", 1)]);
    assert!(left.column("result_reason")[0].contains("the last read failed: the service answered 500"));
    blind.store(0, Ordering::SeqCst);
    home.run(&format!("verify {}", stub.places())).exits(0).counts_are(&[("revoked", 1)]);
    assert_eq!(stub.posts().len(), 1);
}

#[test]
fn without_preflight_only_a_past_expiry_tells_and_nothing_tells_for_vpp() {
    let (graph, left, _home) = against(Fault::new(Kind::Cut).after_effect(), "--no-preflight");
    let left = left.exits(8).counts_are(&[("revoked", 1), ("unknown", 1)]);
    assert_eq!((left.statuses()[0].as_str(), left.column("result_attempts").concat().as_str()), ("revoked", "11"));
    assert!(left.column("result_reason")[1].contains("--no-preflight"), "{:?}", left.column("result_reason"));
    assert_eq!((graph.posts().len(), effects(&graph)), (2, [1, 1]));
    // Without an effect neither is shown to be as it was, so neither is sent again.
    let (graph, left, _home) = against(Fault::new(Kind::Cut), "--no-preflight --verify-deadline 300ms");
    left.exits(8).counts_are(&[("unknown", 2)]);
    assert_eq!((graph.posts().len(), effects(&graph)), (2, [0, 0]));
}

#[test]
fn without_preflight_a_204_for_a_vpp_token_stays_unconfirmed() {
    let graph = Graph::with([]);
    let home = Home::signed_in().file("list.csv", tokens(1));
    let left = home.run(&format!("run list.csv --no-preflight {}", graph.flags())).exits(9).counts_are(&[("unconfirmed", 1)]);
    assert!(left.column("result_reason")[0].contains("--no-preflight"), "{:?}", left.column("result_reason"));
    assert_eq!((graph.posts().len(), graph.reads().len()), (1, 0));
}
