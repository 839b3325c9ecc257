//! The app that a run is bound to in each tenant (contract, section 7.6), also where only a token shows which one it is:
//! whoever is signed in to the Azure CLI tomorrow may be another.

use super::exit::{Exit, Quit};
use super::preflight::Service;
use crate::auth::Method;
use crate::model::{Event, Stamp, TenantRow, What};
use crate::report::plain;

/// Whether it is an app, or a word for one that only a token shows.
fn is_app(app: &str) -> bool {
    app != "auto" && app.parse::<Method>().is_err()
}

/// Whether what the configuration names may be what the run, or the plan, is bound to; a token may still deny it. A word
/// binds nothing: no token came, so nothing was sent, or it showed no app.
pub(super) fn may_be(now: &str, bound: &str) -> bool {
    now.eq_ignore_ascii_case(bound) || !is_app(now) || !is_app(bound)
}

/// Tenants with the apps that they are bound to from here on, out of those that they were bound to. A tenant without a
/// token stays as it is: nothing is sent there.
pub(super) fn bind(service: &Service, tenants: &[TenantRow]) -> Result<Vec<TenantRow>, Quit> {
    let bind = |bound: &TenantRow| {
        let named = service.named_app(bound.id);
        if let Some(app) = named.filter(|_| !is_app(&bound.app)) {
            return Ok(TenantRow { app: app.to_owned(), ..bound.clone() });
        }
        let is_named = named.is_some() || service.choice(bound.id).is_none();
        let Some(token) = service.tokens.first(bound.id).filter(|_| !is_named) else { return Ok(bound.clone()) };
        match (&token.claims().app, is_app(&bound.app)) {
            (None, false) => Ok(bound.clone()),
            (Some(app), false) => Ok(TenantRow { app: app.clone(), ..bound.clone() }),
            (Some(app), true) if app.eq_ignore_ascii_case(&bound.app) => Ok(bound.clone()),
            (shown, true) => {
                let shown = shown.as_ref().map_or_else(|| "shows no app".to_owned(), |app| format!("is one of the app {app}"));
                let line = format!("the run is bound to the app {} in tenant {}, and the token {shown}", bound.app, bound.label);
                Err(Quit::new(Exit::Refused, plain(&line))
                    .hint("sign in as that app, or begin anew under another name: --job NAME")
                    .hint("nothing more was sent"))
            }
        }
    };
    tenants.iter().map(bind).collect()
}

/// What the ledger is to know of tenants that are bound by now and were not before.
pub(super) fn events(before: &[TenantRow], now: &[TenantRow], at: Stamp) -> Vec<Event> {
    let news = before.iter().zip(now).filter(|(before, now)| before.app != now.app);
    let event = |row: &TenantRow| Event { item: None, at, what: What::Bound { tenant: row.id, app: row.app.clone() } };
    news.map(|(_, now)| event(now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_must_stay_and_a_word_for_one_may_turn_out_to_be_it() {
        for (now, bound, may) in [
            ("a9", "A9", true),
            ("a9", "b7", false),
            ("azure-cli", "b7", true),
            ("auto", "b7", true),
            ("azure-cli", "azure-cli", true),
            ("azure-cli", "managed-identity", true),
            ("b7", "auto", true),
        ] {
            assert_eq!(may_be(now, bound), may, "{now} {bound}");
        }
    }
}
