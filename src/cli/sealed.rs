//! Sealed plans: saves what was planned, and carries out what was saved.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::args::{PlanArgs, RunArgs};
use super::binding::may_be;
use super::context::Context;
use super::exit::{Exit, Quit};
use super::planning::Prepared;
use super::run::{Job, Mode};
use super::session::Subject;
use super::survey::Survey;
use super::tenants::Book;
use crate::config::Settings;
use crate::exec::Journal as _;
use crate::ledger::{Ledger, RunNo};
use crate::model::{AfterLook, Disposition, Event, ItemNo, Look, Phase, Row, TenantRow, What};
use crate::plan::{Fingerprint, Flaw, PlanHead, PlanItem, Sealer, unseal};
use crate::report::{Draft, plain};

/// Pins that are made durable at once: few beside everything else in memory, and many for each time the disk is waited for.
const BATCH: usize = 4_096;

/// A plan that may be carried out, and the file that holds its items.
#[derive(Debug)]
pub(super) struct Sealed {
    path: PathBuf,
    pub(super) head: PlanHead,
    pub(super) fingerprint: Fingerprint,
}

impl Sealed {
    /// The plan that `run --plan` names, if it does. What it says of the run goes into the arguments, which could not
    /// say it beside it.
    pub(super) fn of(context: &Context, args: &mut RunArgs) -> Result<Option<Self>, Quit> {
        let Some(path) = args.plan.clone() else { return Ok(None) };
        let (head, fingerprint) = unseal::<Flaw>(open(&path)?, args.fingerprint.as_ref(), |_| Ok(()))?;
        head.is_due(context.clock.wall())?;
        let (job, PlanHead { tool, made_by, made_at, .. }) = (&mut args.job, &head);
        let made = format!("made by {made_by} with version {tool} at {made_at}, fingerprint {}", fingerprint.short());
        context.say(&plain(&format!("plan {}: {made}", path.display())));
        (job.ticket, job.approval.justification) = (head.ticket.clone(), head.justification.clone());
        (job.certainty.allow_reissued, job.guards.again) = (head.allow_reissued, head.again);
        Ok(Some(Self { path, head, fingerprint }))
    }

    /// Whether it was made for the service that the configuration names.
    pub(super) fn is_for(&self, settings: &Settings) -> Result<(), Quit> {
        Ok(self.head.is_for(&settings.root.to_string(), &settings.authority.to_string())?)
    }

    /// Whether its tenants are known to us, with the apps that it was made with. False: domains must be looked up first.
    pub(super) fn meets(&self, book: &mut Book) -> Result<bool, Quit> {
        for TenantRow { id, label, app } in &self.head.tenants {
            let number = match book.by_id(*id, label) {
                Err(_) if book.has_unresolved() => return Ok(false),
                Err(message) => {
                    let what = format!("the tenant {id}, which the configuration does not name: {message}");
                    return Err(Flaw::Elsewhere(what).into());
                }
                Ok(number) => number,
            };
            let now = &book.rows()[number as usize].app;
            if !may_be(now, app) {
                let what = format!("the app {app} in tenant {label}, and the configuration names {now}");
                return Err(Flaw::Elsewhere(what).into());
            }
        }
        Ok(true)
    }

    /// These tenants, bound to the apps that it was made with.
    pub(super) fn bound(&self, tenants: &[TenantRow]) -> Vec<TenantRow> {
        let app = |row: &TenantRow| self.head.tenants.iter().find(|known| known.id == row.id).map(|known| known.app.clone());
        tenants.iter().map(|row| TenantRow { app: app(row).unwrap_or_else(|| row.app.clone()), ..row.clone() }).collect()
    }

    /// Hands out its items. The file must still be the one that was opened.
    pub(super) fn each(&self, each: impl FnMut(PlanItem) -> Result<(), Quit>) -> Result<(), Quit> {
        let (_, fingerprint) = unseal(open(&self.path)?, None, each)?;
        if fingerprint == self.fingerprint { Ok(()) } else { Err(Flaw::Changed.into()) }
    }
}

fn open(path: &Path) -> Result<BufReader<File>, Flaw> {
    Ok(BufReader::with_capacity(256 * 1024, File::open(path)?))
}

impl From<Flaw> for Quit {
    fn from(flaw: Flaw) -> Self {
        let exit = if flaw.is_refusal() { Exit::Refused } else { Exit::Invalid };
        Self::new(exit, format!("the plan is not carried out: {flaw}")).hint("nothing was sent")
    }
}

