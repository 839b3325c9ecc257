//! What a run would do, for the one who decides on it: a function of the ledger's rows and of what was found.
//!
//! Memory does not grow with the run: programs get row by row, people the first of each kind in each tenant.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::io::{self, Write};

use super::object::{DETAILS, details, line, lines, paragraph};
use super::plain::{cut, grouped, plain};
use super::plan_totals::{Action, Actions, Consequences, Total};
use super::results::Value;
use super::sheet::{Form, Sheet};
use crate::exec::{Listed, Surveyed};
use crate::model::{Kind, Row, RunHeader, Snapshot, Status, TenantRow};

/// Items of a kind and tenant that people are shown at most, and how many over all of them.
const MOST_SHOWN: usize = 1_000;
const MOST_OVERALL: usize = 30_000;
/// However many tenants there are.
const LEAST_SHOWN: usize = 10;
/// Columns of a name before the layout would break.
const NAME_COLUMNS: usize = 40;
/// What becomes of the items of a tenant that was stopped.
const STOPPED: Action = Action::Settled(Status::NotAttempted);
/// Lines of a reason, and of counts.
const REASON_LINES: usize = 4;

/// The columns for programs: first those that make it a list.
fn names() -> Vec<&'static str> {
    let after = ["notifyManagedDevices", "revokeUntrackedLicenses", "line", "source"];
    ["kind", "id", "tenant", "action", "reason"].into_iter().chain(DETAILS).chain(after).collect()
}

/// Where a row stands among those of its tenant and kind: what would be sent before what would not, then what lives
/// longest, then as in the lists.
type Place = (bool, Reverse<i64>, u64);

/// The rows of one kind in one tenant; those that have neither come last.
#[derive(Default)]
struct Section {
    actions: Actions,
    /// The first of them, the last on top.
    shown: BinaryHeap<(Place, String)>,
}

/// Shows a plan.
pub struct PlanView<'a, W: Write> {
    header: &'a RunHeader,
    surveyed: &'a [Surveyed],
    sections: BTreeMap<(u32, Option<Kind>), Section>,
    consequences: Consequences,
    rows: u64,
    names: Vec<&'static str>,
    out: Out<W>,
}

enum Out<W: Write> {
    Table(W),
    Sheet(Sheet<W>),
}

impl<'a, W: Write> PlanView<'a, W> {
    /// Begins it.
    pub fn begin(out: W, form: Form, header: &'a RunHeader, surveyed: &'a [Surveyed]) -> io::Result<Self> {
        let names = names();
        let out = match form {
            Form::Table => Out::Table(out),
            Form::Csv => Out::Sheet(Sheet::csv(out, &names)?),
            Form::Json => Out::Sheet(Sheet::Json(out)),
        };
        let (sections, consequences) = (BTreeMap::new(), Consequences::default());
        Ok(Self { header, surveyed, sections, consequences, rows: 0, names, out })
    }

