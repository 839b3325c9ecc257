//! One run per tenant and state directory: a lock file that the system frees when its process dies.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::open::{private_directory, private_file};
use crate::model::TenantId;

/// A tenant that is ours until this is dropped.
#[derive(Debug)]
pub struct TenantLock {
    _file: File,
}

/// Why a tenant could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("another run works on tenant {tenant}{}", told(owner))]
    Held {
        /// The tenant.
        tenant: TenantId,
        /// What the holder wrote of itself; empty while it has only just taken the lock.
        owner: String,
    },
    /// The lock file cannot be used.
    #[error("failed to lock {path}: {source}", path = path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn told(owner: &str) -> String {
    if owner.is_empty() { String::new() } else { format!(": {owner}") }
}

impl TenantLock {
    /// Locks a tenant, or says who holds it. `owner` is what others are told: who, since when, which run.
    pub fn take(directory: &Path, tenant: TenantId, owner: &str) -> Result<Self, LockError> {
        let folder = directory.join("locks");
        let path = folder.join(format!("{tenant}.lock"));
        let failed = |source| LockError::Io { path: path.clone(), source };
        private_directory(&folder).map_err(failed)?;
        let mut file = private_file(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Where locks are mandatory the text cannot be read; the lock is held all the same.
                let _ = file.read_to_string(&mut owner);
                return Err(LockError::Held { tenant, owner });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(owner.as_bytes())).map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// Proves that tenants can be locked in a directory, without locking one that anybody has.
    pub fn prove(directory: &Path) -> Result<(), LockError> {
        match Self::take(directory, TenantId(Uuid::nil()), "a check") {
            Ok(_) | Err(LockError::Held { .. }) => Ok(()),
            Err(error @ LockError::Io { .. }) => Err(error),
        }
    }
}
