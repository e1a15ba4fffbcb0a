//! Manifests and sums: written in one spelling, read in no other.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on fails")]

use std::collections::BTreeMap;
use std::process::Command;

use attest::{ManifestError, PathError, manifest_bytes, manifest_of, parse_manifest, parse_sums, sums, sums_of};
use model::Digest;
use proptest::prelude::*;

fn file(path: &str) -> (String, u64, Digest) {
    (path.to_owned(), path.len() as u64, Digest::of(path.as_bytes()))
}

fn listed(paths: &[&str]) -> BTreeMap<String, Digest> {
    paths.iter().map(|path| ((*path).to_owned(), Digest::of(path.as_bytes()))).collect()
}

#[test]
fn a_manifest_is_sorted_typed_and_comes_back() {
    let manifest = manifest_of(["report.html", "assessment.json", "evidence/0.json"].map(file)).unwrap();
    let bytes = manifest_bytes(&manifest).unwrap();
    assert_eq!(parse_manifest(&bytes), Ok(manifest.clone()));
    let paths: Vec<_> = manifest.files.iter().map(|f| (f.path.as_str(), f.media_type.as_str())).collect();
    let json = "application/json";
    assert_eq!(paths, [("assessment.json", json), ("evidence/0.json", json), ("report.html", "text/html")]);
    let digest = Digest::of(b"a");
    let one = manifest_bytes(&manifest_of([("a.md".to_owned(), 7, digest)]).unwrap()).unwrap();
    let wanted = format!(
        r#"{{"files":[{{"media_type":"text/markdown","path":"a.md","sha256":"{digest}","size":7}}],"format":"probity.manifest/v1"}}"#
    ) + "\n";
    assert_eq!(String::from_utf8(one).unwrap(), wanted);
}

#[test]
fn what_is_made_later_is_not_listed() {
    for name in ["manifest.json", "SHA256SUMS", "report.sigstore.json", "report.tlog-proof", "sha256sums"] {
        assert_eq!(manifest_of([file(name)]), Err(ManifestError::Lists(name.to_owned())));
    }
    assert!(manifest_of([file("assessment.sigstore.json"), file("reports/manifest.json")]).is_ok());
}

#[test]
fn unsafe_and_colliding_paths_are_neither_written_nor_read() {
    for (paths, unsafe_path) in [
        (vec!["../a"], true),
        (vec!["/etc/passwd"], true),
        (vec!["a\\b"], true),
        (vec!["a//b"], true),
        (vec!["A.json", "a.json"], false),
        (vec!["a", "a/b"], false),
        (vec!["a", "a"], false),
    ] {
        let refused = manifest_of(paths.iter().copied().map(file)).unwrap_err();
        let ManifestError::Path(why) = refused else { panic!("{paths:?}: {refused}") };
        assert_eq!(matches!(why, PathError::Unsafe(_)), unsafe_path, "{why}");
        let entries: Vec<_> = (paths.iter())
            .map(|path| {
                serde_json::json!({"path": path, "size": 1, "sha256": Digest::of(b""), "media_type": "text/plain"})
            })
            .collect();
        let bytes = model::canonical_json(&serde_json::json!({"format": "probity.manifest/v1", "files": entries}));
        assert!(matches!(parse_manifest(&bytes.unwrap()), Err(ManifestError::Path(_))), "{paths:?}");
    }
}

