//! What a simulator is started with: the tenants, the objects in them, the seed and the behaviour.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use super::behaviour::{Behaviour, Scenario};
use super::platform::Platform;
use super::registration::Registration;

/// The three collections that hold what can be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Collection {
    /// `/deviceManagement/androidForWorkEnrollmentProfiles`
    AndroidForWork,
    /// `/deviceManagement/androidDeviceOwnerEnrollmentProfiles`
    AndroidDeviceOwner,
    /// `/deviceAppManagement/vppTokens`
    VppTokens,
}

impl Collection {
    /// All of them, in a fixed order.
    pub const ALL: [Self; 3] = [Self::AndroidForWork, Self::AndroidDeviceOwner, Self::VppTokens];

    /// The two path segments below the version.
    pub const fn segments(self) -> (&'static str, &'static str) {
        match self {
            Self::AndroidForWork => ("deviceManagement", "androidForWorkEnrollmentProfiles"),
            Self::AndroidDeviceOwner => ("deviceManagement", "androidDeviceOwnerEnrollmentProfiles"),
            Self::VppTokens => ("deviceAppManagement", "vppTokens"),
        }
    }

    /// The path segment of the action that revokes.
    pub const fn action(self) -> &'static str {
        match self {
            Self::AndroidForWork | Self::AndroidDeviceOwner => "revokeToken",
            Self::VppTokens => "revokeLicenses",
        }
    }

    /// Graph's own name of the type.
    pub(super) const fn type_name(self) -> &'static str {
        match self {
            Self::AndroidForWork => "microsoft.graph.androidForWorkEnrollmentProfile",
            Self::AndroidDeviceOwner => "microsoft.graph.androidDeviceOwnerEnrollmentProfile",
            Self::VppTokens => "microsoft.graph.vppToken",
        }
    }

    /// Any one of these application permissions allows the action (Graph Explorer's permission data, 2026-08).
    pub(super) const fn write_roles(self) -> &'static [&'static str] {
        match self {
            Self::AndroidForWork | Self::AndroidDeviceOwner => &["DeviceManagementConfiguration.ReadWrite.All"],
            Self::VppTokens => &["DeviceManagementServiceConfig.ReadWrite.All", "DeviceManagementConfiguration.ReadWrite.All"],
        }
    }

    /// Any one of these application permissions allows reading (same data).
    pub(super) const fn read_roles(self) -> &'static [&'static str] {
        match self {
            Self::AndroidForWork | Self::AndroidDeviceOwner => {
                &["DeviceManagementConfiguration.Read.All", "DeviceManagementConfiguration.ReadWrite.All"]
            }
            Self::VppTokens => &[
                "DeviceManagementServiceConfig.Read.All",
                "DeviceManagementServiceConfig.ReadWrite.All",
                "DeviceManagementConfiguration.Read.All",
                "DeviceManagementConfiguration.ReadWrite.All",
            ],
        }
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.segments().1)
    }
}

/// An object the service holds at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// The tenant it belongs to.
    pub tenant: Uuid,
    /// Where it lies.
    pub collection: Collection,
    /// Its id.
    pub id: Uuid,
}

/// A directory known to the simulated Entra.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its GUID.
    pub id: Uuid,
    /// Its verified domains; the first is the default one.
    pub domains: Vec<String>,
}

/// Everything a simulator needs to start.
#[derive(Clone)]
pub struct Options {
    /// TCP port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// The seed of every choice.
    pub seed: u64,
    /// How the service behaves.
    pub behaviour: Behaviour,
    /// The directories. Tenants that only objects name are added, without a domain.
    pub tenants: Vec<Tenant>,
    /// The objects; a repeated one counts once.
    pub objects: Vec<Object>,
    /// The client secret of every app that is not registered.
    pub secret: String,
    /// Certificates, as DER, of every app that is not registered.
    pub certificates: Vec<Vec<u8>>,
    /// The apps about which Entra knows more.
    pub registrations: Vec<Registration>,
    /// What gives an identity to the program that asks.
    pub platform: Platform,
}

impl Options {
    /// Any port, seed 1, the secret `simulated`, no tenants and no objects.
    pub fn new(behaviour: Behaviour) -> Self {
        Self {
            port: 0,
            seed: 1,
            behaviour,
            tenants: Vec::new(),
            objects: Vec::new(),
            secret: "simulated".to_owned(),
            certificates: Vec::new(),
            registrations: Vec::new(),
            platform: Platform::default(),
        }
    }

    /// The same with the behaviour of a scenario.
    pub fn of(scenario: Scenario) -> Self {
        Self::new(Behaviour::of(scenario))
    }
}
