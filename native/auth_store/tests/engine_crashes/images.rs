//! What a crash can leave of a [`World`].

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::sim::mix;
use crate::world::{DirNode, FileNode, Inode, Node, ROOT, SECTOR, World, apply};

/// Up to this many pending effects, every subset of them is tried.
const ALL_SUBSETS: usize = 8;
const SAMPLES: u64 = 24;

/// In which order unsynced operations may reach the medium.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Any subset.
    Weak,
    /// Names and sizes in the order they were changed, data in any.
    Ordered,
}

/// Something that is visible and may or may not be durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Names(Inode, usize),
    Sector(Inode, usize),
    Size(Inode),
}

/// What stands where a write did not arrive: what was there, zeros, or blocks of an old journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Old,
    Zero,
    Stale,
}

/// Calls `each` with every image that is tried of `world`, each image once.
pub fn images(
    world: &World,
    profile: Profile,
    all_subsets: usize,
    each: &mut dyn FnMut(World, u64),
) {
    let effects = effects(world);
    let mut seen = HashSet::new();
    let mut visit = |arrived: &[bool]| {
        if profile == Profile::Ordered && !in_order(&effects, arrived) {
            return;
        }
        for fill in [Fill::Old, Fill::Zero, Fill::Stale] {
            let image = image(world, &effects, arrived, fill);
            let hash = hash(&image);
            if seen.insert(hash) {
                each(image, hash);
            }
            let torn = effects
                .iter()
                .zip(arrived)
                .any(|(effect, arrived)| !arrived && matches!(effect, Effect::Sector(..)));
            if !torn {
                break;
            }
        }
    };
    let len = effects.len();
    if len <= all_subsets.min(ALL_SUBSETS) {
        for subset in 0..1_u32 << len {
            visit(
                &(0..len)
                    .map(|bit| subset >> bit & 1 == 1)
                    .collect::<Vec<_>>(),
            );
        }
        return;
    }
    for prefix in 0..=len {
        visit(&(0..len).map(|index| index < prefix).collect::<Vec<_>>());
    }
    for one in 0..len {
        visit(&(0..len).map(|index| index == one).collect::<Vec<_>>());
        visit(&(0..len).map(|index| index != one).collect::<Vec<_>>());
        for other in 0..one {
            visit(
                &(0..len)
                    .map(|index| index == one || index == other)
                    .collect::<Vec<_>>(),
            );
        }
    }
    for sample in 0..SAMPLES {
        let bits = mix(sample ^ (len as u64) << 32 ^ world.time << 8);
        visit(
            &(0..len)
                .map(|index| mix(bits ^ index as u64) & 1 == 1)
                .collect::<Vec<_>>(),
        );
    }
}

/// All that is pending and could be seen after a crash, in the order it was done.
fn effects(world: &World) -> Vec<Effect> {
    let mut timed = Vec::new();
    let mut pending = vec![ROOT];
    let mut seen = BTreeSet::new();
    while let Some(inode) = pending.pop() {
        if !seen.insert(inode) {
            continue;
        }
        if let Some(dir) = world.dir(inode) {
            for (index, op) in dir.pending.iter().enumerate() {
                if !op.names.is_empty() {
                    timed.push((op.time, Effect::Names(inode, index)));
                }
                pending.extend(op.names.iter().filter_map(|(_, inode)| *inode));
            }
            pending.extend(dir.durable.values());
        } else if let Some(file) = world.file(inode) {
            timed.extend(
                file.dirty
                    .iter()
                    .map(|(sector, (_, time))| (*time, Effect::Sector(inode, *sector))),
            );
            timed.extend(file.size_dirty.map(|time| (time, Effect::Size(inode))));
        }
    }
    timed.sort_by_key(|(time, _)| *time);
    timed.into_iter().map(|(_, effect)| effect).collect()
}

