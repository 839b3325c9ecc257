//! `login` and `logout`: a person signs in once, and later runs go on in the person's name without asking anybody.

use std::path::Path;

use clap::Args;

use super::args::Place;
use super::context::Context;
use super::exit::{Exit, Quit};
use super::flags::Service;
use super::planning::resolve;
use super::preflight::{self, NoEntry};
use super::session::Session;
use super::streams;
use super::tenants::{Book, Mode};
use crate::auth::{
    Bearer, Credential, DeviceLogin, KeepError, Method, SignIn, TokenError, Wires, forget_login, login_file, prove_login_file,
};
use crate::clock::Clock;
use crate::config::{Choice, RunOptions, SignInSettings};
use crate::model::{self, Kind, TenantId, TenantRow};
use crate::plan::TenantBook as _;
use crate::report::{Curtain, plain, span};

#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    #[command(flatten)]
    place: Place,

    /// The tenant [default: the only one of the configuration]
    #[arg(long, value_name = "T", env = "BULK_REVOKE_TENANT")]
    tenant: Option<String>,

    #[command(flatten)]
    service: Service,
}

/// Signs a person in and keeps that.
pub(super) fn login(context: &Context, args: &LoginArgs) -> Result<Exit, Quit> {
    let desk = Desk::open(context, args)?;
    let done = desk.login();
    desk.close(done)
}

/// Forgets what was kept.
pub(super) fn logout(context: &Context, args: &LoginArgs) -> Result<Exit, Quit> {
    let desk = Desk::open(context, args)?;
    let done = desk.logout();
    desk.close(done)
}

/// Where a person signs in and out.
struct Desk<'a> {
    session: Session<'a>,
    tenant: Option<&'a str>,
}

impl<'a> Desk<'a> {
    fn open(context: &'a Context, args: &'a LoginArgs) -> Result<Self, Quit> {
        let flags = args.service.flags(RunOptions::default());
        let settings = context.settings(&args.place, RunOptions::default(), flags, Vec::new())?;
        context.start_log(&settings, Curtain::none());
        let state_dir = settings.state_dir.clone();
        Ok(Self { session: Session::begin(context, settings, state_dir, None)?, tenant: args.tenant.as_deref() })
    }

    fn close(self, done: Result<(), Quit>) -> Result<Exit, Quit> {
        self.session.end();
        done.map(|()| Exit::Ok)
    }

    fn login(&self) -> Result<(), Quit> {
        let (context, settings) = (self.session.context, &self.session.settings);
        let (row, of_tenant) = self.tenant()?;
        let file = login_file(&self.session.state_dir, row.id);
        let choice = of_tenant.choice.clone();
        let sign_in = sign_in(&row, of_tenant, &file)?;
        prove_login_file(&file)?;
        let wires = preflight::wires(settings, &[settings.authority.base()])?;
        self.prove(&wires, &sign_in)?;
        let begun = DeviceLogin::begin(wires, settings.authority.clone(), settings.root.scope(), sign_in, Clock::system());
        let login = self.wait(begun)?.map_err(refused)?;
        // What the person must do is said even to those who want to hear nothing else.
        streams::note(&plain(login.message()));
        context.say(&format!("waiting for {} at most; Ctrl-C gives up", span(login.life())));
        let signed_in = self.wait(login.finish())?.map_err(refused)?;
        signed_in.keep(&file)?;
        self.tell(&row, signed_in.bearer());
        if let Some(said) = left_aside(&choice) {
            context.say(&plain(&format!("{}: {said}", row.label)));
        }
        streams::data(&file.display().to_string());
        Ok(())
    }

    fn logout(&self) -> Result<(), Quit> {
        // Whoever was signed in can be forgotten even where the configuration does not know the tenant any more.
        let (tenant, label) = match self.tenant.and_then(|tenant| Some((tenant.parse::<TenantId>().ok()?, tenant))) {
            Some((tenant, label)) => (tenant, label.to_owned()),
            None => self.tenant().map(|(row, _)| (row.id, row.label))?,
        };
        let file = login_file(&self.session.state_dir, tenant);
        let said = if forget_login(&file)? {
            "the sign-in that was kept on this machine is removed; at the service it goes on until an administrator revokes \
             the person's sign-in sessions"
        } else {
            "nobody was signed in on this machine"
        };
        self.session.context.say(&format!("{}: {said}", plain(&label)));
        Ok(())
    }

