//! How long a run takes: what is said before it, and where the summary says that its time went.

use std::time::Duration;

use bulk_revoke::sim::{Answer, Behaviour, Call, Fault, Quota, Rule};

use crate::kit::{APP, Graph, Home, Left, OTHER, TENANT, devices, id, rows};

fn home(items: u128) -> Home {
    Home::signed_in().unverified().file("list.csv", devices(items))
}

/// A part of the time, in seconds; no number, and equal to none, if it is not there.
fn part(left: &Left, name: &str) -> f64 {
    left.summary()["time"][name].as_f64().unwrap_or(f64::NAN)
}

#[test]
fn a_dry_run_and_a_run_say_how_long_it_will_take() {
    let (graph, home) = (Graph::with([]), home(3));
    let dry = |flags: &str| home.run(&format!("run list.csv --dry-run --out out {flags} {}", graph.places())).exits(0);
    dry("--quota 1/20s").says(&["3 to send", "takes about 40s at 1 write per 20s"]);
    dry("--quota 1/20s --no-preflight").says(&["takes about 40s at 1 write per 20s"]);
    dry("--rate 1/1m").says(&["takes about 2m 00s at 1 write per 1m 00s (--rate)"]);
    dry("").says(&["takes a few seconds"]);
    assert!(!dry("--quota none").stderr.contains("takes"), "nothing is known of how long it takes");
    home.run(&format!("run list.csv {}", graph.flags())).exits(0).says(&["takes a few seconds"]);
}

#[test]
fn of_several_tenants_the_slowest_are_named() {
    let graph = Graph::of(Behaviour::immediate());
    let config = format!(
        "[auth]\nclient_id = \"{APP}\"\n[tenants.contoso]\ntenant_id = \"{TENANT}\"\n[tenants.fabrikam]\ntenant_id = \"{OTHER}\"\n"
    );
    let slow = rows(1..4, |n| format!("fabrikam,vpp,{}\n", id(n)));
    let list = format!("tenant,kind,id\ncontoso,afw,{}\n{slow}", id(1));
    let home = home(0).file("config.toml", config).file("list.csv", list);
    let left = home.run(&format!("run list.csv --dry-run --quota 1/20s --out out {}", graph.places())).exits(0);
    let left = left.says(&["takes about 40s at 1 write per 20s each; the slowest:\n  fabrikam (VPP): 3 items, 40s\n"]);
    assert!(!left.stderr.contains("contoso (Android)"), "it takes no time worth a line: {}", left.stderr);
}

#[test]
fn the_time_of_all_sessions_is_in_the_summary_and_in_the_report_written_again() {
    let (graph, home) = (Graph::with([]), home(3));
    let limits = format!("--quota 1/20s --deadline 1s {}", graph.places());
    let first = home.run(&format!("run list.csv --yes --out out {limits}")).exits(12);
    let once = part(&first, "quota");
    assert!((0.5..1.5).contains(&once), "{once}");
    let second = home.run(&format!("resume --out out {limits}")).exits(12);
    let second =
        second.says(&["2 items are left, 2 of them to send\ntakes about 20s at 1 write per 20s\n", " waiting for quota"]);
    assert!(part(&second, "quota") > once + 0.5, "{once}, then {}", part(&second, "quota"));
    let report = second.report("out");
    assert_eq!(home.run("report --out again").exits(12).report("again"), report);
}

#[test]
fn a_pause_of_the_service_is_told_from_the_rest() {
    let pause = Fault::canned(Answer::empty(429).with("retry-after", "1"));
    let (graph, home) = (Graph::with([Rule::on(Call::Revoke, pause).of(id(1)).times(1)]), home(1));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0).says(&["paused by the service"]);
    // A disk that is slow on a busy machine holds the beginning of the pause.
    assert!(part(&left, "paused") >= 0.7 && part(&left, "quota") < 0.1, "{}", left.summary()["time"]);
}

#[test]
fn a_second_run_and_a_resume_do_not_overrun_the_window_of_the_first() {
    let quota = Quota::new(4, Duration::from_secs(2));
    let graph = Graph::of(Behaviour { write_quota: quota, ..Behaviour::immediate() });
    let others = rows(5..12, |n| format!("afw,{}\n", id(n)));
    let home = home(4).file("others.csv", format!("kind,id\n{others}"));
    let limits = format!("--quota 4/2s {}", graph.places());
    home.run(&format!("run list.csv --yes --out one {limits}")).exits(0);
    home.run(&format!("run others.csv --yes --out two --deadline 1900ms {limits}")).exits(12);
    home.run(&format!("resume --out two {limits}")).exits(0);
    let posts = graph.posts();
    assert_eq!(posts.len(), 11, "no request was throttled");
    assert!(posts.iter().all(|post| post.status == Some(204)));
}
