//! The files of a SQLite database: creates the main file with mode 0600, and removes a write-ahead log that was left behind.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rand::RngExt;
use sea_orm::sqlx::{
    self, ConnectOptions, Connection,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

/// Only the owner reads and writes a database. SQLite gives the write-ahead log the mode of the main file.
pub(super) const PRIVATE: u32 = 0o600;

/// How often a database is opened and closed again to remove its write-ahead log.
const ATTEMPTS: u32 = 5;

/// Where a SQLite database is.
#[derive(Clone, Debug)]
pub(super) struct SqliteFile {
    options: SqliteConnectOptions,
}

impl SqliteFile {
    /// The file that the address names, which may not exist.
    pub fn of(url: &str) -> Result<Self, sqlx::Error> {
        let options: SqliteConnectOptions = url.parse()?;
        // SQLite would take it for a URI, and open a file of another name.
        if options
            .get_filename()
            .as_os_str()
            .as_encoded_bytes()
            .starts_with(b"file:")
        {
            return Err(sqlx::Error::Configuration(
                "write sqlite:PATH instead of sqlite:file:PATH".into(),
            ));
        }
        Ok(Self {
            options: options.create_if_missing(false).busy_timeout(Duration::ZERO),
        })
    }

    pub fn path(&self) -> &Path {
        self.options.get_filename()
    }

    pub fn is_missing(&self) -> bool {
        is_missing(self.path())
    }

    /// Creates the file, empty, unless it exists: the mode of an existing file stays. Any number of processes may do so at once.
    ///
    /// Never opens an existing file: closing it again would release the locks that this process holds on it.
    pub fn create_if_missing(&self) -> io::Result<()> {
        match create_private(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|_| ()),
        }
        // A symbolic link to a file that doesn't exist.
        if self.is_missing() {
            let target = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(PRIVATE)
                .open(self.path());
            return target.map(|_| ());
        }
        Ok(())
    }

    /// Moves what a closed database has left in its write-ahead log to the main file, and removes the log.
    ///
    /// The last connection does that when it closes, unless it could only read, was dropped, or another process closed its last
    /// one at the same instant. While another process has the database open, the log stays.
    pub async fn remove_log(&self) {
        for attempt in 0..ATTEMPTS {
            if !self.has_log() {
                return;
            }
            // Processes that close together must not try again together.
            let longest = Duration::from_millis(4 << attempt);
            let pause = rand::rng().random_range(Duration::ZERO..longest);
            tokio::time::sleep(pause).await;
            if let Err(error) = self.open_and_close().await {
                tracing::debug!(%error, "the write-ahead log stays");
            }
        }
    }

    fn has_log(&self) -> bool {
        // SQLite keeps them next to the file itself, not next to a link to it.
        let Ok(path) = fs::canonicalize(self.path()) else {
            return false;
        };
        ["-wal", "-shm"].iter().any(|suffix| {
            let mut log = path.clone().into_os_string();
            log.push(suffix);
            PathBuf::from(log).exists()
        })
    }

    async fn open_and_close(&self) -> Result<(), sqlx::Error> {
        let mut connection: SqliteConnection = self.options.clone().read_only(false).connect().await?;
        // The first read opens the log; closing moves it to the main file.
        let read = sqlx::raw_sql("SELECT count(*) FROM sqlite_schema")
            .execute(&mut connection)
            .await;
        connection.close().await?;
        read.map(|_| ())
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

/// Whether nothing is at `path`. A file that can't be looked up for another reason counts as existing.
fn is_missing(path: &Path) -> bool {
    let looked_up = fs::metadata(path);
    looked_up.is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}
