//! restic: `check --read-data-subset=n/t` reads a group of packs and compares them with their names, which are SHA-256 of
//! their contents (<https://restic.readthedocs.io/en/stable/045_working_with_repos.html#checking-integrity-and-consistency>).
//!
//! Without a lock and a cache, so that nothing is written. What two records say of each other (an index and a pack, a
//! snapshot and a tree) may then differ because somebody writes meanwhile; that counts only where nobody did.

use std::collections::{BTreeMap, BTreeSet};

use probe::{BoxFuture, Cx};
use serde::Deserialize;

use super::parts::{self, MOST_PARTS};
use super::{ReadBudget, ReadError, ReadOutcome, ReadPart, Run, Seen, Structure, error, part};
use crate::source::Adapter as _;
use crate::source::restic::{Adapter, words};
use crate::source::tool::Tool;
use crate::target::Restic;
use model::Failure;

/// Options that keep restic from writing. Not `--json`: `check` then says nothing of what it read.
const QUIET: [&str; 2] = ["--no-lock", "--no-cache"];

/// Reads packs.
pub(super) struct Reader {
    pub(super) source: Restic,
}

#[derive(Deserialize)]
struct Stats {
    total_size: i64,
}

impl super::Reader for Reader {
    fn commands(&self, budget: &ReadBudget) -> Vec<String> {
        let check = format!("check --read-data-subset=N/{}", budget.parts);
        let words = ["list packs", "list index", "stats --mode raw-data", &check];
        words.map(|w| format!("restic --no-lock --no-cache {w}")).into()
    }

    fn read<'a>(&'a self, run: &'a mut Run<'_>, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let adapter = Adapter::new(self.source.clone());
            let tool = adapter.tool(cx).await?;
            let index = indexes(&tool, cx).await?;
            let packs = Packs::list(&tool, cx).await?;
            let stats = tool.json::<Stats>(cx, &words(&["stats", "--mode", "raw-data"]), 1 << 16).await;
            let size = stats.map(|s| s.value.total_size);

            let count = match &size {
                Ok(size) => run.ledger.count(run.budget, |n| packs.largest(n, *size)),
                Err(_) => Some(run.budget.parts),
            };
            let of = count.unwrap_or(MOST_PARTS);
            let names: Vec<String> =
                (0..of).filter(|n| packs.in_group(*n, of) > 0).map(|n| parts::name(n, of)).collect();
            let chosen = run.ledger.choose(&names, run.day).map(str::to_owned);
            let bytes = |name: &str| {
                let group = parts::number(name)?.checked_sub(1)?;
                Some(packs.share(packs.in_group(group, of), *size.as_ref().ok()?))
            };
            let refused = match (&size, chosen.as_deref()) {
                (Err(failure), _) => Some(format!("how much would be read is not known: {}", failure.message)),
                (Ok(_), Some(name)) => run.too_large("the part", bytes(name).unwrap_or(i64::MAX)),
                (Ok(_), None) => None,
            };
            let subset = chosen.as_ref().filter(|_| refused.is_none()).map(|n| format!("--read-data-subset={n}"));
            let mut arguments = QUIET.to_vec();
            arguments.push("check");
            arguments.extend(subset.as_deref());
            let shown = arguments.get(QUIET.len()..).unwrap_or_default().join(" ");
            let mut said = match run.reads(&tool, cx, &format!("restic {shown}"), &arguments).await {
                Ok(output) => parse(
                    &String::from_utf8_lossy(&output.stdout),
                    &String::from_utf8_lossy(&output.stderr),
                    output.exit,
                ),
                Err(why) => Said { unclear: vec![why], ..Said::default() },
            };
            if !said.relations.is_empty() {
                let again = adapter.list(run.spec, cx).await;
                let before = run.repository;
                let quiet = again.is_ok_and(|after| {
                    let names = |r: &crate::source::Repository| -> BTreeSet<String> {
                        r.snapshots.iter().map(|s| s.name.clone()).collect()
                    };
                    let unlocked = before.locks.locks.is_empty() && after.locks.locks.is_empty();
                    unlocked && after.locks.asked == model::Asked::All && names(before) == names(&after)
                }) && indexes(&tool, cx).await.is_ok_and(|after| after == index);
                said.disturbed = !quiet;
            }
            let read = subset.is_some().then(|| chosen.clone()).flatten();
            let mut seen = conclude(&said, &packs, of, &names, read.as_deref());
            if let (Some(why), Some(name)) = (refused, &chosen) {
                for of_it in seen.parts.iter_mut().filter(|p| p.name == *name && p.outcome == ReadOutcome::NotRead) {
                    *of_it = ReadPart { things: of_it.things, ..part(name, ReadOutcome::NotProven, why.as_str()) };
                }
            }
            if said.read.is_some() {
                seen.bytes_read = read.as_deref().and_then(bytes);
            }
            if of > run.budget.parts {
                let days = run.budget.within / 86_400;
                run.notes.push(format!(
                    "so that a part fits read.max_bytes, the repository is read in {of} parts, one at each run; all of it \
                     within {days} days takes more than {} runs a day, or a higher read.max_bytes",
                    i64::from(of - 1) / days.max(1)
                ));
            }
            Ok(seen)
        })
    }
}

