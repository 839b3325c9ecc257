//! A job: lists, items and defaults in a TOML file. It comes from a ticket, so it may say nothing about sign-in,
//! guards or places.

use super::options::RunOptions;
use super::table::{Document, Table};
use crate::model::{Entry, Place, Problem, REMOVED, Source, VppOptions, is_secret_column};

/// What belongs to the administrator's `config.toml`.
const NOT_HERE: [&str; 6] = ["graph", "auth", "tenants", "guard", "state", "log"];

/// Other ways to write the keys of an item, folded, as a list may write its columns.
const ITEM_KEYS: [(&str, &str); 11] = [
    ("id", "id"),
    ("profileid", "id"),
    ("tokenid", "id"),
    ("enrollmentprofileid", "id"),
    ("objectid", "id"),
    ("kind", "kind"),
    ("type", "kind"),
    ("tenant", "tenant"),
    ("tenantid", "tenant"),
    ("notifymanageddevices", "notify_managed_devices"),
    ("revokeuntrackedlicenses", "revoke_untracked_licenses"),
];

/// A job, read.
#[derive(Debug, Default)]
pub struct Job {
    /// Its name, if it says one.
    pub name: Option<String>,
    /// The kind of items and lists that name none.
    pub kind: Option<String>,
    /// The tenant of items and lists that name none.
    pub tenant: Option<String>,
    /// Lists, relative to the job.
    pub lists: Vec<String>,
    /// A change number or the like.
    pub ticket: Option<String>,
    /// The Booleans of VPP tokens that do not say them.
    pub vpp: VppOptions,
    /// Its wishes for the run.
    pub run: RunOptions,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    line: u32,
    id: Option<String>,
    kind: Option<String>,
    tenant: Option<String>,
    notify: Option<String>,
    untracked: Option<String>,
    rest: Vec<(String, String)>,
}

impl Job {
    /// Reads a text. Everything that is wrong with it goes into `problems`.
    pub fn parse(name: &str, text: &str, problems: &mut Vec<Problem>) -> Self {
        let document = Document { name, text };
        let mut top = document.parse(problems);
        if top.line_of("version").is_none() {
            problems.push(Problem::of(name, "version = 1 is missing: it says how to read the rest"));
        }
        top.value("version", problems, |text| if text == "1" { Ok(()) } else { Err("only version 1 is known".to_owned()) });
        for key in NOT_HERE {
            top.refuse(key, "belongs into config.toml, not into a job", problems);
        }
        let mut vpp = top.table("vpp", problems);
        let mut run = top.table("run", problems);
        let mut verify = top.table("verify", problems);
        let job = Self {
            name: top.text("name", problems),
            kind: top.text("kind", problems),
            tenant: top.text("tenant", problems),
            lists: top.texts("lists", problems).into_iter().map(|(_, list)| list).collect(),
            ticket: top.text("ticket", problems),
            vpp: VppOptions {
                notify_managed_devices: vpp.flag("notify_managed_devices", problems).unwrap_or(false),
                revoke_untracked_licenses: vpp.flag("revoke_untracked_licenses", problems).unwrap_or(false),
            },
            run: RunOptions::take(&mut run, &mut verify, problems),
            items: top.array("items", problems).into_iter().map(|(line, table)| Item::take(line, table, problems)).collect(),
        };
        for table in [vpp, run, verify, top] {
            table.finish(problems);
        }
        job
    }

    /// What the user should know of it: values that were left out because they are live secrets.
    pub fn warnings(&self, name: &str) -> Vec<Problem> {
        let removed = |item: &&Item| item.rest.iter().any(|(_, value)| value == REMOVED);
        let first = self.items.iter().find(removed);
        let message = "values that are live secrets were left out and are stored nowhere";
        first.map(|item| Problem::at(name, item.line, message)).into_iter().collect()
    }

    /// Whether it is a list itself.
    pub const fn has_items(&self) -> bool {
        !self.items.is_empty()
    }

    /// Its own items as a list with a number, if it has any.
    pub fn entries(&self, number: u32, name: &str) -> Option<(Source, Vec<Entry>)> {
        if self.items.is_empty() {
            return None;
        }
        let mut columns: Vec<String> = Vec::new();
        for (column, _) in self.items.iter().flat_map(Item::cells) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let entries = self.items.iter().map(|item| item.entry(number, &columns)).collect();
        Some((Source { name: name.to_owned(), columns, implied: None }, entries))
    }
}

