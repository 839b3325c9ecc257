//! Secrets out of the platform: environment, files, systemd credentials. The only file that reads them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;

/// Largest secret file read, in bytes; a client secret has about forty.
const LARGEST: u64 = 64 * 1024;

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
        // Editors and `echo` end files with a line break that is no part of the secret.
        let text = text.map_err(wrong)?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() { Err(wrong("it is empty".to_owned())) } else { Ok(secret.into()) }
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > LARGEST {
        return Err(format!("a file of {size} bytes is no secret"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
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

    #[test]
    fn secrets_come_from_variables_files_and_credentials() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "s3cr3t\r\n").unwrap();
        let variable = |name: &str| match name {
            "SECRET" => Some("s3cr3t".to_owned()),
            "CREDENTIALS_DIRECTORY" => directory.path().to_str().map(str::to_owned),
            _ => None,
        };
        for place in ["env:SECRET".to_owned(), format!("file:{}", path.display()), "credential:secret".to_owned()] {
            let read: SecretRef = place.parse().unwrap();
            assert_eq!(read.read(variable).unwrap().expose_secret(), "s3cr3t", "{place}");
        }
        let missing: SecretRef = "env:OTHER".parse().unwrap();
        assert_eq!(
            missing.read(variable).unwrap_err().to_string(),
            "read the client secret from env:OTHER: the variable is not set"
        );
    }
}
