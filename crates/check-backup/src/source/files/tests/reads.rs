//! The probe that reads, over files.

use serde_json::Value;

use super::*;
use crate::read::BackupRead;
use crate::target::ReadAsked;

async fn read(files: Files, max_bytes: Option<&str>) -> Value {
    let read = ReadAsked { max_bytes: max_bytes.map(str::to_owned), ..ReadAsked::default() };
    let target = BackupTarget { files: Some(files), read: Some(read), ..BackupTarget::default() };
    let evidence = evidence_of(Arc::new(BackupRead), &target, Duration::from_secs(60)).await;
    assert!(evidence.failure.is_none(), "{:?}", evidence.failure);
    serde_json::to_value(evidence.facts).unwrap()
}

/// Parts by name: how they ended, and why.
fn parts(facts: &Value) -> BTreeMap<&str, (&str, &str)> {
    let parts = facts["parts"].as_array().unwrap().iter();
    parts
        .map(|part| {
            let of = |key: &str| part[key].as_str().unwrap_or_default();
            (of("name"), (of("outcome"), of("why")))
        })
        .collect()
}

#[tokio::test]
async fn the_newest_copy_of_each_history_is_read_whole() {
    let place = Place::new();
    place.add("shop.dump", fixture("shop.dump")).add("old.sql", fixture("shop.sql"));
    let mut flipped = fixture("redis.rdb");
    flipped[3_000] ^= 1;
    place.add("r.rdb", &flipped).add("noise", "not a backup").add("x.age", fixture("x.age"));
    let facts = read(place.files("*"), None).await;
    let found = parts(&facts);
    assert_eq!((found["shop.dump"].0, found["r.rdb"].0), ("intact", "damaged"), "{found:?}");
    assert!(found["shop.dump"].1.contains("adler32 of each table"), "{found:?}");
    assert!(found["r.rdb"].1.contains("CRC-64"), "{found:?}");
    // Plain SQL is whole, and nothing protects it.
    assert_eq!((found["old.sql"].0, found["noise"].0, found["x.age"].0), ("not_proven", "not_proven", "not_proven"));
    assert!(found["old.sql"].1.starts_with("no checksum protects"), "{found:?}");
    assert_eq!(facts["errors"]["errors"][0]["name"], "r.rdb");
    assert!(facts["bytes_read"].as_i64().unwrap() > 20_000);
    assert_eq!(facts["errors"]["asked"], serde_json::json!([]));
}

#[tokio::test]
async fn no_more_is_read_than_the_budget_allows() {
    let place = Place::new();
    place.add("shop.dump", fixture("shop.dump")).add("r.rdb", fixture("redis.rdb"));
    let facts = read(place.files("*"), Some("8000B")).await;
    let found = parts(&facts);
    let mut outcomes = vec![found["shop.dump"].0, found["r.rdb"].0];
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["intact", "not_read"], "{found:?}");
    assert!(facts["bytes_read"].as_i64().unwrap() <= 8_000);
    let facts = read(place.files("*"), Some("5000B")).await;
    assert!(parts(&facts).values().all(|(outcome, _)| *outcome == "not_proven"), "{facts:#}");
    assert_eq!(facts["bytes_read"], 0);
}

#[tokio::test]
async fn where_there_is_nothing_nothing_was_read() {
    let facts = read(Place::new().files("*"), None).await;
    assert!(parts(&facts).values().all(|(outcome, _)| *outcome == "not_proven"));
}
