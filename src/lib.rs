//! Revokes Intune enrollment tokens and VPP licences in bulk.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod exec;
pub mod graph;
pub mod input;
pub mod ledger;
pub mod model;
pub mod plan;
pub mod report;
pub mod sim;
