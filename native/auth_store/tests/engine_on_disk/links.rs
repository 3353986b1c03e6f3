//! Links that lead to a directory, or to nothing.

use super::*;

#[test]
fn a_link_that_leads_nowhere_is_no_empty_directory() {
    let (root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    auth.check_not_dangling().unwrap();
    symlink("volume", &path).unwrap();
    assert!(matches!(auth.check_not_dangling(), Err(Error::Io { .. })));
    fs::create_dir(root.path().join("volume")).unwrap();
    auth.check_not_dangling().unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    auth.check_not_dangling().unwrap();
}
