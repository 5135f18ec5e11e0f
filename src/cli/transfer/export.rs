//! Writes the clients to a file or to standard output, page by page.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::{Failure, store};
use super::progress::Progress;
use super::{FORMAT, VERSION, definitions, history, line};
use crate::services::Services;
use clientele_core::error::Error;
use clientele_core::scalar::DateTime;
use clientele_domain::caller::Caller;
use clientele_domain::client::ExportLine;

#[derive(Debug, Args)]
pub(in crate::cli) struct Target {
    /// The file to write; - or nothing is standard output.
    #[arg(value_name = "FILE|-", default_value = "-")]
    file: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

/// The output. A file is written under another name and gets its own once it is complete.
pub(super) enum Output {
    Standard(BufWriter<io::Stdout>),
    File {
        writer: BufWriter<File>,
        partial: PathBuf,
        file: PathBuf,
        force: bool,
        is_finished: bool,
    },
}

impl Output {
    pub fn open(target: &Target) -> Result<Self, Failure> {
        let Target { file, force } = target;
        if file == Path::new("-") {
            return Ok(Self::Standard(BufWriter::new(io::stdout())));
        }
        if !force && file.symlink_metadata().is_ok() {
            return Err(exists(file));
        }
        // The file is replaced by renaming, which would turn a device, a pipe or a link into a file.
        if file.symlink_metadata().is_ok_and(|existing| !existing.is_file()) {
            let file = file.display();
            let sentence = format!("{file} isn't a file: name another one, or write to standard output with -");
            return Err(Failure::new(sentence));
        }
        let mut partial = file.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        // Like the database, for its owner only. An existing file may be that of another export or, as a link, lead
        // anywhere.
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial);
        let writer = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::new(format!(
                "{} exists: another export writes it, or was killed. Then remove it and export again",
                partial.display()
            )),
            _ => unwritable(&partial, &error),
        })?;
        Ok(Self::File {
            writer: BufWriter::new(writer),
            partial,
            file: file.clone(),
            force: *force,
            is_finished: false,
        })
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let write = |writer: &mut dyn Write| {
            writer.write_all(line.as_bytes())?;
            writer.write_all(b"\n")
        };
        match self {
            Self::Standard(writer) => write(writer).map_err(|error| to_standard_output(&error)),
            Self::File { writer, partial, .. } => write(writer).map_err(|error| unwritable(partial, &error)),
        }
    }

    /// Completes the output.
    pub fn finish(mut self) -> Result<(), Failure> {
        match &mut self {
            Self::Standard(writer) => writer.flush().map_err(|error| to_standard_output(&error)),
            Self::File {
                writer,
                partial,
                file,
                force,
                is_finished,
            } => {
                let written = writer.flush().and_then(|()| writer.get_ref().sync_all());
                written.map_err(|error| unwritable(partial, &error))?;
                let named = match force {
                    true => fs::rename(&partial, &file),
                    // Unlike a renaming, a link fails if another program has created the file meanwhile.
                    false => fs::hard_link(&partial, &file).and_then(|()| fs::remove_file(&partial)),
                };
                match named {
                    Ok(()) => *is_finished = true,
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(file)),
                    Err(error) => return Err(unwritable(file, &error)),
                }
                Ok(())
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Self::File {
            partial,
            is_finished: false,
            ..
        } = self
        {
            let _ = fs::remove_file(partial);
        }
    }
}

fn exists(file: &Path) -> Failure {
    Failure::new(format!(
        "{} exists: name another file, or replace it with --force",
        file.display()
    ))
}

fn unwritable(file: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("can't write {}: {error}", file.display()))
}

fn to_standard_output(error: &io::Error) -> Failure {
    Failure::new(format!("can't write to standard output: {error}"))
}

pub(super) async fn write(services: &Services, output: &mut Output) -> Result<(), Failure> {
    let failed = |error: Error| Failure::new(format!("can't read the clients: {}", error.kind()));
    let snapshot = services.clients.snapshot(&Caller::operator()).await;
    let mut snapshot = snapshot.map_err(failed)?;
    let definitions = snapshot.definitions().clone();
    let at = DateTime::text(&store::now());
    output.line(&json!({ "format": FORMAT, "version": VERSION, "stored": true, "exportedAt": at }).to_string())?;
    for definition in definitions::lines(&definitions)? {
        output.line(&definition.to_string())?;
    }
    let (mut clients, mut removed, mut progress) = (0_u64, 0_u64, Progress::new());
    while let Some(next) = snapshot.next().await.map_err(failed)? {
        let line = match &next {
            ExportLine::Client(client, part) => {
                clients += 1;
                line::of_client(client, part, &definitions)?
            }
            ExportLine::Removed(key, part) => {
                removed += 1;
                history::of_removed(key, part)?
            }
            ExportLine::History {
                client_key,
                position,
                part,
            } => history::of_part(client_key, *position, part)?,
        };
        output.line(&line)?;
        progress.show(clients, None);
    }
    snapshot.end().await.map_err(failed)?;
    output.line(&json!({ "end": { "clients": clients, "removedClients": removed } }).to_string())
}
