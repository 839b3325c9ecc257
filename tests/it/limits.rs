//! Pace and bounds, by the simulator's log: what a service asks for is never undercut, and every limit holds. Most of
//! these runs only send, so that nothing but their subject shows.

use std::time::Duration;

use bulk_revoke::sim::{Answer, Behaviour, Call, Collection, Fault, Kind, LogEntry, Quota, RetryAfter, Rule};
use serde_json::json;

use crate::kit::{Graph, Home, all_at_once, devices, id, rows, tokens};

/// The first request is told to come later; says how long nothing of its lane came after that answer.
fn silence(fault: Fault) -> Duration {
    let graph = Graph::with([Rule::on(Call::Revoke, fault).times(1)]);
    let home = Home::signed_in().sending_only().file("list.csv", devices(3));
    let left = home.run(&format!("run list.csv --concurrency 1 {}", graph.flags())).exits(0).counts_are(&[("accepted", 3)]);
    let posts = graph.posts();
    assert_eq!((posts.len(), posts[0].status), (4, Some(429)));
    assert_eq!((left.column("result_throttled").concat().as_str(), &left.summary()["throttled"]), ("100", &json!(1)));
    gap(&posts[0], &posts[1])
}

fn gap(before: &LogEntry, after: &LogEntry) -> Duration {
    after.arrived.saturating_sub(before.answered.unwrap_or_default())
}

fn later(value: &str) -> Fault {
    Fault::canned(Answer::empty(429).with("retry-after", value))
}

#[test]
fn every_wait_that_is_asked_for_is_honoured_and_never_undercut() {
    let nested = json!({"error": {"code": "TooManyRequests", "message":
        json!({"_version": 3, "Message": "later", "CustomApiErrorPhrase": "", "RetryAfter": 1}).to_string()}});
    let shapes = [
        ("1", later("1"), 1_000),
        ("decimal", later("1.250"), 1_250),
        ("joined", later("1,1"), 1_000),
        ("the longer of two", Fault::canned(Answer::empty(429).with("retry-after", "1").with("retry-after", "2")), 2_000),
        ("with blanks", later(" 1 "), 1_000),
        ("nested", Fault::canned(Answer::json(429, &nested)), 1_000),
        // Whole seconds both, the date and the answer's own Date: the wait meant is one to five seconds.
        ("date", Fault::new(Kind::Throttle(RetryAfter::HttpDate)), 1_000),
        // Too early to be meant, and not a reason to hammer.
        ("zero", later("0"), 200),
        ("past date", later("Sun, 06 Nov 1994 08:49:37 GMT"), 200),
        // Without a wish that can be read: our own backoff, with the published window in mind.
        ("absent", Fault::canned(Answer::empty(429)), 2_000),
        ("garbage", later("soon"), 2_000),
    ];
    // Side by side, because all of them only wait.
    std::thread::scope(|scope| {
        scope.spawn(the_token_endpoint_asks_for_a_wait);
        all_at_once(shapes, |(shape, fault, least)| {
            let silence = silence(fault);
            assert!(silence >= Duration::from_millis(least), "{shape}: {silence:?}");
        });
    });
}

/// It says so in plain text; the sign-in is tried again, and the run goes on.
fn the_token_endpoint_asks_for_a_wait() {
    let busy = Fault::canned(Answer::text(429, "text/plain", "Too Many Requests").with("retry-after", "1"));
    let graph = Graph::with([Rule::on(Call::Token, busy).times(1)]);
    let home = Home::signed_in().sending_only().file("list.csv", devices(2));
    home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("accepted", 2)]);
    let asked = graph.token_log();
    assert!(asked.len() == 2 && gap(&asked[0], &asked[1]) >= Duration::from_secs(1));
}

