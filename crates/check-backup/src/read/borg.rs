//! Borg: `extract --dry-run` reads, authenticates, decrypts and unpacks files of an archive, and writes nothing, not even a
//! lock (measured on 1.2.4 with `--bypass-lock`; `check` does write: it takes a lock, and replaces `config` also without).
//!
//! Parts are files of the newest archive of each series, by a hash of their paths, so that a path stays in its part from
//! archive to archive. Chunks that only older archives hold are in no part. `borg check --verify-data` reads those too,
//! under a lock, and so only where the inventory says `lock: true`.

pub(super) mod said;

use std::collections::BTreeMap;

use model::{Asked, Failure};
use probe::{BoxFuture, Cx};
use serde::Deserialize;

use super::parts::{self, candidates};
use super::{ReadBudget, ReadOutcome, ReadPart, Run, Seen, Structure, error, part};
use crate::facts::{Outcome, Snapshot};
use crate::source::borg::Adapter;
use crate::source::tool::Tool;
use crate::source::{Adapter as _, Repository};
use crate::target::Borg;
use said::{Checked, Found, Said, conclude, conclude_check, parse, parse_check};

/// Series whose newest archive is read.
const MOST_SERIES: usize = 16;
/// The name of what no part holds.
const REST: &str = "rest";

/// Reads files of archives.
pub(super) struct Reader {
    pub(super) source: Borg,
}

impl super::Reader for Reader {
    fn commands(&self, budget: &ReadBudget) -> Vec<String> {
        let words: &[&str] = match budget.lock {
            true => &["borg check --verify-data (locks the repository)"],
            false => &[
                "borg --bypass-lock list --json-lines ::ARCHIVE",
                "borg --bypass-lock extract --dry-run --list --patterns-from FILE ::ARCHIVE",
            ],
        };
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn read<'a>(&'a self, run: &'a mut Run<'_>, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let adapter = Adapter::new(self.source.clone());
            let tool = adapter.tool(cx).await?;
            match run.budget.lock {
                true => self.check(&tool, run, cx).await,
                false => Self::extract(&adapter, &tool, run, cx).await,
            }
        })
    }
}

/// A line of `borg list --json-lines ::archive`.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    path: std::borrow::Cow<'a, str>,
    size: Option<i64>,
    healthy: Option<bool>,
}

/// Files and bytes of each part, for each number of parts that may be chosen.
struct Slices {
    by_count: BTreeMap<u32, Vec<(i64, i64)>>,
    /// Files whose names can't be written into a list of patterns.
    unnamed: i64,
    /// Files that Borg mended by zeros.
    mended: Vec<String>,
}

impl Slices {
    fn new(parts: u32) -> Self {
        let slices = |n: u32| (n, vec![(0, 0); n as usize]);
        Self { by_count: candidates(parts).map(slices).collect(), unnamed: 0, mended: Vec::new() }
    }

    /// Counts a line in; a line that is not understood is a file that can't be named.
    fn add(&mut self, line: &[u8]) {
        let Ok(item) = serde_json::from_slice::<Item<'_>>(line) else {
            self.unnamed += 1;
            return;
        };
        if item.kind != "-" {
            return;
        }
        if item.healthy == Some(false) && self.mended.len() <= super::MOST_ERRORS {
            self.mended.push(item.path.clone().into_owned());
        }
        let size = item.size.unwrap_or(0);
        // A file for itself whose name can't be written is still read where there is one part alone.
        self.unnamed += i64::from(!plain(&item.path));
        for (of, slices) in &mut self.by_count {
            let slot = usize::try_from(slot(&item.path, *of)).ok().and_then(|n| slices.get_mut(n));
            if let Some((files, bytes)) = slot.filter(|_| plain(&item.path) || *of == 1) {
                *files += 1;
                *bytes = bytes.saturating_add(size);
            }
        }
    }

    fn largest(&self, of: u32) -> i64 {
        self.by_count.get(&of).and_then(|s| s.iter().map(|(_, bytes)| *bytes).max()).unwrap_or(i64::MAX)
    }
}

/// Which part a path is in: FNV-1a, which is the same on every machine and in every version.
fn slot(path: &str, of: u32) -> u64 {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    // The low bits of FNV alone are poor.
    (hash ^ (hash >> 32)) % u64::from(of.max(1))
}

/// Whether a line of a list of patterns can name it: Borg strips such lines.
fn plain(path: &str) -> bool {
    !path.contains(['\n', '\r']) && path.trim_end() == path
}

/// The newest archive of each series; how many series there are.
fn newest(snapshots: &[Snapshot]) -> (Vec<String>, usize) {
    let mut by_series: BTreeMap<String, &Snapshot> = BTreeMap::new();
    for snapshot in snapshots.iter().filter(|s| s.outcome == Outcome::Present && !s.name.contains(".checkpoint")) {
        let at = |s: &Snapshot| s.recovery_point.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        let newest = by_series.entry(crate::derive::series(snapshot)).or_insert(snapshot);
        if at(snapshot) > at(newest) {
            *newest = snapshot;
        }
    }
    let mut newest: Vec<&Snapshot> = by_series.into_values().collect();
    newest.sort_by(|a, b| b.recovery_point.cmp(&a.recovery_point).then_with(|| a.name.cmp(&b.name)));
    let count = newest.len();
    (newest.into_iter().take(MOST_SERIES).map(|s| s.name.clone()).collect(), count)
}

