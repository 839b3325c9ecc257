//! The embedded Graph: beside a run, or served for as long as it is wanted.

use std::fmt;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::runtime::Runtime;

use super::args::SimulateArgs;
use super::context::Context;
use super::exit::{Exit, Quit};
use super::lists::Inputs;
use super::signal::Interrupts;
use super::tenants::{Book, Mode};
use super::{session, streams};
use crate::auth::Authority;
use crate::config::Flags;
use crate::exec::Stop;
use crate::graph::GraphRoot;
use crate::model::{Disposition, Kind, ObjectId, PlannedRow};
use crate::plan::{PlanPolicy, Planner};
use crate::report::Curtain;
use crate::sim::{Approval, Behaviour, Collection, Decision, Object, Options, Quota, Scenario, Server, Span, Tenant};

/// An object by its tenant's number: what the simulator must hold.
pub(super) type Held = (u32, Kind, ObjectId);

/// What a row adds to the simulator.
pub(super) fn held(row: &PlannedRow) -> Option<Held> {
    (row.disposition == Disposition::Send).then_some((row.tenant?, row.kind?, row.id?))
}

/// Starts the simulator with these objects in it.
pub(super) fn start(runtime: &Runtime, mut options: Options, book: &Book, held: Vec<Held>) -> Result<Server, Quit> {
    let tenants = book.rows();
    options.tenants =
        tenants.iter().zip(book.domains()).map(|(row, domains)| Tenant { id: row.id.0, domains: domains.clone() }).collect();
    let objects = held.into_iter().filter_map(|(tenant, kind, id)| {
        let tenant = tenants.get(tenant as usize)?.id.0;
        Some(Object { tenant, collection: collection(kind), id: id.0 })
    });
    options.objects = objects.collect();
    runtime
        .block_on(Server::start(options))
        .map_err(|error| Quit::new(Exit::Invalid, format!("failed to start the embedded Graph: {error}")))
}

/// The simulator of a run: seeded alike each time, and without a log that nobody reads.
pub(super) fn options(scenario: Scenario) -> Options {
    Options::new(Behaviour { log: false, ..Behaviour::of(scenario) })
}

/// Where the simulator is.
pub(super) fn places(server: &Server) -> Result<(GraphRoot, Authority), Quit> {
    let root = GraphRoot::new(server.url()).map_err(|error| Quit::new(Exit::Internal, error.to_string()))?;
    Ok((root, Authority::new(server.url())?))
}

const fn collection(kind: Kind) -> Collection {
    match kind {
        Kind::AndroidForWork => Collection::AndroidForWork,
        Kind::AndroidDeviceOwner => Collection::AndroidDeviceOwner,
        Kind::VppToken => Collection::VppTokens,
    }
}

/// A second administrator who reads for a second.
fn approval(decision: Decision) -> Approval {
    Approval { decisions: vec![decision], after: Span::of_secs(1, 1), ..Approval::default() }
}

/// The certificates in a PEM file, as DER.
fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Quit> {
    let refused = |error: &dyn fmt::Display| {
        Quit::new(
            Exit::Invalid,
            format!("failed to read a certificate from {}: {error}", crate::report::plain(&path.display().to_string())),
        )
    };
    let text = std::fs::read(path).map_err(|error| refused(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).map(|one| one.map(|der| der.to_vec())).collect();
    let found = found.map_err(|error| refused(&error))?;
    if found.is_empty() { Err(refused(&"there is none in it")) } else { Ok(found) }
}

/// `simulate JOB...`: serves until a signal comes.
pub(super) fn serve(context: &Context, args: &SimulateArgs) -> Result<Exit, Quit> {
    let inputs = Inputs::read(&args.lists)?;
    let settings = context.settings(&args.place, inputs.run, Flags::default(), inputs.problems.clone())?;
    context.start_log(&settings, Curtain::none());
    let runtime = session::runtime()?;
    let interrupts = Interrupts::listen(&runtime);
    let mut book = Book::new(Mode::Simulated, &settings);
    let policy = PlanPolicy { skip_invalid: args.lists.skip_invalid, only: args.lists.only.clone(), ..PlanPolicy::default() };
    let mut objects = Vec::new();
    let read = inputs.plan(&args.lists, &mut Planner::new(policy), &mut book, &mut |row| {
        objects.extend(held(row));
        Ok(())
    })?;
    context.tell(&read)?;
    let mut options = Options::of(args.scenario);
    (options.port, options.seed) = (args.port, args.seed);
    if let Some(quota) = args.quota() {
        options.behaviour.write_quota = quota.0.map(|quota| Quota { count: quota.count, per: quota.per });
        options.behaviour.hidden_write_quota = None;
    }
    options.behaviour.approval = args.approval.map(approval);
    options.behaviour.person.approves_after = Some(2);
    if let Some(path) = &args.certificate {
        options.certificates = certificates(path)?;
    }
    let server = start(&runtime, options, &book, objects)?;
    for row in book.rows() {
        context.say(&format!("tenant {} is {}", crate::report::plain(&row.label), row.id));
    }
    context.say(&format!(
        "{} objects, scenario {}; the client secret is simulated; end with Ctrl-C",
        read.counts.to_send, args.scenario
    ));
    if let Some(decision) = args.approval {
        context.say(&format!("every write needs an approval; the second administrator: {decision}"));
    }
    streams::data(server.url());
    runtime.block_on(async {
        let _ = interrupts.receiver().wait_for(|stop| *stop != Stop::Run).await;
        server.stop().await;
    });
    Ok(Exit::Ok)
}
