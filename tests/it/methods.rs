//! Which way each tenant signs in, who said so, and what a run is bound to: everything that needs no other way than a secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulk_revoke::sim::{Behaviour, Span, Visibility};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::kit::{APP, Graph, Home, Left, OTHER, Stub, TENANT, devices, id, jwt};

/// What a check found of a tenant, by its name and what was checked.
fn detail(left: &Left, tenant: &str, check: &str) -> String {
    let lines = left.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
    let mut of = lines.filter(|line| line["check"] == check && line["tenant"].as_str().unwrap_or_default().starts_with(tenant));
    of.next().and_then(|line| line["detail"].as_str().map(str::to_owned)).unwrap_or_default()
}

#[test]
fn a_check_says_which_way_each_tenant_signs_in_and_who_said_what() {
    let graph = Graph::with([]);
    let config = format!(
        "[auth]\nclient_id = \"{APP}\"\nclient_secret = \"env:OURS\"\n[tenants.contoso]\ntenant_id = \"{TENANT}\"\n\
         [tenants.fabrikam]\ntenant_id = \"fabrikam.com\"\nmethod = \"client-secret\"\nclient_secret = \"file:theirs\"\n"
    );
    let home = Home::new().with("OURS", "simulated").file("theirs", "simulated").file("config.toml", config);
    let home = home.with("AZURE_CLIENT_CERTIFICATE_PATH", "app.pem").with("BULK_REVOKE_GRAPH_ROOT", graph.url());
    let left = home.run(&format!("check --kind afw --format json --authority {}", graph.url())).exits(0);
    let sign_in = detail(&left, "contoso", "sign-in");
    let why = "client-secret, because ./config.toml:3 ([auth] client_secret) is set; ";
    assert!(sign_in.starts_with(why) && sign_in.contains(&APP.to_string()), "{sign_in}");
    assert!(sign_in.ends_with("renewed by itself"), "{sign_in}");
    let why = "client-secret, because ./config.toml:8 ([tenants.fabrikam] method) says so; ";
    assert!(detail(&left, "fabrikam", "sign-in").starts_with(why), "{}", left.stdout);
    assert_eq!(
        detail(&left, "fabrikam", "values"),
        "tenant_id by ./config.toml:7 ([tenants.fabrikam] tenant_id); client_id by ./config.toml:2 ([auth] client_id); \
         client_secret by ./config.toml:9 ([tenants.fabrikam] client_secret)"
    );
    assert_eq!(detail(&left, "contoso", "not used"), "AZURE_CLIENT_CERTIFICATE_PATH");
    assert_eq!(detail(&left, "", "graph"), format!("{} (BULK_REVOKE_GRAPH_ROOT)", graph.url()));
    assert_eq!(detail(&left, "", "authority"), format!("{} (--authority)", graph.url()));
    assert!(detail(&left, "", "ledger").ends_with("(BULK_REVOKE_STATE_DIR)"), "{}", left.stdout);
    assert_eq!(detail(&left, "", "cloud"), "none by name: its places are set one by one");
    let left = home.file("list.csv", format!("tenant,kind,id\ncontoso,afw,{}\n", id(1)));
    let left = left.run(&format!("run list.csv -v {}", graph.flags())).exits(0);
    left.says(&[
        "signing in: client-secret, because ./config.toml:3 ([auth] client_secret) is set",
        "AZURE_CLIENT_CERTIFICATE_PATH",
    ]);
}

#[test]
fn all_that_the_methods_of_all_tenants_lack_is_said_at_once() {
    let graph = Graph::with([]);
    let config = format!(
        "[tenants.contoso]\ntenant_id = \"{TENANT}\"\nmethod = \"certificate\"\n\
         [tenants.fabrikam]\ntenant_id = \"{OTHER}\"\nclient_id = \"{APP}\"\nmethod = \"github\"\n"
    );
    let home = Home::new().file("config.toml", config);
    let home = home.file("list.csv", format!("tenant,kind,id\ncontoso,afw,{0}\nfabrikam,afw,{0}\n", id(1)));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(3);
    left.says(&[
        "[tenants.contoso]: tenant contoso has no client_id: set it there, in [auth] or by AZURE_CLIENT_ID",
        "[tenants.contoso]: tenant contoso has no client_certificate",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "[tenants.fabrikam]: tenant fabrikam lacks ACTIONS_ID_TOKEN_REQUEST_URL",
        "id-token: write",
    ]);
    let wrong = Home::new().file("config.toml", "[auth]\nmethod = \"password\"\n").file("list.csv", devices(1));
    wrong.run(&format!("run list.csv {}", graph.flags())).exits(3).says(&["./config.toml:2", "password", "managed-identity"]);
    let both = "[auth]\nidentity_object_id = \"o\"\nidentity_resource_id = \"r\"\n";
    let wrong = Home::new().file("config.toml", both).file("list.csv", devices(1));
    wrong.run(&format!("run list.csv {}", graph.flags())).exits(3).says(&["./config.toml:3", "remove one"]);
    assert!(graph.token_requests() == 0 && graph.posts().is_empty());
}

