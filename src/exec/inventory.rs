//! An inventory: all that a tenant shows of a kind, page by page, for people. Nothing is judged or recorded.

use std::time::Duration;

use super::backoff::{FLOOR, Growth, RETRY, jitter_upon};
use super::policy::Policy;
use super::port::{NextPage, NoToken, Page, Sight, Transport};
use crate::clock::Clock;
use crate::model::{Kind, StopCause, TenantId};

/// Why a list could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What that means for the tenant; none: something else is wrong with its list.
    pub cause: Option<StopCause>,
    /// Why, in words.
    pub message: String,
}

impl Unread {
    fn new(cause: impl Into<Option<StopCause>>, message: impl Into<String>) -> Self {
        Self { cause: cause.into(), message: message.into() }
    }
}

/// Reads a tenant's objects of a kind, one page after the other: what fails for a passing reason is asked for again,
/// and what is told to wait waits, within the policy's bounds.
///
/// # Errors
/// If a page cannot be read, or with the first error of `each`; what came before is handed out all the same.
pub async fn inventory<E: From<Unread>>(
    transport: &impl Transport,
    of: (TenantId, Kind),
    policy: &Policy,
    clock: &Clock,
    mut each: impl FnMut(Page) -> Result<(), E>,
) -> Result<(), E> {
    let (mut link, mut mark, mut pages) = (None, None, 0_u64);
    loop {
        let page = patiently(transport, of, link.as_ref(), (policy, clock)).await?;
        link.clone_from(&page.next);
        each(page)?;
        pages += 1;
        if link.is_none() {
            return Ok(());
        }
        if link == mark {
            return Err(Unread::new(None, "its pages name each other in a circle").into());
        }
        if pages.is_power_of_two() {
            mark.clone_from(&link);
        }
    }
}

/// One page, as often as it takes.
async fn patiently(
    transport: &impl Transport,
    (tenant, kind): (TenantId, Kind),
    link: Option<&NextPage>,
    (policy, clock): (&Policy, &Clock),
) -> Result<Page, Unread> {
    let begun = clock.now();
    let (mut tries, mut throttled) = (0, 0);
    loop {
        let sight = transport.list(tenant, kind, link.cloned()).await.sight;
        if let Sight::Throttled { .. } = sight {
            throttled += 1;
        } else {
            tries += 1;
        }
        let is_last = tries >= policy.max_attempts.get();
        let wait = match sight {
            Sight::Shown(page) => return Ok(page),
            Sight::Gone => return Err(Unread::new(None, "the service knows no such list (404)")),
            Sight::Refused { reason } => return Err(Unread::new(None, reason)),
            Sight::Denied { reason } => return Err(Unread::new(StopCause::Permission, reason)),
            Sight::StopTenant { reason } => return Err(Unread::new(StopCause::SignIn, reason)),
            Sight::Again { message, .. } if is_last => return Err(Unread::new(None, message)),
            Sight::Again { after, .. } => RETRY.delay(tries - 1).max(after.unwrap_or_default()),
            Sight::Throttled { after: Some(after) } => after.max(FLOOR.delay(throttled - 1)) + jitter_upon(after),
            Sight::Throttled { after: None } => Growth::throttled(policy.quota.map(|quota| quota.per)).delay(throttled - 1),
            Sight::Unauthorized { .. } | Sight::NoToken if is_last => {
                return Err(Unread::new(StopCause::SignIn, "reading was refused with a fresh token"));
            }
            Sight::Unauthorized { .. } | Sight::NoToken => match transport.sign_in(tenant).await {
                Ok(()) => Duration::ZERO,
                Err(NoToken { retry: Some(after), .. }) => after.max(RETRY.delay(tries - 1)),
                Err(NoToken { message, retry: None }) => return Err(Unread::new(StopCause::SignIn, message)),
            },
        };
        let now = clock.now();
        if now.saturating_sub(begun) + wait > policy.max_pause {
            return Err(Unread::new(StopCause::MaxPause, "the service wants a longer pause than --max-pause allows"));
        }
        clock.sleep_until(Some(now + wait)).await;
    }
}
