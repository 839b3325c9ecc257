//! A token that somebody else got, and that nobody here can renew.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::answer::Fault;
use super::entra::{Entra, Fresh, accept, failed};
use super::platform::read_aside;
use super::{GivenToken, Method, SignIn, TokenError};

/// A token whose end cannot be read is used until the service refuses it: it alone knows, and its 401 changes nothing.
const UNKNOWN: Duration = Duration::MAX;

/// Whoever puts a fresh token into the file may be a moment late.
const LATE: Duration = Duration::from_secs(10);

/// The token; from a file, the one that lies there now.
pub(super) async fn fresh(entra: &Entra, sign_in: &SignIn, given: &GivenToken) -> Result<Fresh, TokenError> {
    let (token, place) = read(given).await.map_err(|fault| failed(sign_in, fault))?;
    let bearer = accept(sign_in, Method::Token, token)?;
    let life = bearer.claims().expires.map_or(Ok(UNKNOWN), |end| {
        let left = Duration::try_from(end.duration_since(entra.clock.wall()));
        let left = left.ok().filter(|left| !left.is_zero());
        left.ok_or_else(|| {
            let words = format!("{place} ended at {end}; put a fresh one in its place");
            let fault = match given {
                GivenToken::Fixed(_) => Fault::Permanent(words),
                GivenToken::File(_) => Fault::Passing(words, Some(LATE)),
            };
            failed(sign_in, fault)
        })
    });
    Ok(Fresh { bearer, life: life? })
}

/// The token, and what messages call it.
async fn read(given: &GivenToken) -> Result<(SecretString, String), Fault> {
    let (text, place) = match given {
        GivenToken::Fixed(token) => (token.expose_secret().to_owned(), "the token that was given".to_owned()),
        GivenToken::File(path) => {
            let place = format!("the token in {}", path.display());
            (read_aside(path).await.map_err(|why| Fault::Permanent(format!("{place} cannot be read: {why}")))?, place)
        }
    };
    // People copy the whole header.
    let token = text.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim_start();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::Permanent(format!("{place} is empty, or is no token")));
    }
    Ok((token.into(), place))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::fake::{self, Fake};

    async fn given(given: GivenToken, allow_opaque: bool) -> Result<Fresh, TokenError> {
        let sign_in = SignIn { allow_opaque, ..fake::sign_in("unused") };
        fresh(&Fake::dead().await.entra(), &sign_in, &given).await
    }

    fn ending(exp: i64) -> String {
        fake::says(&json!({ "tid": fake::TENANT, "exp": exp }))
    }

    /// 2026-11-22T12:00:00Z, the time of the fake.
    const NOW: i64 = 1_795_348_800;

    #[tokio::test]
    async fn a_token_lives_until_it_says_and_from_a_file_it_is_the_one_that_lies_there_now() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for left in [100, 3_600] {
            let token = ending(NOW + left);
            std::fs::write(file.path(), format!("Bearer {token}\r\n")).unwrap();
            for place in [GivenToken::Fixed(token.as_str().into()), GivenToken::File(file.path().to_owned())] {
                let fresh = given(place, false).await.unwrap();
                assert_eq!(fresh.bearer.expose(), token);
                assert!(fake::is_about(fresh.life.as_secs(), left.unsigned_abs()), "{fresh:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_token_that_has_ended_or_is_none_is_for_a_person_to_mend() {
        let error = given(GivenToken::Fixed(ending(NOW).into()), false).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "sign in to contoso: the token that was given ended at 2026-11-22T12:00:00Z; put a fresh one in its place"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ending(NOW)).unwrap();
        let error = given(GivenToken::File(file.path().to_owned()), false).await.unwrap_err();
        assert!(matches!(error, TokenError::Passing { after: Some(LATE), .. }), "its writer may be late: {error:?}");
        for (token, wanted) in [(" \n", "is empty, or is no token"), ("two words", "is empty, or is no token")] {
            let error = given(GivenToken::Fixed(token.into()), true).await.unwrap_err();
            assert!(matches!(&error, TokenError::Permanent { message } if message.contains(wanted)), "{error}");
        }
        let error = given(GivenToken::File("/nowhere/token".into()), true).await.unwrap_err().to_string();
        assert!(error.contains("the token in /nowhere/token cannot be read: No such file"), "{error}");
    }

    #[tokio::test]
    async fn an_opaque_token_is_taken_only_where_that_is_allowed_and_until_it_is_refused() {
        let opaque = || GivenToken::Fixed("opaque".into());
        assert!(matches!(given(opaque(), false).await, Err(TokenError::OpaqueToken { .. })));
        let (first, second) = (given(opaque(), true).await.unwrap(), given(opaque(), true).await.unwrap());
        assert_eq!(first.life, Duration::MAX);
        // So the executor takes a second 401 as that of a fresher token, and stops the tenant.
        assert!(second.bearer.serial() > first.bearer.serial());
    }
}
