//! Several tenants in one run: names, tables, domains, whose token is whose, and that one's trouble is not the others'.

use bulk_revoke::sim::{Answer, Behaviour, Call, Fault, Rule};
use serde_json::json;
use uuid::Uuid;

use crate::kit::{APP, Graph, Home, OTHER, TENANT, devices, id, jwt, rows};

/// Two tables: one by GUID, one by domain, each with a secret of its own name.
fn config() -> String {
    format!(
        "[auth]\nclient_id = \"{APP}\"\n\n\
         [tenants.contoso]\ntenant_id = \"{TENANT}\"\nclient_secret = \"env:CONTOSO_SECRET\"\n\n\
         [tenants.fabrikam]\ntenant_id = \"fabrikam.com\"\nclient_secret = \"file:fabrikam.secret\"\n"
    )
}

fn home() -> Home {
    Home::new().with("CONTOSO_SECRET", "simulated").file("fabrikam.secret", "simulated\n").file("config.toml", config())
}

#[test]
fn one_list_goes_to_several_tenants_each_with_its_own_token() {
    let graph = Graph::with([]);
    let list = format!("tenant,kind,id\ncontoso,afw,{0}\nfabrikam,afw,{0}\ncontoso,vpp,{1}\nFabrikam,vpp,{1}\n", id(1), id(2));
    let home = home().file("list.csv", list);
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("revoked", 4)]);
    let of = |tenant: Uuid| graph.posts().iter().filter(|post| post.tenant == Some(tenant)).count();
    assert_eq!((of(TENANT), of(OTHER), graph.token_requests()), (2, 2, 2));
    assert_eq!(left.column("result_tenant"), ["contoso", "fabrikam", "contoso", "fabrikam"]);
    let tenants = left.summary()["tenants"].as_array().cloned().unwrap_or_default();
    assert_eq!(tenants.iter().map(|tenant| &tenant["label"]).collect::<Vec<_>>(), ["contoso", "fabrikam"]);
    assert!(tenants.iter().all(|tenant| tenant["items"]["revoked"] == 2));
}

#[test]
fn a_tables_name_a_domain_and_a_guid_are_one_tenant() {
    let graph = Graph::with([]);
    let names = ["contoso", "CONTOSO", &TENANT.to_string(), &format!("{{{TENANT}}}"), "contoso.com", "contoso.onmicrosoft.com"];
    let rows = rows(0..6, |n| format!("{},afw,{}\n", names[n as usize], id(1)));
    let home = home().unverified().file("list.csv", format!("tenant,kind,id\n{rows}"));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(0);
    let left = left.counts_are(&[("accepted", 1), ("skipped", 5)]);
    assert_eq!(graph.posts().len(), 1);
    assert!(left.column("result_reason")[1..].iter().all(|reason| reason == "duplicate of line 2"));
}

#[test]
fn the_only_table_is_the_tenant_of_rows_that_name_none() {
    let graph = Graph::with([]);
    let only = config().split("[tenants.fabrikam]").next().unwrap_or_default().to_owned();
    let home = home().unverified().file("config.toml", only).file("list.csv", devices(2));
    home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("accepted", 2)]);
}

#[test]
fn rows_that_could_be_any_tenants_are_refused_and_the_known_ones_are_named() {
    let graph = Graph::with([]);
    let home = home().unverified().file("list.csv", devices(2));
    home.run(&format!("run list.csv {}", graph.flags())).exits(3).says(&["list.csv:2", "contoso, fabrikam", "--tenant"]);
    home.run(&format!("run list.csv --tenant acme {}", graph.flags())).exits(3).says(&["acme", "contoso, fabrikam"]);
    assert!(graph.posts().is_empty());
    home.run(&format!("run list.csv --tenant fabrikam {}", graph.flags())).exits(0);
    assert!(graph.posts().iter().all(|post| post.tenant == Some(OTHER)));
}

#[test]
fn a_domain_that_nobody_has_is_invalid() {
    let graph = Graph::with([]);
    let home = home().file("list.csv", format!("tenant,kind,id\nnobody.example,afw,{}\n", id(1)));
    home.run(&format!("run list.csv {}", graph.flags())).exits(3).says(&["list.csv:2", "nobody.example"]);
    assert!(graph.posts().is_empty());
}

#[test]
fn two_tables_of_one_tenant_are_refused() {
    let graph = Graph::with([]);
    let home = home().file("config.toml", config().replace("fabrikam.com", "contoso.com"));
    let home = home.file("list.csv", format!("tenant,kind,id\ncontoso,afw,{}\nfabrikam,afw,{}\n", id(1), id(2)));
    home.run(&format!("run list.csv {}", graph.flags())).exits(3).says(&["contoso", "fabrikam", "same tenant"]);
    assert!(graph.posts().is_empty());
}

