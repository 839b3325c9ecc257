//! Entries to items or rejections, the guards before the first write, and the sealed plan. Opens no files, knows no CSV
//! and no SQL.

mod facts;
mod fingerprint;
mod guard;
mod known;
mod planner;
mod seal;
mod sealed;

pub use facts::{Day, Facts, Found, Guards, Last, Share};
pub use fingerprint::{Claim, Fingerprint, NotAFingerprint};
pub use guard::{Refusal, guard};
pub use planner::{DUPLICATE, Defaults, PlanPolicy, Planner, TenantBook, TenantNo};
pub use seal::{Sealer, unseal};
pub use sealed::{Flaw, PlanHead, PlanItem};
