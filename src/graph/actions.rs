//! What a VPP token's `tokenActionResults` say of its revocations. Pure.

use serde_json::Value;

use super::reading::{moment, words};
use crate::model::{Action, ActionState};

/// The longest cause of a failed action; the documented ones are single words.
const CAUSE_CHARS: usize = 100;

/// The revoke actions among the results; none if this is no list of results.
pub(super) fn actions(results: &Value) -> Option<Vec<Action>> {
    if results.is_null() {
        return Some(Vec::new());
    }
    Some(results.as_array()?.iter().filter(|entry| is_revoke(entry)).map(action).collect())
}

/// Which `actionName` a revocation has is not documented; its derived type is.
fn is_revoke(entry: &Value) -> bool {
    let says = |property: &str, what: &str| {
        entry.get(property).and_then(Value::as_str).is_some_and(|text| text.to_lowercase().contains(what))
    };
    says("@odata.type", "revokelicenses") || says("actionName", "revoke")
}

/// `vppTokenRevokeLicensesActionResult` (resource page of 2025-07).
fn action(entry: &Value) -> Action {
    let property = |name: &str| entry.get(name).unwrap_or(&Value::Null);
    let state = property("actionState").as_str().unwrap_or_default().to_ascii_lowercase();
    Action {
        started: moment(property("startDateTime")),
        state: match state.as_str() {
            "done" => ActionState::Done,
            "failed" | "canceled" | "cancelled" | "notsupported" => ActionState::Failed,
            _ => ActionState::AtWork,
        },
        total: property("totalLicensesCount").as_u64(),
        failed: property("failedLicensesCount").as_u64().unwrap_or(0),
        cause: words(property("actionFailureReason"), CAUSE_CHARS).filter(|cause| !cause.eq_ignore_ascii_case("none")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn revocations_are_told_by_their_type_or_their_name() {
        let results = json!([
            {"@odata.type": "#Microsoft.Graph.VPPTOKENREVOKELICENSESACTIONRESULT"},
            {"actionName": "Revoke all"}, {"actionName": "sync"}, {"@odata.type": "#microsoft.graph.vppTokenActionResult"},
            {}, null, "revoke", {"actionName": 5}
        ]);
        assert_eq!(actions(&results).unwrap().len(), 2);
    }

    #[test]
    fn an_action_whose_state_is_unknown_is_not_known_to_be_over() {
        for (state, read) in [
            (json!("done"), ActionState::Done),
            (json!("failed"), ActionState::Failed),
            (json!("canceled"), ActionState::Failed),
            (json!("cancelled"), ActionState::Failed),
            (json!("notSupported"), ActionState::Failed),
            (json!("pending"), ActionState::AtWork),
            (json!("active"), ActionState::AtWork),
            (json!("none"), ActionState::AtWork),
            (json!("unknownFutureValue"), ActionState::AtWork),
            (json!(null), ActionState::AtWork),
        ] {
            assert_eq!(action(&json!({"actionState": state})).state, read, "{state}");
        }
    }

    #[test]
    fn counts_and_causes_that_make_no_sense_are_none() {
        for reason in [json!("none"), json!("None"), json!(" "), json!(null)] {
            let odd = json!({"totalLicensesCount": -1, "failedLicensesCount": -1, "actionFailureReason": reason});
            let read = action(&odd);
            assert_eq!((read.started, read.total, read.failed, read.cause), (None, None, 0, None));
        }
        assert_eq!(action(&json!({"actionFailureReason": "x".repeat(200)})).cause, Some("x".repeat(100)));
    }
}
