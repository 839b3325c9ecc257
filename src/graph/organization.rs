//! Whose tenant it is: its own record in the directory, for people to read. Nothing depends on it.

use std::fmt;

use jiff::Timestamp;
use reqwest::Client;
use serde::Deserialize;
use uuid::Uuid;

use super::root::GraphRoot;
use super::verdict::judge_read;
use super::wire::{LARGEST_BODY, failure, receive, signed};
use crate::auth::Bearer;
use crate::exec::Sight;

/// A tenant's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// What it calls itself.
    pub name: String,
    /// Its default domain.
    pub domain: Option<String>,
}

/// What one read of the record brought.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// The record, or why it is not shown.
    pub organization: Result<Organization, String>,
    /// The service's time, if there was an answer.
    pub date: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Records {
    value: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    display_name: Option<String>,
    #[serde(default)]
    verified_domains: Vec<Domain>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Domain {
    name: String,
    #[serde(default)]
    is_default: bool,
}

/// Asks whose tenant a bearer is for. One request, no retry; it takes `Organization.Read.All`, which nobody must have.
/// Source: <https://learn.microsoft.com/graph/api/organization-list>.
pub async fn introduce(client: &Client, root: &GraphRoot, bearer: &Bearer) -> Introduction {
    let url = root.beta("organization?$select=id,displayName,verifiedDomains");
    let (sight, date) = match signed(client.get(url), bearer, Uuid::new_v4()).send().await {
        Ok(response) => {
            let (response, date) = receive(response, bearer.expose(), LARGEST_BODY).await;
            (judge_read(&response, date.unwrap_or(Timestamp::UNIX_EPOCH), record), date)
        }
        Err(error) => (failure(error).sight(), None),
    };
    let organization = match sight {
        Sight::Shown(organization) => Ok(organization),
        Sight::Denied { reason }
        | Sight::Refused { reason }
        | Sight::StopTenant { reason }
        | Sight::Again { message: reason, .. } => Err(reason),
        Sight::Gone | Sight::Throttled { .. } | Sight::Unauthorized { .. } | Sight::NoToken => {
            Err("the service does not show it now".to_owned())
        }
    };
    Introduction { organization, date }
}

fn record(body: &[u8]) -> Result<Organization, String> {
    let records: Option<Records> = serde_json::from_slice(body).ok();
    let record = records.and_then(|records| records.value.into_iter().next());
    let record = record.ok_or("the answer shows no organisation")?;
    let domain = record.verified_domains.into_iter().find(|domain| domain.is_default).map(|domain| domain.name);
    let name = record.display_name.ok_or("the organisation shows no name")?;
    Ok(Organization { name, domain })
}

impl fmt::Display for Organization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.domain.as_ref().map_or(Ok(()), |domain| write!(f, " ({domain})"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_a_name_and_the_default_domain() {
        let domains = json!([{"name": "a.onmicrosoft.com"}, {"name": "a.com", "isDefault": true, "type": "Managed"}]);
        let body = json!({"value": [{"id": "x", "displayName": "A", "verifiedDomains": domains}]}).to_string();
        assert_eq!(record(body.as_bytes()).map(|shown| shown.to_string()), Ok("A (a.com)".to_owned()));
        let bare = record(br#"{"value":[{"displayName":"A"}]}"#);
        assert_eq!(bare.map(|shown| shown.to_string()), Ok("A".to_owned()));
        for odd in ["", "<html>", "{}", r#"{"value":[]}"#, r#"{"value":[{"displayName":null}]}"#] {
            assert!(record(odd.as_bytes()).is_err(), "{odd}");
        }
    }
}