    /// Takes in a row. Rows come in the order of the input, and programs get them so.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        let (action, reason) = Action::of(self.header, row);
        self.rows += 1;
        if action == Action::Send {
            self.consequences.add(row);
        }
        let most = most_shown(self.sections.len());
        let section = self.sections.entry((row.tenant.unwrap_or(u32::MAX), row.kind)).or_default();
        section.actions.add(action);
        match &mut self.out {
            Out::Sheet(sheet) => sheet.row(&self.names, &values(self.header, row, (action, reason))),
            Out::Table(_) => {
                let place = (action != Action::Send, Reverse(end(row)), self.rows);
                section.show(place, most, || entry(self.header, row, (action, reason)));
                Ok(())
            }
        }
    }

    /// Completes it: with the totals, and how long a run will take.
    pub fn finish(mut self, how_long: Option<&str>) -> io::Result<()> {
        let rest = match &self.out {
            Out::Table(_) => self.table(how_long),
            Out::Sheet(Sheet::Json(_)) => {
                let totals: Vec<Total<'_>> = self.sections.iter().map(|(of, section)| self.total(*of, section)).collect();
                format!("{}\n", serde_json::json!({ "totals": totals }))
            }
            Out::Sheet(Sheet::Csv(_)) => String::new(),
        };
        match &mut self.out {
            Out::Table(out) | Out::Sheet(Sheet::Json(out)) => out.write_all(rest.as_bytes()).and_then(|()| out.flush()),
            Out::Sheet(sheet) => sheet.flush(),
        }
    }

    fn tenant(&self, index: u32) -> Option<&'a TenantRow> {
        self.header.tenants.get(index as usize)
    }

    fn total(&self, (tenant, kind): (u32, Option<Kind>), section: &Section) -> Total<'a> {
        let tenant = self.tenant(tenant);
        let found = self.surveyed.iter().find(|found| Some(found.tenant) == tenant.map(|row| row.id) && Some(found.kind) == kind);
        let objects = match found.and_then(|found| found.list) {
            Some(Listed::Read { objects, .. }) => Some(objects),
            Some(Listed::Unreadable) | None => None,
        };
        Total { tenant: tenant.map(|row| row.label.as_str()), kind, objects, actions: section.actions.by_name() }
    }

    /// Everything on lines of 80 columns.
    fn table(&self, how_long: Option<&str>) -> String {
        let to_send: u64 = self.sections.values().map(|section| section.actions.to_send()).sum();
        let rows = if self.rows == 1 { "row" } else { "rows" };
        let mut text = line(0, &format!("plan of {}, run {}", cut(&self.header.job, NAME_COLUMNS), plain(&self.header.run)));
        text.push_str(&line(0, &format!("{} of {} {rows} would be sent", grouped(to_send), grouped(self.rows))));
        let mut last = None;
        for (of, section) in &self.sections {
            if last.replace(of.0) != Some(of.0) {
                self.title(&mut text, of.0);
            }
            self.section(&mut text, *of, section);
        }
        let consequences = self.consequences.text();
        for part in [consequences.as_str(), how_long.unwrap_or_default()].iter().filter(|part| !part.is_empty()) {
            let _ = writeln!(text, "\n{}", part.trim_end());
        }
        text
    }

    /// A tenant, and what stopped it.
    fn title(&self, text: &mut String, tenant: u32) {
        let tenant = self.tenant(tenant);
        let title = tenant.map_or_else(|| "rows that cannot be used".to_owned(), called);
        let _ = write!(text, "\n{}", line(0, &title));
        for stop in self.header.tenant_stops.iter().filter(|stop| Some(stop.tenant) == tenant.map(|row| row.id)) {
            text.push_str(&paragraph(&format!("stopped: {}", stop.message), REASON_LINES));
        }
    }

    fn section(&self, text: &mut String, of: (u32, Option<Kind>), section: &Section) {
        let total = self.total(of, section);
        let _ = write!(text, "\n{}", total.kind.map(|kind| line(0, kind.name())).unwrap_or_default());
        text.push_str(&paragraph(&section.actions.text(total.objects), REASON_LINES));
        let mut shown: Vec<_> = section.shown.iter().collect();
        shown.sort_unstable();
        shown.truncate(most_shown(self.sections.len()));
        text.extend(shown.iter().map(|(_, entry)| entry.as_str()));
        let more = section.actions.total() - shown.len() as u64;
        if more > 0 {
            text.push_str(&line(2, &format!("and {} more; --format csv shows all", grouped(more))));
        }
    }
}

impl Section {
    /// Keeps an entry if it is among the first.
    fn show(&mut self, place: Place, most: usize, entry: impl FnOnce() -> String) {
        if self.shown.len() < most || self.shown.peek().is_some_and(|(last, _)| place < *last) {
            self.shown.push((place, entry()));
        }
        while self.shown.len() > most {
            self.shown.pop();
        }
    }
}

/// How many of each section are shown: it falls with their number, so that what is left out once is left out at the end.
fn most_shown(sections: usize) -> usize {
    (MOST_OVERALL / sections.max(1)).clamp(LEAST_SHOWN, MOST_SHOWN)
}

