//! What can go wrong with the ledger, in words that name the file.

use std::io;
use std::path::PathBuf;

/// Why the ledger cannot be used. Reads after "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The state directory, or the file in it, cannot be made or used.
    #[error("use {path}: {source} (set BULK_REVOKE_STATE_DIR or [state] dir)", path = path.display())]
    Directory {
        /// The directory or the file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file belongs to another program.
    #[error("use {path}: it is a database of another program", path = .0.display())]
    Foreign(PathBuf),
    /// The file was written before the first release.
    #[error(
        "use {path}: a pre-release of bulk-revoke wrote it (schema {found}): move it away; this version starts a new one",
        path = path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// The file was written by a later version.
    #[error("use {path}: a newer bulk-revoke wrote it (schema {found}, this one knows {known})", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// `SQLite` says no: a full disk, a read-only file, a damaged database.
    #[error("{doing} the ledger {path}: {source}", path = path.display())]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// What is stored does not fit together.
    #[error("read the ledger: {0}")]
    Damaged(String),
    /// There is no such run.
    #[error("find a run {0:?}; `bulk-revoke runs` lists them")]
    NoSuchRun(String),
    /// The start of a run id fits several runs.
    #[error("tell which run {0:?} means: it begins more than one run id")]
    Ambiguous(String),
}
