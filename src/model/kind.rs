//! What can be revoked, as one table: names, request, permission, how to read the object back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of object, named as Graph names the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `androidForWorkEnrollmentProfile`, the older dedicated-device profile.
    #[serde(rename = "androidForWorkEnrollmentProfile")]
    AndroidForWork,
    /// `androidDeviceOwnerEnrollmentProfile`, all current Android Enterprise corporate profiles.
    #[serde(rename = "androidDeviceOwnerEnrollmentProfile")]
    AndroidDeviceOwner,
    /// `vppToken`, an Apple volume-purchase token.
    #[serde(rename = "vppToken")]
    VppToken,
}

/// The part of Intune that counts requests: Android and VPP have a quota each (throttling limits page of 2025-01-14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// "Intune android for work" in the limits page.
    Android,
    /// "Intune device enrollment" in the limits page.
    Vpp,
}

/// What goes into the body of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing, and `Content-Length: 0`.
    Empty,
    /// Both Booleans of `revokeLicenses`, always.
    VppOptions,
}

/// One row of the table of kinds.
#[derive(Debug)]
pub struct KindFacts {
    /// Graph's own type name, also the canonical name in lists and reports.
    pub name: &'static str,
    /// What else a list may say.
    pub aliases: &'static [&'static str],
    /// Id columns that imply the kind, folded as [`Kind::fold`] does.
    pub id_columns: &'static [&'static str],
    /// Path of the collection under the API version.
    pub collection: &'static str,
    /// The action's segment behind the id.
    pub action: &'static str,
    /// What the action wants as its body.
    pub body: Body,
    /// Whose quota it uses.
    pub service: Service,
    /// The application permission that the action's page names.
    pub permission: &'static str,
    /// Permissions that other pages and the permissions file of 2026-08 name for the action as well.
    pub also_permitted: &'static [&'static str],
    /// The least permission that lets it be read; those above do as well.
    pub read_permission: &'static str,
    /// The properties that may be read: none of them is secret.
    pub select: &'static str,
}

const ANDROID_FOR_WORK: KindFacts = KindFacts {
    name: "androidForWorkEnrollmentProfile",
    aliases: &["android-for-work", "afw"],
    id_columns: &["androidforworkenrollmentprofileid"],
    collection: "deviceManagement/androidForWorkEnrollmentProfiles",
    action: "revokeToken",
    body: Body::Empty,
    service: Service::Android,
    permission: "DeviceManagementConfiguration.ReadWrite.All",
    also_permitted: &[],
    read_permission: "DeviceManagementConfiguration.Read.All",
    select: "id,displayName,tokenExpirationDateTime,enrolledDeviceCount",
};

const ANDROID_DEVICE_OWNER: KindFacts = KindFacts {
    name: "androidDeviceOwnerEnrollmentProfile",
    aliases: &["android-device-owner", "device-owner"],
    id_columns: &["androiddeviceownerenrollmentprofileid"],
    collection: "deviceManagement/androidDeviceOwnerEnrollmentProfiles",
    action: "revokeToken",
    body: Body::Empty,
    service: Service::Android,
    permission: "DeviceManagementConfiguration.ReadWrite.All",
    also_permitted: &[],
    read_permission: "DeviceManagementConfiguration.Read.All",
    select: "id,displayName,enrollmentMode,tokenCreationDateTime,tokenExpirationDateTime,enrolledDeviceCount",
};

const VPP_TOKEN: KindFacts = KindFacts {
    name: "vppToken",
    aliases: &["vpp-token", "vpp"],
    id_columns: &["vpptokenid"],
    collection: "deviceAppManagement/vppTokens",
    action: "revokeLicenses",
    body: Body::VppOptions,
    service: Service::Vpp,
    permission: "DeviceManagementServiceConfig.ReadWrite.All",
    also_permitted: &["DeviceManagementConfiguration.ReadWrite.All", "DeviceManagementApps.ReadWrite.All"],
    read_permission: "DeviceManagementServiceConfig.Read.All",
    select: "id,displayName,organizationName,appleId,locationName,state,expirationDateTime,tokenActionResults",
};

