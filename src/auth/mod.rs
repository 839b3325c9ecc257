//! A valid token per tenant; one refresh for many callers. It does not know what tokens are for.
//!
//! Must not see other rooms but `model`, read the environment, or let a secret into any text.

mod answer;
mod authority;
mod base_url;
mod bearer;
mod causes;
mod entra;
mod error;
mod hints;
mod keeper;
mod platform;
mod retry_after;
mod sign_in;
mod tokens;

#[cfg(test)]
mod fake;

pub use authority::{Authority, discover};
pub use base_url::BaseUrl;
pub use bearer::{Bearer, Claims};
pub use causes::causes;
pub use error::{AuthError, TokenError};
pub use platform::{SecretError, SecretRef};
pub use retry_after::{http_date, retry_after, retry_after_field};
pub use sign_in::{Credential, SignIn};
pub use tokens::Tokens;
