//! Guards: judged over facts before the first write. Each refusal has its figures and the flag or key that would allow
//! it. Pure.

use std::time::Duration;

use jiff::SignedDuration;

use super::facts::{Day, Facts, Found, Guards, Share};

/// Where there is nobody to ask and no limit was set, more than this are not sent.
const UNATTENDED_MAX_ITEMS: u64 = 100;

/// Of fewer items of a tenant it proves nothing that they are not there.
const LEAST_READ: u64 = 5;

/// Fewer items than this are not asked how many they were last time: small lists grow by large factors.
const LEAST_GROWN: u64 = 20;

/// Tenants that a refusal names; nobody reads more.
const MOST_NAMED: usize = 20;

/// Why a run must not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

type Judgement = Result<(), Refusal>;

/// Asks the guards in their order.
///
/// # Errors
/// The first guard that refuses.
pub fn guard(facts: &Facts, guards: &Guards) -> Judgement {
    age(facts, guards)?;
    missing(facts, guards)?;
    protected(facts, guards)?;
    share(facts, guards)?;
    number(facts, guards)?;
    day(facts, guards)?;
    growth(facts, guards)
}

/// The oldest list counts.
fn age(facts: &Facts, guards: &Guards) -> Judgement {
    let oldest = facts.lists.iter().max_by_key(|(_, age)| *age);
    match (oldest, guards.max_list_age) {
        (Some((name, age)), Some(most)) if *age > most => Err(Refusal(format!(
            "{name} is {} old and [guard] max_list_age is {}: bring a newer list, or raise max_list_age to allow it",
            // Never shown as if it were young enough.
            span(Duration::from_secs(age.as_secs() + u64::from(age.subsec_nanos() > 0))),
            span(most)
        ))),
        (Some(_) | None, _) => Ok(()),
    }
}

/// Tokens that ended are no sign of a wrong tenant: only what was never there is.
fn missing(facts: &Facts, guards: &Guards) -> Judgement {
    let is_doubtful = |found: &&Found| found.read >= LEAST_READ && found.not_found * 2 >= found.read;
    let told = |Found { tenant, read, not_found }: &Found| format!("{not_found} of the {read} items of {tenant}");
    let doubtful: Vec<String> = facts.found.iter().filter(is_doubtful).map(told).collect();
    if guards.allow_missing || doubtful.is_empty() {
        return Ok(());
    }
    Err(Refusal(format!(
        "{} are not_found: wrong tenant? give --allow-missing to go on with the others",
        named(doubtful, " and ")
    )))
}

fn protected(facts: &Facts, guards: &Guards) -> Judgement {
    if !guards.refuse_protected || facts.protected == 0 {
        return Ok(());
    }
    Err(Refusal(format!(
        "rows that name protected ids: {} (plan shows which), and protect_mode is \"refuse\": take them out of the list, or \
         out of [guard] protect",
        facts.protected
    )))
}

fn share(facts: &Facts, guards: &Guards) -> Judgement {
    let Some(percent) = guards.max_items.percent else { return Ok(()) };
    facts.shares.iter().filter(|share| share.to_send > 0).try_for_each(|share| within(share, percent))
}

fn within(share: &Share, percent: f64) -> Judgement {
    let Share { of, to_send, objects } = share;
    let Some(objects) = objects else {
        return Err(Refusal(format!(
            "--max-items {percent}% is a share of a list, and the list of {of} was not read: give a number"
        )));
    };
    // What is to be sent is there, whatever the list leaves out.
    let objects = objects.max(to_send);
    #[expect(clippy::cast_precision_loss, reason = "item counts are far below 2^52")]
    let found = *to_send as f64 * 100.0 / *objects as f64;
    if found <= percent {
        return Ok(());
    }
    let least = found.ceil();
    Err(Refusal(format!(
        "{to_send} of the {objects} {of} would be sent and --max-items is {percent}%: give --max-items {least}% to allow it"
    )))
}

