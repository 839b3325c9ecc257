//! The ledger as a user meets it: it says no before anything is sent, and it can tell every run again.
#![expect(clippy::expect_used, reason = "a ledger that a test cannot lay out is a failed test")]

use std::fs;

use bulk_revoke::sim::{Answer, Call, Fault, Rule};
use rusqlite::Connection;

use crate::kit::{Graph, Home, Left, devices, id};

/// A simulator and a list. Nothing is read back unless a test is about that.
fn ready() -> (Graph, Home) {
    (Graph::with([]), Home::signed_in().unverified().file("list.csv", devices(3)))
}

/// The run ends in 13, and nothing was sent.
fn says_no(graph: &Graph, home: &Home, words: &[&str]) {
    home.run(&format!("run list.csv {}", graph.flags())).exits(13).says(words);
    assert!(graph.posts().is_empty() && graph.token_requests() == 0);
}

#[test]
fn a_file_where_the_state_directory_should_be_stops_the_run() {
    let (graph, home) = ready();
    let home = home.file("state", "in the way");
    says_no(&graph, &home, &["state", "BULK_REVOKE_STATE_DIR"]);
}

#[test]
fn a_directory_where_the_ledger_should_be_stops_the_run() {
    let (graph, home) = ready();
    let home = home.file("state/ledger.db/x", "in the way");
    says_no(&graph, &home, &["state", "irectory"]);
}

#[test]
fn a_file_that_is_no_database_stops_the_run_and_stays_as_it_is() {
    let (graph, home) = ready();
    let garbage = "not a database at all, but long enough to be looked at by SQLite: ".repeat(30);
    let home = home.file("state/ledger.db", &garbage);
    says_no(&graph, &home, &["ledger.db"]);
    assert_eq!(fs::read_to_string(home.path("state/ledger.db")).expect("it is there"), garbage);
}

/// A database at the ledger's place, made by these statements.
fn database(home: &Home, statements: &str) {
    fs::create_dir_all(home.path("state")).expect("a directory");
    let db = Connection::open(home.path("state/ledger.db")).expect("a database");
    db.execute_batch(statements).expect("statements");
}

#[test]
fn a_database_of_another_program_is_not_touched() {
    let (graph, home) = ready();
    database(&home, "CREATE TABLE customers (name TEXT); INSERT INTO customers VALUES ('Ann'); PRAGMA user_version = 7;");
    let before = fs::read(home.path("state/ledger.db")).expect("it is there");
    says_no(&graph, &home, &["another program"]);
    assert_eq!(fs::read(home.path("state/ledger.db")).expect("it is there"), before);
}

#[test]
fn a_ledger_of_a_newer_version_is_not_touched() {
    let (graph, home) = ready();
    home.run("run list.csv --simulate --out out").exits(0);
    fs::rename(home.path("state/simulate/ledger.db"), home.path("state/ledger.db")).expect("moved");
    database(&home, "PRAGMA user_version = 99;");
    says_no(&graph, &home, &["newer", "99"]);
    home.run("runs").exits(13);
}

#[test]
fn a_cut_ledger_is_damaged_and_nothing_is_sent() {
    let (graph, home) = ready();
    home.run("run list.csv --simulate --out out").exits(0);
    let whole = fs::read(home.path("state/simulate/ledger.db")).expect("it is there");
    home.write("state/ledger.db", &whole[..whole.len() / 2]);
    says_no(&graph, &home, &["ledger.db"]);
}

/// Runs the list against a ledger that takes so many of these events and then no more.
fn failing_at(graph: &Graph, home: &Home, event: &str, count: u32) -> Left {
    home.run(&format!("run list.csv --dry-run {}", graph.flags())).exits(0);
    database(
        home,
        &format!(
            "CREATE TRIGGER full BEFORE INSERT ON events
             WHEN NEW.what LIKE '{{\"{event}\"%' AND (SELECT count(*) FROM events WHERE what LIKE '{{\"{event}\"%') >= {count}
             BEGIN SELECT RAISE(ABORT, 'no room left'); END;"
        ),
    );
    home.run(&format!("run list.csv --concurrency 1 {}", graph.flags()))
        .exits(13)
        .says(&["no room left", "bulk-revoke resume 20"])
}

