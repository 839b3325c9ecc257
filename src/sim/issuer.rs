//! The issuers whose tokens Entra takes for an app's own word, and the one RSA key that they all sign with. It is made
//! when it is first needed, because making one takes longer than everything else here.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// An issuer of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// GitHub Actions.
    GitHub,
    /// Azure Pipelines.
    AzurePipelines,
    /// A Kubernetes cluster.
    Cluster,
}

impl Issuer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::GitHub, Self::AzurePipelines, Self::Cluster];

    /// The name by which it issues (`iss`).
    pub const fn url(self) -> &'static str {
        match self {
            Self::GitHub => "https://token.actions.githubusercontent.com",
            Self::AzurePipelines => "https://vstoken.dev.azure.com/5e5e5e5e-0000-4000-8000-000000000000",
            Self::Cluster => "https://oidc.simulated.example/cluster/",
        }
    }

    /// The issuer of this name.
    pub(super) fn of(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|issuer| issuer.url() == url)
    }
}

/// Signs for all issuers.
#[derive(Debug, Default)]
pub(super) struct Notary {
    key: Option<KeyPair>,
}

impl Notary {
    /// The key; `None` where the machine cannot make one.
    fn key(&mut self) -> Option<&KeyPair> {
        if self.key.is_none() {
            self.key = KeyPair::generate(KeySize::Rsa2048).ok();
        }
        self.key.as_ref()
    }

    /// A token that says this.
    pub(super) fn sign(&mut self, claims: &Value) -> Option<String> {
        let key = self.key()?;
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": name(key)?});
        let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whether it signs by this name (`kid`).
    pub(super) fn is_named(&mut self, kid: &str) -> bool {
        self.key().and_then(name).is_some_and(|name| name == kid)
    }

    /// Whether it signed this (RS256).
    pub(super) fn signed(&mut self, message: &[u8], signature: &[u8]) -> bool {
        self.key().is_some_and(|key| {
            let public = UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
            public.verify(message, signature).is_ok()
        })
    }
}

/// A key's name: the digest of its public part.
fn name(key: &KeyPair) -> Option<String> {
    let public = key.public_key().as_der().ok()?;
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(public.as_ref())))
}
