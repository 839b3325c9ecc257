//! The part of the summary that tells tenants apart: who is done, who is not, and what stopped whom.

use crate::model::{Class, RunHeader, RunState, Status, TenantRow};

use super::plain::{cut, grouped, wrapped};
use super::tally::{Counts, Tally};

/// Up to so many tenants each have a line; of more, only those that are not done.
const ALL_SHOWN: usize = 10;
/// Tenants that are not done and have a line at most; `summary.json` has them all.
const MOST_SHOWN: usize = 20;
/// Characters of a tenant's name.
const NAME_CHARS: usize = 24;
/// Characters of a line, and of the count in front of the name.
const WIDTH: usize = 80;
const COUNT_CHARS: usize = 9;
/// Lines of what became of a tenant's items.
const LINES: usize = 4;

/// A tenant that has items.
struct Line {
    name: String,
    items: u64,
    is_done: bool,
    what: String,
}

/// One line for each tenant; none where only one has items.
pub(super) fn tenants(header: &RunHeader, tally: &Tally) -> Vec<String> {
    let all = header.tenants.iter().enumerate().map(|(index, row)| (row, tally.tenant(index)));
    let lines: Vec<Line> = all.filter(|(_, counts)| counts.total() > 0).map(|(row, counts)| line(header, row, &counts)).collect();
    if lines.len() < 2 {
        return Vec::new();
    }
    let (most, hides_done) = if lines.len() <= ALL_SHOWN { (ALL_SHOWN, false) } else { (MOST_SHOWN, true) };
    let (done, open): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| line.is_done && hides_done);
    let shown = &open[..open.len().min(most)];
    let width = shown.iter().map(|line| line.name.chars().count()).max().unwrap_or_default();
    let mut text = vec![String::new(), "tenants".to_owned()];
    for line in shown {
        let mut head = format!("{:>COUNT_CHARS$}  {:<width$}  ", grouped(line.items), line.name);
        let blank = " ".repeat(head.chars().count());
        for part in wrapped(&line.what, WIDTH - blank.len(), LINES) {
            text.push(format!("{}{part}", std::mem::replace(&mut head, blank.clone())));
        }
    }
    if open.len() > shown.len() {
        text.push(format!("{:>11}and {} more that are not done, in summary.json", "", open.len() - shown.len()));
    }
    let is_dry = header.state == RunState::Dry;
    let said = match (done.len(), open.is_empty()) {
        (0, _) => return text,
        (count, true) if is_dry => format!("all {count}: nothing in the way"),
        (count, true) => format!("all {count} are done"),
        (1, false) if is_dry => "1 other: nothing in the way".to_owned(),
        (1, false) => "1 other is done".to_owned(),
        (count, false) if is_dry => format!("{count} others: nothing in the way"),
        (count, false) => format!("{count} others are done"),
    };
    text.push(format!("{:>11}{said}", ""));
    text
}

