//! Lists: bytes in whatever dress Excel, PowerShell or an editor gave them, to entries with positions.
//!
//! Knows the shape of a list and nothing of its meaning: ids, kinds and tenants are judged elsewhere.

mod columns;
mod encoding;
mod format;
mod framing;
mod layout;
mod list;
mod row;

#[cfg(test)]
mod dressed;
#[cfg(test)]
mod positions;

pub use format::{Format, Options};
pub use list::List;