async fn indexes(tool: &Tool, cx: &Cx) -> Result<BTreeSet<Vec<u8>>, Failure> {
    let mut found = BTreeSet::new();
    let mut line = |line: &[u8]| {
        found.insert(line.trim_ascii().to_vec());
        true
    };
    tool.lines(cx, &[&QUIET[..], &["list", "index"]].concat(), &mut line).await?;
    Ok(found)
}

/// How many packs there are, by the first byte of their names: restic puts a pack into the group of that byte modulo the
/// number of groups (`selectPacksByBucket` in its `cmd_check.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packs {
    heads: [i64; MOST_PARTS as usize],
}

impl Packs {
    async fn list(tool: &Tool, cx: &Cx) -> Result<Self, Failure> {
        let mut packs = Self { heads: [0; MOST_PARTS as usize] };
        tool.lines(cx, &[&QUIET[..], &["list", "packs"]].concat(), &mut |line| packs.add(line)).await?;
        Ok(packs)
    }

    /// Whether that is the name of a pack.
    pub(super) fn add(&mut self, line: &[u8]) -> bool {
        let name = line.trim_ascii();
        let head = std::str::from_utf8(name).ok().and_then(head);
        let Some(count) = head.and_then(|h| self.heads.get_mut(usize::from(h))) else { return false };
        *count += 1;
        true
    }

    #[cfg(test)]
    pub(super) fn of(names: &[&str]) -> Self {
        let mut packs = Self { heads: [0; MOST_PARTS as usize] };
        assert!(names.iter().all(|name| packs.add(name.as_bytes())));
        packs
    }

    fn total(&self) -> i64 {
        self.heads.iter().sum()
    }

    fn in_group(&self, group: u32, of: u32) -> i64 {
        self.heads.iter().skip(group as usize).step_by(of.max(1) as usize).sum()
    }

    /// Bytes of so many packs, which are made about equally large.
    fn share(&self, packs: i64, size: i64) -> i64 {
        let share = i128::from(size) * i128::from(packs) / i128::from(self.total().max(1));
        i64::try_from(share).unwrap_or(i64::MAX)
    }

    fn largest(&self, of: u32, size: i64) -> i64 {
        let most = (0..of).map(|n| self.in_group(n, of)).max().unwrap_or(0);
        self.share(most, size)
    }
}

/// The first byte of a name of 64 hexadecimal digits.
fn head(name: &str) -> Option<u8> {
    let is = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    is.then(|| u8::from_str_radix(name.get(..2)?, 16).ok())?
}

/// What `restic check` said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// `read group #n of P data packs (out of total T packs in t groups)`.
    pub(super) read: Option<Group>,
    /// Of those packs it was through with so many.
    pub(super) done: Option<(i64, i64)>,
    /// Snapshots whose trees were followed, and how many there are.
    pub(super) snapshots: Option<(i64, i64)>,
    /// It said that there are no errors, and its exit code is 0.
    pub(super) clean: bool,
    /// It said that there are errors.
    pub(super) dirty: bool,
    /// Contents that differ from their own name or checksum: nothing but damage does that. Name, words.
    pub(super) contents: Vec<(String, String)>,
    /// Records that do not fit each other: damage, or somebody who writes meanwhile.
    pub(super) relations: Vec<(String, String)>,
    /// What is no word on the data: the way to it failed.
    pub(super) unclear: Vec<String>,
    /// Whether somebody may have written meanwhile.
    pub(super) disturbed: bool,
}

