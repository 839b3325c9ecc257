//! The sign-in of a person, kept between runs: one file per tenant, for its owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::platform::read_all;
use crate::model::TenantId;

/// The version of the file.
const VERSION: u32 = 1;

/// What a sign-in is good for. Its refresh token is sent nowhere else.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Purpose {
    pub(super) tenant: TenantId,
    pub(super) client_id: String,
    pub(super) authority: String,
    /// `{graph root}/.default`.
    pub(super) scope: String,
}

/// What later runs need to get tokens in a person's name. It has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u32,
    #[serde(flatten)]
    pub(super) purpose: Purpose,
    /// Who signed in, if the token told. For messages only.
    pub(super) person: Option<String>,
    saved_at: Timestamp,
    #[serde(serialize_with = "shown", deserialize_with = "hidden")]
    pub(super) refresh_token: SecretString,
}

/// The file of a sign-in cannot be used. Reads after "failed to"; never holds what is in it.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}: {cause}", path.display())]
pub struct KeepError {
    doing: &'static str,
    path: PathBuf,
    cause: io::Error,
}

/// Where the sign-in of a tenant's person is kept.
pub fn login_file(state_dir: &Path, tenant: TenantId) -> PathBuf {
    state_dir.join("sign-ins").join(format!("{tenant}.json"))
}

/// Proves that a sign-in can be kept in this file, before a person takes the trouble.
pub fn prove_login_file(file: &Path) -> Result<(), KeepError> {
    Draft::write(file, b"x").map(drop).map_err(failed("write", file))?;
    safe_folder(file).map_err(|why| failed("use", file)(io::Error::other(why)))
}

/// Who may write into the folder can put another sign-in in its place.
fn safe_folder(file: &Path) -> Result<(), String> {
    #[cfg(unix)]
    {
        let folder = Draft::folder(file);
        let mode = folder.metadata().map_err(|error| error.to_string())?.permissions();
        if std::os::unix::fs::PermissionsExt::mode(&mode) & 0o022 != 0 {
            let name = folder.display();
            return Err(format!("others on this machine may put another in its place; chmod 700 {name}, and sign in again"));
        }
    }
    Ok(())
}

/// Removes a kept sign-in. False: there was none.
pub fn forget_login(file: &Path) -> Result<bool, KeepError> {
    let was_there = removed(file)?;
    // What a killed process left half done may hold a token as well. A renewal that saw the file has its draft here by now.
    for entry in fs::read_dir(Draft::folder(file)).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&Draft::prefix(file)) {
            removed(&entry.path())?;
        }
    }
    // It may have published that before it was found.
    Ok(removed(file)? || was_there)
}

impl Purpose {
    /// The first thing in which it is not what is wanted: `app A, not B`.
    pub(super) fn differs(&self, wanted: &Self) -> Option<String> {
        let parts = |purpose: &Self| {
            let Self { tenant, client_id, authority, scope } = purpose.clone();
            [("tenant", tenant.to_string()), ("app", client_id), ("authority", authority), ("scope", scope)]
        };
        let mut pairs = parts(self).into_iter().zip(parts(wanted));
        let ((what, ours), (_, wanted)) = pairs.find(|(ours, wanted)| !ours.1.eq_ignore_ascii_case(&wanted.1))?;
        Some(format!("{what} {ours}, not {wanted}"))
    }
}

impl Kept {
    pub(super) fn new(purpose: Purpose, person: Option<String>, refresh_token: SecretString, saved_at: Timestamp) -> Self {
        Self { version: VERSION, purpose, person, saved_at, refresh_token }
    }

    /// What is kept there; none if nobody is signed in. The error says what is wrong with the file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| error.to_string())?,
        };
        #[cfg(unix)]
        {
            let rights = file.metadata().map_err(|error| error.to_string())?.permissions();
            if std::os::unix::fs::PermissionsExt::mode(&rights) & 0o077 != 0 {
                return Err("others on this machine may read it; chmod 600 it, and if they may have, sign in again".to_owned());
            }
        }
        safe_folder(path)?;
        let bytes = read_all(file)?;
        // The parser's own words might quote the token.
        let kept = serde_json::from_slice(&bytes).ok().filter(|kept: &Self| kept.version == VERSION);
        kept.map(Some).ok_or_else(|| "this version cannot read it".to_owned())
    }

    /// Keeps it there, in place of any other.
    pub(super) fn save(&self, path: &Path) -> Result<(), KeepError> {
        self.draft(path).and_then(Draft::publish).map_err(failed("keep the sign-in in", path))
    }

    /// Keeps it in place of the one that it renews. Whoever signed out meanwhile is not overruled; whoever signed in is,
    /// if that was between the look and the renaming.
    pub(super) fn renew(&self, old: &Self, path: &Path) -> Result<(), KeepError> {
        let draft = self.draft(path).map_err(failed("keep the sign-in in", path))?;
        let now = Self::read(path).ok().flatten();
        if now.is_some_and(|now| now.refresh_token.expose_secret() == old.refresh_token.expose_secret()) {
            draft.publish().map_err(failed("keep the sign-in in", path))?;
        }
        Ok(())
    }

    fn draft(&self, path: &Path) -> io::Result<Draft> {
        Draft::write(path, &serde_json::to_vec_pretty(self)?)
    }
}

