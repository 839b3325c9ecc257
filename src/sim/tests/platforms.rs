//! The platforms: what they give, to whom, and that Entra takes it.

use uuid::Uuid;

use super::client::{APP, Client, OTHER, Reply, TENANT, ask_token, exchange, host, options};
use crate::sim::query::encode;
use crate::sim::{Assigned, Behaviour, Call, Collection, Fault, Platform, Rule, Server};

async fn ask(server: &Server, line: &str, header: &str) -> Reply {
    let line = line.replace("ROOT", &encode(server.url()));
    let request =
        format!("{line} HTTP/1.1\r\nhost: {}\r\n{header}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", host(server));
    exchange(server, &request).await.unwrap()
}

const MACHINE: &str = "GET /metadata/identity/oauth2/token?api-version=2019-08-01&resource=ROOT";
const APP_SERVICE: &str = "GET /msi/token?api-version=2019-08-01&resource=ROOT";
const GITHUB: &str = "GET /_github/token?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange";
const PIPELINES: &str = "POST /_pipelines/oidc?api-version=7.1&serviceConnectionId=1";
const BEARER: &str = "authorization: Bearer simulated";

#[tokio::test]
async fn each_platform_answers_as_documented_and_refuses_what_is_not() {
    let server = Server::start(options(Behaviour::immediate(), 1)).await.unwrap();
    for (line, header, wrong) in [
        (MACHINE, "metadata: true", vec!["metadata: True", "accept: */*"]),
        (APP_SERVICE, "x-identity-header: simulated", vec!["x-identity-header: guess", "metadata: true"]),
        (GITHUB, BEARER, vec!["authorization: Bearer guess", "accept: */*"]),
        (PIPELINES, BEARER, vec!["authorization: Basic simulated"]),
    ] {
        assert_eq!(ask(&server, line, header).await.status, 200, "{line}");
        for wrong in wrong {
            assert!([400, 401].contains(&ask(&server, line, wrong).await.status), "{line} {wrong}");
        }
        let verb = if line == PIPELINES { line.replace("POST", "GET") } else { line.replace("GET", "POST") };
        assert_eq!(ask(&server, &verb, header).await.status, 405, "{line}");
        for lacking in ["api-version=", "resource=", "serviceConnectionId="].into_iter().filter(|name| line.contains(name)) {
            let reply = ask(&server, &line.replace(lacking, "other="), header).await;
            assert!(line == GITHUB || [400, 404].contains(&reply.status), "{line} without {lacking}");
        }
    }
    let machine = ask(&server, MACHINE, "metadata: true").await.json();
    assert!(machine["expires_in"].is_string() && machine["expires_on"].is_string());
    let service = ask(&server, APP_SERVICE, "x-identity-header: simulated").await.json();
    assert!(service["expires_in"].is_null() && service["expires_on"].is_string());
    let token = machine["access_token"].as_str().unwrap().to_owned();
    assert_eq!(Client { server, token }.revoke(Collection::VppTokens, 1).await.unwrap().status, 204);
}

#[tokio::test]
async fn an_identity_is_found_by_each_of_its_ids_and_belongs_to_its_own_tenant() {
    let (client, object) = (Uuid::from_u128(0xc1), Uuid::from_u128(0x0b));
    let mut options = options(Behaviour::immediate(), 1);
    let assigned = Assigned { client, object, resource: "/subscriptions/1/identity".to_owned() };
    options.platform = Platform { tenant: Some(OTHER), system: None, assigned: Some(vec![assigned]), ..Platform::default() };
    let server = Server::start(options).await.unwrap();
    for by in [format!("client_id={client}"), format!("object_id={object}"), "msi_res_id=/Subscriptions/1/identity".to_owned()] {
        let reply = ask(&server, &format!("{MACHINE}&{by}"), "metadata: true").await;
        assert_eq!(reply.json()["client_id"], client.to_string(), "{by}");
    }
    assert_eq!(server.log()[0].tenant, Some(OTHER));
    for unknown in [MACHINE.to_owned(), format!("{MACHINE}&client_id={object}")] {
        let reply = ask(&server, &unknown, "metadata: true").await;
        assert_eq!((reply.status, &reply.json()["error_description"]), (400, &"Identity not found".into()));
    }
}

#[tokio::test]
async fn a_platform_that_is_updating_says_so_as_often_as_it_is_told() {
    let mut behaviour = Behaviour::immediate();
    behaviour.rules = vec![Rule::on(Call::Platform, Fault::status(410)).times(2)];
    let server = Server::start(options(behaviour, 1)).await.unwrap();
    for status in [410, 410, 200] {
        assert_eq!(ask(&server, MACHINE, "metadata: true").await.status, status);
    }
}

#[tokio::test]
async fn entra_takes_the_token_of_a_job_and_nothing_secret_is_logged() {
    let server = Server::start(options(Behaviour::immediate(), 1)).await.unwrap();
    let scope = encode(&format!("{}/.default", server.url()));
    let mut secrets = vec!["simulated".to_owned()];
    for (line, field) in [(GITHUB, "value"), (PIPELINES, "oidcToken")] {
        let token = ask(&server, line, BEARER).await.json()[field].as_str().unwrap().to_owned();
        let form = format!(
            "grant_type=client_credentials&client_id={APP}&scope={scope}&client_assertion={token}&client_assertion_type={}",
            encode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        );
        let reply = ask_token(&server, &TENANT.to_string(), "", &form).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        secrets.extend([token, reply.json()["access_token"].as_str().unwrap().to_owned()]);
    }
    secrets.push(ask(&server, MACHINE, "metadata: true").await.json()["access_token"].as_str().unwrap().to_owned());
    let log = serde_json::to_string(&server.log()).unwrap();
    assert!(log.contains("/_github/token") && secrets.iter().all(|secret| !log.contains(secret.as_str())), "{log}");
}
