//! The command line: its commands and options, and the module for each command.

mod audit;
mod backup;
mod client;
mod doctor;
mod failure;
mod health;
mod init;
mod listed;
mod listening;
mod manual;
mod migrate;
mod notify;
mod open_error;
mod openapi;
mod output;
mod serve;
mod service;
mod session;
mod settings;
mod store;
mod suppression;
mod token;
mod transfer;
mod usage;
mod user;
mod worker;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tokio::sync::oneshot;

use self::failure::Failure;
use self::store::OpenMode;
use crate::config::{self, Config, Flags, LogFormat, Origins};
use crate::telemetry;
use crate::version;
use clientele_core::problem::{Problem, ProblemCode};
use clientele_domain::client::Clients;

/// Keeps a bank's clients: a GraphQL API, and the legacy REST route on the same data.
#[derive(Debug, Parser)]
#[command(
    name = "clientele",
    version = version::TEXT,
    after_help = "Without a command, the server starts. config.example.toml lists every setting.\n\n\
                  Exit codes: 0 for success, 1 for a failure, 2 for a wrong command or configuration, 3 for pending \
                  steps of `migrate status`, 75 for a `notify receipt` that must be run again, 130 and 143 for a \
                  command that SIGINT or SIGTERM stopped before it was done. The reason of a failure is one line \
                  on standard error, as JSON if log.format is json."
)]
struct Arguments {
    /// A file with settings in TOML.
    #[arg(long, global = true, value_name = "FILE", env = "CLIENTELE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    /// Serve without authentication: every program that reaches the server has all permissions. Loopback addresses
    /// only.
    #[arg(long)]
    no_auth: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Migrate the database and serve both APIs until SIGTERM or Ctrl-C.
    Serve {
        /// Serve without authentication: every program that reaches the server has all permissions. Loopback addresses
        /// only.
        #[arg(long)]
        no_auth: bool,
    },
    /// Send messages until SIGTERM or Ctrl-C, in addition to the worker of `serve` or instead of it.
    Worker,
    /// Bring the database to this version's form and stop.
    Migrate(migrate::Options),
    /// Copy the SQLite database to a new file, also while servers run.
    Backup(backup::Target),
    /// Write all clients and definitions as lines of JSON, also while servers run.
    ///
    /// The file has the clients with their keys, state, dates, versions and history, the keys and history of deleted
    /// and erased clients, and the definitions of custom fields, roles and message templates. It has no messages, users
    /// or tokens. A file that exists isn't replaced without --force, and is complete or absent.
    ///
    /// Exit codes: 0 if the file is complete; 1 if it can't be written or the database can't be read.
    Export(transfer::Target),
    /// Store the clients and definitions of a file that `export` has written, or of one in its form.
    ///
    /// Clients are checked by the rules of new clients and keep their keys. Those of an export keep their history: it
    /// is verified with audit.key and audit.previous_keys as far as they sealed it, and sealed anew with audit.key.
    /// Others get a history that begins with the import. No messages are sent. Clients whose keys are stored are
    /// skipped and stay as they are, so that an import that was stopped can be run again. In a database with clients,
    /// definitions whose ids exist stay as they are.
    ///
    /// Exit codes: 0 if every client of the file is stored; 1 if the file can't be read, is cut off or has refused
    /// lines, or if the database fails.
    Import(transfer::Source),
    /// Ask the server that runs with this configuration if it is ready, as a health check.
    ///
    /// Exit codes: 0 if it is ready, 1 if it isn't or doesn't answer.
    Health,
    /// Write a configuration file that explains every setting, with the defaults.
    ///
    /// Only the owner can read the file, because passwords and keys can be written into it. A file that exists isn't
    /// replaced without --force. Values of --listen and --database-url are written instead of the defaults.
    ///
    /// Exit codes: 0 if the file is written; 1 if it exists or can't be written; 2 if an option is wrong.
    Init(init::Target),
    /// Print the configuration as TOML, with the source of each value and without secrets.
    Config,
    /// Check the settings, the database and everything that the settings name, and say what to do.
    ///
    /// Prints one line for each check: OK, WARNING, PROBLEM or SKIPPED, the finding, what to do, and the page of the
    /// documentation. Changes and sends nothing. Run it as the user that runs the server, with the same settings.
    ///
    /// Exit codes: 0 if there is no PROBLEM; 1 if there is one; 2 if the command is wrong.
    Doctor(doctor::Options),
    /// Print the GraphQL schema.
    Schema,
    /// Print the description of the legacy REST API, as an OpenAPI 3.1 document.
    Openapi(openapi::Form),
    /// Print the script with which a shell completes the commands.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands.
    Man(manual::Target),
    /// Fill the database with invented clients, the same ones every time.
    Seed {
        /// The number of clients.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        clients: u32,
        /// Add them also to a database that has other clients.
        #[arg(long)]
        force: bool,
    },
    /// Test the channels that messages are sent over, and record reports about messages.
    #[command(subcommand)]
    Notify(notify::Command),
    /// Manage the suppression list: the recipients that get no messages.
    #[command(subcommand)]
    Suppression(suppression::Command),
    /// Verify the history of changes, or write it to a file.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Erase data that is kept about a client.
    #[command(subcommand)]
    Client(client::Command),
    /// Manage users, who sign in with a name and a password.
    #[command(subcommand)]
    User(user::Command),
    /// Manage API tokens, for programs.
    #[command(subcommand)]
    Token(token::Command),
    /// Manage sessions of users in browser applications.
    #[command(subcommand)]
    Session(session::Command),
}

