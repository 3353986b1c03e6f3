//! A [`Disk`] on top of a [`World`].

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use auth_store::engine::{Disk, Kind, Metadata, SyncPoint};
use rustix::io::Errno;

use crate::sim::{Sim, mix};
use crate::world::{DirNode, FileNode, Inode, Node, World};

#[derive(Clone)]
pub struct SimDisk(pub Arc<Mutex<Sim>>);

pub struct SimFile {
    inode: Inode,
    sim: Arc<Mutex<Sim>>,
    holds_lock: AtomicBool,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut sim = self.sim.lock().unwrap();
        sim.descriptors -= 1;
        if self.holds_lock.load(Ordering::Relaxed) {
            sim.locked.remove(&self.inode);
        }
    }
}

impl SimDisk {
    pub fn new(world: World) -> Self {
        SimDisk(Arc::new(Mutex::new(Sim {
            world: Some(world),
            ..Sim::default()
        })))
    }

    pub fn sim(&self) -> MutexGuard<'_, Sim> {
        self.0.lock().unwrap()
    }

    pub fn world(&self) -> World {
        self.sim().world.clone().unwrap()
    }

    fn file(&self, sim: &mut Sim, inode: Inode) -> SimFile {
        sim.descriptors += 1;
        SimFile {
            inode,
            sim: self.0.clone(),
            holds_lock: AtomicBool::new(false),
        }
    }

    fn open(&self, call: &'static str, path: &Path) -> io::Result<SimFile> {
        let mut sim = self.sim();
        sim.call(call, None)?;
        let inode = sim.world().lookup(text(path)).ok_or(Errno::NOENT)?;
        Ok(self.file(&mut sim, inode))
    }

    fn sync(
        &self,
        call: &'static str,
        at: SyncPoint,
        settle: impl FnOnce(&mut World),
        lose: impl FnOnce(&mut World),
    ) -> io::Result<()> {
        let mut sim = self.sim();
        let after = match sim.call(call, Some(at)) {
            Ok(after) => after,
            Err(error) if sim.is_dead() => return Err(error),
            Err(error) => {
                lose(sim.world());
                sim.record();
                return Err(error);
            }
        };
        sim.syncs.insert((call, at));
        if sim.without != Some((call, at)) {
            settle(sim.world());
        }
        sim.record();
        after.map_or(Ok(()), Err)
    }

    fn mutate<T>(
        &self,
        call: &'static str,
        change: impl FnOnce(&mut World) -> Result<T, Errno>,
    ) -> io::Result<T> {
        let mut sim = self.sim();
        let after = sim.call(call, None)?;
        let value = change(sim.world())?;
        sim.record();
        after.map_or(Ok(value), Err)
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open_read(&self, path: &Path) -> io::Result<SimFile> {
        self.open("open", path)
    }

    fn open_write(&self, path: &Path) -> io::Result<SimFile> {
        self.open("open", path)
    }

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let inode = self.mutate("create", |world| {
            let node = Node::File(FileNode::default());
            make(world, path, node)
        })?;
        Ok(self.file(&mut self.sim(), inode))
    }

    fn open_or_create(&self, path: &Path) -> io::Result<SimFile> {
        let missing = self.sim().world().lookup(text(path)).is_none();
        if !missing {
            return self.open("open", path);
        }
        let mut sim = self.sim();
        let after = sim.call("create", None)?;
        let inode = make(sim.world(), path, Node::File(FileNode::default()))?;
        // Only the lock file is created this way, and no promise depends on what a crash makes of
        // it.
        let dir = sim.world().lookup(text(path.parent().unwrap())).unwrap();
        sim.world().keep_last_name(dir);
        after.map_or(Ok(()), Err)?;
        let file = self.file(&mut sim, inode);
        sim.unsynced.insert(inode);
        Ok(file)
    }

    fn try_lock(&self, file: &SimFile) -> io::Result<bool> {
        let mut sim = self.sim();
        sim.call("flock", None)?;
        if !sim.without_locks && !sim.locked.insert(file.inode) {
            return Ok(false);
        }
        file.holds_lock.store(true, Ordering::Relaxed);
        Ok(true)
    }

    fn file_metadata(&self, file: &SimFile) -> io::Result<Metadata> {
        let mut sim = self.sim();
        sim.call("fstat", None)?;
        metadata(sim.world(), file.inode)
    }

    fn read_at(&self, file: &SimFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut sim = self.sim();
        sim.call("read", None)?;
        let short = sim.is_short();
        let content = &sim.world().file(file.inode).ok_or(Errno::ISDIR)?.visible;
        let rest = content.get(offset as usize..).unwrap_or_default();
        let mut len = rest.len().min(buffer.len());
        if short && len > 1 {
            len /= 2;
        }
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, file: &SimFile, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut sim = self.sim();
        let outcome = sim.call("write", None);
        if outcome.is_err() && sim.is_dead() {
            return outcome.map(|_| 0);
        }
        let half = sim.is_short() || outcome.is_err();
        let len = if half && bytes.len() > 1 {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        if sim.unsynced.contains(&file.inode) {
            sim.world().remember(file.inode);
        }
        // Sector by sector, so that a crash can come between any two.
        let mut start = 0;
        while start < len {
            let at = offset as usize + start;
            let step = (crate::world::SECTOR - at % crate::world::SECTOR).min(len - start);
            sim.world()
                .write(file.inode, &bytes[start..start + step], at);
            start += step;
        }
        if sim.unsynced.contains(&file.inode) {
            sim.world().sync_file(file.inode);
        } else {
            sim.record();
        }
        outcome?.map_or(Ok(len), Err)
    }

    fn truncate(&self, file: &SimFile, size: u64) -> io::Result<()> {
        self.mutate("truncate", |world| {
            world.truncate(file.inode, size as usize);
            Ok(())
        })
    }

    fn sync_data(&self, file: &SimFile, at: SyncPoint) -> io::Result<()> {
        let inode = file.inode;
        self.sync(
            "fdatasync",
            at,
            |world| world.sync_file(inode),
            |world| world.lose_file(inode),
        )
    }

    fn sync_file(&self, file: &SimFile, at: SyncPoint) -> io::Result<()> {
        let inode = file.inode;
        self.sync(
            "fsync",
            at,
            |world| world.sync_file(inode),
            |world| world.lose_file(inode),
        )
    }

    fn sync_directory(&self, path: &Path, at: SyncPoint) -> io::Result<()> {
        let inode = self.sim().world().lookup(text(path)).ok_or(Errno::NOENT)?;
        self.sync(
            "fsync dir",
            at,
            |world| world.sync_dir(inode),
            |world| world.lose_dir(inode),
        )
    }

    fn filesystem(&self, path: &Path) -> io::Result<Option<SimFile>> {
        let usable = !self.sim().no_syncfs;
        let file = self.open("open", path)?;
        Ok(usable.then_some(file))
    }

    fn sync_filesystem(&self, _filesystem: &SimFile, at: SyncPoint) -> io::Result<()> {
        self.sync(
            "syncfs",
            at,
            |world| world.for_all(World::sync_file, World::sync_dir),
            |world| world.for_all(World::lose_file, World::lose_dir),
        )
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut sim = self.sim();
        sim.call("stat", None)?;
        let inode = sim.world().lookup(text(path)).ok_or(Errno::NOENT)?;
        metadata(sim.world(), inode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.mutate("rename", |world| {
            let (dir, name, inode) = locate(world, from)?;
            let (same, new_name) = parent(world, to)?;
            assert_eq!(dir, same, "renames stay within one directory");
            if let Some(old) = world
                .dir(dir)
                .and_then(|dir| dir.visible.get(&new_name))
                .copied()
            {
                match (world.dir(inode).is_some(), world.dir(old)) {
                    (true, Some(target)) if !target.visible.is_empty() => {
                        return Err(Errno::NOTEMPTY);
                    }
                    (true, None) => return Err(Errno::NOTDIR),
                    (false, Some(_)) => return Err(Errno::ISDIR),
                    _ => keep_stale(world, &new_name, old),
                }
            }
            world.change_names(dir, vec![(name, None), (new_name, Some(inode))]);
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let no_links = self.sim().no_links;
        self.mutate("link", |world| {
            let (_, _, inode) = locate(world, from)?;
            if no_links {
                return Err(Errno::PERM);
            }
            let (dir, name) = parent(world, to)?;
            if world
                .dir(dir)
                .is_some_and(|dir| dir.visible.contains_key(&name))
            {
                return Err(Errno::EXIST);
            }
            world.change_names(dir, vec![(name, Some(inode))]);
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.mutate("unlink", |world| {
            let (dir, name, inode) = locate(world, path)?;
            if world.dir(inode).is_some() {
                return Err(Errno::ISDIR);
            }
            keep_stale(world, &name, inode);
            world.change_names(dir, vec![(name, None)]);
            Ok(())
        })
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.mutate("create_directory", |world| {
            make(world, path, Node::Dir(DirNode::default())).map(drop)
        })
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.mutate("rmdir", |world| {
            let (dir, name, inode) = locate(world, path)?;
            match world.dir(inode) {
                None => Err(Errno::NOTDIR),
                Some(removed) if !removed.visible.is_empty() => Err(Errno::NOTEMPTY),
                Some(_) => {
                    world.change_names(dir, vec![(name, None)]);
                    Ok(())
                }
            }
        })
    }

    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        let entries: Vec<(String, Kind)> = {
            let mut sim = self.sim();
            sim.call("readdir", None)?;
            let world = sim.world();
            let inode = world.lookup(text(path)).ok_or(Errno::NOENT)?;
            let dir = world.dir(inode).ok_or(Errno::NOTDIR)?;
            dir.visible
                .iter()
                .map(|(name, inode)| (name.clone(), kind(world, *inode)))
                .collect()
        };
        for (name, kind) in entries {
            each(OsStr::new(&name), kind);
        }
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        let mut sim = self.sim();
        let world = sim.world();
        world.random += 1;
        Ok(mix(world.random))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn kind(world: &World, inode: Inode) -> Kind {
    if world.dir(inode).is_some() {
        Kind::Directory
    } else {
        Kind::File
    }
}

fn metadata(world: &World, inode: Inode) -> io::Result<Metadata> {
    let size = world
        .file(inode)
        .map_or(0, |file| file.visible.len() as u64);
    Ok(Metadata {
        kind: kind(world, inode),
        device: 1,
        inode,
        size,
        modified: 0,
        user: 0,
    })
}

/// The directory that holds a path, and the name in it.
fn parent(world: &World, path: &Path) -> Result<(Inode, String), Errno> {
    let dir = world
        .lookup(text(path.parent().unwrap()))
        .ok_or(Errno::NOENT)?;
    world.dir(dir).ok_or(Errno::NOTDIR)?;
    Ok((dir, text(Path::new(path.file_name().unwrap())).to_owned()))
}

fn locate(world: &World, path: &Path) -> Result<(Inode, String, Inode), Errno> {
    let (dir, name) = parent(world, path)?;
    let inode = world
        .dir(dir)
        .and_then(|dir| dir.visible.get(&name))
        .copied();
    Ok((dir, name, inode.ok_or(Errno::NOENT)?))
}

fn make(world: &mut World, path: &Path, node: Node) -> Result<Inode, Errno> {
    let (dir, name) = parent(world, path)?;
    if world
        .dir(dir)
        .is_some_and(|dir| dir.visible.contains_key(&name))
    {
        return Err(Errno::EXIST);
    }
    let inode = world.add(node);
    world.change_names(dir, vec![(name, Some(inode))]);
    Ok(inode)
}

/// Keeps the blocks of a journal that loses its name: they may turn up in the next file.
fn keep_stale(world: &mut World, name: &str, inode: Inode) {
    if name == auth_store::engine::JOURNAL
        && let Some(file) = world.file(inode)
    {
        world.stale = Arc::new(file.visible.clone());
    }
}
