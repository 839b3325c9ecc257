//! A file that appears whole or not at all: written under another name, made durable, then renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes between two writes: a report of a million rows is a gigabyte, and system calls should not count.
const BUFFER_BYTES: usize = 256 * 1024;

/// A report file or its folder could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}: {cause}; make it writable or choose another folder with {flag}", path.display())]
pub struct ReportError {
    doing: &'static str,
    path: PathBuf,
    cause: io::Error,
    flag: &'static str,
}

impl ReportError {
    pub(super) fn new(doing: &'static str, path: &Path, cause: io::Error) -> Self {
        Self { doing, path: path.to_owned(), cause, flag: "--out" }
    }

    /// The same of a file that another flag names.
    #[must_use]
    pub fn of(self, flag: &'static str) -> Self {
        Self { flag, ..self }
    }
}

/// Creates the folder of a report, for its owner alone if it is new, and proves that files can be written there.
pub fn prepare(dir: &Path) -> Result<(), ReportError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|cause| ReportError::new("create the report folder", dir, cause))?;
    // A name of its own: two runs may begin at the same moment.
    let mut proof = Draft::create(dir, "proof", &uuid::Uuid::new_v4().simple().to_string())?;
    proof
        .write_all(b"x")
        .and_then(|()| proof.file.flush())
        .map_err(|cause| ReportError::new("write to the report folder", dir, cause))
}

/// A file on its way. Dropped before it is published, it leaves nothing behind.
pub struct Draft {
    file: BufWriter<File>,
    hidden: PathBuf,
    wanted: PathBuf,
}

impl Draft {
    /// Begins a file for its owner alone; `run` keeps apart what two runs write into one folder.
    pub fn create(dir: &Path, name: &str, run: &str) -> Result<Self, ReportError> {
        let hidden = dir.join(format!(".{name}.{run}.tmp"));
        let fail = |cause| ReportError::new("create", &hidden, cause);
        match fs::remove_file(&hidden) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = BufWriter::with_capacity(BUFFER_BYTES, options.open(&hidden).map_err(fail)?);
        Ok(Self { file, hidden, wanted: dir.join(name) })
    }

    /// Where it will be.
    pub(super) fn path(&self) -> &Path {
        &self.wanted
    }

    /// Makes its content durable.
    pub fn seal(&mut self) -> Result<(), ReportError> {
        let sealed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        sealed.map_err(|cause| ReportError::new("write", &self.wanted, cause))
    }

    /// Gives it its name, in place of whatever had it.
    pub fn publish(self) -> Result<(), ReportError> {
        fs::rename(&self.hidden, &self.wanted).map_err(|cause| ReportError::new("write", &self.wanted, cause))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Published, it no longer has this name; otherwise there is nobody left to tell.
        let _ = fs::remove_file(&self.hidden);
    }
}

/// Makes the names in a folder durable, where the system can.
pub(super) fn sync_folder(dir: &Path) -> Result<(), ReportError> {
    if cfg!(unix) {
        let synced = File::open(dir).and_then(|folder| folder.sync_all());
        synced.map_err(|cause| ReportError::new("write the report folder", dir, cause))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_new_folder_is_private_and_left_empty() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("a/b");
        prepare(&dir).unwrap();
        prepare(&dir).unwrap();
        assert!(names(&dir).is_empty());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn an_unusable_folder_is_named_with_a_way_out() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let message = prepare(&file.join("reports")).unwrap_err().to_string();
        assert!(message.contains("file/reports: ") && message.contains("--out"), "{message}");
    }

    #[test]
    fn a_draft_replaces_the_old_file_only_when_published() {
        let home = tempfile::tempdir().unwrap();
        let wanted = home.path().join("report.csv");
        fs::write(&wanted, "old").unwrap();
        let write = || {
            let mut draft = Draft::create(home.path(), "report.csv", "r").unwrap();
            draft.write_all(b"new").unwrap();
            draft.seal().unwrap();
            draft
        };
        drop(write());
        assert_eq!(fs::read_to_string(&wanted).unwrap(), "old");
        write().publish().unwrap();
        assert_eq!(fs::read_to_string(&wanted).unwrap(), "new");
        assert_eq!(names(home.path()), ["report.csv"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&wanted).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