#[test]
fn a_password_is_spoken_of_where_its_file_is_there_and_how_to_do_without_it_is_said_once() {
    let home = Home::signed_in().without("AZURE_CLIENT_SECRET").file("list.csv", devices(1));
    let home = home.with("AZURE_CLIENT_CERTIFICATE_PATH", "app.pem").with("AZURE_CLIENT_CERTIFICATE_PASSWORD", "p4ss");
    let run = format!("run list.csv {}", Graph::with([]).flags());
    let left = home.run(&run).exits(3).says(&["app.pem"]);
    assert!(!left.stderr.contains("PASSWORD"), "{}", left.stderr);
    for content in [&b"\x30\x82\x01"[..], b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", b"nothing"] {
        home.write("app.pem", content);
        let left = home.run(&run).exits(3).says(&["AZURE_CLIENT_CERTIFICATE_PASSWORD is not used"]);
        let ways = [": openssl", "with openssl"].map(|way| left.stderr.matches(way).count());
        assert!(ways.iter().sum::<usize>() == 1 && !left.stderr.contains("p4ss"), "{}", left.stderr);
    }
}

#[test]
fn one_tenant_is_picked_by_any_of_its_names() {
    let graph = Graph::with([]);
    let config = format!(
        "[auth]\nclient_id = \"{APP}\"\nclient_secret = \"env:OURS\"\n[tenants.contoso]\ntenant_id = \"contoso.com\"\n\
         [tenants.fabrikam]\ntenant_id = \"{OTHER}\"\nmethod = \"certificate\"\n"
    );
    let list = format!("tenant,kind,id\ncontoso,afw,{0}\nfabrikam,afw,{0}\n", id(1));
    let home = Home::new().unverified().with("OURS", "simulated").file("config.toml", config).file("list.csv", list);
    for name in ["contoso", &TENANT.to_string(), "contoso.onmicrosoft.com"] {
        let run = format!("run list.csv --dry-run --only-tenant {name} {}", graph.flags());
        // What the other tenant lacks is no matter.
        home.run(&run).exits(0);
    }
    home.run(&format!("run list.csv --dry-run {}", graph.flags())).exits(3).says(&["fabrikam", "client_certificate"]);
}

#[test]
fn two_tenants_have_a_line_each_in_the_summary() {
    let graph = Graph::with([]);
    let table = |name: &str, tenant: &str, secret: &str| {
        format!("[tenants.{name}]\ntenant_id = \"{tenant}\"\nclient_secret = \"env:{secret}\"\n")
    };
    let tables = [table("contoso", &TENANT.to_string(), "OURS"), table("fabrikam", &OTHER.to_string(), "THEIRS")];
    let home = Home::new().with("OURS", "simulated").with("THEIRS", "wrong").with("AZURE_CLIENT_ID", &APP.to_string());
    let home = home.file("config.toml", tables.concat());
    let home = home.file("list.csv", format!("tenant,kind,id\ncontoso,afw,{0}\nfabrikam,afw,{0}\n", id(1)));
    let left = home.run(&format!("run list.csv {}", graph.flags())).exits(4);
    left.says(&["1  contoso   all done\n", "1  fabrikam  1 not_attempted; stopped: sign_in\n"]);
}

#[test]
fn a_variable_that_is_set_to_nothing_is_a_guard_that_somebody_meant_to_set() {
    for (variable, flag) in [("BULK_REVOKE_MAX_ITEMS", "--max-items"), ("BULK_REVOKE_CANARY", "--canary")] {
        Home::signed_in().file("list.csv", devices(1)).with(variable, "").run("run list.csv --yes").exits(2).says(&[flag]);
    }
}

