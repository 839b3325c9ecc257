//! Entries to items or rejections, and the guards before the first write. Reads no files, knows no CSV and no SQL.

mod guard;
mod known;
mod planner;

pub use guard::{Facts, Guards, Refusal, Share, guard};
pub use planner::{Defaults, PlanPolicy, Planner, TenantBook, TenantNo};
