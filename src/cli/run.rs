//! The main job, end to end: read, plan, check, send, report.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::args::RunArgs;
use super::context::{Context, simulated, unreadable};
use super::exit::{Exit, Quit};
use super::lists::{Counts, Inputs, record};
use super::preflight::{self, Service};
use super::streams;
use super::tenants::{Book, Mode, derived};
use super::{context, pastime, signal, simulate};
use crate::auth::discover;
use crate::config::{OnEmpty, Settings};
use crate::exec::{self, Journal as _, Observer as _};
use crate::graph::Graph;
use crate::ledger::{Ledger, NewRun, Planned, TenantLock};
use crate::model::{Event, ObjectId, Problem, RunState, StoppedBy, TenantId, TenantRow, TenantStop, What};
use crate::plan::{Facts, Guards, PlanPolicy, Planner, guard};
use crate::report::{Watch, prepare};

/// A run whose items are in the ledger, and what it needs to go on.
struct Prepared {
    ledger: Ledger,
    planned: Planned,
    run: String,
    out: PathBuf,
    tenants: Vec<TenantRow>,
    counts: Counts,
    service: Service,
    /// The embedded Graph, as long as it is needed.
    _simulator: Option<crate::sim::Server>,
}

/// Reads, plans, checks, sends, reports.
pub(super) fn run(context: &Context, args: &RunArgs) -> Result<Exit, Quit> {
    let inputs = Inputs::read(&args.lists)?;
    let settings = context.settings(&args.place, inputs.run, args.flags(), inputs.problems.clone())?;
    let runtime = runtime()?;
    let prepared = plan(context, args, &settings, &inputs, &runtime)?;
    if prepared.counts.rows == 0 {
        return nothing(&settings);
    }
    let watch = watch(context, &prepared);
    context.start_log(&settings, watch.curtain());
    let _locks = lock(context, &settings, args, &prepared)?;
    let senders = senders(&prepared);
    let stops = preflight::sign_in(context, &runtime, &prepared.service.tokens, &senders)?;
    if let Err(quit) = allow(context, args, &settings, &prepared) {
        prepared.ledger.set_state(prepared.planned.no, RunState::Refused)?;
        return Err(quit);
    }
    if args.dry_run {
        let exit = finish(context, &settings, args, prepared, &exec::Ended::default())?;
        return Ok(if stops.is_empty() { exit } else { Exit::SignIn });
    }
    let (ended, prepared) = send(context, &settings, &runtime, (prepared, watch), stops)?;
    finish(context, &settings, args, prepared, &ended)
}

pub(super) fn runtime() -> Result<Runtime, Quit> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Quit::new(Exit::Internal, format!("failed to start the runtime: {error}")))
}

/// Reads every list into the ledger. Until this returns, the run does not exist.
fn plan(context: &Context, args: &RunArgs, settings: &Settings, inputs: &Inputs, runtime: &Runtime) -> Result<Prepared, Quit> {
    let state_dir = state_dir(settings, args);
    let mut ledger = Ledger::open(&state_dir)?;
    let run = new_run_id(context);
    let out = args.out.clone().unwrap_or_else(|| settings.report_dir.join(&run));
    prepare(&out)?;
    let loopback = args.simulate.is_some() || settings.root.is_loopback() && settings.authority.base().is_loopback();
    let client = preflight::http(settings, loopback)?;
    let (mode, resolve): (Mode, super::tenants::Resolve<'_>) = if args.simulate.is_some() {
        (Mode::Simulated, Box::new(|name| Ok(derived(name))))
    } else {
        let find = |name: &str| {
            runtime.block_on(discover(&client, &settings.authority, name)).map_err(|error| format!("failed to {error}"))
        };
        (Mode::Real, Box::new(find))
    };
    let mut book = Book::new(mode, settings, resolve);
    let only_tenant = book.named(args.lists.only_tenant.as_deref()).map_err(|problem| context::invalid(&[problem]))?;
    let mut planner = Planner::new(PlanPolicy {
        skip_invalid: args.lists.skip_invalid,
        only: args.lists.only.clone(),
        only_tenant,
        protect: protected(settings)?,
    });
    let mut writer = ledger.plan(&new_run(context, args, settings, inputs, &run))?;
    let mut objects = Vec::new();
    let (sources, counts) = inputs.plan(&args.lists, &mut planner, &mut book, &mut |row| {
        if args.simulate.is_some() {
            objects.extend(simulate::held(row));
        }
        record(&mut writer, row)
    })?;
    let mut problems = Vec::new();
    let sign_ins = if counts.to_send > 0 { book.sign_ins(&context.env, &mut problems) } else { Vec::new() };
    if !problems.is_empty() {
        return Err(context::invalid(&problems));
    }
    let tenants = book.rows().to_vec();
    let written = writer.commit(&sources, &tenants)?;
    let (service, simulator) = match args.simulate {
        None => (preflight::service(client.clone(), settings.root.clone(), settings.authority.clone(), sign_ins), None),
        Some(scenario) => {
            let server = simulate::start(runtime, simulate::options(scenario), &book, objects)?;
            let (root, authority) = simulate::places(&server)?;
            (preflight::service(client.clone(), root, authority, sign_ins), Some(server))
        }
    };
    Ok(Prepared { ledger, planned: written, run, out, tenants, counts, service, _simulator: simulator })
}

