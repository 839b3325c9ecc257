//! Exit codes: the numbers that scripts rely on, and how a run's is derived, once, at the end.

use std::process::{ExitCode, Termination};

use crate::auth::{AuthError, SecretError};
use crate::graph::ClientError;
use crate::ledger::{LedgerError, LockError};
use crate::model::{Class, StopCause, StoppedBy, TenantStop};
use crate::report::ReportError;

/// What a script may branch on. A number that is not listed is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every item is a success or neutral.
    Ok = 0,
    /// A bug.
    Internal = 1,
    /// Wrong flags or arguments.
    Usage = 2,
    /// Configuration, job or list invalid; nothing was sent.
    Invalid = 3,
    /// Sign-in or permission stopped at least one tenant.
    SignIn = 4,
    /// Nothing to do.
    Nothing = 5,
    /// A guard refused; nothing was sent.
    Refused = 6,
    /// Some items failed.
    Failed = 7,
    /// Some items are unknown.
    Unknown = 8,
    /// Some items await approval or confirmation, or were not attempted.
    Pending = 9,
    /// The breaker, or `--max-pause`, stopped the run or a tenant.
    Stopped = 10,
    /// Another run holds the lock.
    Locked = 11,
    /// The deadline passed.
    Deadline = 12,
    /// The ledger or the report could not be written.
    Record = 13,
    /// Interrupted.
    Interrupted = 130,
}

impl Exit {
    /// Its number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    const ALL: [Self; 15] = [
        Self::Ok,
        Self::Internal,
        Self::Usage,
        Self::Invalid,
        Self::SignIn,
        Self::Nothing,
        Self::Refused,
        Self::Failed,
        Self::Unknown,
        Self::Pending,
        Self::Stopped,
        Self::Locked,
        Self::Deadline,
        Self::Record,
        Self::Interrupted,
    ];

    /// The exit code with a number.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// The exit code of a run that sent: the most serious reason wins, in the order 1, 13, 4, 10, 12, 130, 8, 7, 9, 0.
    pub fn of_run(stopped_by: Option<StoppedBy>, stops: &[TenantStop], count: impl Fn(Class) -> u64) -> Self {
        let stopped = |causes: &[StopCause]| stops.iter().any(|stop| causes.contains(&stop.cause));
        let by = |wanted| stopped_by == Some(wanted);
        let reasons = [
            (by(StoppedBy::Bug), Self::Internal),
            (by(StoppedBy::Ledger), Self::Record),
            (stopped(&[StopCause::SignIn, StopCause::Permission, StopCause::Justification]), Self::SignIn),
            (by(StoppedBy::Breaker) || by(StoppedBy::Canary) || stopped(&[StopCause::MaxPause]), Self::Stopped),
            (by(StoppedBy::Deadline), Self::Deadline),
            (by(StoppedBy::Interrupted), Self::Interrupted),
            (count(Class::Unknown) > 0, Self::Unknown),
            (count(Class::Failure) > 0, Self::Failed),
            (count(Class::Pending) > 0, Self::Pending),
        ];
        reasons.into_iter().find(|(applies, _)| *applies).map_or(Self::Ok, |(_, exit)| exit)
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// Why a command ended before it did its work: what to print, and with which code to leave.
#[derive(Debug)]
pub struct Quit {
    /// The exit code.
    pub exit: Exit,
    /// Lines for standard error, the first being the reason.
    pub lines: Vec<String>,
}

impl Quit {
    /// One line.
    pub fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self { exit, lines: vec![line.into()] }
    }

    /// A further line that says what to do.
    #[must_use]
    pub fn hint(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }
}

impl From<LedgerError> for Quit {
    fn from(error: LedgerError) -> Self {
        let exit = match &error {
            LedgerError::NoSuchRun(_) | LedgerError::Ambiguous(_) => Exit::Usage,
            LedgerError::Directory { .. }
            | LedgerError::Foreign(_)
            | LedgerError::Older { .. }
            | LedgerError::Newer { .. }
            | LedgerError::Sql { .. }
            | LedgerError::Damaged(_) => Exit::Record,
        };
        Self::new(exit, format!("failed to {error}"))
    }
}

impl From<LockError> for Quit {
    fn from(error: LockError) -> Self {
        match &error {
            LockError::Held { .. } => Self::new(Exit::Locked, error.to_string())
                .hint("wait until it has ended, then start again; or give --lock-wait, such as --lock-wait 10m"),
            LockError::Io { .. } => Self::new(Exit::Record, error.to_string()),
        }
    }
}

impl From<ReportError> for Quit {
    fn from(error: ReportError) -> Self {
        Self::new(Exit::Record, format!("failed to {error}"))
    }
}

impl From<ClientError> for Quit {
    fn from(error: ClientError) -> Self {
        Self::new(Exit::Invalid, format!("failed to {error}"))
    }
}

impl From<SecretError> for Quit {
    fn from(error: SecretError) -> Self {
        Self::new(Exit::Invalid, format!("failed to {error}"))
    }
}

impl From<AuthError> for Quit {
    fn from(error: AuthError) -> Self {
        Self::new(Exit::Invalid, format!("failed to {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(cause: StopCause) -> Vec<TenantStop> {
        vec![TenantStop {
            tenant: "9ceb2f92-2f92-9ceb-922f-eb9c922feb9c".parse().unwrap(),
            service: None,
            cause,
            message: String::new(),
        }]
    }

    #[test]
    fn the_most_serious_reason_wins() {
        let all = |_| 1;
        let failed = |class| u64::from(class == Class::Failure);
        let pending = |class| u64::from(class == Class::Pending);
        assert_eq!(Exit::of_run(Some(StoppedBy::Bug), &stop(StopCause::SignIn), all), Exit::Internal);
        assert_eq!(Exit::of_run(Some(StoppedBy::Ledger), &stop(StopCause::SignIn), all), Exit::Record);
        assert_eq!(Exit::of_run(Some(StoppedBy::Breaker), &stop(StopCause::Permission), all), Exit::SignIn);
        assert_eq!(Exit::of_run(Some(StoppedBy::Interrupted), &stop(StopCause::MaxPause), all), Exit::Stopped);
        assert_eq!(Exit::of_run(Some(StoppedBy::Deadline), &[], all), Exit::Deadline);
        assert_eq!(Exit::of_run(Some(StoppedBy::Interrupted), &[], |_| 0), Exit::Interrupted);
        assert_eq!(Exit::of_run(None, &[], all), Exit::Unknown);
        assert_eq!(Exit::of_run(None, &[], failed), Exit::Failed);
        assert_eq!(Exit::of_run(None, &[], pending), Exit::Pending);
        assert_eq!(Exit::of_run(None, &[], |_| 0), Exit::Ok);
    }
}
