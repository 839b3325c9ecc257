//! Judges entries one by one: what is a good item, a duplicate, protected, or wrong, and why. Pure.

use std::collections::HashSet;

use super::known::{First, Known};
use crate::model::{Disposition, Entry, Kind, ObjectId, Place, PlannedRow, Problem, Source, Status, VppOptions};

/// Index of a tenant in its run.
pub type TenantNo = u32;

/// Knows the tenants by all their names.
pub trait TenantBook {
    /// The tenant that a row names, or the one for rows that name none. The error says what to do.
    fn find(&mut self, named: Option<&str>) -> Result<TenantNo, String>;
}

/// What rows take that do not say it themselves.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// A kind, as written.
    pub kind: Option<String>,
    /// A tenant, as written.
    pub tenant: Option<String>,
    /// The Booleans of VPP tokens.
    pub vpp: VppOptions,
}

/// How a plan is made.
#[derive(Debug, Clone, Default)]
pub struct PlanPolicy {
    /// Bad rows become rows of the report, instead of stopping everything.
    pub skip_invalid: bool,
    /// With a report as the list: only rows of these statuses.
    pub only: Option<Vec<Status>>,
    /// Only this tenant's rows.
    pub only_tenant: Option<TenantNo>,
    /// Ids that are never sent.
    pub protect: HashSet<ObjectId>,
}

/// Makes a plan, row by row.
#[derive(Debug)]
pub struct Planner {
    policy: PlanPolicy,
    known: Known,
    sources: Vec<Source>,
    problems: Vec<(Place, Problem)>,
    without_status: HashSet<u32>,
    protected: u64,
}

/// A row whose words were understood.
struct Understood {
    tenant: TenantNo,
    kind: Kind,
    id: ObjectId,
    options: VppOptions,
}

impl Planner {
    /// An empty plan.
    pub fn new(policy: PlanPolicy) -> Self {
        Self {
            policy,
            known: Known::new(),
            sources: Vec::new(),
            problems: Vec::new(),
            without_status: HashSet::new(),
            protected: 0,
        }
    }

    /// Makes the next list known; entries name it by its number.
    pub fn source(&mut self, source: Source) {
        self.sources.push(source);
    }

    /// Judges a row. None: it is left out, or it is wrong and was noted as a problem.
    pub fn judge(&mut self, entry: Entry, defaults: &Defaults, tenants: &mut dyn TenantBook) -> Option<PlannedRow> {
        if !self.is_wanted(&entry) {
            return None;
        }
        let place = entry.place;
        let understood = match self.understand(&entry, defaults, tenants) {
            Ok(row) if self.policy.only_tenant.is_some_and(|only| only != row.tenant) => return None,
            understood => understood,
        };
        match understood.and_then(|row| self.place_of(row, place)) {
            Ok((row, disposition)) => Some(PlannedRow {
                place,
                tenant: Some(row.tenant),
                kind: Some(row.kind),
                id: Some(row.id),
                options: row.options,
                cells: entry.cells,
                disposition,
            }),
            Err(reason) => self.reject(entry, reason),
        }
    }

