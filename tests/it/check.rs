//! The tenant that was meant, what a run is told before it sends, and `check`, which looks at everything and sends nothing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulk_revoke::sim::Behaviour;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::kit::{APP, Graph, Home, Left, OTHER, Stub, TENANT, all_at_once, devices};

const WRITES: [&str; 2] = ["DeviceManagementConfiguration.ReadWrite.All", "DeviceManagementServiceConfig.ReadWrite.All"];

fn with_roles(roles: &[&str]) -> Graph {
    Graph::of(Behaviour { roles: roles.iter().map(|role| (*role).to_owned()).collect(), ..Behaviour::immediate() })
}

fn expecting(home: &Home, domain: &str) {
    home.write("config.toml", format!("[auth]\nexpect_domain = \"{domain}\"\n"));
}

#[test]
fn a_tenant_that_is_not_the_expected_domains_is_refused_before_anything_is_sent() {
    let graph = Graph::with([]);
    let home = Home::signed_in().unverified().file("list.csv", devices(2));
    let run = format!("run list.csv {}", graph.flags());
    for (domain, flags) in [("fabrikam.com", ""), ("fabrikam.com", "--no-preflight"), ("nobody.example", "")] {
        expecting(&home, domain);
        let left = home.run(&format!("{run} {flags}")).exits(6);
        let left = left.says(&["expect_domain", domain, &TENANT.to_string(), "nothing was sent"]);
        assert_eq!(left.stderr.contains(&OTHER.to_string()), domain == "fabrikam.com");
    }
    assert!(graph.log().iter().all(|entry| entry.path.ends_with("/openid-configuration")), "nothing was read either");
    expecting(&home, "Contoso.com");
    home.run(&run).exits(0).counts_are(&[("accepted", 2)]);
    for domain in ["contoso", &TENANT.to_string()] {
        expecting(&home, domain);
        home.run(&run).exits(3).says(&["expect_domain: a domain"]);
    }
}

#[test]
fn a_run_is_not_resumed_in_a_tenant_that_is_not_the_expected_domains() {
    let graph = Graph::with([]);
    let home = Home::signed_in().unverified().file("list.csv", devices(2)).with("AZURE_CLIENT_SECRET", "wrong");
    home.run(&format!("run list.csv {}", graph.flags())).exits(4);
    let home = home.with("AZURE_CLIENT_SECRET", "simulated");
    expecting(&home, "fabrikam.com");
    home.run(&format!("resume {}", graph.places())).exits(6).says(&["fabrikam.com"]);
    assert!(graph.posts().is_empty());
    expecting(&home, "contoso.com");
    home.run(&format!("resume --out out {}", graph.places())).exits(0).counts_are(&[("accepted", 2)]);
}

#[test]
fn the_organisation_is_named_where_it_may_be_read_and_nobody_must_let_it() {
    let home = || Home::signed_in().unverified().file("list.csv", devices(1));
    let graph = Graph::with([]);
    home().run(&format!("run list.csv {}", graph.flags())).exits(0).says(&["Simulated tenant 00000000 (contoso.com)\n"]);
    let graph = with_roles(&WRITES);
    let left = home().run(&format!("run list.csv {}", graph.flags())).exits(0);
    assert!(!left.stderr.contains("organisation") && !left.stderr.contains("warning"), "{}", left.stderr);
    home().run(&format!("run list.csv -v {}", graph.flags())).exits(0).says(&["the organisation's name is not shown"]);
}

#[test]
fn a_permission_that_the_token_does_not_show_is_a_warning_and_the_service_decides() {
    let home = || Home::signed_in().file("list.csv", devices(1));
    let words = ["warning: ", WRITES[0], "(Android)", "the service decides"];
    let graph = with_roles(&["Organization.Read.All", WRITES[1]]);
    // It is tried all the same: the service says no to all of it.
    home().run(&format!("run list.csv --dry-run --out out {}", graph.places())).exits(4).says(&words);
    assert!(!graph.reads().is_empty(), "it was tried");
    // A token that shows nothing says nothing.
    let stub = Stub::content();
    let left = home().run(&format!("run list.csv --dry-run {}", stub.places())).exits(0);
    assert!(!left.stderr.contains("warning"), "{}", left.stderr);
}

