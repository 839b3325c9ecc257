//! What a run is told before it sends, and which stops nothing: whose tenants these are, what their tokens do not show,
//! a clock that is off, a disk that fills up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::exit::Quit;
use super::planning::Prepared;
use super::preflight::Service;
use super::run::Job;
use super::space;
use crate::clock::Clock;
use crate::graph::{Introduction, introduce};
use crate::model::{self, Kind, TenantRow};
use crate::report::{plain, skew_text};

/// How long tenants may take to say who they are: nobody waits for a nicety.
const LIMIT: Duration = Duration::from_secs(2);

/// Tenants that are asked; no more are named before a run.
const MOST_TENANTS: usize = 20;

/// A tenant's own words, and how far its service's clock was ahead of ours.
struct Met {
    tenant: usize,
    introduction: Introduction,
    ahead: Option<SignedDuration>,
}

impl Job<'_> {
    /// Says what is worth knowing before anything is sent. Simulated tenants have nothing to say.
    pub(super) fn advise(&self, prepared: &Prepared, senders: &[TenantRow]) -> Result<(), Quit> {
        let (session, service) = (&self.session, &prepared.subject.service);
        let context = session.context;
        if context.output.quiet {
            return Ok(());
        }
        let reports = self.mode.out().unwrap_or(&session.settings.report_dir);
        let folders = [session.state_dir.as_path(), reports];
        for said in folders.iter().filter_map(|folder| space::scarce(folder, prepared.counts.rows)) {
            context.say(&format!("warning: {said}"));
        }
        if self.args.simulate.is_some() {
            return Ok(());
        }
        let asked = if self.args.certainty.no_preflight { &[] } else { &senders[..senders.len().min(MOST_TENANTS)] };
        let (met, lacking) = session
            .interrupts
            .wait(&session.runtime, async { (meet(service, asked, context.clock).await, lacking(service, prepared, senders)) })?;
        for met in &met {
            let label = plain(&senders[met.tenant].label);
            match &met.introduction.organization {
                Ok(organization) => context.say(&format!("{label}: {}", plain(&organization.to_string()))),
                Err(reason) => tracing::info!(tenant = label, reason, "the organisation's name is not shown; nobody needs it"),
            }
        }
        let skew = met.iter().filter_map(|met| met.ahead).max_by_key(|ahead| ahead.abs());
        for said in skew.and_then(skew_text).into_iter().chain(lacking) {
            context.say(&format!("warning: {said}"));
        }
        Ok(())
    }
}

/// How far a service's clock is ahead of ours.
pub(super) fn ahead(date: Timestamp, clock: Clock) -> SignedDuration {
    date.duration_since(clock.wall())
}

/// Asks all tenants at once who they are. Whoever has no token or takes too long is left out.
async fn meet(service: &Service, tenants: &[TenantRow], clock: Clock) -> Vec<Met> {
    let mut tasks = JoinSet::new();
    for (tenant, row) in tenants.iter().enumerate() {
        let Some(bearer) = service.tokens.kept(row.id) else { continue };
        let service = service.clone();
        tasks.spawn(tokio::time::timeout(LIMIT, async move {
            let introduction = introduce(&service.client, &service.root, &bearer).await;
            let ahead = introduction.date.map(|date| ahead(date, clock));
            Met { tenant, introduction, ahead }
        }));
    }
    let mut met: Vec<Met> = tasks.join_all().await.into_iter().filter_map(Result::ok).collect();
    met.sort_by_key(|met| met.tenant);
    met
}

/// Where tokens do not show what their items take. A token that shows nothing says nothing.
fn lacking(service: &Service, prepared: &Prepared, senders: &[TenantRow]) -> Vec<String> {
    let lacks = |row: &TenantRow| {
        let bearer = service.tokens.first(row.id)?;
        let held = &bearer.claims().permissions;
        let lanes = prepared.subject.lanes.iter().filter(|lane| lane.tenant == row.id && !held.is_empty());
        let lacks = |of: model::Service| Kind::ALL.into_iter().any(|kind| kind.facts().service == of && !kind.is_permitted(held));
        let names =
            lanes.filter(|lane| lacks(lane.service)).map(|lane| format!("{} ({})", lane.service.permission(), lane.service));
        let names: Vec<String> = names.collect();
        (!names.is_empty())
            .then(|| format!("{}: the token does not show {}; the service decides", plain(&row.label), names.join(" and ")))
    };
    senders.iter().filter_map(lacks).collect()
}
