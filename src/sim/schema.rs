//! The properties of each type, named as Graph names them (resource pages of 2025-07), and the ways in
//! which a revocation may show in them.

use super::options::Collection;

/// What an Android profile may look like after its token was revoked. Which it is, is not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// The expiry is the moment of the revocation.
    ExpiryNow,
    /// The expiry is some time before it.
    ExpiryPast,
    /// The property is left out.
    ExpiryMissing,
    /// The property is null.
    ExpiryNull,
    /// The property is `0001-01-01T00:00:00Z`.
    ExpiryZero,
    /// `tokenValue` is empty, and the expiry is the moment of the revocation.
    TokenEmptied,
    /// `tokenValue` is another one, and the expiry is in the past.
    TokenReplaced,
    /// Only `tokenValue` is empty. A client that never reads secrets cannot see this one.
    OnlyTokenEmptied,
}

impl Trace {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ExpiryNow,
        Self::ExpiryPast,
        Self::ExpiryMissing,
        Self::ExpiryNull,
        Self::ExpiryZero,
        Self::TokenEmptied,
        Self::TokenReplaced,
        Self::OnlyTokenEmptied,
    ];

    /// All that can be seen without reading a secret.
    pub const SHOWN: [Self; 7] = [
        Self::ExpiryNow,
        Self::ExpiryPast,
        Self::ExpiryMissing,
        Self::ExpiryNull,
        Self::ExpiryZero,
        Self::TokenEmptied,
        Self::TokenReplaced,
    ];
}

const ANDROID_FOR_WORK: [&str; 11] = [
    "accountId",
    "id",
    "displayName",
    "description",
    "createdDateTime",
    "lastModifiedDateTime",
    "tokenValue",
    "tokenExpirationDateTime",
    "enrolledDeviceCount",
    "qrCodeContent",
    "qrCodeImage",
];

const ANDROID_DEVICE_OWNER: [&str; 23] = [
    "accountId",
    "id",
    "displayName",
    "description",
    "enrollmentMode",
    "enrollmentTokenType",
    "createdDateTime",
    "lastModifiedDateTime",
    "tokenValue",
    "tokenCreationDateTime",
    "tokenExpirationDateTime",
    "enrolledDeviceCount",
    "enrollmentTokenUsageCount",
    "qrCodeContent",
    "qrCodeImage",
    "roleScopeTagIds",
    "configureWifi",
    "wifiSsid",
    "wifiPassword",
    "wifiSecurityType",
    "wifiHidden",
    "isTeamsDeviceProfile",
    "deviceNameTemplate",
];

const VPP_TOKEN: [&str; 19] = [
    "id",
    "organizationName",
    "vppTokenAccountType",
    "appleId",
    "expirationDateTime",
    "lastSyncDateTime",
    "token",
    "lastModifiedDateTime",
    "state",
    "tokenActionResults",
    "lastSyncStatus",
    "automaticallyUpdateApps",
    "countryOrRegion",
    "dataSharingConsentGranted",
    "displayName",
    "locationName",
    "claimTokenManagementFromExternalMdm",
    "roleScopeTagIds",
    "appleDeviceAppDeliveryProtocolType",
];

/// The properties of a collection's type.
pub(super) const fn properties(collection: Collection) -> &'static [&'static str] {
    match collection {
        Collection::AndroidForWork => &ANDROID_FOR_WORK,
        Collection::AndroidDeviceOwner => &ANDROID_DEVICE_OWNER,
        Collection::VppTokens => &VPP_TOKEN,
    }
}

/// The image comes only with an explicit `$select` (seen in scripts).
pub(super) fn hidden(name: &str) -> bool {
    name == "qrCodeImage"
}
