//! `clientele client erase`: erases all personal data of a client. Prints no personal data: clients are named by their
//! keys.

use std::fs::File;
use std::io::{IsTerminal, stdin};

use clap::{Args, Subcommand};

use super::store::{self, OpenMode};
use super::{BY_KEY, Failure, ask, print};
use crate::config::Config;
use clientele_core::scalar::DateTime;
use clientele_domain::{
    caller::Caller,
    client::{ClientParts, Clients},
    client_by::ClientBy,
    removal::RemoveClient,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Erase a client for good, with all data that is kept about it.
    ///
    /// Erased are the client with its addresses, documents and custom field values, its messages, the contents of its
    /// history (every value before and after a change), and the answers kept under idempotency keys: a request that is
    /// sent again is refused. Messages that wait to be sent never will be.
    ///
    /// The client's key remains, and is never used again; so do the callers and times of its changes, links of other
    /// clients to the key, and every backup. The erasure is a record of the history itself, and the history still
    /// verifies.
    ///
    /// A client that was deleted is named by its key: what is erased then is the data that its history keeps.
    ///
    /// Exit codes: 0 if the data is erased, also when it was erased before: then the time of that is printed and
    /// nothing is written; 1 if there is no such client; 2 without a terminal and without --yes.
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
    let by = ClientBy::Either(client);
    let found = clients.get(&operator, &by, ClientParts::default()).await;
    let by = match found.map_err(Failure::internal)? {
        Some((client, _)) => ClientBy::EncodedKey(client.client.encoded_key),
        // It can be the key of a client that was deleted.
        None => by,
    };
    let asked = by.name().clone();
    if !yes && !ask(move || confirmed(&asked)).await? {
        return Err(Failure::new("nothing has been erased"));
    }
    let erased = clients.erase(&operator, &RemoveClient::from(by), store::now()).await;
    let unknown = |_| Failure::new(format!("there is no client with this key or id: {BY_KEY}"));
    let erased = erased.map_err(Failure::internal)?.map_err(unknown)?;
    let key = &erased.client_key;
    let merged = match erased.merged_keys.is_empty() {
        true => String::new(),
        false => format!(
            "clients that were merged into it keep their own data, so erase them, too: {}\n",
            erased.merged_keys.join(", ")
        ),
    };
    print(&match erased.was_erased {
        false => format!(
            "the client {key} has been erased; messages: {}, records of its history that had contents: {}\n{merged}",
            erased.messages, erased.records
        ),
        true => {
            let at = DateTime::text(&erased.at);
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
        "The client {key} will be erased for good, with all data that is kept about it.\nType yes to erase it: "
    );
    let asked = asked.and_then(|()| terminal.flush());
    drop(terminal);
    let read = asked.and_then(|()| stdin().read_line(&mut answer));
    read.map_err(|error| Failure::new(format!("can't ask for confirmation: {error}")))?;
    Ok(answer.trim() == "yes")
}
