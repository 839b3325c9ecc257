//! `plan`: what a run would do, on standard output. No report is written.

use super::args::Format;
use super::exit::{Exit, Quit};
use super::planning::Prepared;
use super::run::{Job, Mode};
use super::session::Subject;
use super::streams::{bulk, unwritten};
use super::survey::Survey;
use crate::model::RunState;
use crate::report::PlanView;

impl Mode<'_> {
    /// Whether people are shown what a run would do, with its totals.
    pub(super) fn is_shown(self) -> bool {
        matches!(self, Self::Plan(args) if args.format == Format::Table)
    }
}

impl Job<'_> {
    /// Shows whom a run would hit, if that is what was asked for: before the guards are, which may refuse it.
    pub(super) fn show(&self, prepared: &Prepared, survey: &Survey) -> Result<(), Quit> {
        let Mode::Plan(args) = self.mode else { return Ok(()) };
        let (ledger, no) = (&prepared.subject.ledger, prepared.subject.no);
        let header = ledger.run(no)?;
        let how_long = self.how_long(prepared, survey);
        let failed = |error| unwritten(&error);
        let mut view = PlanView::begin(bulk(), args.format.into(), &header, &survey.kinds).map_err(failed)?;
        let shown = ledger.rows(no, |row| view.row(&row).map_err(failed));
        match shown.and_then(|()| view.finish(how_long.as_deref()).map_err(failed)) {
            // Nobody reads on: what follows is judged all the same.
            Err(quit) if quit.lines.is_empty() => Ok(()),
            shown => shown,
        }
    }

    /// Records that the run only looked. It is fine as long as it could look.
    pub(super) fn end_plan(&self, subject: &Subject) -> Result<Exit, Quit> {
        let (ledger, no) = (&subject.ledger, subject.no);
        ledger.end_run(no, RunState::Dry, self.session.context.clock.stamp(), ledger.pending(no)?)?;
        let exit = Exit::of_run(None, &ledger.run(no)?.tenant_stops, |_| 0);
        ledger.set_exit_code(no, exit.code())?;
        Ok(exit)
    }
}
