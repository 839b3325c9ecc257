//! The nouns of the tool and pure functions on them: kinds, ids, entries, items, events, progress.
//!
//! Must not know other rooms, do I/O, be async, read the time, or see a terminal.

mod entry;
mod event;
mod id;
mod item;
mod judge;
mod kind;
mod limit;
mod progress;
mod report;
mod row;
mod seen;
mod spent;
mod stamp;
mod status;

pub use entry::{Entry, Place, Problem, Source};
pub use event::{
    AfterLook, Event, IllegalEvent, Look, Outcome, Reached, Reply, Ruling, StopCause, StoppedBy, TenantStop, Then, What,
};
pub use id::{NotAGuid, ObjectId, TenantId};
pub use item::{Item, ItemNo, Lane, VppOptions, Work};
pub use judge::{Finding, Standing, before, judge};
pub use kind::{Body, Kind, KindFacts, Service};
pub use limit::{Bounds, Limit};
pub use progress::{Phase, Progress};
pub use report::{LEFT_OUT, REMOVED, RESULT_COLUMNS, guard, is_result_column, is_secret_column, unguard};
pub use row::{Disposition, PlannedRow, Row, RunHeader, RunState, SourceRow, TenantRow};
pub use seen::{About, Action, ActionState, Expiry, Seen, Snapshot};
pub use spent::{Doing, Spent};
pub use stamp::Stamp;
pub use status::{Class, Status};
