//! A certificate that signs assertions, by which its app proves itself: PS256 with `x5t#S256`.
//! Source: <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::entra::{Entra, Fresh, Proof};
use super::platform::read_bytes;
use super::{Method, SignIn, TokenError};

/// How long an assertion is good for, in seconds. It is used at once; Microsoft recommends five to ten minutes, and the
/// shorter it lives, the less it is worth to a thief.
const LIFE: i64 = 300;

/// A certificate and its private key. `Debug` shows the certificate's name only.
pub struct Certificate {
    path: PathBuf,
    key: KeyPair,
    thumbprint: String,
    /// SHA-256 of the certificate, as the header of an assertion wants it.
    x5t: String,
}

/// The certificate could not be read. Reads after "failed to"; never holds what stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the certificate from {}: {reason}", path.display())]
pub struct CertificateError {
    /// Where it was looked for.
    pub path: PathBuf,
    /// What is wrong there, and what to do.
    pub reason: String,
}

impl Certificate {
    /// Reads a PEM file that holds a certificate and its RSA private key, in any order. Of several certificates it is the
    /// one that the key belongs to.
    pub fn read(path: &Path) -> Result<Self, CertificateError> {
        let read = read_bytes(path).and_then(|bytes| Self::parse(path, &bytes));
        read.map_err(|reason| CertificateError { path: path.to_owned(), reason })
    }

    /// The SHA-1 thumbprint in upper-case hex: the name by which the portal shows the certificate.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    fn parse(path: &Path, pem: &[u8]) -> Result<Self, String> {
        // DER begins with a SEQUENCE; no text does so with "0" and a length.
        if pem.starts_with(&[0x30, 0x82]) || pem.starts_with(&[0x30, 0x80]) {
            let pfx = quoted(path);
            return Err(format!(
                "it is not PEM; a PFX becomes PEM by: openssl pkcs12 -in {pfx} -out cert.pem -nodes (with OpenSSL 3 and an old \
                 PFX, add -legacy)"
            ));
        }
        let (mut certificates, mut keys) = (Vec::new(), Vec::new());
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            match section {
                Ok((SectionKind::Certificate, der)) => certificates.push(CertificateDer::from(der)),
                Ok((kind @ (SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey), der)) => {
                    keys.push((kind, der));
                }
                Ok(_) => {}
                // The lines of an encrypted key are no Base64.
                Err(_) if is_encrypted(pem) => {}
                Err(_) => return Err("its PEM is damaged; export the certificate and its key again".to_owned()),
            }
        }
        let key = match keys.as_slice() {
            [(kind, der)] => rsa(*kind, der)?,
            [] if is_encrypted(pem) => return Err(decrypt(path)),
            [] => return Err("it holds no private key; append the key's PEM to the certificate's".to_owned()),
            [_, _, ..] => return Err("it holds more than one private key; leave only the certificate's".to_owned()),
        };
        let public = key.public_key().as_ref();
        let Some(leaf) = certificates.iter().find(|certificate| is_of(certificate, public)) else {
            return Err(match certificates.len() {
                0 => "it holds no certificate; append the certificate's PEM to the key's".to_owned(),
                n => format!("its private key belongs to none of its certificates ({n}); put the two that fit into one file"),
            });
        };
        let thumbprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, leaf).as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02X}");
            hex
        });
        let x5t = URL_SAFE_NO_PAD.encode(digest(&SHA256, leaf));
        Ok(Self { path: path.to_owned(), key, thumbprint, x5t })
    }

    /// A JWT that proves at `now`, to the token endpoint `audience`, that we are the app.
    fn assertion(&self, audience: &str, app: &str, now: Timestamp) -> Result<SecretString, &'static str> {
        let now = now.as_second();
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.x5t });
        let claims = json!({
            "aud": audience, "iss": app, "sub": app, "jti": Uuid::new_v4(), "nbf": now, "iat": now, "exp": now + LIFE,
        });
        let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let done = self.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature);
        done.map_err(|_| "the certificate's key does not sign")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

/// A fresh token. What a person must mend names the certificate, so that it can be found in the portal.
pub(super) async fn fresh(entra: &Entra, sign_in: &SignIn, certificate: &Certificate) -> Result<Fresh, TokenError> {
    let audience = entra.authority.at(&format!("/{}/oauth2/v2.0/token", sign_in.tenant));
    let proof = match certificate.assertion(&audience, &sign_in.client_id, entra.clock.wall()) {
        Ok(assertion) => Proof::Assertion(assertion),
        Err(why) => return Err(TokenError::Permanent { message: format!("{}: {why}", sign_in.label) }),
    };
    let fresh = entra.exchange(sign_in, Method::Certificate, proof).await;
    fresh.map_err(|error| error.adding(&format!("signed with certificate {certificate:?}")))
}

