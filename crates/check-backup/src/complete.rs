//! Whether copies are complete, where the repository itself does not know: by the log of the job, or by a comparison
//! with what was copied.

mod compare;
mod log;

use probe::Cx;

use crate::facts::{Basis, Complete, Outcome};
use crate::pattern;
use crate::source::{Adapter, Repository};
use crate::target::BackupSpec;

/// Logs that are read, the last ones by name.
const MOST_LOGS: usize = 100;
/// Bytes of one log.
const MOST_LOG: usize = 32 << 20;

/// Fills in `complete` of those copies of which more can be known.
pub(crate) async fn establish(spec: &BackupSpec, adapter: &dyn Adapter, repository: &mut Repository, cx: &Cx) {
    for pattern in &spec.declared.logs {
        let paths = match pattern::matches(cx, pattern).await {
            Ok(paths) => paths,
            Err(e) => {
                repository.notes.push(format!("the logs can't be read: {e}"));
                continue;
            }
        };
        if paths.is_empty() {
            repository.notes.push(format!("no log matches {pattern}"));
        }
        for path in paths.iter().rev().take(MOST_LOGS) {
            match cx.read_file(path, MOST_LOG).await {
                Ok(bytes) => log::read(&String::from_utf8_lossy(&bytes)).iter().for_each(|job| apply(job, repository)),
                Err(e) => repository.notes.push(format!("the log can't be read: {e}")),
            }
        }
    }
    if spec.declared.compare_with_source {
        compare::establish(spec, adapter, repository, cx).await;
    }
}

/// What the log of a job says of the copies that it made. A complaint outweighs everything.
fn apply(job: &log::Job, repository: &mut Repository) {
    // restic shortens its ids to eight digits.
    let short = |made: &str, name: &str| made.len() >= 8 && is_hex(made) && is_hex(name) && name.starts_with(made);
    let file = |made: &str, name: &str| made.rsplit('/').next() == Some(name);
    let made = |name: &str| job.made.iter().any(|made| made == name || short(made, name) || file(made, name));
    for snapshot in repository.snapshots.iter_mut().filter(|s| made(&s.name)) {
        let complete = conclude(job);
        if snapshot.complete.outcome == Outcome::NotProven || complete.outcome == Outcome::Absent {
            snapshot.complete = complete;
        }
        snapshot.files = snapshot.files.or(job.files);
        snapshot.bytes = snapshot.bytes.or(job.bytes);
        snapshot.stored = snapshot.stored.or(job.stored);
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn conclude(job: &log::Job) -> Complete {
    let (outcome, why) = match (job.exit, job.errors.first(), job.unknown.first()) {
        (_, Some(error), _) => (Outcome::Absent, Some(format!("its log names {} error(s): {error}", job.errors.len()))),
        (Some(code), ..) if code != 0 => {
            (Outcome::Absent, Some(format!("its log says that the job ended with {code}")))
        }
        (None, None, _) => (
            Outcome::NotProven,
            Some("its log does not say how the job ended; add a line `exit 0` (echo \"exit $?\")".to_owned()),
        ),
        (Some(_), None, Some(line)) => {
            (Outcome::NotProven, Some(format!("its log holds a line that is not known: {line}")))
        }
        (Some(_), None, None) => (Outcome::Present, None),
    };
    Complete { outcome, basis: Some(Basis::JobLog), why }
}

#[cfg(test)]
mod tests;
