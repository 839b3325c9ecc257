//! Multi Admin Approval from the first request to the last: what is sent, what is not, and what the report says.

use bulk_revoke::sim::{Answer, Approval, ApprovalStatus, Behaviour, Call, Collection, Decision, Fault, Kind, Rule, Span};

use crate::kit::{APP, Graph, Home, OTHER, TENANT, devices, id};

/// A tenant in which a second administrator decides on everything.
fn guarded(approval: Approval, rules: Vec<Rule>) -> Graph {
    Graph::of(Behaviour { approval: Some(approval), rules, ..Behaviour::immediate() })
}

/// Three profiles and an Apple token; reading back is quick, and lost requests are looked at soon.
fn home() -> Home {
    let list = format!("{}vpp,{}\n", devices(3), id(4));
    Home::signed_in().with("BULK_REVOKE_SETTLE", "200ms").file("list.csv", list)
}

const WHY: &str = "BULK_REVOKE_JUSTIFICATION";

#[test]
fn what_a_second_administrator_approves_is_sent_once_with_its_code() {
    let (graph, home) = (guarded(Approval::default(), Vec::new()), home().with(WHY, "CHG-1: B\u{fc}ro Leeds"));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(9).counts_are(&[("awaiting_approval", 4)]);
    let filed = graph.approvals();
    assert!(filed.len() == 4 && filed.iter().all(|request| request.justification == "CHG-1: B\u{fc}ro Leeds"));
    assert!(left.column("result_reason").iter().all(|reason| reason.contains("second administrator: approval request ")));
    assert_eq!(left.column("result_attempts"), ["1"; 4], "being asked for a reason is no attempt");
    let asked = graph.posts();
    assert!(asked[0].justification.is_none(), "nobody is told why who did not ask");
    // Nobody has decided yet: nothing is sent.
    let left = home.run(&format!("resume --out out {}", graph.places())).exits(9).counts_are(&[("awaiting_approval", 4)]);
    assert!(left.column("result_reason").iter().all(|reason| reason.contains(" until 20")), "{:?}", left.column("result_reason"));
    assert_eq!(graph.posts().len(), asked.len());
    graph.decide(Decision::Approve);
    let left = home.run(&format!("resume --out out {}", graph.places())).exits(0).counts_are(&[("revoked", 4)]);
    assert_eq!(left.column("result_attempts"), ["2"; 4]);
    let sent = graph.posts().split_off(asked.len());
    assert!(sent.len() == 4 && sent.iter().all(|post| post.approval_code.is_some() && post.justification.is_none()));
    assert!(graph.approvals().iter().all(|request| request.status == ApprovalStatus::Completed));
    for (collection, n) in [(Collection::AndroidDeviceOwner, 1), (Collection::VppTokens, 4)] {
        assert_eq!(graph.effects(collection, id(n)), 1);
    }
}

#[test]
fn a_tenant_that_asks_in_vain_is_stopped_and_may_be_told_later() {
    for refusal in [400, 403] {
        let (graph, home) = (guarded(Approval { refusal, ..Approval::default() }, Vec::new()), home());
        let left = home.run(&format!("run list.csv {}", graph.flags())).exits(4).says(&["--justification TEXT"]);
        let left = left.counts_are(&[("not_attempted", 4)]);
        assert!(left.column("result_reason").iter().all(|reason| reason.contains("--justification")));
        assert!(graph.approvals().is_empty());
        let why = "--justification CHG-1";
        home.run(&format!("resume --out out {why} {}", graph.places())).exits(9).counts_are(&[("awaiting_approval", 4)]);
    }
}