/// The number of tasks that a core runs before it looks at sockets and timers again. Some tasks write pages of clients:
/// after tokio's default of 61 of those, a refusal would come late.
const EVENT_INTERVAL: u32 = 16;
/// The time that the end of the program waits for blocking calls, such as the lookup of a host name.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the command that the program's arguments name.
///
/// Creates the runtime here and not in `main.rs`: futures are compiled in the crate that polls them, so the binary's
/// crate would compile the whole program a second time.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(format!("can't start threads: {error}"));
            failure.report(failure::requested_format(&arguments));
            return ExitCode::from(failure.code());
        }
    };
    let code = runtime.block_on(execute(arguments));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    code
}

async fn execute(arguments: Vec<OsString>) -> ExitCode {
    listening::survive_file_limit();
    let mut format = None;
    let outcome = match Arguments::try_parse_from(&arguments) {
        Ok(arguments) => run_command(arguments, &mut format).await,
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let failure = usage::missing_subcommand(&arguments);
            if failure::requested_format(&arguments) == LogFormat::Text {
                let _ = error.print();
                return ExitCode::from(failure.code());
            }
            Err(failure)
        }
        Err(error) if error.use_stderr() => Err(usage::failure(&error, &arguments)),
        Err(help_or_version) => Failure::check_output(help_or_version.print()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let format = format.unwrap_or_else(|| failure::requested_format(&arguments));
            failure.report(format);
            ExitCode::from(failure.code())
        }
    }
}

