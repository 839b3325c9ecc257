//! Sealed plans: exactly what was reviewed is sent, once, for a day, and to whom it was meant for.

use bulk_revoke::sim::{Answer, Call, Collection, Fault, Rule};
use sha2::{Digest as _, Sha256};

use crate::kit::{APP, Graph, Home, OTHER, TENANT, all_at_once, devices, id};

/// Two device-owner profiles with a column of their own, an Apple token with an option, and a repetition.
fn list() -> String {
    let owner = "androidDeviceOwnerEnrollmentProfile";
    let rows = [(owner, 1, ""), (owner, 2, ""), ("vppToken", 3, "true"), (owner, 1, "")];
    let row = |(kind, n, notify): (&str, u128, &str)| format!("{kind},{},{notify},note {n}\n", id(n));
    format!("kind,id,notifyManagedDevices,Note\n{}", rows.map(row).concat())
}

fn saved(graph: &Graph, flags: &str) -> Home {
    let home = Home::signed_in().unverified().file("list.csv", list());
    home.run(&format!("plan list.csv --save plan.json --ticket CHG-7 {flags} {}", graph.places())).exits(0);
    home
}

fn run(graph: &Graph, more: &str) -> String {
    format!("run --plan plan.json {more} {}", graph.flags())
}

/// A plan of these lines, whatever they say.
fn sealed_anew(lines: &str) -> String {
    format!("{lines}],\"fingerprint\":\"{:x}\"}}\n", Sha256::digest(lines))
}

/// The full form of its fingerprint, as it stands in the file.
fn fingerprint(plan: &str) -> &str {
    plan.trim_end().rsplit('"').nth(1).unwrap_or_default()
}

