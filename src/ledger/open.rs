//! Opens the ledger: directory, file, rights, schema, and the proof that it can be written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::error::LedgerError;
use super::schema::{APPLICATION_ID, CREATE, SETUP, VERSION};

/// How long to wait for another run that is committing: longer than any commit takes.
const BUSY: Duration = Duration::from_secs(30);

/// Setting up is tried again after such a pause, so often: as long as others are waited for elsewhere.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSES: usize = 1_500;

/// A run's number in its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunNo(pub(super) i64);

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
}

impl Ledger {
    /// Opens the ledger in a directory, makes both if they are not there, and proves that it can be written.
    pub fn open(directory: &Path) -> Result<Self, LedgerError> {
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |source| LedgerError::Directory { path, source }
        };
        private_directory(directory).map_err(refused(directory))?;
        let path = directory.join("ledger.db");
        private_file(&path).map_err(refused(&path))?;
        let open = |doing| {
            let path = path.clone();
            move |source| LedgerError::Sql { doing, path, source }
        };
        let db = Connection::open(&path).map_err(open("open"))?;
        db.busy_timeout(BUSY).map_err(open("open"))?;
        let ledger = Self { db, path };
        ledger.claim()?;
        Ok(ledger)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses files of others before anything in them changes; sets the connection up; makes the tables of a new file.
    /// Each step is a transaction, because another process may be making the same file at this moment.
    pub(super) fn claim(&self) -> Result<(), LedgerError> {
        self.within("BEGIN", || self.is_new().map(drop))?;
        self.sql("set up", self.set_up())?;
        self.within("BEGIN IMMEDIATE", || {
            if self.is_new()? {
                let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};");
                self.sql("create", self.db.execute_batch(CREATE).and_then(|()| self.db.execute_batch(&mark)))?;
            }
            // A read-only file or a full disk must show now, not at the first intent.
            self.sql("write", self.db.execute_batch("CREATE TABLE probe (x); DROP TABLE probe;"))
        })
    }

    /// `SQLite` does not wait for others where it turns a file's journal into a write-ahead log, and they are soon done.
    fn set_up(&self) -> rusqlite::Result<()> {
        let mut pauses = std::iter::repeat_n(PAUSE, PAUSES);
        loop {
            let done = self.db.execute_batch(SETUP);
            let is_busy = done.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy));
            match pauses.next().filter(|_| is_busy) {
                Some(pause) => std::thread::sleep(pause),
                None => return done,
            }
        }
    }

    /// Does all of something in one transaction, or nothing.
    pub(super) fn within<T>(&self, begin: &str, work: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        self.sql("open", self.db.execute_batch(begin))?;
        let done = work();
        let end = self.sql("write", self.db.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }));
        done.and_then(|done| end.map(|()| done))
    }

    /// Whether the file is empty; an error if it is neither that nor ours.
    fn is_new(&self) -> Result<bool, LedgerError> {
        let number = |query: &str| self.sql("open", self.db.query_row(query, [], |row| row.get::<_, i64>(0)));
        let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        if tables > 0 && application != APPLICATION_ID {
            return Err(LedgerError::Foreign(self.path.clone()));
        }
        if version > VERSION {
            return Err(LedgerError::Newer { path: self.path.clone(), found: version, known: VERSION });
        }
        if tables > 0 && version < VERSION {
            return Err(LedgerError::Older { path: self.path.clone(), found: version });
        }
        Ok(tables == 0)
    }

    /// Names what was being done, and the file, in an error.
    pub(super) fn sql<T>(&self, doing: &'static str, result: rusqlite::Result<T>) -> Result<T, LedgerError> {
        result.map_err(|source| LedgerError::Sql { doing, path: self.path.clone(), source })
    }
}

/// Makes a directory that only its owner may enter; one that is there is left as it is.
pub(super) fn private_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes an empty file that only its owner may read, unless it is there.
pub(super) fn private_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
