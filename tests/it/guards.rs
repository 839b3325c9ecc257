//! The guards, each at its edge: what is one too many is refused before the first request to revoke, with its figures and
//! the way to allow it; what is not is sent.

use std::fs::File;
use std::time::Duration;

use bulk_revoke::sim::{Behaviour, Call, Collection, Fault, Kind, Rule, Shares, Span};

use crate::kit::{Graph, Home, OTHER, Stub, TENANT, all_at_once, devices, id};

const OWNER: Collection = Collection::AndroidDeviceOwner;

fn home(config: &str) -> Home {
    Home::signed_in().unverified().file("config.toml", format!("[guard]\n{config}\n"))
}

/// A list of these kinds and numbers.
fn list(items: impl IntoIterator<Item = (&'static str, u128)>) -> String {
    items.into_iter().fold("kind,id\n".to_owned(), |list, (kind, n)| format!("{list}{kind},{}\n", id(n)))
}

/// Holds that a plan, a dry run and a run are all refused with these words, and that nothing was sent.
fn refuses(home: &Home, graph: &Graph, job: &str, words: &[&str]) {
    let sent = graph.posts().len();
    let places = graph.places();
    for command in [format!("plan {job} {places}"), format!("run {job} -n {places}"), format!("run {job} --yes {places}")] {
        home.run(&command).exits(6).says(words).says(&["nothing was sent"]);
    }
    assert_eq!(graph.posts().len(), sent, "{job}");
    let runs = home.run("runs --format csv").exits(0).stdout;
    assert!(runs.lines().skip(1).take(3).all(|run| run.contains(",refused,") && run.contains(",6,")), "{runs}");
}

#[test]
fn a_list_of_everything_is_refused_where_nobody_can_be_asked() {
    let stub = Stub::content();
    let home = home("").file("list.csv", devices(1_000));
    let left = home.run(&format!("run list.csv --quota none {}", stub.flags())).exits(6).has_no_report();
    left.says(&["1000 items would be sent and --max-items is 100", "give --max-items 1000", "nothing was sent"]);
    assert_eq!((stub.posts().len(), stub.reads().len()), (0, 1_001));
}

#[test]
fn a_share_of_a_tenant_that_stops_while_it_is_read_refuses() {
    let graph = Graph::of(Behaviour { roles: Vec::new(), ..Behaviour::immediate() });
    let home = home("").file("list.csv", devices(30));
    refuses(&home, &graph, "list.csv --max-items 99%", &["was not read: give a number"]);
}

/// Makes a file older by so much.
#[expect(clippy::unwrap_used, reason = "a file that cannot be made older is a failed test")]
fn age(home: &Home, name: &str, by: Duration) {
    let file = File::options().write(true).open(home.path(name)).unwrap();
    let now = file.metadata().and_then(|data| data.modified()).unwrap();
    file.set_modified(now - by).unwrap();
}

#[test]
fn a_list_that_is_too_old_is_refused_and_what_has_no_age_is_not() {
    let graph = Graph::with([]);
    let home = home("max_list_age = \"1h\"").file("list.csv", devices(1)).file("new.csv", devices(2));
    home.write("names.toml", "version = 1\nlists = [\"new.csv\"]\n");
    home.write("items.toml", format!("version = 1\n[[items]]\nkind = \"afw\"\nid = \"{}\"\n", id(1)));
    let minutes = |minutes: u64| Duration::from_mins(minutes);
    for name in ["list.csv", "names.toml", "items.toml"] {
        age(&home, name, minutes(62));
    }
    refuses(
        &home,
        &graph,
        "new.csv list.csv --job a",
        &["list.csv is 1h 2m ", "[guard] max_list_age is 1h", "bring a newer list"],
    );
    refuses(&home, &graph, "items.toml --job b", &["items.toml is 1h 2m "]);
    // A job that only names lists is as old as they are.
    home.run(&format!("run names.toml {}", graph.flags())).exits(0);
    home.run_with_input(&format!("run - --job c {}", graph.flags()), &devices(1)).exits(0);
    home.write("list.csv", list([("afw", 3)]));
    age(&home, "list.csv", minutes(58));
    home.run(&format!("run list.csv --job a {}", graph.flags())).exits(0).counts_are(&[("accepted", 1)]);
}

#[test]
fn half_of_a_tenants_items_that_are_not_there_are_refused_over_all_kinds() {
    let graph = Graph::with([]);
    let home = home("").file("few.csv", list([("afw", 1_001), ("afw", 1_002), ("vpp", 1_003), ("vpp", 1_004)]));
    // As many that are there as are not, and one more of the one or of the other.
    let half = [("afw", 1), ("device-owner", 1), ("vpp", 1), ("afw", 1_001), ("device-owner", 1_002), ("vpp", 1_003)];
    home.write("half.csv", list(half));
    let others = half.map(|(kind, n)| (kind, if n < 1_000 { n + 1 } else { n }));
    home.write("less.csv", list(others.into_iter().chain([("afw", 3)])));
    let tenant = TENANT.to_string();
    refuses(
        &home,
        &graph,
        "half.csv",
        &[&format!("3 of the 6 items of {tenant} are not_found: wrong tenant?"), "--allow-missing"],
    );
    home.run(&format!("run few.csv {}", graph.flags())).exits(7).counts_are(&[("not_found", 4)]);
    home.run(&format!("run less.csv {}", graph.flags())).exits(7).counts_are(&[("accepted", 4), ("not_found", 3)]);
    let half = format!("run half.csv {}", graph.flags());
    home.run(&format!("{half} --allow-missing")).exits(7).counts_are(&[("accepted", 3), ("not_found", 3)]);
    home.run(&half).exits(6);
    home.with("BULK_REVOKE_ALLOW_MISSING", "true").run(&half).exits(7);
}

#[test]
fn a_list_whose_tokens_ended_long_ago_trips_no_guard() {
    let graph = Graph::of(Behaviour { shares: Shares { expired: 1.0, ..Shares::default() }, ..Behaviour::immediate() });
    let home = home("max_items_per_day = 0\nmax_growth = 1").file("list.csv", devices(30));
    for _ in 0..2 {
        let left = home.run(&format!("run list.csv --max-items 0 {}", graph.flags())).exits(0);
        left.counts_are(&[("already_inactive", 30)]);
    }
}

#[test]
fn what_all_runs_sent_to_a_tenant_in_a_day_is_counted() {
    let graph = Graph::with([]);
    let config = |most: u32| {
        let tables =
            [("contoso", TENANT), ("fabrikam", OTHER)].map(|(name, id)| format!("[tenants.{name}]\ntenant_id = \"{id}\"\n"));
        format!("[guard]\nmax_items_per_day = {most}\n{}", tables.concat())
    };
    let home = home("").file("config.toml", config(5)).with("BULK_REVOKE_TENANT", "contoso");
    for (name, numbers) in [("a.csv", 1..=3), ("b.csv", 4..=6), ("c.csv", 4..=5), ("d.csv", 7..=7)] {
        home.write(name, list(numbers.map(|n| ("device-owner", n))));
    }
    home.run(&format!("run a.csv {}", graph.flags())).exits(0).counts_are(&[("accepted", 3)]);
    refuses(&home, &graph, "b.csv", &["(in contoso 3 after 3)", "max_items_per_day is 5", "raise it to 6"]);
    home.run(&format!("run c.csv --dry-run {}", graph.flags())).exits(0);
    home.run(&format!("run c.csv {}", graph.flags())).exits(0).counts_are(&[("accepted", 2)]);
    refuses(&home, &graph, "d.csv", &["1 after 5"]);
    // Another tenant has a day of its own.
    home.run(&format!("run b.csv --job b2 --tenant fabrikam {}", graph.flags())).exits(0).counts_are(&[("accepted", 3)]);
    home.write("config.toml", config(6));
    home.run(&format!("run d.csv {}", graph.flags())).exits(0);
}

#[test]
fn a_list_that_grew_too_much_is_held_against_the_jobs_last_run_that_sent() {
    let graph = Graph::with([]);
    let home = home("max_growth = 2");
    let run = |content: &str| {
        home.write("nightly.csv", content);
        home.run(&format!("run nightly.csv {}", graph.flags()))
    };
    let afw = |numbers: std::ops::RangeInclusive<u128>| list(numbers.map(|n| ("afw", n)));
    // There is no run yet; then there is one that had nothing to send, which says nothing.
    run(&afw(1..=10)).exits(0).counts_are(&[("accepted", 10)]);
    run(&afw(1_001..=1_001)).exits(7);
    run(&afw(11..=30)).exits(0).counts_are(&[("accepted", 20)]);
    let forty = list((1..=40).map(|n| ("vpp", n)));
    home.write("nightly.csv", format!("{forty}device-owner,{}\n", id(1)));
    let words = ["41 items would be sent", ") had 20, ", "[guard] max_growth is 2", "raise it to 2.1 "];
    refuses(&home, &graph, "nightly.csv", &words);
    run(&forty).exits(0).counts_are(&[("accepted", 40)]);
}

/// Limits under which tests are quick.
const LIMITS: &str = "--quota none --settle 150ms --verify-deadline 10s";

#[test]
fn what_was_protected_since_it_was_planned_is_not_sent_by_resume() {
    let graph = Graph::with([Rule::on(Call::Revoke, Fault::new(Kind::Slow(Span::of_millis(30, 30))))]);
    let home = Home::signed_in().file("list.csv", devices(6));
    let mut process = home.start(&format!("run list.csv --concurrency 1 {LIMITS} {}", graph.flags()));
    graph.wait_for_posts(2, &mut process);
    process.signal("INT");
    home.left(process).exits(130);
    let sent = graph.posts().len();
    let protect = format!("[guard]\nprotect = [\"{}\", \"{}\"]\n", id(1), id(6));
    home.write("config.toml", format!("{protect}protect_mode = \"refuse\"\n"));
    let resume = format!("resume {LIMITS} --out out {}", graph.places());
    home.run(&resume).exits(6).says(&["1 items that run", "protect_mode is \"refuse\"", "nothing more was sent"]);
    assert_eq!(graph.posts().len(), sent);
    home.write("config.toml", protect);
    let left = home.run(&resume).exits(0).says(&["1 protected by now"]).counts_are(&[("revoked", 5), ("skipped", 1)]);
    assert!(left.column("result_reason")[5].contains("protected"), "{:?}", left.column("result_reason"));
    assert_eq!((graph.posts().len(), graph.effects(OWNER, id(6))), (5, 0));
}

#[test]
fn what_is_in_doubt_and_protected_by_now_is_read_back_and_never_sent_again() {
    let lost = Fault::new(Kind::Hang);
    let cases = [(lost.clone(), "failed", 7, 0), (lost.after_effect(), "revoked", 0, 1)];
    all_at_once(cases, |(fault, status, code, effects)| {
        let graph = Graph::with([Rule::on(Call::Revoke, fault).nth(1)]);
        let home = Home::signed_in().file("list.csv", devices(1));
        let mut process = home.start(&format!("run list.csv {LIMITS} {}", graph.flags()));
        graph.wait_for_posts(1, &mut process);
        process.signal("KILL");
        drop(home.left(process));
        home.write("config.toml", format!("[guard]\nprotect = [\"{}\"]\n", id(1)));
        let left = home.run(&format!("resume {LIMITS} --out out {}", graph.places())).exits(code).counts_are(&[(status, 1)]);
        assert_eq!((left.column("result_attempts").concat().as_str(), graph.posts().len()), ("1", 1), "{status}");
        assert_eq!(graph.effects(OWNER, id(1)), effects, "{status}");
    });
}

#[test]
fn a_share_of_a_tenant_that_cannot_be_reached_is_refused_and_nothing_is_left_to_resume() {
    let graph = Graph::with_secret(Behaviour::immediate(), "another");
    let home = Home::signed_in().file("list.csv", devices(3));
    home.run(&format!("run list.csv --max-items 50% {}", graph.flags())).exits(6).says(&["was not read"]);
    home.run(&format!("resume {}", graph.places())).exits(0).says(&["no run yet"]);
    assert!(graph.posts().is_empty());
}