#[test]
fn with_every_write_or_from_the_ticket_the_reason_goes_along() {
    let (graph, home) = (guarded(Approval::default(), Vec::new()), home());
    home.write("config.toml", "[approval]\nmode = \"always\"\n");
    home.run(&format!("run list.csv --ticket CHG-4711 {}", graph.flags())).exits(9);
    assert!(graph.posts().iter().all(|post| post.justification.as_deref() == Some("CHG-4711")));
    assert_eq!(graph.posts().len(), 4);
    let long = "x".repeat(1_025);
    home.run(&format!("run list.csv --justification {long} {}", graph.flags())).exits(2).says(&["1025 characters", "1024"]);
}

#[test]
fn what_is_not_approved_ends_as_refused_and_is_not_sent() {
    for (decision, word) in [(Decision::Reject, "rejected"), (Decision::Cancel, "cancelled"), (Decision::Expire, "expired")] {
        let (graph, home) = (guarded(Approval::default(), Vec::new()), home().with(WHY, "CHG-1"));
        home.run(&format!("run list.csv {}", graph.flags())).exits(9);
        let posts = graph.posts().len();
        graph.decide(decision);
        let left = home.run(&format!("resume --out out {}", graph.places())).exits(7).counts_are(&[("refused", 4)]);
        assert!(left.column("result_reason").iter().all(|reason| reason.contains(word)), "{:?}", left.column("result_reason"));
        assert_eq!(graph.posts().len(), posts);
    }
}

#[test]
fn who_may_not_read_the_requests_goes_on_waiting_and_is_told_the_permission() {
    let (graph, home) = (guarded(Approval { polling: false, ..Approval::default() }, Vec::new()), home().with(WHY, "CHG-1"));
    home.run(&format!("run list.csv {}", graph.flags())).exits(9);
    graph.decide(Decision::Approve);
    let posts = graph.posts().len();
    let left = home.run(&format!("resume --out out {}", graph.places())).exits(9).counts_are(&[("awaiting_approval", 4)]);
    let reasons = left.column("result_reason");
    assert!(reasons.iter().all(|reason| reason.contains("DeviceManagementRBAC.Read.All")), "{reasons:?}");
    assert_eq!(graph.posts().len(), posts);
}

#[test]
fn a_token_that_is_reissued_while_it_waits_is_spared_and_so_is_what_is_protected_meanwhile() {
    let (graph, home) = (guarded(Approval::default(), Vec::new()), home().with(WHY, "CHG-1"));
    home.run(&format!("run list.csv {}", graph.flags())).exits(9);
    graph.decide(Decision::Approve);
    assert!(graph.reissue(TENANT, Collection::AndroidDeviceOwner, id(2)));
    home.write("config.toml", format!("[guard]\nprotect = [\"{}\"]\n", id(3)));
    let left = home.run(&format!("resume --out out {}", graph.places())).exits(7);
    left.counts_are(&[("revoked", 2), ("skipped", 1), ("superseded", 1)]);
    assert_eq!((2..=3).map(|n| graph.effects(Collection::AndroidDeviceOwner, id(n))).sum::<u32>(), 0);
}

#[test]
fn a_run_can_wait_for_its_approvals() {
    let decided = Approval { decisions: vec![Decision::Approve], after: Span::of_millis(500, 500), ..Approval::default() };
    let (graph, home) = (guarded(decided, Vec::new()), home().with(WHY, "CHG-1"));
    let left = home.run(&format!("run list.csv --approval-wait 1m {}", graph.flags())).exits(0);
    left.counts_are(&[("revoked", 4)]);
}

