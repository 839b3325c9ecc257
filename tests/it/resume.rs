//! Taking a run up again: what is left is finished and nothing is sent twice, under one lock and in the place it began.

use std::fs;

use bulk_revoke::sim::{Call, Collection, Fault, Kind, LogEntry, Rule, Span};

use crate::kit::{APP, Graph, Home, Left, OTHER, Process, TENANT, all_at_once, devices, id, tokens};

/// Limits under which tests are quick.
const LIMITS: &str = "--quota none --settle 150ms --verify-deadline 10s";

const OWNER: Collection = Collection::AndroidDeviceOwner;

/// Every request to revoke takes so long.
fn slow(millis: u64) -> Graph {
    Graph::with([Rule::on(Call::Revoke, Fault::new(Kind::Slow(Span::of_millis(millis, millis))))])
}

fn home(items: u128) -> Home {
    Home::signed_in().file("list.csv", devices(items))
}

/// A run of these items that was interrupted after so many requests, and its id.
fn interrupted(graph: &Graph, home: &Home, after: usize) -> String {
    let mut process = home.start(&format!("run list.csv --concurrency 1 {LIMITS} {}", graph.flags()));
    graph.wait_for_posts(after, &mut process);
    process.signal("INT");
    let left = home.left(process).exits(130);
    assert_eq!(left.summary()["stopped_by"], "interrupted");
    assert!(left.counts()["not_attempted"] > 0, "{:?}", left.counts());
    run_of(&left)
}

fn run_of(left: &Left) -> String {
    left.summary()["run"].as_str().unwrap_or_default().to_owned()
}

/// Every object was asked for once, and it had its effect.
fn each_was_sent_once(graph: &Graph, items: u128) {
    let posts = graph.posts();
    for n in 1..=items {
        let of_it = posts.iter().filter(|post| post.id == Some(id(n))).count();
        assert_eq!((of_it, graph.effects(OWNER, id(n))), (1, 1), "item {n}");
    }
}

#[test]
fn what_an_interrupted_run_left_is_finished() {
    for form in ["resume", "resume RUN", "run list.csv --yes --continue"] {
        let (graph, home) = (slow(30), home(8));
        let run = interrupted(&graph, &home, 2);
        let left = home.run(&format!("{} {LIMITS} --out out {}", form.replace("RUN", &run), graph.places()));
        let left = left.exits(0).counts_are(&[("revoked", 8)]);
        assert_eq!((run_of(&left), left.summary()["stopped_by"].is_null()), (run, true), "{form}");
        each_was_sent_once(&graph, 8);
    }
}

#[test]
fn a_plain_run_refuses_while_the_jobs_last_run_is_unfinished_and_names_resume() {
    let (graph, home) = (slow(30), home(8));
    let run = interrupted(&graph, &home, 2);
    let sent = graph.log().len();
    let flags = format!("{LIMITS} --yes --out again {}", graph.places());
    home.run(&format!("run list.csv {flags}")).exits(6).says(&[&format!("bulk-revoke resume {run}"), "nothing was sent"]);
    assert_eq!(graph.log().len(), sent);
    assert!(!home.path("again").exists());
    // Another job is not in the way.
    home.run(&format!("run list.csv --job other {flags}")).exits(0);
    home.run(&format!("run list.csv {flags}")).exits(6);
}

#[test]
fn continue_begins_anew_once_nothing_is_unfinished() {
    let (graph, home) = (slow(30), Home::signed_in().file("list.csv", tokens(4)));
    let again = format!("run list.csv --continue {LIMITS} {}", graph.flags());
    let first = run_of(&home.run(&again).exits(0).counts_are(&[("revoked", 4)]));
    let second = run_of(&home.run(&again).exits(0).counts_are(&[("skipped", 4)]));
    assert_ne!(first, second);
    assert_eq!((home.run("runs --format csv").exits(0).stdout.lines().count(), graph.posts().len()), (3, 4));
}

/// A run that waits for the answer to its first request, and when that came.
fn at_work(graph: &Graph, home: &Home) -> Process {
    let mut process = home.start(&format!("run list.csv --concurrency 1 --timeout 60s {LIMITS} {}", graph.flags()));
    graph.wait_for_posts(1, &mut process);
    process
}

