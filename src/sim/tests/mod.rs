//! The room as clients meet it: over real sockets on loopback, one file per matter.

mod approval;
mod client;
mod entra;
mod faults;
mod limits;
mod logging;
mod reading;
mod revoking;
