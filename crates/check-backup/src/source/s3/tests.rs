//! The adapter against a server that speaks S3 over a folder (`s3s-fs`), on loopback.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::Cursor;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use proptest::prelude::*;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::Value;

use super::*;
use crate::source::files::tests::{complete, copy, databases, evidence, fixture};
use crate::target::{BackupTarget, Expect};

/// A store with one bucket, in a folder.
struct Store {
    folder: tempfile::TempDir,
    endpoint: String,
}

impl Store {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("backups")).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single("reader", "s3cret"));
        let service = service.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    // A client that goes away is no matter.
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { folder, endpoint }
    }

    fn add(&self, name: &str, contents: impl AsRef<[u8]>) -> &Self {
        let path = self.folder.path().join("backups").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
        self
    }

    fn source(&self) -> S3 {
        let secret = self.folder.path().join("secret");
        let access = self.folder.path().join("access");
        std::fs::write(&access, "reader").unwrap();
        std::fs::write(&secret, "s3cret").unwrap();
        S3 {
            endpoint: self.endpoint.clone(),
            bucket: "backups".to_owned(),
            prefix: "dumps".to_owned(),
            access_key: format!("file:{}", access.display()),
            secret_key: format!("file:{}", secret.display()),
            ..S3::default()
        }
    }

    async fn facts(&self, source: S3, expect: Expect) -> Value {
        let target = BackupTarget { s3: Some(source), expect, ..BackupTarget::default() };
        let evidence = evidence(&target, Duration::from_secs(60)).await;
        assert!(evidence.failure.is_none(), "{:?}", evidence.failure);
        let text = serde_json::to_string(&evidence).unwrap();
        assert!(!text.contains("s3cret"), "the secret stands in the evidence");
        serde_json::to_value(evidence.facts).unwrap()
    }
}

#[tokio::test]
async fn objects_are_copies() {
    let store = Store::start().await;
    let dump = fixture("shop.dump");
    store.add("dumps/shop.dump", &dump).add("dumps/old/cut.dump", &dump[..dump.len() - 300]).add("other/x", "x");
    store.add("dumps/empty.dump", "").add("dumps/noise", "noise").add("dumps/shop.sql", fixture("shop.sql"));
    let facts = store.facts(store.source(), databases(&["shop", "crm"])).await;
    assert_eq!((facts["source"].as_str(), facts["catalogue"]["asked"].as_str()), (Some("s3"), Some("all")));
    assert_eq!(facts["catalogue"]["snapshots"].as_array().unwrap().len(), 5);
    assert_eq!((complete(&facts, "shop.dump").0, complete(&facts, "old/cut.dump").0), ("present", "absent"));
    assert_eq!(
        (complete(&facts, "empty.dump").0, copy(&facts, "noise")["outcome"].as_str()),
        ("absent", Some("not_proven"))
    );
    assert!(copy(&facts, "shop.dump")["recovery_point"].as_str().unwrap().starts_with("2026-11-24T"));
    // Plain SQL carries no time: the store's clock tells when it came.
    assert!(copy(&facts, "shop.sql")["recovery_point"].is_string());
    assert_eq!(
        (facts["recovery"][0]["outcome"].as_str(), facts["recovery"][1]["outcome"].as_str()),
        (Some("present"), Some("not_proven"))
    );
}

#[tokio::test]
async fn of_large_objects_both_ends_are_read() {
    let store = Store::start().await;
    let sql = String::from_utf8(fixture("shop.sql")).unwrap();
    let (head, tail) = sql.split_at(sql.find("\\.\n").unwrap());
    let long = format!("{head}{}{tail}", "7\tan article\t1.0\n".repeat(200_000));
    store.add("dumps/long.sql", &long).add("dumps/cut.sql", &long[..long.len() - 200]);
    let mut packed = zstd::encode_all(long.as_bytes(), 1).unwrap();
    // A frame that is passed over makes it as long as none compresses it.
    packed.extend_from_slice(&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0x20, 0]);
    packed.resize(packed.len() + (2 << 20), 0);
    store.add("dumps/long.sql.zst", packed);
    let source = S3 { database: Some("shop".to_owned()), ..store.source() };
    let facts = store.facts(source, databases(&["shop"])).await;
    assert_eq!((complete(&facts, "long.sql").0, complete(&facts, "cut.sql").0), ("present", "absent"));
    assert_eq!(complete(&facts, "long.sql.zst").0, "not_proven");
    assert_eq!(copy(&facts, "long.sql")["stored"].as_u64(), Some(long.len() as u64));
}

