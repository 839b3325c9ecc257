//! The proxies of the environment: the HTTP client takes no notice of one whose address it cannot read, and would go past it.

use super::env::Env;
use crate::model::Problem;

/// The variables that count for https, of each sort the first that is set; nothing is sent by plain http but to this
/// machine itself. The second sort counts where the first is of no use.
const VARIABLES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

/// What the HTTP client can speak to.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// What is wrong with the proxy that somebody meant to be used. Its address may hold a password, so it is not shown.
pub(super) fn flaw(env: &Env) -> Option<Problem> {
    let set = VARIABLES.map(|sort| sort.into_iter().find_map(|name| Some((name, env.raw(name)?))));
    let set: Vec<(&str, &str)> = set.into_iter().flatten().filter(|(_, address)| !address.is_empty()).collect();
    let is_good = set.iter().any(|(_, address)| is_proxy(address));
    let (name, _) = set.first().filter(|_| !is_good)?;
    let message = "it is not the address of a proxy, such as http://proxy.example:3128 or socks5://proxy.example:1080; \
                   is there a blank or a line break at its end?";
    Some(Problem::of(*name, message))
}

/// Host and port, with or without a scheme, a user and a password; in characters that an address may have.
fn is_proxy(address: &str) -> bool {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let place = rest.split('/').next().unwrap_or_default();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (place, None),
    };
    let is_ipv6 = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ip) => ip.contains(':') && ip.chars().all(is_ipv6),
        None => !host.is_empty() && host.chars().all(is_name),
    };
    let is_known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain && is_known && is_host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_would_be_passed_over_is_told_apart() {
        for address in ["http://me:p%40ss@proxy.corp:3128/", "proxy", "proxy:8080", "[::1]:3128", "socks5h://10.0.0.1:1080"] {
            assert!(is_proxy(address), "{address}");
        }
        for address in
            ["::::garbage", "http://", "http://proxy:port", "ftp://proxy:21", "http://a:p w@proxy:1", "http://proxy:1\n"]
        {
            assert!(!is_proxy(address), "{address}");
        }
    }

    #[test]
    fn the_one_that_counts_is_judged() {
        let flaw = |variables: &[(&str, &str)]| {
            let env: Env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            super::flaw(&env).map(|problem| problem.origin)
        };
        let (good, bad) = ("http://proxy:1", "http://proxy:1 ");
        assert_eq!(flaw(&[("HTTPS_PROXY", good), ("ALL_PROXY", "socks://desktop:1")]), None);
        assert_eq!(flaw(&[("HTTPS_PROXY", ""), ("https_proxy", bad)]), None, "the first that is set counts");
        assert_eq!(flaw(&[("HTTPS_PROXY", bad), ("ALL_PROXY", good)]), None);
        assert_eq!(flaw(&[("https_proxy", bad)]).as_deref(), Some("https_proxy"));
        assert_eq!(flaw(&[("ALL_PROXY", "socks://desktop:1")]).as_deref(), Some("ALL_PROXY"));
    }
}
