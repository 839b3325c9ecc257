//! Where Graph is: the clouds by name, and origins given by hand.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::auth::BaseUrl;
use crate::model::ObjectId;

/// A cloud that Microsoft documents (concept docs, "national cloud deployments").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// The global service, US GCC included.
    Global,
    /// US Government L4, "GCC High".
    UsGov,
    /// US Government L5, the Department of Defense.
    UsGovDod,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// Every cloud with a public address.
    pub const ALL: [Self; 4] = [Self::Global, Self::UsGov, Self::UsGovDod, Self::China];

    /// The name in `config.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::UsGov => "usgov",
            Self::UsGovDod => "usgov-dod",
            Self::China => "china",
        }
    }

    /// Graph's origin there.
    pub const fn root(self) -> &'static str {
        match self {
            Self::Global => "https://graph.microsoft.com",
            Self::UsGov => "https://graph.microsoft.us",
            Self::UsGovDod => "https://dod-graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// The place that issues tokens there. L4 and L5 share one.
    pub const fn authority(self) -> &'static str {
        match self {
            Self::Global => "https://login.microsoftonline.com",
            Self::UsGov | Self::UsGovDod => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }
}

impl FromStr for Cloud {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|cloud| cloud.name() == text)
            .ok_or_else(|| format!("unknown cloud {text:?}; known are {}", known()))
    }
}

/// Graph's origin without a version, such as `https://graph.microsoft.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphRoot {
    base: BaseUrl,
    /// The same, ready to be given a path.
    url: Url,
}

/// The text is no origin that tokens may be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} cannot be Graph's root: {reason}")]
pub struct RootError {
    /// What was given; withheld where it may hold a password.
    pub given: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl GraphRoot {
    /// Checks an origin: https, or plain http to a loopback address, and nothing behind the host.
    pub fn new(given: &str) -> Result<Self, RootError> {
        let refuse = |reason| RootError { given: BaseUrl::shown(given), reason };
        let url = BaseUrl::new(given).map_err(refuse)?;
        if url.has_path() {
            return Err(refuse("it must end with the host; the version (/beta) is appended"));
        }
        let base = url;
        let url = Url::parse(base.as_str()).map_err(|_| refuse("it is no URL"))?;
        Ok(Self { base, url })
    }

    /// What a token for it is asked for with.
    pub fn scope(&self) -> String {
        format!("{}/.default", self.base)
    }

    /// Its URL.
    pub const fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Whether it is this machine itself.
    pub const fn is_loopback(&self) -> bool {
        self.base.is_loopback()
    }

    /// The URL of an action, in parts that need no escape.
    pub(super) fn action(&self, collection: &str, id: ObjectId, action: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("/beta/{collection}/{id}/{action}"));
        url
    }

    /// The URL of a path under the beta version; the three actions exist only there.
    pub(super) fn beta(&self, path: &str) -> String {
        format!("{}/beta/{path}", self.base)
    }
}

impl fmt::Display for GraphRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_has_a_root_and_an_authority_that_are_accepted() {
        for cloud in Cloud::ALL {
            assert_eq!(cloud.name().parse::<Cloud>().unwrap(), cloud);
            assert_eq!(GraphRoot::new(cloud.root()).unwrap().scope(), format!("{}/.default", cloud.root()));
            assert!(crate::auth::Authority::new(cloud.authority()).is_ok());
        }
    }

    #[test]
    fn a_root_is_an_origin() {
        assert_eq!(GraphRoot::new("http://127.0.0.1:8080/").unwrap().beta("x"), "http://127.0.0.1:8080/beta/x");
        for given in [
            "https://graph.microsoft.com/beta",
            "https://graph.microsoft.com?x=/beta",
            "https://graph.microsoft.com#beta",
            "http://graph.microsoft.com",
            "graph.microsoft.com",
            "https://u:p@graph.example",
        ] {
            let error = GraphRoot::new(given).unwrap_err().to_string();
            assert!(!error.contains("u:p"), "{error}");
        }
    }
}
