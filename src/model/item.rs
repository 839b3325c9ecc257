//! An item is one object to revoke; a lane is the items of one tenant that share a quota.

use serde::{Deserialize, Serialize};

use super::{Kind, ObjectId, Progress, Service, TenantId};

/// An item's number in the ledger. Numbers of one run rise in the order of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemNo(pub i64);

/// The two Booleans of `revokeLicenses`; both are always sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VppOptions {
    /// Whether devices are told.
    pub notify_managed_devices: bool,
    /// Whether licences that Apple reports and Intune does not track are revoked as well.
    pub revoke_untracked_licenses: bool,
}

/// One object to revoke, judged and normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Its number in the ledger.
    pub no: ItemNo,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: ObjectId,
    /// Used for VPP tokens only.
    pub options: VppOptions,
}

/// The items of one tenant and service: they share a quota, and are sent in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// The tenant.
    pub tenant: TenantId,
    /// The service that counts.
    pub service: Service,
    /// Its items are those after this number: whoever takes a run up again need not pass over all that was finished.
    pub after: ItemNo,
    /// How many these are.
    pub items: u64,
}

/// An item on its way, with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The item.
    pub item: Item,
    /// What the ledger says of it.
    pub progress: Progress,
}
