//! Tests of the ledger, on a real disk.

mod auditing;
mod looking;
mod opening;
mod past;
mod recalling;
mod replaying;
mod rig;
mod sent;
mod writing;
