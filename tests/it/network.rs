//! The ways to the service: TLS with a company's own authority, proxies, both versions of both protocols; and what is
//! said when one of them is barred.

use std::time::Duration;

use bulk_revoke::auth::BaseUrl;
use bulk_revoke::graph::{ClientPolicy, wires};
use bulk_revoke::sim::{Answer, Call, Fault, Rule};
use tokio::runtime::Builder;

use crate::kit::{Ca, Front, Graph, Home, Left, Proxy, Stub, Welcome, all_at_once, answer, devices};

/// A home on a machine without a CA store.
fn storeless() -> Home {
    Home::signed_in().unverified().with("SSL_CERT_FILE", "/nonexistent").with("SSL_CERT_DIR", "/nonexistent")
}

fn at(url: &str) -> String {
    format!("run list.csv --yes --out out --graph-root {url} --authority {url}")
}

#[test]
fn a_companys_authority_is_trusted_by_ca_file_over_both_versions_of_http_and_of_ip() {
    let cases = [
        ("127.0.0.1", "localhost", &["h2", "http/1.1"][..]),
        ("127.0.0.1", "127.0.0.1", &["http/1.1"][..]),
        ("::1", "[::1]", &[][..]),
    ];
    let cases = cases.into_iter().filter(|(ip, ..)| *ip != "::1" || has_ipv6());
    all_at_once(cases, |(ip, host, alpn)| {
        let (ca, stub) = (Ca::new(), Stub::content());
        let front = Front::at(ip, Welcome::Tls(ca.vouch(&["localhost", "127.0.0.1", "::1"], alpn)), stub.url());
        // It stands behind another one, and a machine without a store needs no more than these two.
        let home = storeless().file("list.csv", devices(3)).file("ca.pem", format!("{}{}", Ca::new().pem(), ca.pem()));
        let url = format!("https://{host}:{}", front.address().port());
        home.run(&format!("{} --ca-file ca.pem", at(&url))).exits(0).counts_are(&[("accepted", 3)]);
        assert_eq!(stub.posts().len(), 3);
        assert_eq!(front.by_second_version() > 0, alpn.contains(&"h2"), "{alpn:?}");
        if alpn.contains(&"h2") {
            assert!(front.connections() <= 4, "many requests share a connection: {}", front.connections());
        }
    });
}

#[test]
fn what_http_2_refuses_unheard_is_not_sent_again_behind_our_back() {
    let ca = Ca::new();
    let front = Front::new(Welcome::Refusal(ca.vouch(&["localhost"], &["h2"])), "");
    let place = BaseUrl::new(&format!("https://localhost:{}", front.address().port())).expect("a URL");
    let policy = ClientPolicy { timeout: Duration::from_mins(1), concurrency: 1, ca_pem: Some(ca.pem().into_bytes()) };
    let client = wires(&policy, &[&place]).expect("clients").direct;
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    for count in 1..=2 {
        let error = runtime.block_on(async { client.post(place.as_str()).send().await }).expect_err("a refusal");
        assert!(!error.is_connect() && front.by_second_version() == count, "{error:?}");
    }
}

/// Whether this machine can be tested with it: many containers have none.
fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn plain_http_to_loopback_works_by_the_sixth_version_of_ip() {
    if !has_ipv6() {
        return;
    }
    let stub = Stub::content();
    let front = Front::at("::1", Welcome::Plain, stub.url());
    let home = storeless().file("list.csv", devices(2));
    home.run(&at(&format!("http://{}", front.address()))).exits(0).counts_are(&[("accepted", 2)]);
}

#[test]
fn tls_that_cannot_be_trusted_is_told_apart_and_not_tried_again() {
    let (ca, other) = (Ca::new(), Ca::new());
    let cases = [
        ("unknown", Welcome::Tls(other.vouch(&["localhost"], &[])), "UnknownIssuer", "--ca-file"),
        ("expired", Welcome::Tls(ca.until(2_020, &["localhost"], &[])), "expired", "this machine's clock"),
        ("foreign", Welcome::Tls(ca.vouch(&["graph.test"], &[])), "graph.test", "another host's"),
        ("plain", Welcome::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "", "no TLS is spoken there"),
        // A fatal alert: handshake_failure (RFC 8446 section 6).
        ("alert", Welcome::Bytes(&[21, 3, 3, 0, 2, 2, 40]), "HandshakeFailure", "TLS 1.2 or 1.3"),
    ];
    all_at_once(cases, |(case, welcome, what, hint)| {
        let stub = Stub::content();
        let front = Front::new(welcome, stub.url());
        let home = storeless().with("BULK_REVOKE_CA_FILE", "ca.pem").file("ca.pem", ca.pem()).file("list.csv", devices(20));
        let url = format!("https://localhost:{}", front.address().port());
        // The place that issues tokens: one connection, and no item is tried.
        let left = home.run(&at(&url)).exits(4).says(&[what, hint, "sign-in service could not be reached"]);
        left.counts_are(&[("not_attempted", 20)]);
        assert_eq!(front.connections(), 1, "{case}");
        // Graph alone: a connection for the list, and perhaps one for the tenant's name.
        let graph = format!("run list.csv --yes --out out --job other --graph-root {url} --authority {}", stub.url());
        let left = home.run(&graph).exits(4).says(&[what, hint]).counts_are(&[("not_attempted", 20)]);
        assert!(left.summary()["requests"] == 0 && front.connections() <= 3, "{case}: {}", front.connections());
        // Sending alone: none uses up its attempts.
        let left = home.run(&format!("{} --no-preflight", graph.replace("other", "third"))).exits(4);
        assert_eq!(left.counts_are(&[("not_attempted", 20)]).column("result_attempts").concat(), "0".repeat(20), "{case}");
        assert!(stub.posts().is_empty() && stub.reads().is_empty());
        let left = home.run(&format!("check --graph-root {url} --authority {url}")).exits(4);
        assert!(left.stdout.contains(hint), "{}", left.stdout);
        // Whose domain it is cannot be asked either.
        let (home, before) = (home.with("AZURE_TENANT_ID", "contoso.com"), front.connections());
        home.run(&format!("{} --job fourth", at(&url))).exits(3).says(&[what, hint]);
        assert_eq!(front.connections(), before + 1);
    });
}

