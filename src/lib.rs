//! Revokes Intune enrollment tokens and VPP licences in bulk through Microsoft Graph, and says what really happened.
//!
//! One way through, room by room; imports only go down:
//!
//! ```text
//! list ─input─▶ entries ─plan─▶ items ─ledger─▶ (durable)
//!                                         │
//!                                         ▼
//!                        exec: schedule ⇄ graph → auth → HTTP
//!                               │ events, in one order
//!                               ├─1st─▶ ledger (durable)
//!                               └─2nd─▶ report (visible)
//! ```
//!
//! `cli` composes it, `config` fills the rooms' policies, `model` is the nouns they share, `clock` tells the time,
//! and `sim` is a stand-in for Graph that knows none of them.

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