#[test]
fn a_tenant_that_was_stopped_stays_so_while_another_is_waited_for() {
    let later = Fault::canned(Answer::empty(429).with("retry-after", "3600"));
    let decided = Approval {
        tenants: vec![TENANT],
        decisions: vec![Decision::Approve],
        after: Span::of_millis(500, 500),
        ..Approval::default()
    };
    let graph = guarded(decided, vec![Rule::on(Call::Revoke, later).of(id(9)).times(1)]);
    let config = format!(
        "[auth]\nclient_id = \"{APP}\"\nclient_secret = \"env:AZURE_CLIENT_SECRET\"\n\
         [tenants.contoso]\ntenant_id = \"{TENANT}\"\n[tenants.fabrikam]\ntenant_id = \"{OTHER}\"\n"
    );
    let list = format!("tenant,kind,id\ncontoso,device-owner,{}\nfabrikam,device-owner,{}\n", id(1), id(9));
    let home = home().with(WHY, "CHG-1").file("config.toml", config).file("list.csv", list);
    let left = home.run(&format!("run list.csv --max-pause 1m --approval-wait 1m {}", graph.flags())).exits(10);
    assert_eq!(left.statuses(), ["revoked", "not_attempted"]);
    assert_eq!(graph.posts().iter().filter(|post| post.id == Some(id(9))).count(), 1);
}

#[test]
fn an_interruption_ends_the_wait_and_the_run_is_resumed() {
    let (graph, home) = (guarded(Approval::default(), Vec::new()), home().with(WHY, "CHG-1"));
    let mut process = home.start(&format!("run list.csv --approval-wait 10m {}", graph.flags()));
    graph.wait_until(&mut process, |log| log.iter().any(|entry| entry.path.contains("operationApprovalRequests")));
    process.signal("INT");
    home.left(process).exits(130).counts_are(&[("awaiting_approval", 4)]);
    graph.decide(Decision::Approve);
    home.run(&format!("resume --out out {}", graph.places())).exits(0).counts_are(&[("revoked", 4)]);
}

#[test]
fn an_answer_that_is_lost_with_its_code_doubles_nothing() {
    let lost = Rule::on(Call::Revoke, Fault::new(Kind::Cut).after_effect()).of(id(2)).nth(2);
    let (graph, home) = (guarded(Approval::default(), vec![lost]), home().with(WHY, "CHG-1"));
    home.write("config.toml", "[approval]\nmode = \"always\"\n[run]\nsettle = \"100ms\"\n");
    home.run(&format!("run list.csv {}", graph.flags())).exits(9).counts_are(&[("awaiting_approval", 4)]);
    graph.decide(Decision::Approve);
    let left = home.run(&format!("resume --out out {}", graph.places()));
    for n in 1..=3 {
        assert!(graph.effects(Collection::AndroidDeviceOwner, id(n)) <= 1);
    }
    let rows = left.rows();
    let effects = graph.effects(Collection::AndroidDeviceOwner, id(2));
    assert_eq!(rows[1]["result_status"], if effects == 1 { "revoked" } else { "awaiting_approval" });
}

#[test]
fn a_lost_completion_is_read_back_and_not_repeated() {
    for effect in [true, false] {
        let fault = if effect { Fault::new(Kind::Cut).after_effect() } else { Fault::new(Kind::Cut) };
        let (graph, home) = (guarded(Approval::default(), vec![Rule::on(Call::Revoke, fault).of(id(1)).nth(2)]), home());
        home.write("config.toml", "[approval]\nmode = \"always\"\n");
        home.run(&format!("run list.csv --justification CHG-1 {}", graph.flags())).exits(9);
        graph.decide(Decision::Approve);
        home.run(&format!("resume --out out {}", graph.places())).exits(0).counts_are(&[("revoked", 4)]);
        let completions = graph.posts().iter().filter(|post| post.id == Some(id(1)) && post.approval_code.is_some()).count();
        assert_eq!((completions, graph.effects(Collection::AndroidDeviceOwner, id(1))), (if effect { 1 } else { 2 }, 1));
    }
}

#[test]
fn verify_reads_what_waits_and_sends_nothing() {
    let (graph, home) = (guarded(Approval::default(), Vec::new()), home().with(WHY, "CHG-1"));
    home.run(&format!("run list.csv {}", graph.flags())).exits(9);
    graph.decide(Decision::Approve);
    let posts = graph.posts().len();
    home.run(&format!("verify --out out {}", graph.places())).exits(9).counts_are(&[("awaiting_approval", 4)]);
    assert_eq!(graph.posts().len(), posts);
}
