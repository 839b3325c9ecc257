//! The summary that ends a run on a terminal: what became of the items, why, where it is written, what to type next.

use std::path::Path;
use std::time::Duration;

use crate::model::{Class, Doing, RunHeader, RunState, Spent, Status, StoppedBy};

use super::plain::{cut, grouped, plain, span, typed, wrapped};
use super::tally::{Cause, Tally};
use super::tenants::tenants;

/// Causes that are told at most; the report has them all.
const CAUSES_SHOWN: usize = 12;
/// Characters of a message: a line of 80 with its indentation.
const MESSAGE_CHARS: usize = 68;
/// Characters of a line after its label.
const TIME_CHARS: usize = 70;
/// Lines of a message: enough for a sign-in that was refused, with what to do.
const MESSAGE_LINES: usize = 7;
/// Characters of a name before the layout would break.
const NAME_CHARS: usize = 40;

/// The summary of a run whose report lies in `dir`, for a terminal of 80 columns. Ends with a line feed.
pub fn summary_text(header: &RunHeader, tally: &Tally, dir: &Path) -> String {
    let name = format!("{}, run {}", cut(&header.job, NAME_CHARS), plain(&header.run));
    let mut lines = vec![name, headline(header, tally), String::new()];
    let counts = tally.counts().iter().filter(|(_, count)| *count > 0);
    let meaning = |status| match (header.state, status) {
        (RunState::Dry, Status::NotAttempted) => "would be sent",
        _ => meaning(status),
    };
    lines.extend(counts.map(|(status, count)| format!("{:>9}  {status:<17}  {}", grouped(count), meaning(status))));
    lines.extend(tenants(header, tally));
    causes(header, tally, &mut lines);
    stops(header, tally, &mut lines);
    lines.push(String::new());
    if tally.requests() > 0 {
        let (throttled, retries) = (grouped(tally.throttled()), grouped(tally.retries()));
        lines.push(format!("requests  {}, of them {throttled} throttled and {retries} repeated", grouped(tally.requests())));
    }
    if let Some(time) = time(&header.spent) {
        let mut parts = wrapped(&time, TIME_CHARS, MESSAGE_LINES).into_iter();
        lines.extend(parts.next().map(|first| format!("time      {first}")));
        lines.extend(parts.map(|more| format!("{:>10}{more}", "")));
    }
    lines.push(format!("report    {}", typed(&dir.join("report.csv"))));
    lines.extend(next(header, tally, dir).into_iter().map(|(label, command)| format!("{label:<8}  {command}")));
    lines.join("\n") + "\n"
}

/// `6m 41s: 12s sending, 6m 20s waiting for quota, 9s verifying`; nothing if there is no second to speak of.
///
/// Each part ends at a whole second of the run, so that the parts add up to the whole.
fn time(spent: &Spent) -> Option<String> {
    let whole = |time: Duration| Duration::from_secs(time.as_secs());
    let mut until = Duration::ZERO;
    let parts = spent.parts().filter_map(|(doing, time)| {
        let before = whole(until);
        until += time;
        let shown = whole(until).saturating_sub(before);
        (!shown.is_zero()).then(|| format!("{} {}", span(shown), what(doing)))
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| format!("{}: {}", span(whole(spent.total())), parts.join(", ")))
}

const fn what(doing: Doing) -> &'static str {
    match doing {
        Doing::Reading => "reading first",
        Doing::Sending => "sending",
        Doing::Quota => "waiting for quota",
        Doing::Paused => "paused by the service",
        Doing::Settling => "settling",
        Doing::Verifying => "verifying",
    }
}

/// What became of the run, in one line.
pub fn headline(header: &RunHeader, tally: &Tally) -> String {
    let counts = tally.counts();
    let (total, fine) = (counts.total(), counts.of_class(Class::Success) + counts.of_class(Class::Neutral));
    let took = header.ended_at.map(|at| Duration::from_millis(at.millis_since(header.started_at)));
    let took = took.map(|took| format!(", after {}", span(took))).unwrap_or_default();
    match header.state {
        RunState::Dry => format!("dry run over {} items, nothing was sent", grouped(total)),
        RunState::Refused => "the run ended before anything could be sent".to_owned(),
        RunState::Planned | RunState::Running | RunState::Ended if fine == total => {
            format!("all {} items are done{took}", grouped(total))
        }
        RunState::Planned | RunState::Running | RunState::Ended => {
            format!("{} of {} items are not done{took}", grouped(total - fine), grouped(total))
        }
    }
}

