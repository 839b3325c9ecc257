//! The requests that wait for a second administrator (Multi Admin Approval): read, never decided on.

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::transport::{Graph, TokenSource};
use super::{address, reading};
use crate::exec::{Approver, NextPage, Reading, Requests, Sight, Standing};
use crate::model::TenantId;

/// An operationApprovalRequest, as far as it matters (resource page, beta).
#[derive(Deserialize)]
struct Request {
    id: Option<String>,
    status: Option<String>,
    #[serde(rename = "expirationDateTime")]
    expires: Option<String>,
}

#[derive(Deserialize)]
struct List {
    value: Vec<Request>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

impl Request {
    fn standing(self) -> Standing {
        let status = self.status.unwrap_or_default();
        match status.to_ascii_lowercase().as_str() {
            "needsapproval" => Standing::Open(self.expires.and_then(|text| text.parse::<Timestamp>().ok())),
            "approved" => Standing::Approved,
            "completed" => Standing::Completed,
            "canceled" => Standing::Over("cancelled".to_owned()),
            over @ ("rejected" | "cancelled" | "expired") => Standing::Over(over.to_owned()),
            _ => Standing::Other(status.chars().take(STATUS_CHARS).collect()),
        }
    }
}

/// The longest word for a state that is shown.
const STATUS_CHARS: usize = 40;

impl<S: TokenSource> Approver for Graph<S> {
    async fn requests(&self, tenant: TenantId, page: Option<NextPage>) -> Reading<Requests> {
        match address::approvals(&self.root, page.as_ref()) {
            Ok(url) => named(self.read(tenant, &url, |body, _| requests(body)).await),
            Err(reason) => Reading { sight: Sight::Refused { reason }, token: None },
        }
    }

    async fn request(&self, tenant: TenantId, id: &str) -> Reading<Standing> {
        // Nothing that is no GUID reaches a URL.
        let Ok(id) = Uuid::try_parse(id) else { return Reading { sight: Sight::Gone, token: None } };
        let url = address::approval(&self.root, id);
        self.read(tenant, &url, |body, _| reading::parse::<Request>(body).map(Request::standing)).await
    }
}

/// What may read them, by their page; a denial does not always say.
const PERMISSIONS: &str = "DeviceManagementConfiguration.Read.All or DeviceManagementRBAC.Read.All";

fn named<T>(reading: Reading<T>) -> Reading<T> {
    let sight = if let Sight::Denied { reason } = &reading.sight
        && !reason.contains("DeviceManagement")
    {
        Sight::Denied { reason: format!("{reason}; it takes {PERMISSIONS}") }
    } else {
        reading.sight
    };
    Reading { sight, token: reading.token }
}

fn requests(body: &[u8]) -> Result<Requests, String> {
    let list: List = reading::parse(body)?;
    let known = |mut request: Request| Some((request.id.take()?, request.standing()));
    let next = list.next.filter(|link| !link.trim().is_empty()).map(NextPage);
    Ok(Requests { found: list.value.into_iter().filter_map(known).collect(), next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_state_is_understood_and_a_new_one_is_kept_as_it_is() {
        let of = |status: &str| {
            let body = serde_json::json!({"value": [{
                "id": "aabb1234-5678-9012-abcd-ef0123456789", "status": status, "expirationDateTime": "2026-06-04T12:00:00Z"
            }, {"status": "approved"}]});
            let page = requests(body.to_string().as_bytes()).unwrap();
            assert_eq!(page.found.len(), 1);
            page.found.into_iter().next().unwrap().1
        };
        assert_eq!(of("needsApproval"), Standing::Open("2026-06-04T12:00:00Z".parse().ok()));
        assert_eq!((of("approved"), of("completed")), (Standing::Approved, Standing::Completed));
        for over in ["rejected", "cancelled", "expired"] {
            assert_eq!(of(over), Standing::Over(over.to_owned()));
        }
        assert_eq!(of("unknownFutureValue"), Standing::Other("unknownFutureValue".to_owned()));
    }
}