#[tokio::test]
async fn nothing_below_the_prefix_is_no_failure_but_no_bucket_and_a_wrong_key_are() {
    let store = Store::start().await;
    let facts = store.facts(store.source(), Expect::default()).await;
    assert_eq!(facts["required"][0]["outcome"], "absent");
    let gone = S3 { bucket: "gone".to_owned(), ..store.source() };
    let wrong = S3 { secret_key: store.source().access_key, ..store.source() };
    let deaf = S3 { endpoint: "http://127.0.0.1:1".to_owned(), ..store.source() };
    for source in [gone, wrong, deaf] {
        let target = BackupTarget { s3: Some(source), ..BackupTarget::default() };
        let evidence = evidence(&target, Duration::from_secs(5)).await;
        assert!(evidence.failure.is_some(), "{:?}", evidence.facts);
    }
}

/// A tar file with one file of that time.
fn tar(path: &str, contents: &[u8], at: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(at);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, path, contents).unwrap();
    archive.into_inner().unwrap()
}

#[tokio::test]
async fn states_of_objects() {
    let store = Store::start().await;
    let mut flipped = fixture("shop.sql.gz");
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    store.add("dumps/flipped.sql.gz", flipped).add("dumps/good.sql.gz", fixture("shop.sql.gz"));
    store.add("dumps/stale.tar", tar("srv/data/a", b"a", 1_000_000_000));
    store.add("dumps/future.tar", tar("srv/data/a", b"a", 4_000_000_000));
    store.add("dumps/canary.tar", tar("srv/canary", b"7d1f", 1_700_000_000));
    let paths = |paths: &[&str]| Expect { paths: paths.iter().map(|p| (*p).to_owned()).collect(), ..Expect::default() };
    let facts = store.facts(store.source(), paths(&["/srv/data", "/srv/other"])).await;
    assert_eq!((complete(&facts, "good.sql.gz").0, complete(&facts, "flipped.sql.gz").0), ("present", "absent"));
    // Archives bear no time of their own, and the times of the files in them are their owners' word: the store's clock counts.
    let at = |name: &str| copy(&facts, name)["recovery_point"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    for name in ["stale.tar", "future.tar"] {
        assert!(jiff::Timestamp::now().duration_since(at(name)).as_hours().abs() < 24, "{name}");
    }
    assert_eq!(copy(&facts, "canary.tar")["paths"], serde_json::json!([]), "neither path is in it");
    assert_eq!(copy(&facts, "canary.tar")["files"], 1);
    let required = |name: &str| facts["required"].as_array().unwrap().iter().find(|r| r["name"] == name).unwrap();
    assert_eq!(required("/srv/data")["outcome"], "present");
    assert_ne!(required("/srv/other")["outcome"], "present", "half of the sources is missing");
}

proptest! {
    #[test]
    fn both_ends_are_read_as_the_whole_would_be(
        length in 0_usize..400, head in 0_usize..200, tail in 0_usize..200, at in 0_usize..450,
    ) {
        let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let (head, tail) = (head.min(length), tail.min(length));
        let mut shown = Shown {
            head: bytes[..head].to_vec(), tail: bytes[length - tail..].to_vec(), length: length as u64, at: 0,
        };
        shown.seek(SeekFrom::Start(at as u64)).unwrap();
        let mut whole = Cursor::new(&bytes);
        whole.set_position(at as u64);
        let (mut left, mut right) = ([0; 7], [0; 7]);
        let wanted = whole.read(&mut right).unwrap();
        match shown.read(&mut left) {
            Ok(count) => {
                prop_assert!(count <= wanted && (count > 0) == (wanted > 0));
                prop_assert_eq!(&left[..count], &right[..count]);
            }
            Err(_) => prop_assert!(at >= head && at < length - tail),
        }
    }
}
