//! A disk in memory: a map of files without directories, always durable.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use auth_store::engine::{Disk, Kind, Metadata, SyncPoint};

type Content = Arc<Mutex<Vec<u8>>>;

#[derive(Clone, Default)]
pub struct MemoryDisk {
    names: Arc<Mutex<BTreeMap<PathBuf, (u64, Content)>>>,
    /// Serves as the last inode and the last random number.
    counter: Arc<AtomicU64>,
}

pub struct MemoryFile {
    inode: u64,
    content: Content,
}

impl MemoryDisk {
    pub fn make(&self, path: PathBuf, bytes: Vec<u8>) {
        let inode = self.next();
        lock(&self.names).insert(path, (inode, Arc::new(Mutex::new(bytes))));
    }

    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let names = lock(&self.names);
        names
            .iter()
            .map(|(path, (_, content))| (path.clone(), lock(content).clone()))
            .collect()
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn find(&self, path: &Path) -> io::Result<MemoryFile> {
        let names = lock(&self.names);
        let (inode, content) = names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(MemoryFile {
            inode: *inode,
            content: Arc::clone(content),
        })
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn open_read(&self, path: &Path) -> io::Result<MemoryFile> {
        self.find(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<MemoryFile> {
        self.find(path)
    }

    fn create(&self, path: &Path) -> io::Result<MemoryFile> {
        if self.find(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.make(path.to_owned(), Vec::new());
        self.find(path)
    }

    fn open_or_create(&self, path: &Path) -> io::Result<MemoryFile> {
        match self.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(path),
            result => result,
        }
    }

    /// There is only one process.
    fn try_lock(&self, _file: &MemoryFile) -> io::Result<bool> {
        Ok(true)
    }

    fn file_metadata(&self, file: &MemoryFile) -> io::Result<Metadata> {
        Ok(Metadata {
            kind: Kind::File,
            device: 1,
            inode: file.inode,
            size: lock(&file.content).len() as u64,
            modified: 0,
            user: 0,
        })
    }

    fn read_at(&self, file: &MemoryFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = lock(&file.content);
        let rest = content.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, file: &MemoryFile, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut content = lock(&file.content);
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn truncate(&self, file: &MemoryFile, size: u64) -> io::Result<()> {
        lock(&file.content).truncate(size as usize);
        Ok(())
    }

    fn sync_data(&self, _file: &MemoryFile, _at: SyncPoint) -> io::Result<()> {
        Ok(())
    }

    fn sync_file(&self, _file: &MemoryFile, _at: SyncPoint) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, _path: &Path, _at: SyncPoint) -> io::Result<()> {
        Ok(())
    }

    fn filesystem(&self, _path: &Path) -> io::Result<Option<MemoryFile>> {
        Ok(None)
    }

    fn sync_filesystem(&self, _filesystem: &MemoryFile, _at: SyncPoint) -> io::Result<()> {
        Ok(())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        match self.find(path) {
            Ok(file) => self.file_metadata(&file),
            Err(error) if !lock(&self.names).keys().any(|file| file.starts_with(path)) => {
                Err(error)
            }
            Err(_) => Ok(Metadata {
                kind: Kind::Directory,
                device: 1,
                inode: 0,
                size: 0,
                modified: 0,
                user: 0,
            }),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = lock(&self.names);
        let file = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.to_owned(), file);
        Ok(())
    }

    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let removed = lock(&self.names).remove(path);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    /// A directory exists if it holds a file.
    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        let names: Vec<PathBuf> = lock(&self.names).keys().cloned().collect();
        for name in names.iter().filter(|name| name.parent() == Some(path)) {
            if let Some(name) = name.file_name() {
                each(name, Kind::File);
            }
        }
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        Ok(self.next())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
