//! What people and scripts see of a run: the report files, the summary at its end, the progress while it goes on.
//!
//! Text and files are functions of ledger rows and events. This room reads no clock and influences no run.

mod columns;
mod draft;
mod files;
mod forecast;
mod lines;
mod meter;
mod plain;
mod results;
mod summary;
mod tally;
mod text;
mod watch;

#[cfg(test)]
mod sample;

pub use draft::{ReportError, prepare};
pub use files::{ReportWriter, Style};
pub use forecast::forecast_text;
pub use plain::plain;
pub use tally::{Cause, Counts, Tally};
pub use text::{headline, summary_text};
pub use watch::{Curtain, Watch};
