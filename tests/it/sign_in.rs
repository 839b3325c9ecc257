//! Every way to sign in, from the environment that it is made for to the report, against an Entra that checks what comes.
#![expect(clippy::unwrap_used, reason = "a key or a program that cannot be made is a failed test")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bulk_revoke::sim::{Assigned, Behaviour, FederatedCredential, Issuer, Options, Person, Platform, Registration, Span};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use uuid::Uuid;

use crate::kit::{APP, Graph, Home, Left, OTHER, TENANT, devices, id};

/// What must be in nothing that is written: how every JWT begins, and what lets a program ask its platform.
const SECRETS: [&str; 2] = ["eyJ", "platform-secret"];

/// A home that knows its tenant and app, has nothing to prove them with, and no metadata service around it.
fn home() -> Home {
    Home::signed_in().without("AZURE_CLIENT_SECRET").file("list.csv", devices(3))
}

/// The same, without an app.
fn appless() -> Home {
    home().without("AZURE_CLIENT_ID")
}

/// Tells the jobs of these tests apart.
static JOBS: AtomicUsize = AtomicUsize::new(0);

fn options() -> Options {
    let platform = Platform { secret: "platform-secret".to_owned(), ..Platform::default() };
    Options { platform, ..Options::new(Behaviour::immediate()) }
}

/// A simulator in which [`APP`] has this and nothing else to prove itself with.
fn knowing(registration: Registration) -> Graph {
    Graph::start(Options { registrations: vec![registration], ..options() })
}

fn run(home: &Home, graph: &Graph) -> Left {
    // A job of its own: the last one may have been left unfinished.
    let job = JOBS.fetch_add(1, Ordering::Relaxed);
    let left = home.run(&format!("run list.csv -vv --job job-{job} {}", graph.flags()));
    for text in [&left.stdout, &left.stderr] {
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
    }
    left
}

/// Three items that were not revoked yet go through by this method, and no secret is in anything that is written.
fn revokes(home: &Home, graph: &Graph, method: &str) {
    let done = graph.posts().len() as u128;
    let rows = (done + 1..=done + 3).map(|n| format!("device-owner,{}\n", id(n)));
    home.write("list.csv", std::iter::once("kind,id\n".to_owned()).chain(rows).collect::<String>());
    run(home, graph).exits(0).counts_are(&[("revoked", 3)]).says(&[method]);
    for (path, content) in home.everything() {
        if path.starts_with(home.path("out")) || path.starts_with(home.path("state")) {
            let content = String::from_utf8_lossy(&content);
            assert!(SECRETS.iter().all(|secret| !content.contains(secret)), "a secret is in {}", path.display());
        }
    }
}

/// A certificate that ends with this year, and its key: in one PEM file, and as DER.
fn certificate(year: i32) -> (String, Vec<u8>) {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.not_after = date_time_ymd(year, 12, 31);
    let certificate = params.self_signed(&key).unwrap();
    (format!("{}{}", key.serialize_pem(), certificate.pem()), certificate.der().to_vec())
}

#[test]
fn a_certificate_signs_in_where_it_was_uploaded_and_nowhere_else() {
    let (pem, der) = certificate(2_999);
    let home = home().file("app.pem", pem).with("AZURE_CLIENT_CERTIFICATE_PATH", "app.pem");
    revokes(&home, &knowing(Registration::new(APP).with_certificate(&der)), "certificate");
    let other = knowing(Registration::new(APP).with_certificate(&certificate(2_999).1));
    run(&home, &other).exits(4).says(&["AADSTS700027", "upload"]).counts_are(&[("not_attempted", 3)]);
    let (pem, der) = certificate(2_020);
    let ended = home.file("app.pem", pem);
    run(&ended, &knowing(Registration::new(APP).with_certificate(&der))).exits(4).says(&["AADSTS700027", "expired"]);
}

