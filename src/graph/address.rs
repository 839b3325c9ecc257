//! Where objects and lists are, and which of the service's links may be followed. Pure.

use reqwest::Url;
use uuid::Uuid;

use super::root::GraphRoot;
use crate::exec::NextPage;
use crate::model::{Item, Kind};

/// The URL of one object; its id is a GUID, so nothing in it needs an escape.
pub(super) fn object(root: &GraphRoot, item: &Item) -> String {
    let facts = item.kind.facts();
    root.beta(&format!("{}/{}?$select={}", facts.collection, item.id, facts.select))
}

/// The URL of a page: the first one, or the one that the service's link names, verbatim. The error says why a link
/// is not followed, without what stands behind its path.
pub(super) fn page(root: &GraphRoot, kind: Kind, next: Option<&NextPage>) -> Result<String, String> {
    let facts = kind.facts();
    follow(root.beta(&format!("{}?$select={}", facts.collection, facts.select)), next)
}

/// The URL of a page of a tenant's approval requests.
pub(super) fn approvals(root: &GraphRoot, next: Option<&NextPage>) -> Result<String, String> {
    follow(root.beta(&format!("{APPROVALS}?$select=id,status,expirationDateTime")), next)
}

/// The URL of one approval request.
pub(super) fn approval(root: &GraphRoot, id: Uuid) -> String {
    root.beta(&format!("{APPROVALS}/{id}?$select=id,status,expirationDateTime"))
}

/// The requests that wait for a second administrator, or waited (operationApprovalRequest page, beta).
const APPROVALS: &str = "deviceManagement/operationApprovalRequests";

fn follow(first: String, next: Option<&NextPage>) -> Result<String, String> {
    let Some(NextPage(link)) = next else { return Ok(first) };
    check(&first, link).map_err(|what| format!("the service's link to the next page {what}"))?;
    Ok(link.clone())
}

/// A bearer goes with every read: never to another host, and to nothing but the list that was asked for.
fn check(first: &str, link: &str) -> Result<(), String> {
    let (Ok(first), Ok(link)) = (Url::parse(first), Url::parse(link)) else { return Err("is no URL".to_owned()) };
    if link.origin() != first.origin() {
        return Err(format!("leads to another place ({})", link.origin().ascii_serialization()));
    }
    if !link.username().is_empty() || link.password().is_some() {
        return Err("holds a user name or a password".to_owned());
    }
    // The service is known to write its paths in other cases than they were asked for.
    if !link.path().eq_ignore_ascii_case(first.path()) {
        return Err("leads out of the collection".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTION: &str = "/beta/deviceAppManagement/vppTokens";

    fn follow(link: &str) -> Result<String, String> {
        let root = GraphRoot::new("https://graph.microsoft.com").unwrap();
        page(&root, Kind::VppToken, Some(&NextPage(link.to_owned())))
    }

    #[test]
    fn a_link_into_the_same_list_is_followed_verbatim() {
        for link in [
            "https://graph.microsoft.com/beta/deviceAppManagement/vppTokens?$skiptoken=a%2Fb&%24select=id",
            "https://graph.microsoft.com/beta/deviceappmanagement/VPPTOKENS?$skiptoken=RGV2aWNl",
            "https://GRAPH.microsoft.com:443/beta/deviceAppManagement/vppTokens?$skip=100#x",
        ] {
            assert_eq!(follow(link), Ok(link.to_owned()));
        }
    }

    #[test]
    fn a_link_to_anywhere_else_is_not_followed_and_its_query_is_not_repeated() {
        let own = "https://graph.microsoft.com";
        for (link, what) in [
            (
                format!("https://graph.microsoft.com.evil.example{COLLECTION}"),
                "another place (https://graph.microsoft.com.evil.example)",
            ),
            (format!("http://graph.microsoft.com{COLLECTION}"), "another place (http://graph.microsoft.com)"),
            (format!("https://graph.microsoft.com:8443{COLLECTION}"), "another place (https://graph.microsoft.com:8443)"),
            (format!("https://graph.microsoft.com@evil.example{COLLECTION}"), "another place (https://evil.example)"),
            (format!("https://user:pass@graph.microsoft.com{COLLECTION}"), "a user name or a password"),
            (format!("https://graph.microsoft.com\\@evil.example{COLLECTION}"), "out of the collection"),
            (format!("{own}/v1.0/deviceAppManagement/vppTokens"), "out of the collection"),
            (format!("{own}/beta/deviceAppManagement/vppTokens/x"), "out of the collection"),
            (format!("{own}{COLLECTION}/../../users"), "out of the collection"),
            (format!("{own}{COLLECTION}/%2e%2e/mobileApps"), "out of the collection"),
            (format!("{own}/beta/deviceAppManagement%2FvppTokens"), "out of the collection"),
            ("data:text/plain,x".to_owned(), "another place (null)"),
            (COLLECTION.to_owned(), "is no URL"),
            (format!("//evil.example{COLLECTION}"), "is no URL"),
        ] {
            let reason = follow(&format!("{link}?$skiptoken=SECRET")).unwrap_err();
            assert!(reason.contains(what) && !reason.contains("SECRET"), "{link}: {reason}");
        }
    }
}
