//! What people and scripts see of a run: the report files, the summary at its end, the progress while it goes on.
//!
//! Text and files are functions of ledger rows and events. This room reads no clock and influences no run.

mod columns;
mod draft;
mod files;
mod findings;
mod forecast;
mod inventory;
mod lines;
mod meter;
mod object;
mod plain;
mod plan;
mod plan_totals;
mod results;
mod sheet;
mod summary;
mod tally;
mod tenants;
mod text;
mod watch;

#[cfg(test)]
mod sample;

pub use draft::{Draft, ReportError, prepare};
pub use files::{ReportWriter, Style};
pub use findings::{Finding, Mark, findings_text, skew_text};
pub use forecast::forecast_text;
pub use inventory::Inventory;
pub use plain::{plain, span};
pub use plan::PlanView;
pub use sheet::Form;
pub use tally::{Cause, Counts, Tally};
pub use text::{headline, summary_text};
pub use watch::{Curtain, Watch};
