//! Access tokens: JWTs signed with HMAC-SHA-256 by a key that follows from the seed, so that a foreign
//! or altered bearer is recognised.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::dice::{Dice, Topic};

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    /// The tenant.
    pub(super) tenant: Uuid,
    /// The app.
    pub(super) app: Uuid,
    /// The origin it is for.
    pub(super) audience: String,
    /// The permissions: application ones, or delegated ones where a person signed in.
    pub(super) roles: Vec<String>,
    /// The name of the person who signed in; none where the app did so itself.
    pub(super) person: Option<String>,
    /// When it was issued, in seconds of Unix time.
    pub(super) issued: i64,
    /// When it ends, in seconds of Unix time.
    pub(super) expires: i64,
    /// Its own id (`uti`).
    pub(super) uti: Uuid,
}

/// Why a bearer is refused, in Graph's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Missing,
    Malformed,
    Foreign,
    Audience,
    Expired,
}

impl Flaw {
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Missing => "Access token is empty.",
            Self::Malformed => "CompactToken parsing failed with error code: 80049217",
            Self::Foreign => "Access token validation failure.",
            Self::Audience => "Access token validation failure. Invalid audience.",
            Self::Expired => "Lifetime validation failed, the token is expired.",
        }
    }
}

/// Signs and checks.
#[derive(Clone, Copy)]
pub(super) struct Mint {
    key: [u8; 32],
}

impl Mint {
    pub(super) fn new(seed: u64) -> Self {
        Self { key: Sha256::digest(Dice::new(seed, Topic::Key).roll().to_be_bytes()).into() }
    }

    /// A token with these claims.
    pub(super) fn issue(&self, claims: &Claims) -> String {
        let header = json!({"typ": "JWT", "alg": "HS256", "kid": "simulated"});
        let mut payload = json!({
            "aud": claims.audience,
            "iss": format!("https://sts.windows.net/{}/", claims.tenant),
            "iat": claims.issued,
            "nbf": claims.issued,
            "exp": claims.expires,
            "appid": claims.app.to_string(),
            "tid": claims.tenant.to_string(),
            "uti": claims.uti.to_string(),
            "ver": "1.0",
        });
        if let Some(person) = &claims.person {
            (payload["idtyp"], payload["upn"]) = ("user".into(), person.as_str().into());
            payload["scp"] = claims.roles.join(" ").into();
        } else {
            payload["idtyp"] = "app".into();
            // An app without any consent has no such claim.
            if !claims.roles.is_empty() {
                payload["roles"] = json!(claims.roles);
            }
        }
        let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(hmac(&self.key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The claims of a token that this mint issued for this origin and that has not ended.
    pub(super) fn check(&self, token: &str, origin: &str, now: Timestamp) -> Result<Claims, Flaw> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let payload = signed.split_once('.').map(|(_, payload)| payload).ok_or(Flaw::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Flaw::Malformed)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Flaw::Malformed)?;
        if signature != hmac(&self.key, signed.as_bytes()) {
            return Err(Flaw::Foreign);
        }
        let claims = read(&payload).ok_or(Flaw::Malformed)?;
        if claims.audience != origin {
            return Err(Flaw::Audience);
        }
        if claims.expires <= now.as_second() {
            return Err(Flaw::Expired);
        }
        Ok(claims)
    }
}

fn read(payload: &[u8]) -> Option<Claims> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    let guid = |name: &str| value[name].as_str().and_then(|text| Uuid::parse_str(text).ok());
    Some(Claims {
        tenant: guid("tid")?,
        app: guid("appid")?,
        audience: value["aud"].as_str()?.to_owned(),
        roles: match (value["scp"].as_str(), value["roles"].as_array()) {
            (Some(scopes), _) => scopes.split(' ').map(str::to_owned).collect(),
            (None, Some(roles)) => roles.iter().filter_map(|role| role.as_str().map(str::to_owned)).collect(),
            (None, None) => Vec::new(),
        },
        person: value["upn"].as_str().map(str::to_owned),
        issued: value["iat"].as_i64()?,
        expires: value["exp"].as_i64()?,
        uti: guid("uti")?,
    })
}

/// RFC 2104 with SHA-256, for keys of at most one block (64 bytes).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let (mut inner, mut outer) = ([0x36_u8; 64], [0x5c_u8; 64]);
    for (at, byte) in key.iter().take(64).enumerate() {
        inner[at] ^= byte;
        outer[at] ^= byte;
    }
    let digest = Sha256::new().chain_update(inner).chain_update(message).finalize();
    Sha256::new().chain_update(outer).chain_update(digest).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "http://127.0.0.1:1";

    fn claims() -> Claims {
        Claims {
            tenant: Uuid::from_u128(1),
            app: Uuid::from_u128(2),
            audience: ORIGIN.to_owned(),
            roles: vec!["R".to_owned()],
            person: None,
            issued: 0,
            expires: 100,
            uti: Uuid::from_u128(3),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_signature_is_the_hmac_of_rfc_4231() {
        let digest = hmac(&[0x0b; 20], b"Hi There");
        assert_eq!(digest[..4], [0xb0, 0x34, 0x4c, 0x61]);
        assert_eq!(digest[28..], [0x2e, 0x32, 0xcf, 0xf7]);
    }

    #[test]
    fn a_token_reads_back_until_it_ends() {
        let mint = Mint::new(5);
        let token = mint.issue(&claims());
        assert_eq!(mint.check(&token, ORIGIN, at(99)), Ok(claims()));
        assert_eq!(mint.check(&token, ORIGIN, at(100)), Err(Flaw::Expired));
        let delegated = Claims { person: Some("adele@contoso.com".to_owned()), ..claims() };
        assert_eq!(mint.check(&mint.issue(&delegated), ORIGIN, at(99)), Ok(delegated));
    }

    #[test]
    fn a_token_is_refused_elsewhere_and_when_altered() {
        let token = Mint::new(5).issue(&claims());
        assert_eq!(Mint::new(6).check(&token, ORIGIN, at(1)), Err(Flaw::Foreign));
        assert_eq!(Mint::new(5).check(&token, "http://localhost:1", at(1)), Err(Flaw::Audience));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let altered = format!("{signed}A.{signature}");
        assert!(Mint::new(5).check(&altered, ORIGIN, at(1)).is_err());
        assert_eq!(Mint::new(5).check("opaque", ORIGIN, at(1)), Err(Flaw::Malformed));
    }
}
