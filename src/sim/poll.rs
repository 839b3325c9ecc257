//! Reading requests for an approval (`operationApprovalRequest`, resource page of 2026-08).

use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::approval::ApprovalStatus;
use super::pending::Filed;
use super::query;
use super::read::Look;
use super::service::Service;

/// Any one of these application permissions allows it.
pub(super) const ROLES: [&str; 4] = [
    "DeviceManagementConfiguration.Read.All",
    "DeviceManagementConfiguration.ReadWrite.All",
    "DeviceManagementRBAC.Read.All",
    "DeviceManagementRBAC.ReadWrite.All",
];

const SEGMENTS: (&str, &str) = ("deviceManagement", "operationApprovalRequests");

const TYPE_NAME: &str = "microsoft.graph.operationApprovalRequest";

const PROPERTIES: [&str; 10] = [
    "id",
    "requestDateTime",
    "expirationDateTime",
    "lastModifiedDateTime",
    "requestor",
    "approver",
    "status",
    "requestJustification",
    "approvalJustification",
    "requiredOperationApprovalPolicyTypes",
];

/// `$filter`, as far as scripts were seen to use it: one property that equals one text. The article's `requestId`
/// is no property of the type, so it is refused like every other unknown name.
struct Filter {
    name: &'static str,
    value: String,
}

impl Filter {
    fn of(look: &Look<'_>) -> Result<Option<Self>, Answer> {
        let Some(text) = query::value(look.query, "$filter") else {
            return Ok(None);
        };
        let mut words = text.split(' ');
        let (name, equals, value) = (words.next(), words.next(), words.next());
        let Some(name) = ["id", "status"].into_iter().find(|known| Some(*known) == name) else {
            let name = name.unwrap_or_default();
            return Err(look.bad_request(&format!("Could not find a property named '{name}' on type '{TYPE_NAME}'.")));
        };
        let value = value.and_then(|value| value.strip_prefix('\'')?.strip_suffix('\'')).filter(|_| equals == Some("eq"));
        match (value, words.next()) {
            (Some(value), None) => Ok(Some(Self { name, value: value.to_owned() })),
            _ => Err(look.bad_request("Invalid filter clause.")),
        }
    }

    fn takes(&self, filed: &Filed, now: Duration) -> bool {
        match self.name {
            "id" => filed.code.to_string().eq_ignore_ascii_case(&self.value),
            _ => filed.status(now).name() == self.value,
        }
    }
}

impl Service {
    /// A page of the tenant's requests, oldest first.
    pub(super) fn list_approvals(&self, look: &Look<'_>) -> Result<Answer, Answer> {
        look.only(&["$select", "$top", "$skiptoken", "$filter"])?;
        let select = look.select(&PROPERTIES, TYPE_NAME)?;
        let filter = Filter::of(look)?;
        let paging = look.paging(SEGMENTS, self.behaviour.page_size)?;
        let mine = self.pending.all().iter().enumerate().skip(paging.start).filter(|(_, filed)| {
            filed.subject.0 == look.tenant && filter.as_ref().is_none_or(|filter| filter.takes(filed, look.now))
        });
        Ok(look.page(&paging, mine, |filed| self.approval(look, filed, select.as_deref())))
    }

    /// One request.
    pub(super) fn get_approval(&self, look: &Look<'_>, code: Uuid) -> Result<Answer, Answer> {
        look.only(&["$select"])?;
        let select = look.select(&PROPERTIES, TYPE_NAME)?;
        let filed = self.pending.get(look.tenant, code).ok_or_else(|| {
            look.context.intune(404, "ResourceNotFound", &format!("operationApprovalRequest '{code}' not found"), None)
        })?;
        let (area, name) = SEGMENTS;
        let mut object = self.approval(look, filed, select.as_deref());
        object.insert("@odata.context".to_owned(), json!(format!("{}/beta/$metadata#{area}/{name}/$entity", look.origin)));
        Ok(Answer::json(200, &Value::from(object)))
    }

    fn approval(&self, look: &Look<'_>, filed: &Filed, select: Option<&[String]>) -> Map<String, Value> {
        let (status, since) = filed.standing(look.now);
        let stamp = |at: Duration| {
            let at = self.start + at;
            json!(format!("{}.{:07}Z", at.strftime("%Y-%m-%dT%H:%M:%S"), at.subsec_nanosecond() / 100))
        };
        let identity = |kind: &str, id: Uuid, name: &str| json!({kind: {"id": id.to_string(), "displayName": name}});
        let is_answered = matches!(status, ApprovalStatus::Approved | ApprovalStatus::Rejected | ApprovalStatus::Completed);
        let value = |name: &str| match name {
            "id" => json!(filed.code.to_string()),
            "requestDateTime" => stamp(filed.at),
            "expirationDateTime" => stamp(filed.expires),
            "lastModifiedDateTime" => stamp(since),
            "requestor" => identity("application", filed.wording.app, "Simulated app"),
            "approver" if is_answered => identity("user", Uuid::from_u128(2), "Second administrator"),
            "status" => json!(status.name()),
            "requestJustification" => json!(filed.justification),
            "approvalJustification" if is_answered => json!("As asked."),
            "requiredOperationApprovalPolicyTypes" => json!(["tenantConfiguration"]),
            _ => Value::Null,
        };
        let wanted = PROPERTIES.into_iter().filter(|name| select.is_none_or(|names| names.iter().any(|one| one == name)));
        wanted.map(|name| (name.to_owned(), value(name))).collect()
    }
}
