//! What `config.toml` may say.

use std::path::PathBuf;
use std::time::Duration;

use super::auth_options::AuthOptions;
use super::options::RunOptions;
use super::said::Said;
use super::table::{Document, Table};
use super::value::{duration, growth, positive_duration, word};
use crate::exec::Justification;
use crate::graph::Cloud;
use crate::model::{ObjectId, Problem};

/// `config.toml`, read and not yet merged with anything.
#[derive(Debug, Default)]
pub struct ConfigFile {
    /// Its name, for messages.
    pub name: String,
    pub(super) graph: GraphOptions,
    pub(super) auth: AuthOptions,
    pub(super) tenants: Vec<TenantTable>,
    pub(super) run: RunOptions,
    pub(super) guard: GuardOptions,
    /// `[approval] mode`.
    pub(super) justification: Option<Justification>,
    pub(super) report: ReportOptions,
    pub(super) state_dir: Option<Said<PathBuf>>,
    pub(super) log: LogOptions,
}

#[derive(Debug, Default)]
pub(super) struct GraphOptions {
    pub(super) cloud: Option<Said<Cloud>>,
    pub(super) root: Option<Said<String>>,
    pub(super) authority: Option<Said<String>>,
    pub(super) ca_file: Option<Said<PathBuf>>,
    pub(super) allow_custom: bool,
}

#[derive(Debug)]
pub(super) struct TenantTable {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) auth: AuthOptions,
}

#[derive(Debug, Default)]
pub(super) struct GuardOptions {
    pub(super) protect: Vec<ObjectId>,
    pub(super) protect_file: Option<PathBuf>,
    pub(super) refuse_protected: bool,
    pub(super) vpp_again_after: Option<Duration>,
    pub(super) max_list_age: Option<Duration>,
    pub(super) max_items_per_day: Option<u64>,
    pub(super) max_growth: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct ReportOptions {
    pub(super) dir: Option<PathBuf>,
    pub(super) excel: Option<bool>,
    pub(super) delimiter: Option<u8>,
}

#[derive(Debug, Default)]
pub(super) struct LogOptions {
    pub(super) json: Option<bool>,
    pub(super) level: Option<String>,
}

impl ConfigFile {
    /// Reads a text. Everything that is wrong with it goes into `problems`.
    pub fn parse(name: &str, text: &str, problems: &mut Vec<Problem>) -> Self {
        let mut top = Document { name, text }.parse(problems);
        let mut graph = top.table("graph", problems);
        let mut auth = top.table("auth", problems);
        let mut run = top.table("run", problems);
        let mut verify = top.table("verify", problems);
        let mut guard = top.table("guard", problems);
        let mut approval = top.table("approval", problems);
        let mut report = top.table("report", problems);
        let mut state = top.table("state", problems);
        let mut log = top.table("log", problems);
        let tenants = top.table("tenants", problems).tables(problems).into_iter().map(|(name, line, mut table)| {
            let auth = AuthOptions::take(&mut table, problems);
            table.finish(problems);
            TenantTable { name, line, auth }
        });
        let file = Self {
            name: name.to_owned(),
            tenants: tenants.collect(),
            graph: GraphOptions::take(&mut graph, problems),
            auth: AuthOptions::take(&mut auth, problems),
            run: RunOptions::take(&mut run, &mut verify, problems),
            guard: GuardOptions::take(&mut guard, problems),
            justification: approval
                .value("mode", problems, |text| word(text, &[("ask", Justification::Asked), ("always", Justification::Always)])),
            report: ReportOptions::take(&mut report, problems),
            state_dir: state.said("dir", problems, |text| Ok(PathBuf::from(text))),
            log: LogOptions::take(&mut log, problems),
        };
        for table in [graph, auth, run, verify, guard, approval, report, state, log, top] {
            table.finish(problems);
        }
        file
    }
}

impl GraphOptions {
    fn take(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        Self {
            cloud: table.said("cloud", problems, str::parse),
            root: table.said("root", problems, |text| Ok(text.to_owned())),
            authority: table.said("authority", problems, |text| Ok(text.to_owned())),
            ca_file: table.said("ca_file", problems, |text| Ok(PathBuf::from(text))),
            allow_custom: table.flag("allow_custom", problems).unwrap_or(false),
        }
    }
}

impl GuardOptions {
    fn take(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let ids = table.texts("protect", problems);
        let protect = ids.into_iter().filter_map(|(line, text)| {
            let id = text.parse();
            id.map_err(|_| problems.push(table.problem(line, "protect", &format!("{text:?} is not a GUID")))).ok()
        });
        let protect = protect.collect();
        Self {
            protect,
            protect_file: table.text("protect_file", problems).map(PathBuf::from),
            refuse_protected: table
                .value("protect_mode", problems, |text| word(text, &[("skip", false), ("refuse", true)]))
                .unwrap_or(false),
            vpp_again_after: table.value("vpp_again_after", problems, duration),
            max_list_age: table.value("max_list_age", problems, positive_duration),
            max_items_per_day: table
                .value("max_items_per_day", problems, |text| text.parse().map_err(|_| format!("{text:?} is not a number"))),
            max_growth: table.value("max_growth", problems, growth),
        }
    }
}

impl ReportOptions {
    fn take(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        Self {
            dir: table.text("dir", problems).map(PathBuf::from),
            excel: table.flag("excel", problems),
            delimiter: table.value("delimiter", problems, |text| match text.as_bytes() {
                [one @ (b',' | b';' | b'\t')] => Ok(*one),
                _ => Err("one of \",\", \";\" and \"\\t\" is expected".to_owned()),
            }),
        }
    }
}

impl LogOptions {
    fn take(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        Self {
            json: table.value("format", problems, |text| word(text, &[("text", false), ("json", true)])),
            level: table.value("level", problems, |text| {
                let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
                word(text, &levels).map(str::to_owned)
            }),
        }
    }
}
