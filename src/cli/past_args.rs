//! What the user may type to ask about the past.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};

use super::args::{Format, Place};
use crate::model::ObjectId;

/// Which ledger is asked.
#[derive(Debug, Args)]
pub(super) struct Which {
    #[command(flatten)]
    pub(super) place: Place,

    /// Look among the simulated runs
    #[arg(long, action = ArgAction::SetTrue)]
    pub(super) simulated: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The run's id, or its beginning [default: the latest]
    pub(super) run: Option<String>,

    #[command(flatten)]
    pub(super) ledger: Which,

    /// Put the report files directly into DIR
    #[arg(long, value_name = "DIR", env = "BULK_REVOKE_OUT")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    #[command(flatten)]
    pub(super) ledger: Which,

    /// How to show them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// The object's id
    #[arg(value_name = "ID")]
    pub(super) id: ObjectId,

    #[command(flatten)]
    pub(super) ledger: Which,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Recompute the chain of hashes over a run's plan and events, and name the first row that does not fit
    Verify(AuditArgs),
}

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// The run's id, or its beginning [default: every run]
    pub(super) run: Option<String>,

    /// The head that summary.json or the log named, kept elsewhere: it must be in the chain
    #[arg(long, value_name = "H")]
    pub(super) head: Option<String>,

    #[command(flatten)]
    pub(super) ledger: Which,
}
