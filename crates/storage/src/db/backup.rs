//! Copies a SQLite database to a file while servers keep writing to it.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use sea_orm::{ConnectionTrait, DbErr, Statement};
use uuid::Uuid;

use super::{Database, sqlite_file::create_private};

/// The maximum number of attempts to remove the temporary folder.
const REMOVALS: u32 = 3;

/// The reason why a backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file exists and is left unchanged.
    #[error("a file of this name exists, choose another name")]
    Exists,
    #[error("SQLite uses this name for the database itself, choose another name")]
    Reserved,
    #[error("its name must be UTF-8")]
    Name,
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl Database {
    /// Copies everything committed before the call to `file`, which must not exist. The copy is complete in this single
    /// file, which has mode 0600. Only for SQLite.
    ///
    /// # Errors
    /// On an error, no file is left at `file` unless it existed before.
    pub async fn back_up(&self, file: &Path) -> Result<(), BackupError> {
        if fs::symlink_metadata(file).is_ok() {
            return Err(BackupError::Exists);
        }
        if self.file.as_ref().is_some_and(|database| database.reserves(file)) {
            return Err(BackupError::Reserved);
        }
        let copy = UnfinishedCopy::create(file)?;
        self.copy_to(&copy.path).await?;
        copy.publish(file)
    }

    /// SQLite writes into an existing file if it is empty.
    async fn copy_to(&self, path: &Path) -> Result<(), BackupError> {
        let path = path.to_str().ok_or(BackupError::Name)?;
        let copying = Statement::from_sql_and_values(self.writer.dialect.backend(), "VACUUM INTO $1", [path.into()]);
        self.writer.inner.execute_raw(copying).await?;
        Ok(())
    }
}

/// An incomplete copy, in a temporary folder next to its final name. Dropping it removes both, so that SQLite can't
/// create the file afterwards.
struct UnfinishedCopy {
    path: PathBuf,
    temporary: PathBuf,
    folder: PathBuf,
}

impl UnfinishedCopy {
    fn create(file: &Path) -> io::Result<Self> {
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let temporary = folder.join(format!(".clientele-backup-{}", Uuid::now_v7().simple()));
        DirBuilder::new().mode(0o700).create(&temporary)?;
        let unfinished = Self {
            path: temporary.join("copy.db"),
            temporary,
            folder: folder.to_owned(),
        };
        create_private(&unfinished.path)?;
        Ok(unfinished)
    }

    /// Moves the copy to its final name once it is on the disk. Never overwrites a file.
    fn publish(self, file: &Path) -> Result<(), BackupError> {
        File::open(&self.path)?.sync_all()?;
        match fs::hard_link(&self.path, file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(BackupError::Exists),
            // The file system has no hard links: the name is reserved, then replaced.
            Err(_) => {
                File::create_new(file).map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => BackupError::Exists,
                    _ => error.into(),
                })?;
                if let Err(error) = fs::rename(&self.path, file) {
                    let _ = fs::remove_file(file);
                    return Err(error.into());
                }
            }
        }
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }
}

impl Drop for UnfinishedCopy {
    fn drop(&mut self) {
        // Removal fails if a file is created meanwhile.
        for _ in 0..REMOVALS {
            if fs::remove_dir_all(&self.temporary).is_ok() {
                return;
            }
        }
    }
}
