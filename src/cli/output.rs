//! The output of a command: a file that is complete or absent, or standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Failure;

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

/// The name under which a file is written until it is complete.
pub(super) fn partial(file: &Path) -> PathBuf {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    partial.into()
}

impl Output {
    /// Opens the file, or standard output for `-`. An existing file is replaced only with `force`.
    pub fn open(file: &Path, force: bool) -> Result<Self, Failure> {
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
        let partial = partial(file);
        // Like the database, for its owner only. An existing file may be that of another export or, as a link, lead
        // anywhere.
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial);
        let writer = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::new(format!(
                "{} exists: another command writes it, or was killed. Then remove it and try again",
                partial.display()
            )),
            _ => unwritable(file, &error),
        })?;
        Ok(Self::File {
            writer: BufWriter::new(writer),
            partial,
            file: file.to_owned(),
            force,
            is_finished: false,
        })
    }

    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.text(line)?;
        self.text("\n")
    }

    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        let text = text.as_bytes();
        match self {
            Self::Standard(writer) => writer.write_all(text).map_err(|error| to_standard_output(&error)),
            Self::File { writer, file, .. } => writer.write_all(text).map_err(|error| unwritable(file, &error)),
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
                written.map_err(|error| unwritable(file, &error))?;
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