#[test]
fn no_request_leaves_whose_intent_could_not_be_written() {
    let (graph, home) = ready();
    let home = home.without("BULK_REVOKE_VERIFY");
    let left = failing_at(&graph, &home, "intent", 2).counts_are(&[("unconfirmed", 2), ("not_attempted", 1)]);
    assert_eq!(graph.posts().len(), 2);
    assert_eq!(left.statuses(), ["unconfirmed", "unconfirmed", "not_attempted"]);
}

#[test]
fn an_answer_that_could_not_be_written_ends_the_run_and_is_told() {
    let (graph, home) = ready();
    let home = home.without("BULK_REVOKE_VERIFY");
    let left = failing_at(&graph, &home, "reply", 1).says(&["not recorded", "confirm"]);
    let left = left.counts_are(&[("unconfirmed", 1), ("unknown", 1), ("not_attempted", 1)]);
    assert_eq!(graph.posts().len(), 2);
    assert_eq!(left.statuses(), ["unconfirmed", "unknown", "not_attempted"]);
    // When there is room again, the ledger still says no more than it knows.
    database(&home, "DROP TRIGGER full;");
    home.run("report --out again");
    assert_eq!(left.rows_of("again/report.csv")[1]["result_status"], "unknown");
    // The service knows more, and what it shows to be done is not sent again.
    let resumed = home.run(&format!("resume --settle 50ms --out out {}", graph.places())).exits(0);
    resumed.counts_are(&[("revoked", 3)]);
    assert_eq!(graph.posts().len(), 3);
}

#[test]
fn a_lock_that_cannot_be_taken_stops_the_run() {
    let (graph, home) = ready();
    let home = home.file("state/locks", "in the way");
    home.run(&format!("run list.csv {}", graph.flags())).exits(13).says(&["lock"]);
    assert!(graph.posts().is_empty());
}

#[test]
fn a_report_written_again_has_the_same_bytes() {
    let (graph, home) = ready();
    let home = home.without("BULK_REVOKE_VERIFY");
    let list = format!("{}device-owner,{}\nafw,{}\nvpp,{}\n", devices(3), id(1), id(1_000), id(4));
    let home = home
        .file("list.csv", list.replace("kind,id", "kind,id,note").replace(&format!("{}\n", id(2)), &format!("{},=1+1\n", id(2))));
    let live = home.run(&format!("run list.csv --ticket CHG-1 {}", graph.flags())).exits(7);
    let run = live.summary()["run"].as_str().unwrap_or_default().to_owned();
    let again = home.run("report --out again").exits(7);
    assert!(live.report("out") == again.report("again"), "the latest");
    let again = home.run(&format!("report {run} --out third")).exits(7);
    assert!(live.report("out") == again.report("third"), "by its id");
    // In its own directory, and from the beginning of its id.
    home.run(&format!("report {}", &run[..run.len() - 2])).exits(7);
    assert!(live.report("out") == live.report(&format!("reports/{run}")), "by the beginning of its id");
}

#[test]
fn a_run_that_is_not_in_the_ledger_is_a_usage_error() {
    let home = Home::new();
    home.run("report").exits(2).says(&["runs"]);
    home.run("report 20200101-000000-abcdef").exits(2).says(&["20200101-000000-abcdef"]);
}