/// A group of packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    number: i64,
    packs: i64,
    total: i64,
    of: i64,
}

/// Reads what it said.
pub(super) fn parse(stdout: &str, stderr: &str, exit: Option<i32>) -> Said {
    let mut said = Said::default();
    let mut clean = false;
    for line in stdout.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("read group #") {
            said.read = group(rest);
        } else if line == "no errors were found" {
            clean = true;
        } else if let Some(done) = progress(line, "packs") {
            said.done = Some(done);
        } else if let Some(done) = progress(line, "snapshots") {
            said.snapshots = Some(done);
        }
    }
    // A line that is indented goes on with what the line before began.
    let mut whole: Vec<String> = Vec::new();
    for line in stderr.lines() {
        match whole.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ if line.trim().is_empty() => {}
            _ => whole.push(line.trim().to_owned()),
        }
    }
    for line in whole {
        let has = |words: &[&str]| words.iter().any(|w| line.contains(w));
        if has(&["repository contains errors", "LoadIndex returned errors"]) {
            said.dirty = true;
        } else if has(&["Pack ID does not match", "ciphertext verification failed", "invalid data returned"])
            || about_pack(&line) && line.contains(" contains ") && line.contains("error")
        {
            said.contents.push((named(&line), line));
        } else if has(&["unexpected file size", "does not exist"]) && line.starts_with("pack ")
            || has(&["not found in repository", "not found in index", "is not referenced"])
            || line.starts_with("error for tree") && !has(&["connection", "timeout", "retrying"])
        {
            said.relations.push((named(&line), line));
        } else if !has(&[
            "returned error, retrying after",
            "not referenced in any index",
            "additional files were found",
        ]) {
            said.unclear.push(line);
        }
    }
    said.clean = clean && exit == Some(0) && !said.dirty;
    said
}

/// The first whole name in a line, else the first short one, else `repository`.
fn named(line: &str) -> String {
    let of = |length| line.split(|c: char| !c.is_ascii_hexdigit()).find(|w| w.len() == length);
    of(64).or_else(|| of(8)).unwrap_or("repository").to_owned()
}

/// Whether an error is about the contents of a pack, or its place in the records.
fn about_pack(line: &str) -> bool {
    line.to_ascii_lowercase().starts_with("pack ")
}

fn group(text: &str) -> Option<Group> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).map(str::parse::<i64>);
    let mut next = || numbers.next()?.ok();
    Some(Group { number: next()?, packs: next()?, total: next()?, of: next()? })
}

/// `[0:00] 100.00%  2 / 2 snapshots`.
fn progress(line: &str, unit: &str) -> Option<(i64, i64)> {
    let (done, of) = line.strip_suffix(unit)?.rsplit_once(" / ")?;
    Some((done.split_ascii_whitespace().next_back()?.parse().ok()?, of.trim().parse().ok()?))
}