#[test]
fn a_token_of_another_issuer_signs_in_if_the_app_trusts_it() {
    let trusting = |issuer, subject| {
        let credential = FederatedCredential::new(issuer, subject);
        knowing(Registration { federated: vec![credential], ..Registration::new(APP) })
    };
    let subject = "system:serviceaccount:ops:bulk-revoke";
    let graph = trusting(Issuer::Cluster, subject);
    let token = graph.server().federated_token(Issuer::Cluster, subject, Duration::from_mins(10));
    let pod = home().file("token.jwt", token).with("AZURE_FEDERATED_TOKEN_FILE", "token.jwt");
    revokes(&pod, &graph, "workload-identity");
    pod.write(
        "token.jwt",
        graph.server().federated_token(Issuer::Cluster, "system:serviceaccount:ops:x", Duration::from_mins(10)),
    );
    run(&pod, &graph).exits(4).says(&["AADSTS700213", "subject"]);

    let Platform { github_subject, pipelines_subject, .. } = Platform::default();
    let graph = trusting(Issuer::GitHub, &github_subject);
    let job = home().with("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}/_github/token?api-version=2.0", graph.url()));
    revokes(&job.with("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "platform-secret"), &graph, "github");

    let graph = trusting(Issuer::AzurePipelines, &pipelines_subject);
    let job = home().with("SYSTEM_OIDCREQUESTURI", &format!("{}/_pipelines/oidc", graph.url()));
    let job = job.with("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "connection");
    revokes(&job.with("SYSTEM_ACCESSTOKEN", "platform-secret"), &graph, "azure-pipelines");
}

#[test]
fn a_machines_own_identity_signs_in_and_so_does_one_that_was_assigned_to_it() {
    let assigned = Assigned { client: APP, object: Uuid::from_u128(0xb), resource: "/subscriptions/s/x".to_owned() };
    let platform = Platform { assigned: Some(vec![assigned]), ..options().platform };
    let graph = Graph::start(Options { platform, ..options() });
    let machine = |home: Home| home.with("AZURE_POD_IDENTITY_AUTHORITY_HOST", graph.url());
    revokes(&machine(appless()), &graph, "managed-identity");
    revokes(&machine(home()), &graph, "managed-identity");
    let other = machine(home()).with("AZURE_CLIENT_ID", &id(9).to_string());
    run(&other, &graph).exits(4).says(&["dentity not found", &id(9).to_string()]);

    let app = |home: Home| {
        home.with("IDENTITY_ENDPOINT", &format!("{}/msi/token", graph.url())).with("IDENTITY_HEADER", "platform-secret")
    };
    revokes(&app(appless()), &graph, "managed-identity");
    let by_resource = "[auth]\nmethod = \"managed-identity\"\nidentity_resource_id = \"/subscriptions/s/x\"\n";
    revokes(&app(appless()).file("config.toml", by_resource), &graph, "managed-identity");
}

#[cfg(unix)]
#[test]
fn what_gives_tokens_of_another_tenant_than_was_meant_is_refused() {
    let platform = Platform { tenant: Some(OTHER), ..options().platform };
    let graph = Graph::start(Options { platform, ..options() });
    let machine = appless().with("AZURE_POD_IDENTITY_AUTHORITY_HOST", graph.url());
    let given = appless().with("TOKEN", &graph.server().access_token(OTHER, APP));
    let given = given.file("config.toml", "[auth]\ntoken = \"env:TOKEN\"\n");
    let cli = with_cli(appless(), &graph.server().access_token(OTHER, APP));
    for home in [machine, given, cli] {
        run(&home, &graph).exits(6).says(&[&TENANT.to_string(), &OTHER.to_string(), "nothing was sent"]);
    }
    assert!(graph.posts().is_empty());
}

/// An Azure CLI that answers with this token, if it is asked as it should be.
#[cfg(unix)]
fn with_cli(home: Home, token: &str) -> Home {
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in \"account get-access-token -o json --scope http://127.0.0.1:\"*\"/.default --tenant {TENANT}\") ;; \
         *) echo \"asked: $*\" >&2; exit 2;; esac\n\
         printf '{{\"accessToken\": \"%s\", \"expires_on\": %s, \"tokenType\": \"Bearer\"}}' '{token}' $(($(date +%s) + 3600))\n"
    );
    with_program(home, &script)
}

#[cfg(unix)]
fn with_program(home: Home, script: &str) -> Home {
    use std::os::unix::fs::PermissionsExt as _;
    home.write("bin/az", script);
    std::fs::set_permissions(home.path("bin/az"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", home.path("bin").display());
    home.with("PATH", &path)
}

#[cfg(unix)]
#[test]
fn who_is_signed_in_to_the_azure_cli_signs_in() {
    let graph = Graph::start(options());
    revokes(&with_cli(appless(), &graph.server().access_token(TENANT, APP)), &graph, "azure-cli");
    let logged_out = with_program(appless(), "#!/bin/sh\necho \"ERROR: Please run 'az login' to setup account.\" >&2\nexit 1\n");
    run(&logged_out, &graph).exits(4).says(&["az login"]);
}

#[test]
fn a_token_that_somebody_else_got_is_taken_from_a_variable_or_a_file() {
    let graph = Graph::start(options());
    let token = graph.server().access_token(TENANT, APP);
    let given = |place: &str| appless().file("config.toml", format!("[auth]\nmethod = \"token\"\ntoken = \"{place}\"\n"));
    revokes(&given("env:TOKEN").with("TOKEN", &token), &graph, "token");
    revokes(&given("file:token").file("token", format!("{token}\n")), &graph, "token");
    let opaque = given("env:TOKEN").with("TOKEN", "opaque-thing");
    run(&opaque, &graph).exits(6).says(&["allow_opaque_token"]);
}

#[test]
fn a_person_signs_in_once_and_runs_go_by_that_until_it_ends() {
    // As the older documentation has it: no application may do it, a person may.
    let person =
        Person { interval: Duration::from_secs(1), approves_after: Some(1), old_refresh_works: false, ..Person::default() };
    let behaviour = Behaviour { person, delegated_only: true, ..Behaviour::immediate() };
    let registration = Registration { public: true, ..Registration::new(APP).with_secret("simulated") };
    let graph = Graph::start(Options { registrations: vec![registration], ..Options::new(behaviour) });
    let person = home().file("config.toml", "[auth]\nmethod = \"device-code\"\n");
    run(&person, &graph).exits(4).says(&["bulk-revoke login --tenant"]);
    person.run(&format!("login {}", graph.places())).exits(0).says(&["adele@simulated.example"]);
    // Only the newest refresh token is of use, so the second run shows that the first one kept it.
    revokes(&person, &graph, "device-code");
    revokes(&person, &graph, "device-code");
    graph.server().revoke_sessions();
    run(&person, &graph).exits(4).says(&["bulk-revoke login --tenant"]);
    let app = person.file("config.toml", "").with("AZURE_CLIENT_SECRET", "simulated");
    app.write("list.csv", devices(8));
    run(&app, &graph).exits(4).says(&["permission"]);
}

#[test]
fn where_nothing_is_set_everything_that_was_looked_for_is_named() {
    let graph = Graph::start(options());
    let home = appless().with("PATH", "/nowhere");
    run(&home, &graph).exits(4).says(&["AZURE_CLIENT_SECRET", "managed-identity: nobody answers", "az is not on PATH"]);
}

#[test]
fn a_run_through_twenty_lives_of_a_token_loses_no_item_for_it() {
    // Each request comes after half of a token's life, when it is to be renewed.
    let life = Duration::from_secs(2);
    let graph = Graph::of(Behaviour { token_lifetime: Span::exactly(life), ..Behaviour::immediate() });
    let home = Home::signed_in().unverified().with("BULK_REVOKE_QUOTA", "none").with("BULK_REVOKE_RATE", "1/1100ms");
    let home = home.file("list.csv", devices(24));
    home.run(&format!("run list.csv {}", graph.flags())).exits(0).counts_are(&[("accepted", 24)]);
    assert!(graph.token_log().len() >= 20, "{}", graph.token_log().len());
}
