//! Makes events durable, keeps plans, answers questions about the past, and holds the locks.
//!
//! One `SQLite` file in WAL mode with `synchronous=FULL`. A run and its items appear in one transaction;
//! `events` is append-only and chained by hash, and what became of an item is always folded from it.
//! Does not format anything for people.

mod audit;
mod chain;
mod error;
mod journal;
mod lock;
mod lookup;
mod open;
mod past;
mod plan;
mod read;
mod recent;
mod replay;
mod schema;
mod sent;
#[cfg(test)]
mod tests;

pub use audit::{Audited, Flaw, Spot};
pub use error::LedgerError;
pub use journal::RunJournal;
pub use lock::{LockError, TenantLock};
pub use open::{Ledger, RunNo};
pub use past::Past;
pub use plan::{NewRun, PlanWriter, Planned};
