//! Earlier evidence: what is taken from which packs, what `verify` says to those who lie about it, and that a pack needs
//! no other to be judged again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use attest::{Algorithm, SigningKey};
use audit::collect::{Collection, collect};
use audit::keys::{Named, Signer};
use audit::pack::{Reader, Writer, prior_path};
use audit::prior::{Gathered, Search, gather, windows};
use audit::replay::{Instead, replay};
use audit::seal::{Contents, NO_WAIVERS, seal};
use audit::verify::{Standing, Verification, verify};
use audit::{Request, prepare};
use model::{Assessment, Digest, Evidence, Failure, FailureClass, Run, Timestamp, Verdict};
use probe::{Collected, Stop};

const CONTROLS: &str = "controls:
- id: LOOK-BACK
  title: Something was accepted
  severity: high
  evidence: { kind: tls, max_age: 90d, prior: 30d }
  violates: size(facts.versions) == 0
  message: nothing, after {{ prior | length }}
  wanted: something
  rationale: A test.
";
const PROFILE: &str = "profile: back\nversion: '1'\ntitle: t\ncontrols: [LOOK-BACK]\n";

/// A folder of packs, and the key that signs them.
struct Lab {
    dir: tempfile::TempDir,
    key: SigningKey,
}

/// One run: its pack, and what it came to.
struct Made {
    root: PathBuf,
    assessment: Assessment,
    found: Verification,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["policies/controls", "policies/profiles", "packs"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        fs::write(dir.path().join("policies/controls/back.yaml"), CONTROLS).unwrap();
        fs::write(dir.path().join("policies/profiles/back.yaml"), PROFILE).unwrap();
        Self { dir, key: SigningKey::generate(Algorithm::EcdsaP256).unwrap() }
    }

    fn packs(&self) -> PathBuf {
        self.dir.path().join("packs")
    }

    fn gather(&self, own: &Path, keys: &[&SigningKey]) -> Gathered {
        let keys: Vec<_> = keys.iter().map(|k| k.public().clone()).collect();
        let windows = BTreeMap::from([("tls".to_owned(), 90 * 86_400)]);
        let (history, now) = (self.packs(), Timestamp::now());
        gather(&Search { history: &history, own, service: "shop", windows: &windows, keys: &keys, now })
    }

    /// Audits a closed port, with what was gathered; the evidence and the rest of the pack may be changed before it is
    /// signed.
    async fn run(
        &self,
        name: &str,
        key: &SigningKey,
        prior: Gathered,
        evidence: impl FnOnce(&mut Evidence),
        lie: impl FnOnce(&mut Collection, &Path),
    ) -> Made {
        self.service("shop", name, key, prior, evidence, lie).await
    }

    async fn service(
        &self,
        service: &str,
        name: &str,
        key: &SigningKey,
        prior: Gathered,
        change: impl FnOnce(&mut Evidence),
        lie: impl FnOnce(&mut Collection, &Path),
    ) -> Made {
        let request = Request {
            targets: vec!["127.0.0.1:1".into()],
            policies: vec!["back".into()],
            policy_dir: Some(self.dir.path().join("policies")),
            service: Some(service.into()),
            ..Request::default()
        };
        let mut ready = prepare(request).await.unwrap();
        assert_eq!(windows(&ready.prepared.policies), BTreeMap::from([("tls".to_owned(), 30 * 86_400)]));
        ready.prepared.prior = prior;
        let scratch = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(scratch.path()).unwrap();
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let mut collection = collect(&ready.prepared, &mut writer, &Stop::default(), &events).await.unwrap();
        let mut evidence = Reader::open_evidence(writer.root()).evidence(&collection.evidence[0]).unwrap();
        evidence.exchanges = None;
        change(&mut evidence);
        lie(&mut collection, writer.root());

        let root = self.packs().join(name);
        let mut pack = Writer::create(&root).unwrap();
        collection.evidence = vec![pack.evidence(&Collected { evidence, exchanges: None }).unwrap()];
        for path in files(&writer.root().join("prior"), "prior") {
            fs::create_dir_all(root.join(&path).parent().unwrap()).unwrap();
            pack.file(&path, &fs::read(writer.root().join(&path)).unwrap()).unwrap();
        }
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
        let signer = Signer::Key { key: Box::new(key.clone()), label: "ops".into(), self_made: false };
        let assessment = seal(&mut pack, &contents, &signer).unwrap();
        let found = self.verify(&root);
        Made { root, assessment, found }
    }

