//! The command line: one file per command.

mod account;
mod catalogue;
mod check;
mod everyday;
mod health;
mod house;
mod import;
mod key;
mod ledger;
mod paper;
mod print;
mod replay;
mod revise;
mod router;
mod router_levels;
mod serve;
mod sim;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::boot::Failure;

#[derive(Debug, Parser)]
#[command(name = "optimux", version, about = "One endpoint in front of every LLM provider.")]
struct Arguments {
    /// The configuration file; `optimux.toml` in the working directory if not given.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (the default).
    Serve(serve::Serve),
    /// Validate the configuration, the catalogue and the store.
    Check(check::Check),
    /// Manage accounts.
    #[command(subcommand)]
    Account(account::Account),
    /// Manage API keys.
    #[command(subcommand)]
    Key(key::Key),
    /// Look after the books.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Look after what there is to route to.
    #[command(subcommand)]
    Catalogue(catalogue::Catalogue),
    /// Train, judge and question what `auto` chooses by.
    #[command(subcommand)]
    Router(router::Router),
    /// Run the simulated provider as a process of its own.
    Sim(sim::Sim),
    /// Ask a node whether it is ready.
    Health(health::Health),
    /// Make a configuration of another gateway's.
    #[command(subcommand)]
    Import(import::Import),
    /// Print what a shell reads to complete the commands.
    Completions(paper::Completions),
    /// Print the manual, for man(1).
    Man,
}

/// Parses the arguments and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    crate::boot::prepare();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("optimux-background")
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(why) => return complain(&format!("the runtime cannot start: {why}")),
    };
    let outcome: Result<(), Failure> = runtime.block_on(async {
        let config = arguments.config.as_deref();
        match arguments.command.unwrap_or(Command::Serve(serve::Serve::default())) {
            Command::Serve(command) => command.run(config).await,
            Command::Check(command) => command.run(config).await,
            Command::Account(command) => command.run(config).await,
            Command::Key(command) => command.run(config).await,
            Command::Ledger(command) => command.run(config).await,
            Command::Catalogue(command) => command.run(config).await,
            Command::Router(command) => command.run(config),
            Command::Sim(command) => command.run().await,
            Command::Health(command) => command.run(config),
            Command::Import(command) => command.run(),
            Command::Completions(command) => {
                command.run(Arguments::command());
                Ok(())
            }
            Command::Man => paper::man(Arguments::command()),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => complain(&why.to_string()),
    }
}

fn complain(why: &str) -> ExitCode {
    for line in why.lines() {
        // Nobody is left to tell when standard error is closed.
        let _closed = writeln!(std::io::stderr(), "optimux: {line}");
    }
    ExitCode::FAILURE
}
