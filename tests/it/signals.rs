//! Signals and sudden death: what was sent is known, what was not is told, and the report is written in any case.

use crate::kit::{Home, Process, Reply, Stub, devices};

/// A run of four items that has sent its first and waits for the answer.
fn held(home: &Home) -> (Stub, Process) {
    let stub = Stub::start(|_| Reply::Hold);
    home.write("list.csv", devices(4));
    let process = home.start(&format!("run list.csv --concurrency 1 {}", stub.flags()));
    stub.wait_for_posts(1);
    (stub, process)
}

#[test]
fn the_first_signal_lets_what_is_in_flight_finish() {
    for signal in ["INT", "TERM", "HUP"] {
        let home = Home::signed_in();
        let (stub, mut process) = held(&home);
        process.signal(signal);
        process.wait_for("stopping");
        stub.release();
        let left = home.left(process).exits(130).counts_are(&[("unconfirmed", 1), ("not_attempted", 3)]);
        assert_eq!((left.summary()["stopped_by"].as_str(), stub.posts().len()), (Some("interrupted"), 1), "{signal}");
        assert_eq!((left.rows_of("out/failed.csv").len(), left.rows()[0]["result_http_status"].as_str()), (4, "204"));
    }
}

#[test]
fn the_second_signal_gives_up_what_is_in_flight() {
    let home = Home::signed_in();
    let (stub, mut process) = held(&home);
    process.signal("TERM");
    process.wait_for("stopping");
    process.signal("INT");
    let left = home.left(process).exits(130).counts_are(&[("unknown", 1), ("not_attempted", 3)]);
    assert_eq!(left.statuses()[0], "unknown");
    assert_eq!(stub.posts().len(), 1);
}

#[test]
fn a_signal_during_a_long_pause_ends_the_run_at_once() {
    let home = Home::signed_in().file("list.csv", devices(4));
    let stub = Stub::start(|_| crate::kit::answer(429, "Retry-After: 600\r\n", ""));
    let mut process = home.start(&format!("run list.csv --concurrency 1 --progress never -vv {}", stub.flags()));
    stub.wait_for_posts(1);
    process.signal("INT");
    process.wait_for("stopping");
    home.left(process).exits(130).counts_are(&[("not_attempted", 4)]);
    assert_eq!(stub.posts().len(), 1);
}

#[test]
fn a_signal_during_the_sign_in_interrupts_the_run_before_its_first_request() {
    for signal in ["INT", "TERM", "HUP"] {
        let home = Home::signed_in().file("list.csv", devices(3));
        let stub = Stub::withholding_tokens();
        let process = home.start(&format!("run list.csv {}", stub.flags()));
        stub.wait_for_token_request();
        process.signal(signal);
        home.left(process).exits(130).counts_are(&[("not_attempted", 3)]);
        assert_eq!(stub.posts().len(), 0);
    }
}

#[test]
fn a_signal_while_the_lists_are_read_leaves_no_run_behind() {
    let home = Home::signed_in().file("list.csv", "tenant,kind,id\ncontoso.com,afw,9ceb2f92-2f92-9ceb-922f-eb9c922feb9c\n");
    // The question which tenant a domain is stays open.
    let stub = Stub::start(|_| Reply::Hold);
    let process = home.start(&format!("run list.csv {}", stub.flags()));
    stub.wait_for_posts(1);
    process.signal("TERM");
    home.left(process).exits(130).has_no_report();
    assert_eq!(home.run("runs").exits(0).stdout, "");
}

#[test]
fn a_killed_run_can_still_be_reported() {
    let home = Home::signed_in();
    let (stub, process) = held(&home);
    process.signal("KILL");
    assert_eq!(home.left(process).code, None);
    let left = home.run("report --out out").exits(8).counts_are(&[("unknown", 1), ("not_attempted", 3)]);
    assert_eq!(left.statuses()[0], "unknown");
    assert_eq!(stub.posts().len(), 1);
    assert!(home.run("runs").exits(0).stdout.contains("unfinished"));
}

#[test]
fn a_killed_run_frees_its_tenant() {
    let home = Home::signed_in();
    let (_stub, process) = held(&home);
    process.signal("KILL");
    home.left(process);
    let content = Stub::content();
    home.write("other.csv", "kind,id\nafw,9ceb2f92-2f92-9ceb-922f-eb9c922feb9c\n");
    home.run(&format!("run other.csv --verify off {}", content.flags())).exits(0).counts_are(&[("accepted", 1)]);
}

#[test]
fn a_run_killed_while_it_plans_does_not_exist() {
    let home = Home::signed_in();
    // The authority holds the answer to the question who the tenant is: planning waits for it.
    let stub = Stub::start(|_| Reply::Hold);
    home.write("list.csv", "tenant,kind,id\ncontoso.com,afw,9ceb2f92-2f92-9ceb-922f-eb9c922feb9c\n");
    let process = home.start(&format!("run list.csv {}", stub.flags()));
    stub.wait_for_posts(1);
    process.signal("KILL");
    home.left(process);
    let left = home.run("runs").exits(0);
    assert_eq!((left.stdout.as_str(), left.stderr.trim()), ("", "no runs yet"));
}

#[test]
fn two_runs_on_one_tenant_do_not_meet() {
    let home = Home::signed_in();
    let (stub, process) = held(&home);
    let other = Stub::content();
    home.write("other.csv", "kind,id\nafw,9ceb2f92-2f92-9ceb-922f-eb9c922feb9c\n");
    let second = home.run(&format!("run other.csv {}", other.flags().replace("--out out", "--out second"))).exits(11);
    second.says(&["another run works on tenant", "run 20", "tester", "pid"]);
    assert!(other.posts().is_empty());
    // Another tenant's run, and one with a ledger of its own, are not in the way.
    home.run("run other.csv --simulate --out third").exits(0);
    stub.release();
    home.left(process).exits(0).counts_are(&[("revoked", 4)]);
    home.run(&format!("run other.csv --verify off {}", other.flags())).exits(0);
    assert_eq!((stub.posts().len(), other.posts().len()), (4, 1));
}