#[test]
fn places_of_two_clouds_are_refused_before_anything_is_asked() {
    let home = Home::signed_in().file("list.csv", devices(1)).with("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us");
    home.run("run list.csv --yes").exits(3).says(&["AZURE_AUTHORITY_HOST", "usgov", "default", "[graph] cloud"]);
}

/// A token of an app.
fn token_of(app: &str) -> String {
    let [theirs, ours] = ["app", app].map(|app| URL_SAFE_NO_PAD.encode(json!({"tid": TENANT, "appid": app}).to_string()));
    jwt(TENANT).replace(&theirs, &ours)
}

#[test]
fn a_run_is_bound_to_the_app_that_its_token_shows_where_the_configuration_names_none() {
    let stub = Stub::content();
    let places = format!("--graph-root {0} --authority {0}", stub.url());
    let home = Home::new().unverified().with("AZURE_TENANT_ID", &TENANT.to_string()).file("list.csv", devices(2));
    let home = home.with("TOKEN", &token_of("one")).with("OTHER", &token_of("two")).with("AGAIN", &token_of("ONE"));
    let signs_in_by = |variable: &str| home.write("config.toml", format!("[auth]\ntoken = \"env:{variable}\"\n"));
    signs_in_by("TOKEN");
    home.run(&format!("plan list.csv --save p.json {places}")).exits(0);
    signs_in_by("OTHER");
    let carry_out = format!("run --plan p.json --yes --out out {places}");
    home.run(&carry_out).exits(6).says(&["the run is bound to the app one", "of the app two", "--job NAME", "nothing"]);
    assert!(stub.posts().is_empty());
    signs_in_by("AGAIN");
    home.run(&carry_out).exits(0);
    signs_in_by("OTHER");
    home.run(&format!("verify --out out {places}")).exits(6).says(&["bound to the app one"]);
    signs_in_by("TOKEN");
    let left = home.run(&format!("verify --verify on --verify-deadline 100ms --out out {places}"));
    assert!(!left.stderr.contains("bound to"), "{}", left.stderr);
}

#[test]
fn a_run_that_found_no_way_to_sign_in_is_bound_to_the_app_that_goes_on_with_it() {
    let graph = Graph::with([]);
    let home = Home::signed_in().unverified().without("AZURE_CLIENT_SECRET").without("AZURE_CLIENT_ID").with("PATH", "/nowhere");
    let home = home.file("list.csv", devices(2));
    home.run(&format!("run list.csv {}", graph.flags())).exits(4).says(&["no way to sign in"]);
    let home = home.with("AZURE_CLIENT_ID", &APP.to_string()).with("AZURE_CLIENT_SECRET", "wrong");
    home.run(&format!("resume {}", graph.places())).exits(4).says(&["AADSTS7000215"]);
    let home = home.with("AZURE_CLIENT_SECRET", "simulated").with("AZURE_CLIENT_ID", &id(7).to_string());
    home.run(&format!("resume {}", graph.places())).exits(6).says(&["bound to the app", &APP.to_string()]);
    assert!(graph.posts().is_empty());
    let home = home.with("AZURE_CLIENT_ID", &APP.to_string());
    home.run(&format!("resume --out out {}", graph.places())).exits(0).counts_are(&[("accepted", 2)]);
}

#[test]
fn reading_back_in_one_tenant_does_not_undo_that_another_was_stopped() {
    let visibility = Visibility { late: 1.0, lag: Span::of_secs(3_600, 3_600) };
    let graph = Graph::of(Behaviour { visibility, ..Behaviour::immediate() });
    let table = |name: &str, tenant: Uuid, secret: &str| {
        format!("[tenants.{name}]\ntenant_id = \"{tenant}\"\nclient_id = \"{APP}\"\nclient_secret = \"env:{secret}\"\n")
    };
    let home = Home::new().with("GOOD", "simulated").with("BAD", "wrong").with("BULK_REVOKE_VERIFY_DEADLINE", "100ms");
    let home = home.file("config.toml", table("contoso", TENANT, "BAD") + &table("fabrikam", OTHER, "GOOD"));
    let home = home.file("list.csv", format!("tenant,kind,id\ncontoso,afw,{0}\nfabrikam,afw,{0}\n", id(1)));
    home.run(&format!("run list.csv {}", graph.flags())).exits(4);
    let left = home.run(&format!("verify --out out {}", graph.places())).exits(4);
    left.counts_are(&[("not_attempted", 1), ("unconfirmed", 1)]).says(&["tenant contoso (sign_in)", "AADSTS7000215"]);
}
