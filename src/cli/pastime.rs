//! Commands about the past: write a run's report again, show the runs.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use super::args::Format;
use super::context::{Context, simulated};
use super::exit::{Exit, Quit};
use super::past_args::{ReportArgs, RunsArgs, Which};
use super::streams;
use crate::config::{Flags, RunOptions, Settings};
use crate::ledger::{Ledger, LedgerError, RunNo};
use crate::model::{Row, RunHeader, RunState};
use crate::report::{ReportError, ReportWriter, Style, Tally, headline, plain, prepare, summary_text};

/// `report [RUN]`: the same files as at the run's end, from the ledger.
pub(super) fn report(context: &Context, args: &ReportArgs) -> Result<Exit, Quit> {
    let (ledger, settings) = open(context, &args.ledger)?;
    let (no, header) = ledger.find(args.run.as_deref())?;
    let out = args.out.clone().unwrap_or_else(|| settings.report_dir.join(&header.run));
    write(context, &settings, &ledger, no, &out)
}

/// Writes the report files of a run and shows its summary; returns the run's exit code.
pub(super) fn write(context: &Context, settings: &Settings, ledger: &Ledger, no: RunNo, out: &Path) -> Result<Exit, Quit> {
    prepare(out)?;
    let header = ledger.run(no)?;
    let style = Style { excel: settings.excel, delimiter: settings.delimiter };
    let writer = pump(ledger, no, ReportWriter::create(out, &header, style)?)?;
    let tally = writer.finish(|tally| exit(&header, tally).code())?;
    let exit = exit(&header, &tally);
    ledger.set_exit_code(no, exit.code())?;
    if !context.output.quiet {
        streams::note(&format!("\n{}", summary_text(&header, &tally, out).trim_end()));
        streams::data(&out.join("report.csv").display().to_string());
    } else if exit != Exit::Ok {
        // Whoever wants only errors wants this one: cron would say nothing otherwise.
        streams::error(&[
            headline(&header, &tally),
            format!("exit code {}; see {}", exit.code(), out.join("failed.csv").display()),
        ]);
    }
    tracing::info!(
        run = header.run,
        exit = exit.code(),
        ledger_head = header.head,
        ledger_rows = header.events,
        "the run is recorded"
    );
    Ok(exit)
}

/// A run that only looked is fine as long as it could look: tenants that it could not sign in to count.
fn exit(header: &RunHeader, tally: &Tally) -> Exit {
    match header.state {
        RunState::Dry => Exit::of_run(None, &header.tenant_stops, |_| 0),
        // It ended before anything could be sent, and was recorded with its code.
        RunState::Refused => header.exit_code.and_then(Exit::of_code).unwrap_or(Exit::Refused),
        RunState::Planned | RunState::Running | RunState::Ended => {
            Exit::of_run(header.stopped_by, &header.tenant_stops, |class| tally.counts().of_class(class))
        }
    }
}

/// Rows that are handed from one thread to the other at once, and how many such batches may wait: enough that neither
/// waits for the other's every row, and few beside everything else in memory.
const BATCH: usize = 256;
const AHEAD: usize = 4;

/// Writes every row of a run. One thread reads them while another writes them: each takes about half of the time.
fn pump<'h>(ledger: &Ledger, no: RunNo, mut writer: ReportWriter<'h>) -> Result<ReportWriter<'h>, Quit> {
    thread::scope(|scope| {
        let (batches, inbox) = mpsc::sync_channel::<Vec<Row>>(AHEAD);
        let writing = scope.spawn(move || {
            inbox.iter().flatten().try_for_each(|row| writer.row(&row))?;
            Ok::<_, ReportError>(writer)
        });
        let mut batch = Vec::with_capacity(BATCH);
        let read = ledger.rows(no, |row| {
            batch.push(row);
            if batch.len() < BATCH { Ok(()) } else { send(&batches, std::mem::replace(&mut batch, Vec::with_capacity(BATCH))) }
        });
        let read = read.and_then(|()| send(&batches, batch));
        drop(batches);
        let writer =
            writing.join().map_err(|_| Quit::new(Exit::Internal, "failed to write the report: its thread ended by a bug"))?;
        // Where the writer fails, the reader only notices that it is gone.
        let writer = writer?;
        read.map(|()| writer).map_err(Quit::from)
    })
}

fn send(batches: &mpsc::SyncSender<Vec<Row>>, batch: Vec<Row>) -> Result<(), LedgerError> {
    batches.send(batch).map_err(|_| LedgerError::Damaged("nobody takes its rows any more".to_owned()))
}

/// `runs`: the newest first.
pub(super) fn runs(context: &Context, args: &RunsArgs) -> Result<Exit, Quit> {
    let runs = open(context, &args.ledger)?.0.runs()?;
    match args.format {
        Format::Json => {
            for run in &runs {
                streams::data(&json(run));
            }
        }
        Format::Csv => {
            streams::data("run,job,state,started_at,ended_at,exit_code,tenants,operator,ticket");
            for run in &runs {
                streams::data(&csv_line(&cells(run)));
            }
        }
        Format::Table => table(&runs),
    }
    Ok(Exit::Ok)
}

fn cells(run: &RunHeader) -> [String; 9] {
    let tenants: Vec<&str> = run.tenants.iter().map(|tenant| tenant.label.as_str()).collect();
    [
        run.run.clone(),
        run.job.clone(),
        state(run).to_owned(),
        run.started_at.to_string(),
        run.ended_at.map(|at| at.to_string()).unwrap_or_default(),
        run.exit_code.map(|code| code.to_string()).unwrap_or_default(),
        tenants.join(" "),
        run.operator.clone(),
        run.ticket.clone().unwrap_or_default(),
    ]
}

const fn state(run: &RunHeader) -> &'static str {
    match run.state {
        RunState::Planned => "planned",
        RunState::Dry => "dry",
        RunState::Refused => "refused",
        RunState::Running => "unfinished",
        RunState::Ended => "ended",
    }
}

fn json(run: &RunHeader) -> String {
    serde_json::to_string(run).unwrap_or_default()
}

pub(super) fn csv_line(cells: &[String]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(cells).ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
    String::from_utf8_lossy(&written).trim_end().to_owned()
}

fn table(runs: &[RunHeader]) {
    if runs.is_empty() {
        return streams::note("no runs yet");
    }
    streams::data(&format!("{:<22}  {:<10}  {:>4}  {:<20}  JOB", "RUN", "STATE", "EXIT", "STARTED"));
    for run in runs {
        let exit = run.exit_code.map(|code| code.to_string()).unwrap_or_default();
        let started = run.started_at.to_string();
        let line = format!("{:<22}  {:<10}  {exit:>4}  {:<20}  {}", run.run, state(run), &started[..19], plain(&run.job));
        streams::data(&line);
    }
}

/// The ledger of real or of simulated runs, and the settings that say where it is.
pub(super) fn open(context: &Context, which: &Which) -> Result<(Ledger, Settings), Quit> {
    let settings = context.settings(&which.place, RunOptions::default(), Flags::default(), Vec::new())?;
    let directory: PathBuf = if which.simulated { simulated(&settings.state_dir) } else { settings.state_dir.clone() };
    Ok((Ledger::open(&directory)?, settings))
}