#[test]
fn a_second_run_of_a_job_that_is_at_work_is_locked_out() {
    let (graph, home) = (Graph::with([Rule::on(Call::Revoke, Fault::new(Kind::Hang)).times(1)]), home(3));
    let _process = at_work(&graph, &home);
    let flags = format!("{LIMITS} --yes --out again {}", graph.places());
    for command in ["run list.csv", "run list.csv --continue", "run list.csv --job other", "run list.csv --lock-wait 400ms"] {
        let left = home.run(&format!("{command} {flags}")).exits(11);
        left.says(&[&TENANT.to_string(), "run 20", "tester", "pid", "since 20"]);
    }
    for command in ["resume", "verify", "resume --lock-wait 400ms"] {
        let left = home.run(&format!("{command} {LIMITS} --out again {}", graph.places())).exits(11);
        left.says(&[&TENANT.to_string(), "run 20", "tester", "pid", "since 20"]);
    }
    assert_eq!(graph.posts().len(), 1);
}

#[test]
fn whoever_waits_for_the_lock_goes_on_when_the_other_has_ended() {
    all_at_once(["--job other", "", "--continue"], |job| {
        let (graph, home) = (slow(1_500), Home::signed_in().file("list.csv", tokens(2)));
        let first = at_work(&graph, &home);
        let second = format!("run list.csv {job} --lock-wait 50s {LIMITS} --yes --out again {}", graph.places());
        let mut second = home.start(&second);
        second.wait_for("waiting for it");
        home.left(first).exits(0).counts_are(&[("revoked", 2)]);
        // What the other run revoked meanwhile is known to this one.
        let left = home.left(second).exits(0);
        assert!(left.rows_of("again/report.csv").iter().all(|row| row["result_status"] == "skipped"), "{job}");
        assert_eq!(graph.posts().len(), 2);
    });
}

#[test]
fn whoever_waited_for_a_run_that_left_something_undone_refuses() {
    let (graph, home) = (slow(1_500), home(4));
    let first = at_work(&graph, &home);
    let mut second = home.start(&format!("run list.csv --lock-wait 50s {LIMITS} --yes --out again {}", graph.places()));
    second.wait_for("waiting for it");
    first.signal("TERM");
    let (run, sent) = (run_of(&home.left(first).exits(130)), graph.posts().len());
    home.left(second).exits(6).says(&[&format!("bulk-revoke resume {run}")]);
    assert_eq!(graph.posts().len(), sent);
}

/// A run that began while the job's other run was still being prepared, so that it could not be seen yet.
#[test]
fn a_run_that_was_planned_beside_an_unfinished_one_refuses_as_well() {
    let rules = [
        Rule::on(Call::List, Fault::new(Kind::Slow(Span::of_millis(1_500, 1_500)))).times(1),
        Rule::on(Call::Get, Fault::new(Kind::Slow(Span::of_millis(1_500, 1_500)))).times(1),
        Rule::on(Call::Revoke, Fault::new(Kind::Hang)).times(1),
    ];
    let (graph, home) = (Graph::with(rules), home(3));
    let first = format!("run list.csv --concurrency 1 --timeout 60s {LIMITS} {}", graph.flags());
    let mut first = home.start(&first);
    graph.wait_until(&mut first, |log| log.iter().any(|entry| entry.method == "GET"));
    let mut second = home.start(&format!("run list.csv --lock-wait 50s {LIMITS} --yes --out again {}", graph.places()));
    second.wait_for("waiting for it");
    graph.wait_for_posts(1, &mut first);
    first.signal("KILL");
    home.left(first);
    home.left(second).exits(6).says(&["bulk-revoke resume 20", "nothing was sent"]);
    assert_eq!(graph.posts().len(), 1);
}

