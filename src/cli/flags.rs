//! Flags that several commands share: limits, certainty, guards, where the service is.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, FalseyValueParser};
use clap::{ArgAction, Args};

use crate::config::{Flags, OnEmpty, RunOptions, deadline, duration, positive_duration, quota};
use crate::exec::{Policy, Quota};
use crate::model::Bounds;

/// Bounds of a session.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct Limits {
    /// Stop sending after that many failures; a share counts from 20 settled items on, and below 100% 20 failures in a
    /// row stop it as well [default: 50%]
    #[arg(long, value_name = "N|N%", env = "BULK_REVOKE_MAX_FAIL")]
    max_fail: Option<Bounds>,

    /// Send N items of each tenant and kind, verify them, then the rest
    #[arg(long, value_name = "N", env = "BULK_REVOKE_CANARY")]
    canary: Option<NonZeroUsize>,

    /// Requests in flight, over all tenants [default: 16]
    #[arg(long, value_name = "N", env = "BULK_REVOKE_CONCURRENCY")]
    concurrency: Option<NonZeroUsize>,

    /// The service's window per tenant, app and service; none switches it off [default: 100/20s]
    #[arg(long, value_name = "N/T", env = "BULK_REVOKE_QUOTA", value_parser = quota_arg)]
    quota: Option<QuotaArg>,

    /// An additional steady rate per tenant [default: none]
    #[arg(long, value_name = "N/T", env = "BULK_REVOKE_RATE", value_parser = quota_arg)]
    rate: Option<QuotaArg>,

    /// Attempts of one item, the first counted; being throttled does not use one up [default: 5]
    #[arg(long, value_name = "N", env = "BULK_REVOKE_MAX_ATTEMPTS")]
    max_attempts: Option<NonZeroU32>,

    /// Stop a tenant that is told to wait longer than this [default: 30m]
    #[arg(long, value_name = "T", env = "BULK_REVOKE_MAX_PAUSE", value_parser = positive_duration)]
    max_pause: Option<Duration>,

    /// One request [default: 100s]
    #[arg(long, value_name = "T", env = "BULK_REVOKE_TIMEOUT", value_parser = positive_duration)]
    timeout: Option<Duration>,

    /// The whole run [default: none]
    #[arg(long, value_name = "T", env = "BULK_REVOKE_DEADLINE", value_parser = deadline)]
    deadline: Option<Duration>,

    /// Wait so long for another run that holds a tenant [default: 0s]
    #[arg(long, value_name = "T", env = "BULK_REVOKE_LOCK_WAIT", value_parser = duration)]
    pub(super) lock_wait: Option<Duration>,
}

impl Limits {
    /// Their layer.
    pub(super) fn options(&self) -> RunOptions {
        RunOptions {
            canary: self.canary,
            concurrency: self.concurrency,
            quota: self.quota.map(|quota| quota.0),
            rate: self.rate.map(|rate| rate.0),
            max_attempts: self.max_attempts,
            max_pause: self.max_pause,
            timeout: self.timeout,
            deadline: self.deadline,
            max_fail: self.max_fail,
            ..RunOptions::default()
        }
    }
}

/// What is said where a second administrator decides.
#[derive(Debug, Args)]
#[command(next_help_heading = "Multi Admin Approval")]
pub(super) struct Approval {
    /// Why this is done: sent to tenants in which a second administrator decides, and recorded with the run; 1,024
    /// characters at most [default: the ticket]
    #[arg(long, value_name = "TEXT", env = "BULK_REVOKE_JUSTIFICATION", value_parser = justification)]
    pub(super) justification: Option<String>,

    /// Wait so long for approvals, once everything else is done [default: 0s]
    #[arg(long, value_name = "T", env = "BULK_REVOKE_APPROVAL_WAIT", value_parser = duration)]
    pub(super) approval_wait: Option<Duration>,
}

impl Approval {
    /// What is said, the ticket failing anything better.
    pub(super) fn justification(&self, ticket: Option<&String>) -> Option<String> {
        self.justification.clone().or_else(|| ticket.filter(|ticket| justification(ticket).is_ok()).cloned())
    }
}

/// Intune takes no more (its own words in 2026: "must be no greater than 1024 characters"). What it counts is not said:
/// UTF-16 units are never fewer than characters.
const JUSTIFICATION_CHARS: usize = 1_024;

