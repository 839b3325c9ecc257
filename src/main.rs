//! The binary's doorway: everything happens in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    bulk_revoke::cli::main()
}
