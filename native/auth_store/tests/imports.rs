//! Imports go one way, here and in the NIF: no module of a crate imports a module that imports it.
//! A module's own submodules count as part of it.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Name = Vec<String>;
type Imports = BTreeMap<Name, BTreeSet<Name>>;

#[test]
fn no_modules_import_each_other() {
    assert_no_circles("src", 50);
}

#[test]
fn no_modules_of_the_nif_import_each_other() {
    assert_no_circles("../auth_nif/src", 10);
}

fn assert_no_circles(sources: &str, at_least: usize) {
    let imports = imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sources));
    assert!(imports.len() >= at_least, "found {}", imports.len());
    let circles: Vec<_> = imports
        .keys()
        .filter_map(|module| circle(&imports, module))
        .collect();
    assert!(circles.is_empty(), "circles of imports: {circles:#?}");
}

#[test]
fn a_circle_is_found() {
    let name = |text: &str| vec![text.to_owned()];
    let mut imports: Imports = BTreeMap::new();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")] {
        imports.entry(name(from)).or_default().insert(name(to));
    }
    assert!(circle(&imports, &name("a")).is_some());
    assert!(circle(&imports, &name("d")).is_none());
    let (pre, rest) = ("use super::{disk::Disk, ", "names::{self, LOCK}};");
    assert_eq!(
        paths(&format!("{pre}{rest}")),
        [
            "super::disk::Disk",
            "super::names::self",
            "super::names::LOCK"
        ]
    );
    assert_eq!(
        paths("fn cut() -> crate::Cut { super::names::parent(self::at) } // super::lock"),
        ["crate::Cut", "super::names::parent", "self::at"]
    );
}

/// A path of imports from a module back to itself.
fn circle(imports: &Imports, module: &Name) -> Option<Vec<String>> {
    let mut ways: Vec<Vec<&Name>> = vec![vec![module]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in imports.get(*way.last()?).into_iter().flatten() {
            if next == module {
                return Some(way.iter().map(|name| name.join("::")).collect());
            }
            if seen.insert(next) {
                ways.push([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}

fn imports(root: &Path) -> Imports {
    let mut files = Vec::new();
    collect(root, &mut files);
    let modules: BTreeMap<Name, PathBuf> = files
        .into_iter()
        .map(|file| (module_of(root, &file), file))
        .collect();
    let names: BTreeSet<Name> = modules.keys().cloned().collect();
    modules
        .iter()
        .map(|(module, file)| {
            let text = fs::read_to_string(file).expect("a source file");
            let text = text.split("\nmod tests {").next().unwrap_or_default();
            let found = paths(text)
                .iter()
                .filter_map(|path| resolve(module, path, &names))
                .filter(|import| !import.starts_with(module))
                .collect();
            (module.clone(), found)
        })
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn module_of(root: &Path, file: &Path) -> Name {
    let path = file.strip_prefix(root).expect("below the root");
    let mut name: Name = path
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if name
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        name.pop();
    }
    name
}

/// The paths that `use` brings in, one by one, and those that are written out where they are used.
fn paths(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let (mut found, mut rest) = (Vec::new(), String::new());
    for statement in code.split_inclusive(';') {
        match used(statement) {
            Some((before, tree)) => {
                found.extend(expand(tree.trim_end_matches(';')));
                rest.push_str(before);
            }
            None => rest.push_str(statement),
        }
    }
    let in_place = rest
        .split(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter))
        .filter(|path| {
            ["crate::", "super::", "self::"]
                .iter()
                .any(|base| path.starts_with(base))
        });
    found.extend(in_place.map(str::to_owned));
    found
}

/// The text before the `use` of a statement, and what it brings in.
fn used(statement: &str) -> Option<(&str, &str)> {
    let (before, tree) = statement.split_once("use ")?;
    let line = before.rsplit('\n').next().unwrap_or_default().trim();
    (line.is_empty() || line.starts_with("pub")).then_some((before, tree))
}

fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, inner)) = tree.strip_suffix('}').and_then(|tree| tree.split_once('{')) else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.trim().to_owned()];
    };
    let (mut depth, mut items) = (0, vec![String::new()]);
    for letter in inner.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => (),
        }
        items.last_mut().expect("one at least").push(letter);
    }
    items
        .iter()
        .filter(|item| !item.trim().is_empty())
        .flat_map(|item| expand(item))
        .map(|item| format!("{before}{item}"))
        .collect()
}

/// The module that a path leads into, if it belongs to the crate.
fn resolve(module: &Name, path: &str, names: &BTreeSet<Name>) -> Option<Name> {
    let mut parts = path.split("::").map(str::trim).peekable();
    let mut base = match parts.peek()? {
        &"crate" => Vec::new(),
        &"self" => module.clone(),
        &"super" => module.clone(),
        first => {
            let mut child = module.clone();
            child.push((*first).to_owned());
            return names.contains(&child).then_some(child);
        }
    };
    if parts.peek() != Some(&"super") {
        parts.next();
    }
    while parts.peek() == Some(&"super") {
        parts.next();
        base.pop();
    }
    for part in parts {
        let mut below = base.clone();
        below.push(part.to_owned());
        if !names.contains(&below) {
            break;
        }
        base = below;
    }
    (base != *module).then_some(base)
}