impl Reader {
    async fn extract(adapter: &Adapter, tool: &Tool, run: &mut Run<'_>, cx: &Cx) -> Result<Seen, Failure> {
        let (archives, series) = newest(&run.repository.snapshots);
        let mut slices = Slices::new(run.budget.parts);
        for archive in &archives {
            let name = format!("::{archive}");
            let words = ["--bypass-lock", "list", "--json-lines", &name];
            let mut line = |line: &[u8]| {
                slices.add(line);
                true
            };
            tool.lines(cx, &words, &mut line).await?;
        }
        let count = run.ledger.count(run.budget, |n| slices.largest(n));
        let of = count.unwrap_or(parts::MOST_PARTS);
        let empty = Vec::new();
        let sizes = slices.by_count.get(&of).unwrap_or(&empty);
        let filled = (0..of).zip(sizes).filter(|(_, (files, _))| *files > 0);
        let filled: Vec<(String, i64, i64)> = filled.map(|(n, (f, b))| (parts::name(n, of), *f, *b)).collect();
        let names: Vec<String> = filled.iter().map(|(name, ..)| name.clone()).collect();
        let chosen = run.ledger.choose(&names, run.day).map(str::to_owned);
        let mut errors = Vec::new();
        let (mut bytes_read, mut all) = (None, false);
        let mut list = Vec::new();
        for (name, files, bytes) in &filled {
            let mut this =
                ReadPart { name: name.clone(), outcome: ReadOutcome::NotRead, why: None, things: Some(*files) };
            if chosen.as_deref() == Some(name) {
                let (outcome, why) = match run.too_large("the part", *bytes) {
                    Some(why) => (ReadOutcome::NotProven, why),
                    None if *bytes == 0 => (
                        ReadOutcome::NotProven,
                        "its files are empty: nothing was read; take fewer read.parts".to_owned(),
                    ),
                    None => {
                        let index = parts::number(name).unwrap_or(1).saturating_sub(1);
                        let part = Part { archives: &archives, index, of, files: *files };
                        let found = part.read(adapter, tool, run, cx).await;
                        // It stops at the first error.
                        all = found.outcome == ReadOutcome::Intact;
                        bytes_read = (found.outcome == ReadOutcome::Intact).then_some(*bytes);
                        errors.extend(found.errors);
                        (found.outcome, found.why)
                    }
                };
                (this.outcome, this.why) = (outcome, Some(why));
            }
            list.push(this);
        }
        if slices.unnamed > 0 && of > 1 {
            let why = format!(
                "{} files have names that a list of patterns can't hold; 'parts: 1' or 'lock: true' reads them",
                slices.unnamed
            );
            list.push(part(REST, ReadOutcome::NotProven, why));
        } else if series > archives.len() {
            let why = format!("{series} series of archives are there, of which {} were looked at", archives.len());
            list.push(part(REST, ReadOutcome::NotProven, why));
        }
        let structure = match slices.mended.first() {
            Some(path) => {
                (ReadOutcome::Damaged, format!("{path}: 'borg check --repair' replaced lost chunks by zeros"))
            }
            None if archives.is_empty() => (ReadOutcome::NotProven, "there is no archive".to_owned()),
            None => (ReadOutcome::Intact, format!("the lists of files of {}", archives.join(", "))),
        };
        let mended = slices.mended.iter();
        errors
            .extend(mended.map(|path| error(path, ReadOutcome::Damaged, "marked as damaged by 'borg check --repair'")));
        Ok(Seen {
            covers:
                "the files of the newest archive of each host and set of paths, by a hash of their paths; not chunks \
                     that only older archives hold"
                    .to_owned(),
            parts: list,
            structure: Structure { outcome: structure.0, why: Some(structure.1) },
            errors,
            all,
            bytes_read,
            bytes_estimated: false,
        })
    }

    async fn check(&self, tool: &Tool, run: &mut Run<'_>, cx: &Cx) -> Result<Seen, Failure> {
        let size = stored(&self.source.repository, cx).await;
        let refused = match &size {
            Ok(size) => run.too_large("'borg check --verify-data' reads everything at once, and that", *size),
            Err(why) => Some(why.clone()),
        };
        let said = match refused {
            Some(why) => Checked { unclear: vec![why], ..Checked::default() },
            None => {
                let words = ["--log-json", "check", "-v", "--verify-data"];
                match run.reads(tool, cx, "borg check --verify-data", &words).await {
                    Ok(output) => parse_check(&String::from_utf8_lossy(&output.stderr), output.exit),
                    Err(why) => Checked { unclear: vec![why], ..Checked::default() },
                }
            }
        };
        let mut seen = conclude_check(&said);
        seen.bytes_read = size.ok().filter(|_| said.chunks.is_some());
        Ok(seen)
    }
}

