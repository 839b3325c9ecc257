//! Revokes Intune enrollment tokens and VPP licences in bulk.

pub mod exec;
pub mod model;
