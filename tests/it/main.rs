//! Integration tests: the real binary, the library and the simulator together, in one test binary.

mod kit;

mod doors;
mod ledger;
mod limits;
mod lists;
mod outcomes;
mod rejected;
mod round_trip;
mod run;
mod secrets;
mod signals;
mod simulate;
mod tenants;
mod tidy;
mod wire;