fn new_run(context: &Context, args: &RunArgs, settings: &Settings, inputs: &Inputs, run: &str) -> NewRun {
    let simulated = args.simulate.map(|scenario| format!("simulate:{scenario}"));
    NewRun {
        run: run.to_owned(),
        job: args.job.clone().unwrap_or_else(|| inputs.name()),
        started_at: context.clock.stamp(),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        operator: context.env.operator(),
        ticket: args.ticket.clone().or_else(|| inputs.ticket.clone()),
        root: simulated.clone().unwrap_or_else(|| settings.root.to_string()),
        authority: simulated.unwrap_or_else(|| settings.authority.to_string()),
    }
}

/// Sorts by time, can be read aloud by its end, and does not repeat on one machine.
fn new_run_id(context: &Context) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", context.clock.wall().strftime("%Y%m%d-%H%M%S"), &random[..6])
}

fn state_dir(settings: &Settings, args: &RunArgs) -> PathBuf {
    if args.simulate.is_some() { simulated(&settings.state_dir) } else { settings.state_dir.clone() }
}

/// The ids of `[guard] protect` and of its file.
fn protected(settings: &Settings) -> Result<HashSet<ObjectId>, Quit> {
    let mut ids: HashSet<ObjectId> = settings.protect.iter().copied().collect();
    let Some(path) = &settings.protect_file else { return Ok(ids) };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let mut problems = Vec::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty() && !text.starts_with('#')) {
        match text.parse() {
            Ok(id) => drop(ids.insert(id)),
            Err(error) => problems.push(Problem::at(path.display().to_string(), line, format!("{:?} is {error}", text.trim()))),
        }
    }
    if problems.is_empty() { Ok(ids) } else { Err(context::invalid(&problems)) }
}

fn nothing(settings: &Settings) -> Result<Exit, Quit> {
    match settings.on_empty {
        OnEmpty::Ok => Ok(Exit::Ok),
        OnEmpty::Fail => {
            Err(Quit::new(Exit::Nothing, "the lists hold no rows: nothing to do").hint("--on-empty ok makes that a success"))
        }
    }
}

/// The tenants that have something to send.
fn senders(prepared: &Prepared) -> Vec<TenantRow> {
    let sends = |row: &&TenantRow| prepared.planned.lanes.iter().any(|lane| lane.tenant == row.id);
    prepared.tenants.iter().filter(sends).cloned().collect()
}

/// Locks every tenant that has something to send, in the order of their ids, so that two runs never wait for each other.
fn lock(context: &Context, settings: &Settings, args: &RunArgs, prepared: &Prepared) -> Result<Vec<TenantLock>, Quit> {
    let owner =
        format!("run {}, {} (pid {}), since {}", prepared.run, context.env.operator(), std::process::id(), context.clock.stamp());
    let mut tenants: Vec<TenantId> = senders(prepared).iter().map(|row| row.id).collect();
    tenants.sort_unstable();
    let directory = state_dir(settings, args);
    tenants.into_iter().map(|tenant| TenantLock::take(&directory, tenant, &owner).map_err(Quit::from)).collect()
}

/// Asks the guards, and then the person.
fn allow(context: &Context, args: &RunArgs, settings: &Settings, prepared: &Prepared) -> Result<(), Quit> {
    let counts = prepared.counts;
    let asks = args.simulate.is_none() && !args.dry_run;
    context.say(&announcement(prepared));
    let facts =
        Facts { to_send: counts.to_send, protected: counts.protected, can_ask: context.can_ask || args.simulate.is_some() };
    let guards = Guards { max_items: settings.max_items, refuse_protected: settings.refuse_protected };
    guard(&facts, &guards).map_err(|refusal| Quit::new(Exit::Refused, refusal.to_string()).hint("nothing was sent"))?;
    if !asks || args.yes || counts.to_send == 0 {
        return Ok(());
    }
    if !context.can_ask {
        let line = "nobody can be asked whether to send: give --yes to send without asking; nothing was sent";
        return Err(Quit::new(Exit::Refused, line));
    }
    confirm(counts.to_send)
}