impl Job<'_> {
    /// Whether no run has carried out the sealed plan before: it was reviewed once.
    pub(super) fn is_new(&self, ledger: &Ledger) -> Result<(), Quit> {
        let Some(sealed) = self.inputs.sealed.as_ref().filter(|_| !self.mode.is_dry()) else { return Ok(()) };
        let Some(header) = ledger.carried_out(&sealed.fingerprint.to_string())? else { return Ok(()) };
        let line = format!("run {} has carried out the plan {} already; nothing was sent", header.run, sealed.path.display());
        Err(Quit::new(Exit::Refused, line)
            .hint(format!("finish it, or see what became of it: bulk-revoke resume {}", header.run)))
    }

    /// Records what the sealed plan saw, before this run sees anything itself: what has moved since is not sent.
    pub(super) fn pin(
        &self,
        ledger: Ledger,
        no: RunNo,
        tenants: &[TenantRow],
        numbers: &[Option<ItemNo>],
    ) -> Result<Ledger, Quit> {
        let Some(sealed) = &self.inputs.sealed else { return Ok(ledger) };
        let (session, at) = (&self.session, self.session.context.clock.stamp());
        let mut journal = ledger.journal(no, tenants.iter().map(|row| row.id).collect())?;
        let mut commit = |events| {
            let committed = session.interrupts.wait(&session.runtime, journal.commit(Arc::new(events)))?;
            committed.map_err(|error| Quit::new(Exit::Record, format!("failed to {error}; nothing was sent")))
        };
        let (mut numbers, mut events) = (numbers.iter(), Vec::with_capacity(BATCH));
        sealed.each(|PlanItem { pin, .. }| {
            let Some(no) = numbers.next().copied().flatten() else { return Ok(()) };
            let look = Look { reading: Some(pin), then: AfterLook::Planned };
            events.push(Event { item: Some(no), at, what: What::Looked(Box::new(look)) });
            if events.len() < BATCH { Ok(()) } else { commit(std::mem::take(&mut events)) }
        })?;
        commit(events)?;
        Ok(journal.close()?)
    }

    /// Saves the plan, if that was asked for: what would be sent, as preflight saw it.
    pub(super) fn save(&self, prepared: &Prepared, survey: &Survey) -> Result<(), Quit> {
        let Mode::Plan(PlanArgs { save: Some(path), .. }) = self.mode else { return Ok(()) };
        if survey.unreached > 0 {
            let line = format!("{} items could not be read, so they cannot be pinned: the plan is not saved", survey.unreached);
            return Err(Quit::new(Exit::of_run(None, &survey.stops, |_| 1), line));
        }
        if survey.to_send == 0 {
            return Err(Quit::new(Exit::Nothing, "nothing would be sent: there is no plan to save"));
        }
        let (subject, failed) = (&prepared.subject, |error| unwritable(path, &error));
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(Quit::new(Exit::Usage, format!("--save {} names no file", path.display())));
        };
        let head = self.head(subject, survey)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let draft = Draft::create(folder, name, &subject.run).map_err(|error| error.of("--save"))?;
        let mut sealer = Sealer::new(draft, &head).map_err(failed)?;
        let mut add = |row| item(row, &subject.tenants).map_or(Ok(()), |item| sealer.add(&item));
        subject.ledger.rows(subject.no, |row| add(row).map_err(failed))?;
        let (mut draft, fingerprint) = sealer.seal().map_err(failed)?;
        draft.seal().and_then(|()| draft.publish()).map_err(|error| error.of("--save"))?;
        let left_out = prepared.counts.rows.saturating_sub(survey.to_send);
        self.session.context.say(&saved(path, survey, left_out, (&head, &fingerprint)));
        Ok(())
    }

    fn head(&self, subject: &Subject, survey: &Survey) -> Result<PlanHead, Quit> {
        let header = subject.ledger.run(subject.no)?;
        let now = self.session.context.clock.wall();
        let made_at = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let sends = |tenant: &TenantRow| survey.kinds.iter().any(|found| found.tenant == tenant.id && found.to_send > 0);
        Ok(PlanHead {
            tool: header.tool,
            made_by: header.operator,
            made_at,
            expires_at: PlanHead::expiry(made_at),
            job: header.job,
            ticket: header.ticket,
            justification: header.justification,
            allow_reissued: self.args.certainty.allow_reissued,
            again: self.args.guards.again,
            root: header.root,
            authority: header.authority,
            tenants: subject.tenants.iter().filter(|row| sends(row)).cloned().collect(),
            sources: header.sources,
        })
    }
}

/// A row that would be sent, with what preflight saw; none: it needs no request, or must not have one.
fn item(row: Row, tenants: &[TenantRow]) -> Option<PlanItem> {
    let is_sent = row.disposition == Disposition::Send && row.progress.phase == Phase::Ready;
    let (kind, tenant) = (row.kind.filter(|_| is_sent)?, tenants.get(row.tenant? as usize)?);
    let [notify_managed_devices, revoke_untracked_licenses] = PlanItem::options(kind, row.options);
    Some(PlanItem {
        tenant: tenant.id,
        kind,
        id: row.id?,
        notify_managed_devices,
        revoke_untracked_licenses,
        source: row.place.source,
        line: row.place.line,
        cells: row.cells,
        pin: *row.progress.pin?,
    })
}

/// What was saved, and how it is handed over.
fn saved(path: &Path, survey: &Survey, left_out: u64, (head, fingerprint): (&PlanHead, &Fingerprint)) -> String {
    let shown = path.display();
    let mut text = format!("\nsealed {} items into {shown}", survey.to_send);
    if left_out > 0 {
        let _ = write!(text, "; rows that would not be sent are not in it: {left_out}");
    }
    for tenant in &head.tenants {
        let of_tenant = survey.kinds.iter().filter(|found| found.tenant == tenant.id && found.to_send > 0);
        let parts: Vec<String> = of_tenant.map(|found| format!("{} {}", found.to_send, found.kind)).collect();
        let _ = write!(text, "\n  {}: {}", plain(&tenant.label), parts.join(", "));
    }
    let (short, expires_at) = (fingerprint.short(), head.expires_at);
    let _ = write!(text, "\n  fingerprint {short}\n  in full     {fingerprint}\n  expires     {expires_at}");
    let _ = write!(text, "\ncarry it out: bulk-revoke run --plan {} --fingerprint {short}", quoted(&shown.to_string()));
    text
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

fn unwritable(path: &Path, error: &io::Error) -> Quit {
    Quit::new(Exit::Record, format!("failed to write {}: {error}", path.display()))
}
