//! `check`: everything that a run needs, looked at without a run. Reads only; all that is wrong is shown, not just the first.

use tokio::task::JoinSet;

use super::advice::ahead;
use super::args::{CheckArgs, Format};
use super::context::Context;
use super::examine::Patient;
use super::exit::{Exit, Quit};
use super::pastime::csv_line;
use super::planning::resolve;
use super::preflight::{self, AT_ONCE, Service};
use super::session::Session;
use super::tenants::{Book, Mode};
use super::{space, streams};
use crate::config::RunOptions;
use crate::graph::{Cloud, Unreachable, probe};
use crate::ledger::{Ledger, TenantLock};
use crate::model::{Kind, TenantRow, guard};
use crate::plan::{TenantBook as _, TenantNo};
use crate::report::{Curtain, Finding, Mark, findings_text, prepare, skew_text};

/// Looks at everything and shows what it found.
pub(super) fn check(context: &Context, args: &CheckArgs) -> Result<Exit, Quit> {
    let flags = args.service.flags(RunOptions::default());
    let settings = context.settings(&args.place, RunOptions::default(), flags, Vec::new())?;
    context.start_log(&settings, Curtain::none());
    let state_dir = settings.state_dir.clone();
    let session = Session::begin(context, settings, state_dir, None)?;
    let found = Check { session: &session, args }.go();
    session.end();
    let found = found?;
    show(args.format, &found.list);
    Ok(found.exit())
}

/// What was found, and what of it a script should know.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    exits: Vec<Exit>,
    /// The tenant that is being looked at.
    tenant: Option<String>,
}

impl Findings {
    /// Findings about one tenant.
    pub(super) fn of(row: &TenantRow) -> Self {
        let id = row.id.to_string();
        let tenant = if row.label == id { id } else { format!("{} ({id})", row.label) };
        Self { tenant: Some(tenant), ..Self::default() }
    }

    fn add(&mut self, check: &str, result: Mark, detail: impl Into<String>, hint: Option<String>) {
        let (tenant, check) = (self.tenant.clone(), check.to_owned());
        self.list.push(Finding { tenant, check, result, detail: detail.into(), hint });
    }

    pub(super) fn ok(&mut self, check: &str, detail: impl Into<String>) {
        self.add(check, Mark::Ok, detail, None);
    }

    pub(super) fn warning(&mut self, check: &str, detail: impl Into<String>, hint: impl Into<String>) {
        self.add(check, Mark::Warning, detail, Some(hint.into()));
    }

    pub(super) fn failed(&mut self, exit: Exit, check: &str, detail: impl Into<String>, hint: impl Into<String>) {
        self.exits.push(exit);
        self.add(check, Mark::Failed, detail, Some(hint.into()));
    }

    fn extend(&mut self, more: Self) {
        self.list.extend(more.list);
        self.exits.extend(more.exits);
    }

    /// In the order in which a run would stumble over it.
    fn exit(&self) -> Exit {
        let order = [Exit::Record, Exit::Invalid, Exit::Refused, Exit::SignIn];
        order.into_iter().find(|exit| self.exits.contains(exit)).unwrap_or(Exit::Ok)
    }
}

struct Check<'c, 'a> {
    session: &'c Session<'a>,
    args: &'c CheckArgs,
}

