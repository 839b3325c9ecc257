//! `list`: what tenants have of a kind, as a list that `run` accepts.

use bulk_revoke::sim::{Answer, Behaviour, Call, Fault, Rule, Shares};
use serde_json::json;

use crate::kit::{APP, Graph, Home, OTHER, Stub, TENANT, answer, id, object};

fn places(url: &str) -> String {
    format!("--graph-root {url} --authority {url}")
}

#[test]
fn what_is_active_is_listed_to_the_last_page_and_is_a_list_that_run_accepts() {
    let shares = Shares { expired: 0.5, ..Shares::default() };
    let graph = Graph::of(Behaviour { shares, page_size: 7, ..Behaviour::immediate() });
    let home = Home::signed_in().unverified();
    let all = home.run(&format!("list device-owner {}", graph.places())).exits(0).stdout;
    assert!(
        all.starts_with("kind,id,tenant,displayName,state,expirationDateTime,enrolledDeviceCount,organizationName,"),
        "{all}"
    );
    assert_eq!((all.lines().count(), graph.lists_and_objects()), (41, (6, 0)));
    let active = home.run(&format!("list device-owner --active {}", graph.places())).exits(0).stdout;
    let live = all.lines().filter(|line| !line.contains(",expired,"));
    assert_eq!(active.lines().collect::<Vec<_>>(), live.collect::<Vec<_>>());
    let count = active.lines().count() - 1;
    assert!(count > 0 && count < 40 && graph.posts().is_empty(), "{active}");
    home.write("all.csv", &active);
    home.run(&format!("run all.csv --max-items {count} {}", graph.flags())).exits(0).counts_are(&[("accepted", count)]);
}

#[test]
fn a_vpp_token_is_active_while_it_is_valid_and_no_secret_is_shown() {
    let token = |n, state| json!({"id": id(n), "displayName": "=A", "appleId": "a@b.example", "state": state, "token": "S3CRET"});
    let page = json!({"value": [token(1, "valid"), token(2, "expired"), {"id": "no guid", "state": "valid"}]});
    let stub = Stub::reading(move |_| Some(object(&page)));
    let home = Home::signed_in();
    let left = home.run(&format!("list vpp --active {}", places(stub.url()))).exits(0).says(&["1 objects are left out"]);
    let rows: Vec<&str> = left.stdout.lines().skip(1).collect();
    assert_eq!(rows, [format!("vppToken,{},{TENANT},'=A,valid,,,,,a@b.example", id(1))]);
    let left = home.run(&format!("list vppToken --format table {}", places(stub.url()))).exits(0);
    let text =
        format!("vppToken: {TENANT}\n  =A\n    {}  valid\n    Apple ID a@b.example\n  =A\n    {}  expired\n", id(1), id(2));
    assert!(left.stdout.starts_with(&text) && !left.stdout.contains("S3CRET"), "{}", left.stdout);
}

#[test]
fn a_page_that_fails_for_a_passing_reason_is_asked_for_again() {
    let rules = [
        Rule::on(Call::List, Fault::status(503)).times(1),
        Rule::on(Call::List, Fault::new(bulk_revoke::sim::Kind::TokenExpired)).times(1),
    ];
    let graph = Graph::with(rules);
    let left = Home::signed_in().run(&format!("list afw --format json {}", graph.places())).exits(0);
    let first: serde_json::Value = serde_json::from_str(left.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((left.stdout.lines().count(), &first["state"]), (40, &json!("live")));
}

#[test]
fn a_list_that_is_not_complete_never_ends_in_0() {
    let denied = json!({"error": {"code": "Forbidden", "message": "no"}});
    let graph = Graph::with([Rule::on(Call::List, Fault::canned(Answer::json(403, &denied)))]);
    Home::signed_in().run(&format!("list afw {}", graph.places())).exits(4).says(&["its list is not complete", "(403)"]);
    let stub = Stub::reading(|seen| {
        let link = json!({"value": [{"id": id(1)}], "@odata.nextLink": "https://elsewhere.example/x"});
        Some(if seen.line().contains("WorkEnrollment") { object(&link) } else { answer(429, "Retry-After: 86400\r\n", "") })
    });
    let home = Home::signed_in();
    let left = home.run(&format!("list afw {}", places(stub.url()))).exits(7).says(&["leads to another place"]);
    assert_eq!(left.stdout.lines().count(), 2, "{}", left.stdout);
    home.run(&format!("list vpp {}", places(stub.url()))).exits(10).says(&["--max-pause"]);
}

#[test]
fn all_tenants_are_listed_unless_one_is_named() {
    let table = |name: &str, tenant| {
        format!("[tenants.{name}]\ntenant_id = \"{tenant}\"\nclient_id = \"{APP}\"\nclient_secret = \"env:SECRET\"\n")
    };
    let config = format!("{}{}", table("contoso", "contoso.com".to_owned()), table("fabrikam", OTHER.to_string()));
    let home = Home::new().with("SECRET", "simulated").file("config.toml", config);
    let graph = Graph::with([]);
    let count = |flags: &str| {
        let left = home.run(&format!("list afw {flags} {}", graph.places())).exits(0);
        ["contoso", "fabrikam"].map(|name| left.stdout.matches(&format!(",{name},")).count())
    };
    assert_eq!((count(""), count("--tenant fabrikam"), count(&format!("--only-tenant {TENANT}"))), ([40, 40], [0, 40], [40, 0]));
    home.run(&format!("list afw --tenant nobody {}", graph.places())).exits(3).says(&["unknown tenant \"nobody\""]);
    home.run("list nothing").exits(2);
}

#[test]
fn a_tenant_that_has_none_is_fine() {
    let stub = Stub::content();
    let left = Home::signed_in().run(&format!("list vpp {}", places(stub.url()))).exits(0).says(&["no vppToken is there"]);
    assert_eq!(left.stdout.lines().count(), 1);
}
