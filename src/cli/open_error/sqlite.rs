//! Explains why a SQLite file can't be opened.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::{self, ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use clientele_storage::db::is_read_only;

/// The first bytes of a SQLite database.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;
/// The offset of the encoding in the header: 1 is UTF-8, 0 a database without tables.
const ENCODING_AT: usize = 59;

/// The bits of a result code that are its class.
const CLASS: i32 = 0xff;
const CAN_T_OPEN: i32 = 14;

const NOT_A_DATABASE: &str = "it isn't a SQLite database: name another file";

/// Checks the file and its directory without changing them.
pub(super) fn check(file: &Path) -> Result<(), String> {
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => Err("it is a directory: name a file in it".to_owned()),
        Ok(found) if !found.is_file() => Err("it isn't a regular file: name another file".to_owned()),
        Ok(_) => check_header(file),
        Err(error) if error.kind() == ErrorKind::NotFound => check_directory(file),
        Err(error) => Err(format!("its file can't be reached: {error}")),
    }
}

fn directory(file: &Path) -> &Path {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn check_directory(file: &Path) -> Result<(), String> {
    let directory = directory(file);
    let name = directory.display();
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{name} is not a directory")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!(
            "the directory {name} doesn't exist: create it, or name another"
        )),
        Err(error) => Err(format!("the directory {name} can't be reached: {error}")),
    }
}

fn check_header(file: &Path) -> Result<(), String> {
    let mut header = Vec::new();
    let opened = File::open(file).and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header));
    match opened {
        Err(error) => Err(format!("its file can't be read: {error}")),
        Ok(0) => Ok(()),
        Ok(HEADER_BYTES) if header.starts_with(MAGIC) => match header[ENCODING_AT] {
            0 | 1 => Ok(()),
            _ => Err("its encoding is UTF-16, and must be UTF-8: use another database".to_owned()),
        },
        Ok(_) => Err(NOT_A_DATABASE.to_owned()),
    }
}

/// Finds the cause of an error that the pool has discarded. Must be called while this process has no connection to the
/// file: closing the file here would release that connection's locks.
pub(super) async fn find_cause(url: &str) -> String {
    let Ok(options) = url.parse::<SqliteConnectOptions>() else {
        return "its address can't be read".to_owned();
    };
    if is_read_only(url) {
        return "its address has mode=ro or immutable: remove that to make changes".to_owned();
    }
    let file = options.get_filename().to_owned();
    if let Err(reason) = check(&file) {
        return reason;
    }
    if file.exists() {
        // Opening for writing changes nothing.
        if let Err(error) = OpenOptions::new().append(true).open(&file) {
            return format!("its file can't be written: {error}");
        }
        if let Err(error) = read_schema(options).await {
            return explain(&error);
        }
    }
    match create_another(&file) {
        Err(error) => format!(
            "no file can be created in its directory {}: {error}",
            directory(&file).display()
        ),
        Ok(()) if file.exists() => "it can't be opened for writing: another program may use it".to_owned(),
        Ok(()) => "its file doesn't exist".to_owned(),
    }
}

async fn read_schema(options: SqliteConnectOptions) -> sqlx::Result<()> {
    let options = options.create_if_missing(false).busy_timeout(Duration::ZERO);
    let mut connection = options.connect().await?;
    let read = sqlx::query("SELECT count(*) FROM sqlite_master").fetch_one(&mut connection);
    let read = read.await.map(|_| ());
    let _ = connection.close().await;
    read
}

/// SQLite creates files next to the database. Creating another file there returns the system's reason for a failure.
fn create_another(file: &Path) -> std::io::Result<()> {
    let other = directory(file).join(format!(".clientele-check-{}", Uuid::now_v7().simple()));
    let written = File::create_new(&other)?.write_all(MAGIC);
    let _ = fs::remove_file(&other);
    written
}

/// The reason why a statement failed.
pub(super) fn explain(error: &sqlx::Error) -> String {
    let Some(error) = error.as_database_error() else {
        return error.to_string();
    };
    match error.code().and_then(|code| code.parse().ok()) {
        Some(code) => explain_code(code),
        None => error.message().to_owned(),
    }
}

/// Returns true when the file system knows the cause of this result code.
pub(super) fn is_about_opening(code: i32) -> bool {
    code & CLASS == CAN_T_OPEN
}

/// Result codes are at <https://sqlite.org/rescode.html>; the low byte is the class.
pub(super) fn explain_code(code: i32) -> String {
    match code & CLASS {
        5 | 6 => "another program has locked it: stop that one, or try again later".to_owned(),
        8 => "its file is read-only: let the user that runs clientele write it".to_owned(),
        10 => format!("its file can't be read or written (SQLite's error {code}): check the disk and its limits"),
        11 => "its file is corrupt: restore a backup".to_owned(),
        13 => "its disk is full: make room".to_owned(),
        CAN_T_OPEN => "its file can't be opened: check its rights and those of its directory".to_owned(),
        26 => NOT_A_DATABASE.to_owned(),
        _ => format!("SQLite reports the error {code}"),
    }
}