#[test]
fn a_plan_is_carried_out_once_and_its_report_has_the_columns_of_its_lists() {
    let graph = Graph::with([]);
    let home = Home::signed_in().unverified().file("list.csv", list());
    let left = home.run(&format!("plan list.csv --save plan.json --ticket CHG-7 {}", graph.places())).exits(0);
    let left = left.says(&["sealed 3 items into plan.json", "2 androidDeviceOwnerEnrollmentProfile, 1 vppToken"]);
    let short = left.stderr.split("run --plan plan.json --fingerprint ").nth(1).unwrap().split_whitespace().next().unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(home.path("plan.json")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Whatever the list says by now, and whoever is to be asked.
    home.write("list.csv", devices(9));
    home.run(&format!("run --plan plan.json {}", graph.places())).exits(6).says(&["nobody can be asked"]);
    let left = home.run(&run(&graph, &format!("--fingerprint {}", short.to_lowercase()))).exits(0);
    let left = left.counts_are(&[("accepted", 3)]);
    assert_eq!(left.column("Note"), ["note 1", "note 2", "note 3"]);
    assert_eq!(
        (left.column("result_line"), left.column("result_source")[0].as_str()),
        (["2", "3", "4"].map(str::to_owned).to_vec(), "list.csv")
    );
    let (summary, posts) = (left.summary(), graph.posts());
    assert_eq!((summary["ticket"].as_str(), summary["job"].as_str()), (Some("CHG-7"), Some("list")));
    assert_eq!(posts.iter().filter(|post| post.body.replace(' ', "").contains("\"notifyManagedDevices\":true")).count(), 1);
    let text = String::from_utf8(left.bytes("plan.json")).unwrap();
    assert_eq!(summary["plan"].as_str(), Some(fingerprint(&text)));
    home.run(&run(&graph, "")).exits(6).says(&["has carried out the plan", "bulk-revoke resume 20"]);
    assert_eq!(graph.posts().len(), 3);
}

#[test]
fn a_plan_that_was_changed_sends_nothing() {
    let graph = Graph::with([]);
    let home = saved(&graph, "");
    let text = std::fs::read_to_string(home.path("plan.json")).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (first, other) = (id(1).to_string(), id(9).to_string());
    let pin = &text[text.find("\"created\":\"20").unwrap()..][..15];
    let expiry = &text[text.find("\"expires_at\":\"20").unwrap()..][..18];
    let changes = [
        text.replacen(&format!("\"id\":\"{first}"), &format!("\"id\":\"{other}"), 1),
        text.replace("\"notify_managed_devices\":true", "\"notify_managed_devices\":false"),
        text.replace(&TENANT.to_string(), &OTHER.to_string()),
        text.replace(expiry, &expiry.replace("\"20", "\"21")),
        text.replacen(pin, &pin.replace("\"20", "\"21"), 1),
        [lines[0], lines[1], lines[2], lines[2], lines[3], lines[4]].concat(),
        [lines[0], lines[1], lines[4]].concat(),
        text.replace("\"again\":false", "\"again\":false,\"more\":1"),
        text.replace("\"again\":false", "\"again\":false,\"again\":true"),
    ];
    all_at_once(changes.iter().enumerate(), |(n, changed)| {
        assert_ne!(*changed, text, "{n}");
        home.write(&format!("plan{n}.json"), changed);
        home.run(&format!("run --plan plan{n}.json {}", graph.flags())).exits(6).says(&["changed after it was saved"]);
    });
    // Whoever changes a plan can make it look whole: it is another one all the same, and none that names an object twice.
    let (twice, own) = (sealed_anew(&[lines[0], lines[1], ",", lines[1]].concat()), fingerprint(&text));
    home.write("twice.json", twice);
    home.run(&format!("run --plan twice.json {}", graph.flags())).exits(3).says(&["names an object twice"]);
    home.run(&format!("run --plan twice.json --fingerprint {own} {}", graph.flags())).exits(6).says(&["not the plan"]);
    home.run(&format!("run --plan list.csv {}", graph.flags())).exits(3).says(&["not a sealed plan"]);
    assert_eq!(graph.posts().len(), 0);
}

#[test]
fn what_was_reissued_since_the_plan_is_not_sent_unless_the_plan_allowed_it() {
    for (plan, run_with, sent) in [("", "", 2), ("", "--no-preflight", 2), ("--allow-reissued", "", 3)] {
        let graph = Graph::with([]);
        let home = saved(&graph, plan);
        assert!(graph.reissue(TENANT, Collection::AndroidDeviceOwner, id(1)));
        let left = home.run(&run(&graph, run_with));
        let superseded = left.statuses().iter().filter(|status| *status == "superseded").count();
        assert_eq!((superseded, graph.posts().len()), (3 - sent, sent), "{plan} {run_with}: {}", left.stderr);
        assert_eq!(left.code, Some(if sent == 3 { 0 } else { 7 }));
    }
}

#[test]
fn a_plan_is_bound_to_its_service_its_tenants_and_their_app() {
    let (graph, elsewhere) = (Graph::with([]), Graph::with([]));
    let home = saved(&graph, "");
    home.run(&run(&elsewhere, "")).exits(6).says(&["bound to the Graph root"]);
    let home = home.with("AZURE_CLIENT_ID", &OTHER.to_string());
    home.run(&run(&graph, "")).exits(6).says(&["bound to the app", &APP.to_string()]);
    let home = home.with("AZURE_TENANT_ID", &OTHER.to_string());
    home.run(&run(&graph, "")).exits(6).says(&["bound to the tenant", &TENANT.to_string()]);
    assert_eq!((graph.posts().len(), elsewhere.log().len()), (0, 0));
}

#[test]
fn a_plan_keeps_the_guards_and_takes_nothing_beside_it() {
    let graph = Graph::with([]);
    let home = saved(&graph, "");
    home.run(&run(&graph, "--max-items 2")).exits(6).says(&["--max-items 3 to allow it"]);
    for more in ["list.csv", "--tenant x", "--only-tenant x", "--kind vpp", "--skip-invalid", "--allow-reissued", "--simulate"] {
        home.run(&run(&graph, more)).exits(2).says(&["cannot be used with"]);
    }
    home.run(&run(&graph, "--dry-run")).exits(0).counts_are(&[("not_attempted", 3)]);
    assert_eq!(graph.posts().len(), 0);
}

#[test]
fn what_a_run_would_refuse_or_cannot_be_pinned_is_not_saved() {
    let graph = Graph::with([]);
    let home = Home::signed_in().file("list.csv", list()).file("gone.csv", format!("kind,id\nafw,{}\n", id(1_000)));
    let plan = |flags: &str| home.run(&format!("plan {flags} --save plan.json {}", graph.places()));
    plan("list.csv --max-items 2").exits(6);
    plan("gone.csv").exits(5).says(&["no plan to save"]);
    plan("list.csv --no-preflight").exits(2);
    home.run("plan list.csv --simulate --save plan.json").exits(2);
    assert!(!home.path("plan.json").exists());
}

#[test]
fn what_was_sealed_for_reissued_tokens_is_resumed_so_and_no_other_plan_is() {
    for (flags, second) in [("--allow-reissued", "accepted"), ("", "superseded")] {
        let refused = Rule::on(Call::Revoke, Fault::canned(Answer::empty(400))).of(id(1));
        let (graph, home) = (Graph::with([refused]), Home::signed_in().unverified().file("list.csv", devices(2)));
        home.run(&format!("plan list.csv --save plan.json {flags} {}", graph.places())).exits(0);
        home.run(&run(&graph, "--canary 1")).exits(10).counts_are(&[("refused", 1), ("not_attempted", 1)]);
        assert!(graph.reissue(TENANT, Collection::AndroidDeviceOwner, id(2)));
        let left = home.run(&format!("resume --out out {}", graph.places())).exits(7);
        assert_eq!(left.statuses(), ["refused", second], "{flags}");
    }
}
