//! Asks the guards, and then the person.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, Write as _};

use super::exit::{Exit, Quit};
use super::lists::Counts;
use super::planning::Prepared;
use super::run::Job;
use crate::plan::{Facts, Guards, guard};
use crate::report::plain;

/// Tenants that are named one by one before a run; nobody reads more.
const MOST_TENANTS: usize = 20;

impl Job<'_> {
    /// Says what is about to happen, and whether it may. Dry runs ask the guards and nobody else; simulated ones harm nobody.
    pub(super) fn allow(&self, prepared: &Prepared) -> Result<(), Quit> {
        let Counts { to_send, protected, .. } = prepared.counts;
        let is_simulated = self.args.simulate.is_some();
        self.context.say(&announcement(prepared));
        let facts = Facts { to_send, protected, can_ask: self.context.can_ask || is_simulated };
        let guards = Guards { max_items: self.settings.max_items, refuse_protected: self.settings.refuse_protected };
        guard(&facts, &guards).map_err(|refusal| Quit::new(Exit::Refused, refusal.to_string()).hint("nothing was sent"))?;
        if is_simulated || self.args.dry_run || self.args.yes || to_send == 0 {
            return Ok(());
        }
        if !self.context.can_ask {
            let line = "nobody can be asked whether to send; nothing was sent";
            return Err(Quit::new(Exit::Refused, line).hint("give --yes to send without asking"));
        }
        self.confirm(to_send)
    }

    /// A signal ends the question as well.
    fn confirm(&self, items: u64) -> Result<(), Quit> {
        let _ = write!(io::stderr(), "this cannot be undone; type the number of items ({items}) to go on: ");
        let (typed, answer) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            let _ = typed.send(read.map(|_| line).unwrap_or_default());
        });
        let answer = self.interrupts.wait(&self.runtime, answer)?.unwrap_or_default();
        if answer.trim() == items.to_string() { Ok(()) } else { Err(Quit::new(Exit::Refused, "not confirmed; nothing was sent")) }
    }
}

/// What is about to happen, per tenant and service.
fn announcement(prepared: &Prepared) -> String {
    let Counts { rows, to_send, protected, invalid, .. } = prepared.counts;
    let mut text = format!("{rows} rows: {to_send} to send");
    for (count, what) in [(prepared.counts.repeated(), "repeated"), (protected, "protected"), (invalid, "invalid")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    let senders = prepared.senders();
    for row in senders.iter().take(MOST_TENANTS) {
        let lanes = prepared.planned.lanes.iter().filter(|lane| lane.tenant == row.id);
        let parts: Vec<String> = lanes.map(|lane| format!("{} {}", lane.items, lane.service)).collect();
        let _ = write!(text, "\n  {} ({}): {}", plain(&row.label), row.id, parts.join(", "));
    }
    if let Some(more) = senders.len().checked_sub(MOST_TENANTS).filter(|more| *more > 0) {
        let _ = write!(text, "\n  and {more} more tenants");
    }
    text
}
