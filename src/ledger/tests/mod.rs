//! Tests of the ledger, on a real disk.

mod auditing;
mod opening;
mod past;
mod replaying;
mod rig;
mod writing;
