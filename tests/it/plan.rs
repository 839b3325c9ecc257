//! `plan`: whom a run would hit and what follows from it, before anything is sent.

use bulk_revoke::sim::{Behaviour, Shares};
use serde_json::{Value, json};

use crate::kit::{Graph, Home, Left, Stub, devices, id, object};

/// Rows of every kind; a duplicate, a protected id, and one that the service does not know.
fn everything() -> Home {
    let list = format!(
        "{}device-owner,{}\nafw,{}\nafw,{}\nvpp,{}\ndevice-owner,{}\n",
        devices(3),
        id(1),
        id(5),
        id(1_000),
        id(7),
        id(9)
    );
    Home::signed_in().file("list.csv", list).file("config.toml", format!("[guard]\nprotect = [\"{}\"]\n", id(9)))
}

fn says(left: &Left, words: &[&str]) {
    for word in words {
        assert!(left.stdout.contains(word), "{word:?} is not in: {}", left.stdout);
    }
}

#[test]
fn a_plan_shows_every_kind_on_80_columns_and_sends_and_writes_nothing() {
    let (graph, home) = (Graph::with([]), everything());
    let left = home.run(&format!("plan list.csv {}", graph.places())).exits(0);
    says(
        &left,
        &[
            "5 of 8 rows would be sent\n",
            "3 to send, 7 % of the tenant's 40; 1 duplicate, 1 protected\n",
            "1 to send, 2 % of the tenant's 40; 1 unknown id\n",
            "  Simulated 9dfb369b\n    9dfb369b-ab13-4fae-a276-000000000001  live, ends 20",
            " devices\n",
            "    not sent (list.csv:5): duplicate of line 2\n",
            "    not sent (list.csv:9): protected by the configuration\n",
            "    not sent (list.csv:7): not found, the service does not know this id; nothing\n    was sent\n",
            "  valid, ends 20",
            "    organisation Simulated School; location Location 9dfb369b; Apple ID",
            "1 token with notifyManagedDevices false and revokeUntrackedLicenses false\n",
            "devices that are enrolled stay enrolled",
            "takes a few seconds",
        ],
    );
    assert!(left.stdout.lines().all(|line| line.chars().count() <= 80), "{}", left.stdout);
    assert!(!left.stderr.contains("to send"), "said once: {}", left.stderr);
    assert_eq!((graph.posts().len(), home.path("reports").exists()), (0, false));
    let runs = home.run("runs --format json").exits(0).stdout;
    let run: Value = serde_json::from_str(&runs).unwrap();
    assert_eq!((&run["state"], &run["exit_code"], &run["pending"]), (&json!("dry"), &json!(0), &json!(5)));
    // Neither unfinished nor in the way of the run itself.
    home.run(&format!("run list.csv --verify off {}", graph.flags())).exits(7);
}

#[test]
fn a_plan_as_csv_is_a_list_with_the_options_of_the_job() {
    let job = format!(
        "version = 1\nkind = \"vpp\"\nlists = [\"ids.txt\"]\n[vpp]\nnotify_managed_devices = true\n[[items]]\nid = \"{}\"\nkind = \"afw\"\n",
        id(3)
    );
    let home = Home::signed_in().unverified().file("job.toml", job).file("ids.txt", format!("{}\n{}\n", id(1), id(2)));
    let stub = Stub::content();
    let planned = home.run(&format!("plan job.toml --format csv {}", stub.places().replace("--out out", ""))).exits(0);
    assert!(planned.stderr.contains("3 rows: 3 to send"), "{}", planned.stderr);
    assert_eq!(stub.posts().len(), 0);
    home.write("plan.csv", &planned.stdout);
    let left = home.run(&format!("run plan.csv {}", stub.flags())).exits(0).counts_are(&[("accepted", 3)]);
    assert_eq!(left.column("action"), ["send"; 3]);
    let notified = |post: &crate::kit::Seen| post.body.contains(r#""notifyManagedDevices":true,"revokeUntrackedLicenses":false"#);
    assert_eq!((stub.posts().len(), stub.posts().iter().filter(|post| notified(post)).count()), (3, 2));
}

#[test]
fn a_plan_that_a_guard_refuses_is_shown_all_the_same() {
    let (graph, home) =
        (Graph::of(Behaviour { shares: Shares { expired: 1.0, ..Shares::default() }, ..Behaviour::immediate() }), everything());
    let left = home.run(&format!("plan list.csv --format json --max-items 0 {}", graph.places())).exits(6);
    let lines: Vec<Value> = left.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["action"], &lines[0]["state"]), (9, &json!("already_inactive"), &json!("expired")));
    assert!(lines[0]["enrolledDeviceCount"].is_u64() && lines[0]["displayName"] == "Simulated 9dfb369b", "{}", lines[0]);
    // An expired Apple token still holds its licences, and is sent.
    assert_eq!(
        (&lines[6]["action"], &lines[6]["state"], &lines[6]["notifyManagedDevices"]),
        (&json!("send"), &json!("expired"), &json!(false))
    );
    let vpp = lines[8]["totals"].as_array().unwrap().last().unwrap();
    assert_eq!((&vpp["kind"], &vpp["objects"], &vpp["actions"]), (&json!("vppToken"), &json!(40), &json!({"send": 1})));
    assert_eq!(graph.posts().len(), 0);
}

#[test]
fn a_tenant_that_cannot_be_signed_in_to_is_shown_as_not_reached() {
    let graph = Graph::with_secret(Behaviour::immediate(), "another");
    let left = everything().run(&format!("plan list.csv {}", graph.places())).exits(4);
    says(
        &left,
        &[
            "0 of 8 rows would be sent",
            "    stopped: failed to sign in to",
            "3 not attempted",
            "not sent (list.csv:2): not attempted, its tenant is stopped",
        ],
    );
    assert!(left.stdout.lines().all(|line| line.chars().count() <= 80), "{}", left.stdout);
    assert_eq!(left.stdout.matches("invalid_client").count(), 1, "said once: {}", left.stdout);
}

#[test]
fn a_revoke_action_at_work_is_shown_as_followed() {
    let stub = Stub::reading(|seen| {
        let token = json!({"id": id(1), "state": "valid", "tokenActionResults": [crate::kit::action("active", 0)]});
        seen.reads_object().then(|| object(&token))
    });
    let home = Home::signed_in().file("list.csv", crate::kit::tokens(1));
    let left = home.run(&format!("plan list.csv {}", stub.places().replace("--out out", ""))).exits(0);
    says(
        &left,
        &[
            "0 of 1 row would be sent",
            "0 to send; 1 at work already",
            "not sent (list.csv:2): follow, a revoke action is at work already",
        ],
    );
}
