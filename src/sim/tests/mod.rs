//! The room as clients meet it: over real sockets on loopback, one file per matter.

mod approval;
mod assertions;
mod client;
mod entra;
mod faults;
mod limits;
mod logging;
mod people;
mod platforms;
mod reading;
mod revoking;
