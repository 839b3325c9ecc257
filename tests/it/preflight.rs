//! What is read before anything is sent: what it settles without a request, what it costs, and that no secret is read.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulk_revoke::sim::{Answer, Behaviour, Call, Collection, Fault, Rule, Shares};
use serde_json::{Value, json};

use crate::kit::{Graph, Home, Reply, Seen, Stub, action, all_at_once, answer, devices, id, object, tokens};

/// A list of one device-owner profile, one of the older ones and one Apple token.
fn every_kind() -> String {
    format!("{}afw,{}\nvpp,{}\n", devices(1), id(2), id(3))
}

fn dry(graph: &Graph) -> String {
    format!("run list.csv --dry-run --out out {}", graph.places())
}

#[test]
fn a_dry_run_reports_what_was_read_and_sends_nothing() {
    let graph = Graph::with([]);
    let home = Home::signed_in().file("list.csv", format!("{}vpp,{}\nafw,{}\n", devices(2), id(1), id(1_000)));
    let left = home.run(&dry(&graph)).exits(0).says(&["4 rows: 3 to send, 1 not found"]);
    let left = left.counts_are(&[("not_attempted", 3), ("not_found", 1)]);
    assert_eq!(left.column("result_name"), ["Simulated 9dfb369b", "Simulated 9dfb369b", "Simulated 9dfb369b", ""]);
    assert_eq!(left.column("result_attempts"), ["0", "0", "0", "0"]);
    // Each kind is listed once, and what its list does not show is read by its id.
    assert_eq!((graph.posts().len(), graph.lists_and_objects()), (0, (3, 1)));
}

#[test]
fn names_are_in_the_report_of_a_run_and_no_object_is_read_twice_before_it_is_sent() {
    let graph = Graph::with([]);
    let home = Home::signed_in().unverified().file("list.csv", every_kind());
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0);
    assert_eq!(left.counts_are(&[("accepted", 3)]).column("result_name"), ["Simulated 9dfb369b"; 3]);
    assert_eq!(graph.lists_and_objects(), (3, 0));
}

