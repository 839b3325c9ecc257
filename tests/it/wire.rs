//! The wire, byte by byte, against a bare socket: what Graph gets is what its pages ask for, and nothing happens behind
//! our back. Where one request is the subject, it is the only one.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::kit::{Home, Reply, Seen, Stub, all_at_once, answer, devices, id, jwt, tokens};
use crate::kit::{OTHER, TENANT};

/// Header lines of a request, sorted, without the two whose values change.
fn fixed(seen: &Seen) -> Vec<String> {
    let changing = ["host", "client-request-id", "authorization"];
    let headers = seen.headers().into_iter().filter(|(name, _)| !changing.contains(&name.as_str()));
    let mut lines: Vec<String> = headers.map(|(name, value)| format!("{name}: {value}")).collect();
    lines.sort();
    lines
}

fn agent() -> String {
    format!("user-agent: bulk-revoke/{}", env!("CARGO_PKG_VERSION"))
}

#[test]
fn revoke_token_is_a_post_without_a_body() {
    let kinds = [
        ("androidForWorkEnrollmentProfile", "androidForWorkEnrollmentProfiles"),
        ("androidDeviceOwnerEnrollmentProfile", "androidDeviceOwnerEnrollmentProfiles"),
    ];
    for (kind, collection) in kinds {
        let stub = Stub::content();
        let home = Home::signed_in()
            .sending_only()
            .file("list.csv", format!("kind,id\n{kind},{{{}}}\n", id(10).to_string().to_uppercase()));
        home.run(&format!("run list.csv {}", stub.flags())).exits(0).counts_are(&[("accepted", 1)]);
        let [seen]: [Seen; 1] = stub.posts().try_into().expect("one request");
        assert_eq!(seen.line(), format!("POST /beta/deviceManagement/{collection}/{}/revokeToken HTTP/1.1", id(10)));
        assert_eq!(fixed(&seen), ["accept: application/json".to_owned(), "content-length: 0".to_owned(), agent()]);
        assert_eq!(seen.body, "");
    }
}

