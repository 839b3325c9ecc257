//! Integration tests: the real binary, the library and the simulator together, in one test binary.

mod kit;

mod approval;
mod canary;
mod check;
mod crash;
mod doors;
mod faults;
mod guards;
mod inventory;
mod keeping;
mod ledger;
mod limits;
mod lists;
mod login;
mod look;
mod methods;
mod network;
mod outcomes;
mod plan;
mod preflight;
mod rejected;
mod resume;
mod round_trip;
mod run;
mod sealed;
mod secrets;
mod sign_in;
mod signals;
mod simulate;
mod tenants;
mod tidy;
mod time;
mod verify;
mod wire;
