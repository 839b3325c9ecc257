//! Opens what the user named: jobs and lists, in their order; and feeds every row through the plan.

use std::fs::File;
use std::io::{self, Cursor, Read as _, Seek};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use std::{iter, thread};

use super::args::ListArgs;
use super::exit::{Exit, Quit};
use super::sealed::Sealed;
use super::tenants::Book;
use crate::config::{Job, RunOptions};
use crate::input::{Format, List, Options};
use crate::model::{Disposition, Entry, Kind, LEFT_OUT, PlannedRow, Problem, Source, SourceRow, Stamp, Status, VppOptions};
use crate::plan::{Defaults, Flaw, Planner};

/// Rows that are read at once while others are planned, and how many such batches may wait.
const BATCH: usize = 256;
const AHEAD: usize = 4;

/// A name that stands for standard input.
const STDIN: &str = "-";

/// What the user named, with jobs read and lists not yet opened.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    parts: Vec<Part>,
    name: Option<String>,
    /// The jobs' wishes for the run.
    pub(super) run: RunOptions,
    /// The jobs' change number.
    pub(super) ticket: Option<String>,
    /// What is wrong with the jobs.
    pub(super) problems: Vec<Problem>,
    /// A sealed plan, instead of all these.
    pub(super) sealed: Option<Sealed>,
}

/// One list, or the items of a job.
#[derive(Debug)]
struct Part {
    name: String,
    /// When it was last changed; none: it is no file, or holds no items.
    changed: Option<Stamp>,
    defaults: Defaults,
    content: Content,
}

#[derive(Debug)]
enum Content {
    List { path: PathBuf, format: Format, held: Option<Vec<u8>> },
    Items(Box<Job>),
}

/// How many rows became what.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) to_send: u64,
    /// Protected or repeated.
    left_out: u64,
    pub(super) protected: u64,
    pub(super) invalid: u64,
}

