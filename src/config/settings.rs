//! Complete settings: every layer merged, nothing optional that the run needs.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::auth_options::AuthOptions;
use super::choice::{Choice, choose};
use super::env::Env;
use super::file::{ConfigFile, GuardOptions};
use super::options::{OnEmpty, RunOptions};
use super::places::Places;
use super::proxies;
use crate::auth::Authority;
use crate::exec::{Goal, Justification, PerService, Policy, Quota, Scope};
use crate::graph::GraphRoot;
use crate::model::{Bounds, ObjectId, Problem};
use crate::plan::Guards;

/// How one tenant signs in, as far as config and environment say.
#[derive(Debug, Clone)]
pub struct SignInSettings {
    /// The table's name; none for the tenant of `[auth]` or `AZURE_TENANT_ID`, or for any other.
    pub name: Option<String>,
    /// GUID or domain.
    pub tenant: Option<String>,
    /// The app.
    pub client_id: Option<String>,
    /// The method, and what it is made of.
    pub choice: Choice,
    /// Whether a token that does not show its tenant is accepted.
    pub allow_opaque: bool,
    /// A domain that must belong to the tenant.
    pub expect_domain: Option<String>,
}

/// Who said where everything is.
#[derive(Debug)]
pub struct Origins {
    /// Of Graph's root.
    pub root: String,
    /// Of the authority.
    pub authority: String,
    /// Of the further certificates.
    pub ca_file: Option<String>,
    /// Of the ledger's place.
    pub state_dir: String,
}

/// What flags (and `BULK_REVOKE_*`) say of things that config says as well.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    /// Wishes for the run.
    pub run: RunOptions,
    /// Graph's root.
    pub graph_root: Option<String>,
    /// The authority.
    pub authority: Option<String>,
    /// Further certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// Whether many items may be unknown to the service.
    pub allow_missing: bool,
    /// Whether the run goes to its own simulator, wherever the real one would go.
    pub simulated: bool,
}

/// Everything a run needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Graph's root.
    pub root: GraphRoot,
    /// The place that issues tokens.
    pub authority: Authority,
    /// Further certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// What is wrong with the proxy of the environment.
    pub proxy_flaw: Option<Problem>,
    /// Who said where these and the ledger are.
    pub origins: Origins,
    /// The tables of `[tenants]`.
    pub tenants: Vec<SignInSettings>,
    /// `[auth]` and `AZURE_*`, for tenants without a table.
    pub other: SignInSettings,
    /// The executor's limits.
    pub policy: Policy,
    /// One request.
    pub timeout: Duration,
    /// So many items of each tenant and kind go first.
    pub canary: Option<NonZeroUsize>,
    /// Which requests say why they are made, if it can be said.
    pub justification: Justification,
    /// The guards' limits.
    pub guards: Guards,
    /// What an empty list means.
    pub on_empty: OnEmpty,
    /// Ids that are never sent.
    pub protect: Vec<ObjectId>,
    /// A file with more of them.
    pub protect_file: Option<PathBuf>,
    /// A VPP token that an earlier run revoked within this time is skipped.
    pub vpp_again_after: Duration,
    /// Where report directories are made.
    pub report_dir: PathBuf,
    /// Reports with BOM and CRLF.
    pub excel: bool,
    /// What separates the cells of a report.
    pub delimiter: u8,
    /// Where the ledger lies.
    pub state_dir: PathBuf,
    /// Logs as JSON.
    pub log_json: bool,
    /// The least serious log line that is shown.
    pub log_level: String,
}

/// The layers between the defaults and the environment.
#[derive(Debug, Default)]
pub struct Layers {
    /// `config.toml`.
    pub config: ConfigFile,
    /// Whether it was given by `-c` or lies in `/etc`, so that it may send tokens to a place of its own.
    pub trusted: bool,
    /// The `[run]` of the jobs.
    pub job: RunOptions,
    /// Flags.
    pub flags: Flags,
}

