//! Rows that pass between plan, ledger and report, and the head of a run.

use serde::{Deserialize, Serialize};

use super::{Kind, ObjectId, Phase, Place, Progress, Spent, Stamp, Status, StoppedBy, TenantId, TenantStop, VppOptions};

/// What the plan decided on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It is sent.
    Send,
    /// It is settled before anything is sent.
    Settled {
        /// As what.
        status: Status,
        /// Why.
        reason: String,
    },
}

/// A row of a list after it was judged, as the plan hands it to the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRow {
    /// Where it stands.
    pub place: Place,
    /// Index into the run's tenants, where known.
    pub tenant: Option<u32>,
    /// Its kind, where known.
    pub kind: Option<Kind>,
    /// Its id, where it is one.
    pub id: Option<ObjectId>,
    /// Used for VPP tokens only.
    pub options: VppOptions,
    /// One cell for each of the source's columns.
    pub cells: Vec<String>,
    /// What was decided.
    pub disposition: Disposition,
}

/// A row of the report: what the plan said and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where it stands.
    pub place: Place,
    /// Index into the run's tenants, where known.
    pub tenant: Option<u32>,
    /// Its kind, where known.
    pub kind: Option<Kind>,
    /// Its id, where it is one.
    pub id: Option<ObjectId>,
    /// Used for VPP tokens only.
    pub options: VppOptions,
    /// One cell for each of the source's columns.
    pub cells: Vec<String>,
    /// What was decided before sending.
    pub disposition: Disposition,
    /// What happened since.
    pub progress: Progress,
}

/// A list of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRow {
    /// The file as the user named it.
    pub name: String,
    /// The columns it carries.
    pub columns: Vec<String>,
}

/// A tenant of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// As the list or the configuration calls it, else the id.
    pub label: String,
    /// The app that signs in there.
    pub app: String,
}

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its items are in the ledger, and nothing was sent.
    Planned,
    /// It only looked.
    Dry,
    /// It ended before anything could be sent: a guard, a lock, a sign-in, nothing to do.
    Refused,
    /// It sends, or was killed while it did.
    Running,
    /// It ended, whether or not everything was done.
    Ended,
}

/// The head of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// Its id.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// How far it came.
    pub state: RunState,
    /// When it began.
    pub started_at: Stamp,
    /// When it ended.
    pub ended_at: Option<Stamp>,
    /// Version of the program that planned it.
    pub tool: String,
    /// Who started it.
    pub operator: String,
    /// A change number or the like.
    pub ticket: Option<String>,
    /// For tenants that ask for one before they let a second administrator decide.
    pub justification: Option<String>,
    /// The fingerprint of the sealed plan that it carries out.
    pub sealed: Option<String>,
    /// Whether that plan sends tokens that were re-issued since it was made.
    pub reissued: bool,
    /// Graph's root that it is bound to.
    pub root: String,
    /// The authority that it is bound to.
    pub authority: String,
    /// Its lists.
    pub sources: Vec<SourceRow>,
    /// Its tenants.
    pub tenants: Vec<TenantRow>,
    /// What ended it before its time.
    pub stopped_by: Option<StoppedBy>,
    /// The tenants that were stopped.
    pub tenant_stops: Vec<TenantStop>,
    /// Where the time of all its sessions went, those aside that were killed.
    pub spent: Spent,
    /// How many items it was about to send when it began to.
    pub to_send: u64,
    /// How many items were still to be finished when it last ended.
    pub pending: u64,
    /// Its exit code, once it ended.
    pub exit_code: Option<u8>,
    /// Hash of the last event, in hexadecimal.
    pub head: String,
    /// Number of events.
    pub events: u64,
}

impl RunHeader {
    /// The status and the reason of a row, if nothing more happens.
    pub fn verdict<'a>(&'a self, row: &'a Row) -> (Status, &'a str) {
        match &row.disposition {
            Disposition::Settled { status, reason } => (*status, reason),
            Disposition::Send => self.of_sent(row),
        }
    }

    fn of_sent<'a>(&'a self, row: &'a Row) -> (Status, &'a str) {
        let status = row.progress.status();
        let reason = match row.progress.phase {
            Phase::Ready if row.progress.granted => "approved, and the run ended before it was sent with its code",
            Phase::Ready if row.progress.doubted => "shown to be as it was, and the run ended before it was sent again",
            Phase::Ready => self.why_not_attempted(row),
            Phase::InFlight => "sent, and the run ended before an answer came",
            Phase::InDoubt => "it may have had its effect, and the run ended before reading back could tell",
            Phase::Confirming if row.progress.accepted => "the service said yes, and the run ended before reading back showed it",
            Phase::Confirming => "a revoke action is at work; the run ended before its end was seen",
            Phase::Settled(_) => &row.progress.reason,
        };
        (status, reason)
    }

    /// What stopped the tenant of a row, if anything did.
    pub fn stop_of(&self, row: &Row) -> Option<&TenantStop> {
        let tenant = row.tenant.and_then(|index| self.tenants.get(index as usize)).map(|tenant| tenant.id);
        let service = row.kind.map(|kind| kind.facts().service);
        let concerns = |stop: &&TenantStop| Some(stop.tenant) == tenant && (stop.service.is_none() || stop.service == service);
        self.tenant_stops.iter().find(concerns)
    }

    fn why_not_attempted(&self, row: &Row) -> &str {
        match (self.stop_of(row), self.stopped_by, self.state) {
            (Some(stop), _, _) => &stop.message,
            (None, Some(by), _) => by.reason(),
            (None, None, RunState::Dry) => "dry run: nothing was sent",
            (None, None, RunState::Refused) => "the run ended before anything could be sent",
            (None, None, RunState::Planned | RunState::Running | RunState::Ended) => "the run ended before its turn",
        }
    }
}
