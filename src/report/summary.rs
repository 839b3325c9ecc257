//! `summary.json`: the run in one object, for scripts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{Doing, RunHeader};

use super::tally::{Counts, Tally};

/// Version of the file's form; rises when a name changes or goes.
const SCHEMA: u32 = 1;

/// The file.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    schema: u32,
    run: &'a str,
    job: &'a str,
    tool_version: &'a str,
    operator: &'a str,
    ticket: Option<&'a str>,
    /// The fingerprint of the sealed plan that it carried out.
    plan: Option<&'a str>,
    tenants: Vec<Tenant<'a>>,
    started_at: String,
    finished_at: Option<String>,
    seconds: Option<f64>,
    items: &'a Counts,
    requests: u64,
    throttled: u64,
    retries: u64,
    time: BTreeMap<Doing, f64>,
    stopped_by: Option<&'static str>,
    exit_code: u8,
    ledger_head: &'a str,
    ledger_rows: u64,
}

#[derive(Debug, Serialize)]
struct Tenant<'a> {
    id: String,
    label: &'a str,
    items: Counts,
    stopped_by: Option<&'static str>,
}

impl<'a> Summary<'a> {
    pub(super) fn of(header: &'a RunHeader, tally: &'a Tally, exit_code: u8) -> Self {
        let stop = |id| header.tenant_stops.iter().find(|stop| stop.tenant == id).map(|stop| stop.cause.name());
        let tenants = header.tenants.iter().enumerate().map(|(index, tenant)| Tenant {
            id: tenant.id.to_string(),
            label: &tenant.label,
            items: tally.tenant(index),
            stopped_by: stop(tenant.id),
        });
        // What stopped the whole run, else what stopped a tenant first.
        let stopped_by = header.stopped_by.map(crate::model::StoppedBy::name);
        Self {
            schema: SCHEMA,
            run: &header.run,
            job: &header.job,
            tool_version: &header.tool,
            operator: &header.operator,
            ticket: header.ticket.as_deref(),
            plan: header.sealed.as_deref(),
            tenants: tenants.collect(),
            started_at: header.started_at.to_string(),
            finished_at: header.ended_at.map(|at| at.to_string()),
            seconds: header.ended_at.map(|at| std::time::Duration::from_millis(at.millis_since(header.started_at)).as_secs_f64()),
            items: tally.counts(),
            requests: tally.requests(),
            throttled: tally.throttled(),
            retries: tally.retries(),
            time: header.spent.parts().map(|(doing, time)| (doing, time.as_secs_f64())).collect(),
            stopped_by: stopped_by.or_else(|| header.tenant_stops.first().map(|stop| stop.cause.name())),
            exit_code,
            ledger_head: &header.head,
            ledger_rows: header.events,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::sample::header;
    use super::*;

    #[test]
    fn every_part_of_the_time_is_there_in_seconds() {
        let mut header = header();
        header.spent.add(Doing::Quota, Duration::from_millis(380_250));
        let summary = serde_json::to_value(Summary::of(&header, &Tally::new(), 0)).unwrap();
        let time = serde_json::json!({
            "reading": 0.0, "sending": 0.0, "quota": 380.25, "paused": 0.0, "settling": 0.0, "verifying": 0.0
        });
        assert_eq!((&summary["time"], &summary["schema"]), (&time, &1.into()));
    }
}
