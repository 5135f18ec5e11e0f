//! `clientele client erase`: what is left of a client beside its own row. Prints no personal data: clients are named by their
//! keys.

use std::io::{IsTerminal, stderr, stdin};

use chrono::Utc;
use clap::{Args, Subcommand};

use super::store::{self, Access};
use super::{Failure, ask, print};
use crate::{
    Clientele,
    access::Caller,
    client::{ClientBy, Wanted},
    config::Config,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Erase for good what is kept of a client beside its own row.
    ///
    /// Erased are what the records of its history say (every value before and after a change), what its messages said, to
    /// whom they went and what providers answered, and the answers kept under idempotency keys: a request that is sent
    /// again is refused. Messages that wait are given up.
    ///
    /// What remains: the client's row with its addresses, documents and custom field values; that and when it was changed
    /// and by whom; that and when messages were sent, from which template; and every backup. The erasure is a record of
    /// the history itself, and the history still verifies.
    ///
    /// Change the client first, so that its row holds nothing that is to go: changing it afterwards writes what was there
    /// into the history again, as the value before.
    Erase(Which),
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// The key of the client, or its id.
    #[arg(value_name = "KEY-OR-ID")]
    client: String,
    /// Don't ask whether that is meant.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let Command::Erase(Which { client, yes }) = command;
    if !yes && !stdin().is_terminal() {
        let sentence = "nothing has been erased: there is no terminal to ask at, so say --yes when it is meant";
        return Err(Failure::misconfigured(sentence));
    }
    store::with_clientele(config, Access::Change, async |clientele| {
        erase(&clientele, client, yes).await
    })
    .await
}

#[expect(clippy::disallowed_methods, reason = "a command is a door")]
async fn erase(clientele: &Clientele, client: String, yes: bool) -> Result<(), Failure> {
    let operator = Caller::operator();
    let unknown = || Failure::new("there is no client with this key or id");
    let by = ClientBy::Either(client);
    let found = clientele.client(&operator, &by, Wanted::default()).await;
    let (client, _) = found.map_err(Failure::internal)?.ok_or_else(unknown)?;
    let key = &client.client.encoded_key;
    let asked = key.clone();
    if !yes && !ask(move || confirmed(&asked)).await? {
        return Err(Failure::new("nothing has been erased"));
    }
    let erased = clientele.erase_traces(&operator, key, Utc::now()).await;
    let records = erased.map_err(Failure::internal)?.ok_or_else(unknown)?;
    print(&format!(
        "what was kept of the client {key} beside its own row has been erased; records of its history that said something: \
         {records}\n"
    ))
}

/// Whether somebody at the terminal means it. Asked beside standard output, which may go to a file.
fn confirmed(key: &str) -> Result<bool, Failure> {
    use std::io::Write;
    let mut answer = String::new();
    let mut terminal = stderr().lock();
    let asked = write!(
        terminal,
        "what is kept of the client {key} beside its own row will be gone for good.\nto erase it, type yes: "
    );
    let asked = asked.and_then(|()| terminal.flush());
    drop(terminal);
    let read = asked.and_then(|()| stdin().read_line(&mut answer));
    read.map_err(|error| Failure::new(format!("can't ask whether that is meant: {error}")))?;
    Ok(answer.trim() == "yes")
}
