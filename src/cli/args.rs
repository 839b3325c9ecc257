//! What the user may type.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::flags::{Approval, Certainty, Guards, Limits, QuotaArg, Service, quota_arg};
use super::list::InventoryArgs;
use super::login::LoginArgs;
use super::past_args::{AuditCommand, HistoryArgs, ReportArgs, RunsArgs};
use crate::config::Flags;
use crate::model::{Kind, Status};
use crate::plan::Claim;
use crate::report::Form;
use crate::sim::{Decision, Scenario};

/// Revoke Intune enrollment tokens and VPP licences in bulk, and know what really happened.
#[derive(Debug, Parser)]
#[command(name = "bulk-revoke", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,

    #[command(flatten)]
    pub(super) output: Output,
}

const AFTER_HELP: &str = "\
Each flag --some-flag can also be given as BULK_REVOKE_SOME_FLAG.

Exit codes:
  0 all done           3 invalid, nothing sent   4 sign-in, permission
  5 nothing to do      6 refused, nothing sent   7 some failed
  8 some unknown       9 some pending           10 breaker, long pause
  2 usage             11 another run            12 deadline
 13 not recorded     130 interrupted             other: a failure";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read lists, plan, send, and write a report
    Run(RunArgs),
    /// Show whom a run would hit, and stop before the first write
    Plan(PlanArgs),
    /// Export a tenant's objects of a kind as a list that `run` accepts
    List(InventoryArgs),
    /// Finish a run that was interrupted, stopped, or has items pending
    Resume(ResumeArgs),
    /// Read back what a run left unconfirmed or unknown; sends no revocation
    Verify(ResumeArgs),
    /// Write the report files of a run again, from the ledger
    Report(ReportArgs),
    /// Show the runs in the ledger
    Runs(RunsArgs),
    /// Show everything that the ledger knows of one object
    History(HistoryArgs),
    /// Check the ledger
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Check configuration, places, sign-ins and permissions; sends no revocation
    Check(CheckArgs),
    /// Sign a person in by a code that is entered in a browser, for runs with the method device-code
    Login(LoginArgs),
    /// Forget the sign-in that is kept on this machine
    Logout(LoginArgs),
    /// Serve the embedded Graph on loopback, with the lists' objects in it
    Simulate(SimulateArgs),
}

/// How to talk to the person.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Say nothing but errors
    #[arg(short, long, global = true, env = "BULK_REVOKE_QUIET", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) quiet: bool,

    /// Say more; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,

    /// Whether to show progress
    #[arg(long, global = true, env = "BULK_REVOKE_PROGRESS", value_enum, default_value_t = When::Auto)]
    pub(super) progress: When,

    /// How to write log lines (default: text, or as [log] format says)
    #[arg(long, global = true, env = "BULK_REVOKE_LOG_FORMAT", value_enum)]
    pub(super) log_format: Option<LogFormat>,

    /// Whether to use colours
    #[arg(long, global = true, env = "BULK_REVOKE_COLOR", value_enum, default_value_t = When::Auto)]
    pub(super) color: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// Where configuration and state are.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Use this config.toml [default: ./config.toml, then the user's, then /etc/bulk-revoke/config.toml]
    #[arg(short, long, value_name = "FILE", env = "BULK_REVOKE_CONFIG")]
    pub(super) config: Option<PathBuf>,
}

/// Which lists, and how to read them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lists")]
pub(super) struct ListArgs {
    /// Lists (.csv, .tsv, .txt), jobs (.toml), or - for CSV on standard input
    #[arg(value_name = "JOB", required = true)]
    pub(super) jobs: Vec<String>,

    /// The kind of rows that name none
    #[arg(long, value_name = "K", env = "BULK_REVOKE_KIND")]
    pub(super) kind: Option<String>,

    /// The tenant of rows that name none
    #[arg(long, value_name = "T", env = "BULK_REVOKE_TENANT")]
    pub(super) tenant: Option<String>,

    /// Leave all other tenants' items out
    #[arg(long, value_name = "T", env = "BULK_REVOKE_ONLY_TENANT")]
    pub(super) only_tenant: Option<String>,

    /// Which column is the id, where two could be
    #[arg(long, value_name = "NAME", env = "BULK_REVOKE_ID_COLUMN")]
    pub(super) id_column: Option<String>,

    /// Run the good rows of a list that has bad ones
    #[arg(long, env = "BULK_REVOKE_SKIP_INVALID", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) skip_invalid: bool,

    /// With a report as the list: only rows of these statuses
    #[arg(long, value_name = "STATUS,...", env = "BULK_REVOKE_ONLY", value_delimiter = ',')]
    pub(super) only: Option<Vec<Status>>,
}

/// A job, as far as planning it goes.
#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(flatten)]
    pub(super) place: Place,

    /// The job's name [default: the job's own, else the file's]
    #[arg(long, value_name = "NAME", env = "BULK_REVOKE_JOB")]
    pub(super) job: Option<String>,

    /// A change number or the like, recorded with the run
    #[arg(long, value_name = "TEXT", env = "BULK_REVOKE_TICKET")]
    pub(super) ticket: Option<String>,

    /// Run against the embedded Graph: calm, throttled or stormy. Nothing real is touched
    #[arg(long, value_name = "SCENARIO", env = "BULK_REVOKE_SIMULATE", num_args = 0..=1, require_equals = true, default_missing_value = "calm")]
    pub(super) simulate: Option<Scenario>,

    #[command(flatten)]
    pub(super) lists: ListArgs,

    #[command(flatten)]
    pub(super) guards: Guards,

    #[command(flatten)]
    pub(super) limits: Limits,

    #[command(flatten)]
    pub(super) certainty: Certainty,

    #[command(flatten)]
    pub(super) approval: Approval,

    #[command(flatten)]
    pub(super) service: Service,
}

