//! A person signs in by a code, and out again: what is said, what is kept, and that it is nowhere else.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::kit::{APP, Home, OTHER, Reply, Stub, TENANT, all_at_once, answer};

/// What must be in no text but the kept sign-in, as it is and in a form.
const SECRETS: [&str; 5] = ["D3VICE/code", "D3VICE%2Fcode", "R3FRESH/token", "R3FRESH%2Ftoken", "BEARER-IN-PERSON"];

fn json(status: u16, body: &Value) -> Reply {
    answer(status, "Content-Type: application/json\r\n", &body.to_string())
}

fn denied(error: &str) -> Reply {
    json(400, &json!({"error": error, "error_description": "AADSTS70016: D3VICE/code is R3FRESH/token. Yes."}))
}

/// A token in Ann's name, with the permission that Android takes.
fn granted(tenant: Uuid, refresh_token: Option<&str>) -> Reply {
    let claims = json!({"tid": tenant, "upn": "ann@\u{1b}[2Jcontoso.com", "scp": "DeviceManagementConfiguration.ReadWrite.All"});
    let parts = [json!({"alg": "none"}), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let token = format!("{}.{}.BEARER-IN-PERSON", parts[0], parts[1]);
    json(200, &json!({"access_token": token, "expires_in": 3_599, "refresh_token": refresh_token}))
}

/// A service whose code holds for so long, and which answers each further question so.
fn service(expires_in: u32, answers: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Stub {
    let asked = AtomicUsize::new(0);
    Stub::signing_in(move |seen| {
        let message = "Open https://login.example/go\u{1b}[2J and enter AB12CD";
        let code = json!({"device_code": "D3VICE/code", "message": message, "interval": 1, "expires_in": expires_in});
        Some(if seen.path().ends_with("/devicecode") { json(200, &code) } else { answers(asked.fetch_add(1, Ordering::SeqCst)) })
    })
}

fn home() -> Home {
    Home::new().with("AZURE_TENANT_ID", &TENANT.to_string()).with("AZURE_CLIENT_ID", &APP.to_string())
}

fn login(stub: &Stub) -> String {
    format!("login --graph-root {0} --authority {0}", stub.url())
}

/// Where the sign-in of the tenant is kept.
fn kept() -> String {
    format!("state/sign-ins/{TENANT}.json")
}

#[test]
fn a_person_signs_in_once_and_only_the_owner_can_read_what_is_kept() {
    let stub = service(900, |n| match n {
        0 => denied("authorization_pending"),
        1 => granted(TENANT, Some("R3FRESH/token")),
        _ => granted(TENANT, Some("second")),
    });
    let home = home().with("RUST_LOG", "trace");
    let left = home.run(&format!("{} -vv", login(&stub))).exits(0);
    let left = left.says(&[
        "Open https://login.example/go\\u{1b}[2J and enter AB12CD\n",
        "15m 00s",
        "signed in as ann@\\u{1b}[2Jcontoso.com",
        "permissions in the token: DeviceManagementConfiguration.ReadWrite.All",
        "androidDeviceOwnerEnrollmentProfile: the token shows a permission",
        "vppToken: the token shows a permission",
        "used where this machine has no identity of its own",
    ]);
    assert!(left.stdout.trim_end().ends_with(&kept()) && left.stdout.lines().count() == 1, "{}", left.stdout);
    let mut written = home.everything();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let modes = ["state/sign-ins", &kept()].map(|path| home.path(path).metadata().unwrap().permissions().mode() & 0o777);
        assert_eq!(modes, [0o700, 0o600]);
    }
    let own = written.iter().position(|(path, _)| path.ends_with(kept())).unwrap();
    let saved: Value = serde_json::from_slice(&written.swap_remove(own).1).unwrap();
    assert_eq!((saved["refresh_token"].as_str(), saved["tenant"].as_str()), (Some("R3FRESH/token"), Some(&*TENANT.to_string())));
    written.extend([("standard output".into(), left.stdout.into_bytes()), ("standard error".into(), left.stderr.into_bytes())]);
    for (path, content) in written {
        let text = String::from_utf8_lossy(&content);
        let found = SECRETS.into_iter().chain(["eyJ"]).find(|secret| text.contains(secret));
        assert_eq!(found, None, "in {}", path.display());
    }
    // Signed in again, quietly: the code is shown all the same, and the newer sign-in counts.
    let quiet = home.without("RUST_LOG");
    let left = quiet.run(&format!("{} -q", login(&stub))).exits(0);
    assert_eq!(left.stderr, "Open https://login.example/go\\u{1b}[2J and enter AB12CD\n");
    assert!(String::from_utf8(left.bytes(&kept())).unwrap().contains("\"second\""));
    quiet.run("logout").exits(0).says(&["removed", "sign-in sessions"]);
    quiet.run(&format!("logout --tenant {TENANT}")).exits(0).says(&["nobody was signed in"]);
    assert!(quiet.everything().is_empty());
    let left = quiet.with("AZURE_CLIENT_SECRET", "s").run(&login(&stub)).exits(0);
    left.says(&["warning: its runs do not use this sign-in", "client-secret, because AZURE_CLIENT_SECRET is set"]);
}

#[test]
fn a_sign_in_that_fails_says_why_and_leaves_what_was_kept_as_it_was() {
    type Answers = fn(usize) -> Reply;
    let cases: [(u32, Answers, i32, &str); 6] = [
        (900, |_| denied("authorization_declined"), 4, "declined in the browser"),
        (900, |_| denied("expired_token"), 4, "not used in time"),
        (1, |_| denied("authorization_pending"), 4, "not used in time"),
        (900, |_| denied("invalid_client"), 4, "AADSTS70016: [redacted] is"),
        (900, |_| granted(TENANT, None), 4, "offline_access"),
        (900, |_| granted(OTHER, Some("R3FRESH/token")), 6, "the token that came (device-code) is for tenant"),
    ];
    all_at_once(cases, |(expires_in, answers, code, words)| {
        let stub = service(expires_in, answers);
        let home = home().file(&kept(), "as it was");
        let left = home.run(&format!("{} -vv", login(&stub))).exits(code).says(&[words, "nobody was signed in"]);
        assert_eq!((left.stdout.as_str(), home.everything().len()), ("", 1));
        assert_eq!(left.bytes(&kept()), b"as it was");
        assert!(!left.stderr.contains("D3VICE") && !left.stderr.contains("eyJ"), "{}", left.stderr);
    });
}

#[test]
fn a_person_who_gives_up_leaves_nothing_behind() {
    let (stub, home) = (service(900, |_| denied("authorization_pending")), home());
    let mut process = home.start(&login(&stub));
    process.wait_for("Ctrl-C gives up");
    process.signal("INT");
    home.left(process).exits(130).says(&["nobody was signed in"]);
    assert!(home.everything().is_empty());
}

#[test]
fn nobody_is_asked_to_sign_in_where_that_could_not_be_used() {
    let stub = service(900, |_| denied("authorization_pending"));
    let login = login(&stub);
    let app = home().without("AZURE_CLIENT_ID").run(&login).exits(3);
    app.says(&[
        "no client_id",
        "allow public client flows",
        "DeviceManagementServiceConfig.ReadWrite.All (VPP)",
        "AZURE_CLIENT_ID",
    ]);
    home().without("AZURE_TENANT_ID").run(&login).exits(3).says(&["no tenant"]);
    home().run(&format!("{login} --tenant acme")).exits(3).says(&["unknown tenant"]);
    home().file("state", "in the way").run(&login).exits(13).says(&["BULK_REVOKE_STATE_DIR"]);
    assert!(stub.seen().is_empty(), "nothing was asked for");
    let foreign = format!("https://login.example/{OTHER}/v2.0");
    let stub = Stub::signing_in(move |_| Some(json(200, &json!({"issuer": foreign}))));
    let home = home().file("config.toml", "[auth]\nexpect_domain = \"contoso.com\"\n");
    home.run(&self::login(&stub)).exits(6).says(&["expect_domain", &OTHER.to_string()]);
    assert!(stub.seen().iter().all(|seen| seen.line().starts_with("GET ")));
}