impl Inputs {
    /// Reads the jobs and notes the lists. Lists of a job lie relative to it.
    pub(super) fn read(args: &ListArgs) -> Result<Self, Quit> {
        let mut inputs = Self::default();
        for named in &args.jobs {
            let path = Path::new(named);
            let stem = if named == STDIN { "stdin".to_owned() } else { stem(path) };
            inputs.name.get_or_insert(stem);
            if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
                inputs.job(path, args)?;
            } else {
                let defaults = Defaults { kind: args.kind.clone(), tenant: args.tenant.clone(), vpp: VppOptions::default() };
                inputs.list(named.clone(), path.to_owned(), defaults)?;
            }
        }
        Ok(inputs)
    }

    /// A sealed plan in the place of lists.
    pub(super) fn sealed(plan: Sealed) -> Self {
        Self { name: Some(plan.head.job.clone()), sealed: Some(plan), ..Self::default() }
    }

    /// The job's name unless the user gives one.
    pub(super) fn name(&self) -> String {
        self.name.clone().unwrap_or_default()
    }

    fn job(&mut self, path: &Path, args: &ListArgs) -> Result<(), Quit> {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(unreadable(&name, &error));
                return Ok(());
            }
        };
        let job = Job::parse(&name, &text, &mut self.problems);
        let defaults = Defaults {
            kind: args.kind.clone().or_else(|| job.kind.clone()),
            tenant: args.tenant.clone().or_else(|| job.tenant.clone()),
            vpp: job.vpp,
        };
        if job.name.is_some() {
            self.name.clone_from(&job.name);
        }
        self.run = self.run.under_job(job.run);
        self.ticket = job.ticket.clone().or_else(|| self.ticket.take());
        for list in &job.lists {
            if list == STDIN {
                self.problems.push(Problem::of(&name, "lists: a job cannot read standard input"));
                continue;
            }
            let place = path.parent().unwrap_or(Path::new("")).join(list);
            self.list(place.display().to_string(), place, defaults.clone())?;
        }
        // A job that only names lists is as old as they are.
        let changed = job.has_items().then(|| changed(path)).flatten();
        self.parts.push(Part { name, changed, defaults, content: Content::Items(Box::new(job)) });
        Ok(())
    }

    fn list(&mut self, name: String, path: PathBuf, defaults: Defaults) -> Result<(), Quit> {
        let Some(format) = Format::of(&name) else {
            let line = format!("{name}: a list is a .csv, .tsv or .txt file, a job a .toml file, and - is CSV on standard input");
            return Err(Quit::new(Exit::Usage, line));
        };
        // A list is read twice, so what cannot be rewound is read into memory, and that before the ledger is held.
        let held = match hold(&name, &path) {
            Ok(held) => held,
            Err(error) => {
                self.problems.push(unreadable(&name, &error));
                return Ok(());
            }
        };
        // What is written while we read it, as standard input and pipes are, has no age.
        let changed = if held.is_none() { changed(&path) } else { None };
        self.parts.push(Part { name, changed, defaults, content: Content::List { path, format, held } });
        Ok(())
    }

    /// How old the lists are that have an age. One that was changed after now, by its clock, is new.
    pub(super) fn ages(&self, now: Stamp) -> Vec<(String, Duration)> {
        let age = |part: &Part| Some((part.name.clone(), Duration::from_millis(now.millis_since(part.changed?))));
        self.parts.iter().filter_map(age).collect()
    }

    /// Feeds every row through the plan, in input order, and the good ones to `each`.
    pub(super) fn plan(
        &self,
        args: &ListArgs,
        planner: &mut Planner,
        book: &mut Book,
        each: &mut dyn FnMut(&PlannedRow) -> Result<(), Quit>,
    ) -> Result<Read, Quit> {
        let mut feed = Feed { planner, book, each, read: Read::default(), said: None };
        if let Some(plan) = &self.sealed {
            feed.sealed(plan)?;
        }
        for part in &self.parts {
            match &part.content {
                Content::List { path, format, held } => {
                    let options = Options { format: *format, id_column: args.id_column.clone() };
                    match held {
                        Some(bytes) => feed.list(part, Cursor::new(bytes), &options)?,
                        None => match File::open(path) {
                            Ok(file) => feed.list(part, file, &options)?,
                            Err(error) => feed.read.problems.push(unreadable(&part.name, &error)),
                        },
                    }
                }
                Content::Items(job) => {
                    feed.read.warnings.extend(job.warnings(&part.name));
                    if let Some((source, entries)) = job.entries(feed.number(), &part.name) {
                        feed.open(&source, &part.defaults);
                        for entry in entries {
                            feed.entry(entry, &part.defaults)?;
                        }
                    }
                }
            }
        }
        let mut read = feed.read;
        read.counts.protected = planner.protected();
        read.problems.extend(planner.problems());
        let sources = &read.sources;
        read.problems.sort_by_key(|problem| (sources.iter().position(|source| source.name == problem.origin), problem.line));
        Ok(read)
    }
}

/// What came out of the lists.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) sources: Vec<SourceRow>,
    pub(super) counts: Counts,
    /// Why the run cannot be.
    pub(super) problems: Vec<Problem>,
    /// What the user should know.
    pub(super) warnings: Vec<Problem>,
}

struct Feed<'f> {
    planner: &'f mut Planner,
    book: &'f mut Book,
    each: &'f mut dyn FnMut(&PlannedRow) -> Result<(), Quit>,
    read: Read,
    /// Where the list that is open carries the options of VPP tokens, if they must be carried.
    said: Option<[usize; 2]>,
}

/// The columns of the options of VPP tokens.
const VPP_COLUMNS: [&str; 2] = ["notifyManagedDevices", "revokeUntrackedLicenses"];

/// The place of a column, which is added if it is not there.
fn column(columns: &mut Vec<String>, name: &str) -> usize {
    let folded = Kind::fold(name);
    columns.iter().position(|column| Kind::fold(column) == folded).unwrap_or_else(|| {
        columns.push(name.to_owned());
        columns.len() - 1
    })
}

