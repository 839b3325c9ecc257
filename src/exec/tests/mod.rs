//! The loop on a paused clock with an in-memory transport: hours of a run in milliseconds.

mod doubt;
mod durable;
mod pacing;
mod pinning;
mod reading;
mod resuming;
mod rig;
mod settling;
mod stopping;
mod surveying;
mod world;
