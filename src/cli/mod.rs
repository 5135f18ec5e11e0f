//! The command line: what can be asked for, and who does it. Knows no rule of the business.

mod audit;
mod backup;
mod client;
mod failure;
mod listed;
mod listening;
mod notify;
mod open_error;
mod quoted;
mod serve;
mod store;
mod token;
mod user;
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tokio::sync::oneshot;

use self::store::Access;
use crate::Clientele;
use crate::client::has_other_clients;
use crate::config::{self, Config, Flags};
use crate::network::ListenAddress;
pub use failure::Failure;

/// Keeps a bank's clients: a GraphQL API, and the legacy REST route on the same data.
#[derive(Debug, Parser)]
#[command(
    name = "clientele",
    version,
    after_help = "Without a command it serves. config.example.toml has every setting."
)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Serve without authentication: everybody who reaches the server may do everything. Loopback addresses only.
    #[arg(long)]
    no_auth: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Settings {
    /// Settings in TOML.
    #[arg(long, global = true, value_name = "FILE", env = "CLIENTELE_CONFIG")]
    config: Option<PathBuf>,
    /// Where to accept connections; port 0 picks a free one [env: CLIENTELE_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    listen: Option<ListenAddress>,
    /// sqlite:FILE or postgres://… [env: DATABASE_URL] [default: sqlite:clientele.db]
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// Any other setting, as in --set log.format=json or --set 'http.trusted_proxies=["10.0.0.0/8"]'; may be given again.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Migrate the database and serve both APIs until SIGTERM or Ctrl-C.
    Serve {
        /// Serve without authentication: everybody who reaches the server may do everything. Loopback addresses only.
        #[arg(long)]
        no_auth: bool,
    },
    /// Send messages, beside or instead of the worker that `serve` has, until SIGTERM or Ctrl-C.
    Worker,
    /// Bring the database to this version's form and stop.
    Migrate,
    /// Copy the SQLite database to a new file, also while servers run.
    Backup(backup::Target),
    /// Print the configuration in force as TOML, secrets hidden.
    Config,
    /// Print the GraphQL schema.
    Schema,
    /// Fill the database with invented clients, the same ones every time.
    Seed {
        /// How many.
        #[arg(long, value_name = "N")]
        clients: u32,
        /// Add them also to a database that has other clients.
        #[arg(long)]
        force: bool,
    },
    /// What is sent to clients.
    #[command(subcommand)]
    Notify(notify::Command),
    /// The history of changes.
    #[command(subcommand)]
    Audit(audit::Command),
    /// What is kept of a client.
    #[command(subcommand)]
    Client(client::Command),
    /// Who may sign in with a name and a password.
    #[command(subcommand)]
    User(user::Command),
    /// API tokens, for programs.
    #[command(subcommand)]
    Token(token::Command),
}

/// Does what the command line asks for.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => return Err(Failure::usage(&error)),
        Err(help_or_version) => return Failure::check_output(help_or_version.print()),
    };
    let command = arguments.command.unwrap_or(Command::Serve { no_auth: false });
    if let Command::Schema = command {
        return print(&crate::api::graphql::sdl());
    }
    let config = load(arguments.settings)?;
    match command {
        Command::Serve { no_auth } => serve::serve(&config, no_auth || arguments.no_auth).await,
        Command::Worker => worker::work(&config).await,
        Command::Migrate => {
            crate::telemetry::start(&config.log);
            store::with_database(&config, Access::Create, async |_| Ok(())).await?;
            print("the database is up to date\n")
        }
        Command::Backup(target) => {
            crate::telemetry::start(&config.log);
            backup::run(&config, &target).await
        }
        Command::Seed { clients, force } => {
            crate::telemetry::start(&config.log);
            store::with_clientele(&config, Access::Create, async |clientele| {
                seed(&config, &clientele, clients, force).await
            })
            .await
        }
        Command::Notify(command) => {
            crate::telemetry::start(&config.log);
            notify::run(&config, command).await
        }
        Command::Audit(command) => {
            crate::telemetry::start(&config.log);
            audit::run(&config, command).await
        }
        Command::Client(command) => {
            crate::telemetry::start(&config.log);
            client::run(&config, command).await
        }
        Command::User(command) => {
            crate::telemetry::start(&config.log);
            user::run(&config, command).await
        }
        Command::Token(command) => {
            crate::telemetry::start(&config.log);
            token::run(&config, command).await
        }
        Command::Config => print(&toml::to_string(&config).map_err(Failure::internal)?),
        Command::Schema => Ok(()),
    }
}

async fn seed(config: &Config, clientele: &Clientele, clients: u32, force: bool) -> Result<(), Failure> {
    if !force && has_other_clients(&clientele.db).await.map_err(Failure::internal)? {
        return Err(Failure::new(format!(
            "the database {} has clients that were not seeded: name another one with --database-url, or add the invented \
             clients to them with --force",
            config.database_url
        )));
    }
    let progress = |done| tracing::info!(done, clients, "seeding");
    let seeding = clientele.seed(clients, store::now(), progress);
    seeding.await.map_err(Failure::internal)?;
    print(&format!(
        "the database has the invented clients SEED00000000 to SEED{:08}\n",
        clients.saturating_sub(1)
    ))
}

fn load(settings: Settings) -> Result<Config, Failure> {
    let Settings {
        config: file,
        listen,
        database_url,
        set,
    } = settings;
    // A variable that isn't valid text can't be a valid setting: its sign of replacement makes the check refuse it.
    let environment = std::env::vars_os().map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    });
    Ok(config::load(
        file.as_deref(),
        environment,
        &Flags {
            listen,
            database_url,
            set,
        },
    )?)
}

/// Not `println!`, which panics when the reader has gone away (`clientele schema | head`).
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    Failure::check_output(std::io::stdout().lock().write_all(text.as_bytes()))
}

/// Asks the person at the terminal, on a thread of its own: a signal can stop the command meanwhile.
async fn ask<T: Send + 'static>(question: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let (answer, answered) = oneshot::channel();
    std::thread::spawn(move || answer.send(question()));
    answered.await.map_err(Failure::internal)?
}

/// The problems of a submission as one line.
fn refused(problems: &[crate::problem::Problem]) -> Failure {
    let sentences: Vec<&str> = problems.iter().map(|problem| &*problem.message).collect();
    Failure::new(sentences.join(" "))
}
