//! The states that a crash can leave of a [`World`].

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::sim::mix;
use crate::world::{DirNode, FileNode, Inode, Node, ROOT, World, apply};

/// How many subsets of the pending effects are tried.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Up to this many pending effects, every subset is tried; beyond that, only the telling ones.
    pub all_subsets: usize,
    /// Whether all pairs count as telling.
    pub pairs: bool,
    /// The number of random subsets among them.
    pub samples: u64,
}

/// The order in which unsynced operations may reach the medium.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Any subset of them.
    Weak,
    /// Names and sizes in the order in which they changed, data in any order.
    Ordered,
}

/// A change that is visible and may or may not be durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Names(Inode, usize),
    Sector(Inode, usize),
    Size(Inode),
    /// The content before the last cut of the file, which has arrived while the cut has not.
    Uncut(Inode),
}

/// What is on the medium where a write did not arrive: the old bytes, zeros, or blocks of an old
/// journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Old,
    Zero,
    Stale,
}

/// The images of `world` to try, each once. Images that were already possible at `before`, a moment
/// with the same expectations, are left out.
pub fn images(
    world: &World,
    before: Option<&World>,
    profile: Profile,
    effort: Effort,
) -> Vec<(World, u64)> {
    let pending = effects(world);
    let before = before.filter(|before| effects(before).len() <= effort.all_subsets);
    let fresh = before.map(|before| fresh(world, &pending, before));
    if fresh.as_ref().is_some_and(Vec::is_empty) {
        // This moment is after a sync, which only makes images impossible.
        return Vec::new();
    }
    let effects = pending;
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut visit = |arrived: &[bool]| {
        if fresh
            .as_ref()
            .is_some_and(|fresh| !fresh.iter().any(|index| arrived[*index]))
        {
            return;
        }
        if profile == Profile::Ordered && !in_order(&effects, arrived) {
            return;
        }
        for fill in [Fill::Old, Fill::Stale, Fill::Zero] {
            let mut image = image(world, &effects, arrived, fill);
            forget_unsynced(&mut image);
            let hash = hash(&image);
            if seen.insert(hash) {
                found.push((image, hash));
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
    if len <= effort.all_subsets {
        for subset in 0..1_u32 << len {
            visit(
                &(0..len)
                    .map(|bit| subset >> bit & 1 == 1)
                    .collect::<Vec<_>>(),
            );
        }
        return found;
    }
    for prefix in 0..=len {
        visit(&(0..len).map(|index| index < prefix).collect::<Vec<_>>());
    }
    for one in 0..len {
        visit(&(0..len).map(|index| index == one).collect::<Vec<_>>());
        visit(&(0..len).map(|index| index != one).collect::<Vec<_>>());
        for other in 0..if effort.pairs { one } else { 0 } {
            visit(
                &(0..len)
                    .map(|index| index == one || index == other)
                    .collect::<Vec<_>>(),
            );
        }
    }
    for sample in 0..effort.samples {
        let bits = mix(sample ^ (len as u64) << 32 ^ world.time << 8);
        visit(
            &(0..len)
                .map(|index| mix(bits ^ index as u64) & 1 == 1)
                .collect::<Vec<_>>(),
        );
    }
    found
}

/// The effects that were not pending before.
fn fresh(world: &World, effects: &[Effect], before: &World) -> Vec<usize> {
    (0..effects.len())
        .filter(|index| time(world, effects[*index]) > before.time)
        .collect()
}

fn time(world: &World, effect: Effect) -> u64 {
    match effect {
        Effect::Names(inode, index) => world.dir(inode).map_or(0, |dir| dir.pending[index].time),
        Effect::Sector(inode, sector) => world.file(inode).map_or(0, |file| file.dirty[&sector].1),
        Effect::Uncut(inode) => world
            .file(inode)
            .and_then(|file| file.uncut.as_ref())
            .map_or(0, |(_, time)| *time),
        Effect::Size(inode) => world
            .file(inode)
            .and_then(|file| file.size_dirty)
            .unwrap_or(0),
    }
}

/// All pending effects that a crash could reveal, in the order in which they happened.
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
            timed.extend(
                file.uncut
                    .as_ref()
                    .map(|(_, time)| (*time, Effect::Uncut(inode))),
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
    // Once one is missing, all later ones are missing.
    metadata.by_ref().find(|arrived| !arrived);
    metadata.all(|arrived| !arrived)
}

/// The world after the crash: what has arrived is all durable.
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

/// Gives files that are never synced the content of some earlier time, or makes them empty, which
/// stands for torn. Each image gets one of these by a repeatable choice.
fn forget_unsynced(image: &mut World) {
    let chance = hash(image);
    for (inode, kept) in Arc::clone(&image.unsynced).iter() {
        let choice = mix(chance ^ inode) as usize % (kept.len() + 2);
        let content = match choice.checked_sub(1) {
            // The latest content.
            None => continue,
            Some(at) => kept.get(at).cloned().unwrap_or_default(),
        };
        if image.file(*inode).is_some() {
            let file = image.file_mut(*inode);
            *file = FileNode {
                durable_size: content.len(),
                durable: content.clone(),
                visible: content,
                ..FileNode::default()
            };
        }
    }
    image.unsynced = Arc::default();
}

fn is_settled(file: &FileNode) -> bool {
    file.dirty.is_empty()
        && file.size_dirty.is_none()
        && file.uncut.is_none()
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
    if let Some((uncut, _)) = &file.uncut
        && arrived(Effect::Uncut(inode))
    {
        return uncut.clone();
    }
    let size = match file.size_dirty {
        Some(_) if arrived(Effect::Size(inode)) => file.visible.len(),
        _ => file.durable_size,
    };
    let mut content = file.durable.clone();
    content.resize(content.len().max(file.visible.len()).max(size), 0);
    for (sector, (range, _)) in &file.dirty {
        // Only the bytes of the write can tear. Others in the same sector stay as they were.
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
    content
}

/// A hash that is the same for images that differ only in the random parts of names.
pub fn hash(image: &World) -> u64 {
    fn of(world: &World, inode: Inode) -> u64 {
        match world.nodes.get(&inode).map(Arc::as_ref) {
            None => 0,
            Some(Node::File(file)) => hash_bytes(&file.visible),
            Some(Node::Dir(dir)) => dir.visible.iter().fold(1, |sum: u64, (name, inode)| {
                let end = ["tmp-", "old-"]
                    .iter()
                    .find_map(|mark| Some(name.find(mark)? + mark.len()));
                let name = hash_bytes(&name.as_bytes()[..end.unwrap_or(name.len())]);
                // A sum, since the order of random names has no meaning.
                sum.wrapping_add(mix(name ^ mix(of(world, *inode))))
            }),
        }
    }
    of(image, ROOT)
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(bytes.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(hash ^ u64::from_le_bytes(word))
    })
}
