//! Client assertions: JWTs by which an app proves itself, signed with its certificate or by an issuer that it trusts.
//! What is checked, and in which words it is refused: Microsoft's certificate-credentials page (2025-01) and workload
//! identity federation pages, and reports with whole answers. No tolerance for clocks is documented, so there is none.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use webpki::aws_lc_rs::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY};
use webpki::{EndEntityCert, KeyUsage};

use super::denial::{Denial, written};
use super::entra::Asking;
use super::issuer::{Issuer, Notary};
use super::registration::{FederatedCredential, Registration};

/// The only type of assertion that Entra knows (RFC 7523).
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Where the checks are explained to people.
const PAGE: &str = "https://learn.microsoft.com/entra/identity-platform/certificate-credentials";
const FEDERATION_PAGE: &str = "https://learn.microsoft.com/entra/workload-id/workload-identity-federation";

/// How a certificate is told from others.
type Print = fn(&[u8]) -> Vec<u8>;

/// A JWT, taken apart.
struct Assertion<'a> {
    header: Value,
    claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

/// Whether this form's assertion speaks for the app.
pub(super) fn check(asking: &Asking<'_>, registration: &Registration, notary: &mut Notary) -> Result<(), Denial> {
    match asking.form.value("client_assertion_type").as_deref() {
        Some(TYPE) => {}
        Some(_) => {
            let text = "The provided value for the input parameter 'client_assertion_type' is not valid.";
            return Err(Denial::unnumbered("invalid_request", text));
        }
        None => return Err(Denial::missing("client_assertion_type")),
    }
    let token = asking.form.need("client_assertion")?;
    let malformed = || Denial::new(400, "invalid_request", 50_027, "JWT token is invalid or malformed.");
    let assertion = Assertion::read(&token).ok_or_else(malformed)?;
    let app = registration.app.to_string();
    match [assertion.claim("iss"), assertion.claim("sub")].map(|claim| claim == app) {
        [true, true] => assertion.by_certificate(asking, registration)?,
        [false, false] => assertion.by_issuer(registration, notary)?,
        [..] => {
            let text = format!(
                "Client assertion application identifier doesn't match 'client_id' parameter. Review the documentation at {PAGE} ."
            );
            return Err(Denial::client(700_021, text));
        }
    }
    assertion.in_time(asking.context.at)
}

/// Whether a certificate's time is over. Whoever it was issued by, its own dates are looked at first.
fn has_ended(certificate: &EndEntityCert<'_>, der: &CertificateDer<'_>, now: Timestamp) -> bool {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default()));
    let anchors: Vec<_> = webpki::anchor_from_trusted_cert(der).into_iter().collect();
    let path =
        certificate.verify_for_usage(&[RSA_PKCS1_2048_8192_SHA256], &anchors, &[], now, KeyUsage::client_auth(), None, None);
    matches!(path, Err(webpki::Error::CertExpired { .. }))
}

impl<'a> Assertion<'a> {
    fn read(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(Self { header: json(header)?, claims: json(claims)?, signed, signature })
    }

    fn claim(&self, name: &str) -> &str {
        self.claims[name].as_str().unwrap_or_default()
    }

    fn head(&self, name: &str) -> &str {
        self.header[name].as_str().unwrap_or_default()
    }

    fn unsupported(&self, supported: &str) -> Denial {
        let text = format!(
            "Invalid JWT token. '{}' is not a supported signature algorithm. Supported signing algorithms are: '{supported}'",
            self.head("alg")
        );
        Denial::new(400, "invalid_request", 5_002_738, text)
    }

    /// By a certificate of the app.
    fn by_certificate(&self, asking: &Asking<'_>, registration: &Registration) -> Result<(), Denial> {
        let algorithm: &dyn SignatureVerificationAlgorithm = match self.head("alg") {
            "PS256" => RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
            "RS256" => RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(self.unsupported("RS256, PS256")),
        };
        let (name, print): (_, Print) = if self.header["x5t#S256"].is_string() {
            ("x5t#S256", |der| Sha256::digest(der).to_vec())
        } else {
            ("x5t", |der| digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref().to_vec())
        };
        // Microsoft's library for Python pads it.
        let Some(wanted) = URL_SAFE_NO_PAD.decode(self.head(name).trim_end_matches('=')).ok().filter(|print| !print.is_empty())
        else {
            let text = "Invalid JWT token. No certificate thumbprint specified in token header.";
            return Err(Denial::new(400, "invalid_request", 50_027, text));
        };
        let refused = |text: &str, reason: &str| {
            let print = wanted.iter().fold(String::new(), |print, byte| format!("{print}{byte:02X}"));
            let text = format!(
                "{text} [Reason - {reason}, Thumbprint of key used by client: '{print}', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '{}'.",
                registration.app
            );
            Denial::client(700_027, text)
        };
        let found = registration.certificates.iter().find(|der| print(der) == wanted).ok_or_else(|| {
            let text = "The certificate with identifier used to sign the client assertion is not registered on application.";
            refused(text, "The key was not found.")
        })?;
        let der = CertificateDer::from(found.as_slice());
        let certificate = EndEntityCert::try_from(&der);
        if certificate.as_ref().is_ok_and(|certificate| has_ended(certificate, &der, asking.context.at)) {
            return Err(refused("Client assertion contains an invalid signature.", "The key used is expired."));
        }
        let verified =
            certificate.and_then(|certificate| certificate.verify_signature(algorithm, self.signed.as_bytes(), &self.signature));
        verified.map_err(|_| {
            let reason = "Key was found, but use of the key to verify the signature failed.";
            refused("Client assertion failed signature validation.", reason)
        })?;
        if asking.audiences().iter().any(|audience| audience == self.claim("aud")) {
            return Ok(());
        }
        let text = format!("Client assertion audience claim does not match Realm issuer. Review the documentation at {PAGE} .");
        Err(Denial::client(700_023, text))
    }

