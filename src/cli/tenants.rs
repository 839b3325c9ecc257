//! The tenants of a run by all their names: tables, GUIDs, domains; and what each signs in with.

use std::collections::HashMap;
use std::path::PathBuf;

use uuid::Uuid;

use super::credentials::Access;
use crate::config::{Env, Settings, SignInSettings};
use crate::model::{Problem, TenantId, TenantRow};
use crate::plan::{TenantBook, TenantNo};

/// The tenant behind a domain, or why there is none.
pub(super) type Resolved = Result<TenantId, String>;

/// How names become tenants.
pub(super) enum Mode {
    /// Tables and discovery; names that nobody knows are refused.
    Real,
    /// Every name is a tenant: nothing real is touched.
    Simulated,
}

/// The tenants of a run.
pub(super) struct Book {
    mode: Mode,
    tables: Vec<SignInSettings>,
    other: SignInSettings,
    /// Where sign-ins of people are kept.
    state_dir: PathBuf,
    /// Domains that were looked up, and those that are still to be.
    resolved: HashMap<String, Resolved>,
    unresolved: Vec<String>,
    names: HashMap<Option<String>, Result<TenantNo, String>>,
    known: HashMap<TenantId, TenantNo>,
    rows: Vec<TenantRow>,
    sign_ins: Vec<SignInSettings>,
    domains: Vec<Vec<String>>,
}

/// The tenant of rows that name none, in a simulation without configuration.
const SIMULATED_TENANT: &str = "simulated.example";

/// What the app of a simulation is derived from.
const SIMULATED_APP: &str = "app.simulated.example";

impl Book {
    pub(super) fn new(mode: Mode, settings: &Settings) -> Self {
        Self {
            mode,
            tables: settings.tenants.clone(),
            other: settings.other.clone(),
            state_dir: settings.state_dir.clone(),
            resolved: HashMap::new(),
            unresolved: Vec::new(),
            names: HashMap::new(),
            known: HashMap::new(),
            rows: Vec::new(),
            sign_ins: Vec::new(),
            domains: Vec::new(),
        }
    }

    /// A tenant that a flag names.
    pub(super) fn named(&mut self, name: Option<&str>) -> Result<Option<TenantNo>, Problem> {
        name.map(|name| self.find(Some(name)).map_err(|message| Problem::of("--only-tenant", message))).transpose()
    }

    /// The tenants in the order in which they were met.
    pub(super) fn rows(&self) -> &[TenantRow] {
        &self.rows
    }

    /// What config and environment say of one of the tenants.
    pub(super) fn settings_of(&self, number: TenantNo) -> &SignInSettings {
        &self.sign_ins[number as usize]
    }

    /// The domains by which each tenant was called.
    pub(super) fn domains(&self) -> &[Vec<String>] {
        &self.domains
    }

    /// What each tenant signs in with. Everything that is missing is said at once.
    pub(super) fn accesses(&self, env: &Env, problems: &mut Vec<Problem>) -> Vec<Access> {
        let all = self.rows.iter().zip(&self.sign_ins);
        all.filter_map(|(row, settings)| {
            let made = self.access_of(row, settings, env);
            made.map_err(|missing| problems.extend(missing)).ok()
        })
        .collect()
    }

    /// What one of the tenants signs in with.
    pub(super) fn access(&self, number: TenantNo, env: &Env) -> Result<Access, Vec<Problem>> {
        let number = number as usize;
        self.access_of(&self.rows[number], &self.sign_ins[number], env)
    }

    fn access_of(&self, row: &TenantRow, settings: &SignInSettings, env: &Env) -> Result<Access, Vec<Problem>> {
        match self.mode {
            Mode::Simulated => Ok(Access::simulated(row)),
            Mode::Real => Access::read(row, settings, env, &self.state_dir),
        }
    }