#[test]
fn a_finished_run_is_only_reported_again() {
    let (graph, home) = (Graph::with([]), home(3));
    let live = home.run(&format!("run list.csv {LIMITS} {}", graph.flags())).exits(0).counts_are(&[("revoked", 3)]);
    let sent = graph.log().len();
    let again = home.run(&format!("resume --out again {LIMITS} {}", graph.places())).exits(0).says(&["nothing is left to do"]);
    assert!(live.report("out") == again.report("again"));
    assert_eq!(graph.log().len(), sent, "not even a token was asked for");
    // Also where some items failed: there is nothing that could be done for them.
    home.write("gone.csv", format!("kind,id\nafw,{}\n", id(1_000)));
    home.run(&format!("run gone.csv {LIMITS} {}", graph.flags())).exits(7).counts_are(&[("not_found", 1)]);
    home.run(&format!("resume {} --out again", graph.places())).exits(0);
    assert!(home.path("again/failed.csv").exists());
}

#[test]
fn dry_and_refused_runs_cannot_be_taken_up() {
    let (graph, home) = (Graph::with([]), home(3));
    home.run(&format!("run list.csv --dry-run {}", graph.flags())).exits(0);
    home.run(&format!("run list.csv --max-items 1 {}", graph.flags())).exits(6);
    let runs = home.run("runs --format csv").exits(0).stdout;
    let sent = graph.log().len();
    for run in runs.lines().skip(1).filter_map(|line| line.split(',').next()) {
        home.run(&format!("resume {run} --out again {}", graph.places())).exits(6).says(&[run]);
    }
    assert_eq!((runs.lines().count(), graph.log().len(), home.path("again").exists()), (3, sent, false));
    // Without a name there is nothing to take up.
    home.run(&format!("resume {}", graph.places())).exits(0).says(&["nothing to do"]);
}

#[test]
fn a_run_is_bound_to_the_place_where_it_began() {
    let (graph, elsewhere, home) = (slow(30), Graph::with([]), home(8));
    let run = interrupted(&graph, &home, 2);
    let sent = graph.log().len();
    let (here, there) = (graph.url(), elsewhere.url());
    let places = [(there, here), (here, there)];
    for (root, authority) in places {
        for command in ["resume", "verify", "run list.csv --yes --continue"] {
            let left = home.run(&format!("{command} --graph-root {root} --authority {authority}"));
            left.exits(6).says(&[&run, here, there]);
        }
    }
    let app = home.with("AZURE_CLIENT_ID", &OTHER.to_string());
    app.run(&format!("resume {}", graph.places())).exits(6).says(&[&APP.to_string(), &OTHER.to_string()]);
    let tenant = app.with("AZURE_CLIENT_ID", &APP.to_string()).with("AZURE_TENANT_ID", &OTHER.to_string());
    tenant.run(&format!("resume {}", graph.places())).exits(6).says(&[&TENANT.to_string()]);
    assert_eq!((graph.log().len(), elsewhere.log().len()), (sent, 0));
    let home = tenant.with("AZURE_TENANT_ID", &TENANT.to_string());
    home.run(&format!("resume --out out {LIMITS} {}", graph.places())).exits(0).counts_are(&[("revoked", 8)]);
}

#[test]
fn a_token_that_was_reissued_meanwhile_is_not_touched() {
    let (graph, home) = (slow(30), home(8));
    interrupted(&graph, &home, 2);
    let unsent: Vec<u128> = (1..=8).filter(|n| !graph.posts().iter().any(|post| post.id == Some(id(*n)))).collect();
    for n in &unsent[..2] {
        assert!(graph.reissue(TENANT, OWNER, id(*n)));
    }
    let left = home.run(&format!("resume --out out {LIMITS} {}", graph.places())).exits(7);
    let left = left.counts_are(&[("revoked", 6), ("superseded", 2)]);
    for n in &unsent[..2] {
        assert_eq!(graph.effects(OWNER, id(*n)), 0);
        let row = left.rows().into_iter().find(|row| row["result_id"] == id(*n).to_string()).unwrap_or_default();
        assert_eq!((row["result_status"].as_str(), row["result_attempts"].as_str()), ("superseded", "0"));
    }
}

