//! Whether all files came back where the whole copy was restored: each file in use that the copy must hold is looked for
//! among what came back, with its size. Contents are compared of samples alone.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use probe::Cx;

use crate::facts::{FileList, Outcome};
use crate::quiet::{Quiet, Walk};

/// Files that are looked for.
pub(super) const MOST_FILES: u64 = 1_000_000;
/// Missing files that are named.
const MOST_NAMED: usize = 5;

/// A file that is looked for.
struct Wanted {
    size: u64,
    /// Whether it can't have been moved there after the copy was begun.
    settled: bool,
}

/// The files that are looked for, by hashes of their paths: names of a million would take a hundred megabytes.
pub(super) struct Missing {
    hasher: RandomState,
    wanted: HashMap<u64, Wanted>,
    there: u64,
}

impl Missing {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), wanted: HashMap::new(), there: 0 }
    }

    /// A file that must come back.
    pub(super) fn want(&mut self, file: &Quiet<'_>) {
        let wanted = Wanted { size: file.found.size, settled: file.settled };
        self.wanted.insert(self.hasher.hash_one(file.path), wanted);
    }

    /// A file that came back at that path below the scratch folder, which begins with a slash. `tops` are the paths that
    /// were copied: of one that was named by a relative path restic leaves out the folders before it.
    pub(super) fn came(&mut self, path: &str, size: u64, tops: &[String]) {
        if self.take(path, size) {
            return;
        }
        let first = |path: &str| path.split('/').nth(1).map(str::to_owned);
        let last = |top: &String| top.rfind('/').and_then(|at| top.get(at + 1..)).map(str::to_owned);
        // Where two of them end in the same name nothing tells whose file it is.
        let mut fitting = tops.iter().filter(|top| last(top) == first(path));
        if let (Some(top), None) = (fitting.next(), fitting.next()) {
            let before = top.rfind('/').and_then(|at| top.get(..at)).unwrap_or_default();
            self.take(&format!("{before}{path}"), size);
        }
    }

    fn take(&mut self, path: &str, size: u64) -> bool {
        let hash = self.hasher.hash_one(path);
        let is_it = self.wanted.get(&hash).is_some_and(|wanted| wanted.size == size);
        if is_it {
            self.wanted.remove(&hash);
            self.there += 1;
        }
        is_it
    }

    /// What is still missing, by name: `tops` are walked again, so that what changed meanwhile does not count.
    /// `hindered` is why not all files are known.
    pub(super) async fn conclude(
        mut self,
        walk: Walk<'_>,
        tops: &[String],
        hindered: Option<String>,
        cx: &Cx,
    ) -> FileList {
        let (mut missing, mut moved, mut names) = (0_u64, 0_u64, Vec::new());
        let mut moved_names = Vec::new();
        if !self.wanted.is_empty() {
            for top in tops {
                let mut each = |file: Quiet<'_>| {
                    let hash = self.hasher.hash_one(file.path);
                    let Some(wanted) = self.wanted.remove(&hash) else { return };
                    let (count, names) = match wanted.settled && file.settled {
                        true => (&mut missing, &mut names),
                        false => (&mut moved, &mut moved_names),
                    };
                    *count += 1;
                    if names.len() < MOST_NAMED {
                        names.push(file.path.to_owned());
                    }
                };
                // Why it could not go on is what hindered it the first time.
                let _ = walk.down(cx, top, &mut each).await;
            }
        }
        let of = self.there + missing + moved;
        let (outcome, why) = if missing > 0 {
            let more = if names.len() < usize::try_from(missing).unwrap_or(usize::MAX) { ", …" } else { "" };
            let why =
                format!("{missing} of {of} files did not come back as large as they are: {}{more}", names.join(", "));
            (Outcome::Absent, Some(why))
        } else if moved > 0 {
            let why = format!(
                "{moved} of {of} files did not come back, and lie in folders that changed since the copy was begun: they \
                 may have been moved there later: {}",
                moved_names.join(", ")
            );
            (Outcome::NotProven, Some(why))
        } else if hindered.is_some() || of == 0 {
            (Outcome::NotProven, hindered.or_else(|| Some("no live file is as old as the copy".to_owned())))
        } else {
            (Outcome::Present, None)
        };
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        FileList { outcome, why, of: Some(number(of)), there: number(self.there) }
    }
}

/// Where no list was compared.
pub(super) fn not_compared(why: &str) -> FileList {
    FileList { outcome: Outcome::NotProven, why: Some(why.to_owned()), of: None, there: 0 }
}