    fn look_up(&mut self, named: Option<&str>) -> Result<TenantNo, String> {
        let Some(name) = named.map(str::trim).filter(|name| !name.is_empty()) else { return self.default_tenant() };
        if let Some(table) =
            self.tables.iter().position(|table| table.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
        {
            return self.table(table);
        }
        match (name.parse::<TenantId>(), &self.mode) {
            (Ok(tenant), _) => self.by_id(tenant, name),
            (Err(_), Mode::Simulated) => self.by_domain(name),
            (Err(_), Mode::Real) if name.contains('.') => self.by_domain(name),
            (Err(_), Mode::Real) => Err(self.unknown(name)),
        }
    }

    fn default_tenant(&mut self) -> Result<TenantNo, String> {
        match (self.tables.len(), self.other.tenant.clone(), &self.mode) {
            (1, _, _) => self.table(0),
            (_, Some(tenant), _) => match tenant.parse::<TenantId>() {
                Ok(id) => self.by_id(id, &tenant),
                Err(_) => self.by_domain(&tenant),
            },
            (_, None, Mode::Simulated) => self.by_domain(SIMULATED_TENANT),
            (0, None, Mode::Real) => {
                Err("no tenant: add a tenant column, give --tenant, or set AZURE_TENANT_ID or [tenants.X]".to_owned())
            }
            (_, None, Mode::Real) => {
                Err(format!("no tenant: add a tenant column, or give --tenant; known are {}", self.table_names()))
            }
        }
    }

    fn table(&mut self, index: usize) -> Result<TenantNo, String> {
        let table = self.tables[index].clone();
        let name = table.name.clone().unwrap_or_default();
        let tenant = table.tenant.clone().ok_or_else(|| format!("tenants.{name} has no tenant_id"))?;
        let id = match tenant.parse() {
            Ok(id) => id,
            Err(_) => self.resolved(&tenant)?,
        };
        self.enter(id, &name, table)
    }

    fn by_domain(&mut self, domain: &str) -> Result<TenantNo, String> {
        let id = self.resolved(domain)?;
        let number = self.by_id(id, domain)?;
        let domain = domain.to_lowercase();
        let domains = &mut self.domains[number as usize];
        if !domains.contains(&domain) {
            domains.push(domain);
        }
        Ok(number)
    }

    /// A tenant by its GUID: that of a table, if one has it.
    pub(super) fn by_id(&mut self, id: TenantId, label: &str) -> Result<TenantNo, String> {
        for index in 0..self.tables.len() {
            if self.tables[index].tenant.as_deref().is_some_and(|tenant| tenant.parse() == Ok(id)) {
                return self.table(index);
            }
        }
        for index in 0..self.tables.len() {
            let domain = self.tables[index].tenant.clone().filter(|tenant| tenant.parse::<TenantId>().is_err());
            if let Some(domain) = domain
                && self.resolved(&domain)? == id
            {
                return self.table(index);
            }
        }
        let ours = self.other.tenant.clone();
        let is_ours = match ours.as_deref().map(|ours| (ours, ours.parse::<TenantId>())) {
            None => self.tables.is_empty(),
            Some((_, Ok(ours))) => ours == id,
            Some((domain, Err(_))) => self.resolved(domain)? == id,
        };
        match self.mode {
            Mode::Real if !is_ours => Err(self.unknown(label)),
            Mode::Real | Mode::Simulated => self.enter(id, label, self.other.clone()),
        }
    }

    /// What is known of a domain. Looking it up takes the network, so that is left to the caller: see [`Self::unresolved`].
    fn resolved(&mut self, domain: &str) -> Resolved {
        if let Mode::Simulated = self.mode {
            return Ok(derived(domain));
        }
        let domain = domain.trim().to_lowercase();
        if let Some(resolved) = self.resolved.get(&domain) {
            return resolved.clone();
        }
        if !self.unresolved.contains(&domain) {
            self.unresolved.push(domain);
        }
        Err("its domain is not looked up yet".to_owned())
    }

    /// Whether the last pass met such domains.
    pub(super) fn has_unresolved(&self) -> bool {
        !self.unresolved.is_empty()
    }

    /// Domains that must be looked up before the rows can be judged. Empty once everything is known.
    pub(super) fn unresolved(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unresolved)
    }

    /// Takes in what a domain is; names are then judged afresh.
    pub(super) fn resolve(&mut self, domain: String, resolved: Resolved) {
        self.resolved.insert(domain, resolved);
        self.names.clear();
    }

    fn enter(&mut self, id: TenantId, label: &str, settings: SignInSettings) -> Result<TenantNo, String> {
        if let Some(&number) = self.known.get(&id) {
            let first = &self.sign_ins[number as usize].name;
            return match (first, &settings.name) {
                (Some(a), Some(b)) if a != b => Err(format!("tenants.{a} and tenants.{b} are the same tenant: remove one")),
                _ => Ok(number),
            };
        }
        let number = TenantNo::try_from(self.rows.len()).map_err(|_| "too many tenants".to_owned())?;
        let label = label.parse::<TenantId>().map_or_else(|_| label.to_owned(), |id| id.to_string());
        let app = match self.mode {
            Mode::Real => settings.choice.app(settings.client_id.as_deref()),
            Mode::Simulated => derived(SIMULATED_APP).to_string(),
        };
        self.rows.push(TenantRow { id, label, app });
        self.sign_ins.push(settings);
        self.domains.push(Vec::new());
        self.known.insert(id, number);
        Ok(number)
    }

    fn unknown(&self, name: &str) -> String {
        if self.tables.is_empty() {
            format!("unknown tenant {name:?}: add a table [tenants.X] for it to config.toml")
        } else {
            format!("unknown tenant {name:?}: known are {}", self.table_names())
        }
    }

    fn table_names(&self) -> String {
        self.tables.iter().filter_map(|table| table.name.as_deref()).collect::<Vec<_>>().join(", ")
    }
}

impl TenantBook for Book {
    fn find(&mut self, named: Option<&str>) -> Result<TenantNo, String> {
        let key = named.map(|name| name.trim().to_lowercase());
        if let Some(found) = self.names.get(&key) {
            return found.clone();
        }
        let found = self.look_up(named);
        self.names.insert(key, found.clone());
        found
    }
}

/// The tenant that a simulation derives from a name: the same name is the same tenant in every run.
pub(super) fn derived(name: &str) -> TenantId {
    TenantId(Uuid::new_v5(&Uuid::NAMESPACE_DNS, name.trim().to_lowercase().as_bytes()))
}