#[test]
fn simulated_runs_are_never_mixed_with_real_ones() {
    let (graph, home) = ready();
    home.run("run list.csv --simulate --out out").exits(0);
    assert_eq!(home.run("runs").exits(0).stdout, "");
    home.run("report").exits(2);
    home.run("report --simulated --out out").exits(0);
    home.run(&format!("run list.csv {}", graph.flags())).exits(0);
    assert_eq!(home.run("runs --format csv").exits(0).stdout.lines().count(), 2);
    assert_eq!(home.run("runs --simulated --format csv").exits(0).stdout.lines().count(), 2);
}

#[test]
fn runs_are_listed_newest_first_in_every_format() {
    let (graph, home) = ready();
    home.run(&format!("run list.csv --job first --ticket CHG,1 {}", graph.flags())).exits(0);
    home.write("list.csv", format!("kind,id\nafw,{}\nafw,{}\n", id(1), id(2)));
    home.run(&format!("run list.csv --job second --dry-run {}", graph.flags())).exits(0);
    home.run(&format!("run list.csv --job third --max-items 1 {}", graph.flags())).exits(6);
    let table = home.run("runs").exits(0).stdout;
    let jobs: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(jobs, ["JOB", "third", "second", "first"]);
    let json = home.run("runs --format json").exits(0).stdout;
    let rows: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.iter().map(|row| row["job"].as_str().unwrap_or_default()).collect::<Vec<_>>(), ["third", "second", "first"]);
    let csv = home.run("runs --format csv").exits(0).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<crate::kit::Row> = reader.deserialize().map(|row| row.expect("a row")).collect();
    let cell = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(cell("job"), ["third", "second", "first"]);
    assert_eq!(cell("state"), ["refused", "dry", "ended"]);
    assert_eq!(cell("exit_code")[1..], ["0", "0"]);
    assert_eq!((cell("ticket")[2].as_str(), cell("operator")[0].as_str()), ("CHG,1", "tester"));
}

#[test]
fn a_refused_run_is_listed_with_its_exit_code() {
    let (graph, home) = ready();
    home.run(&format!("run list.csv --max-items 1 {}", graph.flags())).exits(6);
    let json = home.run("runs --format json").exits(0).stdout;
    let row: serde_json::Value = serde_json::from_str(&json).expect("one run");
    assert_eq!((row["state"].as_str(), row["exit_code"].as_i64()), (Some("refused"), Some(6)));
}

#[test]
fn dry_and_refused_runs_are_never_the_latest() {
    let (graph, home) = ready();
    home.run(&format!("run list.csv --job real {}", graph.flags())).exits(0);
    home.write("list.csv", format!("kind,id\nafw,{}\nafw,{}\n", id(1), id(2)));
    home.run(&format!("run list.csv --dry-run {}", graph.flags())).exits(0);
    home.run(&format!("run list.csv --max-items 1 {}", graph.flags())).exits(6);
    let left = home.run("report --out again").exits(0);
    assert!(String::from_utf8_lossy(&left.bytes("again/summary.json")).contains("\"real\""));
}

#[test]
fn a_report_fed_back_sends_what_is_left_and_nothing_else() {
    let busy = Rule::on(Call::Revoke, Fault::canned(Answer::empty(400))).of(id(3)).times(1);
    let graph = Graph::with([busy]);
    let home = Home::signed_in().unverified().file("list.csv", format!("{}afw,{}\n", devices(3), id(1_000)));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(7);
    left.counts_are(&[("accepted", 2), ("refused", 1), ("not_found", 1)]);
    assert_eq!(graph.posts().len(), 3);
    let again = format!("run out/failed.csv --out again --yes {}", graph.places());
    let left = home.run(&again).exits(7);
    assert_eq!((graph.posts().len(), graph.posts()[3].id), (4, Some(id(3))));
    let rows = left.rows_of("again/report.csv");
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("result_id"), [id(3).to_string(), id(1_000).to_string()]);
    assert_eq!(column("result_status"), ["accepted", "not_found"]);
    assert_eq!(rows[0].keys().filter(|name| name.starts_with("result_status")).count(), 1);
}