#[test]
fn revoke_licenses_always_says_both_booleans() {
    let cases = [
        ("true,false", r#"{"notifyManagedDevices":true,"revokeUntrackedLicenses":false}"#),
        ("FALSE,yes", r#"{"notifyManagedDevices":false,"revokeUntrackedLicenses":true}"#),
        (",", r#"{"notifyManagedDevices":false,"revokeUntrackedLicenses":false}"#),
        ("1,1", r#"{"notifyManagedDevices":true,"revokeUntrackedLicenses":true}"#),
    ];
    all_at_once(cases, |(cells, body)| {
        let stub = Stub::content();
        let list = format!("id,kind,notifyManagedDevices,revokeUntrackedLicenses\n{},vppToken,{cells}\n", id(1));
        let home = Home::signed_in().sending_only().file("list.csv", list);
        home.run(&format!("run list.csv {}", stub.flags())).exits(0).counts_are(&[("accepted", 1)]);
        let [seen]: [Seen; 1] = stub.posts().try_into().expect("one request");
        assert_eq!(seen.line(), format!("POST /beta/deviceAppManagement/vppTokens/{}/revokeLicenses HTTP/1.1", id(1)));
        let json = ["accept: application/json", &format!("content-length: {}", body.len()), "content-type: application/json"];
        assert_eq!(fixed(&seen), [json.map(str::to_owned).to_vec(), vec![agent()]].concat());
        assert_eq!(seen.body, body);
    });
}

#[test]
fn the_host_is_the_roots_and_the_bearer_is_the_token() {
    let stub = Stub::content();
    let home = Home::signed_in().sending_only().file("list.csv", devices(1));
    home.run(&format!("run list.csv {}", stub.flags())).exits(0);
    let seen = &stub.posts()[0];
    assert_eq!(seen.header("host").as_deref(), stub.url().strip_prefix("http://"));
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {}", jwt(TENANT))));
}

#[test]
fn every_attempt_has_a_request_id_of_its_own_and_the_report_names_the_last() {
    // Each item is told once to come later, so that each has two attempts.
    let told = std::sync::Mutex::new(BTreeSet::new());
    let stub = Stub::start(move |seen| {
        let is_new = told.lock().is_ok_and(|mut told| told.insert(seen.line().to_owned()));
        if is_new { answer(429, "Retry-After: 0\r\n", "") } else { answer(204, "", "") }
    });
    let home = Home::signed_in().unverified().file("list.csv", devices(3));
    let left = home.run(&format!("run list.csv --concurrency 3 {}", stub.flags())).exits(0).counts_are(&[("accepted", 3)]);
    let sent: Vec<(String, Uuid)> = stub
        .posts()
        .iter()
        .map(|seen| (seen.line().to_owned(), seen.header("client-request-id").and_then(|id| id.parse().ok()).expect("a GUID")))
        .collect();
    assert_eq!(sent.len(), 6);
    assert_eq!(sent.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len(), 6, "{sent:?}");
    for row in left.rows() {
        let last = sent.iter().rev().find(|(line, _)| line.contains(&row["result_id"]));
        assert_eq!(last.map(|(_, id)| id.to_string()).as_ref(), Some(&row["result_client_request_id"]));
        assert_eq!((row["result_attempts"].as_str(), row["result_throttled"].as_str()), ("1", "1"));
    }
}

#[test]
fn the_services_request_id_is_in_the_report() {
    let stub = Stub::start(|_| answer(204, "request-id: 8d0d1c5e-0000-4000-8000-000000000001\r\n", ""));
    let home = Home::signed_in().sending_only().file("list.csv", devices(1));
    let left = home.run(&format!("run list.csv {}", stub.flags())).exits(0);
    assert_eq!(left.column("result_request_id"), ["8d0d1c5e-0000-4000-8000-000000000001"]);
}

#[test]
fn a_redirect_is_not_followed_and_the_bearer_goes_to_no_other_host() {
    all_at_once([301, 302, 303, 307, 308], |status| {
        let elsewhere = Stub::content();
        let location = format!("Location: {}/beta/stolen\r\n", elsewhere.url());
        let stub = Stub::start(move |_| answer(status, &location, ""));
        let home = Home::signed_in().file("list.csv", devices(1));
        home.run(&format!("run list.csv {ONCE} {}", stub.flags())).exits(7).counts_are(&[("failed", 1)]);
        assert_eq!((stub.posts().len(), elsewhere.connections()), (1, 0), "{status}");
    });
}

/// One attempt, and a quick look at what it did.
const ONCE: &str = "--max-attempts 1 --settle 50ms";

#[test]
fn a_redirect_of_a_read_is_not_followed_either() {
    let elsewhere = Stub::content();
    let location = format!("Location: {}/beta/stolen\r\n", elsewhere.url());
    let stub = Stub::reading(move |_| Some(answer(302, &location, "")));
    let home = Home::signed_in().file("list.csv", devices(1));
    home.run(&format!("run list.csv {ONCE} {}", stub.flags())).exits(7).counts_are(&[("failed", 1)]);
    assert_eq!((stub.posts().len(), elsewhere.connections()), (0, 0));
    assert!(stub.reads().len() >= 2, "the list and the object were asked for");
}

#[test]
fn a_redirect_of_the_token_request_does_not_carry_the_secret_away() {
    let elsewhere = Stub::content();
    let location = format!("Location: {}/t/oauth2/v2.0/token\r\n", elsewhere.url());
    // The stub issues tokens only at the usual path, so another path of the authority is answered by the test.
    let authority = Stub::start(move |_| answer(307, &location, ""));
    let stub = Stub::content();
    let home = Home::signed_in().with("AZURE_TENANT_ID", "contoso.com").file("list.csv", devices(1));
    let places = format!("--yes --out out --graph-root {} --authority {}", stub.url(), authority.url());
    // Discovery is redirected: the domain stays unknown, and nothing else is tried.
    home.run(&format!("run list.csv {places}")).exits(3).has_no_report();
    assert_eq!((stub.posts().len(), elsewhere.connections()), (0, 0));
}

#[test]
fn a_connection_cut_after_the_request_is_not_tried_again_behind_our_back() {
    all_at_once([devices(1), tokens(1)], |list| {
        let stub = Stub::start(|_| Reply::Cut);
        let home = Home::signed_in().file("list.csv", list);
        let left = home.run(&format!("run list.csv {ONCE} {}", stub.flags())).exits(7).counts_are(&[("failed", 1)]);
        assert_eq!(stub.posts().len(), 1);
        assert_eq!((left.column("result_attempts"), left.column("result_http_status")), (vec!["1".into()], vec![String::new()]));
    });
}

#[test]
fn a_connection_cut_on_reuse_is_an_attempt_like_any_other() {
    // The first answer keeps the connection open; the second request on it is read and then cut.
    let count = std::sync::atomic::AtomicUsize::new(0);
    let stub = Stub::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        1 => Reply::Cut,
        _ => answer(204, "", ""),
    });
    let home = Home::signed_in().file("list.csv", devices(3));
    let left = home.run(&format!("run list.csv --concurrency 1 --settle 50ms {}", stub.flags())).exits(0);
    let left = left.counts_are(&[("revoked", 3)]);
    assert_eq!((stub.posts().len(), left.column("result_attempts").concat().as_str()), (4, "121"));
}

#[test]
fn an_answer_that_breaks_off_or_is_no_http_is_no_success_and_not_tried_again_behind_our_back() {
    let broken: [&[u8]; 4] = [
        b"HTTP/1.1 20",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<html>",
        b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    ];
    all_at_once(broken, |bytes| {
        // The answer ends where the connection does.
        let stub = Stub::start(move |_| Reply::Last(bytes.to_vec()));
        let home = Home::signed_in().file("list.csv", devices(1));
        home.run(&format!("run list.csv {ONCE} {}", stub.flags())).exits(7).counts_are(&[("failed", 1)]);
        assert_eq!(stub.posts().len(), 1, "{}", String::from_utf8_lossy(bytes));
    });
}

#[test]
fn a_204_whose_connection_breaks_is_a_204() {
    // One item: another could meet the connection while it is being closed, and be rightly in doubt.
    let stub = Stub::start(|_| Reply::Last(b"HTTP/1.1 204 No Content\r\nrequest-id: r\r\n\r\n".to_vec()));
    let home = Home::signed_in().file("list.csv", devices(1));
    home.run(&format!("run list.csv {}", stub.flags())).exits(0).counts_are(&[("revoked", 1)]);
}

#[test]
fn no_proxy_of_the_environment_comes_between_us_and_loopback() {
    let (proxy, stub) = (Stub::content(), Stub::content());
    let mut home = Home::signed_in().unverified().file("list.csv", devices(1));
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"] {
        home = home.with(name, proxy.url());
    }
    home.run(&format!("run list.csv {}", stub.flags())).exits(0).counts_are(&[("accepted", 1)]);
    assert_eq!((proxy.connections(), stub.posts().len()), (0, 1));
}

#[test]
fn the_token_request_is_a_form_for_the_roots_default_scope() {
    let stub = Stub::content();
    let home = Home::signed_in().sending_only().file("list.csv", devices(1));
    home.run(&format!("run list.csv {}", stub.flags())).exits(0);
    let seen = stub.seen();
    let [token]: [&Seen; 1] =
        seen.iter().filter(|seen| seen.line().contains("token")).take(1).collect::<Vec<_>>().try_into().expect("one");
    assert_eq!(token.line(), format!("POST /{TENANT}/oauth2/v2.0/token HTTP/1.1"));
    assert!(token.header("content-type").is_some_and(|media| media.starts_with("application/x-www-form-urlencoded")));
    assert_eq!(token.header("authorization"), None);
    let scope = format!("scope={}%2F.default", stub.url().replace(':', "%3A").replace('/', "%2F"));
    assert!(token.body.contains(&scope) && token.body.contains("grant_type=client_credentials"), "{}", token.body);
}

#[test]
fn a_token_of_another_tenant_is_not_used() {
    // The stub's tokens are for one tenant; the list is for another.
    let stub = Stub::content();
    let home = Home::signed_in().with("AZURE_TENANT_ID", &OTHER.to_string()).file("list.csv", devices(2));
    let left = home.run(&format!("run list.csv {}", stub.flags())).exits(6);
    left.says(&[&TENANT.to_string(), &OTHER.to_string(), "nothing was sent"]);
    assert_eq!(stub.posts().len(), 0);
}
