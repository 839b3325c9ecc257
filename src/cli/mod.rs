//! Composes the rooms: arguments, environment, streams, signals, exit codes. Holds no rules of the domain.

mod advice;
mod approvals;
mod args;
mod binding;
mod check;
mod consent;
mod context;
mod credentials;
mod examine;
mod exit;
mod facts;
mod flags;
mod history;
mod list;
mod lists;
mod login;
mod open_items;
mod past_args;
mod pastime;
mod plan;
mod planning;
mod preflight;
mod protect;
mod resume;
mod run;
mod sealed;
mod session;
mod signal;
mod simulate;
mod space;
mod streams;
mod survey;
mod tenants;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use args::{Cli, Command};
use context::Context;
pub use exit::{Exit, Quit};
use past_args::AuditCommand;

/// What the binary does: reads the arguments, runs the command, prints why it ended, returns the exit code.
pub fn main() -> ExitCode {
    // A panic has said where it happened; to scripts it is a bug like any other.
    std::panic::catch_unwind(command).unwrap_or_else(|_| ExitCode::from(Exit::Internal.code()))
}

fn command() -> ExitCode {
    // The footer says it once; on every flag it would bury the help.
    let quiet = |command: clap::Command| command.mut_args(|arg| arg.hide_env(true));
    let command = quiet(Cli::command()).mut_subcommands(quiet);
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return streams::usage(&error),
    };
    let context = Context::new(cli.output);
    let result = match cli.command {
        Command::Run(mut args) => run::run(&context, &mut args),
        Command::Plan(args) => run::plan(&context, &args),
        Command::List(args) => list::list(&context, &args),
        Command::Resume(args) => resume::resume(&context, &args),
        Command::Verify(args) => resume::verify(&context, &args),
        Command::Report(args) => pastime::report(&context, &args),
        Command::Runs(args) => pastime::runs(&context, &args),
        Command::History(args) => history::history(&context, &args),
        Command::Audit(AuditCommand::Verify(args)) => history::audit(&context, &args),
        Command::Check(args) => check::check(&context, &args),
        Command::Login(args) => login::login(&context, &args),
        Command::Logout(args) => login::logout(&context, &args),
        Command::Simulate(args) => simulate::serve(&context, &args),
    };
    let exit = result.unwrap_or_else(|quit| {
        streams::error(&quit.lines);
        quit.exit
    });
    ExitCode::from(exit.code())
}
