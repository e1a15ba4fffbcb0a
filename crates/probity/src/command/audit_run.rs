//! `probity audit` and `probity collect`.

use std::path::{Path, PathBuf};

use attest::PublicKey;
use audit::collect::{Collection, Prepared, collect as run_collection};
use audit::keys::Signer;
use audit::pack::{Reader, Writer};
use audit::seal::{Contents, seal, signature_of};
use audit::{Error, Ready, Request, diff, prepare, prior, run};
use model::{Assessment, Digest, pack};
use probe::Stop;
use report::View;
use report::escape::plain;

use crate::arguments::{AuditArgs, CollectArgs, Scope};
use crate::exit::Exit;
use crate::output::{self, say};
use crate::{progress, signer};

/// The file that is looked for where nothing is named.
const INVENTORY: &str = "probity.yaml";
/// Where packs go.
const PACKS: &str = "probity-packs";

/// What a run is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Everything that there is to see.
    Everything,
    /// Drills alone.
    Drills,
}

/// The main job.
pub(crate) async fn audit(args: AuditArgs, which: Which) -> Result<Exit, Error> {
    output::check(&args.format)?;
    let mut request = request(&args.scope)?;
    request.waivers.clone_from(&args.waivers);
    request.fail_on = args.fail_on;
    let mut ready = prepare(request).await?;
    if which == Which::Drills {
        ready.prepared.drills_alone()?;
        if !args.scope.allow_commands && !args.scope.dry_run {
            return Err(Error::Config(
                "drills act; allow them with --allow-commands, or see with --dry-run what they would do".into(),
            ));
        }
    }
    if args.scope.dry_run {
        return dry_run(&ready.prepared);
    }
    let signer =
        signer::signer(args.key.as_deref(), ready.inventory.as_ref(), &ready.folder, args.scope.allow_commands).await?;
    let baseline = args.baseline.as_deref().map(baseline).transpose()?;
    let mut writer = writer(args.out.as_deref(), &ready.prepared.service)?;
    let own = signer.public();
    look_back(&mut ready, writer.root(), args.scope.history.as_deref(), own)?;

    let collection = watched(&ready.prepared, &mut writer).await?;
    let contents = Contents {
        resolved: &collection.resolved,
        policies: &ready.prepared.policies,
        waivers: &ready.waivers,
        waivers_bytes: &ready.waivers_bytes,
        run: &collection.run,
        as_of: collection.run.finished,
        evidence: &collection.evidence,
        inventory: ready.source.as_ref(),
    };
    let assessment = seal(&mut writer, &contents, &signer)?;
    show(&assessment, &args, &ready, &writer, &signer)?;
    if let Some(baseline) = baseline {
        changes(&baseline, &assessment);
    }
    Ok(assessment.gate.outcome.into())
}

/// Evidence alone.
pub(crate) async fn collect(args: CollectArgs) -> Result<Exit, Error> {
    let mut ready = prepare(request(&args.scope)?).await?;
    if args.scope.dry_run {
        return dry_run(&ready.prepared);
    }
    let mut writer = Writer::create(&args.out)?;
    look_back(&mut ready, writer.root(), args.scope.history.as_deref(), None)?;
    let collection = watched(&ready.prepared, &mut writer).await?;
    let sums = writer.evidence_sums()?;
    writer.file(pack::EVIDENCE_SUMS, &sums)?;
    writer.file(pack::INVENTORY, &collection.resolved.to_yaml()?)?;
    writer.file(pack::WAIVERS, &ready.waivers_bytes)?;
    let policies = policy::policies_to_yaml(&ready.prepared.policies).map_err(|e| Error::Defect(e.to_string()))?;
    writer.file(pack::POLICY, &policies)?;
    let run = model::pretty_json(&collection.run).map_err(|e| Error::Defect(e.to_string()))?;
    writer.file(audit::replay::RUN, &run)?;
    say(&format!(
        "probity: {} pieces of evidence in {}; judge them: probity judge {}",
        collection.evidence.len(),
        args.out.display(),
        args.out.display()
    ));
    Ok(if collection.run.interrupted { Exit::Inconclusive } else { Exit::Passed })
}

/// From arguments to a request. No argument means ./probity.yaml, else this machine itself; in CI never silently the latter.
fn request(scope: &Scope) -> Result<Request, Error> {
    let mut request = Request {
        inventory: scope.config.clone(),
        targets: scope.targets.clone(),
        self_check: scope.self_check,
        policies: scope.policy.clone(),
        policy_dir: scope.policy_dir.clone(),
        service: scope.service.clone(),
        depth: scope.depth.into(),
        limits: scope.limits(),
        ..Request::default()
    };
    if request.inventory.is_none() && request.targets.is_empty() && !request.self_check {
        if Path::new(INVENTORY).exists() {
            request.inventory = Some(PathBuf::from(INVENTORY));
        } else if run::in_ci() {
            return Err(Error::Config(format!(
                "there is no ./{INVENTORY}, and in CI the runner itself is audited only with --self; name a target or give -c FILE"
            )));
        } else {
            request.self_check = true;
        }
    }
    if let Some(service) = &request.service {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if service.is_empty() || service.starts_with(['.', '-']) || !service.chars().all(plain) {
            return Err(Error::Config(format!(
                "'{service}' is no name for a service: letters, digits, - _ . are wanted"
            )));
        }
    }
    Ok(request)
}