/// What is about to happen, per tenant and kind.
fn announcement(prepared: &Prepared) -> String {
    let Counts { rows, to_send, protected, invalid, .. } = prepared.counts;
    let mut text = format!("{rows} rows: {to_send} to send");
    for (count, what) in [(prepared.counts.repeated(), "duplicates"), (protected, "protected"), (invalid, "invalid")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    for row in &prepared.tenants {
        let lanes = prepared.planned.lanes.iter().filter(|lane| lane.tenant == row.id);
        let parts: Vec<String> = lanes.map(|lane| format!("{} {}", lane.items, lane.service)).collect();
        if !parts.is_empty() {
            let _ = write!(text, "\n  {} ({}): {}", crate::report::plain(&row.label), row.id, parts.join(", "));
        }
    }
    text
}

fn confirm(items: u64) -> Result<(), Quit> {
    let _ = write!(io::stderr(), "this cannot be undone; type the number of items ({items}) to go on: ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == items.to_string() {
        Ok(())
    } else {
        Err(Quit::new(Exit::Refused, "not confirmed; nothing was sent"))
    }
}

fn watch(context: &Context, prepared: &Prepared) -> Watch {
    let total = prepared.counts.to_send;
    if context.output.quiet {
        Watch::nothing()
    } else if context.draws() {
        Watch::bar(total, &prepared.tenants)
    } else if context.is_lined() {
        Watch::lines(total, &prepared.tenants, Box::new(streams::note))
    } else {
        Watch::nothing()
    }
}

/// Sends, with everything durable before it is shown.
fn send(
    context: &Context,
    settings: &Settings,
    runtime: &Runtime,
    (prepared, mut watch): (Prepared, Watch),
    stops: Vec<TenantStop>,
) -> Result<(exec::Ended, Prepared), Quit> {
    let Prepared { ledger, planned, service, tenants, .. } = prepared;
    ledger.set_state(planned.no, RunState::Running)?;
    let mut journal = ledger.journal(planned.no, tenants.iter().map(|row| row.id).collect())?;
    let lanes: Vec<_> =
        planned.lanes.iter().filter(|lane| stops.iter().all(|stop| stop.tenant != lane.tenant)).copied().collect();
    let clock = context.clock;
    let mut ended = runtime.block_on(async {
        let first: Vec<Event> =
            stops.iter().map(|stop| Event { item: None, at: clock.stamp(), what: What::TenantStopped(stop.clone()) }).collect();
        if let Err(error) = journal.commit(Arc::new(first)).await {
            return exec::Ended { stopped_by: Some(StoppedBy::Ledger), journal_error: Some(error), ..exec::Ended::default() };
        }
        let graph = Graph::new(service.client.clone(), service.root.clone(), Arc::clone(&service.tokens), clock);
        let stop = signal::listen(watch.curtain());
        let run = exec::Run {
            policy: settings.policy.clone(),
            lanes: &lanes,
            transport: Arc::new(graph),
            journal: &mut journal,
            observer: &mut watch,
            clock,
            stop,
        };
        exec::run(run).await
    });
    ended.tenant_stops.splice(0..0, stops);
    let over = Event { item: None, at: clock.stamp(), what: What::Ended { stopped_by: ended.stopped_by } };
    match runtime.block_on(journal.commit(Arc::new(vec![over.clone()]))) {
        Ok(()) => watch.observe(&[over], &exec::Pulse::default()),
        Err(error) => drop(ended.journal_error.get_or_insert(error)),
    }
    let ledger = journal.close()?;
    Ok((ended, Prepared { ledger, planned, tenants, service, ..prepared }))
}

/// Writes the report from the ledger, shows the summary, and derives the exit code.
fn finish(context: &Context, settings: &Settings, args: &RunArgs, prepared: Prepared, ended: &exec::Ended) -> Result<Exit, Quit> {
    let Prepared { ledger, planned, out, run, .. } = prepared;
    if let Some(error) = &ended.journal_error {
        // What the ledger has is still worth a report; what it lacks is told here and now.
        tell_unrecorded(&ended.unrecorded);
        let _ = pastime::write(context, settings, &ledger, planned.no, &out);
        let hint = format!("free the disk, then write the report again: bulk-revoke report {run}");
        return Err(Quit::new(Exit::Record, format!("failed to {error}")).hint(hint));
    }
    let state = if args.dry_run { RunState::Dry } else { RunState::Ended };
    ledger.end_run(planned.no, state, context.clock.stamp())?;
    let exit = pastime::write(context, settings, &ledger, planned.no, &out)?;
    if args.out.is_none() {
        latest(&settings.report_dir, &run);
    }
    Ok(exit)
}

/// Outcomes that are known and could not be made durable: the ledger will call these items unknown.
fn tell_unrecorded(events: &[Event]) {
    for event in events {
        if let (Some(no), Ok(what)) = (event.item, serde_json::to_string(&event.what)) {
            streams::note(&format!("not recorded: item {} at {}: {}", no.0, event.at, crate::report::plain(&what)));
        }
    }
}

/// Points `latest` at this run's directory. It is a convenience: where it cannot be made, nothing is lost.
fn latest(report_dir: &Path, run: &str) {
    #[cfg(unix)]
    {
        let (link, fresh) = (report_dir.join("latest"), report_dir.join(format!(".latest.{run}")));
        let made = std::os::unix::fs::symlink(run, &fresh).and_then(|()| std::fs::rename(&fresh, &link));
        if let Err(error) = made {
            tracing::warn!(%error, link = %link.display(), "failed to point latest at this run");
        }
    }
    #[cfg(not(unix))]
    let _ = (report_dir, run);
}
