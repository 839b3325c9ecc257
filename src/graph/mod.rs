//! Speaks to Microsoft Graph and judges every answer.
//!
//! One call is one exchange: it does not retry, sleep, count or print. What a kind's request looks like stands in
//! the model's table of kinds; what a status means stands in `verdict` and nowhere else.

mod actions;
mod address;
mod approvals;
mod challenge;
mod client;
mod fault;
mod organization;
mod probe;
mod reading;
mod root;
#[cfg(test)]
mod tests;
mod transport;
mod verdict;
mod wire;

pub use client::{ClientError, ClientPolicy, wires};
pub use organization::{Introduction, Organization, introduce};
pub use probe::{Unreachable, probe};
pub use root::{Cloud, GraphRoot, RootError};
pub use transport::{Graph, TokenSource};