fn in_order(effects: &[Effect], arrived: &[bool]) -> bool {
    let mut metadata = effects
        .iter()
        .zip(arrived)
        .filter(|(effect, _)| !matches!(effect, Effect::Sector(..)))
        .map(|(_, arrived)| *arrived);
    // Once one is missing, all later ones are.
    metadata.by_ref().find(|arrived| !arrived);
    metadata.all(|arrived| !arrived)
}

/// The world after the crash: what arrived, all of it durable.
fn image(world: &World, effects: &[Effect], arrived: &[bool], fill: Fill) -> World {
    let arrived = |effect: Effect| {
        effects
            .iter()
            .zip(arrived)
            .any(|(other, arrived)| *other == effect && *arrived)
    };
    let mut nodes = BTreeMap::new();
    let mut pending = vec![ROOT];
    while let Some(inode) = pending.pop() {
        if nodes.contains_key(&inode) {
            continue;
        }
        let Some(node) = world.nodes.get(&inode) else {
            continue;
        };
        let node = match node.as_ref() {
            Node::Dir(dir) => {
                let mut names = dir.durable.clone();
                for (index, op) in dir.pending.iter().enumerate() {
                    if arrived(Effect::Names(inode, index)) {
                        apply(&mut names, &op.names);
                    }
                }
                pending.extend(names.values());
                let dir = DirNode {
                    visible: names.clone(),
                    durable: names,
                    pending: Vec::new(),
                };
                Arc::new(Node::Dir(dir))
            }
            Node::File(file) if is_settled(file) => Arc::clone(node),
            Node::File(file) => {
                let content = content(world, inode, file, &arrived, fill);
                let durable_size = content.len();
                let visible = content.clone();
                Arc::new(Node::File(FileNode {
                    visible,
                    durable: content,
                    durable_size,
                    ..FileNode::default()
                }))
            }
        };
        nodes.insert(inode, node);
    }
    World {
        nodes,
        ..world.clone()
    }
}

fn is_settled(file: &FileNode) -> bool {
    file.dirty.is_empty()
        && file.size_dirty.is_none()
        && file.durable_size == file.visible.len()
        && file.durable == file.visible
}

fn content(
    world: &World,
    inode: Inode,
    file: &FileNode,
    arrived: &dyn Fn(Effect) -> bool,
    fill: Fill,
) -> Vec<u8> {
    let size = match file.size_dirty {
        Some(_) if arrived(Effect::Size(inode)) => file.visible.len(),
        _ => file.durable_size,
    };
    let mut content = file.durable.clone();
    content.resize(content.len().max(file.visible.len()).max(size), 0);
    for (sector, (range, _)) in &file.dirty {
        // Only what the write covers can tear: its neighbours in the sector stay what they were.
        if arrived(Effect::Sector(inode, *sector)) {
            content[range.clone()].copy_from_slice(&file.visible[range.clone()]);
        } else {
            for at in range.clone() {
                match fill {
                    Fill::Old => {}
                    Fill::Zero => content[at] = 0,
                    Fill::Stale => content[at] = world.stale.get(at).copied().unwrap_or(0xA5),
                }
            }
        }
    }
    content.truncate(size);
    debug_assert!(SECTOR > 0);
    content
}

/// The same for images that differ only in the random part of names.
pub fn hash(image: &World) -> u64 {
    fn of(world: &World, inode: Inode) -> u64 {
        let mut hasher = DefaultHasher::new();
        match world.nodes.get(&inode).map(Arc::as_ref) {
            None => {}
            Some(Node::File(file)) => file.visible.hash(&mut hasher),
            Some(Node::Dir(dir)) => {
                let mut entries: Vec<_> = dir
                    .visible
                    .iter()
                    .map(|(name, inode)| {
                        let end = ["tmp-", "old-"]
                            .iter()
                            .find_map(|mark| Some(name.find(mark)? + mark.len()))
                            .unwrap_or(name.len());
                        (&name[..end], of(world, *inode))
                    })
                    .collect();
                entries.sort_unstable();
                entries.hash(&mut hasher);
            }
        }
        hasher.finish()
    }
    of(image, ROOT)
}