impl Kind {
    /// Every kind, in the order in which they are documented.
    pub const ALL: [Self; 3] = [Self::AndroidForWork, Self::AndroidDeviceOwner, Self::VppToken];

    /// The kind's row of the table.
    pub const fn facts(self) -> &'static KindFacts {
        match self {
            Self::AndroidForWork => &ANDROID_FOR_WORK,
            Self::AndroidDeviceOwner => &ANDROID_DEVICE_OWNER,
            Self::VppToken => &VPP_TOKEN,
        }
    }

    /// Graph's type name.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// Whether one of these permissions is known to allow the action. The sources disagree, so the service decides.
    pub fn is_permitted(self, held: &[String]) -> bool {
        let facts = self.facts();
        let mut known = facts.also_permitted.iter().chain([&facts.permission]);
        known.any(|known| held.iter().any(|held| held.eq_ignore_ascii_case(known)))
    }

    /// The kind that an id column implies by its (folded) name, if it names one.
    pub fn of_id_column(folded: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.facts().id_columns.contains(&folded))
    }

    /// A name as columns and kinds are compared: lower case, without spaces, `_` and `-`.
    pub fn fold(name: &str) -> String {
        name.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '\u{feff}')).flat_map(char::to_lowercase).collect()
    }
}

/// No kind has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind {0:?}; known are androidForWorkEnrollmentProfile, androidDeviceOwnerEnrollmentProfile and vppToken")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        // As most rows of a long list write it: without a copy of every name.
        if let Some(kind) = Self::ALL.into_iter().find(|kind| kind.name() == text || kind.facts().aliases.contains(&text)) {
            return Ok(kind);
        }
        let folded = Self::fold(text);
        let bare = folded.strip_prefix("#microsoft.graph.").unwrap_or(&folded);
        Self::ALL
            .into_iter()
            .find(|kind| Self::fold(kind.name()) == bare || kind.facts().aliases.iter().any(|alias| Self::fold(alias) == bare))
            .ok_or_else(|| UnknownKind(text.trim().to_owned()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Service {
    /// Every service with a quota of its own.
    pub const ALL: [Self; 2] = [Self::Android, Self::Vpp];

    /// The application permission that its actions' pages name.
    pub fn permission(self) -> &'static str {
        Kind::ALL.into_iter().find(|kind| kind.facts().service == self).map_or("", |kind| kind.facts().permission)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Android => "Android",
            Self::Vpp => "VPP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_alias_is_understood_in_any_dress() {
        for kind in Kind::ALL {
            for name in kind.facts().aliases.iter().chain([&kind.name()]) {
                assert_eq!(name.parse::<Kind>().unwrap(), kind);
                assert_eq!(format!(" #microsoft.graph.{} ", name.to_uppercase()).parse::<Kind>().unwrap(), kind);
            }
        }
        assert!("iosToken".parse::<Kind>().is_err());
    }

    #[test]
    fn no_select_list_names_a_secret_property() {
        for kind in Kind::ALL {
            for property in kind.facts().select.split(',') {
                assert!(
                    !["tokenValue", "qrCodeContent", "qrCodeImage", "wifiPassword", "token"].contains(&property),
                    "{property}"
                );
            }
        }
    }

    #[test]
    fn any_permission_that_a_source_names_will_do() {
        let held = |name: &str| [name.to_owned()];
        assert!(Kind::VppToken.is_permitted(&held("deviceManagementConfiguration.ReadWrite.All")));
        assert!(Kind::VppToken.is_permitted(&held("DeviceManagementServiceConfig.ReadWrite.All")));
        assert!(!Kind::AndroidForWork.is_permitted(&held("DeviceManagementServiceConfig.ReadWrite.All")));
        assert!(!Kind::AndroidForWork.is_permitted(&held("DeviceManagementConfiguration.Read.All")));
    }

    #[test]
    fn serde_names_are_the_canonical_names() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.name()));
        }
    }
}
