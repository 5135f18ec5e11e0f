//! `clientele client erase`: erases the stored data about a client outside its own row. Prints no personal data:
//! clients are named by their keys.

use std::fs::File;
use std::io::{IsTerminal, stdin};

use clap::{Args, Subcommand};

use super::store::{self, OpenMode};
use super::{Failure, ask, print};
use crate::config::Config;
use clientele_core::scalar::DateTime;
use clientele_domain::{
    caller::Caller,
    client::{ClientParts, Clients, Erased},
    client_by::ClientBy,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Erase for good the data that is kept about a client outside its own row.
    ///
    /// Erased are the contents of its history (every value before and after a change), the texts, recipients and
    /// provider answers of its messages, and the answers kept under idempotency keys: a request that is sent again is
    /// refused. Waiting messages are cancelled.
    ///
    /// What remains: the client's row with its addresses, documents and custom field values; who changed it and when;
    /// when messages were sent, from which template; and every backup. The erasure is a record of the history itself,
    /// and the history still verifies.
    ///
    /// Change the client first, so that its row no longer holds the data: a later change writes the value before it
    /// into the history again.
    ///
    /// Exit codes: 0 if the data is erased, also when it was erased before and nothing was added since: then the
    /// time of that is printed and nothing is written; 1 if there is no such client; 2 without a terminal and without
    /// --yes.
    Erase(Which),
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// The key of the client, or its id.
    #[arg(value_name = "KEY-OR-ID")]
    client: String,
    /// Don't ask for confirmation.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let Command::Erase(Which { client, yes }) = command;
    if !yes && !stdin().is_terminal() {
        let sentence = "nothing has been erased: there is no terminal to ask for confirmation, so add --yes";
        return Err(Failure::misconfigured(sentence));
    }
    store::with_services(config, OpenMode::Change, async |services| {
        erase(&services.clients, client, yes).await
    })
    .await
}

async fn erase(clients: &Clients, client: String, yes: bool) -> Result<(), Failure> {
    let operator = Caller::operator();
    let unknown = || Failure::new("there is no client with this key or id");
    let by = ClientBy::Either(client);
    let found = clients.get(&operator, &by, ClientParts::default()).await;
    let (client, _) = found.map_err(Failure::internal)?.ok_or_else(unknown)?;
    let key = &client.client.encoded_key;
    let asked = key.clone();
    if !yes && !ask(move || confirmed(&asked)).await? {
        return Err(Failure::new("nothing has been erased"));
    }
    let erased = clients.erase_traces(&operator, key, store::now()).await;
    print(&match erased.map_err(Failure::internal)?.ok_or_else(unknown)? {
        Erased::Now { records } => format!(
            "the data kept about the client {key} outside its own row has been erased; records of its history that \
             had contents: {records}\n"
        ),
        Erased::Before(at) => {
            let at = DateTime::text(&at);
            format!("the client {key} was erased before, at {at}, and nothing was added since: nothing has changed\n")
        }
    })
}

/// Asks for confirmation at the terminal, because standard output and standard error may be redirected to files.
fn confirmed(key: &str) -> Result<bool, Failure> {
    use std::io::Write;
    let mut answer = String::new();
    let opened = File::options().write(true).open("/dev/tty");
    let mut terminal = opened.map_err(|error| Failure::new(format!("can't ask for confirmation: {error}")))?;
    let asked = write!(
        terminal,
        "The data kept about the client {key} outside its own row will be erased for good.\nType yes to erase it: "
    );
    let asked = asked.and_then(|()| terminal.flush());
    drop(terminal);
    let read = asked.and_then(|()| stdin().read_line(&mut answer));
    read.map_err(|error| Failure::new(format!("can't ask for confirmation: {error}")))?;
    Ok(answer.trim() == "yes")
}
