//! Reading back: a 204 is the beginning, and what the service shows afterwards decides.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bulk_revoke::sim::{Answer, Behaviour, Call, Collection, Fault, Kind, Rule, Span, Trace, Visibility, Vpp};
use serde_json::json;

use crate::kit::{Graph, Home, Reply, Seen, Stub, action, all_at_once, devices, id, object, tokens};

/// A list of one device-owner profile, one of the older ones and one Apple token.
fn every_kind() -> String {
    format!("{}afw,{}\nvpp,{}\n", devices(1), id(2), id(3))
}

#[test]
fn every_trace_that_needs_no_secret_to_be_seen_shows_a_revocation() {
    all_at_once(Trace::SHOWN, |trace| {
        let graph = Graph::of(Behaviour { traces: vec![trace], ..Behaviour::immediate() });
        let home = Home::signed_in().file("list.csv", every_kind());
        // Reading back ends when all is shown, however long it might have gone on.
        let left = home.run(&format!("run list.csv --verify-deadline 10m {}", graph.flags())).exits(0);
        assert_eq!(left.counts_are(&[("revoked", 3)]).column("result_attempts"), ["1", "1", "1"], "{trace:?}");
        assert_eq!(graph.posts().len(), 3);
    });
}

#[test]
fn a_revocation_that_only_a_secret_would_show_is_unconfirmed() {
    let graph = Graph::of(Behaviour { traces: vec![Trace::OnlyTokenEmptied], ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv --verify-deadline 700ms {}", graph.flags())).exits(9);
    let left = left.counts_are(&[("unconfirmed", 1)]);
    assert!(left.column("result_reason")[0].starts_with("the service said yes, and reading back did not show its end"));
    assert_eq!((graph.posts().len(), left.rows_of("out/failed.csv").len()), (1, 1));
    // The run is unfinished until reading back was over once more; then it keeps no later run waiting for ever.
    home.run(&format!("run list.csv {}", graph.flags())).exits(6).says(&["bulk-revoke resume"]);
    home.run(&format!("resume --out out --verify-deadline 700ms {}", graph.places())).exits(9);
    home.write("list.csv", "kind,id\n");
    home.run(&format!("run list.csv {}", graph.flags())).exits(5);
    assert_eq!(graph.posts().len(), 1);
}

#[test]
fn a_revocation_that_shows_late_is_waited_for_and_sent_once() {
    let late = Visibility { late: 1.0, lag: Span::of_millis(1_500, 2_500) };
    let graph = Graph::of(Behaviour { visibility: late, ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", every_kind());
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("revoked", 3)]);
    assert_eq!((graph.posts().len(), left.column("result_attempts").concat().as_str()), (3, "111"));
    assert!(left.rows().iter().all(|row| row["result_finished_at"] > row["result_sent_at"]));
}

/// A service that shows every object as it was until it is told to show what became of it.
fn veiled() -> (Stub, Arc<AtomicBool>) {
    let shows = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&shows);
    let stub = Stub::reading(move |seen| {
        (seen.reads_object() && !theirs.load(Ordering::SeqCst)).then(|| {
            let id = seen.path().rsplit('/').next();
            object(&json!({"id": id, "tokenExpirationDateTime": "2099-01-01T00:00:00Z", "tokenActionResults": []}))
        })
    });
    (stub, shows)
}

#[test]
fn what_never_showed_is_unconfirmed_until_verify_settles_it_without_sending() {
    let (stub, shows) = veiled();
    let home = Home::signed_in().file("list.csv", every_kind());
    let left = home.run(&format!("run list.csv --verify-deadline 600ms {}", stub.flags())).exits(9);
    let left = left.counts_are(&[("unconfirmed", 3)]);
    let run = left.summary()["run"].as_str().unwrap_or_default().to_owned();
    // A new run of the job would lose sight of it.
    home.run(&format!("run list.csv {}", stub.flags())).exits(6).says(&[&format!("bulk-revoke resume {run}")]);
    home.run(&format!("verify --verify-deadline 100ms {}", stub.places())).exits(9).counts_are(&[("unconfirmed", 3)]);
    shows.store(true, Ordering::SeqCst);
    home.run(&format!("verify {run} {}", stub.places())).exits(0).counts_are(&[("revoked", 3)]);
    assert_eq!(stub.posts().len(), 3);
    // Nothing is left to be asked.
    let reads = stub.reads().len();
    home.run(&format!("verify {run} {}", stub.places())).exits(0).counts_are(&[("revoked", 3)]);
    assert_eq!((stub.posts().len(), stub.reads().len()), (3, reads));
}

#[test]
fn what_was_accepted_without_reading_back_is_settled_by_verify_and_left_alone_by_resume() {
    let graph = Graph::with([]);
    let home = Home::signed_in().file("list.csv", every_kind());
    let left = home.run(&format!("run list.csv --verify off {}", graph.flags())).exits(0).counts_are(&[("accepted", 3)]);
    let run = left.summary()["run"].as_str().unwrap_or_default().to_owned();
    let reads = graph.reads().len();
    home.run(&format!("resume {run} --out out {}", graph.places())).exits(0).counts_are(&[("accepted", 3)]);
    assert_eq!(graph.reads().len(), reads);
    home.run(&format!("verify {run} --out out {}", graph.places())).exits(0).counts_are(&[("revoked", 3)]);
    assert_eq!(graph.posts().len(), 3);
}

/// Answers with what the test says of the nth read of an object, counted from 0, by its id.
fn nth_read(show: impl Fn(&Seen, usize) -> Option<Reply> + Send + Sync + 'static) -> Stub {
    let counts = Mutex::new(BTreeMap::new());
    Stub::reading(move |seen| {
        let nth = counts.lock().map(|mut counts| {
            let count: &mut usize = counts.entry(seen.path().to_owned()).or_default();
            *count += 1;
            *count - 1
        });
        nth.ok().filter(|_| seen.reads_object()).and_then(|nth| show(seen, nth))
    })
}

#[test]
fn licences_that_could_not_be_revoked_make_a_vpp_item_partial_and_are_counted() {
    let cases =
        [("done", "3 of 10 licences were not revoked"), ("failed", "the action failed: 3 of 10 licences were not revoked")];
    all_at_once(cases, |(state, reason)| {
        let stub = nth_read(move |_, nth| {
            let results = match nth {
                0 => return None,
                1 => json!([action("pending", 0)]),
                2 => json!([action("active", 0)]),
                _ => json!([action(state, 3)]),
            };
            Some(object(&json!({"id": id(1), "tokenActionResults": results})))
        });
        let home = Home::signed_in().file("list.csv", tokens(1));
        let left = home.run(&format!("run list.csv {}", stub.flags())).exits(7).counts_are(&[("partial", 1)]);
        assert_eq!((left.column("result_reason"), stub.posts().len()), (vec![reason.to_owned()], 1));
        assert_eq!(left.rows_of("out/failed.csv").len(), 1);
    });
}

#[test]
fn a_vpp_action_of_an_earlier_year_is_not_taken_for_ours() {
    let vpp = Vpp { history: 1.0, ..Behaviour::immediate().vpp };
    let graph = Graph::of(Behaviour { vpp, ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", tokens(2));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("revoked", 2)]);
    assert_eq!((graph.posts().len(), left.column("result_attempts").concat().as_str()), (2, "11"));
    assert_eq!(graph.effects(Collection::VppTokens, id(1)), 1);
}

#[test]
fn reads_that_fail_are_made_again() {
    let faults = [
        Fault::status(500),
        Fault::status(404),
        Fault::new(Kind::Page),
        Fault::new(Kind::Cut),
        Fault::new(Kind::TokenExpired),
        Fault::canned(Answer::empty(429).with("retry-after", "1")),
    ];
    all_at_once(faults, |fault| {
        let what = fault.to_string();
        let graph = Graph::with([Rule::on(Call::Get, fault).times(1)]);
        let home = Home::signed_in().file("list.csv", devices(1));
        let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("revoked", 1)]);
        assert_eq!((graph.posts().len(), left.column("result_attempts")[0].as_str()), (1, "1"), "{what}");
        assert!(graph.lists_and_objects().1 >= 2, "{what}");
    });
}

#[test]
fn many_items_are_read_back_as_a_list() {
    let graph = Graph::with([]);
    let home = Home::signed_in().file("list.csv", devices(40));
    home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("revoked", 40)]);
    assert!(graph.posts().len() == 40 && graph.reads().len() <= 10, "{:?}", graph.lists_and_objects());
}