/// A part, and where its files are.
struct Part<'a> {
    archives: &'a [String],
    index: u32,
    of: u32,
    /// How many files it holds.
    files: i64,
}

impl Part<'_> {
    /// Reads its files.
    async fn read(&self, adapter: &Adapter, tool: &Tool, run: &mut Run<'_>, cx: &Cx) -> Found {
        let mut read = 0_i64;
        for archive in self.archives {
            let mut said = Said::default();
            match self.read_in(archive, tool, run, cx, &mut said).await {
                Ok(()) => read = read.saturating_add(said.listed),
                Err(why) => return Found::not_proven(why),
            }
            if !said.ended_well() {
                let quiet = said.lost && undisturbed(adapter, run, cx).await;
                return conclude(&said, archive, quiet);
            }
        }
        // With one part alone, folders and links are among what it names.
        match read {
            0 => Found::not_proven("borg read no file: nothing was read".to_owned()),
            _ if read < self.files => Found::not_proven(format!("borg read {read} of {} files", self.files)),
            _ => {
                let archives = self.archives.join(", ");
                let why = format!("{} files of {archives} were read, authenticated and unpacked", self.files);
                Found { outcome: ReadOutcome::Intact, why, errors: Vec::new() }
            }
        }
    }

    /// Reads those of its files that are in one archive.
    async fn read_in(
        &self,
        archive: &str,
        tool: &Tool,
        run: &mut Run<'_>,
        cx: &Cx,
        said: &mut Said,
    ) -> Result<(), String> {
        let name = format!("::{archive}");
        let folder = cx.private_folder().await.map_err(|e| e.to_string())?;
        let list = folder.path().join("patterns");
        let shown = list.display().to_string();
        let mut words = vec!["--bypass-lock", "--log-json", "extract", "--dry-run", "--list"];
        let mut wanted = None;
        if self.of > 1 {
            let (text, count) = wanted_files(tool, cx, &name, (self.index, self.of)).await.map_err(|f| f.message)?;
            if count == 0 {
                said.zero = true;
                return Ok(());
            }
            tokio::fs::write(&list, text).await.map_err(|e| format!("{shown}: {e}; is there space?"))?;
            words.extend(["--patterns-from", &shown]);
            wanted = Some(count);
        }
        words.push(&name);
        let output = run.reads(tool, cx, "borg extract --dry-run", &words).await?;
        *said = parse(&String::from_utf8_lossy(&output.stderr), output.exit);
        match wanted {
            Some(wanted) if said.ended_well() && said.listed != wanted => {
                Err(format!("borg read {} files of {archive}, where {wanted} were to be read", said.listed))
            }
            _ => Ok(()),
        }
    }
}

/// Whether nobody wrote since the repository was listed, as far as locks and archives show.
async fn undisturbed(adapter: &Adapter, run: &Run<'_>, cx: &Cx) -> bool {
    let before = run.repository;
    let names = |r: &Repository| r.snapshots.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    let unlocked = |r: &Repository| r.locks.asked == Asked::All && r.locks.locks.is_empty();
    let again = adapter.list(run.spec, cx).await;
    unlocked(before) && again.is_ok_and(|after| unlocked(&after) && names(&after) == names(before))
}

/// The list of patterns of a part, and how many files it names.
async fn wanted_files(tool: &Tool, cx: &Cx, archive: &str, (index, of): (u32, u32)) -> Result<(String, i64), Failure> {
    let (mut text, mut count) = (String::new(), 0_i64);
    let mut line = |line: &[u8]| {
        if let Ok(item) = serde_json::from_slice::<Item<'_>>(line)
            && item.kind == "-"
            && plain(&item.path)
            && slot(&item.path, of) == u64::from(index)
        {
            text.push_str("+ pf:");
            text.push_str(&item.path);
            text.push('\n');
            count += 1;
        }
        true
    };
    tool.lines(cx, &["--bypass-lock", "list", "--json-lines", archive], &mut line).await?;
    text.push_str("- re:.*\n");
    Ok((text, count))
}

/// Bytes of the segments of a repository in a folder of this machine.
async fn stored(repository: &str, cx: &Cx) -> Result<i64, String> {
    if repository.contains(':') {
        return Err(
            "how much 'borg check --verify-data' would read can only be seen where the repository is a folder of \
                    this machine"
                .to_owned(),
        );
    }
    let data = format!("{}/data", repository.trim_end_matches('/'));
    let mut sum = 0_i64;
    for folder in cx.list_dir(&data, 100_000).await.map_err(|e| e.to_string())?.names {
        let folder = format!("{data}/{folder}");
        for segment in cx.list_dir(&folder, 100_000).await.map_err(|e| e.to_string())?.names {
            let segment = cx.metadata(format!("{folder}/{segment}")).await.map_err(|e| e.to_string())?;
            sum = sum.saturating_add(i64::try_from(segment.size).unwrap_or(i64::MAX));
        }
    }
    Ok(sum)
}