/// What follows from it. `chosen` is the part that was to be read.
pub(super) fn conclude(said: &Said, packs: &Packs, of: u32, names: &[String], chosen: Option<&str>) -> Seen {
    let doubt = if said.disturbed { ReadOutcome::NotProven } else { ReadOutcome::Damaged };
    let errors: Vec<ReadError> = (said.contents.iter().map(|(name, line)| error(name, ReadOutcome::Damaged, line)))
        .chain(said.relations.iter().map(|(name, line)| error(name, doubt, line)))
        .collect();
    // Errors that name a pack belong to its part, whichever part was read.
    let mut by_part: BTreeMap<String, ReadPart> = BTreeMap::new();
    for found in &errors {
        if let Some(head) = head(&found.name).filter(|_| about_pack(&found.message)) {
            let name = parts::name(u32::from(head) % of.max(1), of);
            let new = part(&name, found.outcome, found.message.as_str());
            let old = by_part.entry(name).or_insert_with(|| new.clone());
            if old.outcome != ReadOutcome::Damaged {
                *old = new;
            }
        }
    }
    if let Some(name) = chosen {
        let entry = by_part.entry(name.to_owned());
        let listed = parts::number(name).and_then(|n| n.checked_sub(1)).map_or(0, |n| packs.in_group(n, of));
        entry.or_insert_with(|| match whole(said, packs.total(), listed, name) {
            Ok(why) => part(name, ReadOutcome::Intact, why),
            Err(why) => part(name, ReadOutcome::NotProven, why),
        });
    }
    // The part of a pack that is gone may hold no other, and so is not among the names.
    let known = names.iter().chain(by_part.keys()).filter_map(|name| parts::number(name));
    let numbers: BTreeSet<u32> = known.collect();
    let parts = numbers.into_iter().map(|number| {
        let group = number.saturating_sub(1);
        let (name, things) = (parts::name(group, of), Some(packs.in_group(group, of)));
        let found = by_part.get(&name).cloned();
        let not_read = ReadPart { name, outcome: ReadOutcome::NotRead, why: None, things };
        ReadPart { things, ..found.unwrap_or(not_read) }
    });
    let parts = parts.collect();
    Seen {
        covers:
            "the packs of the repository, by the first byte of their names; its index, snapshots and keys are small \
                 files beside them, which 'structure' is about"
                .to_owned(),
        parts,
        structure: structure(said, doubt),
        all: said.unclear.is_empty() && (said.clean || said.dirty),
        errors,
        bytes_read: None,
        bytes_estimated: true,
    }
}

/// Whether the group that was asked for was read to its end.
fn whole(said: &Said, total: i64, listed: i64, name: &str) -> Result<String, String> {
    let unclear = said.unclear.first().cloned().unwrap_or_else(|| "it did not say what it read".to_owned());
    let group = said.read.ok_or(unclear)?;
    if format!("{}/{}", group.number, group.of) != name {
        return Err(format!("restic read group {} of {}, which is another one", group.number, group.of));
    }
    if group.packs <= 0 {
        return Err("restic read no pack: nothing was read".to_owned());
    }
    // Packs without an entry in the index are listed and not read; others were added since. More than that would mean that
    // this version of restic makes its groups in another way.
    if (group.packs - listed).abs() > (group.total - total).abs() {
        return Err(format!("restic read {} packs where the list has {listed} in that part", group.packs));
    }
    if let Some(why) = said.unclear.first() {
        return Err(why.clone());
    }
    match said.done {
        Some((done, of)) if done != of || of != group.packs => Err(format!("restic read {done} of {of} packs")),
        _ if said.clean => Ok(format!("{} packs were read and are what their names say", group.packs)),
        // Errors elsewhere do not concern these packs, where it says that it went through all of them.
        Some(_) if said.dirty && !said.contents.is_empty() | !said.relations.is_empty() => {
            Ok(format!("{} packs were read and are what their names say; errors are elsewhere", group.packs))
        }
        _ => Err("restic did not say that it found no errors".to_owned()),
    }
}

fn structure(said: &Said, doubt: ReadOutcome) -> Structure {
    // What the contents of a pack are is found by reading it, and is no matter of the records.
    let records = said.contents.iter().find(|(_, line)| !about_pack(line));
    let (outcome, why) = match (records, said.relations.first(), said.unclear.first()) {
        (Some((_, line)), ..) => (ReadOutcome::Damaged, line.clone()),
        (None, Some((_, line)), _) if doubt == ReadOutcome::Damaged => (doubt, line.clone()),
        (None, Some((_, line)), _) => {
            (doubt, format!("{line}; something was at work in the repository meanwhile, which may be the cause"))
        }
        (.., Some(why)) => (ReadOutcome::NotProven, why.clone()),
        _ => match said.snapshots {
            Some((done, of)) if (said.clean || said.dirty) && done == of && done > 0 => {
                (ReadOutcome::Intact, format!("the index and the trees of {done} snapshots"))
            }
            _ if said.clean => (ReadOutcome::NotProven, "restic checked no snapshot".to_owned()),
            _ => (ReadOutcome::NotProven, "restic did not say that it found no errors".to_owned()),
        },
    };
    Structure { outcome, why: Some(why.chars().take(super::MOST_SAID).collect()) }
}
