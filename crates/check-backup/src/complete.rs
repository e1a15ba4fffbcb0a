//! Whether copies are complete, where the repository itself does not know: by the log of the job, or by a comparison
//! with what was copied.

mod compare;
mod log;

use std::collections::BTreeSet;

use probe::Cx;

use crate::facts::{Basis, Complete, Outcome};
use crate::pattern;
use crate::source::files::path_of;
use crate::source::{Adapter, Repository};
use crate::target::BackupSpec;

/// Logs that are read, the last ones by name.
const MOST_LOGS: usize = 100;
/// Bytes of one log.
const MOST_LOG: usize = 32 << 20;

/// Fills in `complete` of those copies of which more can be known.
pub(crate) async fn establish(spec: &BackupSpec, adapter: &dyn Adapter, repository: &mut Repository, cx: &Cx) {
    let by_id = spec.declared.borg.is_some();
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
                Ok(bytes) => {
                    let older = older_than_copy(spec, repository, path, cx).await;
                    let jobs = log::read(&String::from_utf8_lossy(&bytes));
                    let place = |name: &str| spec.declared.files.as_ref().map(|source| path_of(source, name));
                    jobs.iter().for_each(|job| apply(job, repository, by_id, &older, &place));
                }
                Err(e) => repository.notes.push(format!("the log can't be read: {e}")),
            }
        }
    }
    if spec.declared.compare_with_source {
        compare::establish(spec, adapter, repository, cx).await;
    }
}

/// Names of copies that were written after a log was closed: it is not theirs, though they may have the same name as the
/// copy that it tells of. Only files can be written over.
async fn older_than_copy(spec: &BackupSpec, repository: &Repository, log: &str, cx: &Cx) -> BTreeSet<String> {
    let Some(source) = &spec.declared.files else { return BTreeSet::new() };
    let closed = cx.metadata(log).await.map_or(i64::MIN, |found| found.modified.max(found.changed));
    let mut older = BTreeSet::new();
    for snapshot in &repository.snapshots {
        // The kernel's own time as well: that of the content can be set, and is kept by a copy.
        let written = cx.metadata(path_of(source, &snapshot.name)).await;
        let written = written.map_or(i64::MAX, |found| found.modified.max(found.changed));
        if written > closed {
            older.insert(snapshot.name.clone());
        }
    }
    older
}

/// What the log of a job says of the copies that it made. A complaint outweighs everything. `by_id`: names of copies can
/// be used again, ids can't. `not`: copies that it can't be about.
fn apply(
    job: &log::Job,
    repository: &mut Repository,
    by_id: bool,
    not: &BTreeSet<String>,
    place: &dyn Fn(&str) -> Option<String>,
) {
    // restic shortens its ids to eight digits.
    let short = |made: &str, name: &str| name.len() == 64 && is_hex(name) && made.len() >= 8 && name.starts_with(made);
    // A whole path is that of one file alone; others may have the same name.
    let file = |made: &str, name: &str| match made.starts_with('/') {
        true => place(name).is_some_and(|place| place == *made),
        false => made.rsplit('/').next() == Some(name),
    };
    let named = |name: &str| job.made.iter().any(|made| made == name || short(made, name) || file(made, name));
    let Repository { contents, snapshots, .. } = repository;
    let same = |name: &str| !by_id || job.id.is_some() && contents.get(name) == job.id.as_ref();
    for snapshot in snapshots.iter_mut().filter(|s| named(&s.name) && same(&s.name) && !not.contains(&s.name)) {
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