fn rsa(kind: SectionKind, der: &[u8]) -> Result<KeyPair, String> {
    let key = if kind == SectionKind::RsaPrivateKey { KeyPair::from_der(der) } else { KeyPair::from_pkcs8(der) };
    key.map_err(|error| {
        match error.to_string().as_str() {
            "TooSmall" => "its RSA key is shorter than 2048 bits; make a new key and certificate",
            "TooLarge" => "its RSA key is longer than 8192 bits; make a new key and certificate",
            _ => "its private key is not a valid RSA key; Entra takes certificates with RSA keys only",
        }
        .to_owned()
    })
}

/// Whether this certificate is that public key's: it holds it as it is. What else it holds is Entra's to judge.
fn is_of(certificate: &CertificateDer<'_>, public: &[u8]) -> bool {
    certificate.windows(public.len()).any(|part| part == public)
}

/// PKCS#8 says so in its first line, the older form below it.
fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
}

/// A path as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = path.chars().all(|c| c.is_alphanumeric() || "/\\:._-".contains(c));
    if is_plain { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

fn decrypt(path: &Path) -> String {
    let pem = quoted(path);
    format!(
        "its private key is encrypted, and nobody is there to type the passphrase; \
         decrypt it and keep the certificate with it: openssl pkey -in {pem} -out plain.pem && openssl x509 -in {pem} >> plain.pem"
    )
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.thumbprint, self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use base64::engine::general_purpose::STANDARD;
    use rcgen::{CertificateParams, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
    use secrecy::ExposeSecret as _;
    use serde_json::Value;

    use super::*;
    use crate::auth::Credential;
    use crate::auth::fake::{self, Fake};

    /// A key, its certificate, and another certificate.
    struct Pair {
        key: rcgen::KeyPair,
        own: rcgen::Certificate,
        other: rcgen::Certificate,
    }

    static PAIR: LazyLock<Pair> = LazyLock::new(|| {
        let key = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let other = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certify = |key| CertificateParams::new(vec!["revoker".to_owned()]).unwrap().self_signed(key).unwrap();
        Pair { own: certify(&key), other: certify(&other), key }
    });

    fn pem(tag: &str, der: &[u8]) -> String {
        format!("-----BEGIN {tag}-----\n{}\n-----END {tag}-----\n", STANDARD.encode(der))
    }

    fn parse(text: &str) -> Result<Certificate, String> {
        Certificate::parse(Path::new("app.pem"), text.as_bytes())
    }

    fn part(jwt: &str, n: usize) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(jwt.split('.').nth(n).unwrap()).unwrap()
    }

    #[test]
    fn the_certificate_is_the_one_that_fits_the_key_whatever_the_order_and_the_form_of_the_key() {
        let Pair { key, own, other } = &*PAIR;
        let pkcs8 = key.serialize_der();
        // PKCS#8 wraps PKCS#1 in 26 bytes (RFC 5958), for a key of 2048 bits.
        let pkcs1 = pem("RSA PRIVATE KEY", &pkcs8[26..]);
        let pkcs8 = format!("Bag Attributes\n    friendlyName: revoker\n{}", pem("PRIVATE KEY", &pkcs8));
        for key in [&pkcs1, &pkcs8] {
            for text in [
                format!("{key}{}{}", own.pem(), other.pem()),
                format!("{}{}{key}", other.pem(), own.pem()),
                format!("{}{key}", own.pem()).replace('\n', "\r\n"),
            ] {
                let read = parse(&text).unwrap();
                assert_eq!(read.x5t, URL_SAFE_NO_PAD.encode(digest(&SHA256, own.der())), "{text}");
                assert_eq!(read.thumbprint().len(), 40);
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_what_to_do() {
        let Pair { key, own, other } = &*PAIR;
        let (key, ec) = (key.serialize_pem(), rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem());
        let small = pem("RSA PRIVATE KEY", &STANDARD.decode(SMALL).unwrap());
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        for (text, wanted) in [
            (own.pem(), "no private key"),
            (key.clone(), "no certificate"),
            (format!("{key}{}", other.pem()), "belongs to none of its certificates (1)"),
            (format!("{key}{key}{}", own.pem()), "more than one private key"),
            (format!("{ec}{}", own.pem()), "RSA keys only"),
            (format!("{}{}", own.pem(), pem("EC PRIVATE KEY", &[0x30, 0])), "RSA keys only"),
            (format!("{small}{}", own.pem()), "shorter than 2048 bits"),
            (format!("{}{}", own.pem(), pem("ENCRYPTED PRIVATE KEY", &[1, 2, 3])), "openssl pkey -in app.pem"),
            (format!("{}{old}", own.pem()), "openssl pkey -in app.pem"),
            (own.pem().replace("-----END", "!!\n-----END"), "damaged"),
            ("nothing".to_owned(), "no private key"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(wanted), "{error}, not {wanted}");
            assert!(!error.contains(key.lines().nth(1).unwrap()), "{error}");
        }
        let error = Certificate::parse(Path::new("app.pfx"), &[0x30, 0x82, 9, 9]).unwrap_err();
        assert!(error.contains("openssl pkcs12 -in app.pfx -out cert.pem -nodes"), "{error}");
        let error = Certificate::parse(Path::new("my app's.pfx"), &[0x30, 0x82, 9, 9]).unwrap_err();
        assert!(error.contains(r"-in 'my app'\''s.pfx' -out"), "{error}");
        let error = Certificate::read(Path::new("/nowhere/app.pem")).unwrap_err().to_string();
        assert!(error.starts_with("read the certificate from /nowhere/app.pem: No such file"), "{error}");
    }

    #[tokio::test]
    async fn the_assertion_says_what_entra_checks_and_the_certificate_verifies_it() {
        let refused = r#"{"error":"invalid_client","error_description":"AADSTS700027: no","error_codes":[700027]}"#;
        let fake = Fake::start(|n, _| match n {
            0 => fake::reply(200, "", &fake::grant(&fake::jwt(fake::TENANT), "3599")),
            _ => fake::reply(401, "", refused),
        })
        .await;
        let certificate = parse(&format!("{}{}", PAIR.key.serialize_pem(), PAIR.own.pem())).unwrap();
        let sign_in = fake::signs_in(Credential::Certificate(std::sync::Arc::new(certificate)));
        let entra = fake.entra();
        let fresh = entra.by(&sign_in, &sign_in.credential).await.unwrap();
        assert_eq!(fresh.bearer.method(), Method::Certificate);

        let request = fake.request(0);
        let jwt = request.split("client_assertion=").nth(1).unwrap().split('&').next().unwrap();
        let (header, claims): (Value, Value) =
            (serde_json::from_slice(&part(jwt, 0)).unwrap(), serde_json::from_slice(&part(jwt, 1)).unwrap());
        let x5t = URL_SAFE_NO_PAD.encode(digest(&SHA256, PAIR.own.der()));
        assert_eq!(header, json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": x5t }));
        let now = claims["iat"].as_i64().unwrap();
        let start = fake::NOW.parse::<Timestamp>().unwrap().as_second();
        assert!((start..start + 30).contains(&now), "{now}");
        let audience = format!("{}/{}/oauth2/v2.0/token", fake.url(), fake::TENANT);
        let jti = claims["jti"].as_str().unwrap().parse::<Uuid>().unwrap();
        let wanted = json!({
            "aud": audience, "iss": "the-app", "sub": "the-app", "jti": jti, "nbf": now, "iat": now, "exp": now + 300
        });
        assert_eq!(claims, wanted);
        let signed = jwt.rsplit_once('.').unwrap().0.as_bytes();
        let leaf = webpki::EndEntityCert::try_from(PAIR.own.der()).unwrap();
        leaf.verify_signature(webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY, signed, &part(jwt, 2)).unwrap();

        let error = entra.by(&sign_in, &sign_in.credential).await.unwrap_err().to_string();
        let named = "(signed with certificate ";
        assert!(error.contains("AADSTS700027: the assertion's signature") && error.contains(named), "{error}");
        let second = fake.request(1);
        let second = second.split("client_assertion=").nth(1).unwrap().split('&').next().unwrap();
        assert_ne!(second, jwt, "an assertion is used once");
        let shown = format!("{error} {sign_in:?}");
        assert!(!shown.contains(second) && !shown.contains("eyJ"), "{shown}");
    }

    #[test]
    fn an_assertion_is_kept_out_of_debug() {
        let certificate = parse(&format!("{}{}", PAIR.key.serialize_pem(), PAIR.own.pem())).unwrap();
        let assertion = certificate.assertion("https://login.example/token", "the-app", Timestamp::UNIX_EPOCH).unwrap();
        assert!(!format!("{assertion:?} {certificate:?}").contains(assertion.expose_secret()));
    }

    /// An RSA key of 512 bits, made for this test.
    const SMALL: &str = "MIIBPQIBAAJBANsRQ4jkdNnyGmi8alQVDKQfOvOxjVeKyfW6pPe5wiXpC4jFp/yyYsz/P98xhr0luLMd8f9vXLniV72GipEnQF0CAwEAAQJBALZsA98Ez0GGV/OLosdt1977mq2/1sFlc5RK3oDjkQbbJI80B/UHk3LzF5A5ECBAoC7r/D1xXjn+S29GNpxjZ0ECIQD6zWlBsUFfuCYwiYyUXhPfz7eKWWzdECHueK2cWORaGQIhAN+bfQO3MXBixS10BP7cmBa3V63wdLHqLt2FMtFUnOjlAiEAponLwQFxBZyET2qm3MZzsASAPfAPp+NUhMPBlLY6O9ECIQDVgFISbSUgaL5aEu/+JMR21CI8q13Qzohm7JpD8yVK3QIhAIrz8qKwNL1mYOBn5+vecg3MgxGucSVA8ilg8KQ6cXG8";
}
