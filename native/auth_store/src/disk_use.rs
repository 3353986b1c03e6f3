//! The disk space that a directory takes, as `du` counts it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The unit of `st_blocks`.
const BLOCK: u64 = 512;

/// The bytes of all blocks under `path`, including the directory itself. A file with several names
/// counts once. Links are not followed, and entries that are gone or cannot be examined count
/// nothing.
pub fn disk_use(path: &Path) -> io::Result<u64> {
    let mut seen = HashSet::new();
    let mut bytes = 0;
    let mut directories: Vec<PathBuf> = vec![path.to_owned()];
    fs::read_dir(path)?;
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        bytes += fs::metadata(&directory).map_or(0, |metadata| metadata.blocks() * BLOCK);
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino())) {
                bytes += metadata.blocks() * BLOCK;
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_du_counts() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let file = root.path().join("a");
        fs::write(&file, vec![1; 10_000])?;
        fs::hard_link(&file, root.path().join("b"))?;
        fs::create_dir(root.path().join("c"))?;
        fs::write(root.path().join("c/d"), "1")?;
        std::os::unix::fs::symlink("/", root.path().join("e"))?;
        let du = std::process::Command::new("du")
            .args(["-s", "-B1"])
            .arg(root.path())
            .output()?;
        let du = String::from_utf8_lossy(&du.stdout);
        let expected: Option<u64> = du.split_whitespace().next().and_then(|n| n.parse().ok());
        assert_eq!(Some(disk_use(root.path())?), expected);
        assert!(disk_use(&root.path().join("none")).is_err());
        Ok(())
    }
}