impl Item {
    fn take(line: u32, mut table: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        table.fold(&ITEM_KEYS, problems);
        Self {
            line,
            id: table.text("id", problems),
            kind: table.text("kind", problems),
            tenant: table.text("tenant", problems),
            notify: table.text("notify_managed_devices", problems),
            untracked: table.text("revoke_untracked_licenses", problems),
            rest: table.rest(problems).into_iter().map(blank_secrets).collect(),
        }
    }

    /// Its keys and values as the report carries them.
    fn cells(&self) -> Vec<(String, String)> {
        let own = [
            ("id", &self.id),
            ("kind", &self.kind),
            ("tenant", &self.tenant),
            ("notifyManagedDevices", &self.notify),
            ("revokeUntrackedLicenses", &self.untracked),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        own.chain(self.rest.iter().cloned()).collect()
    }

    fn entry(&self, source: u32, columns: &[String]) -> Entry {
        let cells = self.cells();
        let cell =
            |column: &String| cells.iter().find(|(name, _)| name == column).map_or_else(String::new, |(_, value)| value.clone());
        Entry {
            place: Place { source, line: self.line },
            id: self.id.clone().unwrap_or_default(),
            kind: self.kind.clone(),
            tenant: self.tenant.clone(),
            notify: self.notify.clone(),
            untracked: self.untracked.clone(),
            status: None,
            cells: columns.iter().map(cell).collect(),
            flaw: None,
        }
    }
}

fn blank_secrets((key, value): (String, String)) -> (String, String) {
    if is_secret_column(&key) { (key, REMOVED.to_owned()) } else { (key, value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = r#"
version = 1
name = "retire-kiosk-tokens"
kind = "androidDeviceOwnerEnrollmentProfile"
lists = ["kiosk.csv"]
ticket = "CHG-4711"

[vpp]
notify_managed_devices = true

[run]
max_items = 200

[[items]]
id = "9ceb2f92-2f92-9ceb-922f-eb9c922feb9c"
kind = "vppToken"
note = "any"
tokenValue = "LIVE-SECRET"

[[items]]
id = "9ceb2f92-2f92-9ceb-922f-eb9c922feb9d"
priority = 3
"#;

    fn parse(text: &str) -> (Job, Vec<String>) {
        let mut problems = Vec::new();
        let job = Job::parse("job.toml", text, &mut problems);
        (job, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_job_is_read_with_the_lines_of_its_items() {
        let (job, problems) = parse(JOB);
        assert_eq!(problems, [""; 0]);
        let (source, entries) = job.entries(3, "job.toml").unwrap();
        assert_eq!(source.columns, ["id", "kind", "note", "tokenValue", "priority"]);
        assert_eq!((entries[0].place, entries[1].place.line), (Place { source: 3, line: 14 }, 20));
        assert_eq!(entries[0].cells[2..4], ["any", "[removed]"]);
        assert_eq!(entries[1].cells[4], "3");
        assert!(job.vpp.notify_managed_devices && !job.vpp.revoke_untracked_licenses);
    }

    #[test]
    fn what_belongs_to_the_administrator_is_refused() {
        let (_, problems) = parse("version = 1\n[guard]\nprotect = []\n[auth]\nclient_id = \"x\"\n");
        assert_eq!(problems.len(), 2);
        assert!(problems.iter().all(|problem| problem.contains("belongs into config.toml")), "{problems:?}");
    }

    #[test]
    fn unknown_keys_and_versions_are_refused_with_their_lines() {
        let (_, problems) = parse("version = 2\ntennant = \"x\"\n");
        assert_eq!(
            problems,
            ["job.toml:1: version: only version 1 is known", "job.toml:2: tennant: unknown key; did you mean tenant?"]
        );
        assert_eq!(parse("name = \"x\"").1, ["job.toml: version = 1 is missing: it says how to read the rest"]);
    }

    #[test]
    fn keys_of_items_are_known_in_any_dress_and_hold_single_values() {
        let id = "9ceb2f92-2f92-9ceb-922f-eb9c922feb9c";
        let (job, problems) = parse(&format!("version = 1\n[[items]]\nprofileId = \"{id}\"\nnotifyManagedDevices = \"false\"\n"));
        assert_eq!(problems, [""; 0]);
        let (_, entries) = job.entries(0, "job.toml").unwrap();
        assert_eq!((entries[0].id.as_str(), entries[0].notify.as_deref()), (id, Some("false")));
        let (_, problems) =
            parse("version = 1\n[[items]]\nid = \"x\"\nobjectId = \"y\"\nnote = { tokenValue = \"LIVE-SECRET\" }\n");
        assert_eq!(
            problems,
            [
                "job.toml:4: items.objectId: the same as id, which is there as well",
                "job.toml:5: items.note: a single value is expected"
            ]
        );
    }
}
