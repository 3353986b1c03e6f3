//! A file system that knows what is durable.
//!
//! Inodes are separate from names. A file has durable bytes and dirty ranges, which are split at
//! small sectors, and its size is synced independently of its data. A directory has durable names
//! and pending operations, each of them atomic. A sync affects only the given file or directory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Small, so that headers and bodies of records tear.
pub const SECTOR: usize = 32;

pub type Inode = u64;

pub const ROOT: Inode = 1;

#[derive(Clone, Default)]
pub struct FileNode {
    pub visible: Vec<u8>,
    /// What is on the medium, regardless of the size.
    pub durable: Vec<u8>,
    pub durable_size: usize,
    /// By sector, the bytes that were written since the last sync, and the time.
    pub dirty: BTreeMap<usize, (Range<usize>, u64)>,
    /// The time at which the size changed since the last sync.
    pub size_dirty: Option<u64>,
    /// What was visible before a truncation that was not synced, and the time. All of it may be on
    /// the medium without the truncation.
    pub uncut: Option<(Vec<u8>, u64)>,
}

/// Names that are set (to an inode) or removed in one atomic step.
#[derive(Clone)]
pub struct NameOp {
    pub time: u64,
    pub names: Vec<(String, Option<Inode>)>,
}

#[derive(Clone, Default)]
pub struct DirNode {
    pub visible: BTreeMap<String, Inode>,
    pub durable: BTreeMap<String, Inode>,
    pub pending: Vec<NameOp>,
}

#[derive(Clone)]
pub enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// Cheap to clone: nodes are shared until they change.
#[derive(Clone)]
pub struct World {
    pub nodes: BTreeMap<Inode, Arc<Node>>,
    pub next_inode: Inode,
    pub time: u64,
    pub random: u64,
    /// The content of a freed journal: blocks that a new file may show before its data is written.
    pub stale: Arc<Vec<u8>>,
    /// What files that are never synced held before their last writes. Any of it may be on the
    /// medium.
    pub unsynced: Arc<BTreeMap<Inode, Vec<Vec<u8>>>>,
}

impl World {
    pub fn new() -> Self {
        let root = Arc::new(Node::Dir(DirNode::default()));
        World {
            nodes: BTreeMap::from([(ROOT, root)]),
            next_inode: ROOT + 1,
            time: 0,
            random: 0,
            stale: Arc::default(),
            unsynced: Arc::default(),
        }
    }

    pub fn tick(&mut self) -> u64 {
        self.time += 1;
        self.time
    }

    pub fn add(&mut self, node: Node) -> Inode {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.nodes.insert(inode, Arc::new(node));
        inode
    }

    pub fn dir(&self, inode: Inode) -> Option<&DirNode> {
        match self.nodes.get(&inode).map(Arc::as_ref) {
            Some(Node::Dir(dir)) => Some(dir),
            _ => None,
        }
    }

    pub fn file(&self, inode: Inode) -> Option<&FileNode> {
        match self.nodes.get(&inode).map(Arc::as_ref) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    pub fn dir_mut(&mut self, inode: Inode) -> &mut DirNode {
        match Arc::make_mut(self.nodes.get_mut(&inode).expect("an inode")) {
            Node::Dir(dir) => dir,
            Node::File(_) => panic!("not a directory"),
        }
    }

    pub fn file_mut(&mut self, inode: Inode) -> &mut FileNode {
        match Arc::make_mut(self.nodes.get_mut(&inode).expect("an inode")) {
            Node::File(file) => file,
            Node::Dir(_) => panic!("not a file"),
        }
    }

    /// The inode at an absolute path, as running programs see it.
    pub fn lookup(&self, path: &str) -> Option<Inode> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .try_fold(ROOT, |inode, part| {
                self.dir(inode)
                    .and_then(|dir| dir.visible.get(part))
                    .copied()
            })
    }

    pub fn change_names(&mut self, dir: Inode, names: Vec<(String, Option<Inode>)>) {
        let time = self.tick();
        let dir = self.dir_mut(dir);
        apply(&mut dir.visible, &names);
        dir.pending.push(NameOp { time, names });
    }

    /// Makes the last change of names durable, whatever came before.
    pub fn keep_last_name(&mut self, dir: Inode) {
        let dir = self.dir_mut(dir);
        if let Some(op) = dir.pending.pop() {
            apply(&mut dir.durable, &op.names);
        }
    }

