//! The embedded Graph as a command of its own, and beside a run.
#![expect(clippy::expect_used, reason = "a log that cannot be fetched is a failed test")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::kit::{Home, Process, TENANT, devices, id};

/// The simulator's log, over HTTP.
fn log(url: &str) -> Vec<Value> {
    get(url, "/_log", "Accept: */*").lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

/// The body of an answer.
fn get(url: &str, path: &str, header: &str) -> String {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a bound");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

fn serve(home: &Home, arguments: &str) -> (Process, String) {
    let mut process = home.start(&format!("simulate {arguments}"));
    let url = process.wait_for("http://127.0.0.1:");
    (process, url)
}

#[test]
fn a_real_run_works_against_the_served_simulator_and_shows_in_its_log() {
    let home = Home::signed_in().file("list.csv", format!("{}vpp,{}\nafw,{}\n", devices(2), id(1), id(2)));
    let (process, url) = serve(&home, &format!("list.csv --tenant {TENANT}"));
    let run = format!("run list.csv --yes --out out --graph-root {url} --authority {url}");
    home.run(&run).exits(0).counts_are(&[("revoked", 4)]);
    let log = log(&url);
    let posts: Vec<&Value> = log.iter().filter(|entry| entry["method"] == "POST" && entry["collection"].is_string()).collect();
    assert_eq!(posts.len(), 4);
    assert!(posts.iter().all(|post| post["status"] == 204 && post["effect"] == true && post["bearer"] == true), "{posts:?}");
    process.signal("TERM");
    let left = home.left(process).exits(0);
    assert_eq!(left.stdout.trim(), url, "the address is the only data");
    assert!(left.stderr.contains("4 objects") && left.stderr.contains(&TENANT.to_string()), "{}", left.stderr);
}

#[test]
fn the_served_simulator_refuses_another_secret() {
    let home = Home::signed_in().with("AZURE_CLIENT_SECRET", "other").file("list.csv", devices(1));
    let (_process, url) = serve(&home, &format!("list.csv --tenant {TENANT}"));
    home.run(&format!("run list.csv --yes --out out --graph-root {url} --authority {url}")).exits(4);
}

#[test]
fn the_served_simulator_keeps_the_quota_that_it_is_given() {
    let home = Home::signed_in().unverified().file("list.csv", devices(3));
    let (_process, url) = serve(&home, &format!("list.csv --tenant {TENANT} --quota 2/1s --seed 7"));
    let run = format!("run list.csv --yes --out out --concurrency 3 --graph-root {url} --authority {url}");
    let left = home.run(&run).exits(0).counts_are(&[("accepted", 3)]);
    assert!(left.summary()["throttled"].as_u64().is_some_and(|count| count >= 1));
}

#[test]
fn the_served_simulator_can_ask_for_a_second_administrator() {
    let home = Home::signed_in().file("list.csv", devices(2));
    let (process, url) = serve(&home, &format!("list.csv --tenant {TENANT} --approval approve"));
    home.run(&format!("run list.csv --yes --out out --graph-root {url} --authority {url}"));
    let log = log(&url);
    let posts: Vec<&Value> = log.iter().filter(|entry| entry["method"] == "POST" && entry["collection"].is_string()).collect();
    assert!(!posts.is_empty() && posts.iter().all(|post| post["status"] == 400 && post["effect"] == false), "{posts:?}");
    process.signal("TERM");
    let left = home.left(process).exits(0);
    assert!(left.stderr.contains("the second administrator: approve"), "{}", left.stderr);
    home.run("simulate list.csv --approval maybe").exits(2).says(&["approve", "reject", "cancel", "expire", "wait"]);
}

#[test]
fn the_served_simulator_is_also_a_machine_with_an_identity_and_logs_no_token() {
    let home = Home::new().file("list.csv", devices(1));
    let (_process, url) = serve(&home, &format!("list.csv --tenant {TENANT}"));
    let path = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={url}");
    let answer: Value = serde_json::from_str(&get(&url, &path, "Metadata: true")).expect("a token");
    let token = answer["access_token"].as_str().expect("a token");
    let record = get(&url, "/beta/organization", &format!("Authorization: Bearer {token}"));
    assert!(record.contains(&TENANT.to_string()), "{record}");
    let log = get(&url, "/_log", "Accept: */*");
    assert!(log.contains("/metadata/identity") && !log.contains(token), "{log}");
}

#[test]
fn a_file_without_a_certificate_is_refused_by_name() {
    let home = Home::new()
        .file("list.csv", devices(1))
        .file("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    for (file, why) in [("key.pem", "there is none in it"), ("missing.pem", "missing.pem")] {
        home.run(&format!("simulate list.csv --certificate {file}")).exits(3).says(&[file, why]);
    }
}

#[test]
fn a_port_can_be_asked_for_and_one_in_use_is_told() {
    let home = Home::new().file("list.csv", devices(1));
    let (_process, url) = serve(&home, "list.csv");
    let port = url.rsplit(':').next().unwrap_or_default();
    let left = home.run(&format!("simulate list.csv --port {port}"));
    assert!(left.code.is_some_and(|code| code != 0) && left.stderr.contains("error: failed to"), "{}", left.stderr);
}

#[test]
fn a_simulated_run_needs_no_credentials_no_yes_and_no_configuration() {
    let home = Home::new().file("list.csv", devices(3));
    let left = home.run("run list.csv --simulate --out out").exits(0).counts_are(&[("revoked", 3)]);
    assert!(left.rows().iter().all(|row| !row["result_tenant"].is_empty()));
}

#[test]
fn a_simulated_run_ignores_the_real_places_and_credentials() {
    let home = Home::signed_in().unverified().file("list.csv", devices(2)).with("BULK_REVOKE_GRAPH_ROOT", "http://127.0.0.1:1");
    let home = home.with("BULK_REVOKE_AUTHORITY", "http://127.0.0.1:1");
    home.run("run list.csv --simulate --out out").exits(0).counts_are(&[("accepted", 2)]);
}

#[test]
fn every_tenant_that_a_list_names_exists_in_a_simulation() {
    let list = format!("tenant,kind,id\ncontoso,afw,{0}\nfabrikam.com,afw,{0}\n{TENANT},vpp,{0}\n", id(1));
    let home = Home::new().unverified().file("list.csv", list);
    let left = home.run("run list.csv --simulate --out out").exits(0).counts_are(&[("accepted", 3)]);
    assert_eq!(left.column("result_tenant"), ["contoso", "fabrikam.com", &TENANT.to_string()]);
}

#[test]
fn an_unknown_scenario_is_a_usage_error_that_names_the_known_ones() {
    let home = Home::new().file("list.csv", devices(1));
    home.run("run list.csv --simulate=windy").exits(2).says(&["calm", "throttled", "stormy"]);
}
