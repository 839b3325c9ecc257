//! Defaults, `config.toml`, job, environment and flags: complete settings, and all problems at once.
//!
//! Precedence, from weak to strong: defaults, `config.toml`, the job, the environment, flags. Reads no file, no
//! environment and no terminal itself: it is handed texts and a snapshot of the environment.

mod auth_options;
mod choice;
mod env;
mod file;
mod job;
mod options;
mod places;
mod proxies;
mod said;
mod settings;
mod table;
mod value;

pub use choice::{Choice, Means};
pub use env::Env;
pub use file::ConfigFile;
pub use job::Job;
pub use options::{OnEmpty, RunOptions, deadline};
pub use said::Said;
pub use settings::{Flags, Layers, Origins, Settings, SignInSettings, settings};
pub use value::{duration, positive_duration, quota};
