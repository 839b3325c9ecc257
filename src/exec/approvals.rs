//! What became of the requests that wait for a second administrator: asked of the service, and what follows for an item.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff::RETRY;
use super::port::{NextPage, Reading, Sight, Transport};
use crate::model::{Outcome, Progress, Ruling, Status, TenantId, What};

/// How often one page is asked for.
const TRIES: u32 = 4;

/// A service that wants to be asked later than this is asked another time.
const PATIENCE: Duration = Duration::from_mins(1);

/// More pages than a tenant's requests of three days fill: a list that goes on names itself in a circle.
const MOST_PAGES: usize = 1_000;

/// Requests that are asked for by their ids at one time: the list shows them, as a rule.
const MOST_ALONE: usize = 100;

/// Where a request for approval stands (operationApprovalRequestStatus, beta).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has decided yet; until then somebody may.
    Open(Option<Timestamp>),
    /// It may be sent.
    Approved,
    /// It was sent, and took effect.
    Completed,
    /// It is over, in the service's own word: rejected, cancelled, expired.
    Over(String),
    /// A word that is not known.
    Other(String),
}

/// A page of a tenant's requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Requests {
    /// What is on it, by its id, which is the code that the request was given.
    pub found: Vec<(String, Standing)>,
    /// Where the next one is, if there is one.
    pub next: Option<NextPage>,
}

/// Shows requests for approval. One call is one exchange.
pub trait Approver: Transport {
    /// A page of a tenant's requests: the first, or the one that the last page named.
    fn requests(&self, tenant: TenantId, page: Option<NextPage>) -> impl Future<Output = Reading<Requests>> + Send;

    /// One request.
    fn request(&self, tenant: TenantId, id: &str) -> impl Future<Output = Reading<Standing>> + Send;
}

/// A tenant's requests, or why they cannot be seen.
pub type Seen = Result<HashMap<String, Standing>, Unseen>;

/// Why a tenant's requests cannot be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// In words.
    pub why: String,
    /// The service does not want to be asked before this.
    pub after: Duration,
}

