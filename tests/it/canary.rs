//! Canaries against sockets: what goes first is verified before the rest goes, and a failure keeps the rest at home.

use bulk_revoke::sim::{Answer, Behaviour, Call, Collection, Fault, Rule};

use crate::kit::{Graph, Home, devices, id, tokens};

fn list() -> String {
    format!("{}{}", devices(8), tokens(4).split_once('\n').map(|(_, rows)| rows).unwrap_or_default())
}

#[test]
fn the_rest_goes_after_the_first_of_each_kind_are_shown_to_be_revoked() {
    let graph = Graph::of(Behaviour::immediate());
    let home = Home::signed_in().file("list.csv", list());
    home.run(&format!("run list.csv --canary 2 {}", graph.flags())).exits(0).counts_are(&[("revoked", 12)]);
    let log = graph.log();
    let posts: Vec<usize> = (0..log.len()).filter(|&place| log[place].method == "POST").collect();
    assert_eq!(posts.len(), 12);
    // Between the fourth request and the fifth, each of the four objects was read by its id or in a list.
    let between = &log[posts[3] + 1..posts[4]];
    let kinds = [Collection::AndroidDeviceOwner, Collection::VppTokens];
    assert!(kinds.iter().all(|kind| between.iter().any(|read| read.collection == Some(*kind))), "{between:?}");
}

#[test]
fn the_guards_are_asked_of_everything_and_not_of_the_first() {
    let graph = Graph::of(Behaviour::immediate());
    let home = Home::signed_in().file("list.csv", devices(8));
    for limit in ["7", "19%"] {
        let asked = format!("run list.csv --canary 1 --max-items {limit} {}", graph.flags());
        home.run(&asked).exits(6).says(&["8 ", "nothing was sent"]);
    }
    assert!(graph.posts().is_empty());
}

#[test]
fn a_canary_that_is_refused_keeps_the_rest_at_home_until_somebody_resumes() {
    let refused = Rule::on(Call::Revoke, Fault::canned(Answer::empty(400))).of(id(1));
    let graph = Graph::with([refused]);
    let home = Home::signed_in().file("list.csv", devices(8));
    let left = home.run(&format!("run list.csv --canary 1 {}", graph.flags())).exits(10);
    let left = left.counts_are(&[("refused", 1), ("not_attempted", 7)]);
    assert_eq!((graph.posts().len(), left.summary()["stopped_by"].as_str()), (1, Some("canary")));
    assert!(left.column("result_reason")[7].contains("canary"), "{:?}", left.column("result_reason"));
    home.run(&format!("resume --out out {}", graph.places())).exits(7).counts_are(&[("refused", 1), ("revoked", 7)]);
}