    pub fn write(&mut self, inode: Inode, bytes: &[u8], offset: usize) {
        let time = self.tick();
        let file = self.file_mut(inode);
        let end = offset + bytes.len();
        if end > file.visible.len() {
            file.visible.resize(end, 0);
            file.size_dirty = Some(time);
        }
        file.visible[offset..end].copy_from_slice(bytes);
        let mut at = offset;
        while at < end {
            let sector = at / SECTOR;
            let stop = end.min((sector + 1) * SECTOR);
            let (range, when) = file.dirty.entry(sector).or_insert((at..stop, time));
            *range = range.start.min(at)..range.end.max(stop);
            *when = time;
            at = stop;
        }
    }

    /// Keeps the content of a file that is never synced, before it is written to.
    pub fn remember(&mut self, inode: Inode) {
        let held = self.file(inode).map(|file| file.visible.clone());
        let kept = Arc::make_mut(&mut self.unsynced).entry(inode).or_default();
        kept.extend(held);
        if kept.len() > 3 {
            kept.remove(0);
        }
    }

    pub fn truncate(&mut self, inode: Inode, size: usize) {
        let time = self.tick();
        let file = self.file_mut(inode);
        file.uncut = Some((file.visible.clone(), time));
        file.visible.truncate(size);
        file.size_dirty = Some(time);
        file.dirty.retain(|_, (range, _)| {
            range.end = range.end.min(size);
            range.start < range.end
        });
    }

    pub fn sync_file(&mut self, inode: Inode) {
        let file = self.file_mut(inode);
        file.uncut = None;
        for (range, _) in std::mem::take(&mut file.dirty).into_values() {
            file.settle(range);
        }
        if file.size_dirty.take().is_some() {
            file.durable_size = file.visible.len();
        }
    }

    pub fn sync_dir(&mut self, inode: Inode) {
        let dir = self.dir_mut(inode);
        for op in std::mem::take(&mut dir.pending) {
            apply(&mut dir.durable, &op.names);
        }
    }

    /// After a failed sync the new data is visible but clean: no later sync makes it durable.
    pub fn lose_file(&mut self, inode: Inode) {
        let file = self.file_mut(inode);
        file.dirty.clear();
        file.size_dirty = None;
    }

    /// The same for names of files. Removals and names of directories become durable with the next
    /// sync that succeeds (see `DESIGN.md` on assumptions about directories).
    pub fn lose_dir(&mut self, inode: Inode) {
        let files: Vec<_> = self
            .nodes
            .keys()
            .copied()
            .filter(|node| self.file(*node).is_some())
            .collect();
        for op in &mut self.dir_mut(inode).pending {
            op.names
                .retain(|(_, inode)| inode.is_none_or(|inode| !files.contains(&inode)));
        }
    }

    pub fn for_all(
        &mut self,
        mut file: impl FnMut(&mut Self, Inode),
        mut dir: impl FnMut(&mut Self, Inode),
    ) {
        let inodes: Vec<_> = self.nodes.keys().copied().collect();
        for inode in inodes {
            if self.file(inode).is_some() {
                file(self, inode);
            } else {
                dir(self, inode);
            }
        }
    }

    /// The content of a directory's files by name, except for its lock and its owner; `None` if
    /// there is no such directory.
    pub fn files(&self, path: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let dir = self.dir(self.lookup(path)?)?;
        let files = dir
            .visible
            .iter()
            .filter(|(name, _)| !auth_store::engine::is_bookkeeping(name))
            .filter_map(|(name, inode)| Some((name.clone(), self.file(*inode)?.visible.clone())));
        Some(files.collect())
    }
}

impl FileNode {
    /// Makes a range durable as it is visible.
    fn settle(&mut self, range: Range<usize>) {
        if self.durable.len() < range.end {
            self.durable.resize(range.end, 0);
        }
        self.durable[range.clone()].copy_from_slice(&self.visible[range]);
    }
}

pub fn apply(map: &mut BTreeMap<String, Inode>, names: &[(String, Option<Inode>)]) {
    for (name, inode) in names {
        match inode {
            Some(inode) => map.insert(name.clone(), *inode),
            None => map.remove(name),
        };
    }
}