#[test]
fn nothing_secret_is_ever_asked_for() {
    let graph = Graph::of(Behaviour { page_size: 30, ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", format!("{}afw,{}\n", every_kind(), id(1_000)));
    home.run(&format!("run list.csv {}", graph.flags())).exits(7).counts_are(&[("revoked", 3), ("not_found", 1)]);
    let secrets = ["tokenValue", "qrCodeContent", "qrCodeImage", "wifiPassword", "token"];
    let mut selects = BTreeSet::new();
    for read in graph.reads() {
        let query = read.query.unwrap_or_default().replace("%24", "$").replace("%2C", ",");
        let select = query.split('&').find_map(|pair| pair.strip_prefix("$select="));
        let select = select.expect("no read is without a $select").to_owned();
        assert!(select.split(',').all(|name| !secrets.contains(&name)), "{select}");
        selects.extend(read.collection.map(|collection| (collection, select)));
    }
    assert_eq!(selects.len(), 3, "the same for lists and objects: {selects:?}");
    assert!(graph.lists_and_objects().0 >= 6, "two pages of each kind");
}

#[test]
fn a_token_that_ended_is_already_inactive_unless_it_is_a_vpp_token_whose_licences_are_still_held() {
    let graph = Graph::of(Behaviour { shares: Shares { expired: 1.0, ..Shares::default() }, ..Behaviour::immediate() });
    let home = Home::signed_in().unverified().file("list.csv", every_kind());
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0);
    let left = left.counts_are(&[("already_inactive", 2), ("accepted", 1)]);
    assert!(left.column("result_reason")[..2].iter().all(|reason| reason.starts_with("its token ended 20")));
    assert_eq!(left.column("result_attempts"), ["0", "0", "1"]);
    assert_eq!((graph.posts().len(), graph.posts()[0].collection), (1, Some(Collection::VppTokens)));
}

/// A profile as it is read by its id.
fn profile(seen: &Seen, expiry: &str, created: &str) -> Reply {
    let id = seen.path().rsplit('/').next();
    object(&json!({"id": id, "tokenExpirationDateTime": expiry, "tokenCreationDateTime": created}))
}

#[test]
fn ten_minutes_by_the_services_own_date_make_a_token_inactive() {
    for (expiry, status) in [
        ("2026-06-01T11:50:00Z", "already_inactive"),
        ("2026-06-01T11:50:01Z", "accepted"),
        ("0001-01-01T00:00:00Z", "accepted"),
        ("", "accepted"),
        ("soon", "accepted"),
    ] {
        let stub = Stub::reading(move |seen| seen.reads_object().then(|| profile(seen, expiry, "")));
        let home = Home::signed_in().unverified().file("list.csv", devices(1));
        home.run(&format!("run list.csv {}", stub.flags())).exits(0).counts_are(&[(status, 1)]);
        assert_eq!(stub.posts().len(), usize::from(status == "accepted"), "{expiry}");
    }
}

/// Shows the second object in one way when it is read first and in another from then on.
fn reissued(first: Value, then: Value) -> Stub {
    let reads = AtomicUsize::new(0);
    Stub::reading(move |seen| {
        seen.path().ends_with(&format!("/{}", id(2))).then(|| match reads.fetch_add(1, Ordering::SeqCst) {
            0 => object(&first),
            _ => object(&then),
        })
    })
}

#[test]
fn a_token_that_was_reissued_since_it_was_read_is_superseded_unless_that_is_allowed() {
    const FUTURE: &str = "2026-08-01T00:00:00Z";
    let owner = |created: &str| json!({"id": id(2), "tokenExpirationDateTime": FUTURE, "tokenCreationDateTime": created});
    let work = |expiry: &str| json!({"id": id(2), "tokenExpirationDateTime": expiry});
    let vpp = |apple: &str| json!({"id": id(2), "appleId": apple, "tokenActionResults": []});
    let cases = [
        ("device-owner", owner("2026-05-01T00:00:00Z"), owner("2026-06-01T11:00:00Z"), "a later creation date"),
        ("afw", work(FUTURE), work("2026-09-01T00:00:00Z"), "a later expiry"),
        ("vpp", vpp("a@example.com"), vpp("b@example.com"), "another Apple ID"),
    ];
    let cases = cases.into_iter().flat_map(|case| [(case.clone(), ""), (case, "--allow-reissued")]);
    all_at_once(cases, |((kind, first, then, why), flag)| {
        // The second item's turn comes when its reading is too old: it is read once more before it is sent.
        let home = Home::signed_in().unverified().file("config.toml", "[run]\npin_max_age = \"1s\"\n");
        let home = home.file("list.csv", format!("kind,id\n{kind},{}\n{kind},{}\n", id(1), id(2)));
        let stub = reissued(first, then);
        let left = home.run(&format!("run list.csv --rate 1/1500ms {flag} {}", stub.flags()));
        if flag.is_empty() {
            let left = left.exits(7).counts_are(&[("accepted", 1), ("superseded", 1)]);
            assert!(left.column("result_reason")[1].contains(why), "{:?}", left.column("result_reason"));
            assert_eq!((left.column("result_attempts").concat().as_str(), stub.posts().len()), ("10", 1));
        } else {
            left.exits(0).counts_are(&[("accepted", 2)]);
            assert_eq!(stub.posts().len(), 2);
        }
    });
}

#[test]
fn a_vpp_revocation_that_is_at_work_already_is_followed_and_not_doubled() {
    for (failed, status, code) in [(0, "revoked", 0), (2, "partial", 7)] {
        let reads = AtomicUsize::new(0);
        let stub = Stub::reading(move |seen| {
            let nth = reads.fetch_add(usize::from(seen.reads_object()), Ordering::SeqCst);
            let action = match nth {
                0 => action("pending", 0),
                1 => action("active", 0),
                _ => action("done", failed),
            };
            seen.reads_object().then(|| object(&json!({"id": id(1), "displayName": "School", "tokenActionResults": [action]})))
        });
        let home = Home::signed_in().file("list.csv", tokens(1));
        let left = home.run(&format!("run list.csv {}", stub.flags())).exits(code).counts_are(&[(status, 1)]);
        assert!(left.stderr.contains("0 to send, 1 at work already"), "{}", left.stderr);
        assert_eq!((left.column("result_attempts")[0].as_str(), stub.posts().len()), ("0", 0));
        assert_eq!(left.column("result_name"), ["School"]);
    }
}

#[test]
fn a_vpp_token_that_an_earlier_run_revoked_is_skipped_for_a_day_unless_it_is_wanted_again() {
    let graph = Graph::with([]);
    let home = Home::signed_in().file("list.csv", tokens(1));
    let run = format!("run list.csv {}", graph.flags());
    let first = home.run(&run).exits(0).counts_are(&[("revoked", 1)]).summary()["run"].as_str().unwrap_or_default().to_owned();
    let left = home.run(&run).exits(0).counts_are(&[("skipped", 1)]);
    let reason = &left.column("result_reason")[0];
    assert!(reason.contains(&first) && reason.contains("--again"), "{reason}");
    assert_eq!(graph.posts().len(), 1);
    home.run(&format!("{run} --again")).exits(0).counts_are(&[("revoked", 1)]);
    assert_eq!(graph.effects(Collection::VppTokens, id(1)), 2);
    home.write("config.toml", "[guard]\nvpp_again_after = \"1ms\"\n");
    home.run(&run).exits(0).counts_are(&[("revoked", 1)]);
    assert_eq!((graph.posts().len(), graph.effects(Collection::VppTokens, id(1))), (3, 3));
}

#[test]
fn what_no_list_shows_is_read_by_its_id() {
    let graph = Graph::of(Behaviour { shares: Shares { unlisted: 1.0, ..Shares::default() }, ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", devices(3));
    home.run(&dry(&graph)).exits(0).counts_are(&[("not_attempted", 3)]);
    assert_eq!(graph.lists_and_objects(), (1, 3));
}

#[test]
fn a_list_is_read_to_its_last_page() {
    let graph = Graph::of(Behaviour { page_size: 7, ..Behaviour::immediate() });
    // The fortieth of forty objects is on the sixth page.
    let home = Home::signed_in().file("list.csv", format!("kind,id\ndevice-owner,{}\n", id(40)));
    let left = home.run(&dry(&graph)).exits(0).counts_are(&[("not_attempted", 1)]);
    assert_eq!((left.column("result_name")[0].as_str(), graph.lists_and_objects()), ("Simulated 9dfb369b", (6, 0)));
}

#[test]
fn a_link_to_another_place_is_not_followed_and_the_objects_are_read_by_their_ids() {
    let elsewhere = Stub::content();
    let link = format!("{}/beta/deviceManagement/androidDeviceOwnerEnrollmentProfiles?$skiptoken=x", elsewhere.url());
    let page = json!({"value": [], "@odata.nextLink": link});
    let stub = Stub::reading(move |seen| (!seen.reads_object()).then(|| object(&page)));
    let home = Home::signed_in().unverified().file("list.csv", devices(2));
    home.run(&format!("run list.csv {}", stub.flags())).exits(0).counts_are(&[("accepted", 2)]);
    assert_eq!((stub.reads().len(), elsewhere.connections()), (3, 0));
}

#[test]
fn a_list_that_cannot_be_read_is_no_obstacle() {
    let denied = json!({"error": {"code": "Forbidden", "message": "no"}});
    let cases = [
        ("denied", Rule::on(Call::List, Fault::canned(Answer::json(403, &denied))), (1, 3)),
        ("refused", Rule::on(Call::List, Fault::canned(Answer::empty(400))), (1, 3)),
        ("failing", Rule::on(Call::List, Fault::status(500)), (4, 3)),
        ("failing once", Rule::on(Call::List, Fault::status(503)).times(1), (2, 0)),
    ];
    all_at_once(cases, |(what, rule, reads)| {
        let graph = Graph::with([rule]);
        let home = Home::signed_in().unverified().file("list.csv", devices(3));
        home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("accepted", 3)]);
        assert_eq!((graph.lists_and_objects(), graph.posts().len()), (reads, 3), "{what}");
    });
}

#[test]
fn without_preflight_nothing_is_read_before_the_last_item_is_sent() {
    let graph = Graph::with([]);
    let home = Home::signed_in().file("list.csv", format!("{}afw,{}\n", devices(2), id(1)));
    let left = home.run(&format!("run list.csv --no-preflight {}", graph.flags())).exits(0).counts_are(&[("revoked", 3)]);
    let sent = graph.posts().iter().map(|post| post.ordinal).max();
    assert!(graph.reads().iter().all(|read| Some(read.ordinal) > sent) && !graph.reads().is_empty());
    assert_eq!((graph.posts().len(), left.column("result_attempts").concat().as_str()), (3, "111"));
}

#[test]
fn a_share_is_counted_per_kind_over_what_the_list_shows() {
    let graph = Graph::with([]);
    // Of forty device-owner profiles three would be sent, and of forty of the older ones four: what is repeated, or not
    // there, does not count.
    let list = format!("{}device-owner,{}\nafw,{}\n", devices(3), id(1), id(1_000));
    let home = Home::signed_in().unverified();
    let home = home.file("list.csv", (1..=4).fold(list, |list, n| format!("{list}afw,{}\n", id(n))));
    let run = |percent: &str| home.run(&format!("run list.csv --max-items {percent} {}", graph.flags()));
    run("9%").exits(6).says(&["4 of the 40 androidForWork", "--max-items is 9%", "give --max-items 10%", "nothing was sent"]);
    home.run(&format!("{} --max-items 9%", dry(&graph))).exits(6);
    assert_eq!(graph.posts().len(), 0);
    run("10%").exits(7).counts_are(&[("accepted", 7), ("skipped", 1), ("not_found", 1)]);
    assert_eq!(graph.posts().len(), 7);
}

#[test]
fn a_share_of_a_list_that_was_not_read_refuses() {
    let graph = Graph::with([Rule::on(Call::List, Fault::canned(Answer::empty(400)))]);
    let home = Home::signed_in().file("list.csv", devices(1));
    let run = format!("run list.csv --max-items 99% {}", graph.flags());
    home.run(&run).exits(6).says(&["was not read", "give a number"]);
    home.run(&format!("{run} --no-preflight")).exits(6).says(&["was not read"]);
    assert_eq!(graph.posts().len(), 0);
}

#[test]
fn a_tenant_whose_reads_are_all_denied_is_stopped() {
    let graph = Graph::of(Behaviour { roles: Vec::new(), ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", devices(30));
    let left = home.run(&format!("run list.csv --concurrency 1 {}", graph.flags())).exits(4);
    let counts = left.counts();
    assert!(counts["not_attempted"] >= 25 && counts["not_attempted"] + counts["refused"] == 30, "{counts:?}");
    assert!(left.stderr.contains("DeviceManagementConfiguration.ReadWrite.All"), "{}", left.stderr);
    assert_eq!((graph.posts().len(), graph.reads().len()), (0, 5));
    home.run(&format!("{} --job other", dry(&graph))).exits(4);
}

#[test]
fn an_object_that_cannot_be_read_is_not_sent() {
    let rule = |n, fault| Rule::on(Call::Get, fault).of(id(n));
    let rules = [
        rule(1_001, Fault::canned(Answer::json(403, &json!({"error": {"code": "Forbidden", "message": "no"}})))),
        rule(1_002, Fault::status(500)),
    ];
    let graph = Graph::with(rules);
    let list = format!("{}device-owner,{}\ndevice-owner,{}\n", devices(1), id(1_001), id(1_002));
    let home = Home::signed_in().unverified().file("list.csv", list);
    let left = home.run(&format!("run list.csv --max-attempts 1 {}", graph.flags())).exits(7);
    assert_eq!(left.statuses(), ["accepted", "refused", "failed"]);
    let reasons = left.column("result_reason");
    assert!(reasons[1..].iter().all(|reason| reason.starts_with("it could not be read first, so nothing was sent: ")));
    assert_eq!((graph.posts().len(), graph.lists_and_objects().0), (1, 1));
}

#[test]
fn a_signal_while_objects_are_read_interrupts_the_run_before_its_first_request() {
    let stub = Stub::scripted(|_| Some(Reply::Hold));
    let home = Home::signed_in().file("list.csv", devices(3));
    let process = home.start(&format!("run list.csv {}", stub.flags()));
    stub.wait_for_reads(1);
    process.signal("TERM");
    home.left(process).exits(130).counts_are(&[("not_attempted", 3)]);
    assert_eq!(stub.posts().len(), 0);
    // It never began to send, so a new run may.
    let stub = Stub::start(|_| answer(204, "", ""));
    home.run(&format!("run list.csv --verify off {}", stub.flags())).exits(0).counts_are(&[("accepted", 3)]);
}
