//! Where tokens come from and go to, and who said so.

use super::env::Env;
use super::file::ConfigFile;
use super::said::Said;
use super::settings::{Flags, Settings};
use crate::auth::Authority;
use crate::graph::{Cloud, GraphRoot};
use crate::model::Problem;

/// Graph's root and the authority.
pub(super) struct Places {
    pub(super) root: Said<GraphRoot>,
    pub(super) authority: Said<Authority>,
}

impl Settings {
    /// The cloud that Graph's root belongs to; none if it is a place of its own.
    pub fn cloud(&self) -> Option<Cloud> {
        of_root(&self.root.to_string())
    }
}

fn of_root(root: &str) -> Option<Cloud> {
    Cloud::ALL.into_iter().find(|cloud| cloud.root() == root)
}

/// The clouds that share this authority.
fn of_authority(authority: &str) -> Vec<Cloud> {
    Cloud::ALL.into_iter().filter(|cloud| cloud.authority() == authority).collect()
}

impl Places {
    /// Those of a simulation, which has its own.
    pub(super) fn simulated() -> Option<Self> {
        let (root, authority) = (GraphRoot::new(Cloud::Global.root()).ok()?, Authority::new(Cloud::Global.authority()).ok()?);
        Some(Self { root: Said::by("--simulate", root), authority: Said::by("--simulate", authority) })
    }

    /// Named clouds, loopback, or places that a config which an administrator chose allows.
    pub(super) fn find(
        config: &ConfigFile,
        trusted: bool,
        env: &Env,
        flags: &Flags,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let graph = &config.graph;
        let cloud = graph.cloud.clone().unwrap_or_else(|| Said::by("default", Cloud::Global));
        let by_cloud = |text: &str| Said::by(cloud.origin.clone(), text.to_owned());
        let by_flag = |flag, text: &Option<String>| text.clone().map(|text| env.said_by_flag(flag, text.clone(), &text));
        let root = by_flag("--graph-root", &flags.graph_root).or_else(|| graph.root.clone());
        let authority = by_flag("--authority", &flags.authority).or_else(|| graph.authority.clone());
        let azure = || env.said("AZURE_AUTHORITY_HOST").filter(|_| graph.cloud.is_none());
        let root = root.unwrap_or_else(|| by_cloud(cloud.value.root()));
        let authority = authority.or_else(azure).unwrap_or_else(|| by_cloud(cloud.value.authority()));
        let mut wrong = |what: &str, message: String| problems.push(Problem::of(what, message));
        let made =
            GraphRoot::new(&root.value).map_err(|error| wrong(&format!("graph root ({})", root.origin), error.to_string()));
        let root = made.ok().map(|made| root.map(|_| made));
        let made = Authority::new(&authority.value)
            .map_err(|error| wrong(&format!("authority ({})", authority.origin), error.to_string()));
        let authority = made.ok().map(|made| authority.map(|_| made));
        let mut allowed = |what: &str, (text, by): (&str, &str), is_loopback: bool, is_known: bool| {
            if !(is_known || is_loopback || graph.allow_custom && trusted) {
                let message = format!(
                    "{text} ({by}) is neither a known cloud nor loopback: tokens go there only with [graph] allow_custom = true \
                     in a config given by -c or lying in /etc"
                );
                wrong(what, message);
            }
        };
        if let Some(root) = &root {
            let text = root.value.to_string();
            allowed("graph root", (&text, &root.origin), root.value.is_loopback(), of_root(&text).is_some());
        }
        if let Some(authority) = &authority {
            let text = authority.value.to_string();
            allowed(
                "authority",
                (&text, &authority.origin),
                authority.value.base().is_loopback(),
                !of_authority(&text).is_empty(),
            );
        }
        let places = Self { root: root?, authority: authority? };
        places.are_one_clouds(problems);
        Some(places)
    }

    /// A token of one cloud is no token in another (<https://learn.microsoft.com/graph/deployments>).
    fn are_one_clouds(&self, problems: &mut Vec<Problem>) {
        let Self { root: Said { value: root, origin: by }, authority: Said { value: authority, origin } } = self;
        let (Some(cloud), others) = (of_root(&root.to_string()), of_authority(&authority.to_string())) else { return };
        if let Some(other) = others.first().filter(|_| !others.contains(&cloud)) {
            let message = format!(
                "{root} ({by}) is the cloud {}, and {authority} ({origin}) issues the tokens of {}: name one cloud, by \
                 [graph] cloud or by both places",
                cloud.name(),
                other.name()
            );
            problems.push(Problem::of("graph root", message));
        }
    }
}