    /// What is wrong, in the order of the lists.
    pub fn problems(&mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|(place, _)| *place);
        self.problems.iter().map(|(_, problem)| problem.clone()).collect()
    }

    /// How many rows name a protected id.
    pub const fn protected(&self) -> u64 {
        self.protected
    }

    fn is_wanted(&mut self, entry: &Entry) -> bool {
        let Some(only) = &self.policy.only else { return true };
        if let Some(status) = &entry.status {
            return status.parse().is_ok_and(|status| only.contains(&status));
        }
        if self.without_status.insert(entry.place.source) {
            let message = "--only works on a report: this list has no result_status column";
            self.problems.push((entry.place, Problem::of(self.name(entry.place), message)));
        }
        false
    }

    fn understand(&self, entry: &Entry, defaults: &Defaults, tenants: &mut dyn TenantBook) -> Result<Understood, String> {
        if let Some(flaw) = &entry.flaw {
            return Err(flaw.clone());
        }
        let id = if entry.id.trim().is_empty() {
            Err("the row has no id".to_owned())
        } else {
            entry.id.parse::<ObjectId>().map_err(|error| format!("{:?} is {error}", entry.id.trim()))
        };
        let kind = self.kind(entry, defaults);
        let tenant = tenants.find(entry.tenant.as_deref().or(defaults.tenant.as_deref()));
        let options = match kind {
            Ok(Kind::VppToken) => vpp_options(entry, defaults.vpp),
            Ok(Kind::AndroidForWork | Kind::AndroidDeviceOwner) | Err(_) => Ok(VppOptions::default()),
        };
        match (id, kind, tenant, options) {
            (Ok(id), Ok(kind), Ok(tenant), Ok(options)) => Ok(Understood { tenant, kind, id, options }),
            (id, kind, tenant, options) => {
                let reasons = [id.err(), kind.err(), tenant.err(), options.err()];
                Err(reasons.into_iter().flatten().collect::<Vec<_>>().join("; "))
            }
        }
    }

    fn kind(&self, entry: &Entry, defaults: &Defaults) -> Result<Kind, String> {
        let implied = self.sources.get(entry.place.source as usize).and_then(|source| source.implied);
        match (&entry.kind, implied) {
            (Some(text), implied) => {
                let kind = text.parse::<Kind>().map_err(|error| error.to_string())?;
                match implied {
                    Some(implied) if implied != kind => Err(format!("the id column says {implied}, the row says {kind}")),
                    _ => Ok(kind),
                }
            }
            (None, Some(kind)) => Ok(kind),
            (None, None) => match &defaults.kind {
                Some(text) => text.parse::<Kind>().map_err(|error| error.to_string()),
                None => Err("no kind: add a kind column, or give --kind".to_owned()),
            },
        }
    }

    /// Whether the row is sent, protected, or a duplicate; duplicates that differ are wrong.
    fn place_of(&mut self, row: Understood, place: Place) -> Result<(Understood, Disposition), String> {
        let Understood { tenant, kind, id, options } = row;
        if let Some(first) = self.known.meet(First { tenant, kind, id, place, options }) {
            let is_same = first.options == options;
            let first = self.describe(first.place, place);
            if !is_same {
                return Err(format!("the same object as {first}, with other options: which ones are meant?"));
            }
            return Ok((row, skipped(format!("{DUPLICATE} {first}"))));
        }
        if self.policy.protect.contains(&row.id) {
            self.protected += 1;
            return Ok((row, skipped("protected by the configuration".to_owned())));
        }
        Ok((row, Disposition::Send))
    }

    fn reject(&mut self, entry: Entry, reason: String) -> Option<PlannedRow> {
        if !self.policy.skip_invalid {
            let problem = Problem::at(self.name(entry.place), entry.place.line, reason);
            self.problems.push((entry.place, problem));
            return None;
        }
        Some(PlannedRow {
            place: entry.place,
            tenant: None,
            kind: None,
            id: entry.id.parse().ok(),
            options: VppOptions::default(),
            cells: entry.cells,
            disposition: Disposition::Settled { status: Status::Invalid, reason },
        })
    }

    fn name(&self, place: Place) -> String {
        self.sources.get(place.source as usize).map_or_else(String::new, |source| source.name.clone())
    }

    /// A place as seen from another: the list is named only where it is another one.
    fn describe(&self, place: Place, from: Place) -> String {
        if place.source == from.source { format!("line {}", place.line) } else { format!("{}:{}", self.name(place), place.line) }
    }
}

/// How the reason of a row begins that only repeats another.
pub const DUPLICATE: &str = "duplicate of";

fn skipped(reason: String) -> Disposition {
    Disposition::Settled { status: Status::Skipped, reason }
}

fn vpp_options(entry: &Entry, defaults: VppOptions) -> Result<VppOptions, String> {
    Ok(VppOptions {
        notify_managed_devices: boolean("notifyManagedDevices", entry.notify.as_deref(), defaults.notify_managed_devices)?,
        revoke_untracked_licenses: boolean(
            "revokeUntrackedLicenses",
            entry.untracked.as_deref(),
            defaults.revoke_untracked_licenses,
        )?,
    })
}