/// Sets `format` to the configured one once it is known.
async fn run_command(arguments: Arguments, format: &mut Option<LogFormat>) -> Result<(), Failure> {
    let command = arguments.command.unwrap_or(Command::Serve { no_auth: false });
    if arguments.no_auth && !matches!(command, Command::Serve { .. }) {
        return Err(Failure::misconfigured("--no-auth can only be used to serve"));
    }
    // These need no settings.
    match &command {
        Command::Schema => return print(&crate::api::graphql::sdl()),
        Command::Openapi(form) => return openapi::run(form),
        Command::Completions { shell } => return manual::completions(Arguments::command(), *shell),
        Command::Man(target) => return manual::man(Arguments::command(), target),
        Command::Init(target) => return init::run(target, arguments.config.as_deref(), &arguments.flags),
        Command::Doctor(options) => {
            return doctor::run(arguments.config.as_deref(), &arguments.flags, options).await;
        }
        _ => {}
    }
    let loaded = load(arguments.config.as_deref(), &arguments.flags);
    let (config, origins) = match command {
        Command::Notify(notify::Command::Receipt) => loaded.map_err(Failure::temporary)?,
        _ => loaded?,
    };
    *format = Some(config.log.format);
    if let Command::Serve { .. } | Command::Worker = command {
        let telemetry = telemetry::start_exporting(&config.log, &config.telemetry, store::now);
        let telemetry = telemetry.map_err(Failure::misconfigured)?;
        let outcome = match command {
            Command::Serve { no_auth } => serve::serve(&config, no_auth || arguments.no_auth, &telemetry).await,
            _ => worker::work(&config, &telemetry).await,
        };
        telemetry
            .end(Duration::from_secs(config.shutdown_timeout_seconds))
            .await;
        return outcome;
    }
    telemetry::start(&config.log);
    match command {
        Command::Migrate(options) => migrate::run(&config, options).await,
        Command::Backup(target) => backup::run(&config, &target).await,
        Command::Export(target) => transfer::export(&config, &target).await,
        Command::Import(source) => transfer::import(&config, &source).await,
        Command::Seed { clients, force } => {
            store::with_services(&config, OpenMode::Create, async |services| {
                seed(&config, &services.clients, clients, force).await
            })
            .await
        }
        Command::Notify(command) => notify::run(&config, command).await,
        Command::Suppression(command) => suppression::run(&config, command).await,
        Command::Audit(command) => audit::run(&config, command).await,
        Command::Client(command) => client::run(&config, command).await,
        Command::User(command) => user::run(&config, command).await,
        Command::Token(command) => token::run(&config, command).await,
        Command::Health => health::run(&config).await,
        Command::Session(command) => session::run(&config, command).await,
        Command::Config => print(&settings::printed(&config, &origins)?),
        // They ran above.
        Command::Serve { .. } | Command::Worker => Ok(()),
        Command::Schema
        | Command::Openapi(_)
        | Command::Completions { .. }
        | Command::Man(_)
        | Command::Init(_)
        | Command::Doctor(_) => Ok(()),
    }
}

async fn seed(config: &Config, service: &Clients, clients: u32, force: bool) -> Result<(), Failure> {
    if !force && service.has_others().await.map_err(Failure::internal)? {
        return Err(Failure::new(format!(
            "the database {} has clients that were not seeded: name another one with --database-url, or add the \
             invented clients to them with --force",
            config.database_url
        )));
    }
    let progress = |done| tracing::info!(done, clients, "seeding");
    let seeding = service.seed(clients, store::now(), progress);
    seeding.await.map_err(Failure::internal)?;
    print(&format!(
        "the database has the invented clients SEED00000000 to SEED{:08}\n",
        clients - 1
    ))
}

fn load(file: Option<&Path>, flags: &Flags) -> Result<(Config, Origins), Failure> {
    // A variable that isn't valid text can't be a valid setting: its replacement character makes the check refuse it.
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    Ok(config::load_with_origins(file, environment, flags)?)
}

/// Unlike `println!`, doesn't panic when the reader has closed the pipe (`clientele schema | head`).
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    Failure::check_output(std::io::stdout().lock().write_all(text.as_bytes()))
}

/// The remedy of an id that no longer leads to a client.
const BY_KEY: &str = "one that was deleted or erased is named by its key, which its audit records have";

/// Prompts at the terminal on a separate thread, so that a signal can stop the command.
async fn ask<T: Send + 'static>(question: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let (answer, answered) = oneshot::channel();
    std::thread::spawn(move || answer.send(question()));
    answered.await.map_err(Failure::internal)?
}

/// Returns true when a problem says that the named entity doesn't exist.
fn is_missing(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.code == ProblemCode::NotFound)
}

/// The problems of an input as one line.
fn refused(problems: &[Problem]) -> Failure {
    let sentences: Vec<String> = problems.iter().map(|problem| problem.message.to_string()).collect();
    Failure::new(sentences.join(" "))
}