#[test]
fn one_tenant_that_cannot_sign_in_does_not_stop_the_others() {
    let graph = Graph::with([]);
    let list = format!("tenant,kind,id\ncontoso,afw,{0}\nfabrikam,afw,{0}\ncontoso,afw,{1}\n", id(1), id(2));
    let home = home().unverified().with("CONTOSO_SECRET", "wrong").file("list.csv", list);
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(4);
    let left = left.counts_are(&[("not_attempted", 2), ("accepted", 1)]);
    assert_eq!(left.statuses(), ["not_attempted", "accepted", "not_attempted"]);
    assert!(graph.posts().iter().all(|post| post.tenant == Some(OTHER)));
}

#[test]
fn what_one_tenant_has_left_is_finished_though_another_that_is_done_cannot_be_entered_any_more() {
    let graph = Graph::with([]);
    let list = format!("tenant,kind,id\ncontoso,afw,{0}\nfabrikam,afw,{0}\n", id(1));
    let home = home().file("fabrikam.secret", "wrong").file("list.csv", list);
    home.run(&format!("run list.csv {}", graph.flags())).exits(4);
    let (home, asked) = (home.without("CONTOSO_SECRET").file("fabrikam.secret", "simulated"), graph.token_requests());
    // Nor is its domain asked for.
    home.write(
        "config.toml",
        config().replace("client_secret = \"env", "expect_domain = \"fabrikam.com\"\nclient_secret = \"env"),
    );
    let left = home.run(&format!("resume --out out {}", graph.places())).exits(0);
    assert_eq!(left.statuses(), ["revoked", "revoked"]);
    assert_eq!((graph.posts().len(), graph.token_requests()), (2, asked + 1));
}

#[test]
fn one_tenants_pause_does_not_stop_the_others() {
    let long = Fault::canned(Answer::empty(429).with("retry-after", "86400"));
    let graph = Graph::with([Rule::on(Call::Revoke, long).of(id(1))]);
    let list = format!("tenant,kind,id\ncontoso,afw,{0}\ncontoso,afw,{1}\nfabrikam,afw,{1}\n", id(1), id(2));
    let home = home().file("list.csv", list);
    let left = home.run(&format!("run list.csv --concurrency 1 {}", graph.flags())).exits(10);
    assert_eq!(left.statuses(), ["not_attempted", "not_attempted", "revoked"]);
    let stops: Vec<_> = left.summary()["tenants"].as_array().into_iter().flatten().map(|row| row["stopped_by"].clone()).collect();
    assert_eq!(stops, [json!("max_pause"), json!(null)]);
}

/// A simulator whose token endpoint hands out this token.
fn issuing(token: &str) -> Graph {
    let body = json!({"token_type": "Bearer", "expires_in": 3_600, "access_token": token});
    let canned = Fault::canned(Answer::text(200, "application/json", body.to_string()));
    Graph::with([Rule::on(Call::Token, canned)])
}

#[test]
fn a_token_of_another_tenant_refuses_the_run() {
    let graph = issuing(&jwt(OTHER));
    let home = Home::signed_in().file("list.csv", devices(2));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(6);
    left.says(&[&OTHER.to_string(), "nothing was sent"]);
    assert!(graph.posts().is_empty());
}

#[test]
fn a_token_that_does_not_show_its_tenant_is_refused_unless_the_configuration_allows_it() {
    let graph = issuing("opaque");
    let home = Home::signed_in().file("list.csv", devices(1));
    home.run(&format!("run list.csv {}", graph.flags())).exits(6).says(&["allow_opaque_token"]);
    assert!(graph.posts().is_empty());
    home.write("config.toml", "[auth]\nallow_opaque_token = true\n");
    home.run(&format!("run list.csv {}", graph.flags())).exits(4);
    assert!(!graph.reads().is_empty() && graph.posts().is_empty(), "it was tried, and the simulator does not know it");
}

#[test]
fn secrets_are_never_plain_in_a_file_and_missing_ones_are_named() {
    let graph = Graph::of(Behaviour::immediate());
    let home = home().file("list.csv", devices(1));
    home.write("config.toml", config().replace("env:CONTOSO_SECRET", "hunter2"));
    let left = home.run(&format!("run list.csv --tenant contoso {}", graph.flags())).exits(3);
    assert!(!left.stderr.contains("hunter2"), "{}", left.stderr);
    home.write("config.toml", config().replace("env:CONTOSO_SECRET", "env:NOT_SET"));
    home.run(&format!("run list.csv --tenant contoso {}", graph.flags())).exits(3).says(&["NOT_SET", "tenants.contoso"]);
    home.write("config.toml", config().replace("fabrikam.secret", "missing.secret"));
    home.run(&format!("run list.csv --tenant fabrikam {}", graph.flags())).exits(3).says(&["missing.secret"]);
    assert!(graph.posts().is_empty());
}