fn dry_run(prepared: &Prepared) -> Result<Exit, Error> {
    let mut text = String::new();
    let (mut connections, mut jobs) = (0_u64, 0_u32);
    for line in prepared.plan() {
        connections += u64::from(line.plan.connections);
        jobs += 1;
        let drill = if line.drill { "drill, with --allow-commands alone; " } else { "" };
        text.push_str(&format!(
            "{}  {}: {drill}at most {} connections\n",
            plain(&line.target),
            line.kind,
            line.plan.connections
        ));
        for file in &line.plan.files {
            text.push_str(&format!("    reads {}\n", plain(file)));
        }
        for command in &line.plan.commands {
            text.push_str(&format!("    runs  {}\n", plain(command)));
        }
    }
    text.push_str(&format!(
        "{jobs} probes, at most {connections} connections; what is found on this machine comes on top. Nothing was done.\n"
    ));
    output::stdout(text.as_bytes())?;
    Ok(Exit::Passed)
}

fn writer(out: Option<&Path>, service: &str) -> Result<Writer, Error> {
    match out {
        Some(dir) => Writer::create(dir),
        None => {
            let now = model::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
            Writer::create_in(Path::new(PACKS), &format!("{service}-{now}"))
        }
    }
}

/// Finds the earlier evidence that the policies want, in the folder beside this run's pack or where the user says.
fn look_back(ready: &mut Ready, own: &Path, history: Option<&Path>, key: Option<PublicKey>) -> Result<(), Error> {
    let windows = prior::windows(&ready.prepared.policies);
    if windows.is_empty() {
        return Ok(());
    }
    let named = signer::trusted(&[], ready.inventory.as_ref().map(|i| (i, ready.folder.as_path())))?;
    let keys: Vec<PublicKey> = named.into_iter().map(|n| n.key).chain(key).collect();
    let beside = own.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let search = prior::Search {
        history: history.unwrap_or(beside),
        own,
        service: &ready.prepared.service,
        windows: &windows,
        keys: &keys,
        now: model::Timestamp::now(),
    };
    ready.prepared.prior = prior::gather(&search);
    Ok(())
}

/// Collects with progress shown. Ctrl-C and SIGTERM stop it and keep what is there; a second one ends at once.
async fn watched(prepared: &Prepared, writer: &mut Writer) -> Result<Collection, Error> {
    let stop = Stop::default();
    let (events, receiver) = tokio::sync::mpsc::unbounded_channel();
    let watcher = tokio::spawn(watch_signals(stop.clone()));
    let shown = tokio::spawn(progress::show(receiver));
    let collection = run_collection(prepared, writer, &stop, &events).await;
    drop(events);
    // A bar that can't be drawn any more is of no interest.
    let _ = shown.await;
    watcher.abort();
    collection
}

async fn watch_signals(stop: Stop) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    for turn in 0.. {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        if turn == 0 {
            say("probity: stopping; what was collected is kept and marked incomplete (again: end at once)");
            stop.stop();
        } else {
            end_at_once();
        }
    }
}

#[allow(clippy::exit, reason = "the person asked twice; nothing is left to be tidied up")]
fn end_at_once() -> ! {
    std::process::exit(130)
}

fn show(
    assessment: &Assessment,
    args: &AuditArgs,
    ready: &Ready,
    writer: &Writer,
    signer: &Signer,
) -> Result<(), Error> {
    let reader = Reader::open(writer.root())?;
    let evidence = |digest: &Digest| reader.behind(digest);
    let bundle = reader.file(pack::ASSESSMENT_BUNDLE).ok().map(|b| String::from_utf8_lossy(&b).into_owned());
    let shown = writer.root().display().to_string();
    let view = View {
        assessment,
        evidence: &evidence,
        earlier: &|| reader.earlier(),
        signature: signature_of(signer),
        pack: Some(&shown),
        bundle: bundle.as_deref(),
        inventory: ready.source.as_ref(),
    };
    output::render(&view, &args.format)?;
    if !output::is_for_people(&args.format) || !args.format.is_empty() {
        let gate = &assessment.gate;
        say(&format!(
            "probity: {} · {} failing, {} not proven at or above '{}' · pack {shown}",
            outcome(gate.outcome),
            gate.failing,
            gate.unproven,
            gate.fail_on
        ));
    }
    Ok(())
}

const fn outcome(outcome: model::Outcome) -> &'static str {
    match outcome {
        model::Outcome::Passed => "PASSED",
        model::Outcome::Failed => "FAILED",
        model::Outcome::Inconclusive => "NOT PROVEN",
    }
}

fn baseline(path: &Path) -> Result<Assessment, Error> {
    audit::verify::read_assessment(&Reader::open(path)?)
}

/// Says what changed since an earlier pack. It never changes the verdict.
fn changes(baseline: &Assessment, now: &Assessment) {
    let changes = diff::diff(baseline, now);
    say(&format!("probity: {} finding(s) changed since {}", changes.len(), baseline.as_of));
    for change in changes.iter().take(20) {
        say(&format!("  {}", super::packs::change_line(change)));
    }
    if changes.len() > 20 {
        say(&format!("  and {} more; see 'probity diff'", changes.len() - 20));
    }
}
