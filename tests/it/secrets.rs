//! No secret is in anything that a run writes: every file and every stream is searched.

use bulk_revoke::sim::{Answer, Behaviour, Call, Fault, Rule};
use serde_json::json;

use crate::kit::{Graph, Home, Left, Reply, Stub, TENANT, answer, devices, id, jwt};

/// A client secret as Entra makes them, with characters that change in a form.
const SECRET: &str = "S3cr3t~with/odd+chars&more=Q";

/// The same in a form and in a URL.
const SHAPES: [&str; 3] = [SECRET, "S3cr3t~with%2Fodd%2Bchars%26more%3DQ", "S3cr3t%7Ewith%2Fodd%2Bchars%26more%3DQ"];

/// Searches every file of the home but the lists themselves, and both streams.
fn nowhere(home: &Home, left: &Left, secrets: &[&str]) {
    let mut written = home.everything();
    written.retain(|(path, _)| path.file_name().is_none_or(|name| name != "list.csv" && name != "job.toml" && name != "secret"));
    assert!(written.iter().any(|(path, _)| path.ends_with("state/ledger.db")), "the ledger was searched");
    written.push(("standard output".into(), left.stdout.clone().into_bytes()));
    written.push(("standard error".into(), left.stderr.clone().into_bytes()));
    for (path, content) in written {
        for secret in secrets {
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
}

#[test]
fn neither_the_client_secret_nor_a_token_is_in_anything_that_is_written() {
    let graph = Graph::with_secret(Behaviour::immediate(), SECRET);
    let home = Home::signed_in().with("AZURE_CLIENT_SECRET", SECRET).file("list.csv", devices(3));
    home.write("list.csv", format!("{}vpp,{}\n", devices(3), id(1)));
    let left = home.run(&format!("run list.csv -vv --log-format json {}", graph.flags())).exits(0);
    // Every JWT begins alike, and so does every secret of the objects, which were read before and after.
    let left = left.counts_are(&[("revoked", 4)]);
    nowhere(&home, &left, &[&SHAPES[..], &["eyJ", "LIVE-SECRET"]].concat());
}

#[test]
fn a_killed_run_leaves_no_secret_behind_either() {
    let stub = Stub::start(|_| Reply::Hold);
    let home = Home::signed_in().with("AZURE_CLIENT_SECRET", SECRET).file("list.csv", devices(3));
    let process = home.start(&format!("run list.csv -vv {}", stub.flags()));
    stub.wait_for_posts(1);
    process.signal("KILL");
    let left = home.left(process);
    assert!(home.path("state/ledger.db-wal").is_file(), "the write-ahead log is searched too");
    nowhere(&home, &left, &[&SHAPES[..], &["eyJ", "BEARER-IN-PERSON"]].concat());
}

#[test]
fn the_whole_log_of_every_library_holds_no_secret() {
    let graph = Graph::with_secret(Behaviour::immediate(), SECRET);
    let home =
        Home::signed_in().unverified().with("AZURE_CLIENT_SECRET", SECRET).with("RUST_LOG", "trace").file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv -vv {}", graph.flags())).exits(0);
    nowhere(&home, &left, &[&SHAPES[..], &["eyJ"]].concat());
}

#[test]
fn a_secret_from_a_file_stays_there() {
    let graph = Graph::with_secret(Behaviour::immediate(), SECRET);
    let config = format!("[tenants.contoso]\ntenant_id = \"{TENANT}\"\nclient_secret = \"file:secret\"\n");
    let home = Home::signed_in()
        .unverified()
        .without("AZURE_CLIENT_SECRET")
        .file("secret", format!("{SECRET}\n"))
        .file("config.toml", config);
    let home = home.file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv -vv {}", graph.flags())).exits(0);
    nowhere(&home, &left, &SHAPES);
}

#[test]
fn a_token_endpoint_that_repeats_the_secret_is_not_quoted() {
    let said = json!({"error": "invalid_client", "error_codes": [7_000_215],
        "error_description": format!("AADSTS7000215: Invalid client secret '{SECRET}' or '{}' provided.", SHAPES[1])});
    let graph = Graph::with([Rule::on(Call::Token, Fault::canned(Answer::json(401, &said)))]);
    let home = Home::signed_in().with("AZURE_CLIENT_SECRET", SECRET).file("list.csv", devices(2));
    let left = home.run(&format!("run list.csv -vv {}", graph.flags())).exits(4).says(&["AADSTS7000215"]);
    nowhere(&home, &left, &SHAPES);
}

#[test]
fn something_on_the_way_that_repeats_the_bearer_is_not_quoted() {
    // As debugging proxies and some error pages do.
    let bearer = jwt(TENANT);
    let said = json!({"error": {"code": "BadRequest", "message": format!("bad header Authorization: Bearer {bearer}")}});
    let stub = Stub::start(move |_| answer(400, "Content-Type: application/json\r\n", &said.to_string()));
    let home = Home::signed_in().file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv -vv {}", stub.flags())).exits(7);
    nowhere(&home, &left, &["BEARER-IN-PERSON"]);
}

#[test]
fn live_secrets_in_an_export_are_dropped_on_reading() {
    let list = format!(
        "\"Id\",\"DisplayName\",\"TokenValue\",\"QrCodeContent\",\"QrCodeImage\",\"WifiPassword\",\"token\",\"@odata.type\"\r\n\
         \"{}\",\"Kiosk 0\",\"LIVE-SECRET-0\",\"{{\"\"android.app.extra\"\":\"\"LIVE-SECRET-QR\"\"}}\",\"LIVE-SECRET-IMAGE\",\
         \"LIVE-SECRET-WIFI\",\"LIVE-SECRET-VPP\",\"#microsoft.graph.androidDeviceOwnerEnrollmentProfile\"\r\n",
        id(1)
    );
    let graph = Graph::with([]);
    let home = Home::signed_in().unverified().file("list.csv", list);
    let left = home.run(&format!("run list.csv -vv {}", graph.flags())).exits(0).counts_are(&[("accepted", 1)]);
    nowhere(&home, &left, &["LIVE-SECRET"]);
    let row = &left.rows()[0];
    assert_eq!((row["TokenValue"].as_str(), row["DisplayName"].as_str()), ("[removed]", "Kiosk 0"));
    assert_eq!(left.stderr.matches("TokenValue").count(), 1, "one warning: {}", left.stderr);
}

#[test]
fn live_secrets_in_a_job_are_dropped_on_reading() {
    let job = format!(
        "version = 1\nkind = \"afw\"\n[[items]]\nid = \"{}\"\ntokenValue = \"LIVE-SECRET\"\nwifi_password = \"LIVE-SECRET\"\n",
        id(1)
    );
    let graph = Graph::with([]);
    let home = Home::signed_in().unverified().file("job.toml", job);
    let left = home.run(&format!("run job.toml -vv {}", graph.flags())).exits(0).counts_are(&[("accepted", 1)]);
    nowhere(&home, &left, &["LIVE-SECRET"]);
}

#[test]
fn a_refused_list_does_not_spill_its_secrets_either() {
    let list = format!("Id,TokenValue,kind\n{},LIVE-SECRET,afw\nLIVE,LIVE-SECRET,afw\n{},\"LIVE-SECRET\n", id(1), id(2));
    let home = Home::signed_in().file("list.csv", list);
    let left = home.run("run list.csv -vv --simulate --out out").exits(3);
    assert!(!format!("{}{}", left.stdout, left.stderr).contains("LIVE-SECRET"), "{}", left.stderr);
}

#[cfg(unix)]
#[test]
fn ledger_and_reports_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new().unverified().file("list.csv", devices(1));
    home.run("run list.csv --simulate --out out").exits(0);
    for (place, mode) in [("state/simulate", 0o700), ("state/simulate/ledger.db", 0o600)] {
        let found = std::fs::metadata(home.path(place)).map(|meta| meta.permissions().mode() & 0o777);
        assert_eq!(found.ok(), Some(mode), "{place}");
    }
    for file in ["report.csv", "report.jsonl", "failed.csv", "summary.json"] {
        let found = std::fs::metadata(home.path("out").join(file)).map(|meta| meta.permissions().mode() & 0o777);
        assert_eq!(found.ok(), Some(0o600), "{file}");
    }
}
