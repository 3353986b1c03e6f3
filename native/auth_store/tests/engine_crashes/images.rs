//! What a crash can leave of a [`World`].

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::sim::mix;
use crate::world::{DirNode, FileNode, Inode, Node, ROOT, World, apply};

/// How many subsets of what is pending are tried.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Up to this many pending effects, every subset; above, the telling ones.
    pub all_subsets: usize,
    /// Of those: all pairs, too.
    pub pairs: bool,
    /// And this many at random.
    pub samples: u64,
}

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
    /// Everything but the cut that came last.
    Uncut(Inode),
}

/// What stands where a write did not arrive: what was there, zeros, or blocks of an old journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Old,
    Zero,
    Stale,
}

/// The images that are tried of `world`, each once. Those that could be had `before`, at a moment
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
        // A sync: it only takes possibilities away.
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

/// Files that are never synced come back as they were at some time, or torn, which is not to be told
/// from empty: each image has one of these, by chance that can be repeated.
fn forget_unsynced(image: &mut World) {
    let chance = hash(image);
    for (inode, kept) in Arc::clone(&image.unsynced).iter() {
        let choice = mix(chance ^ inode) as usize % (kept.len() + 2);
        let content = match choice.checked_sub(1) {
            // As it was last.
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
    content
}

/// The same for images that differ only in the random part of names.
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
                // A sum, since the order of random names means nothing.
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