#[test]
fn a_clock_that_is_off_is_a_warning_of_runs_and_of_checks() {
    for (minutes, words) in [(4, None), (10, Some("behind the service's")), (-10, Some("ahead of the service's"))] {
        let graph = Graph::of(Behaviour { clock_skew: SignedDuration::from_mins(minutes), ..Behaviour::immediate() });
        let home = Home::signed_in().file("list.csv", devices(1));
        let run = home.run(&format!("run list.csv --dry-run --out out {}", graph.places())).exits(0);
        let check = home.run(&format!("check {}", graph.places())).exits(0);
        for said in [run.stderr, check.stdout] {
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(said.contains("this machine's clock is"), words.is_some(), "{said}");
            assert!(words.is_none_or(|words| said.contains(words)), "{said}");
        }
    }
}

/// The result of each line, by what was checked.
fn results(left: &Left) -> BTreeMap<String, String> {
    let lines = left.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines.map(|line| (text(&line, "check"), text(&line, "result"))).collect()
}

#[test]
fn a_check_shows_everything_in_eighty_columns_and_sends_and_records_nothing() {
    let graph = Graph::with([]);
    let home = Home::signed_in();
    expecting(&home, "contoso.com");
    let left = home.run(&format!("check {}", graph.places())).exits(0);
    let checks = [
        "configuration",
        "ledger",
        "reports",
        "free space",
        "cloud",
        "authority",
        "graph",
        "clock",
        "sign-in",
        "values",
        "expect_domain",
        "organisation",
        "revoke android-for-work",
        "read android-for-work",
        "revoke android-device-owner",
        "read android-device-owner",
        "revoke vpp-token",
        "read vpp-token",
    ];
    let table: Vec<&str> = left.stdout.lines().collect();
    let mut rows = table.iter().filter(|line| line.get(29..36).is_some_and(|result| result.trim_end() == "ok"));
    for check in checks {
        assert_eq!(rows.next().and_then(|row| row.get(..27)).map(str::trim_end), Some(check), "{}", left.stdout);
    }
    assert!(table.iter().all(|line| line.chars().count() <= 80), "{}", left.stdout);
    assert!(table.contains(&TENANT.to_string().as_str()), "{}", left.stdout);
    assert!(left.stdout.contains("40 shown") && left.stdout.contains(&APP.to_string()), "{}", left.stdout);
    assert!(graph.posts().is_empty() && graph.lists_and_objects().1 == 0);
    assert_eq!(home.run("runs --format json").exits(0).stdout, "");
    let csv = home.run(&format!("check --kind vpp --format csv {}", graph.places())).exits(0);
    assert!(csv.stdout.starts_with("tenant,check,result,detail,hint\n") && !csv.stdout.contains("android"), "{}", csv.stdout);
}

#[test]
fn a_check_goes_on_behind_what_is_wrong_and_says_what_to_do() {
    let nothing: &[&str] = &[];
    let cases = [
        ("", &WRITES[..], 0, nothing, ""),
        ("", &["Organization.Read.All"], 4, &["read android-for-work", "read vpp-token"], "/adminconsent?client_id="),
        ("secret", &WRITES, 4, &["sign-in"], "AADSTS7000215"),
        ("domain", &WRITES, 6, &["expect_domain"], "fabrikam.com belongs to"),
        ("secret domain", &WRITES, 6, &["sign-in", "expect_domain"], "fabrikam.com belongs to"),
        ("secret domain ledger", &WRITES, 13, &["ledger", "sign-in", "expect_domain"], "BULK_REVOKE_STATE_DIR"),
    ];
    all_at_once(cases, |(wrong, roles, code, failed, words)| {
        let (graph, mut home) = (with_roles(roles), Home::signed_in());
        if wrong.contains("secret") {
            home = home.with("AZURE_CLIENT_SECRET", "hunter2");
        }
        if wrong.contains("domain") {
            expecting(&home, "fabrikam.com");
        }
        if wrong.contains("ledger") {
            home.write("state", "in the way");
        }
        let left = home.run(&format!("check --format json {}", graph.places())).exits(code);
        let results = results(&left);
        for check in failed {
            assert_eq!(results.get(*check).map(String::as_str), Some("failed"), "{check}: {results:?}");
        }
        let wanting = results.values().filter(|result| *result == "failed").count();
        assert!(wanting == failed.len() || roles.len() == 1, "{results:?}");
        assert!(left.stdout.contains(words) && !left.stdout.contains("hunter2"), "{words}: {}", left.stdout);
        // Consent mends no secret.
        assert_eq!(left.stdout.contains("adminconsent"), roles.len() == 1, "{}", left.stdout);
        assert!(graph.posts().is_empty());
    });
}

