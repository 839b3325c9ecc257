//! Guards: judged over facts before the first write. Each refusal has its figures and the flag that would allow it. Pure.

use crate::model::Bounds;

/// What the guards are judged over.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Items that would be sent.
    pub to_send: u64,
    /// Rows that name a protected id.
    pub protected: u64,
    /// Whether there is somebody who can be asked.
    pub can_ask: bool,
    /// What would be sent of what each tenant has.
    pub shares: Vec<Share>,
}

/// What would be sent of one kind in one tenant.
#[derive(Debug, Clone)]
pub struct Share {
    /// Whose, and what, in words.
    pub of: String,
    /// Items that would be sent.
    pub to_send: u64,
    /// Objects that the tenant has; none: its list was not read, or could not be.
    pub objects: Option<u64>,
}

/// The guards' limits.
#[derive(Debug, Clone, Copy)]
pub struct Guards {
    /// More than this are not sent.
    pub max_items: Bounds,
    /// A protected id refuses the run instead of being skipped.
    pub refuse_protected: bool,
}

/// Where there is nobody to ask and no limit was set, more than this are not sent.
const UNATTENDED_MAX_ITEMS: u64 = 100;

/// Why a run must not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Asks the guards in their order.
///
/// # Errors
/// The first guard that refuses.
pub fn guard(facts: &Facts, guards: &Guards) -> Result<(), Refusal> {
    if guards.refuse_protected && facts.protected > 0 {
        return Err(Refusal(format!(
            "{} rows name protected ids and protect_mode is \"refuse\": take them out of the list, or out of [guard] protect",
            facts.protected
        )));
    }
    let items = facts.to_send;
    if let Some(percent) = guards.max_items.percent {
        facts.shares.iter().filter(|share| share.to_send > 0).try_for_each(|share| within(share, percent))?;
    }
    match guards.max_items.count {
        Some(most) if items > most => Err(too_many(items, most, "")),
        None if !facts.can_ask && items > UNATTENDED_MAX_ITEMS => {
            Err(too_many(items, UNATTENDED_MAX_ITEMS, " (the default where nobody can be asked)"))
        }
        Some(_) | None => Ok(()),
    }
}

fn within(share: &Share, percent: f64) -> Result<(), Refusal> {
    let Share { of, to_send, objects } = share;
    let Some(objects) = objects else {
        return Err(Refusal(format!(
            "--max-items {percent}% is a share of a list, and the list of {of} was not read: give a number"
        )));
    };
    #[expect(clippy::cast_precision_loss, reason = "item counts are far below 2^52")]
    let found = if *objects == 0 { f64::INFINITY } else { *to_send as f64 * 100.0 / *objects as f64 };
    if found <= percent {
        return Ok(());
    }
    let least = found.ceil();
    Err(Refusal(format!(
        "{to_send} of the {objects} {of} would be sent and --max-items is {percent}%: give --max-items {least}% to allow it"
    )))
}

fn too_many(items: u64, most: u64, note: &str) -> Refusal {
    Refusal(format!("{items} items would be sent and --max-items is {most}{note}: give --max-items {items} to allow it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Limit;

    fn ask(to_send: u64, max_items: impl Into<Bounds>, can_ask: bool) -> bool {
        let facts = Facts { to_send, protected: 0, can_ask, shares: Vec::new() };
        guard(&facts, &Guards { max_items: max_items.into(), refuse_protected: false }).is_ok()
    }

    #[test]
    fn a_number_allows_itself_and_not_one_more() {
        assert!(ask(7, Limit::Count(7), true));
        assert!(!ask(8, Limit::Count(7), true));
    }

    #[test]
    fn a_hundred_is_the_default_only_where_nobody_can_be_asked() {
        assert!(ask(100, Bounds::default(), false));
        assert!(!ask(101, Bounds::default(), false));
        assert!(ask(101, Bounds::default(), true));
    }

    #[test]
    fn a_share_is_asked_per_tenant_and_kind_and_refuses_without_a_readable_list() {
        let share = |to_send, objects| Share { of: "vppToken of contoso".to_owned(), to_send, objects };
        let ask = |shares: Vec<Share>| {
            let facts = Facts { to_send: 1, protected: 0, can_ask: true, shares };
            let guards = Guards { max_items: Limit::Percent(50.0).into(), refuse_protected: false };
            guard(&facts, &guards).map_err(|refusal| refusal.to_string())
        };
        assert!(ask(vec![share(5, Some(10)), share(0, None)]).is_ok());
        assert!(ask(vec![share(1, Some(100)), share(6, Some(10))]).unwrap_err().ends_with("give --max-items 60% to allow it"));
        assert!(ask(vec![share(1, None)]).unwrap_err().contains("the list of vppToken of contoso was not read"));
    }

    #[test]
    fn protected_ids_refuse_only_where_that_was_asked_for() {
        let facts = Facts { to_send: 1, protected: 1, can_ask: true, shares: Vec::new() };
        assert!(guard(&facts, &Guards { max_items: Bounds::default(), refuse_protected: false }).is_ok());
        assert!(guard(&facts, &Guards { max_items: Bounds::default(), refuse_protected: true }).is_err());
    }
}