impl JobArgs {
    /// The layer of flags.
    pub(super) fn flags(&self) -> Flags {
        let run = self.guards.over(self.certainty.over(self.limits.options()));
        let allow_missing = self.guards.allow_missing;
        Flags { simulated: self.simulate.is_some(), allow_missing, ..self.service.flags(run) }
    }
}

/// What a sealed plan says itself, or must not be made to say.
const SEALED: [&str; 13] = [
    "jobs",
    "kind",
    "tenant",
    "only_tenant",
    "id_column",
    "skip_invalid",
    "only",
    "ticket",
    "justification",
    "allow_reissued",
    "again",
    "simulate",
    "go_on",
];

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Put the report files directly into DIR
    #[arg(long, value_name = "DIR", env = "BULK_REVOKE_OUT")]
    pub(super) out: Option<PathBuf>,

    /// Stop before the first write
    #[arg(short = 'n', long, env = "BULK_REVOKE_DRY_RUN", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) dry_run: bool,

    /// Do not ask
    #[arg(short, long, env = "BULK_REVOKE_YES", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) yes: bool,

    /// Resume this job's unfinished run if there is one, else start anew: the form for schedules
    #[arg(long = "continue", env = "BULK_REVOKE_CONTINUE", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), conflicts_with_all = ["dry_run", "simulate"])]
    pub(super) go_on: bool,

    /// Send exactly what a sealed plan holds, made by plan --save, instead of lists
    #[arg(long, value_name = "FILE", env = "BULK_REVOKE_PLAN", conflicts_with_all = SEALED)]
    pub(super) plan: Option<PathBuf>,

    /// The plan must have this fingerprint, short or full. Without it only accidents are noticed: whoever can change the
    /// file can also compute its fingerprint anew
    #[arg(long, value_name = "F", env = "BULK_REVOKE_FINGERPRINT", requires = "plan")]
    pub(super) fingerprint: Option<Claim>,

    #[command(flatten)]
    pub(super) job: JobArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Seal it into FILE, to be reviewed and carried out by run --plan FILE within 24 hours
    #[arg(long, value_name = "FILE", env = "BULK_REVOKE_SAVE", conflicts_with_all = ["simulate", "no_preflight"])]
    pub(super) save: Option<PathBuf>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,

    #[command(flatten)]
    pub(super) job: JobArgs,
}

/// What takes up a run again.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The run's id, or its beginning [default: resume: the latest unfinished; verify: the latest]
    pub(super) run: Option<String>,

    #[command(flatten)]
    pub(super) place: Place,

    /// Put the report files directly into DIR
    #[arg(long, value_name = "DIR", env = "BULK_REVOKE_OUT")]
    pub(super) out: Option<PathBuf>,

    /// A run that was allowed to send is not asked about again: taken, so that scripts need not tell the commands apart
    #[arg(short = 'y', long = "yes", hide = true)]
    _yes: bool,

    #[command(flatten)]
    pub(super) limits: Limits,

    #[command(flatten)]
    pub(super) certainty: Certainty,

    #[command(flatten)]
    pub(super) approval: Approval,

    #[command(flatten)]
    pub(super) service: Service,
}

impl ResumeArgs {
    /// The layer of flags.
    pub(super) fn flags(&self) -> Flags {
        self.service.flags(self.certainty.over(self.limits.options()))
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) place: Place,

    /// Only this tenant [default: every tenant of the configuration]
    #[arg(long, visible_alias = "only-tenant", value_name = "T", env = "BULK_REVOKE_TENANT")]
    pub(super) tenant: Option<String>,

    /// Only what this kind needs; may be given several times [default: all kinds]
    #[arg(long = "kind", value_name = "K", env = "BULK_REVOKE_KIND", value_delimiter = ',')]
    pub(super) kinds: Vec<Kind>,

    #[command(flatten)]
    pub(super) service: Service,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Csv,
    Json,
}

impl From<Format> for Form {
    fn from(format: Format) -> Self {
        match format {
            Format::Table => Self::Table,
            Format::Csv => Self::Csv,
            Format::Json => Self::Json,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    #[command(flatten)]
    pub(super) lists: ListArgs,

    #[command(flatten)]
    pub(super) place: Place,

    /// Listen here [default: any free port]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) port: u16,

    /// How the service behaves: calm, throttled or stormy
    #[arg(long, value_name = "S", default_value = "calm")]
    pub(super) scenario: Scenario,

    /// The same seed behaves the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// How many writes are allowed per tenant, app and service; none switches it off [default: the scenario's]
    #[arg(long, value_name = "N/T", value_parser = quota_arg)]
    quota: Option<QuotaArg>,

    /// Let every write wait for a second administrator, who decides a second later: approve, reject, cancel, expire, or
    /// wait for never
    #[arg(long, value_name = "DECISION")]
    pub(super) approval: Option<Decision>,

    /// A certificate, as PEM, that every app may sign in with
    ///
    /// Beside the client secret, every app may use device code (the person agrees after two polls) and the tokens of the
    /// platforms simulated here, all with the secret `simulated`: a virtual machine's at /metadata/identity/oauth2/token,
    /// App Service's at /msi/token, GitHub's at /_github/token and Azure Pipelines' at /_pipelines/oidc.
    #[arg(long, value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
}

impl SimulateArgs {
    /// The quota asked for, if one was.
    pub(super) const fn quota(&self) -> Option<QuotaArg> {
        self.quota
    }
}