/// A tenant's name, with its id if that is another.
fn called(row: &TenantRow) -> String {
    let id = row.id.to_string();
    if row.label == id { id } else { format!("{} ({id})", cut(&row.label, NAME_COLUMNS)) }
}

/// When a row's token ends, in seconds; what has no known end lives longest.
fn end(row: &Row) -> i64 {
    row.progress.pin.as_deref().and_then(Snapshot::expires).map_or(i64::MAX, jiff::Timestamp::as_second)
}

/// A row for people: the object, and why it is not sent.
fn entry(header: &RunHeader, row: &Row, (action, reason): (Action, &str)) -> String {
    let pin = row.progress.pin.as_deref();
    let mut text = row.id.map(|id| lines(row.progress.name.as_deref(), id, pin)).unwrap_or_default();
    if action != Action::Send {
        let source = header.sources.get(row.place.source as usize).map_or("", |source| source.name.as_str());
        let what = action.name().replace('_', " ");
        // Why a tenant was stopped is said once, with its name.
        let reason = if action == STOPPED && header.stop_of(row).is_some() { "its tenant is stopped" } else { reason };
        let why = if reason.starts_with(&what) { reason.to_owned() } else { format!("{what}, {reason}") };
        text.push_str(&paragraph(&format!("not sent ({source}:{}): {why}", row.place.line), REASON_LINES));
    }
    text
}