/// Merges all layers. Everything that is wrong goes into `problems`; then there may be no settings at all.
pub fn settings(layers: Layers, env: &Env, problems: &mut Vec<Problem>) -> Option<Settings> {
    let Layers { config, trusted, job, flags } = layers;
    let places = if flags.simulated { Places::simulated() } else { Places::find(&config, trusted, env, &flags, problems) };
    let [azure, task] = AuthOptions::of(env);
    let tenants = config.tenants.iter().map(|table| {
        if table.auth.tenant_id.is_none() {
            problems.push(Problem::at(&config.name, table.line, format!("tenants.{}: tenant_id is missing", table.name)));
        }
        sign_in(Some(&table.name), &[&table.auth, &config.auth, &azure, &task], env)
    });
    let tenants = tenants.collect();
    let other = sign_in(None, &[&config.auth, &azure, &task], env);
    let defaults = RunOptions { max_fail: Some(DEFAULT_MAX_FAIL), ..RunOptions::default() };
    let run = defaults.under(config.run).under_job(job).under(flags.run);
    let state_dir = env.state_dir(config.state_dir);
    if state_dir.is_none() {
        problems.push(Problem::of("state", "no place for the ledger: set BULK_REVOKE_STATE_DIR or [state] dir"));
    }
    let (Places { root, authority }, state_dir) = (places?, state_dir?);
    let ca_file = flags.ca_file.map(|file| env.said_by_flag("--ca-file", file.clone(), &file.to_string_lossy()));
    let ca_file = ca_file.or(config.graph.ca_file);
    Some(Settings {
        root: root.value,
        authority: authority.value,
        origins: Origins {
            root: root.origin,
            authority: authority.origin,
            ca_file: ca_file.as_ref().map(|said| said.origin.clone()),
            state_dir: state_dir.origin,
        },
        ca_file: ca_file.map(|said| said.value),
        proxy_flaw: proxies::flaw(env),
        tenants,
        other,
        timeout: run.timeout.unwrap_or(DEFAULT_TIMEOUT),
        canary: run.canary,
        justification: config.justification.unwrap_or(Justification::Asked),
        guards: guards(&run, &config.guard, flags.allow_missing),
        on_empty: run.on_empty.unwrap_or(OnEmpty::Fail),
        policy: policy(&run),
        protect: config.guard.protect,
        protect_file: config.guard.protect_file,
        vpp_again_after: config.guard.vpp_again_after.unwrap_or(DEFAULT_VPP_AGAIN_AFTER),
        report_dir: config.report.dir.unwrap_or_else(|| PathBuf::from("reports")),
        excel: config.report.excel.unwrap_or(false),
        delimiter: config.report.delimiter.unwrap_or(b','),
        state_dir: state_dir.value,
        log_json: config.log.json.unwrap_or(false),
        log_level: config.log.level.unwrap_or_else(|| "warn".to_owned()),
    })
}

/// Longer than the service's own edge waits, so that its 504 can still arrive.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(100);

/// More than the quota can use at any usual latency, and few enough for one front end.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(16).unwrap();

const DEFAULT_ATTEMPTS: NonZeroU32 = NonZeroU32::new(5).unwrap();

/// Half of what was sent. A layer of its own, so that a job can tighten it and not loosen it.
const DEFAULT_MAX_FAIL: Bounds = Bounds { count: None, percent: Some(50.0) };

const DEFAULT_MAX_PAUSE: Duration = Duration::from_mins(30);

/// 100 writes in 20 s per app and tenant (throttling limits page of 2025-01-14).
const DEFAULT_QUOTA: Quota = Quota { count: NonZeroU32::new(100).unwrap(), per: Duration::from_secs(20) };

/// How long a lost request may still be working at the service.
const DEFAULT_SETTLE: Duration = Duration::from_secs(3);

/// VPP actions are taken in by a slower part of the service.
const VPP_SETTLES: u32 = 10;

/// Android profiles show a revocation within seconds, as a rule.
const DEFAULT_ANDROID_DEADLINE: Duration = Duration::from_mins(2);

/// A VPP action of a large token takes minutes.
const DEFAULT_VPP_DEADLINE: Duration = Duration::from_mins(15);

const DEFAULT_PIN_MAX_AGE: Duration = Duration::from_mins(1);

/// A reading that is too old as soon as it comes would never let its item be sent.
const LEAST_PIN_AGE: Duration = Duration::from_secs(1);