#[test]
fn a_429_pauses_its_tenant_and_service_for_all_workers_and_nobody_else() {
    let throttled = Rule::on(Call::Revoke, later("1")).within(Collection::AndroidDeviceOwner).times(1);
    let graph = Graph::with([throttled]);
    let home =
        Home::signed_in().sending_only().file("list.csv", format!("{}{}", devices(20), tokens(20).replace("kind,id\n", "")));
    home.run(&format!("run list.csv --concurrency 2 {}", graph.flags())).exits(0).counts_are(&[("accepted", 40)]);
    let posts = graph.posts();
    let told = posts.iter().find(|post| post.status == Some(429)).and_then(|post| post.answered).expect("one 429");
    // What was under way when it was answered may still arrive.
    let pause = told + Duration::from_millis(250)..told + Duration::from_secs(1);
    let within =
        |collection| posts.iter().filter(|post| post.collection == Some(collection) && pause.contains(&post.arrived)).count();
    assert_eq!(within(Collection::AndroidDeviceOwner), 0);
    let vpp_done = posts.iter().filter(|post| post.collection == Some(Collection::VppTokens) && post.arrived < pause.end).count();
    assert_eq!(vpp_done, 20, "the other service's items went on");
}

#[test]
fn the_quota_is_kept_without_being_told() {
    let quota = Quota::new(3, Duration::from_millis(500));
    let graph = Graph::of(Behaviour { write_quota: quota, ..Behaviour::immediate() });
    let home = Home::signed_in().sending_only().file("list.csv", devices(8));
    home.run(&format!("run list.csv --quota 3/500ms {}", graph.flags())).exits(0).counts_are(&[("accepted", 8)]);
    assert!(graph.posts().iter().all(|post| post.status == Some(204)));
}

#[test]
fn the_rate_is_kept() {
    let graph = Graph::with([]);
    let home = Home::signed_in().sending_only().file("list.csv", devices(4));
    home.run(&format!("run list.csv --rate 4/1s {}", graph.flags())).exits(0);
    let posts = graph.posts();
    let span = posts[3].arrived.saturating_sub(posts[0].arrived);
    // Three gaps of 250 ms, less what the first request took on its way.
    assert!(span >= Duration::from_millis(500), "{span:?}");
}

#[test]
fn no_more_requests_are_in_flight_than_allowed() {
    let slow = Fault::new(Kind::Slow(bulk_revoke::sim::Span::of_millis(50, 50)));
    let graph = Graph::with([Rule::on(Call::Revoke, slow)]);
    let home = Home::signed_in().sending_only().file("list.csv", devices(12));
    home.run(&format!("run list.csv --concurrency 3 {}", graph.flags())).exits(0);
    let posts = graph.posts();
    let open_at = |at| posts.iter().filter(|post| post.arrived <= at && post.closed.is_none_or(|closed| closed > at)).count();
    assert_eq!(posts.iter().map(|post| open_at(post.arrived)).max(), Some(3));
}

#[test]
fn a_pause_longer_than_allowed_stops_the_tenant() {
    all_at_once(["3600", "99999999999999999999", "Fri, 31 Dec 2100 23:59:59 GMT"], is_too_long);
}

#[test]
fn the_last_date_that_dotnet_can_write_is_a_very_long_pause() {
    is_too_long("Fri, 31 Dec 9999 23:59:59 GMT");
}

fn is_too_long(wait: &str) {
    let graph = Graph::with([Rule::on(Call::Revoke, later(wait)).nth(1).of(id(3))]);
    let home = Home::signed_in().sending_only().file("list.csv", devices(6));
    let left = home.run(&format!("run list.csv --concurrency 1 {}", graph.flags())).exits(10);
    let left = left.counts_are(&[("accepted", 2), ("not_attempted", 4)]).says(&["--max-pause"]);
    assert_eq!(left.summary()["stopped_by"], "max_pause", "{wait}");
    assert_eq!(left.rows_of("out/failed.csv").len(), 4);
}

#[test]
fn a_tenant_without_one_accepted_request_for_too_long_is_stopped() {
    let graph = Graph::with([Rule::on(Call::Revoke, later("0"))]);
    let home = Home::signed_in().sending_only().file("list.csv", devices(3));
    let left = home.run(&format!("run list.csv --max-pause 700ms {}", graph.flags())).exits(10);
    left.counts_are(&[("not_attempted", 3)]);
}