const fn meaning(status: Status) -> &'static str {
    match status {
        Status::Revoked => "done, and shown by reading back",
        Status::Accepted => "the service said yes; not read back",
        Status::AlreadyInactive => "had expired before; nothing was sent",
        Status::Unconfirmed => "the service said yes; not shown by reading back",
        Status::Partial => "done, but some licences failed",
        Status::NotFound => "the service does not know this id",
        Status::Superseded => "re-issued since the plan; left alone",
        Status::Refused => "the service said no, for good",
        Status::Failed => "tried, and shown not to be revoked",
        Status::Unknown => "sent; may or may not have had an effect",
        Status::AwaitingApproval => "waits for a second administrator",
        Status::NotAttempted => "the run ended before its turn; it had no effect",
        Status::Skipped => "protected, a duplicate, or done recently",
        Status::Invalid => "the row could not be used",
    }
}

fn causes(header: &RunHeader, tally: &Tally, lines: &mut Vec<String>) {
    // What stopped the run or a tenant is told below, once.
    let is_told = |cause: &Cause| {
        let is_bare = cause.status == Status::NotAttempted && cause.http_status.is_none() && cause.error_code.is_none();
        let is_stop = header.tenant_stops.iter().any(|stop| cause.example.contains(&stop.message));
        is_bare && (is_stop || header.stopped_by.is_some_and(|by| cause.example.contains(by.reason())))
    };
    let mut causes = tally.causes();
    causes.retain(|cause| !is_told(cause));
    if causes.is_empty() {
        return;
    }
    lines.extend([String::new(), "why".to_owned()]);
    for cause in causes.iter().take(CAUSES_SHOWN) {
        lines.push(format!("{:>9}  {}", grouped(cause.count), title(cause)));
        if !cause.example.trim().is_empty() {
            lines.extend(indented(&cause.example));
        }
    }
    match causes.len().saturating_sub(CAUSES_SHOWN) {
        0 => {}
        1 => lines.push(format!("{:>11}and 1 more cause, in the report", "")),
        more => lines.push(format!("{:>11}and {more} more causes, in the report", "")),
    }
}

/// A message, over a few lines: what to do about it often stands at its end.
fn indented(message: &str) -> impl Iterator<Item = String> {
    wrapped(message, MESSAGE_CHARS, MESSAGE_LINES).into_iter().map(|line| format!("{:>11}{line}", ""))
}

/// `refused, HTTP 403 Authorization_RequestDenied`.
fn title(cause: &Cause) -> String {
    let http = cause.http_status.map(|status| format!(", HTTP {status}")).unwrap_or_default();
    let code = cause.error_code.as_deref().map(|code| format!(" {}", cut(code, NAME_CHARS))).unwrap_or_default();
    let comma = if http.is_empty() && !code.is_empty() { "," } else { "" };
    format!("{}{http}{comma}{code}", cause.status)
}

fn is_stopped(header: &RunHeader) -> bool {
    header.stopped_by.is_some() || !header.tenant_stops.is_empty()
}

fn stops(header: &RunHeader, tally: &Tally, lines: &mut Vec<String>) {
    if !is_stopped(header) {
        return;
    }
    lines.extend([String::new(), "stopped".to_owned()]);
    if let Some(by) = header.stopped_by {
        let why = by.reason().trim_end_matches(" before its turn");
        let failed: u64 = [Class::Failure, Class::Unknown].map(|class| tally.counts().of_class(class)).iter().sum();
        let figures = if by == StoppedBy::Breaker { format!(" ({} by now; --max-fail)", grouped(failed)) } else { String::new() };
        lines.push(format!("{:>11}the run ({}): {why}{figures}", "", by.name()));
    }
    for stop in &header.tenant_stops {
        let label = header.tenants.iter().find(|tenant| tenant.id == stop.tenant).map(|tenant| tenant.label.as_str());
        let label = label.map_or_else(|| stop.tenant.to_string(), |label| cut(label, NAME_CHARS));
        lines.push(format!("{:>11}tenant {label} ({})", "", stop.cause.name()));
        lines.extend(indented(&stop.message));
    }
}