    /// By an issuer whose word is taken for the app.
    fn by_issuer(&self, registration: &Registration, notary: &mut Notary) -> Result<(), Denial> {
        if self.head("alg") != "RS256" {
            return Err(self.unsupported("RS256"));
        }
        self.recorded(&registration.federated)?;
        let kid = self.head("kid");
        if !notary.is_named(kid) {
            let text = format!(
                "The certificate with identifier {kid} used to sign the federated credential could not be found in the metadata of identity provider {}. Please validate that your Identity Provider's metadata exposes the key used to sign the incoming token.",
                self.claim("iss")
            );
            return Err(Denial::client(7_000_272, text));
        }
        if notary.signed(self.signed.as_bytes(), &self.signature) {
            return Ok(());
        }
        Err(Denial::client(700_027, "Client assertion failed signature validation."))
    }

    /// Issuer, subject and audience must all match one record; the first of them that matches none is named.
    fn recorded(&self, records: &[FederatedCredential]) -> Result<(), Denial> {
        let (issuer, subject) = (self.claim("iss"), self.claim("sub"));
        let mismatch = |number, what: &str| {
            let text = format!(
                "No matching federated identity record found for presented assertion {what}. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. {FEDERATION_PAGE}"
            );
            Denial::client(number, text)
        };
        if records.is_empty() {
            let text = format!(
                "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. Assertion Subject: '{subject}'."
            );
            return Err(Denial::client(70_021, text));
        }
        let known = Issuer::of(issuer);
        let by_issuer: Vec<_> = records.iter().filter(|record| Some(record.issuer) == known).collect();
        if by_issuer.is_empty() {
            return Err(mismatch(700_211, &format!("issuer '{issuer}'")));
        }
        let about = |same: fn(&str, &str) -> bool| {
            let is_about = move |record: &&&FederatedCredential| record.subject.as_deref().is_none_or(|one| same(one, subject));
            by_issuer.iter().filter(is_about).collect::<Vec<_>>()
        };
        let by_subject = about(|one, other| one == other);
        if by_subject.is_empty() {
            let only_case = !about(str::eq_ignore_ascii_case).is_empty();
            let case = "The subject matches with case-insensitive comparison, but not with case-sensitive comparison.";
            return Err(if only_case {
                mismatch(7_002_138, &format!("subject '{subject}'. {case}"))
            } else {
                mismatch(700_213, &format!("subject '{subject}'"))
            });
        }
        let audience = &self.claims["aud"];
        let several = audience.as_array().map_or(std::slice::from_ref(audience), Vec::as_slice);
        let audiences: Vec<_> = several.iter().filter_map(Value::as_str).collect();
        if by_subject.iter().any(|record| audiences.contains(&record.audience.as_str())) {
            return Ok(());
        }
        Err(mismatch(700_212, &format!("audience '{}'", audiences.join(", "))))
    }

    fn in_time(&self, now: Timestamp) -> Result<(), Denial> {
        // Seconds with or without a fraction (RFC 7519, 2).
        let time = |name: &str| {
            let since = SignedDuration::try_from_secs_f64(self.claims[name].as_f64()?).ok()?;
            Timestamp::from_duration(since).ok()
        };
        let (from, to) = (time("nbf").unwrap_or(Timestamp::UNIX_EPOCH), time("exp").unwrap_or(Timestamp::UNIX_EPOCH));
        if from <= now && now < to {
            return Ok(());
        }
        let text = format!(
            "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry time of assertion {}. Review the documentation at {PAGE} .",
            written(now),
            written(from),
            written(to)
        );
        Err(Denial::client(700_024, text))
    }
}