fn removed(path: &Path) -> Result<bool, KeepError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true).map_err(failed("remove", path)),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeepError {
    move |cause| KeepError { doing, path: path.to_owned(), cause }
}

fn shown<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn hidden<'d, D: Deserializer<'d>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// A file on its way: whole and durable under another name. Dropped before it is published, it leaves nothing behind.
struct Draft {
    hidden: PathBuf,
    wanted: PathBuf,
}

impl Draft {
    fn folder(wanted: &Path) -> &Path {
        wanted.parent().unwrap_or(Path::new("."))
    }

    /// How the names of all drafts of a file begin.
    fn prefix(wanted: &Path) -> String {
        format!(".{}.", wanted.file_name().unwrap_or_default().display())
    }

    fn write(wanted: &Path, content: &[u8]) -> io::Result<Self> {
        let dir = Self::folder(wanted);
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // A name of its own: two processes may renew at the same moment.
        let hidden = dir.join(format!("{}{}.tmp", Self::prefix(wanted), Uuid::new_v4().simple()));
        let mut file = options.open(&hidden)?;
        let draft = Self { hidden, wanted: wanted.to_owned() };
        file.write_all(content)?;
        file.sync_all()?;
        Ok(draft)
    }

    fn publish(self) -> io::Result<()> {
        fs::rename(&self.hidden, &self.wanted)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Published, it no longer has this name; otherwise there is nobody left to tell.
        let _ = fs::remove_file(&self.hidden);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(token: &str) -> Kept {
        let purpose = Purpose {
            tenant: TenantId(Uuid::from_u128(7)),
            client_id: "app".to_owned(),
            authority: "https://login.example".to_owned(),
            scope: "https://graph.example/.default".to_owned(),
        };
        Kept::new(purpose, Some("ann@contoso.com".to_owned()), token.into(), Timestamp::UNIX_EPOCH)
    }

    fn token(path: &Path) -> Option<String> {
        Kept::read(path).unwrap().map(|kept| kept.refresh_token.expose_secret().to_owned())
    }

    fn names(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_sign_in_is_kept_for_its_owner_alone_and_forgotten_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = login_file(&home.path().join("state"), TenantId(Uuid::from_u128(7)));
        assert!(path.ends_with("state/sign-ins/00000000-0000-0000-0000-000000000007.json"));
        prove_login_file(&path).unwrap();
        assert_eq!((token(&path), names(path.parent().unwrap())), (None, 0));
        kept("first").save(&path).unwrap();
        kept("second").save(&path).unwrap();
        assert_eq!((token(&path).as_deref(), names(path.parent().unwrap())), (Some("second"), 1));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
            for open in [0o640, 0o604, 0o620] {
                fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
                assert!(Kept::read(&path).is_err_and(|why| why.contains("chmod 600")), "{open:o}");
            }
        }
        let neighbour = login_file(&home.path().join("state"), TenantId(Uuid::from_u128(8)));
        kept("theirs").save(&neighbour).unwrap();
        // As a kill between writing and renaming leaves it.
        std::mem::forget(kept("third").draft(&path).unwrap());
        assert!(forget_login(&path).unwrap() && !forget_login(&path).unwrap());
        assert_eq!(token(&neighbour).as_deref(), Some("theirs"));
        forget_login(&neighbour).unwrap();
        assert_eq!(names(path.parent().unwrap()), 0);
    }

    #[test]
    fn a_renewal_overrules_neither_a_later_sign_in_nor_a_sign_out() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("kept.json");
        kept("old").save(&path).unwrap();
        kept("new").renew(&kept("old"), &path).unwrap();
        assert_eq!(token(&path).as_deref(), Some("new"));
        kept("late").renew(&kept("old"), &path).unwrap();
        assert_eq!(token(&path).as_deref(), Some("new"));
        forget_login(&path).unwrap();
        kept("late").renew(&kept("new"), &path).unwrap();
        assert_eq!((token(&path), names(home.path())), (None, 0));
    }

    #[test]
    fn a_file_that_is_no_sign_in_is_not_quoted() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("kept.json");
        let newer = serde_json::to_string(&Kept { version: 2, ..kept("s3cr3t") }).unwrap();
        for content in ["", "{}", "\"s3cr3t\"", &newer] {
            Draft::write(&path, content.as_bytes()).unwrap().publish().unwrap();
            assert_eq!(Kept::read(&path).err().as_deref(), Some("this version cannot read it"), "{content}");
        }
    }
}