/// Where tokens go by a config that was chosen.
fn custom(home: Home, root: &str, authority: &str) -> Home {
    home.file(
        "own.toml",
        format!("[graph]\nallow_custom = true\nca_file = \"ca.pem\"\nroot = \"{root}\"\nauthority = \"{authority}\"\n"),
    )
}

const RUN: &str = "run list.csv --yes --out out -c own.toml";

/// The password of a proxy, as it stands in the variable and as it is.
const PASSWORD: [&str; 2] = ["pr%40xy-pass", "pr@xy-pass"];

fn is_silent_about_the_password(left: &Left, home: &Home) {
    let written = home.everything().into_iter().map(|(_, content)| String::from_utf8_lossy(&content).into_owned());
    for text in written.chain([left.stdout.clone(), left.stderr.clone()]) {
        assert!(PASSWORD.iter().all(|password| !text.contains(password)), "{text}");
    }
}

#[test]
fn a_proxy_leads_to_names_that_only_it_can_resolve_and_its_password_is_told_to_nobody() {
    let (ca, stub) = (Ca::new(), Stub::content());
    let front = Front::new(Welcome::Tls(ca.vouch(&["graph.test", "login.test"], &["h2"])), stub.url());
    let account = format!("me:{}", PASSWORD[1]);
    let proxy = Proxy::to(front.address(), Some(&account));
    let home = |url: String| {
        let home = storeless().with("HTTPS_PROXY", &url).with("RUST_LOG", "trace").file("ca.pem", ca.pem());
        custom(home.file("list.csv", devices(3)), "https://graph.test", "https://login.test")
    };
    let named = home(proxy.url(&format!("me:{}@", PASSWORD[0])));
    let left = named.run(RUN).exits(0).counts_are(&[("accepted", 3)]);
    is_silent_about_the_password(&left, &named);
    assert_eq!(proxy.asked(), ["CONNECT graph.test:443 HTTP/1.1", "CONNECT login.test:443 HTTP/1.1"]);
    // Unnamed, or with another password: it is asked once, and nothing else is tried.
    let (count, wrong) = (proxy.count(), Proxy::to(front.address(), Some("me:other")));
    let unnamed = home(proxy.url(""));
    unnamed.run(RUN).exits(4).says(&["the proxy's user and password"]).counts_are(&[("not_attempted", 3)]);
    let misnamed = home(wrong.url(&format!("me:{}@", PASSWORD[0])));
    is_silent_about_the_password(&misnamed.run(RUN).exits(4), &misnamed);
    assert_eq!((proxy.count(), wrong.count(), stub.posts().len()), (count + 1, 1, 3));
}

#[cfg(unix)]
#[test]
fn what_no_proxy_names_is_reached_without_one() {
    // An address of this machine that is not judged to be loopback.
    let (ca, stub) = (Ca::new(), Stub::content());
    let front = Front::new(Welcome::Tls(ca.vouch(&["0.0.0.0"], &[])), stub.url());
    let root = format!("https://0.0.0.0:{}", front.address().port());
    for (no_proxy, asked) in [("example.com", 1), ("example.com,0.0.0.0", 0)] {
        let proxy = Proxy::to(front.address(), None);
        let home = storeless().with("ALL_PROXY", &proxy.url("")).with("NO_PROXY", no_proxy).file("ca.pem", ca.pem());
        // The authority is loopback, which no proxy is asked for in either case.
        let home = custom(home.file("list.csv", devices(1)), &root, stub.url());
        home.run(RUN).exits(0).counts_are(&[("accepted", 1)]);
        assert_eq!(proxy.asked().len(), asked, "{no_proxy}");
    }
}