fn line(header: &RunHeader, row: &TenantRow, counts: &Counts) -> Line {
    let is_dry = header.state == RunState::Dry;
    let is_fine =
        |status: Status| matches!(status.class(), Class::Success | Class::Neutral) || is_dry && status == Status::NotAttempted;
    let parts = counts.iter().filter(|(status, count)| *count > 0 && (is_dry || !is_fine(*status)));
    let name = |status: Status| if is_dry && status == Status::NotAttempted { "would be sent" } else { status.name() };
    let parts = parts.map(|(status, count)| format!("{} {}", grouped(count), name(status)));
    let parts: Vec<String> = parts.collect();
    let mut causes: Vec<&str> =
        header.tenant_stops.iter().filter(|stop| stop.tenant == row.id).map(|stop| stop.cause.name()).collect();
    causes.dedup();
    let is_done = causes.is_empty() && counts.iter().all(|(status, count)| count == 0 || is_fine(status));
    let what = if parts.is_empty() { "all done".to_owned() } else { parts.join(", ") };
    let stopped = if causes.is_empty() { String::new() } else { format!("; stopped: {}", causes.join(", ")) };
    Line { name: cut(&row.label, NAME_CHARS), items: counts.total(), is_done, what: format!("{what}{stopped}") }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{header, row};
    use super::*;
    use crate::model::{StopCause, TenantId, TenantStop};

    /// A run over so many tenants; of each, the statuses of its items.
    fn text(count: u32, mut statuses: impl FnMut(u32) -> Vec<Status>, state: RunState) -> String {
        let tenant = |number: u32| TenantRow {
            id: TenantId(uuid::Uuid::from_u128(number.into())),
            label: format!("tenant-{number}"),
            app: "app".into(),
        };
        let mut header = RunHeader { tenants: (0..count).map(tenant).collect(), state, ..header() };
        let mut tally = Tally::new();
        for number in 0..count {
            for status in statuses(number) {
                if status == Status::NotAttempted && state != RunState::Dry {
                    let tenant = TenantId(uuid::Uuid::from_u128(number.into()));
                    let stop = TenantStop { tenant, service: None, cause: StopCause::SignIn, message: "no".into() };
                    header.tenant_stops.push(stop);
                }
                let mut row = row(2, status, &[]);
                row.tenant = Some(number);
                tally.add(&header, &row);
            }
        }
        tenants(&header, &tally).join("\n") + "\n"
    }

    #[test]
    fn a_few_tenants_have_a_line_each() {
        let of = |number| match number {
            0 => vec![Status::Revoked, Status::Skipped],
            1 => vec![Status::Revoked, Status::Refused, Status::Unknown],
            _ => vec![Status::NotAttempted],
        };
        insta::assert_snapshot!(text(3, of, RunState::Ended), @r"

        tenants
                2  tenant-0  all done
                3  tenant-1  1 refused, 1 unknown
                1  tenant-2  1 not_attempted; stopped: sign_in
        ");
        assert_eq!(text(1, of, RunState::Ended), "\n", "one tenant is the run itself");
    }

    #[test]
    fn of_many_tenants_only_those_that_are_not_done_have_a_line() {
        let of = |number| vec![if number % 25 == 7 { Status::Failed } else { Status::Revoked }];
        insta::assert_snapshot!(text(50, of, RunState::Ended), @r"

        tenants
                1  tenant-7   1 failed
                1  tenant-32  1 failed
                   48 others are done
        ");
        let text = text(50, |number| vec![if number < 49 { Status::Failed } else { Status::Revoked }], RunState::Ended);
        assert!(text.ends_with("  and 29 more that are not done, in summary.json\n           1 other is done\n"), "{text}");
        assert_eq!(text.lines().count(), 24);
    }

    #[test]
    fn where_nothing_is_to_be_told_of_many_tenants_they_have_one_line_together() {
        let of = |status| move |number| vec![if number < 11 { status } else { Status::Failed }];
        let end = |count, status, state| text(count, of(status), state).lines().skip(2).collect::<Vec<_>>().join("|");
        assert_eq!(end(11, Status::Revoked, RunState::Ended), "           all 11 are done");
        assert_eq!(end(11, Status::NotAttempted, RunState::Dry), "           all 11: nothing in the way");
        let some = "        1  tenant-11  1 failed|           11 others: nothing in the way";
        assert_eq!(end(12, Status::NotAttempted, RunState::Dry), some);
    }

    #[test]
    fn lines_fit_and_a_dry_run_promises_nothing() {
        let dry = text(2, |_| vec![Status::NotAttempted, Status::Skipped], RunState::Dry);
        assert!(dry.contains("tenant-0  1 would be sent, 1 skipped"), "{dry}");
        let all = text(2, |_| Status::ALL.to_vec(), RunState::Ended);
        assert!(all.lines().all(|line| line.chars().count() <= 80), "{all}");
    }
}