#[cfg(unix)]
#[test]
fn nobody_is_told_to_give_permissions_to_the_azure_clis_own_app() {
    use std::os::unix::fs::PermissionsExt as _;
    let (stub, expires) = (Stub::content(), i64::from(u32::MAX));
    let claims = json!({"tid": TENANT, "appid": APP, "upn": "ann@contoso.com", "scp": "User.Read", "exp": expires});
    let parts = [json!({"alg": "none"}), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let answer = json!({"accessToken": format!("{}.{}.x", parts[0], parts[1]), "expires_on": expires, "tokenType": "Bearer"});
    let home = Home::signed_in().file("config.toml", "[auth]\nmethod = \"azure-cli\"\n");
    let home = home.file("az", format!("#!/bin/sh\necho '{answer}'\n"));
    std::fs::set_permissions(home.path("az"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", home.path("").display());
    let left =
        home.with("PATH", &path).run(&format!("check --kind afw --format json --graph-root {0} --authority {0}", stub.url()));
    let said = left.stdout;
    assert!(said.contains("az login as a service principal") && said.contains("a person's token"), "{said}");
    assert!(!said.contains("adminconsent") && !said.contains("assigns"), "{said}");
}

#[test]
fn a_check_tells_the_tenants_apart_and_names_what_the_configuration_lacks() {
    let graph = Graph::with([]);
    let table = |name: &str, tenant: &str, secret: &str| {
        format!("[tenants.{name}]\ntenant_id = \"{tenant}\"\nclient_secret = \"{secret}\"\n")
    };
    let tables = [table("contoso", &TENANT.to_string(), "env:OURS"), table("fabrikam", "fabrikam.com", "env:THEIRS")];
    let home = Home::new().with("OURS", "simulated").with("AZURE_CLIENT_ID", &APP.to_string());
    let home = home.file("config.toml", tables.concat());
    let check = format!("check --kind afw {}", graph.places());
    let left = home.run(&check).exits(3);
    assert!(left.stdout.contains("[tenants.fabrikam]") && left.stdout.contains("THEIRS"), "{}", left.stdout);
    assert!(left.stdout.contains(&format!("\ncontoso ({TENANT})\nsign-in ")), "{}", left.stdout);
    home.run(&format!("{check} --tenant contoso")).exits(0);
    home.run(&format!("{check} --tenant acme")).exits(3);
    home.with("THEIRS", "simulated").run(&check).exits(0);
    Home::new().run(&check).exits(3).says(&["no tenant is configured", "AZURE_TENANT_ID", "[tenants.NAME]"]);
}

#[test]
fn a_place_that_does_not_answer_is_named_with_what_to_do() {
    let graph = Graph::with([]);
    let places = format!("--authority {} --graph-root http://127.0.0.1:1", graph.url());
    let left = Home::signed_in().run(&format!("check --kind vpp --format json {places}")).exits(4);
    let results = results(&left);
    assert_eq!([&results["authority"], &results["graph"]], ["ok", "failed"]);
    assert!(left.stdout.contains("nothing listens there"), "{}", left.stdout);
}