fn boolean(name: &str, text: Option<&str>, default: bool) -> Result<bool, String> {
    match text.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        None | Some("") => Ok(default),
        Some("true" | "yes" | "1") => Ok(true),
        Some("false" | "no" | "0") => Ok(false),
        Some(other) => Err(format!("{name} is {other:?}: write true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Book;

    impl TenantBook for Book {
        fn find(&mut self, named: Option<&str>) -> Result<TenantNo, String> {
            match named {
                None | Some("contoso") => Ok(0),
                Some("fabrikam") => Ok(1),
                Some(other) => Err(format!("unknown tenant {other:?}")),
            }
        }
    }

    const ID: &str = "9dfb369b-ab13-4fae-a276-55daa05f1119";

    fn entry(line: u32, id: &str) -> Entry {
        Entry {
            place: Place { source: 0, line },
            id: id.to_owned(),
            kind: Some("vpp".to_owned()),
            tenant: None,
            notify: None,
            untracked: None,
            status: None,
            cells: vec![id.to_owned()],
            flaw: None,
        }
    }

    fn planner(policy: PlanPolicy) -> Planner {
        let mut planner = Planner::new(policy);
        planner.source(Source { name: "list.csv".to_owned(), columns: vec!["id".to_owned()], implied: None });
        planner
    }

    fn judge(planner: &mut Planner, entry: Entry) -> Option<PlannedRow> {
        planner.judge(entry, &Defaults::default(), &mut Book)
    }

    fn problems(planner: &mut Planner) -> Vec<String> {
        planner.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_that_is_wrong_with_a_row_is_said_at_once() {
        let mut planner = planner(PlanPolicy::default());
        let bad = Entry { kind: Some("iosToken".to_owned()), tenant: Some("acme".to_owned()), ..entry(7, "../../users") };
        assert_eq!(judge(&mut planner, bad), None);
        let said = problems(&mut planner).join("");
        assert!(said.starts_with("list.csv:7: \"../../users\" is not a GUID; unknown kind \"iosToken\""), "{said}");
        assert!(said.ends_with("unknown tenant \"acme\""), "{said}");
    }

    #[test]
    fn a_plain_duplicate_is_skipped_and_names_the_first() {
        let mut planner = planner(PlanPolicy::default());
        assert_eq!(judge(&mut planner, entry(2, ID)).unwrap().disposition, Disposition::Send);
        let again = judge(&mut planner, entry(5, &format!("{{{}}}", ID.to_uppercase()))).unwrap();
        assert_eq!(again.disposition, skipped("duplicate of line 2".to_owned()));
        let elsewhere = Entry { tenant: Some("fabrikam".to_owned()), ..entry(6, ID) };
        assert_eq!(judge(&mut planner, elsewhere).unwrap().disposition, Disposition::Send);
    }

    #[test]
    fn duplicates_that_differ_in_an_option_are_refused() {
        let mut planner = planner(PlanPolicy::default());
        judge(&mut planner, entry(2, ID));
        assert_eq!(judge(&mut planner, Entry { notify: Some("TRUE".to_owned()), ..entry(3, ID) }), None);
        assert_eq!(problems(&mut planner), ["list.csv:3: the same object as line 2, with other options: which ones are meant?"]);
    }

    #[test]
    fn bad_rows_can_become_rows_of_the_report() {
        let mut planner = planner(PlanPolicy { skip_invalid: true, ..PlanPolicy::default() });
        let row = judge(&mut planner, entry(3, "nope")).unwrap();
        assert!(matches!(row.disposition, Disposition::Settled { status: Status::Invalid, .. }));
        assert!(problems(&mut planner).is_empty());
    }

    #[test]
    fn protected_ids_are_skipped() {
        let protect = HashSet::from([ID.parse().unwrap()]);
        let mut planner = planner(PlanPolicy { protect, ..PlanPolicy::default() });
        assert_eq!(judge(&mut planner, entry(2, ID)).unwrap().disposition, skipped("protected by the configuration".to_owned()));
        assert_eq!(planner.protected(), 1);
    }

    #[test]
    fn only_picks_rows_of_a_report_by_their_status() {
        let mut planner = planner(PlanPolicy { only: Some(vec![Status::Failed]), ..PlanPolicy::default() });
        assert!(judge(&mut planner, Entry { status: Some("failed".to_owned()), ..entry(2, ID) }).is_some());
        assert!(judge(&mut planner, Entry { status: Some("revoked".to_owned()), ..entry(3, ID) }).is_none());
        assert!(judge(&mut planner, entry(4, ID)).is_none());
        assert_eq!(problems(&mut planner).len(), 1);
    }

    #[test]
    fn a_kind_that_contradicts_its_id_column_is_refused() {
        let mut planner = Planner::new(PlanPolicy::default());
        planner.source(Source { name: "l".into(), columns: vec![], implied: Some(Kind::AndroidForWork) });
        assert_eq!(judge(&mut planner, entry(2, ID)), None);
        let silent = Entry { kind: None, ..entry(3, ID) };
        assert_eq!(judge(&mut planner, silent).unwrap().kind, Some(Kind::AndroidForWork));
    }
}