fn number(facts: &Facts, guards: &Guards) -> Judgement {
    let items = facts.to_send;
    let too_many = |most, note| {
        Err(Refusal(format!("{items} items would be sent and --max-items is {most}{note}: give --max-items {items} to allow it")))
    };
    match guards.max_items.count {
        Some(most) if items > most => too_many(most, ""),
        None if !facts.can_ask && items > UNATTENDED_MAX_ITEMS => {
            too_many(UNATTENDED_MAX_ITEMS, " (the default where nobody can be asked)")
        }
        Some(_) | None => Ok(()),
    }
}

/// A tenant in which nothing would be sent is not asked.
fn day(facts: &Facts, guards: &Guards) -> Judgement {
    let Some(most) = guards.max_items_per_day else { return Ok(()) };
    let too_many = |day: &&Day| day.to_send > 0 && day.sent + day.to_send > most;
    let told = |day: &Day| format!("in {} {} after {}", day.tenant, day.to_send, day.sent);
    let Some(least) = facts.days.iter().filter(too_many).map(|day| day.sent + day.to_send).max() else { return Ok(()) };
    let told = named(facts.days.iter().filter(too_many).map(told).collect(), ", ");
    Err(Refusal(format!(
        "too many items would be sent within 24 hours ({told}) and [guard] max_items_per_day is {most}: \
         raise it to {least} to allow it"
    )))
}

fn growth(facts: &Facts, guards: &Guards) -> Judgement {
    let items = facts.to_send;
    let (Some(most), Some(past)) = (guards.max_growth, &facts.last) else { return Ok(()) };
    #[expect(clippy::cast_precision_loss, reason = "item counts are far below 2^52")]
    let times = items as f64 / past.to_send as f64;
    if items < LEAST_GROWN || times <= most {
        return Ok(());
    }
    let least = (times * 10.0).ceil() / 10.0;
    Err(Refusal(format!(
        "{items} items would be sent, where the job's last run ({}) had {}, and [guard] max_growth is {most}: \
         raise it to {least} to allow it",
        past.run, past.to_send
    )))
}

/// All of them, so that nobody allows more than they know of.
fn named(mut all: Vec<String>, between: &str) -> String {
    let more = all.len().saturating_sub(MOST_NAMED);
    all.truncate(MOST_NAMED);
    all.extend((more > 0).then(|| format!("{more} more")));
    all.join(between)
}

