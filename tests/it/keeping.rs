//! The ledger keeps its word: a disk that fills up, a place that cannot be written, a row that was changed afterwards.
#![expect(clippy::expect_used, reason = "a ledger that a test cannot lay out is a failed test")]

use std::fs;

use bulk_revoke::sim::{Behaviour, Collection, Span};
use rusqlite::Connection;

use crate::kit::{Graph, Home, Left, Row, devices, id, tokens};

const LIMITS: &str = "--quota none --settle 150ms --verify-deadline 10s";

fn database(home: &Home) -> Connection {
    Connection::open(home.path("state/ledger.db")).expect("a database")
}

fn change(home: &Home, statements: &str) {
    database(home).execute_batch(statements).expect("statements");
}

/// A run on a disk that takes no file longer than so many blocks, and what it came to.
#[cfg(unix)]
fn on_full_disk(blocks: u32, items: u128) -> (Graph, Home, Left) {
    let graph = Graph::of(Behaviour { latency: Span::of_millis(1, 4), ..Behaviour::immediate() });
    let home = Home::signed_in().file("list.csv", devices(items));
    let run = format!("run list.csv --concurrency 3 {LIMITS} {}", graph.flags());
    let left = home.left(home.start_on_full_disk(&run, blocks));
    (graph, home, left)
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_stops_the_run_and_resume_finishes_it() {
    const ITEMS: u128 = 40;
    // From too little for the plan to not quite enough for the answers, so that it is full at every stage.
    let cases = (0..8).map(|step| 100 + 75 * step);
    let stages = std::sync::Mutex::new(Vec::new());
    crate::kit::all_at_once(cases, |blocks| {
        let (graph, home, left) = on_full_disk(blocks, ITEMS);
        let left = left.exits(13).says(&["failed to write", "ledger.db"]);
        let posts = graph.posts();
        for post in &posts {
            let sent = &post.headers["client-request-id"];
            let query = "SELECT count(*) FROM events WHERE what LIKE '{\"intent\"%' AND what LIKE '%' || ?1 || '%'";
            let intents: i64 = database(&home).query_row(query, [sent], |row| row.get(0)).expect("a count");
            assert_eq!(intents, 1, "a request without its intent");
        }
        if !posts.is_empty() {
            // What could be written is reported, what could not is told, and so is what to do.
            let (left, told) = (left.says(&["bulk-revoke resume 20"]), graph.posts().len());
            let counts = left.counts();
            let of = |status: &str| counts.get(status).copied().unwrap_or_default();
            assert!(of("revoked") + of("unconfirmed") + of("unknown") <= told && of("not_attempted") + told >= 40, "{counts:?}");
        }
        let finish = if posts.is_empty() { "run list.csv --yes --continue" } else { "resume" };
        let left = home.run(&format!("{finish} --out again {LIMITS} {}", graph.places())).exits(0);
        assert!(left.rows_of("again/report.csv").iter().all(|row| row["result_status"] == "revoked"));
        for n in 1..=ITEMS {
            assert_eq!(graph.effects(Collection::AndroidDeviceOwner, id(n)), 1);
            assert_eq!(graph.posts().iter().filter(|post| post.id == Some(id(n))).count(), 1);
        }
        home.run("audit verify").exits(0);
        stages.lock().expect("a list").push(posts.len());
    });
    let stages = stages.into_inner().expect("a list");
    assert!(stages.contains(&0) && stages.iter().filter(|sent| (1..40).contains(*sent)).count() >= 2, "{stages:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_state_directory_that_cannot_be_written_stops_the_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let graph = Graph::with([]);
    let home = Home::signed_in().file("list.csv", devices(3)).file("state/x", "");
    fs::set_permissions(home.path("state"), fs::Permissions::from_mode(0o500)).expect("its owner may");
    // Rights do not bind the superuser; in there nobody can make a file.
    let home = if fs::write(home.path("state/y"), "").is_ok() { home.with("BULK_REVOKE_STATE_DIR", "/proc/self") } else { home };
    home.run(&format!("run list.csv {}", graph.flags())).exits(13).says(&["ledger.db"]).has_no_report();
    assert!(graph.log().is_empty());
}

#[test]
fn a_ledger_with_a_broken_page_stops_the_run_before_anything_is_sent() {
    let (graph, home) = (Graph::with([]), Home::signed_in().file("list.csv", devices(3)));
    home.run(&format!("run list.csv {LIMITS} {}", graph.flags())).exits(0);
    let sent = graph.log().len();
    let mut bytes = fs::read(home.path("state/ledger.db")).expect("it is there");
    // All but the first page, which says that it is a ledger.
    bytes[4_096..].fill(0x5a);
    home.write("state/ledger.db", bytes);
    home.run(&format!("run list.csv --job other {LIMITS} {}", graph.flags())).exits(13).says(&["ledger.db"]);
    for command in ["resume", "verify"] {
        home.run(&format!("{command} {}", graph.places())).exits(13).says(&["ledger.db"]);
    }
    for command in ["runs", "audit verify", &format!("history {}", id(1))] {
        home.run(command).exits(13).says(&["ledger.db"]);
    }
    assert_eq!(graph.log().len(), sent);
}

/// A run of three tokens that is over, and its head.
fn done() -> (Home, String) {
    let (graph, home) = (Graph::with([]), Home::signed_in().file("list.csv", tokens(3)));
    let left = home.run(&format!("run list.csv {LIMITS} {}", graph.flags())).exits(0).counts_are(&[("revoked", 3)]);
    let summary = left.summary();
    let audit = home.run("audit verify").exits(0).stdout;
    let head = summary["ledger_head"].as_str().unwrap_or_default().to_owned();
    assert!(audit.contains(&head) && audit.contains(&format!("{} events fit", summary["ledger_rows"])), "{audit}");
    (home, head)
}

#[test]
fn a_changed_event_is_named() {
    let (home, head) = done();
    let query =
        "SELECT n, (SELECT count(*) FROM events b WHERE b.n <= a.n) FROM events a WHERE what LIKE '{\"reply\"%' AND item = 2";
    let (n, number): (i64, i64) = database(&home).query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("a reply");
    change(&home, &format!("UPDATE events SET what = replace(what, '204', '205') WHERE n = {n}"));
    for command in ["audit verify", &format!("audit verify --head {head}")] {
        let left = home.run(command).exits(13).says(&["1 of 1 runs"]);
        assert!(left.stdout.contains(&format!("event {number} (list.csv:3, 20")), "{}", left.stdout);
    }
}

#[test]
fn a_tail_that_was_cut_off_shows_against_the_head() {
    let (home, head) = done();
    change(&home, "DELETE FROM events WHERE n = (SELECT max(n) FROM events)");
    let left = home.run("audit verify").exits(13);
    assert!(left.stdout.contains("events, and there are"), "{}", left.stdout);
    // Whoever cuts it off with care makes the rest fit; a head that was kept elsewhere tells.
    change(&home, "UPDATE runs SET events = events - 1, head = (SELECT hash FROM events ORDER BY n DESC LIMIT 1)");
    home.run("audit verify").exits(0);
    let left = home.run(&format!("audit verify --head {head}")).exits(13);
    assert!(left.stderr.contains(&format!("the head {head} is nowhere")), "{}", left.stderr);
}

#[test]
fn a_changed_plan_is_found() {
    let (home, head) = done();
    let changes = [
        format!("UPDATE items SET id = unhex('{}', '-') WHERE no = 2", id(9)),
        "UPDATE items SET cells = replace(cells, 'vppToken', 'vpp') WHERE no = 1".to_owned(),
        "DELETE FROM items WHERE no = 3".to_owned(),
        "UPDATE runs SET operator = 'somebody else'".to_owned(),
    ];
    let whole = fs::read(home.path("state/ledger.db")).expect("it is there");
    for statement in changes {
        change(&home, &format!("PRAGMA foreign_keys = OFF; {statement}"));
        let left = home.run(&format!("audit verify --head {head}")).exits(13);
        assert!(left.stdout.contains("the plan was changed"), "{statement}: {}", left.stdout);
        home.write("state/ledger.db", &whole);
    }
    home.run(&format!("audit verify --head {head}")).exits(0);
}

#[test]
fn history_shows_every_run_that_touched_an_object() {
    let (graph, home) = (Graph::with([]), Home::signed_in().file("list.csv", tokens(2)));
    home.run(&format!("run list.csv --job first {LIMITS} {}", graph.flags())).exits(0);
    home.run(&format!("run list.csv --job second --again {LIMITS} {}", graph.flags())).exits(0);
    home.run(&format!("run list.csv --job third {LIMITS} {}", graph.flags())).exits(0);
    assert_eq!(graph.posts().len(), 4);
    let csv = home.run(&format!("history {} --format csv", id(1))).exits(0).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<Row> = reader.deserialize().map(|row| row.expect("a row")).collect();
    let cells = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(cells("job"), ["first", "second", "third"]);
    assert_eq!(cells("status"), ["revoked", "revoked", "skipped"]);
    assert_eq!((cells("requests"), cells("kind")), (["1", "1", "0"].map(str::to_owned).to_vec(), vec!["vppToken".to_owned(); 3]));
    let json = home.run(&format!("history {} --format json", id(1))).exits(0).stdout;
    let objects: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects.iter().map(|object| object["run"].as_str().unwrap_or_default()).collect::<Vec<_>>(), cells("run"));
    let intents = |object: &serde_json::Value| {
        let events = object["events"].as_array().cloned().unwrap_or_default();
        events.iter().filter(|event| event["what"].get("intent").is_some()).count()
    };
    assert_eq!(objects.iter().map(intents).collect::<Vec<_>>(), [1, 1, 0]);
    let table = home.run(&format!("history {{{}}}", id(1).to_string().to_uppercase())).exits(0).stdout;
    assert!(cells("run").iter().all(|run| table.contains(run)), "{table}");
    let requests = graph.posts().into_iter().filter(|post| post.id == Some(id(1)));
    assert!(requests.map(|post| post.headers["client-request-id"].clone()).all(|sent| table.contains(&sent)), "{table}");
    home.run(&format!("history {}", id(30))).exits(0).says(&["no run has met"]);
}
