//! Opens the ledger: directory, file, rights, schema, and the proof that it can be written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::error::LedgerError;
use super::schema::{APPLICATION_ID, CREATE, SETUP, VERSION};

/// How long to wait for another run that is committing: longer than any commit takes.
const BUSY: Duration = Duration::from_secs(30);

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
        let refused = |source| LedgerError::Directory { path: directory.to_owned(), source };
        private_directory(directory).map_err(refused)?;
        let path = directory.join("ledger.db");
        private_file(&path).map_err(refused)?;
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

    fn claim(&self) -> Result<(), LedgerError> {
        let pragma = |name: &str| self.db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let (application, version) = (self.sql("open", pragma("application_id"))?, self.sql("open", pragma("user_version"))?);
        let tables: i64 = self.sql("open", self.db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)))?;
        if tables > 0 && application != APPLICATION_ID {
            return Err(LedgerError::Foreign(self.path.clone()));
        }
        if version > VERSION {
            return Err(LedgerError::Newer { path: self.path.clone(), found: version, known: VERSION });
        }
        self.sql("set up", self.db.execute_batch(SETUP))?;
        if tables == 0 {
            let create = format!(
                "BEGIN IMMEDIATE; {} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;",
                CREATE
                    .replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
                    .replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS"),
            );
            self.sql("create", self.db.execute_batch(&create))?;
        }
        // A read-only file or a full disk must show now, not at the first intent.
        let probe = "BEGIN IMMEDIATE; CREATE TABLE probe (x); DROP TABLE probe; ROLLBACK;";
        self.sql("write", self.db.execute_batch(probe))
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