/// `1h 30m`, as it is written in the configuration.
fn span(time: Duration) -> String {
    SignedDuration::try_from(time).map_or_else(|_| format!("{time:?}"), |time| format!("{time:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bounds, Limit};
    use crate::plan::Last;

    fn refusal(facts: &Facts, guards: &Guards) -> Option<String> {
        guard(facts, guards).err().map(|refusal| refusal.to_string())
    }

    fn ask(to_send: u64, max_items: impl Into<Bounds>, can_ask: bool) -> bool {
        let facts = Facts { to_send, can_ask, ..Facts::default() };
        guard(&facts, &Guards { max_items: max_items.into(), ..Guards::default() }).is_ok()
    }

    #[test]
    fn a_list_may_be_as_old_as_allowed_and_the_oldest_counts() {
        let guards = Guards { max_list_age: Some(Duration::from_hours(24)), ..Guards::default() };
        let facts = |millis| {
            let lists = [0, millis, 5].map(|millis| ("list.csv".to_owned(), Duration::from_millis(millis)));
            Facts { lists: lists.to_vec(), ..Facts::default() }
        };
        assert_eq!(refusal(&facts(86_400_000), &guards), None);
        let said = refusal(&facts(86_400_001), &guards).unwrap();
        assert!(said.contains("list.csv is 24h 1s old and [guard] max_list_age is 24h: "), "{said}");
        assert_eq!(refusal(&facts(86_400_001), &Guards::default()), None);
    }

    #[test]
    fn half_of_five_items_or_more_that_are_not_there_ask_for_the_tenant() {
        let facts = |pairs: &[(u64, u64)]| {
            let found = |&(not_found, read): &(u64, u64)| Found { tenant: "contoso".to_owned(), read, not_found };
            Facts { found: pairs.iter().map(found).collect(), ..Facts::default() }
        };
        for passes in [(4, 4), (2, 5), (4, 9), (0, 100)] {
            assert_eq!(refusal(&facts(&[passes]), &Guards::default()), None, "{passes:?}");
        }
        for refuses in [(3, 5), (3, 6), (5, 10), (1_000, 1_000)] {
            assert!(refusal(&facts(&[(0, 50), refuses]), &Guards::default()).is_some(), "{refuses:?}");
            let guards = Guards { allow_missing: true, ..Guards::default() };
            assert_eq!(refusal(&facts(&[refuses]), &guards), None);
        }
        let said = refusal(&facts(&[(3, 6), (0, 9), (9, 9)]), &Guards::default()).unwrap();
        assert!(said.starts_with("3 of the 6 items of contoso and 9 of the 9 items of contoso are not_found"), "{said}");
        let many = refusal(&facts(&[(9, 9); 22]), &Guards::default()).unwrap();
        assert!(many.contains("contoso and 2 more are"), "{many}");
    }

    #[test]
    fn protected_ids_refuse_only_where_that_was_asked_for() {
        let facts = Facts { to_send: 1, protected: 1, can_ask: true, ..Facts::default() };
        assert_eq!(refusal(&facts, &Guards::default()), None);
        assert!(refusal(&facts, &Guards { refuse_protected: true, ..Guards::default() }).is_some());
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
        let ask = |percent, shares: Vec<Share>| {
            let guards = Guards { max_items: Limit::Percent(percent).into(), ..Guards::default() };
            refusal(&Facts { to_send: 1, shares, ..Facts::default() }, &guards)
        };
        assert_eq!(ask(50.0, vec![share(5, Some(10)), share(0, None)]), None);
        assert!(ask(50.0, vec![share(1, Some(100)), share(6, Some(10))]).unwrap().ends_with("give --max-items 60% to allow it"));
        assert!(ask(50.0, vec![share(1, None)]).unwrap().contains("the list of vppToken of contoso was not read"));
        // What is there and on no list is part of what the tenant has: all of it is never more than all of it.
        assert!(ask(99.9, vec![share(5, Some(2))]).unwrap().ends_with("give --max-items 100% to allow it"));
        assert_eq!(ask(100.0, vec![share(5, Some(2)), share(1, Some(0))]), None);
    }

    #[test]
    fn what_any_run_sent_in_a_day_counts_tenant_by_tenant() {
        let ask = |pairs: &[(u64, u64)]| {
            let day = |&(sent, to_send): &(u64, u64)| Day { tenant: format!("t{sent}"), sent, to_send };
            let facts = Facts { days: pairs.iter().map(day).collect(), ..Facts::default() };
            refusal(&facts, &Guards { max_items_per_day: Some(50), ..Guards::default() })
        };
        assert_eq!(ask(&[(40, 10), (0, 50), (70, 0)]), None);
        let said = ask(&[(40, 11), (0, 1), (50, 3)]).unwrap();
        assert!(said.contains("(in t40 11 after 40, in t50 3 after 50)") && said.contains("raise it to 53 "), "{said}");
    }

    #[test]
    fn growth_is_asked_from_twenty_items_on_and_only_against_a_run_that_had_some() {
        let ask = |to_send, last: Option<u64>, max_growth| {
            let last = last.map(|to_send| Last { run: "r1".to_owned(), to_send });
            let facts = Facts { to_send, last, can_ask: true, ..Facts::default() };
            refusal(&facts, &Guards { max_growth: Some(max_growth), ..Guards::default() })
        };
        for (to_send, last, most) in
            [(30, Some(10), 3.0), (19, Some(1), 3.0), (20, Some(20), 1.0), (23, Some(20), 1.15), (5_000, None, 1.0)]
        {
            assert_eq!(ask(to_send, last, most), None, "{to_send} after {last:?}");
        }
        assert!(ask(20, Some(6), 3.0).is_some());
        let said = ask(31, Some(10), 3.0).unwrap();
        assert!(said.contains("31 items") && said.contains("(r1) had 10") && said.contains("raise it to 3.1 "), "{said}");
    }
}