/// A VPP token that was revoked within this time is not revoked again.
const DEFAULT_VPP_AGAIN_AFTER: Duration = Duration::from_hours(24);

fn policy(run: &RunOptions) -> Policy {
    let settle = run.settle.unwrap_or(DEFAULT_SETTLE);
    Policy {
        concurrency: run.concurrency.unwrap_or(DEFAULT_CONCURRENCY),
        quota: run.quota.unwrap_or(Some(DEFAULT_QUOTA)),
        rate: run.rate.flatten(),
        max_attempts: run.max_attempts.unwrap_or(DEFAULT_ATTEMPTS),
        max_pause: run.max_pause.unwrap_or(DEFAULT_MAX_PAUSE),
        deadline: run.deadline.filter(|deadline| !deadline.is_zero()),
        max_fail: run.max_fail.unwrap_or_default(),
        scope: Scope::All,
        justification: Justification::None,
        goal: Goal::Revoke,
        settle: PerService { android: settle, vpp: settle * VPP_SETTLES },
        verify: run.verify.unwrap_or(true),
        verify_deadline: PerService {
            android: run.android_deadline.unwrap_or(DEFAULT_ANDROID_DEADLINE),
            vpp: run.vpp_deadline.unwrap_or(DEFAULT_VPP_DEADLINE),
        },
        pins: true,
        pin_max_age: run.pin_max_age.unwrap_or(DEFAULT_PIN_MAX_AGE).max(LEAST_PIN_AGE),
        pinned_until: Duration::ZERO,
        allow_reissued: false,
    }
}

fn guards(run: &RunOptions, guard: &GuardOptions, allow_missing: bool) -> Guards {
    Guards {
        max_list_age: guard.max_list_age,
        allow_missing,
        refuse_protected: guard.refuse_protected,
        max_items: run.max_items.unwrap_or_default(),
        max_items_per_day: guard.max_items_per_day,
        max_growth: guard.max_growth,
    }
}