    /// The tenant that was named, else the only one of the configuration.
    fn tenant(&self) -> Result<(TenantRow, SignInSettings), Quit> {
        let mut book = Book::new(Mode::Real, &self.session.settings);
        loop {
            let found = book.find(self.tenant);
            if !book.has_unresolved() {
                let number = found.map_err(|message| Quit::new(Exit::Invalid, message))?;
                return Ok((book.rows()[number as usize].clone(), book.settings_of(number).clone()));
            }
            resolve(&self.session, &mut book)?;
        }
    }

    /// Nobody is sent to sign in to a tenant that is not the expected domain's.
    fn prove(&self, wires: &Wires, sign_in: &SignIn) -> Result<(), Quit> {
        let Some(domain) = &sign_in.expect_domain else { return Ok(()) };
        let (authority, expected) = (&self.session.settings.authority, sign_in.tenant);
        let error = match self.wait(preflight::look_up(wires.to(authority.base()), authority, domain))? {
            Ok(found) if found == expected => return Ok(()),
            Ok(found) => NoEntry::Foreign { expected, found, domain: domain.clone() },
            Err(error) => NoEntry::Unproven { expected, error },
        };
        Err(Quit::new(Exit::Refused, format!("failed to {error}; nobody was signed in")))
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Quit> {
        let waited = self.session.interrupts.wait(&self.session.runtime, future);
        waited.map_err(|_| Quit::new(Exit::Interrupted, "interrupted; nobody was signed in"))
    }

    /// Who signed in, and what the token lets runs do. The service decides, so what is missing is a warning.
    fn tell(&self, row: &TenantRow, bearer: &Bearer) {
        let say = |line: String| self.session.context.say(&plain(&line));
        let (label, claims) = (&row.label, bearer.claims());
        let person = claims.person.as_deref().unwrap_or("a person whom the token does not name");
        say(format!("{label}: signed in as {person}"));
        let held = &claims.permissions;
        if held.is_empty() {
            return say(format!("warning: {label}: the token shows no permissions at all; the service decides"));
        }
        say(format!("{label}: permissions in the token: {}", held.join(", ")));
        for kind in Kind::ALL {
            let (name, permission) = (kind.name(), kind.facts().permission);
            if kind.is_permitted(held) {
                say(format!("{label}: {name}: the token shows a permission for it"));
            } else {
                say(format!("warning: {label}: {name}: the token does not show {permission}; the service decides"));
            }
        }
    }
}

fn sign_in(row: &TenantRow, settings: SignInSettings, file: &Path) -> Result<SignIn, Quit> {
    let SignInSettings { name, client_id, allow_opaque, expect_domain, .. } = settings;
    let Some(client_id) = client_id else {
        let origin = name.map_or_else(|| "[auth]".to_owned(), |name| format!("[tenants.{name}]"));
        let permissions = model::Service::ALL.map(|service| format!("{} ({service})", service.permission())).join(" and ");
        let why = format!("{} has no client_id: there is no app to sign in to", row.label);
        return Err(Quit::new(Exit::Invalid, why)
            .hint("register an app in the tenant, and allow public client flows in its registration (Authentication)")
            .hint(format!("give it the delegated permissions {permissions}, have an administrator consent, and give the person an Intune role"))
            .hint(format!("then set its client_id in {origin} of config.toml, or as AZURE_CLIENT_ID")));
    };
    Ok(SignIn {
        tenant: row.id,
        label: row.label.clone(),
        client_id,
        credential: Credential::DeviceCode(file.to_owned()),
        allow_opaque,
        expect_domain,
    })
}

/// What is to be known where runs do not, or not always, go by a person's sign-in.
fn left_aside(choice: &Choice) -> Option<String> {
    match choice.method {
        Some(Method::DeviceCode) => None,
        Some(method) => Some(format!(
            "warning: its runs do not use this sign-in: they take {method}, because {}; method = \"device-code\" changes that",
            choice.why
        )),
        None => Some("used where this machine has no identity of its own; method = \"device-code\" makes it sure".to_owned()),
    }
}

fn refused(error: TokenError) -> Quit {
    let error = NoEntry::from(error);
    Quit::new(if error.is_wrong() { Exit::Refused } else { Exit::SignIn }, format!("failed to {error}; nobody was signed in"))
}

impl From<KeepError> for Quit {
    fn from(error: KeepError) -> Self {
        Self::new(Exit::Record, format!("failed to {error}"))
            .hint("make it writable, or name another place: BULK_REVOKE_STATE_DIR or [state] dir")
    }
}
