//! What `verify` says to a key's holder who lies: packs that are signed well and say what was not seen.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;

use attest::{Algorithm, SigningKey};
use audit::collect::{Collection, collect};
use audit::keys::{Named, Signer};
use audit::pack::{Reader, Writer};
use audit::seal::{Contents, NO_WAIVERS, seal};
use audit::verify::{Standing, Verification, verify};
use audit::{Ready, Request, prepare};
use model::Evidence;
use probe::{Collected, Stop};

/// Audits a closed port of this machine, lets the liar at what was collected, seals the pack and checks it.
async fn pack(dir: &Path, lie: impl FnOnce(&mut Ready, &mut Collection, &mut Writer)) -> Verification {
    let request = Request { targets: vec!["127.0.0.1:1".into()], ..Request::default() };
    let mut ready = prepare(request).await.unwrap();
    let mut writer = Writer::create(&dir.join("pack")).unwrap();
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    let mut collection = collect(&ready.prepared, &mut writer, &Stop::default(), &events).await.unwrap();
    lie(&mut ready, &mut collection, &mut writer);
    let key = SigningKey::generate(Algorithm::EcdsaP256).unwrap();
    let trusted = [Named { label: "ops".into(), key: key.public().clone(), self_made: false }];
    let signer = Signer::Key { key: Box::new(key), label: "ops".into(), self_made: false };
    let contents = Contents {
        resolved: &collection.resolved,
        policies: &ready.prepared.policies,
        waivers: &ready.waivers,
        waivers_bytes: NO_WAIVERS,
        run: &collection.run,
        as_of: collection.run.finished,
        evidence: &collection.evidence,
        inventory: None,
    };
    seal(&mut writer, &contents, &signer).unwrap();
    verify(&Reader::open(writer.root()).unwrap(), &trusted).unwrap()
}

/// A folder of evidence in which the one piece was replaced.
fn replaced(collection: &mut Collection, writer: &mut Writer, change: impl FnOnce(&mut Evidence)) {
    let reader = Reader::open_evidence(writer.root());
    let mut evidence = reader.evidence(&collection.evidence[0]).unwrap();
    change(&mut evidence);
    *writer = Writer::create(&writer.root().with_file_name("lie")).unwrap();
    collection.evidence = vec![writer.evidence(&Collected { evidence, exchanges: None }).unwrap()];
}

fn broken(found: &Verification, word: &str) {
    assert_eq!(found.standing, Standing::Broken, "{:?}", found.problems);
    assert!(found.problems.iter().any(|p| p.contains(word)), "{:?}", found.problems);
}

#[tokio::test]
async fn an_honest_pack_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let found = pack(dir.path(), |_, _, _| {}).await;
    assert_eq!(found.standing, Standing::Verified("ops".into()), "{:?}", found.problems);
}

#[tokio::test]
async fn facts_without_exchanges() {
    let dir = tempfile::tempdir().unwrap();
    let found = pack(dir.path(), |_, collection, writer| {
        replaced(collection, writer, |evidence| {
            evidence.facts = serde_json::from_str(r#"{"versions":[]}"#).unwrap();
            evidence.failure = None;
            evidence.exchanges = None;
        });
    })
    .await;
    broken(&found, "do not follow from its exchanges");
}

#[tokio::test]
async fn evidence_from_another_time() {
    let dir = tempfile::tempdir().unwrap();
    let found = pack(dir.path(), |_, collection, writer| {
        replaced(collection, writer, |evidence| {
            evidence.collected = "2026-01-01T00:00:00Z".parse().unwrap();
            evidence.exchanges = None;
        });
    })
    .await;
    broken(&found, "outside the run");
}

#[tokio::test]
async fn a_policy_that_is_not_what_it_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let found = pack(dir.path(), |ready, _, _| {
        let policies = &mut ready.prepared.policies;
        policies[0].controls.truncate(1);
        // Written and read, it knows its own digest again, and still says that it is as shipped.
        *policies = audit::load_policies(&policy::policies_to_yaml(policies).unwrap()).unwrap();
        assert!(!policies[0].modified);
    })
    .await;
    broken(&found, "differs from the one that version");
}
