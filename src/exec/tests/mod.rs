//! The loop on a paused clock with an in-memory transport: hours of a run in milliseconds.

mod approving;
mod canaries;
mod doubt;
mod durable;
mod expiring;
mod pacing;
mod pinning;
mod quota;
mod reading;
mod resuming;
mod rig;
mod sealing;
mod settling;
mod spending;
mod stopping;
mod surveying;
mod tenants;
mod world;