/// A row for programs, in the order of [`names`].
fn values<'a>(header: &'a RunHeader, row: &'a Row, (action, reason): (Action, &'a str)) -> Vec<Value<'a>> {
    let tenant = row.tenant.and_then(|index| header.tenants.get(index as usize));
    let source = header.sources.get(row.place.source as usize);
    let [notify, untracked] = match row.kind {
        Some(Kind::VppToken) => [row.options.notify_managed_devices, row.options.revoke_untracked_licenses].map(Value::Flag),
        Some(Kind::AndroidForWork | Kind::AndroidDeviceOwner) | None => [Value::Absent, Value::Absent],
    };
    let first = [
        Value::text(row.kind.map(Kind::name)),
        Value::shown(row.id),
        Value::text(tenant.map(|tenant| tenant.label.as_str())),
        Value::text(Some(action.name())),
        Value::text(Some(reason)),
    ];
    let last = [notify, untracked, Value::Number(row.place.line.into()), Value::text(source.map(|source| source.name.as_str()))];
    let details = details(row.progress.name.as_deref(), row.progress.pin.as_deref());
    first.into_iter().chain(details).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;
    use unicode_width::UnicodeWidthStr as _;

    use super::super::sample::{header, row, settled};
    use super::*;
    use crate::model::{About, Expiry, Progress, Seen, VppOptions};

    const DATE: &str = "2026-06-01T12:00:00Z";

    /// A row that would be sent, of a profile with this name and expiry.
    fn profile(line: u32, name: &str, expiry: &str) -> Row {
        let seen = Seen::Android { expiry: Expiry::read(Some(expiry)), created: None };
        let about = About { devices: Some(1_234), ..About::default() };
        of(line, name, Snapshot { date: DATE.parse().ok(), name: None, seen, about: Some(Box::new(about)) })
    }

    fn of(line: u32, name: &str, pin: Snapshot) -> Row {
        let progress = Progress { name: Some(name.to_owned()), pin: Some(Box::new(pin)), ..Progress::default() };
        Row { progress, ..row(line, Status::Revoked, &[]) }
    }

    fn token(line: u32, state: &str, notify: bool) -> Row {
        let identity = [Some("a@b.example".repeat(9)), Some("学校".repeat(60)), None];
        let about = About { state: Some(state.to_owned()), expires: DATE.parse().ok(), devices: None };
        let seen = Seen::Vpp { identity, actions: Vec::new() };
        let pin = Snapshot { date: DATE.parse().ok(), name: None, seen, about: Some(Box::new(about)) };
        let options = VppOptions { notify_managed_devices: notify, revoke_untracked_licenses: false };
        Row { kind: Some(Kind::VppToken), options, ..of(line, "School", pin) }
    }

    fn shown(rows: &[Row], form: Form) -> String {
        let (header, mut out) = (header(), Vec::new());
        let list = |objects| Some(Listed::Read { pages: 1, objects });
        let (tenant, kind) = (header.tenants[0].id, Kind::AndroidDeviceOwner);
        let surveyed = [Surveyed { tenant, kind, to_send: 0, list: list(5), read: 0, not_found: 0 }];
        let mut view = PlanView::begin(&mut out, form, &header, &surveyed).unwrap();
        for row in rows {
            view.row(row).unwrap();
        }
        view.finish(Some("takes a few seconds")).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_lives_longest_comes_first_and_what_is_not_sent_comes_last() {
        let duplicate = Row { id: row(2, Status::Revoked, &[]).id, ..settled(2, Status::Skipped, "duplicate of line 1") };
        let rows = [
            duplicate,
            profile(3, "ended", "2026-06-01T11:59:00Z"),
            profile(4, "soon", "2026-06-03T00:00:00Z"),
            profile(5, "late", "2027-06-03T00:00:00Z"),
            profile(6, "never", ""),
        ];
        let text = shown(&rows, Form::Table);
        let places =
            ["never\n", "late\n", "soon\n", "ended\n", "not sent (a.csv:2): duplicate of line 1"].map(|what| text.find(what));
        assert!(places.is_sorted() && places[0].is_some(), "{text}");
        assert!(text.contains("4 to send, 80 % of the tenant's 5; 1 duplicate\n"), "{text}");
        assert!(
            text.contains("  live, ends 2027-06-03, 1,234 devices\n") && text.contains("  expired 2026-06-01, 1,234 d"),
            "{text}"
        );
        assert_eq!(text.matches("stay enrolled").count(), 1, "{text}");
        assert!(!text.contains("VPP") && text.ends_with("\n\ntakes a few seconds\n"), "{text}");
    }

    #[test]
    fn whatever_a_name_holds_no_line_is_wider_than_80_columns() {
        let name = "\u{1b}[2J東京\u{202e}タワー ".repeat(20);
        let rows = [
            profile(2, &name, "2027-06-03T00:00:00Z"),
            token(3, "invalid", true),
            token(4, "valid", false),
            token(5, "valid", false),
        ];
        let text = shown(&rows, Form::Table);
        assert!(text.lines().all(|line| line.width() <= 80 && !line.contains(char::is_control)), "{text}");
        assert!(text.contains("1 token with notifyManagedDevices true and revokeUntrackedLicenses false"), "{text}");
        assert!(text.contains("2 tokens with notifyManagedDevices false and revokeUntrackedLicenses false"), "{text}");
        assert!(text.contains("1 in a state other than valid") && text.contains("delete the token last"), "{text}");
        assert!(text.contains("  invalid, ended 2026-06-01\n"), "{text}");
    }

    #[test]
    fn a_table_shows_the_first_of_many_and_a_list_shows_all() {
        let rows: Vec<Row> =
            (0..1_500).rev().map(|n| profile(n + 2, &format!("n{n:04}."), &format!("{}-01-01T00:00:00Z", 3_000 + n))).collect();
        let text = shown(&rows, Form::Table);
        assert!(text.contains("n1499.") && text.contains("n0500.") && !text.contains("n0499."));
        assert!(text.contains("\n  and 500 more; --format csv shows all\n"));
        assert_eq!(shown(&rows, Form::Csv).lines().count(), 1 + 1_500);
        let last: Json = serde_json::from_str(shown(&rows, Form::Json).lines().last().unwrap()).unwrap();
        let total = &last["totals"][0];
        assert_eq!(
            (&total["tenant"], &total["objects"], &total["actions"]["send"]),
            (&"contoso".into(), &5.into(), &1_500.into())
        );
    }
}
