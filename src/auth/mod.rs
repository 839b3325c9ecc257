//! A valid token per tenant; one refresh for many callers. It does not know what tokens are for.
//!
//! Must not see other rooms but `model`, read the environment, or let a secret into any text.

mod answer;
mod authority;
mod azure_cli;
mod base_url;
mod bearer;
mod causes;
mod certificate;
mod device;
mod device_login;
mod entra;
mod error;
mod federated;
mod found;
mod given;
mod hints;
mod keeper;
mod login_file;
mod managed;
mod method;
mod obstacle;
mod platform;
mod retry_after;
mod service;
mod sign_in;
mod tokens;
mod wires;

#[cfg(test)]
mod fake;

pub use authority::{Authority, discover};
pub use base_url::BaseUrl;
pub use bearer::{Bearer, Claims};
pub use causes::causes;
pub use certificate::{Certificate, CertificateError};
pub use device_login::{DeviceLogin, SignedIn};
pub use error::{AuthError, TokenError};
pub use login_file::{KeepError, forget_login, login_file, prove_login_file};
pub use method::Method;
pub use obstacle::Obstacle;
pub use platform::{SecretError, SecretRef};
pub use retry_after::{http_date, retry_after, retry_after_field};
pub use sign_in::{ClientSecret, Credential, Federation, GivenToken, Identity, ManagedIdentity, Platform, SignIn};
pub use tokens::Tokens;
pub use wires::Wires;
