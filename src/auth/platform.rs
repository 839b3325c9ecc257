//! Secrets out of the platform: environment, files, systemd credentials. The only file that reads them.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::ClientSecret;

/// A file on a network that hangs must not keep a sign-in under way for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// No secret file has so many bytes: a client secret has about forty, and a refresh token one or two thousand.
const TOO_LARGE: u64 = 64 * 1024;

/// Where a secret is to be found. Never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
    /// In a systemd credential.
    Credential(String),
}

impl FromStr for SecretRef {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("credential", name)) if !name.is_empty() && !name.contains('/') => Ok(Self::Credential(name.to_owned())),
            // What stands there may be the secret itself, so it is not shown.
            Some(_) | None => Err("a secret never stands in a file: write env:NAME, file:PATH or credential:NAME".to_owned()),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

/// A secret could not be read. Reads after "failed to"; never holds the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the client secret from {place}: {reason}")]
pub struct SecretError {
    /// Where it was looked for.
    pub place: String,
    /// What is wrong there.
    pub reason: String,
}

impl SecretRef {
    /// Reads the secret. `variable` looks up the environment.
    pub fn read(&self, variable: impl Fn(&str) -> Option<String>) -> Result<SecretString, SecretError> {
        let wrong = |reason: String| SecretError { place: self.to_string(), reason };
        let text = match self {
            Self::Env(name) => variable(name).ok_or_else(|| "the variable is not set".to_owned()),
            Self::File(path) => read_file(path),
            Self::Credential(name) => match variable("CREDENTIALS_DIRECTORY") {
                Some(directory) => read_file(&Path::new(&directory).join(name)),
                None => Err("CREDENTIALS_DIRECTORY is not set: give the systemd unit a LoadCredential=".to_owned()),
            },
        };
        let text = text.map_err(wrong)?;
        let secret = bare(&text);
        if secret.is_empty() { Err(wrong("it is empty".to_owned())) } else { Ok(secret.into()) }
    }
}

impl ClientSecret {
    /// What it is now.
    pub(super) async fn now(&self) -> SecretString {
        let Some(file) = &self.file else { return self.value.clone() };
        match read_aside(file).await {
            Ok(text) if !bare(&text).is_empty() => bare(&text).into(),
            Ok(_) | Err(_) => self.value.clone(),
        }
    }
}

/// Editors and `echo` end files with a line break that is no part of the secret.
fn bare(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

pub(super) fn read_file(path: &Path) -> Result<String, String> {
    String::from_utf8(read_bytes(path)?).map_err(|_| "it is not text".to_owned())
}

/// Without the byte order mark that editors on Windows put in front.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = read_all(File::open(path).map_err(|error| error.to_string())?)?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

/// What a file holds. It may be a pipe, as of a shell's `<(...)`: then whoever writes to it is waited for. It may also be a
/// device that never ends.
pub(super) fn read_all(file: File) -> Result<Vec<u8>, String> {
    let (mut bytes, mut file) = (Vec::new(), file.take(TOO_LARGE));
    file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if file.limit() == 0 { Err(format!("{TOO_LARGE} bytes or more are no secret")) } else { Ok(bytes) }
}

/// [`read_file`] where tasks run.
pub(super) async fn read_aside(path: &Path) -> Result<String, String> {
    let path = path.to_owned();
    aside(move || read_file(&path)).await
}

/// Works with files on a thread apart: they may lie on a slow network, and the tasks of a run share one thread.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work)).await {
        Ok(done) => done.unwrap_or_else(|error| Err(error.to_string())),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_secret_in_plain_is_refused_and_not_shown() {
        for text in ["hunter2", "env:", "plain:hunter2", "credential:../hunter2"] {
            let error = text.parse::<SecretRef>().unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_secret_that_is_rotated_in_its_file_is_the_new_one_and_a_file_that_is_gone_costs_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = ClientSecret { file: Some(file.path().to_owned()), ..ClientSecret::from("old") };
        std::fs::write(file.path(), "new\n").unwrap();
        assert_eq!(secret.now().await.expose_secret(), "new");
        drop(file);
        assert_eq!(secret.now().await.expose_secret(), "old");
    }

    #[test]
    fn secrets_come_from_variables_files_and_credentials() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "\u{feff}s3cr3t\r\n").unwrap();
        let variable = |name: &str| match name {
            "SECRET" => Some("s3cr3t".to_owned()),
            "CREDENTIALS_DIRECTORY" => directory.path().to_str().map(str::to_owned),
            _ => None,
        };
        for place in ["env:SECRET".to_owned(), format!("file:{}", path.display()), "credential:secret".to_owned()] {
            let read: SecretRef = place.parse().unwrap();
            assert_eq!(read.read(variable).unwrap().expose_secret(), "s3cr3t", "{place}");
        }
        std::fs::write(&path, "x".repeat(64 * 1024)).unwrap();
        let endless = if cfg!(unix) { Path::new("/dev/zero") } else { path.as_path() };
        for large in [&path, endless] {
            assert_eq!(read_bytes(large).unwrap_err(), "65536 bytes or more are no secret");
        }
        let missing: SecretRef = "env:OTHER".parse().unwrap();
        assert_eq!(
            missing.read(variable).unwrap_err().to_string(),
            "read the client secret from env:OTHER: the variable is not set"
        );
    }
}