    fn verify(&self, root: &Path) -> Verification {
        let trusted = [Named { label: "ops".into(), key: self.key.public().clone(), self_made: false }];
        verify(&Reader::open(root).unwrap(), &trusted).unwrap()
    }

    /// A first run that saw something, by that key.
    async fn first(&self, key: &SigningKey) -> Made {
        self.run("shop-20261101T000000Z", key, Gathered::default(), saw, |_, _| {}).await
    }

    /// A second run, whose drill was not run, and which has the first one's evidence; then somebody lies.
    async fn second(&self, lie: impl FnOnce(&mut Collection, &Path)) -> Made {
        self.first(&self.key).await;
        let prior = self.gather(&self.packs().join("none"), &[&self.key]);
        self.run("shop-20261102T000000Z", &self.key, prior, not_run, lie).await
    }
}

fn files(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let path = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() { found.extend(files(&entry.path(), &path)) } else { found.push(path) }
    }
    found
}

fn saw(evidence: &mut Evidence) {
    evidence.facts = serde_json::from_str(r#"{"versions":[{}]}"#).unwrap();
    evidence.failure = None;
}

fn not_run(evidence: &mut Evidence) {
    evidence.facts = None;
    evidence.failure = Some(Failure::new(FailureClass::NotRun, "allow it"));
}

fn broken(made: &Made, word: &str) {
    let found = &made.found;
    assert_eq!(found.standing, Standing::Broken, "{:?}", found.checks);
    assert!(found.problems.iter().any(|p| p.contains(word)), "{word}: {:?}", found.problems);
}

#[tokio::test]
async fn the_last_drill_counts_where_none_was_run_and_the_pack_shows_it_by_itself() {
    let lab = Lab::new();
    let made = lab.second(|_, _| {}).await;
    assert_eq!(made.found.standing, Standing::Verified("ops".into()), "{:?}", made.found.problems);
    let finding = &made.assessment.findings[0];
    assert_eq!(finding.verdict, Verdict::Pass, "{:?}", finding.reasons);
    assert!(finding.reasons[0].message.contains("earlier evidence"), "{:?}", finding.reasons);
    let reader = Reader::open(&made.root).unwrap();
    assert!(reader.behind(&finding.evidence[0]).is_some_and(|e| e.facts.is_some()));
    assert!(reader.evidence(&finding.evidence[0]).is_err(), "it is not of this run");
    assert!(made.found.checks.iter().any(|c| c.contains("1 pieces of earlier evidence")), "{:?}", made.found.checks);

    // Without the earlier pack it is the same.
    fs::remove_dir_all(lab.packs().join("shop-20261101T000000Z")).unwrap();
    assert_eq!(lab.verify(&made.root).standing, Standing::Verified("ops".into()));
    let again = replay(&reader, &Instead::default()).unwrap();
    assert_eq!(model::canonical_json(&again).unwrap(), reader.file(model::pack::ASSESSMENT).unwrap());
}

#[tokio::test]
async fn packs_that_nobody_vouches_for_are_left_aside_and_named() {
    let lab = Lab::new();
    let foreign = SigningKey::generate(Algorithm::EcdsaP256).unwrap();
    let good = lab.first(&lab.key).await.root;
    let packs = lab.packs();
    lab.run("shop-20261103T000000Z", &foreign, Gathered::default(), saw, |_, _| {}).await;
    lab.service("other", "other-20261103T000000Z", &lab.key, Gathered::default(), saw, |_, _| {}).await;
    for (name, break_it) in [("damaged", "assessment.json"), ("lying", "evidence.sha256")] {
        lab.run(name, &lab.key, Gathered::default(), saw, |_, _| {}).await;
        fs::write(packs.join(name).join(break_it), "{}").unwrap();
    }
    lab.run("unsigned", &lab.key, Gathered::default(), saw, |_, _| {}).await;
    fs::remove_file(packs.join("unsigned/assessment.sigstore.json")).unwrap();
    Writer::create(&packs.join("cut-off")).unwrap();
    fs::create_dir(packs.join("photos")).unwrap();
    fs::write(packs.join("note.txt"), "x").unwrap();
    std::os::unix::fs::symlink(&good, packs.join("link")).unwrap();

    let gathered = lab.gather(&packs.join("none"), &[&lab.key]);
    let target = Reader::open(&good).unwrap();
    let target = target.evidence(&target.evidence_digests().unwrap()[0]).unwrap().target;
    assert_eq!(gathered.of("tls", &target).len(), 1);
    assert_eq!(gathered.of("ssh", &target).len(), 0);
    let [notice] = &gathered.notices[..] else { panic!("{:?}", gathered.notices) };
    assert_eq!(notice.level, model::NoticeLevel::Warning);
    for part in [
        "2 damaged",
        "1 signed by an unknown key (shop-20261103T000000Z)",
        "1 unsigned (unsigned)",
        "1 never finished (cut-off)",
        "1 of another service (other-20261103T000000Z)",
    ] {
        assert!(notice.message.contains(part), "{part}: {}", notice.message);
    }
    assert!(!notice.message.contains("photos") && !notice.message.contains("link"), "{}", notice.message);
    // The pack that is being made is no earlier one.
    assert_eq!(lab.gather(&good, &[&lab.key]).of("tls", &target).len(), 0);
    // A folder that is not there holds nothing.
    fs::remove_dir_all(&packs).unwrap();
    assert!(lab.gather(&packs, &[&lab.key]).notices.is_empty());
}

#[tokio::test]
async fn drills_that_were_not_run_do_not_hide_the_last_that_was() {
    let lab = Lab::new();
    let first = lab.second(|_, _| {}).await;
    let prior = lab.gather(&lab.packs().join("none"), &[&lab.key]);
    let third = lab.run("shop-20261103T000000Z", &lab.key, prior, not_run, |_, _| {}).await;
    assert_eq!(third.found.standing, Standing::Verified("ops".into()), "{:?}", third.found.problems);
    assert_eq!(third.assessment.findings[0].evidence, first.assessment.findings[0].evidence);
    // Nor does it matter that the packs before the last are gone: the last holds what it took from them.
    for name in ["shop-20261101T000000Z", "shop-20261102T000000Z"] {
        fs::remove_dir_all(lab.packs().join(name)).unwrap();
    }
    let prior = lab.gather(&lab.packs().join("none"), &[&lab.key]);
    assert!(prior.notices.is_empty(), "{:?}", prior.notices);
    let fourth = lab.run("shop-20261104T000000Z", &lab.key, prior, not_run, |_, _| {}).await;
    assert_eq!(fourth.found.standing, Standing::Verified("ops".into()), "{:?}", fourth.found.problems);
    assert_eq!(fourth.assessment.findings[0].evidence, first.assessment.findings[0].evidence);
    // A carried piece that was changed is damage.
    let path = prior_path(&first.assessment.findings[0].evidence[0]);
    fs::write(fourth.root.join(path), "{}").unwrap();
    let prior = lab.gather(&third.root, &[&lab.key]);
    assert!(prior.notices[0].message.contains("1 damaged"), "{:?}", prior.notices);
}

#[tokio::test]
async fn an_altered_piece() {
    let lab = Lab::new();
    let made = lab.second(|collection, root| {
        let entry = &mut collection.resolved.prior[0];
        let mut evidence = Reader::open_evidence(root).prior(&entry.digest).unwrap();
        evidence.facts = serde_json::from_str(r#"{"versions":[{},{}]}"#).unwrap();
        fs::remove_file(root.join(prior_path(&entry.digest))).unwrap();
        let bytes = model::canonical_json(&evidence).unwrap();
        entry.digest = Digest::of(&bytes);
        fs::write(root.join(prior_path(&entry.digest)), bytes).unwrap();
    });
    broken(&made.await, "not among the evidence that its run signed");
}

#[tokio::test]
async fn a_piece_that_is_not_the_bytes_of_its_name() {
    let lab = Lab::new();
    let made = lab.second(|_, _| {}).await;
    let path = &files(&made.root.join("prior"), "prior")
        .into_iter()
        .find(|p| p.ends_with(".json") && p.matches('/').count() == 1)
        .unwrap();
    let text = fs::read_to_string(made.root.join(path)).unwrap().replace("127.0.0.1", "127.0.0.2");
    fs::write(made.root.join(path), text).unwrap();
    broken(&Made { found: lab.verify(&made.root), ..made }, "digest is not the one it is named by");
}

#[tokio::test]
async fn a_foreign_key_signed_the_earlier_run() {
    let lab = Lab::new();
    let foreign = SigningKey::generate(Algorithm::EcdsaP256).unwrap();
    lab.first(&foreign).await;
    let prior = lab.gather(&lab.packs().join("none"), &[&foreign]);
    let made = lab.run("shop-20261102T000000Z", &lab.key, prior, not_run, |_, _| {}).await;
    broken(&made, "neither trusted nor this pack's");
    // Somebody who trusts that key as well finds nothing wrong.
    let named =
        |label: &str, key: &SigningKey| Named { label: label.into(), key: key.public().clone(), self_made: false };
    let found = verify(&Reader::open(&made.root).unwrap(), &[named("ops", &lab.key), named("old", &foreign)]).unwrap();
    assert_eq!(found.standing, Standing::Verified("ops".into()), "{:?}", found.problems);
}

#[tokio::test]
async fn a_piece_from_after_the_run_began() {
    let lab = Lab::new();
    let made = lab.second(|collection, _| {
        let Run { started, .. } = &mut collection.run;
        *started = Timestamp::from_second(started.as_second() - 3_600).unwrap();
    });
    broken(&made.await, "which is not before this run");
}

#[tokio::test]
async fn a_piece_of_another_target_or_kind() {
    let lab = Lab::new();
    lab.first(&lab.key).await;
    let prior = || lab.gather(&lab.packs().join("none"), &[&lab.key]);
    let rename = |collection: &mut Collection, _: &Path| collection.resolved.targets[0].name = "127.0.0.1:2".into();
    let other = |evidence: &mut Evidence| {
        not_run(evidence);
        evidence.target.name = "127.0.0.1:2".into();
    };
    let made = lab.run("shop-20261102T000000Z", &lab.key, prior(), other, rename).await;
    broken(&made, "which is no such target of this run");
    // Saying that it is of this target is no help.
    let claim = |collection: &mut Collection, _: &Path| {
        collection.resolved.targets[0].name = "127.0.0.1:2".into();
        collection.resolved.prior[0].target = "127.0.0.1:2".into();
    };
    let made = lab.run("shop-20261103T000000Z", &lab.key, prior(), other, claim).await;
    broken(&made, "not of the kind, target and time");
    let claim = |collection: &mut Collection, _: &Path| collection.resolved.prior[0].collected = Timestamp::UNIX_EPOCH;
    let made = lab.run("shop-20261104T000000Z", &lab.key, prior(), not_run, claim).await;
    broken(&made, "not of the kind, target and time");
}

#[tokio::test]
async fn what_lies_there_unnamed_or_is_named_and_not_there() {
    let lab = Lab::new();
    let made = lab.second(|collection, _| collection.resolved.prior.clear());
    broken(&made.await, "names no earlier evidence that it belongs to");
    let lab = Lab::new();
    let made = lab.second(|collection, _| {
        let twice = collection.resolved.prior[0].clone();
        collection.resolved.prior.push(twice);
    });
    broken(&made.await, "twice");
}

#[tokio::test]
async fn what_an_earlier_run_says_of_another_time() {
    let lab = Lab::new();
    let old = |evidence: &mut Evidence| {
        saw(evidence);
        evidence.collected = Timestamp::from_second(evidence.collected.as_second() - 86_400).unwrap();
    };
    lab.run("shop-20261101T000000Z", &lab.key, Gathered::default(), old, |_, _| {}).await;
    let gathered = lab.gather(&lab.packs().join("none"), &[&lab.key]);
    assert!(gathered.notices[0].message.contains("1 damaged"), "{:?}", gathered.notices);
}