#[test]
fn being_throttled_does_not_use_up_attempts() {
    let graph = Graph::with([Rule::on(Call::Revoke, later("0")).times(2)]);
    let home = Home::signed_in().file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv --max-attempts 1 {}", graph.flags())).exits(0).counts_are(&[("revoked", 1)]);
    assert_eq!((left.column("result_attempts"), left.column("result_throttled")), (vec!["1".into()], vec!["2".into()]));
    assert_eq!((graph.posts().len(), graph.effects(Collection::AndroidDeviceOwner, id(1))), (3, 1));
}

#[test]
fn the_deadline_ends_the_run() {
    let graph = Graph::with([]);
    let home = Home::signed_in().sending_only().file("list.csv", devices(5));
    let left = home.run(&format!("run list.csv --quota 2/20s --deadline 1s {}", graph.flags())).exits(12);
    let left = left.counts_are(&[("accepted", 2), ("not_attempted", 3)]);
    assert_eq!((left.summary()["stopped_by"].as_str(), graph.posts().len()), (Some("deadline"), 2));
}

#[test]
fn the_breaker_stops_after_so_many_failures() {
    let graph = Graph::with([Rule::on(Call::Revoke, Fault::canned(Answer::empty(400)))]);
    let home = Home::signed_in().sending_only().file("list.csv", devices(10));
    let left = home.run(&format!("run list.csv --max-fail 2 --concurrency 1 {}", graph.flags())).exits(10);
    let left = left.counts_are(&[("refused", 2), ("not_attempted", 8)]);
    assert_eq!((left.summary()["stopped_by"].as_str(), graph.posts().len()), (Some("breaker"), 2));
}

#[test]
fn the_breaker_counts_a_share_from_twenty_items_on() {
    let graph = Graph::with([Rule::on(Call::Revoke, Fault::canned(Answer::empty(400)))]);
    let home = Home::signed_in().sending_only().file("list.csv", devices(30));
    home.run(&format!("run list.csv --concurrency 1 {}", graph.flags()))
        .exits(10)
        .counts_are(&[("refused", 20), ("not_attempted", 10)]);
}

#[test]
fn the_breaker_does_not_count_ids_that_the_service_does_not_know() {
    let graph = Graph::with([]);
    let unknown = rows(1..=10, |n| format!("device-owner,{}\n", id(1_000 + n)));
    let home = Home::signed_in().sending_only().file("list.csv", format!("kind,id\n{unknown}"));
    home.run(&format!("run list.csv --max-fail 2 --concurrency 1 {}", graph.flags())).exits(7).counts_are(&[("not_found", 10)]);
    assert_eq!(graph.posts().len(), 10);
}

#[test]
fn the_breaker_does_not_count_what_was_never_sent() {
    let graph = Graph::with([]);
    let invalid = rows(1..=9, |n| format!("device-owner,nonsense-{n}\n"));
    let home = Home::signed_in().sending_only().file("list.csv", format!("{}{invalid}", devices(3)));
    home.run(&format!("run list.csv --skip-invalid --max-fail 1 {}", graph.flags()))
        .exits(7)
        .counts_are(&[("accepted", 3), ("invalid", 9)]);
}

#[test]
fn a_sign_in_service_that_is_busy_is_waited_for_no_longer_than_the_run_may_last_or_pause() {
    let busy = Fault::new(Kind::Throttle(RetryAfter::Integer));
    let graph = Graph::with([Rule::on(Call::Token, busy)]);
    let home = Home::signed_in().file("list.csv", devices(2));
    home.run(&format!("run list.csv --deadline 1s {}", graph.flags())).exits(12).says(&["deadline", "nothing more was sent"]);
    let left = home.run(&format!("run list.csv --max-pause 10s {}", graph.flags())).exits(10);
    left.says(&["a pause of 1m 00s is longer than --max-pause (10s)"]).counts_are(&[("not_attempted", 2)]);
    assert_eq!(graph.token_log().len(), 2, "a minute was asked for, and nobody waited for it");
}