fn justification(text: &str) -> Result<String, String> {
    match text.encode_utf16().count() {
        _ if text.trim().is_empty() => Err("it is empty".to_owned()),
        count if count > JUSTIFICATION_CHARS => Err(format!("{count} characters, and {JUSTIFICATION_CHARS} at most are taken")),
        _ => Ok(text.to_owned()),
    }
}

/// How sure to be, before sending and after.
#[derive(Debug, Args)]
#[command(next_help_heading = "Certainty")]
pub(super) struct Certainty {
    /// Read back what the service said yes to, until it shows [default: on]
    #[arg(long, value_name = "on|off", env = "BULK_REVOKE_VERIFY", value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    verify: Option<bool>,

    /// Read back for so long after the last request [default: 2m for Android, 15m for VPP]
    #[arg(long, value_name = "T", env = "BULK_REVOKE_VERIFY_DEADLINE", value_parser = positive_duration)]
    verify_deadline: Option<Duration>,

    /// How long a lost request may still be working at the service [default: 3s; ten times that for VPP]
    #[arg(long, value_name = "T", env = "BULK_REVOKE_SETTLE", value_parser = positive_duration)]
    settle: Option<Duration>,

    /// Do not read the objects before sending: what is lost on the way can then hardly be told
    #[arg(long, env = "BULK_REVOKE_NO_PREFLIGHT", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) no_preflight: bool,

    /// Send tokens that were re-issued since they were planned all the same
    #[arg(long, env = "BULK_REVOKE_ALLOW_REISSUED", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) allow_reissued: bool,
}

impl Certainty {
    /// These over a layer.
    pub(super) fn over(&self, options: RunOptions) -> RunOptions {
        RunOptions {
            settle: self.settle,
            verify: self.verify,
            android_deadline: self.verify_deadline,
            vpp_deadline: self.verify_deadline,
            ..options
        }
    }

    /// What they say of a session's limits beyond the settings.
    pub(super) const fn limit(&self, policy: &mut Policy) {
        policy.pins = !self.no_preflight;
        policy.allow_reissued = self.allow_reissued;
    }
}

/// What must hold before anything is sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Guards")]
pub(super) struct Guards {
    /// Refuse to start if more than N items would be sent [default: 100 where nobody can be asked]
    #[arg(long, value_name = "N|N%", env = "BULK_REVOKE_MAX_ITEMS")]
    max_items: Option<Bounds>,

    /// Go on where half or more of a tenant's items are not there
    #[arg(long, env = "BULK_REVOKE_ALLOW_MISSING", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) allow_missing: bool,

    /// What an empty list means: ok or fail [default: fail]
    #[arg(long, value_name = "ok|fail", env = "BULK_REVOKE_ON_EMPTY")]
    on_empty: Option<OnEmpty>,

    /// Revoke VPP tokens again that an earlier run revoked a short while ago
    #[arg(long, env = "BULK_REVOKE_AGAIN", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(super) again: bool,
}

impl Guards {
    /// These over a layer.
    pub(super) fn over(&self, options: RunOptions) -> RunOptions {
        RunOptions { max_items: self.max_items, on_empty: self.on_empty, ..options }
    }
}

/// A quota, or none; apart from an option that was not given.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuotaArg(pub(super) Option<Quota>);

pub(super) fn quota_arg(text: &str) -> Result<QuotaArg, String> {
    quota(text).map(QuotaArg)
}

/// Where the service is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(super) struct Service {
    /// Certificates to trust besides the system's, in PEM
    #[arg(long, value_name = "FILE", env = "BULK_REVOKE_CA_FILE")]
    ca_file: Option<PathBuf>,

    /// Graph's origin, without the version
    #[arg(long, value_name = "URL", env = "BULK_REVOKE_GRAPH_ROOT")]
    graph_root: Option<String>,

    /// The place that issues tokens
    #[arg(long, value_name = "URL", env = "BULK_REVOKE_AUTHORITY")]
    authority: Option<String>,
}

impl Service {
    /// The layer of flags, with these wishes for the run.
    pub(super) fn flags(&self, run: RunOptions) -> Flags {
        Flags {
            run,
            graph_root: self.graph_root.clone(),
            authority: self.authority.clone(),
            ca_file: self.ca_file.clone(),
            allow_missing: false,
            simulated: false,
        }
    }
}