#[test]
fn every_bit_of_a_manifest_is_held_by_its_spelling_or_its_meaning() {
    let manifest = manifest_of(["assessment.json", "evidence/0.json", "report.html"].map(file)).unwrap();
    let bytes = manifest_bytes(&manifest).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(read) = parse_manifest(&changed) {
                assert_ne!(read, manifest, "bit {bit} of byte {at}");
            }
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    for (from, to) in [
        ("{\"files\"", "{ \"files\""),
        ("{\"files\"", "{\"files\":[],\"files\""),
        ("{\"files\"", "{\"a\":1,\"files\""),
        ("\"size\":15", "\"size\":15.0"),
        ("\"size\":15", "\"size\":1.5e1"),
        ("manifest/v1", "manifest/v2"),
        ("report.html", "report.htm\\u006c"),
        ("}\n", "}"),
        ("}\n", "}\n\n"),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(parse_manifest(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn sums_are_sorted_and_come_back() {
    let manifest = manifest_of(["b", "a/c"].map(file)).unwrap();
    let bytes = sums_of(&manifest).unwrap();
    let wanted = format!("{}  a/c\n{}  b\n", Digest::of(b"a/c"), Digest::of(b"b"));
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), wanted);
    assert_eq!(parse_sums(&bytes), Ok(listed(&["a/c", "b"])));
    assert_eq!(parse_sums(b""), Ok(BTreeMap::new()));
    assert!(sums(&listed(&["a", "A"])).is_err());
    assert!(sums(&listed(&["a\nb"])).is_err());
    let digest = Digest::of(b"");
    for bad in [
        format!("{digest}  a"),
        format!("{digest} a\n"),
        format!("{digest} *a\n"),
        format!("{digest}   a\n"),
        format!("{digest}  a\r\n"),
        format!("\\{digest}  a\n"),
        format!("{}  a\n", digest.to_string().to_uppercase()),
        format!("{digest}  a\n\n"),
        format!("# note\n{digest}  a\n"),
        format!("{digest}  b\n{digest}  a\n"),
        format!("{digest}  a\n{digest}  a\n"),
        format!("{digest}  ../a\n"),
        format!("{digest}  -\n"),
    ] {
        assert!(parse_sums(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn sha256sum_reads_the_sums() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "b/c.json", "b/d@e+f=1,2"];
    std::fs::create_dir(folder.path().join("b")).unwrap();
    for path in paths {
        std::fs::write(folder.path().join(path), path).unwrap();
    }
    std::fs::write(folder.path().join("SHA256SUMS"), sums(&listed(&paths)).unwrap()).unwrap();
    let check = || {
        let words = ["--check", "--strict", "--quiet", "SHA256SUMS"];
        Command::new("sha256sum").args(words).current_dir(folder.path()).output().unwrap()
    };
    let good = check();
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    std::fs::write(folder.path().join("a"), "b").unwrap();
    assert!(!check().status.success());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse_manifest(&bytes).is_err());
        if let Ok(read) = parse_sums(&bytes) {
            prop_assert_eq!(sums(&read).unwrap(), bytes);
        }
    }

    #[test]
    fn lists_that_are_written_come_back(paths in prop::collection::btree_set("[a-z0-9]{1,3}(/[a-zA-Z0-9._-]{1,3}){0,2}", 0..8)) {
        let files: BTreeMap<_, _> = paths.iter().map(|path| (path.clone(), Digest::of(path.as_bytes()))).collect();
        match manifest_of(paths.iter().map(|path| file(path))) {
            Ok(manifest) => {
                prop_assert_eq!(parse_manifest(&manifest_bytes(&manifest).unwrap()).unwrap(), manifest.clone());
                prop_assert_eq!(sums_of(&manifest).unwrap(), sums(&files).unwrap());
                prop_assert_eq!(parse_sums(&sums(&files).unwrap()).unwrap(), files);
            }
            Err(refused) => {
                prop_assert!(matches!(refused, ManifestError::Path(_)));
                prop_assert!(sums(&files).is_err());
            }
        }
    }

    #[test]
    fn a_changed_list_of_sums_reads_otherwise(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let bytes = sums(&listed(&["a", "b/c", "b/d"])).unwrap();
        let mut changed = bytes.clone();
        let at = at.index(bytes.len());
        prop_assume!(changed[at] != to);
        changed[at] = to;
        if let Ok(read) = parse_sums(&changed) {
            prop_assert_ne!(read, parse_sums(&bytes).unwrap());
        }
    }
}
