//! Runs that end before the first request, each with its exit code, its words and no trace at the service; and the
//! simple ways in which one goes well.

use std::fs;

use bulk_revoke::sim::Behaviour;

use crate::kit::{Graph, Home, OTHER, TENANT, devices, id};

/// A simulator, and a list of three good rows in the home of an app that may sign in. Nothing is read back there: these
/// tests are about what comes before.
fn ready() -> (Graph, Home) {
    (Graph::with([]), Home::signed_in().unverified().file("list.csv", devices(3)))
}

#[test]
fn wrong_flags_are_a_usage_error() {
    let (graph, home) = ready();
    for arguments in
        ["run", "run list.csv --nonsense", "run list.csv --max-items many", "nonsense", "run list.csv --quota 5", "run list.xlsx"]
    {
        home.run(&format!("{arguments} {}", graph.flags())).exits(2).has_no_report();
    }
    assert!(graph.posts().is_empty());
}

#[test]
fn help_and_version_are_no_errors() {
    let home = Home::new();
    assert!(home.run("--help").exits(0).stdout.contains("130 interrupted"));
    assert!(home.run("--version").exits(0).stdout.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_list_that_is_not_there_is_invalid() {
    let (graph, home) = ready();
    home.run(&format!("run list.csv missing.csv {}", graph.flags())).exits(3).has_no_report().says(&["missing.csv"]);
    assert!(graph.posts().is_empty());
}

#[test]
fn an_invalid_configuration_is_told_with_file_and_line_and_nothing_is_sent() {
    let (graph, home) = ready();
    let home = home.file("config.toml", "[run]\nconcurency = 3\nquota = \"soon\"\n\n[rum]\n");
    home.run(&format!("run list.csv {}", graph.flags())).exits(3).has_no_report().says(&[
        "config.toml:2:",
        "did you mean concurrency?",
        "config.toml:3:",
        "config.toml:5:",
        "did you mean run?",
    ]);
    assert!(graph.posts().is_empty() && graph.token_requests() == 0);
}

#[test]
fn a_place_that_is_neither_known_nor_loopback_gets_no_token() {
    let (graph, home) = ready();
    let foreign = format!("--yes --graph-root https://graph.example.com --authority {}", graph.url());
    home.run(&format!("run list.csv {foreign}")).exits(3).says(&["allow_custom"]);
    let plain = format!("--yes --graph-root http://graph.microsoft.com --authority {}", graph.url());
    home.run(&format!("run list.csv {plain}")).exits(3).says(&["http"]);
    // Only a config that an administrator chose may allow it; one that lies in the working directory may not.
    home.write("config.toml", "[graph]\nallow_custom = true\n");
    home.run(&format!("run list.csv {foreign}")).exits(3).says(&["allow_custom"]);
    assert_eq!(graph.token_requests(), 0);
}

#[test]
fn without_credentials_nothing_is_sent_and_everything_that_is_missing_is_said() {
    let (graph, home) = ready();
    let home = home.without("AZURE_CLIENT_SECRET").without("AZURE_CLIENT_ID");
    home.write("config.toml", "[auth]\nmethod = \"client-secret\"\n");
    home.run(&format!("run list.csv {}", graph.flags())).exits(3).says(&["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]);
    let home = home.without("AZURE_TENANT_ID");
    home.run(&format!("run list.csv {}", graph.flags())).exits(3).says(&["AZURE_TENANT_ID", "--tenant"]);
    assert!(graph.posts().is_empty());
}

#[test]
fn a_wrong_secret_stops_the_tenant() {
    let (graph, home) = ready();
    let home = home.with("AZURE_CLIENT_SECRET", "wrong");
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(4).counts_are(&[("not_attempted", 3)]);
    assert!(left.stderr.contains("AADSTS7000215"), "{}", left.stderr);
    assert!(left.column("result_reason").iter().all(|reason| reason.contains("sign in")), "{:?}", left.column("result_reason"));
    assert!(graph.posts().is_empty());
    assert_eq!(left.summary()["tenants"][0]["stopped_by"], "sign_in");
}

#[test]
fn an_empty_list_is_nothing_to_do() {
    let (graph, home) = ready();
    let home = home.file("empty.csv", "kind,id\n").file("blank.txt", "# nothing\n\n").file("zero.csv", "");
    for list in ["empty.csv", "blank.txt", "zero.csv", "empty.csv blank.txt"] {
        home.run(&format!("run {list} {}", graph.flags())).exits(5);
        home.run(&format!("run {list} --on-empty ok {}", graph.flags())).exits(0);
    }
    assert!(graph.posts().is_empty());
}

#[test]
fn a_run_that_can_ask_nobody_needs_yes() {
    let (graph, home) = ready();
    home.run(&format!("run list.csv --out out {}", graph.places())).exits(6).says(&["--yes", "nothing was sent"]);
    assert!(graph.posts().is_empty());
}

#[test]
fn more_items_than_allowed_are_refused_with_the_figures_and_the_flag() {
    let (graph, home) = ready();
    home.run(&format!("run list.csv --max-items 2 {}", graph.flags())).exits(6).says(&["3", "2", "--max-items"]);
    home.run(&format!("run list.csv --max-items 2 --dry-run {}", graph.flags())).exits(6);
    assert!(graph.posts().is_empty());
    home.run(&format!("run list.csv --max-items 3 {}", graph.flags())).exits(0);
}

#[test]
fn where_nobody_can_be_asked_a_hundred_items_are_the_most() {
    let (graph, home) = ready();
    // The simulator has forty objects of each kind.
    let more = [("afw", 40), ("vpp", 21)].into_iter().flat_map(|(kind, count)| (1..=count).map(move |n| (kind, n)));
    let list = more.fold(devices(40), |list, (kind, n)| format!("{list}{kind},{}\n", id(n)));
    home.write("long.csv", &list);
    for flag in ["", "--no-preflight"] {
        home.run(&format!("run long.csv {flag} {}", graph.flags())).exits(6).says(&["101", "100", "--max-items"]);
    }
    home.run(&format!("run long.csv --dry-run --max-items 101 {}", graph.flags())).exits(0);
    assert!(graph.posts().is_empty());
    // What is not there is not sent, and what is not sent does not count.
    home.write("long.csv", list.replace(&format!("vpp,{}\n", id(21)), &format!("vpp,{}\n", id(1_000))));
    home.run(&format!("run long.csv {}", graph.flags())).exits(7).counts_are(&[("accepted", 100), ("not_found", 1)]);
    assert_eq!(graph.posts().len(), 100);
    // A simulation asks nobody and hurts nobody.
    home.run("run long.csv --dry-run --simulate --out out").exits(0).counts_are(&[("not_attempted", 101)]);
}

#[test]
fn duplicates_and_protected_ids_do_not_count_against_max_items() {
    let (graph, home) = ready();
    let home = home.file("config.toml", format!("[guard]\nprotect = [\"{}\"]\n", id(3)));
    home.write("list.csv", format!("{}device-owner,{}\n", devices(3), id(1)));
    let left = home.run(&format!("run list.csv --max-items 2 {}", graph.flags())).exits(0);
    left.counts_are(&[("accepted", 2), ("skipped", 2)]);
    assert_eq!(graph.posts().len(), 2);
}

#[test]
fn protected_ids_are_skipped_or_refuse_the_run() {
    let (graph, home) = ready();
    let guard = format!("[guard]\nprotect = [\"{{{}}}\"]\nprotect_file = \"protected.txt\"\n", id(1).to_string().to_uppercase());
    let home = home.file("protected.txt", format!("# never\n{}\n", id(2))).file("config.toml", &guard);
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("accepted", 1), ("skipped", 2)]);
    assert!(left.column("result_reason")[0].contains("protected"));
    home.write("config.toml", format!("{guard}protect_mode = \"refuse\"\n"));
    home.run(&format!("run list.csv {}", graph.flags())).exits(6).says(&["protected"]);
    assert_eq!(graph.posts().len(), 1);
}

#[test]
fn a_dry_run_sends_nothing_and_tells_what_would_be_sent() {
    let (graph, home) = ready();
    let left = home.run(&format!("run list.csv --dry-run --out out {}", graph.places())).exits(0);
    let left = left.counts_are(&[("not_attempted", 3)]).says(&["3 to send"]);
    assert!(graph.posts().is_empty());
    assert!(left.column("result_reason").iter().all(|reason| reason.contains("dry run")));
    assert_eq!(left.summary()["requests"], 0);
}

#[test]
fn a_dry_run_ends_as_the_run_would_where_the_sign_in_fails() {
    let (graph, home) = ready();
    let home = home.with("AZURE_CLIENT_SECRET", "wrong");
    let left = home.run(&format!("run list.csv --dry-run --out out {}", graph.places())).exits(4);
    left.counts_are(&[("not_attempted", 3)]);
}

#[test]
fn a_report_that_cannot_be_written_stops_the_run_before_the_first_request() {
    let (graph, home) = ready();
    let home = home.file("out", "a file in the way");
    home.run(&format!("run list.csv {}", graph.flags())).exits(13).says(&["out"]);
    assert!(graph.posts().is_empty());
}

#[test]
fn reports_lie_in_a_directory_of_their_own_and_latest_points_there() {
    let (graph, home) = ready();
    let home = home.without("BULK_REVOKE_VERIFY");
    let left = home.run(&format!("run list.csv --yes {}", graph.places())).exits(0);
    let path = left.stdout.trim();
    assert!(path.starts_with("reports") && path.ends_with("report.csv"), "{path}");
    assert_eq!(fs::read(home.path(path)).expect("a report"), fs::read(home.path("reports/latest/report.csv")).expect("a link"));
}

#[test]
fn flags_can_be_given_by_the_environment() {
    let (graph, home) = ready();
    let home = home
        .with("BULK_REVOKE_GRAPH_ROOT", graph.url())
        .with("BULK_REVOKE_AUTHORITY", graph.url())
        .with("BULK_REVOKE_YES", "true")
        .with("BULK_REVOKE_OUT", "out")
        .with("BULK_REVOKE_MAX_ITEMS", "2");
    home.run("run list.csv").exits(6);
    home.run("run list.csv --max-items 3").exits(0).counts_are(&[("accepted", 3)]);
}

#[test]
fn quiet_says_nothing_and_json_logs_are_json() {
    let (graph, home) = ready();
    let left = home.run(&format!("run list.csv -q {}", graph.flags())).exits(0);
    assert_eq!((left.stdout.as_str(), left.stderr.as_str()), ("", ""));
    let home = home.file("other.csv", format!("kind,id\nafw,{}\n", id(1)));
    let left = home.run(&format!("run other.csv -v --log-format json --progress never {}", graph.flags())).exits(0);
    let logged = left.stderr.lines().find(|line| line.contains("ledger_head")).unwrap_or_default();
    assert!(serde_json::from_str::<serde_json::Value>(logged).is_ok(), "{}", left.stderr);
}

#[test]
fn only_one_tenants_items_are_sent_where_the_flag_says_so() {
    let graph = Graph::of(Behaviour::immediate());
    let config = format!("[tenants.contoso]\ntenant_id = \"{TENANT}\"\n[tenants.fabrikam]\ntenant_id = \"{OTHER}\"\n");
    let list = format!("tenant,kind,id\ncontoso,afw,{0}\nfabrikam,afw,{0}\nfabrikam,afw,{1}\n", id(1), id(2));
    let home = Home::signed_in().unverified().file("config.toml", config).file("list.csv", list);
    home.run(&format!("run list.csv --only-tenant fabrikam {}", graph.flags())).exits(0);
    assert!(graph.posts().iter().all(|post| post.tenant == Some(OTHER)) && graph.posts().len() == 2);
}