/// What may be fed back as it is once the cause is mended: none of it has had an effect.
const FEED_BACK: [Status; 4] = [Status::Failed, Status::Refused, Status::NotFound, Status::Invalid];

/// What to do, the first thing first; nothing if all is well.
fn next(header: &RunHeader, tally: &Tally, dir: &Path) -> Vec<(&'static str, String)> {
    if matches!(header.state, RunState::Dry | RunState::Refused) {
        return Vec::new();
    }
    let counts = tally.counts();
    let is_simulated = header.root.starts_with("simulate:");
    let failed = typed(&dir.join("failed.csv"));
    let again: Vec<&str> = FEED_BACK.into_iter().filter(|status| counts.of(*status) > 0).map(Status::name).collect();
    let others: u64 = [Class::Failure, Class::Pending, Class::Unknown].map(|class| counts.of_class(class)).iter().sum();
    let mut lines = Vec::new();
    if others > 0 {
        lines.push(("failed", failed.clone()));
    }
    if counts.of(Status::AwaitingApproval) > 0 {
        lines.push(("waiting", "a second administrator must approve these in Intune".to_owned()));
    }
    if header.stopped_by == Some(StoppedBy::Canary) {
        let waits = counts.of(Status::AwaitingApproval) > 0;
        let what = if waits { "the first items wait for approval, and stop the rest" } else { "look at the first items" };
        lines.push(("canary", format!("{what}; resume sends the rest")));
    }
    // A simulated service ends with its run, so there is nothing to go on with.
    if !is_simulated && (header.state == RunState::Running || header.pending > 0) {
        lines.push(("next", format!("bulk-revoke resume {}", plain(&header.run))));
    } else if counts.of(Status::Unknown) > 0 {
        if !is_simulated {
            lines.push(("next", format!("bulk-revoke verify {}", plain(&header.run))));
        }
        lines.push(("unknown", "look at what stays so before you send it again".to_owned()));
    }
    if !again.is_empty() {
        let fed: u64 = FEED_BACK.into_iter().map(|status| counts.of(status)).sum();
        let only = if fed == others { String::new() } else { format!(" --only {}", again.join(",")) };
        lines.push(("retry", format!("once the causes are mended: bulk-revoke run {failed}{only}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::sample::{header, refused, row, settled};
    use super::*;
    use crate::model::{Row, StopCause, StoppedBy, TenantStop};

    fn text(header: &RunHeader, rows: &[Row]) -> String {
        let mut tally = Tally::new();
        for row in rows {
            tally.add(header, row);
        }
        summary_text(header, &tally, Path::new("reports/ab12"))
    }

    fn revoked(count: u32) -> Vec<Row> {
        (0..count).map(|line| row(line, Status::Revoked, &[])).collect()
    }

    #[test]
    fn when_all_is_well_there_is_nothing_to_do() {
        insta::assert_snapshot!(text(&header(), &revoked(1200)), @r#"
        retire-kiosks, run 20261122-0414-ab12
        all 1,200 items are done, after 6m 41s

            1,200  revoked            done, and shown by reading back

        requests  1,200, of them 0 throttled and 0 repeated
        report    reports/ab12/report.csv
        "#);
    }

    #[test]
    fn failures_are_told_with_their_causes_and_the_next_command() {
        let mut rows = revoked(5);
        rows.extend([refused(
            9,
            "Forbidden",
            "Insufficient privileges to complete the operation. Ask an administrator of the tenant for more.",
        )]);
        rows.extend([settled(10, Status::Skipped, "duplicate of line 2"), settled(11, Status::Invalid, "not a GUID")]);
        insta::assert_snapshot!(text(&header(), &rows), @r#"
        retire-kiosks, run 20261122-0414-ab12
        2 of 8 items are not done, after 6m 41s

                5  revoked            done, and shown by reading back
                1  refused            the service said no, for good
                1  skipped            protected, a duplicate, or done recently
                1  invalid            the row could not be used

        why
                1  refused, HTTP 403 Forbidden
                   Insufficient privileges to complete the operation. Ask an
                   administrator of the tenant for more.
                1  invalid
                   not a GUID

        requests  6, of them 0 throttled and 0 repeated
        report    reports/ab12/report.csv
        failed    reports/ab12/failed.csv
        retry     once the causes are mended: bulk-revoke run reports/ab12/failed.csv
        "#);
    }

    #[test]
    fn what_stopped_is_named_and_the_rest_can_be_sent() {
        let mut header = header();
        header.stopped_by = Some(StoppedBy::Interrupted);
        header.pending = 1;
        let message = "AADSTS7000215: invalid client secret\u{1b}[2J provided".to_owned();
        header.tenant_stops =
            vec![TenantStop { tenant: sample::tenants()[1].id, service: None, cause: StopCause::SignIn, message }];
        let mut row = row(2, Status::Revoked, &[]);
        row.progress = crate::model::Progress::default();
        row.tenant = Some(1);
        insta::assert_snapshot!(text(&header, &[row]), @r#"
        retire-kiosks, run 20261122-0414-ab12
        1 of 1 items are not done, after 6m 41s

                1  not_attempted      the run ended before its turn; it had no effect

        stopped
                   the run (interrupted): the run was interrupted
                   tenant fabrikam (sign_in)
                   AADSTS7000215: invalid client secret\u{1b}[2J provided

        report    reports/ab12/report.csv
        failed    reports/ab12/failed.csv
        next      bulk-revoke resume 20261122-0414-ab12
        "#);
    }

    #[test]
    fn what_is_in_doubt_is_not_fed_back_with_the_rest() {
        let rows = [row(2, Status::Unknown, &[]), refused(3, "A", "b")];
        let text = text(&header(), &rows);
        assert!(text.contains("next      bulk-revoke verify 20261122-0414-ab12"), "{text}");
        assert!(text.ends_with("once the causes are mended: bulk-revoke run reports/ab12/failed.csv --only refused\n"), "{text}");
    }

    #[test]
    fn where_the_time_went_is_told_in_parts_that_add_up() {
        let told = |millis: &[(Doing, u64)]| {
            let mut spent = Spent::default();
            for (doing, millis) in millis {
                spent.add(*doing, Duration::from_millis(*millis));
            }
            time(&spent)
        };
        assert_eq!(told(&[(Doing::Sending, 999)]), None);
        let parts = [(Doing::Reading, 400), (Doing::Sending, 12_400), (Doing::Quota, 380_400), (Doing::Verifying, 8_400)];
        assert_eq!(told(&parts).unwrap(), "6m 41s: 12s sending, 6m 21s waiting for quota, 8s verifying");
        let mut header = header();
        for doing in Doing::ALL {
            header.spent.add(doing, Duration::from_mins(12));
        }
        assert!(text(&header, &revoked(1)).contains(
            "\ntime      1h 12m: 12m 00s reading first, 12m 00s sending, 12m 00s waiting for\n          \
             quota, 12m 00s paused by the service, 12m 00s settling, 12m 00s\n          verifying\nreport"
        ));
    }

    #[test]
    fn a_dry_run_promises_nothing() {
        let header = RunHeader { state: RunState::Dry, ..header() };
        let mut rows = revoked(1);
        rows[0].progress = crate::model::Progress::default();
        let text = text(&header, &rows);
        assert!(text.contains("dry run over 1 items, nothing was sent") && !text.contains("next"), "{text}");
    }

    #[test]
    fn many_causes_are_cut_and_every_line_fits() {
        let rows: Vec<Row> =
            (0..20).map(|line| refused(line, &format!("{line}{}", "Code".repeat(30)), &"word\u{1b}\n".repeat(60))).collect();
        let text = text(&header(), &rows);
        assert!(text.contains("and 8 more causes, in the report"));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn every_status_fits_its_line() {
        let rows: Vec<Row> = Status::ALL.into_iter().map(|status| row(2, status, &[])).collect();
        let text = text(&header(), &rows);
        // A command is to be copied in one piece.
        let mut lines = text.lines().filter(|line| !line.starts_with("retry"));
        assert!(lines.all(|line| line.chars().count() <= 80), "{text}");
    }
}
