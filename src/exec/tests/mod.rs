//! The loop on a paused clock with an in-memory transport: hours of a run in milliseconds.

mod pacing;
mod rig;
mod settling;
mod stopping;
