//! Unfinished files: created under a fresh name, and removed unless they get their real one.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, SyncPoint};
use super::effects;
use super::failure::{At, Outcome};
use super::names;
use crate::error::Result;

/// How many names are tried. A name has 64 random bits, so even the second attempt is a curiosity.
const ATTEMPTS: usize = 8;

pub(crate) struct Temp<'a, D: Disk> {
    disk: &'a D,
    path: PathBuf,
    named: bool,
}

impl<'a, D: Disk> Temp<'a, D> {
    /// Creates an empty file in `directory`.
    pub fn create(disk: &'a D, directory: &Path) -> Result<(Self, D::File)> {
        let mut attempt = 1;
        loop {
            let path = names::temp(disk, directory).at(directory)?;
            match disk.create(&path) {
                Ok(file) => {
                    return Ok((
                        Temp {
                            disk,
                            path,
                            named: false,
                        },
                        file,
                    ));
                }
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                // The error names the directory: the random name would tell the user nothing.
                Err(error) => return Err(error).at(directory),
            }
        }
    }

    /// Creates a file that holds `bytes`, and syncs it.
    pub fn write_synced(
        disk: &'a D,
        directory: &Path,
        bytes: &[u8],
        at: SyncPoint,
    ) -> Outcome<Self> {
        let (temp, file) = Self::create(disk, directory)?;
        write_all(disk, &file, bytes, 0).at(&temp.path)?;
        disk.sync_file(&file, at).latching(&temp.path)?;
        Ok(temp)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its real name, replacing any file that had it.
    pub fn rename(mut self, to: &Path) -> io::Result<()> {
        effects::rename(self.disk, &self.path, to)?;
        self.named = true;
        Ok(())
    }
}

impl<D: Disk> Drop for Temp<'_, D> {
    fn drop(&mut self) {
        if !self.named {
            // A file that stays behind is removed when the directory is next opened.
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

pub(crate) fn write_all<D: Disk>(
    disk: &D,
    file: &D::File,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk.write_at(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
