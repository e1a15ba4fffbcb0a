#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;

use proptest::prelude::*;

use super::*;

fn work(from: &Path, into: &Path, only: Option<&[&str]>) -> Work {
    let only = only.map(|only| only.iter().map(|path| (*path).to_owned()).collect());
    let halt = Halt::default();
    let halted = halt.watch();
    // Dropping it says stop.
    std::mem::forget(halt);
    Work { from: from.to_owned(), into: into.to_owned(), only, halted }
}

/// The files below a folder with what is in them, sorted.
fn there(into: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut waiting) = (Vec::new(), vec![into.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.symlink_metadata().unwrap().is_dir() {
                true => waiting.push(path),
                false => found.push((path.strip_prefix(into).unwrap().display().to_string(), fs::read(&path).unwrap())),
            }
        }
    }
    found.sort();
    found
}

fn entry(archive: &mut tar::Builder<Vec<u8>>, kind: EntryType, path: &str, link: Option<&str>, contents: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(contents.len() as u64);
    header.set_mode(0o4777);
    // As bytes: the crate's own setters refuse what an attacker would write.
    let old = header.as_old_mut();
    old.name[..path.len()].copy_from_slice(path.as_bytes());
    let link = link.unwrap_or_default();
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    archive.append(&header, contents).unwrap();
}

#[test]
fn nothing_leaves_the_scratch_place() {
    let dir = tempfile::tempdir().unwrap();
    let (from, into) = (dir.path().join("a.tar"), dir.path().join("into"));
    fs::create_dir(&into).unwrap();
    fs::write(dir.path().join("outside"), "untouched").unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    entry(&mut archive, EntryType::Regular, "../outside", None, b"out");
    entry(&mut archive, EntryType::Regular, "/abs", None, b"abs");
    entry(&mut archive, EntryType::Symlink, "way", Some(".."), b"");
    entry(&mut archive, EntryType::Regular, "way/outside", None, b"inside after all");
    entry(&mut archive, EntryType::Link, "stolen", Some("../outside"), b"");
    entry(&mut archive, EntryType::Link, "twin", Some("./abs"), b"");
    entry(&mut archive, EntryType::Fifo, "pipe", None, b"");
    entry(&mut archive, EntryType::Char, "null", None, b"");
    entry(&mut archive, EntryType::Regular, "twice", None, b"first");
    entry(&mut archive, EntryType::Regular, "twice", None, b"second");
    fs::write(&from, archive.into_inner().unwrap()).unwrap();
    assert!(work(&from, &into, None).tar(None).is_ok());
    let wanted = [("abs", "abs"), ("twice", "second"), ("twin", "abs"), ("way/outside", "inside after all")];
    assert_eq!(there(&into), wanted.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())));
    assert_eq!(fs::read_to_string(dir.path().join("outside")).unwrap(), "untouched");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(into.join("abs").metadata().unwrap().permissions().mode() & 0o7777, 0o600);

    // What is wanted is a link to what is not: both come.
    fs::remove_dir_all(&into).unwrap();
    fs::create_dir(&into).unwrap();
    assert!(work(&from, &into, Some(&["/twin"])).tar(None).is_ok());
    assert_eq!(there(&into).len(), 2);
}

#[test]
fn every_sort_comes_back_and_what_is_cut_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(source.join("b")).unwrap();
    fs::write(source.join("a"), vec![7; 300_000]).unwrap();
    fs::write(source.join("b/c"), "").unwrap();
    let fresh = || {
        let into = dir.path().join("into");
        let _ = fs::remove_dir_all(&into);
        fs::create_dir(&into).unwrap();
        into
    };
    let into = fresh();
    assert!(work(&source, &into, None).folder().is_ok());
    let whole = there(&into);
    assert_eq!(whole, [("a".to_owned(), vec![7; 300_000]), ("b/c".to_owned(), Vec::new())]);
    for (name, packing, command) in [
        ("a.tar", None, "tar -cf"),
        ("a.tgz", Some(Packing::Gzip), "tar -czf"),
        ("a.txz", Some(Packing::Xz), "tar -cJf"),
        ("a.tbz", Some(Packing::Bzip2), "tar -cjf"),
        ("a.zip", None, "python3 -m zipfile -c"),
    ] {
        let file = dir.path().join(name);
        let mut words = command.split(' ');
        let mut command = std::process::Command::new(words.next().unwrap());
        command.args(words).arg(&file).args(["a", "b"]).current_dir(&source);
        assert!(command.status().unwrap().success(), "{name}");
        let unpack = |into: &Path| match name.ends_with("zip") {
            true => work(&file, into, None).zip(),
            false => work(&file, into, None).tar(packing),
        };
        let into = fresh();
        assert!(unpack(&into).is_ok(), "{name}");
        assert_eq!(there(&into), whole, "{name}");
        let length = file.metadata().unwrap().len();
        let shorter = if packing.is_none() && name.ends_with("tar") { 200_000 } else { length / 2 };
        fs::File::options().write(true).open(&file).unwrap().set_len(shorter).unwrap();
        assert!(matches!(unpack(&fresh()), Err(Trouble::Read(_))), "{name}");
    }
}

proptest! {
    #[test]
    fn names_stay_inside(path in prop::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), Just(b'a'), any::<u8>()], 0..30)) {
        if let Some(path) = inside(&path) {
            prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let dir = tempfile::tempdir().unwrap();
        let (from, into) = (dir.path().join("x"), dir.path().join("into"));
        fs::create_dir(&into).unwrap();
        fs::write(&from, &bytes).unwrap();
        let _ = work(&from, &into, None).tar(None);
        let _ = work(&from, &into, None).zip();
    }
}