impl Feed<'_> {
    fn number(&self) -> u32 {
        u32::try_from(self.read.sources.len()).unwrap_or(u32::MAX)
    }

    fn open(&mut self, source: &Source, defaults: &Defaults) {
        self.planner.source(source.clone());
        let mut columns = source.columns.clone();
        // A report is fed back without its job: what the job says of VPP tokens must be in it, or it would be lost.
        self.said = (defaults.vpp != VppOptions::default()).then(|| VPP_COLUMNS.map(|name| column(&mut columns, name)));
        self.read.sources.push(SourceRow { name: source.name.clone(), columns });
    }

    /// Writes the options that a VPP token goes with into its row, where the row does not say them itself.
    fn say_options(&self, row: &mut PlannedRow, defaults: VppOptions) {
        let (Some(places), Some(source)) = (self.said, self.read.sources.last()) else { return };
        row.cells.resize(source.columns.len(), String::new());
        // A row that could not be used may turn out to be a VPP token once it is mended.
        let options = match row.kind {
            Some(Kind::VppToken) => Some(row.options),
            None => Some(defaults),
            Some(Kind::AndroidForWork | Kind::AndroidDeviceOwner) => None,
        };
        if let Some(options) = options {
            let values = [options.notify_managed_devices, options.revoke_untracked_licenses];
            for (place, value) in places.into_iter().zip(values) {
                if row.cells[place].trim().is_empty() {
                    row.cells[place] = value.to_string();
                }
            }
        }
    }

    /// The items of a sealed plan, as rows of the lists that it was made of.
    fn sealed(&mut self, plan: &Sealed) -> Result<(), Quit> {
        for SourceRow { name, columns } in &plan.head.sources {
            let source = Source { name: name.clone(), columns: columns.clone(), implied: None };
            self.open(&source, &Defaults::default());
        }
        plan.each(|item| self.entry(item.into(), &Defaults::default()))?;
        let repeated = self.read.counts.left_out > self.planner.protected();
        if repeated { Err(Flaw::Repeated.into()) } else { Ok(()) }
    }

    fn list(&mut self, part: &Part, reader: impl io::Read + Seek + Send, options: &Options) -> Result<(), Quit> {
        let mut list = match List::open(self.number(), &part.name, reader, options) {
            Ok(list) => list,
            Err(problems) => {
                // Later lists keep their numbers.
                let unread = Source { name: part.name.clone(), columns: Vec::new(), implied: None };
                self.open(&unread, &Defaults::default());
                self.read.problems.extend(problems);
                return Ok(());
            }
        };
        self.read.warnings.extend_from_slice(list.warnings());
        self.open(list.source(), &part.defaults);
        thread::scope(|scope| {
            let (list, (batches, inbox)) = (&mut list, mpsc::sync_channel(AHEAD));
            // It ends with the list, or with nobody to read it for.
            scope.spawn(move || {
                let next = || Some(list.by_ref().take(BATCH).collect::<Vec<_>>()).filter(|batch| !batch.is_empty());
                let _ = iter::from_fn(next).try_for_each(|batch| batches.send(batch));
            });
            inbox.iter().flatten().try_for_each(|entry| match entry {
                Ok(entry) => self.entry(entry, &part.defaults),
                Err(problem) => {
                    self.read.problems.push(problem);
                    Ok(())
                }
            })
        })?;
        if let Some(source) = self.read.sources.last_mut() {
            for blank in list.blank_columns() {
                LEFT_OUT.clone_into(&mut source.columns[blank]);
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry, defaults: &Defaults) -> Result<(), Quit> {
        let Some(mut row) = self.planner.judge(entry, defaults, self.book) else { return Ok(()) };
        self.say_options(&mut row, defaults.vpp);
        let counts = &mut self.read.counts;
        counts.rows += 1;
        match &row.disposition {
            Disposition::Send => counts.to_send += 1,
            Disposition::Settled { status: Status::Invalid, .. } => counts.invalid += 1,
            Disposition::Settled { .. } => counts.left_out += 1,
        }
        (self.each)(&row)
    }
}

impl Counts {
    /// Rows that only repeat another.
    pub(super) const fn repeated(&self) -> u64 {
        self.left_out - self.protected
    }
}

/// The bytes of what cannot be rewound: standard input, pipes.
fn hold(name: &str, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    if name == STDIN {
        io::stdin().lock().read_to_end(&mut bytes)?;
    } else if !path.metadata()?.is_file() {
        File::open(path)?.read_to_end(&mut bytes)?;
    } else {
        return Ok(None);
    }
    Ok(Some(bytes))
}

/// When a file was last changed, where the system says it.
fn changed(path: &Path) -> Option<Stamp> {
    jiff::Timestamp::try_from(path.metadata().ok()?.modified().ok()?).ok().map(Stamp::from)
}

fn unreadable(name: &str, error: &io::Error) -> Problem {
    Problem::of(name, format!("cannot be read: {error}"))
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}
