//! The report of the lines that an import refuses, and the references that it checks at its end.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::super::Failure;
use super::refusal::Refusal;

/// The refused lines.
pub(super) struct Report {
    file: Option<(PathBuf, BufWriter<File>)>,
    pub refused: u64,
}

impl Report {
    /// Opens the file of the report, which isn't the one to import. Without a file, standard error is the report.
    pub fn open(file: Option<&Path>, imported: &Path, force: bool) -> Result<Self, Failure> {
        let open = |path: &Path| -> Result<_, Failure> {
            if is_same_file(path, imported) {
                let sentence = format!("{} is the file to import: name another report", path.display());
                return Err(Failure::new(sentence));
            }
            let mut options = OpenOptions::new();
            options.write(true).mode(0o600);
            match force {
                true => options.create(true).truncate(true),
                false => options.create_new(true),
            };
            let opened = options.open(path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Failure::new(format!(
                    "{} exists: name another report, or replace it with --force",
                    path.display()
                )),
                _ => unwritable(path, &error),
            });
            Ok((path.to_owned(), BufWriter::new(opened?)))
        };
        let file = file.map(open).transpose()?;
        Ok(Self { file, refused: 0 })
    }

    /// Reports a line with its reasons, one entry for each.
    pub fn refuse(&mut self, line: u64, reasons: &[Refusal]) -> Result<(), Failure> {
        self.refused += 1;
        reasons.iter().try_for_each(|reason| self.write(&entry(line, reason)))
    }

    pub fn write(&mut self, entry: &Json) -> Result<(), Failure> {
        match &mut self.file {
            Some((path, writer)) => writeln!(writer, "{entry}").map_err(|error| unwritable(path, &error)),
            // Without a reader, only the number of entries remains.
            None => {
                drop(writeln!(io::stderr().lock(), "{entry}"));
                Ok(())
            }
        }
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.file {
            Some((path, writer)) => writer.flush().map_err(|error| unwritable(path, &error)),
            None => Ok(()),
        }
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let [one, other] = [one, other].map(|path| path.metadata().ok().map(|of_file| (of_file.dev(), of_file.ino())));
    one.is_some() && one == other
}

/// An entry of the report.
pub(super) fn entry(line: u64, reason: &Refusal) -> Json {
    let Refusal {
        code,
        path,
        message,
        id,
    } = reason;
    json!({ "line": line, "code": code.as_str(), "path": path, "message": message, "client": id })
}

/// The references of clients to others, which may come later in the file. They wait for its end in a file without a
/// name, so that memory doesn't grow with their number.
#[derive(Default)]
pub(super) struct References {
    file: Option<BufWriter<File>>,
}

impl References {
    /// Keeps a reference to the client of this key, with the entry to report if there is none.
    pub fn keep(&mut self, key: &str, entry: &Json) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        writeln!(file, "{}", json!([key, entry]))
    }

    /// Returns the references that were kept, one a line.
    pub fn lines(&mut self) -> io::Result<Option<io::Lines<BufReader<File>>>> {
        let Some(file) = self.file.take() else {
            return Ok(None);
        };
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(Some(BufReader::new(file).lines()))
    }
}

fn unwritable(file: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("can't write {}: {error}", file.display()))
}

pub(super) fn not_kept(error: io::Error) -> Failure {
    let directory = std::env::temp_dir();
    Failure::new(format!(
        "can't keep references in a temporary file in {}: {error}. Set TMPDIR to another directory",
        directory.display()
    ))
}
