//! From a path to what it asks for. Names are compared exactly, so that a client with a wrong one is told.

use super::fault::Call;
use super::options::Collection;
use super::platform::Door;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// Entra's token endpoint for a tenant, by GUID or domain.
    Token(&'a str),
    /// Entra's device codes for a tenant.
    DeviceCode(&'a str),
    /// Entra's metadata of a tenant.
    Discovery(&'a str),
    /// What a platform gives to a program that runs there.
    Platform(Door),
    /// The tenant's own record.
    Organization,
    /// A page of the requests for an approval, or the one with this id.
    Approvals(Option<&'a str>),
    /// A page of a collection.
    List(Collection),
    /// One object.
    Get(Collection, &'a str),
    /// The action that revokes.
    Revoke(Collection, &'a str),
    /// Nothing; the segment that is unknown.
    Nowhere(&'a str),
}

impl<'a> Route<'a> {
    /// Reads a path.
    pub(super) fn of(path: &'a str) -> Self {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match segments.as_slice() {
            ["metadata", "identity", "oauth2", "token"] => Self::Platform(Door::VirtualMachine),
            ["msi", "token"] => Self::Platform(Door::AppService),
            ["_github", "token"] => Self::Platform(Door::GitHub),
            ["_pipelines", "oidc"] => Self::Platform(Door::AzurePipelines),
            [tenant, "oauth2", "v2.0", "token"] => Self::Token(tenant),
            [tenant, "oauth2", "v2.0", "devicecode"] => Self::DeviceCode(tenant),
            [tenant, "v2.0", ".well-known", "openid-configuration"] => Self::Discovery(tenant),
            ["beta", rest @ ..] => Self::below_beta(rest),
            // None of the three actions exists in v1.0 (metadata of 2026-08).
            [.., last] => Self::Nowhere(last),
            [] => Self::Nowhere(""),
        }
    }

    fn below_beta(segments: &[&'a str]) -> Self {
        let known = |area: &str, name: &str| Collection::ALL.into_iter().find(|collection| collection.segments() == (area, name));
        match segments {
            ["organization"] => Self::Organization,
            ["deviceManagement", "operationApprovalRequests"] => Self::Approvals(None),
            ["deviceManagement", "operationApprovalRequests", id] => Self::Approvals(Some(id)),
            [area, name, rest @ ..] => match (known(area, name), rest) {
                (Some(collection), []) => Self::List(collection),
                (Some(collection), [id]) => Self::Get(collection, id),
                (Some(collection), [id, action]) if *action == collection.action() => Self::Revoke(collection, id),
                (Some(_), [_, action, ..]) => Self::Nowhere(action),
                (None, _) if Collection::ALL.iter().any(|one| one.segments().0 == *area) => Self::Nowhere(name),
                (None, _) => Self::Nowhere(area),
            },
            [one] => Self::Nowhere(one),
            [] => Self::Nowhere(""),
        }
    }

    /// What is asked for, and where; `None` for nowhere.
    pub(super) fn call(self) -> Option<(Call, Option<Collection>, Option<&'a str>)> {
        Some(match self {
            Self::Token(_) => (Call::Token, None, None),
            Self::DeviceCode(_) => (Call::DeviceCode, None, None),
            Self::Discovery(_) => (Call::Discovery, None, None),
            Self::Platform(_) => (Call::Platform, None, None),
            Self::Organization => (Call::Organization, None, None),
            Self::Approvals(id) => (Call::Approvals, None, id),
            Self::List(collection) => (Call::List, Some(collection), None),
            Self::Get(collection, id) => (Call::Get, Some(collection), Some(id)),
            Self::Revoke(collection, id) => (Call::Revoke, Some(collection), Some(id)),
            Self::Nowhere(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_belongs_to_its_collection() {
        let revoke = "/beta/deviceAppManagement/vppTokens/1/revokeLicenses";
        assert_eq!(Route::of(revoke), Route::Revoke(Collection::VppTokens, "1"));
        let wrong = "/beta/deviceAppManagement/vppTokens/1/revokeToken";
        assert_eq!(Route::of(wrong), Route::Nowhere("revokeToken"));
    }

    #[test]
    fn the_unknown_segment_is_named() {
        for (path, segment) in [
            ("/beta/deviceManagement/vppTokens", "vppTokens"),
            ("/beta/devicemanagement/androidForWorkEnrollmentProfiles", "devicemanagement"),
            ("/v1.0/deviceAppManagement/vppTokens/1/revokeLicenses", "revokeLicenses"),
            ("/beta/organisation", "organisation"),
            ("/", ""),
        ] {
            assert_eq!(Route::of(path), Route::Nowhere(segment), "{path}");
        }
    }
}
