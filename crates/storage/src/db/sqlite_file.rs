//! The files of a SQLite database: creates the main file with mode 0600, and removes leftover write-ahead logs.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rand::RngExt;
use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{
        self, ConnectOptions, Connection,
        sqlite::{SqliteConnectOptions, SqliteConnection},
    },
};

use clientele_core::error::Error;

/// Only the owner may read and write a database. SQLite gives the write-ahead log the mode of the main file.
pub(super) const PRIVATE: u32 = 0o600;

/// The number of times a database is opened and closed to remove its write-ahead log.
const ATTEMPTS: u32 = 5;
/// The time that connections of this process have for closing after they were dropped, and how often they are looked
/// for.
const DROPPED_PERIOD: Duration = Duration::from_secs(2);
const DROPPED_PAUSE: Duration = Duration::from_millis(2);

/// The space of a file's disk, and the rights of this process on the file.
#[derive(Clone, Copy, Debug)]
pub struct FileAccess {
    /// Free for users without privileges, in bytes.
    pub free_bytes: u64,
    pub bytes: u64,
    pub is_writable: bool,
}

/// Looks at a SQLite file, its disk and its directory, in which SQLite creates further files.
pub fn file_access(path: &Path) -> io::Result<FileAccess> {
    let disk = rustix::fs::statvfs(path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let can_write = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    Ok(FileAccess {
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        bytes: fs::metadata(path)?.len(),
        is_writable: can_write(path) && can_write(directory.unwrap_or(Path::new("."))),
    })
}

/// Returns the system's reason if this process can't create files in a directory.
pub fn check_creation(directory: &Path) -> io::Result<()> {
    if !fs::metadata(directory)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let to_create = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    Ok(rustix::fs::access(directory, to_create)?)
}

/// The path of a SQLite database.
#[derive(Clone, Debug)]
pub(super) struct SqliteFile {
    options: SqliteConnectOptions,
    /// Device and inode when the file was opened.
    opened: Option<(u64, u64)>,
}

impl SqliteFile {
    /// The file in the address, which may not exist.
    pub fn of(url: &str) -> Result<Self, sqlx::Error> {
        let options: SqliteConnectOptions = url.parse()?;
        // SQLite would parse it as a URI, and open a file of another name.
        if options
            .get_filename()
            .as_os_str()
            .as_encoded_bytes()
            .starts_with(b"file:")
        {
            let reason = "write sqlite:PATH instead of sqlite:file:PATH";
            return Err(sqlx::Error::Configuration(reason.into()));
        }
        Ok(Self {
            options: options.create_if_missing(false).busy_timeout(Duration::ZERO),
            opened: None,
        })
    }

    /// Remembers which file is opened.
    pub fn opened(mut self) -> Self {
        self.opened = self.identity();
        self
    }

    /// Returns true while the opened file still has its name. Changes to a removed or renamed file would be lost: the
    /// next process opens another one.
    pub fn is_in_place(&self) -> bool {
        self.opened.is_none() || self.opened == self.identity()
    }

    fn identity(&self) -> Option<(u64, u64)> {
        identity(self.path())
    }

    /// Returns true when SQLite uses this name next to the database.
    pub fn reserves(&self, path: &Path) -> bool {
        place(path).is_some_and(|place| self.companions().contains(&place))
    }

    /// Returns true if a path leads to the database or a file that SQLite keeps next to it, by any name, also if they
    /// don't exist yet.
    pub fn includes(&self, path: &Path) -> bool {
        let Some(own) = place(self.path()) else {
            return false;
        };
        let files = [companions_of(&own), vec![own]].concat();
        let is_same = |file: &PathBuf| identity(file).is_some_and(|file| identity(path) == Some(file));
        files.iter().any(is_same) || place(path).is_some_and(|place| files.contains(&place))
    }

    /// The files that SQLite keeps next to the database: next to the file itself, not next to a link to it.
    fn companions(&self) -> Vec<PathBuf> {
        fs::canonicalize(self.path()).map_or_else(|_| Vec::new(), |path| companions_of(&path))
    }

    pub fn path(&self) -> &Path {
        self.options.get_filename()
    }

    /// Returns true when nothing exists at the path. A file that can't be looked up for another reason counts as
    /// existing.
    pub fn is_missing(&self) -> bool {
        let looked_up = fs::metadata(self.path());
        looked_up.is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }

    /// Creates the file, empty, unless it exists. An existing file keeps its mode. Concurrent calls are safe.
    ///
    /// Never opens an existing file: closing it again would release this process's locks on it.
    pub fn create_if_missing(&self) -> io::Result<()> {
        let mut creation = create_private(self.path());
        if creation
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
        {
            if !self.is_missing() {
                return Ok(());
            }
            // A symbolic link to a missing file.
            let mut options = OpenOptions::new();
            creation = options
                .write(true)
                .create(true)
                .truncate(false)
                .mode(PRIVATE)
                .open(self.path());
        }
        creation.map(|_| ())
    }

    /// Moves the contents of a closed database's write-ahead log to the main file, and removes the log.
    ///
    /// The last connection does this when it closes, unless it was read-only, was dropped, or another process closed
    /// its last one at the same moment. While another process has the database open, the log stays.
    pub async fn remove_log(&self) {
        let closed_here = async {
            while self.has_log() && self.is_open_here() {
                tokio::time::sleep(DROPPED_PAUSE).await;
            }
        };
        let _ = tokio::time::timeout(DROPPED_PERIOD, closed_here).await;
        for attempt in 0..ATTEMPTS {
            if !self.has_log() {
                return;
            }
            // Processes that close together must not retry together.
            let longest = Duration::from_millis(4 << attempt);
            let pause = rand::rng().random_range(Duration::ZERO..longest);
            tokio::time::sleep(pause).await;
            // The first read opens the log; closing moves it to the main file.
            if let Err(error) = self.run("SELECT count(*) FROM sqlite_schema").await {
                tracing::debug!(%error, "the write-ahead log stays");
            }
        }
        // Closing hides the reason why the log can't be moved. Without an error, another process has the database open.
        if self.has_log()
            && let Err(error) = self.run("PRAGMA wal_checkpoint(PASSIVE)").await
        {
            let error = Error::from(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
            // Another process has it locked, or this one must not write to it: no data is lost.
            if !matches!(error, Error::Conflict | Error::ReadOnly) {
                let cause = error.kind();
                tracing::warn!(
                    cause,
                    "the database was not closed completely: keep the file with -wal next to it"
                );
            }
        }
    }

    /// Returns true while this process has the file open: a connection that is dropped while it is being opened closes
    /// later, on a thread of its own. Always false on systems without `/proc`.
    fn is_open_here(&self) -> bool {
        let Some(file) = self.identity() else { return false };
        let opened = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        opened
            .map(|entry| entry.path())
            .any(|path| identity(&path) == Some(file))
    }

    fn has_log(&self) -> bool {
        self.companions().iter().any(|companion| companion.exists())
    }

    /// Runs a statement on a connection opened for it.
    async fn run(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        let mut connection: SqliteConnection = self.options.clone().read_only(false).connect().await?;
        let result = sqlx::raw_sql(sql).execute(&mut connection).await;
        connection.close().await?;
        result.map(|_| ())
    }
}

/// The names of the files that SQLite keeps next to a database at this path.
fn companions_of(path: &Path) -> Vec<PathBuf> {
    let companion = |suffix: &&str| {
        let mut companion = path.as_os_str().to_owned();
        companion.push(suffix);
        PathBuf::from(companion)
    };
    ["-wal", "-shm", "-journal"].iter().map(companion).collect()
}

/// The device and inode of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The place of a file without links, which may be missing in an existing folder.
fn place(path: &Path) -> Option<PathBuf> {
    if let Ok(found) = fs::canonicalize(path) {
        return Some(found);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
    match fs::read_link(path) {
        // A link to a missing file.
        Ok(target) => {
            let target = folder.join(target);
            let folder = fs::canonicalize(target.parent()?).ok()?;
            Some(folder.join(target.file_name()?))
        }
        Err(_) => Some(folder.join(path.file_name()?)),
    }
}

/// Creates a file with mode 0600, whatever the umask.
pub(super) fn create_private(path: &Path) -> io::Result<fs::File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(PRIVATE))?;
    Ok(file)
}
