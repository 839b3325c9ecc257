//! `list`: what tenants have of a kind, as a list that `run` accepts. Nothing is recorded, and no secret is read.

use std::io::Write;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use super::args::{Format, Place};
use super::context::{Context, invalid};
use super::exit::{Exit, Quit};
use super::flags::Service;
use super::planning::resolve;
use super::preflight;
use super::session::Session;
use super::streams::{self, bulk, unwritten};
use super::tenants::{Book, Mode};
use crate::clock::Clock;
use crate::config::RunOptions;
use crate::exec::{Page, Unread, inventory};
use crate::graph::Graph;
use crate::model::{Class, Kind, Problem, TenantRow, TenantStop};
use crate::plan::TenantBook as _;
use crate::report::{Curtain, Inventory, plain};

#[derive(Debug, Args)]
pub(super) struct InventoryArgs {
    /// The kind of objects
    kind: Kind,

    /// Only tokens that can be used: Android tokens that have not expired, VPP tokens that are valid
    #[arg(long, env = "BULK_REVOKE_ACTIVE", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    active: bool,

    /// Only this tenant [default: all that are configured]
    #[arg(long, value_name = "T", env = "BULK_REVOKE_TENANT")]
    tenant: Option<String>,

    /// The same
    #[arg(long, value_name = "T", env = "BULK_REVOKE_ONLY_TENANT", hide = true)]
    only_tenant: Option<String>,

    /// How to show them
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,

    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    service: Service,
}

/// Lists what the tenants have, one tenant after the other.
pub(super) fn list(context: &Context, args: &InventoryArgs) -> Result<Exit, Quit> {
    let settings = context.settings(&args.place, RunOptions::default(), args.service.flags(RunOptions::default()), Vec::new())?;
    context.start_log(&settings, Curtain::none());
    let state_dir = settings.state_dir.clone();
    let session = Session::begin(context, settings, state_dir, None)?;
    let done = export(&session, args);
    session.end();
    done
}

fn export(session: &Session<'_>, args: &InventoryArgs) -> Result<Exit, Quit> {
    let (context, settings) = (session.context, &session.settings);
    let book = book(session, args)?;
    let mut problems = Vec::new();
    let accesses = book.accesses(&context.env, &mut problems);
    if !problems.is_empty() {
        return Err(invalid(&problems));
    }
    let service = preflight::service(settings, settings.root.clone(), settings.authority.clone(), accesses)?;
    let signed_in = session.interrupts.wait(&session.runtime, preflight::sign_in(&service, book.rows()));
    let mut export = Export { args, stops: signed_in.flatten()?, unread: 0, listed: 0, left_out: 0 };
    let graph = Graph::new(service.client, service.root, service.tokens, Clock::system());
    let written = session.interrupts.wait(&session.runtime, export.all(session, &graph, book.rows())).flatten();
    match written {
        Err(quit) if quit.lines.is_empty() => {}
        written => written?,
    }
    export.tell(context);
    Ok(Exit::of_run(None, &export.stops, |class| if class == Class::Failure { export.unread } else { 0 }))
}

/// The tenants that are asked for.
fn book(session: &Session<'_>, args: &InventoryArgs) -> Result<Book, Quit> {
    let settings = &session.settings;
    let mut book = Book::new(Mode::Real, settings);
    let named = args.only_tenant.as_deref().or(args.tenant.as_deref());
    let tables = settings.tenants.iter().filter_map(|table| table.name.as_deref());
    let wanted: Vec<Option<&str>> = match named {
        Some(name) => vec![Some(name)],
        None if settings.tenants.is_empty() => vec![None],
        None => tables.map(Some).collect(),
    };
    loop {
        let unknown: Vec<Problem> =
            wanted.iter().filter_map(|name| book.find(*name).err()).map(|message| Problem::of("list", message)).collect();
        if book.has_unresolved() {
            resolve(session, &mut book)?;
        } else {
            return if unknown.is_empty() { Ok(book) } else { Err(invalid(&unknown)) };
        }
    }
}

/// How far it came.
struct Export<'a> {
    args: &'a InventoryArgs,
    stops: Vec<TenantStop>,
    /// Lists that could not be read to their end for another reason.
    unread: u64,
    listed: u64,
    /// Objects without an id that `run` could ask for.
    left_out: usize,
}

/// Why a tenant's list ended before its end.
enum Short {
    Unread(Unread),
    Unwritten(std::io::Error),
}

impl From<Unread> for Short {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

impl Export<'_> {
    async fn all(
        &mut self,
        session: &Session<'_>,
        graph: &Graph<crate::auth::Tokens>,
        tenants: &[TenantRow],
    ) -> Result<(), Quit> {
        let failed = |error| unwritten(&error);
        let (kind, clock) = (self.args.kind, Clock::system());
        let mut out = Inventory::begin(bulk(), self.args.format.into(), kind).map_err(failed)?;
        for tenant in tenants {
            if self.stops.iter().any(|stop| stop.tenant == tenant.id) {
                continue;
            }
            let policy = &session.settings.policy;
            let each = |page: Page| self.page(&mut out, tenant, &page).map_err(Short::Unwritten);
            match inventory(graph, (tenant.id, kind), policy, &clock, each).await {
                Ok(()) => {}
                Err(Short::Unwritten(error)) => return Err(unwritten(&error)),
                Err(Short::Unread(unread)) => self.stopped(tenant, unread),
            }
        }
        out.finish().map_err(failed)
    }

    fn page(&mut self, out: &mut Inventory<impl Write>, tenant: &TenantRow, page: &Page) -> std::io::Result<()> {
        self.left_out += page.nameless;
        for (id, shown) in page.objects.iter().chain(&page.partial).filter(|(_, shown)| !self.args.active || shown.is_live()) {
            self.listed += 1;
            out.object(tenant, *id, shown)?;
        }
        Ok(())
    }

    fn stopped(&mut self, tenant: &TenantRow, Unread { cause, message }: Unread) {
        streams::note(&plain(&format!("tenant {}: its list is not complete: {message}", tenant.label)));
        match cause {
            Some(cause) => self.stops.push(TenantStop { tenant: tenant.id, service: None, cause, message }),
            None => self.unread += 1,
        }
    }

    /// What is not in the list itself.
    fn tell(&self, context: &Context) {
        if self.left_out > 0 {
            context.say(&format!("warning: {} objects are left out: their ids are no GUIDs", self.left_out));
        }
        if self.listed == 0 && self.stops.is_empty() && self.unread == 0 {
            let active = if self.args.active { "active " } else { "" };
            context.say(&format!("no {active}{} is there", self.args.kind));
        }
    }
}
