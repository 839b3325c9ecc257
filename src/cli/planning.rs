//! From lists to a run in the ledger. Until that is done, the run does not exist.

use std::collections::BTreeSet;

use super::credentials::Access;
use super::exit::Quit;
use super::lists::Counts;
use super::preflight;
use super::run::{Job, Mode as How};
use super::session::{Session, Subject};
use super::simulate;
use super::tenants::{Book, Mode};
use crate::ledger::{Ledger, NewRun, Planned};
use crate::model::{Disposition, ItemNo, TenantRow};
use crate::plan::{PlanPolicy, Planner};
use crate::report::prepare;

/// A run whose items are in the ledger, and what it needs to go on.
pub(super) struct Prepared {
    pub(super) subject: Subject,
    pub(super) counts: Counts,
    /// The embedded Graph, as long as it is needed.
    pub(super) simulator: Option<crate::sim::Server>,
}

/// What one pass over the lists brought.
struct Pass {
    written: Planned,
    counts: Counts,
    accesses: Vec<Access>,
    /// What an embedded Graph must hold.
    objects: Vec<simulate::Held>,
    /// Of a sealed plan: the number of each row that is sent.
    numbers: Vec<Option<ItemNo>>,
}

impl Prepared {
    /// The tenants that have something to send.
    pub(super) fn senders(&self) -> Vec<TenantRow> {
        let sends = |row: &&TenantRow| self.subject.lanes.iter().any(|lane| lane.tenant == row.id);
        self.subject.tenants.iter().filter(sends).cloned().collect()
    }
}

/// Looks up the domains that the book met.
pub(super) fn resolve(session: &Session<'_>, book: &mut Book) -> Result<(), Quit> {
    let settings = &session.settings;
    let authority = settings.authority.base();
    let wires = preflight::wires(settings, &[authority])?;
    for domain in book.unresolved() {
        let found = preflight::look_up(wires.to(authority), &settings.authority, &domain);
        let found = session.interrupts.wait(&session.runtime, found)?;
        book.resolve(domain, found.map_err(|error| format!("failed to {error}")));
    }
    Ok(())
}

impl Job<'_> {
    /// Reads every list into the ledger.
    pub(super) fn plan(&self) -> Result<Prepared, Quit> {
        let simulate = self.args.simulate;
        let session = &self.session;
        let settings = &session.settings;
        let mut ledger = Ledger::open(&session.state_dir)?;
        let run = self.new_run_id();
        // Proved before anything else; the run's own directory is made when there is something to put into it.
        if !matches!(self.mode, How::Plan(_)) {
            prepare(self.mode.out().unwrap_or(&settings.report_dir))?;
        }
        if let (Some(_), None) = (self.ticket(), self.justification()) {
            session
                .context
                .say("warning: the ticket is too long to be a justification: tenants that ask why need --justification");
        }
        let mut book = Book::new(if simulate.is_some() { Mode::Simulated } else { Mode::Real }, settings);
        let pass = loop {
            // Looking domains up may take long, and meanwhile the ledger must not be held: so the lists are read again.
            if let Some(pass) = self.pass(&mut ledger, &run, &mut book)? {
                break pass;
            }
            resolve(session, &mut book)?;
        };
        let ledger = self.pin(ledger, pass.written.no, book.rows(), &pass.numbers)?;
        let (root, authority, simulator) = match simulate {
            None => (settings.root.clone(), settings.authority.clone(), None),
            Some(scenario) => {
                let server = simulate::start(&session.runtime, simulate::options(scenario), &book, pass.objects)?;
                let (root, authority) = simulate::places(&server)?;
                (root, authority, Some(server))
            }
        };
        let service = preflight::service(settings, root, authority, pass.accesses)?;
        let (Planned { no, lanes, .. }, tenants) = (pass.written, book.rows().to_vec());
        let subject = Subject {
            ledger,
            no,
            run,
            tenants,
            lanes,
            service,
            justification: self.justification(),
            asks_why: Vec::new(),
            counted: None,
        };
        Ok(Prepared { subject, counts: pass.counts, simulator })
    }

    /// One pass over the lists, into the ledger. None: domains must be looked up first, and nothing was written.
    fn pass(&self, ledger: &mut Ledger, run: &str, book: &mut Book) -> Result<Option<Pass>, Quit> {
        let lists = &self.args.lists;
        let only_tenant = book.named(lists.only_tenant.as_deref());
        let mut planner = Planner::new(PlanPolicy {
            skip_invalid: lists.skip_invalid,
            only: lists.only.clone(),
            only_tenant: only_tenant.clone().unwrap_or_default(),
            protect: self.session.protected()?,
        });
        if let Some(sealed) = &self.inputs.sealed
            && !sealed.meets(book)?
        {
            return Ok(None);
        }
        let mut writer = ledger.plan(&self.new_run(run))?;
        let (mut objects, mut numbers, mut senders) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut read = self.inputs.plan(lists, &mut planner, book, &mut |row| {
            if self.args.simulate.is_some() {
                objects.extend(simulate::held(row));
            }
            let no = writer.add(row)?;
            senders.extend(row.tenant.filter(|_| row.disposition == Disposition::Send));
            if self.inputs.sealed.is_some() {
                numbers.push((row.disposition == Disposition::Send).then_some(no));
            }
            Ok(())
        })?;
        if book.has_unresolved() {
            return Ok(None);
        }
        read.problems.extend(only_tenant.err());
        // What a tenant lacks that nothing is sent to is no matter.
        let accesses = senders.into_iter().map(|tenant| book.access(tenant, &self.session.context.env));
        let accesses = accesses.filter_map(|made| made.map_err(|missing| read.problems.extend(missing)).ok()).collect();
        self.session.context.tell(&read)?;
        let written = writer.commit(&read.sources, book.rows())?;
        Ok(Some(Pass { written, counts: read.counts, accesses, objects, numbers }))
    }

    fn new_run(&self, run: &str) -> NewRun {
        let simulated = self.args.simulate.map(|scenario| format!("simulate:{scenario}"));
        let (context, settings) = (self.session.context, &self.session.settings);
        NewRun {
            run: run.to_owned(),
            job: self.name(),
            started_at: context.clock.stamp(),
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            operator: context.env.operator(),
            ticket: self.ticket(),
            justification: self.justification(),
            reissued: self.inputs.sealed.is_some() && self.args.certainty.allow_reissued,
            sealed: self.inputs.sealed.as_ref().map(|sealed| sealed.fingerprint.to_string()),
            root: simulated.clone().unwrap_or_else(|| settings.root.to_string()),
            authority: simulated.unwrap_or_else(|| settings.authority.to_string()),
        }
    }

    fn ticket(&self) -> Option<String> {
        self.args.ticket.clone().or_else(|| self.inputs.ticket.clone())
    }

    fn justification(&self) -> Option<String> {
        self.args.approval.justification(self.ticket().as_ref())
    }

    /// Sorts by time, can be read aloud by its end, and does not repeat on one machine.
    fn new_run_id(&self) -> String {
        let random = uuid::Uuid::new_v4().simple().to_string();
        format!("{}-{}", self.session.context.clock.wall().strftime("%Y%m%d-%H%M%S"), &random[..6])
    }
}