/// Asks for a tenant's requests, and by its id for each of these that is not among them.
pub async fn approvals<A: Approver>(approver: &A, tenant: TenantId, wanted: &[String]) -> Seen {
    let (mut seen, mut next) = (HashMap::new(), None);
    for _ in 0..MOST_PAGES {
        let page = patiently(approver, tenant, || approver.requests(tenant, next.clone())).await?;
        let page = page.ok_or_else(|| unseen("the service knows no list of approval requests".to_owned()))?;
        seen.extend(page.found.into_iter().map(|(id, standing)| (folded(&id), standing)));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let unseen = wanted.iter().filter(|id| !seen.contains_key(&folded(id)));
    let unseen: Vec<&String> = unseen.take(MOST_ALONE).collect();
    for id in unseen {
        // One that cannot be read keeps no other waiting.
        if let Ok(Some(standing)) = patiently(approver, tenant, || approver.request(tenant, id)).await {
            seen.insert(folded(id), standing);
        }
    }
    Ok(seen)
}

/// The service writes its ids in other cases than it gave them.
fn folded(id: &str) -> String {
    id.trim().to_ascii_lowercase()
}

/// One read, again as long as that may help. None: the service knows no such thing.
async fn patiently<A: Approver, T, F: Future<Output = Reading<T>>>(
    approver: &A,
    tenant: TenantId,
    read: impl Fn() -> F,
) -> Result<Option<T>, Unseen> {
    let (mut last, mut wish) = (String::new(), Duration::ZERO);
    for nth in 0..TRIES {
        if !approver.is_ready(tenant) {
            approver.sign_in(tenant).await.map_err(|refused| unseen(refused.message))?;
        }
        let after = match read().await.sight {
            Sight::Shown(shown) => return Ok(Some(shown)),
            Sight::Gone => return Ok(None),
            Sight::Denied { reason } | Sight::Refused { reason } | Sight::StopTenant { reason } => return Err(unseen(reason)),
            Sight::Again { message, after, .. } => {
                last = message;
                after
            }
            Sight::Throttled { after } => {
                "the service wants to be asked later (429)".clone_into(&mut last);
                after
            }
            Sight::Unauthorized { .. } | Sight::NoToken => {
                "the token was refused".clone_into(&mut last);
                None
            }
        };
        wish = after.unwrap_or_default();
        let pause = RETRY.delay(nth).max(wish);
        if pause > PATIENCE || nth + 1 == TRIES {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    Err(Unseen { why: last, after: wish })
}

const fn unseen(why: String) -> Unseen {
    Unseen { why, after: Duration::ZERO }
}

/// What follows for an item that waits for a second administrator. None: what is known of it is known already.
pub fn ruling(progress: &Progress, seen: &Seen) -> Option<What> {
    let code = progress.approval_code.as_deref();
    let waits = |why: &str| {
        let reason = format!("{why}{}", code.map(|code| format!(": approval request {code}")).unwrap_or_default());
        (reason != progress.reason).then_some(What::Settled { status: Status::AwaitingApproval, reason })
    };
    let look = |otherwise: Option<Outcome>| Some(What::Ruled(Ruling::Look { otherwise }));
    let seen = match seen {
        Ok(seen) => seen,
        Err(Unseen { why, .. }) => return waits(&format!("queued for a second administrator, which cannot be read ({why})")),
    };
    let Some(code) = code else {
        // Another request stood in its way, and nobody said which. Once none is open any more, that one is out of it, or
        // has done it.
        let is_open = |one: &Standing| !matches!(one, Standing::Completed | Standing::Over(_));
        return if seen.values().any(is_open) { waits(IN_THE_WAY) } else { look(None) };
    };
    match seen.get(&folded(code)) {
        Some(Standing::Approved) => Some(What::Ruled(Ruling::Granted)),
        Some(Standing::Completed) => look(Some(Outcome::new(Status::Unknown, COMPLETED))),
        Some(Standing::Over(word)) => {
            let verb = if word == "expired" { "" } else { "was " };
            let outcome = Outcome::new(Status::Refused, format!("its approval request {verb}{word}: approval request {code}"));
            // What was lost before may have had its effect all the same.
            let Outcome { status, reason } = outcome.clone();
            if progress.doubted { look(Some(outcome)) } else { Some(What::Settled { status, reason }) }
        }
        Some(Standing::Open(until)) => {
            let until = until.map(|until| until.strftime(" until %Y-%m-%d %H:%MZ").to_string()).unwrap_or_default();
            waits(&format!("queued for a second administrator{until}"))
        }
        Some(Standing::Other(word)) => waits(&format!("queued for a second administrator, in the state {word:?}")),
        None => waits("queued for a second administrator, and not shown by the service"),
    }
}

const IN_THE_WAY: &str = "another request for it waits for a second administrator, and its code was not learned: complete or \
     cancel it in Intune; it is sent anew once the tenant has no open request at all";

const COMPLETED: &str = "its approval request was completed, and reading back does not show that it was revoked";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Phase;

    const CODE: &str = "aabb1234-5678-9012-abcd-ef0123456789";

    fn waiting(code: Option<&str>) -> Progress {
        let approval_code = code.map(str::to_uppercase);
        Progress { phase: Phase::Settled(Status::AwaitingApproval), approval_code, ..Progress::default() }
    }

    fn follows(code: Option<&str>, standing: Standing) -> Option<What> {
        ruling(&waiting(code), &Ok(HashMap::from([(CODE.to_owned(), standing)])))
    }

    fn settled(what: Option<What>) -> Option<(Status, String)> {
        match what {
            Some(What::Settled { status, reason }) => Some((status, reason)),
            _ => None,
        }
    }

    #[test]
    fn each_state_has_its_consequence() {
        let of = |standing| follows(Some(CODE), standing);
        assert_eq!(of(Standing::Approved), Some(What::Ruled(Ruling::Granted)));
        assert!(matches!(of(Standing::Completed), Some(What::Ruled(Ruling::Look { otherwise: Some(_) }))));
        for word in ["rejected", "cancelled", "expired"] {
            assert_eq!(settled(of(Standing::Over(word.to_owned()))).unwrap().0, Status::Refused);
        }
        let until = "2026-06-04T12:00:00Z".parse().ok();
        let (status, reason) = settled(of(Standing::Open(until))).unwrap();
        assert_eq!(status, Status::AwaitingApproval);
        assert_eq!(
            reason,
            format!("queued for a second administrator until 2026-06-04 12:00Z: approval request {}", CODE.to_uppercase())
        );
        for standing in [Standing::Open(None), Standing::Other("new".to_owned())] {
            assert_eq!(settled(of(standing)).unwrap().0, Status::AwaitingApproval);
        }
        assert_eq!(settled(ruling(&waiting(Some(CODE)), &Ok(HashMap::new()))).unwrap().0, Status::AwaitingApproval);
    }

    #[test]
    fn what_may_have_had_its_effect_before_is_read_before_a_rejection_counts() {
        let progress = Progress { doubted: true, ..waiting(Some(CODE)) };
        let seen = Ok(HashMap::from([(CODE.to_owned(), Standing::Over("rejected".to_owned()))]));
        let Some(What::Ruled(Ruling::Look { otherwise: Some(otherwise) })) = ruling(&progress, &seen) else { unreachable!() };
        assert_eq!(otherwise.status, Status::Refused);
    }

    #[test]
    fn what_cannot_be_read_leaves_the_item_waiting_and_says_why_once() {
        let denied = || Err(unseen("the app lacks a permission; one of these is enough: A.All".to_owned()));
        let (status, reason) = settled(ruling(&waiting(Some(CODE)), &denied())).unwrap();
        assert!(status == Status::AwaitingApproval && reason.contains("A.All"), "{reason}");
        assert_eq!(ruling(&Progress { reason, ..waiting(Some(CODE)) }, &denied()), None);
    }

    #[test]
    fn a_request_in_the_way_of_which_nobody_knows_the_code_is_waited_for() {
        for standing in [Standing::Open(None), Standing::Approved, Standing::Other("new".to_owned())] {
            assert_eq!(settled(follows(None, standing)).unwrap().0, Status::AwaitingApproval);
        }
        for standing in [Standing::Completed, Standing::Over("expired".to_owned())] {
            assert_eq!(follows(None, standing), Some(What::Ruled(Ruling::Look { otherwise: None })));
        }
    }
}
