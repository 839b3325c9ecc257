//! The embedded stand-in for Microsoft Graph and Entra on loopback. Everything it does follows from
//! its options and one seed; where the real service is unknown it chooses among all possibilities,
//! so that a client which passes here has guessed nothing. It sees no other room.

mod admission;
mod answer;
mod approval;
mod assertion;
mod behaviour;
mod clock;
mod context;
mod denial;
mod device;
mod dice;
mod entra;
mod face;
mod fault;
mod handshake;
mod issuer;
mod log;
mod options;
mod pending;
mod platform;
mod poll;
mod query;
mod quota;
mod read;
mod registration;
mod revoke;
mod route;
mod schema;
mod server;
mod service;
mod span;
mod store;
mod throttle;
mod token;
mod trouble;
mod vpp;

pub use answer::{Answer, Ending, Plan};
pub use approval::{Approval, ApprovalRecord, ApprovalStatus, Decision, UnknownDecision};
pub use behaviour::{Behaviour, Scenario, Shares, UnknownScenario, Visibility};
pub use device::Person;
pub use fault::{Call, Canned, Effect, Fault, Kind, Odds, Rule};
pub use issuer::Issuer;
pub use log::{LogEntry, max_in_flight};
pub use options::{Collection, Object, Options, Tenant};
pub use platform::{Assigned, Platform};
pub use quota::{Counting, Quota};
pub use registration::{AppSecret, FederatedCredential, Registration};
pub use revoke::{Again, Revocation};
pub use schema::Trace;
pub use server::Server;
pub use service::Service;
pub use span::Span;
pub use throttle::RetryAfter;
pub use vpp::{Meanwhile, Retention, Vpp};

#[cfg(test)]
mod tests;