#[test]
fn a_token_that_is_reissued_before_its_end_could_be_shown_is_superseded() {
    let stub = nth_read(|_, nth| {
        let created = if nth == 0 { "2026-05-01T00:00:00Z" } else { "2026-06-01T11:59:00Z" };
        let expiry = "2026-08-01T00:00:00Z";
        Some(object(&json!({"id": id(1), "tokenExpirationDateTime": expiry, "tokenCreationDateTime": created})))
    });
    let home = Home::signed_in().file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv {}", stub.flags())).exits(7).counts_are(&[("superseded", 1)]);
    assert_eq!((left.column("result_attempts")[0].as_str(), stub.posts().len()), ("1", 1));
}

#[test]
fn a_signal_while_reading_back_leaves_items_unconfirmed_and_resume_goes_on() {
    let (stub, shows) = veiled();
    let home = Home::signed_in().file("list.csv", devices(1));
    let process = home.start(&format!("run list.csv {}", stub.flags()));
    // The list, the object before it was sent, and once after.
    stub.wait_for_reads(3);
    process.signal("INT");
    home.left(process).exits(130).counts_are(&[("unconfirmed", 1)]);
    shows.store(true, Ordering::SeqCst);
    home.run(&format!("resume {}", stub.places())).exits(0).counts_are(&[("revoked", 1)]);
    assert_eq!(stub.posts().len(), 1);
}

#[test]
fn a_run_that_reads_back_until_its_deadline_ends_as_late() {
    let (stub, _shows) = veiled();
    let home = Home::signed_in().file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv --deadline 800ms {}", stub.flags())).exits(12);
    assert_eq!(left.counts_are(&[("unconfirmed", 1)]).summary()["stopped_by"], "deadline");
    assert_eq!(stub.posts().len(), 1);
}