impl Check<'_, '_> {
    fn go(&self) -> Result<Findings, Quit> {
        let names = self.names()?;
        let mut found = Findings::default();
        self.places(&mut found);
        let (book, numbers) = self.book(&names, &mut found)?;
        let (mut accesses, mut rows, mut wrong) = (Vec::new(), Vec::new(), Findings::default());
        for number in numbers {
            let row = book.rows()[number as usize].clone();
            match book.access(number, &self.session.context.env) {
                Ok(access) => {
                    accesses.push(access);
                    rows.push(row);
                }
                Err(problems) => {
                    let mut missing = Findings::of(&row);
                    for problem in problems {
                        missing.failed(Exit::Invalid, "sign-in", problem.message, format!("see {}", problem.origin));
                    }
                    wrong.extend(missing);
                }
            }
        }
        let (root, authority) = (self.session.settings.root.clone(), self.session.settings.authority.clone());
        let service = preflight::service(&self.session.settings, root, authority, accesses)?;
        self.wait(self.network(&service, &mut found))?;
        found.extend(wrong);
        found.extend(self.wait(self.tenants(service, rows)).flatten()?);
        Ok(found)
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Quit> {
        self.session.interrupts.wait(&self.session.runtime, future)
    }

    /// The tenants to look at: the one that is named, else all tables, else that of `[auth]` and the environment.
    fn names(&self) -> Result<Vec<Option<String>>, Quit> {
        let settings = &self.session.settings;
        if let Some(tenant) = &self.args.tenant {
            return Ok(vec![Some(tenant.clone())]);
        }
        match (settings.tenants.len(), &settings.other.tenant) {
            (0, None) => Err(Quit::new(Exit::Invalid, "no tenant is configured: there is nothing to sign in to")
                .hint("set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET")
                .hint("or add a table [tenants.NAME] with tenant_id to config.toml, and what it signs in with")),
            (0, Some(_)) => Ok(vec![None]),
            _ => Ok(settings.tenants.iter().map(|table| table.name.clone()).collect()),
        }
    }

    /// Configuration, ledger, reports, disk.
    fn places(&self, found: &mut Findings) {
        let (context, settings) = (self.session.context, &self.session.settings);
        let config = context.config_path(&self.args.place);
        found.ok(
            "configuration",
            config.map_or_else(|| "no file; defaults, environment, flags".to_owned(), |path| path.display().to_string()),
        );
        let (state, reports) = (&self.session.state_dir, &settings.report_dir);
        let ledger =
            Ledger::open(state).map(|ledger| ledger.path().display().to_string()).map_err(|error| format!("failed to {error}"));
        match ledger.and_then(|path| TenantLock::prove(state).map(|()| path).map_err(|error| error.to_string())) {
            Ok(path) => found.ok("ledger", format!("{path} ({})", settings.origins.state_dir)),
            Err(error) => found.failed(
                Exit::Record,
                "ledger",
                error,
                "make it writable, or name another place: BULK_REVOKE_STATE_DIR or [state] dir",
            ),
        }
        match prepare(reports) {
            Ok(()) => found.ok("reports", reports.display().to_string()),
            Err(error) => found.failed(
                Exit::Record,
                "reports",
                format!("failed to {error}"),
                "make it writable, or name another place: [report] dir or --out",
            ),
        }
        let free = [state, reports].into_iter().filter_map(|folder| Some((space::free(folder)?, folder))).min();
        match free {
            None => found.ok("free space", "not known here"),
            Some((free, folder)) => {
                let detail = format!("{} where {} is", space::mib(free), folder.display());
                let hint = "make room: a run that cannot record what it does stops";
                if free < space::LEAST {
                    found.failed(Exit::Record, "free space", detail, hint);
                } else if space::scarce(folder, 0).is_some() {
                    found.warning("free space", detail, hint);
                } else {
                    found.ok("free space", detail);
                }
            }
        }
    }

    /// Whether both places answer, and what time it is there.
    async fn network(&self, service: &Service, found: &mut Findings) {
        let (root, authority) = (service.root.to_string(), service.authority.to_string());
        let clock = self.session.context.clock;
        let (entra, graph) = tokio::join!(
            async { probe(&service.entra, &authority).await.map(|date| date.map(|date| ahead(date, clock))) },
            async { probe(&service.client, &root).await.map(|date| date.map(|date| ahead(date, clock))) }
        );
        let settings = &self.session.settings;
        found.ok("cloud", settings.cloud().map_or("none by name: its places are set one by one", Cloud::name));
        if let (Some(file), Some(origin)) = (&settings.ca_file, &settings.origins.ca_file) {
            found.ok("ca_file", format!("{} ({origin})", file.display()));
        }
        let mut tell = |check: &str, (place, origin): (&str, &str), error: Option<&Unreachable>| match error {
            None => found.ok(check, format!("{place} ({origin})")),
            Some(error) => found.failed(Exit::SignIn, check, format!("failed to {error}"), error.hint()),
        };
        tell("authority", (&authority, &settings.origins.authority), entra.as_ref().err());
        tell("graph", (&root, &settings.origins.root), graph.as_ref().err());
        let ahead = [entra, graph].into_iter().filter_map(|answer| answer.ok().flatten()).max_by_key(|ahead| ahead.abs());
        match ahead.map(skew_text) {
            None => found.ok("clock", "not known: no answer names a time"),
            Some(None) => found.ok("clock", "agrees with the service's"),
            Some(Some(said)) => {
                found.warning("clock", said, "sign-ins fail where clocks differ: let this machine's time be kept by NTP");
            }
        }
    }

    /// Which tenants the names mean. A name that means none is a finding.
    fn book(&self, names: &[Option<String>], found: &mut Findings) -> Result<(Book, Vec<TenantNo>), Quit> {
        let settings = &self.session.settings;
        let mut book = Book::new(Mode::Real, settings);
        loop {
            let numbers: Vec<_> = names.iter().map(|name| book.find(name.as_deref())).collect();
            if !book.has_unresolved() {
                let mut known = Vec::new();
                for (name, number) in names.iter().zip(numbers) {
                    let name = name.as_ref().or(settings.other.tenant.as_ref()).cloned().unwrap_or_default();
                    match number {
                        Ok(number) => known.push(number),
                        Err(message) => {
                            found.failed(Exit::Invalid, "tenant", format!("{name}: {message}"), "check tenant_id and the cloud");
                        }
                    }
                }
                return Ok((book, known));
            }
            resolve(self.session, &mut book)?;
        }
    }

    /// Examines several tenants at once, and tells of them in their order.
    async fn tenants(&self, service: Service, rows: Vec<TenantRow>) -> Result<Findings, Quit> {
        let (clock, mut kinds) = (self.session.context.clock, self.args.kinds.clone());
        if kinds.is_empty() {
            kinds.extend(Kind::ALL);
        }
        let mut waiting = rows.into_iter().enumerate();
        let (mut tasks, mut examined) = (JoinSet::new(), Vec::new());
        loop {
            for (at, row) in waiting.by_ref().take(AT_ONCE - tasks.len()) {
                let patient = Patient { service: service.clone(), row, kinds: kinds.clone(), clock };
                tasks.spawn(async move { (at, patient.examine().await) });
            }
            match tasks.join_next().await {
                Some(Ok(done)) => examined.push(done),
                Some(Err(error)) => return Err(Quit::new(Exit::Internal, format!("failed to examine a tenant: {error}"))),
                None => break,
            }
        }
        examined.sort_by_key(|(at, _)| *at);
        let mut all = Findings::default();
        for (_, found) in examined {
            all.extend(found);
        }
        Ok(all)
    }
}

fn show(format: Format, findings: &[Finding]) {
    match format {
        Format::Table => streams::data(findings_text(findings).trim_end()),
        Format::Csv => {
            streams::data("tenant,check,result,detail,hint");
            for Finding { tenant, check, result, detail, hint } in findings.iter().cloned() {
                let (tenant, result) = (tenant.unwrap_or_default(), result.name().to_owned());
                let cells = [tenant, check, result, detail, hint.unwrap_or_default()];
                streams::data(&csv_line(&cells.map(|cell| guard(&cell).into_owned())));
            }
        }
        Format::Json => findings.iter().for_each(|one| streams::data(&serde_json::to_string(one).unwrap_or_default())),
    }
}