fn sign_in(name: Option<&str>, layers: &[&AuthOptions], env: &Env) -> SignInSettings {
    let (choice, merged) = choose(layers, env);
    SignInSettings {
        name: name.map(str::to_owned),
        tenant: merged.tenant_id.map(|said| said.value),
        client_id: merged.client_id.map(|said| said.value),
        choice,
        allow_opaque: merged.allow_opaque_token.unwrap_or(false),
        expect_domain: merged.expect_domain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Cloud;
    use crate::model::Limit;

    fn env(variables: &[(&str, &str)]) -> Env {
        let home = [("HOME", "/home/me")];
        home.iter().chain(variables).map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn merged(text: &str, trusted: bool, variables: &[(&str, &str)], flags: Flags) -> Result<Settings, Vec<String>> {
        let mut problems = Vec::new();
        let config = ConfigFile::parse("config.toml", text, &mut problems);
        let job = RunOptions { max_fail: Some(Limit::Percent(100.0).into()), ..RunOptions::default() };
        let settings = settings(Layers { config, trusted, job, flags }, &env(variables), &mut problems);
        settings.filter(|_| problems.is_empty()).ok_or_else(|| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn flags_are_stronger_than_the_config_and_the_config_than_the_defaults() {
        let flags =
            Flags { run: RunOptions { timeout: Some(Duration::from_secs(7)), ..RunOptions::default() }, ..Flags::default() };
        let settings = merged("[run]\ntimeout = \"5s\"\nmax_attempts = 2\n", false, &[], flags).unwrap();
        assert_eq!((settings.timeout.as_secs(), settings.policy.max_attempts.get()), (7, 2));
        assert_eq!((settings.policy.concurrency.get(), settings.policy.quota), (16, Some(DEFAULT_QUOTA)));
    }

    #[test]
    fn a_job_does_not_loosen_even_a_default() {
        assert_eq!(merged("", false, &[], Flags::default()).unwrap().policy.max_fail, DEFAULT_MAX_FAIL);
        let bounds = merged("[run]\nmax_fail = 3\n", false, &[], Flags::default()).unwrap().policy.max_fail;
        assert_eq!(bounds, Bounds { count: Some(3), percent: Some(100.0) });
    }

    #[test]
    fn the_variables_of_azure_fill_only_what_the_config_does_not_say() {
        let azure = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "env"), ("AZURE_CLIENT_SECRET", "s3cr3t")];
        let text =
            "[auth]\nclient_id = \"auth\"\n[tenants.contoso]\ntenant_id = \"contoso.com\"\nclient_secret = \"env:OTHER\"\n";
        let settings = merged(text, false, &azure, Flags::default()).unwrap();
        assert_eq!(settings.other.client_id.as_deref(), Some("auth"));
        assert_eq!(settings.other.tenant.as_deref(), Some("t"));
        let contoso = &settings.tenants[0];
        assert_eq!((contoso.tenant.as_deref(), contoso.client_id.as_deref()), (Some("contoso.com"), Some("auth")));
        let values: Vec<String> = contoso.choice.values.iter().map(|(key, origin)| format!("{key}: {origin}")).collect();
        assert_eq!(
            values,
            [
                "tenant_id: config.toml:4 ([tenants.contoso] tenant_id)",
                "client_id: config.toml:2 ([auth] client_id)",
                "client_secret: config.toml:5 ([tenants.contoso] client_secret)",
            ]
        );
        assert!(!format!("{settings:?}").contains("s3cr3t"));
    }

    #[test]
    fn tokens_go_to_a_place_of_ones_own_only_by_a_config_that_was_chosen() {
        let text = "[graph]\nallow_custom = true\nroot = \"https://graph.example\"\n";
        assert!(merged(text, true, &[], Flags::default()).is_ok());
        assert!(merged(text, false, &[], Flags::default()).unwrap_err()[0].contains("allow_custom"));
        let by_flag = Flags { authority: Some("https://login.example".to_owned()), ..Flags::default() };
        assert!(merged("", true, &[], by_flag).is_err());
        assert!(merged("", false, &[("AZURE_AUTHORITY_HOST", "https://login.example")], Flags::default()).is_err());
        let loopback = Flags { graph_root: Some("http://127.0.0.1:9".to_owned()), ..Flags::default() };
        assert!(merged("", false, &[], loopback).is_ok());
    }

    #[test]
    fn a_cloud_by_name_brings_its_own_authority() {
        let settings = merged("[graph]\ncloud = \"usgov\"\n", false, &[], Flags::default()).unwrap();
        assert_eq!(settings.root.to_string(), "https://graph.microsoft.us");
        assert_eq!(settings.authority.to_string(), "https://login.microsoftonline.us");
        assert_eq!((settings.cloud(), settings.origins.root.as_str()), (Some(Cloud::UsGov), "config.toml:2 ([graph] cloud)"));
    }

    #[test]
    fn a_cloud_that_is_named_is_stronger_than_the_authority_of_the_environment() {
        let azure = [("AZURE_AUTHORITY_HOST", "https://login.chinacloudapi.cn/")];
        let settings = merged("[graph]\ncloud = \"usgov\"\n", false, &azure, Flags::default()).unwrap();
        assert_eq!(settings.authority.to_string(), "https://login.microsoftonline.us");
        let settings = merged("[graph]\nroot = \"http://127.0.0.1:9\"\n", false, &azure, Flags::default()).unwrap();
        assert_eq!(settings.authority.to_string(), "https://login.chinacloudapi.cn");
        assert_eq!(settings.origins.authority, "AZURE_AUTHORITY_HOST");
    }

    #[test]
    fn a_root_of_one_cloud_with_the_authority_of_another_is_refused_with_who_said_which() {
        let azure = [("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us")];
        let wrong = merged("", false, &azure, Flags::default()).unwrap_err();
        assert_eq!(
            wrong,
            ["graph root: https://graph.microsoft.com (default) is the cloud global, and https://login.microsoftonline.us \
              (AZURE_AUTHORITY_HOST) issues the tokens of usgov: name one cloud, by [graph] cloud or by both places"]
        );
        // L4 and L5 share their authority.
        let root = Flags { graph_root: Some("https://dod-graph.microsoft.us".to_owned()), ..Flags::default() };
        assert_eq!(merged("", false, &azure, root).unwrap().cloud(), Some(Cloud::UsGovDod));
    }
}
