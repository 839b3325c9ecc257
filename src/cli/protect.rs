//! Ids that are never sent: where they are read, and what becomes of items that a run was to send when they were added.

use std::collections::HashSet;

use super::context::{invalid, unreadable};
use super::exit::Quit;
use super::session::Session;
use crate::model::{Event, ItemNo, ObjectId, Phase, Problem, Stamp, Status, What};

impl Session<'_> {
    /// The ids of `[guard] protect` and of its file.
    pub(super) fn protected(&self) -> Result<HashSet<ObjectId>, Quit> {
        let mut ids: HashSet<ObjectId> = self.settings.protect.iter().copied().collect();
        let Some(path) = &self.settings.protect_file else { return Ok(ids) };
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let mut problems = Vec::new();
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty() && !text.starts_with('#')) {
            match text.parse() {
                Ok(id) => drop(ids.insert(id)),
                Err(error) => {
                    let message = format!("{:?} is {error}", text.trim());
                    problems.push(Problem::at(path.display().to_string(), line, message));
                }
            }
        }
        if problems.is_empty() { Ok(ids) } else { Err(invalid(&problems)) }
    }
}

/// Why an item that was to be sent is not.
pub(super) const PROTECTED: &str = "protected by the configuration since it was planned";

/// What a session that takes up a run again records first of an item that is protected by now; none: nothing would be
/// sent for it anyway.
pub(super) fn spared(no: ItemNo, phase: Phase, at: Stamp) -> Option<Event> {
    let (status, reason) = match phase {
        // Nothing was sent, or the service has said or shown that it had no effect.
        Phase::Ready | Phase::Settled(Status::AwaitingApproval) => (Status::Skipped, PROTECTED),
        // What is unknown is read back like anything in doubt, and never sent again.
        Phase::InFlight | Phase::InDoubt => {
            (Status::Unknown, "nothing could tell whether a request had its effect; protected by the configuration since")
        }
        Phase::Confirming | Phase::Settled(_) => return None,
    };
    Some(Event { item: Some(no), at, what: What::Settled { status, reason: reason.to_owned() } })
}
