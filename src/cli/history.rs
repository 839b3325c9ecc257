//! Questions to the ledger: what ever happened to an object, and whether what is written is still as it was written.

use super::args::Format;
use super::context::Context;
use super::exit::{Exit, Quit};
use super::past_args::{AuditArgs, HistoryArgs};
use super::pastime::{csv_line, open};
use super::streams;
use crate::ledger::{Audited, Flaw, Past, RunNo};
use crate::model::{AfterLook, Event, Look, Reply, Ruling, RunHeader, Then, What};
use crate::report::plain;

const COLUMNS: [&str; 11] =
    ["run", "job", "started_at", "tenant", "kind", "id", "name", "status", "reason", "requests", "sent_at"];

/// `history ID`: every row of every run that names the object, the oldest first.
pub(super) fn history(context: &Context, args: &HistoryArgs) -> Result<Exit, Quit> {
    let pasts = open(context, &args.ledger)?.0.history(args.id)?;
    match args.format {
        Format::Json => pasts.iter().for_each(|past| streams::data(&json(past))),
        Format::Csv => {
            streams::data(&COLUMNS.join(","));
            for past in &pasts {
                streams::data(&csv_line(&cells(past)));
            }
        }
        Format::Table if pasts.is_empty() => streams::note(&format!("no run has met {}", args.id)),
        Format::Table => pasts.iter().for_each(table),
    }
    Ok(Exit::Ok)
}

fn cells(past: &Past) -> [String; COLUMNS.len()] {
    let Past { header, tenant, row, .. } = past;
    let (status, reason) = header.verdict(row);
    let progress = &row.progress;
    [
        header.run.clone(),
        header.job.clone(),
        header.started_at.to_string(),
        tenant.as_ref().map(|tenant| tenant.label.clone()).unwrap_or_default(),
        row.kind.map(|kind| kind.name().to_owned()).unwrap_or_default(),
        row.id.map(|id| id.to_string()).unwrap_or_default(),
        progress.name.clone().unwrap_or_default(),
        status.name().to_owned(),
        reason.to_owned(),
        (progress.requests() + progress.throttled).to_string(),
        progress.first_sent_at().map(|at| at.to_string()).unwrap_or_default(),
    ]
}

fn json(past: &Past) -> String {
    let cells = COLUMNS.iter().zip(cells(past)).map(|(name, cell)| ((*name).to_owned(), cell.into()));
    let mut object: serde_json::Map<String, serde_json::Value> = cells.collect();
    object.insert("requests".to_owned(), (past.row.progress.requests() + past.row.progress.throttled).into());
    object.insert("events".to_owned(), serde_json::to_value(&past.events).unwrap_or_default());
    serde_json::Value::from(object).to_string()
}

fn table(past: &Past) {
    let Past { header, tenant, row, events } = past;
    let (status, reason) = header.verdict(row);
    let tenant = tenant.as_ref().map_or("", |tenant| tenant.label.as_str());
    let kind = row.kind.map_or("", |kind| kind.name());
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    streams::data(&plain(&format!("{}  {}  {tenant}  {kind}  {status}{reason}", header.run, header.job)));
    for event in events {
        streams::data(&plain(&format!("  {}  {}", event.at, told(event))));
    }
}

/// What happened, in a few words.
fn told(event: &Event) -> String {
    match &event.what {
        What::Intent { client_request_id } => format!("a request is about to leave, client-request-id {client_request_id}"),
        What::Released => "it was held back and never left".to_owned(),
        What::Reply(reply) => told_reply(reply),
        What::Looked(look) => told_look(look),
        What::Settled { status, reason } => format!("{status}: {reason}"),
        What::Ruled(Ruling::Granted) => "approved: to be sent with its code".to_owned(),
        What::Ruled(Ruling::Look { .. }) => "its approval request is over; to be read back".to_owned(),
        What::TenantStopped(stop) => stop.message.clone(),
        What::Bound { app, .. } => format!("signed in as the app {app}"),
        What::Resumed { operator, .. } => format!("taken up again by {operator}"),
        What::Ended { .. } => "the run ended".to_owned(),
    }
}

fn told_reply(reply: &Reply) -> String {
    let said = reply.http_status.map_or_else(|| "no answer".to_owned(), |status| format!("answered {status}"));
    let words = [reply.error_code.as_deref(), reply.message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let follows = match &reply.then {
        Then::Settled { status, .. } => status.name(),
        Then::Again => "no effect, to be sent again",
        Then::SignIn => "no effect, to be sent again with a fresh token",
        Then::Throttled => "no effect, to be sent later",
        Then::Justify => "no effect, to be sent again with a justification",
        Then::Confirm => "to be read back",
        Then::Look { .. } => "in doubt, to be read back",
    };
    if words.is_empty() { format!("{said}; {follows}") } else { format!("{said} ({words}); {follows}") }
}

fn told_look(look: &Look) -> String {
    let seen = match &look.reading {
        None => "unknown to the service".to_owned(),
        Some(reading) => serde_json::to_string(&reading.seen).unwrap_or_default(),
    };
    let follows = match &look.then {
        AfterLook::Planned => "the pin of the sealed plan".to_owned(),
        AfterLook::Pin => "the pin that later readings are judged against".to_owned(),
        AfterLook::Again => "tells nothing yet".to_owned(),
        AfterLook::Untouched => "shown to be as it was".to_owned(),
        AfterLook::Follow => "a revoke action is at work".to_owned(),
        AfterLook::Settled(outcome) => outcome.status.name().to_owned(),
    };
    format!("read: {follows}; {seen}")
}

/// `audit verify [RUN] [--head H]`: every hash computed again. A ledger that does not fit cannot be relied on (13).
pub(super) fn audit(context: &Context, args: &AuditArgs) -> Result<Exit, Quit> {
    let (ledger, _) = open(context, &args.ledger)?;
    let runs: Vec<(RunNo, RunHeader)> = if args.run.is_some() {
        vec![ledger.find(args.run.as_deref())?]
    } else {
        let ids: Vec<String> = ledger.runs()?.into_iter().rev().map(|header| header.run).collect();
        ids.iter().map(|id| ledger.find(Some(id))).collect::<Result<_, _>>()?
    };
    if runs.is_empty() {
        streams::note("no runs yet");
    }
    let (mut flaws, mut is_met) = (0_u64, false);
    for (no, header) in &runs {
        let found = ledger.audit(*no, args.head.as_deref())?;
        is_met |= found.since.is_some();
        // The head may be that of another run.
        let flaw = found.flaw.as_ref().filter(|flaw| !matches!(flaw, Flaw::Expected(_)));
        flaws += u64::from(flaw.is_some());
        streams::data(&plain(&told_audit(header, &found, flaw)));
    }
    let refuse = |line: String| Err(Quit::new(Exit::Record, line));
    let place = ledger.path().display();
    match &args.head {
        _ if flaws > 0 => refuse(format!("{flaws} of {} runs in {place} are not as they were written", runs.len())),
        Some(head) if !is_met => refuse(format!(
            "the head {head} is nowhere in what was looked at in {place}: it was cut off, or is of another ledger"
        )),
        Some(_) | None => Ok(Exit::Ok),
    }
}

fn told_audit(header: &RunHeader, found: &Audited, flaw: Option<&Flaw>) -> String {
    let Audited { rows, head, since, .. } = found;
    let since = since.map(|since| format!(", {since} of them after the head that was given")).unwrap_or_default();
    match flaw {
        None => format!("{}: {rows} events fit{since}; head {head}", header.run),
        Some(flaw) => format!("{}: {flaw}; {rows} events before it fit", header.run),
    }
}