#[test]
fn a_machine_without_a_ca_store_is_told_so_where_tls_is_needed_and_only_there() {
    let home = storeless().without("BULK_REVOKE_CA_FILE").file("list.csv", devices(1)).file("ca.pem", "");
    home.run("run list.csv --simulate --out out").exits(0);
    let graph = Graph::with([]);
    home.run(&format!("run list.csv {}", graph.flags())).exits(0);
    home.write("own.toml", "[graph]\nallow_custom = true\nroot = \"https://graph.test\"\n");
    let left = home.run(&format!("run list.csv --yes -c own.toml --authority {}", graph.url())).exits(3);
    left.says(&["No CA certificates", "ca-certificates", "SSL_CERT_FILE", "--ca-file"]);
    assert_eq!(graph.posts().len(), 1);
}

#[test]
fn a_ca_file_that_is_none_is_refused_with_what_to_do() {
    let (ca, graph) = (Ca::new(), Graph::with([]));
    let pem = ca.pem();
    let with_key = format!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n{pem}");
    let cases: [(&[u8], i32, &str); 6] = [
        (with_key.as_bytes(), 0, ""),
        (b"", 3, "the CA file is empty"),
        (&ca.der(), 3, "openssl x509 -inform der -in FILE -out ca.pem"),
        (b"garbage", 3, "holds no PEM certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 3, "the CA file"),
        (b"-----BEGIN CERTIFICATE-----\n!!!\n", 3, "the CA file is no PEM"),
    ];
    all_at_once(cases, |(content, code, words)| {
        let home = Home::signed_in().unverified().file("list.csv", devices(1)).file("ca.pem", content);
        home.run(&format!("run list.csv --ca-file ca.pem {}", graph.flags())).exits(code).says(&[words]);
    });
    let home = Home::signed_in().file("list.csv", devices(1));
    home.run(&format!("run list.csv --ca-file gone.pem {}", graph.flags())).exits(3).says(&["gone.pem"]);
}

#[test]
fn a_redirect_of_the_token_endpoint_does_not_carry_the_secret_away() {
    let elsewhere = Stub::content();
    let away = Answer::empty(307).with("location", format!("{}/oauth2/v2.0/token", elsewhere.url()));
    let graph = Graph::with([Rule::on(Call::Token, Fault::canned(away))]);
    let home = Home::signed_in().file("list.csv", devices(2));
    home.run(&format!("run list.csv {}", graph.flags())).exits(4).says(&["307"]).counts_are(&[("not_attempted", 2)]);
    assert_eq!((elsewhere.connections(), graph.token_requests(), graph.posts().len()), (0, 1, 0));
}

/// The example of the claims challenge page: nothing issued before 2020-10-31T01:10:51Z is taken.
const CHALLENGE: &str = "WWW-Authenticate: Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\"\r\n\
    WWW-Authenticate: Bearer error=\"insufficient_claims\", \
    claims=\"eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwgInZhbHVlIjoiMTYwNDEwNjY1MSJ9fX0=\"\r\n";

const EXPLAINED: [&str; 3] = ["continuous access evaluation", "2020-10-31T01:10:51Z", "sign-in logs"];

#[test]
fn a_challenge_of_continuous_access_evaluation_stops_the_tenant_without_one_more_request() {
    for status in [401, 403] {
        let stub = Stub::scripted(move |_| Some(answer(status, CHALLENGE, "")));
        let home = Home::signed_in().file("list.csv", devices(20));
        let left = home.run(&format!("run list.csv {}", stub.flags())).exits(4).says(&EXPLAINED);
        left.counts_are(&[("not_attempted", 20)]);
        assert_eq!((stub.posts().len(), stub.reads().len()), (0, 1));
        let left = home.run(&format!("run list.csv --no-preflight --job other --concurrency 1 {}", stub.flags())).exits(4);
        let left = left.says(&EXPLAINED).counts_are(&[("not_attempted", 20)]);
        assert_eq!((stub.posts().len(), left.summary()["requests"].as_u64()), (1, Some(1)));
        let tokens = stub.seen().iter().filter(|seen| seen.path().ends_with("/token")).count();
        assert_eq!(tokens, 2, "one for each run");
        let left =
            home.run(&format!("check --format csv --kind device-owner {}", stub.places().replace("--out out", ""))).exits(4);
        assert!(EXPLAINED.iter().all(|words| left.stdout.contains(words)), "{}", left.stdout);
    }
}

#[test]
fn a_tenant_whose_fresh_tokens_are_refused_is_stopped_with_the_services_words() {
    let header = "WWW-Authenticate: Bearer error=\"invalid_token\", error_description=\"The audience is invalid\"\r\n";
    let stub = Stub::scripted(move |_| Some(answer(401, header, "")));
    let home = Home::signed_in().file("list.csv", devices(40));
    let left = home.run(&format!("run list.csv {}", stub.flags())).exits(4);
    left.says(&["a token that had just come: The audience is invalid"]).counts_are(&[("not_attempted", 40)]);
    let sent = home.run(&format!("run list.csv --no-preflight --job other {}", stub.flags())).exits(4);
    sent.says(&["a token that had just come: The audience is invalid"]);
    // Sixteen workers, and each time one token and one more for all of them.
    let tokens = stub.seen().iter().filter(|seen| seen.path().ends_with("/token")).count();
    assert_eq!((tokens, stub.posts().len() <= 32), (4, true));
}