#[test]
fn the_plan_counts_and_not_the_list() {
    for change in ["another", "broken", "gone"] {
        let (graph, home) = (slow(30), home(6));
        let run = interrupted(&graph, &home, 2);
        match change {
            "another" => home.write("list.csv", devices(30)),
            "broken" => home.write("list.csv", "kind,id\nafw,\"never closed\n\0"),
            _ => fs::remove_file(home.path("list.csv")).unwrap_or_default(),
        }
        let command = if change == "another" { "resume" } else { "run list.csv --yes --continue" };
        let left = home.run(&format!("{command} --out out {LIMITS} {}", graph.places()));
        let left = left.exits(0).counts_are(&[("revoked", 6)]);
        assert_eq!(run_of(&left), run, "{change}");
        each_was_sent_once(&graph, 6);
    }
}

#[test]
fn a_run_that_was_interrupted_while_it_looked_sends_nothing_and_is_not_taken_up() {
    for signal in ["INT", "TERM", "HUP"] {
        let hangs = [Call::List, Call::Get].map(|call| Rule::on(call, Fault::new(Kind::Hang)));
        let (graph, home) = (Graph::with(hangs), home(3));
        let mut process = home.start(&format!("run list.csv {}", graph.flags()));
        graph.wait_until(&mut process, |log| log.iter().any(|entry| entry.method == "GET"));
        process.signal(signal);
        let left = home.left(process).exits(130).counts_are(&[("not_attempted", 3)]);
        home.run(&format!("resume {} {}", run_of(&left), graph.places())).exits(6);
        home.run(&format!("resume {}", graph.places())).exits(0);
        assert!(graph.posts().is_empty());
    }
}

#[test]
fn what_is_in_doubt_is_looked_at_first_and_sent_at_most_once_more() {
    let hang = || Fault::new(Kind::Hang);
    let cases =
        [("KILL", hang(), 2), ("KILL", hang().after_effect(), 1), ("TERM", hang(), 2), ("TERM", hang().after_effect(), 1)];
    all_at_once(cases, |(signal, fault, posts)| {
        let (graph, home) = (Graph::with([Rule::on(Call::Revoke, fault).times(1)]), home(3));
        let process = at_work(&graph, &home);
        process.signal(signal);
        if signal == "TERM" {
            // It would wait 20 s for the answer.
            process.signal("INT");
        }
        home.left(process);
        let before = graph.log().len();
        let reported = home.run("report --out out");
        let unknown = reported.rows().into_iter().find(|row| row["result_status"] == "unknown").unwrap_or_default();
        let left = home.run(&format!("resume --out out {LIMITS} {}", graph.places()));
        left.exits(0).counts_are(&[("revoked", 3)]);
        let of_it = |entry: &&LogEntry| {
            entry.id.map(|id| id.to_string()).as_ref() == unknown.get("result_id") || entry.path.ends_with("EnrollmentProfiles")
        };
        let log = graph.log();
        let first = log[before..].iter().find(of_it).map(|entry| entry.method.clone());
        assert_eq!(first.as_deref(), Some("GET"), "{signal}");
        let sent = log.iter().filter(|entry| entry.method == "POST" && of_it(entry)).count();
        assert_eq!(sent, posts, "{signal}");
        assert!((1..=3).all(|n| graph.effects(OWNER, id(n)) == 1));
    });
}

#[test]
fn a_signal_to_a_run_that_was_taken_up_leaves_a_report_as_well() {
    let (graph, home) = (slow(60), home(8));
    interrupted(&graph, &home, 2);
    let mut process = home.start(&format!("resume --concurrency 1 --out again {LIMITS} {}", graph.places()));
    graph.wait_for_posts(4, &mut process);
    process.signal("TERM");
    let left = home.left(process).exits(130);
    assert_eq!(left.rows_of("again/report.csv").len(), 8);
    home.run(&format!("resume --out out {LIMITS} {}", graph.places())).exits(0).counts_are(&[("revoked", 8)]);
    each_was_sent_once(&graph, 8);
}

#[test]
fn without_any_run_there_is_nothing_to_take_up() {
    let (graph, home) = (Graph::with([]), Home::signed_in());
    for command in ["resume", "verify"] {
        home.run(&format!("{command} {}", graph.places())).exits(0).says(&["no run yet"]);
    }
    assert!(graph.log().is_empty());
}
