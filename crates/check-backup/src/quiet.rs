//! Files in use that a copy must hold: those that were there before it was begun, and have not changed since.

use model::FailureClass;
use probe::{Cx, Metadata};

use crate::pattern::fits;
use crate::target::BackupTarget;

/// Names in one folder.
const MOST_NAMES: usize = 1_000_000;

/// A file that a copy must hold.
pub(crate) struct Quiet<'a> {
    pub(crate) path: &'a str,
    pub(crate) found: &'a Metadata,
    /// Whether the folders above it have not changed either. Moving a folder changes its own time of change and none of
    /// those below it, so that a file in a folder that did change may have been moved there after the copy was begun.
    pub(crate) settled: bool,
}

/// Which files are looked at.
#[derive(Clone, Copy)]
pub(crate) struct Walk<'a> {
    /// When copying began, in seconds since the epoch.
    begun: i64,
    /// Patterns of names that are left out on purpose.
    except: &'a [String],
    /// Whether what is mounted below a path is left out.
    one_file_system: bool,
    /// Files that are shown at most.
    most: u64,
}

/// A path that waits to be looked at, and whether the folders above it have not changed.
struct Waiting {
    path: String,
    settled: bool,
}

impl<'a> Walk<'a> {
    /// As the inventory says what the job leaves out.
    pub(crate) fn of(declared: &'a BackupTarget, begun: i64, most: u64) -> Self {
        Self { begun, except: &declared.except, one_file_system: declared.one_file_system, most }
    }

    /// Whether a file is as it was before the copy was begun. The time of change is the kernel's own: it shows a file
    /// that was moved or copied there later, too.
    pub(crate) fn is_older(&self, found: &Metadata) -> bool {
        found.changed < self.begun && found.modified < self.begun
    }

    /// Shows each file at or below `top`.
    ///
    /// # Errors
    /// The first thing that could not be looked at; all others were shown nevertheless.
    pub(crate) async fn down(
        &self,
        cx: &Cx,
        top: &str,
        each: &mut (dyn FnMut(Quiet<'_>) + Send),
    ) -> Result<(), String> {
        let (mut shown, mut device, mut hindered) = (0_u64, None, None);
        let mut waiting = vec![Waiting { path: top.to_owned(), settled: true }];
        while let Some(Waiting { path, settled }) = waiting.pop() {
            if cx.remaining().is_zero() || shown >= self.most {
                let why = "not all files were looked at: there are too many, or too little time (raise --deadline)";
                return Err(hindered.unwrap_or_else(|| why.to_owned()));
            }
            let found = match cx.metadata(&path).await {
                Ok(found) => found,
                // What vanished meanwhile is no business of the copy; what was never there is.
                Err(e) if e.class == FailureClass::Missing && path != top => continue,
                Err(e) => {
                    hindered.get_or_insert_with(|| e.to_string());
                    continue;
                }
            };
            if self.one_file_system && *device.get_or_insert(found.device) != found.device {
                continue;
            }
            if found.is_file && self.is_older(&found) {
                shown += 1;
                each(Quiet { path: &path, found: &found, settled });
            } else if found.is_dir {
                // The top is named in the copy: it was there.
                let settled = settled && (path == top || found.changed < self.begun);
                match self.names(cx, &path).await {
                    Ok(names) => {
                        let place = |name| format!("{}/{name}", path.trim_end_matches('/'));
                        waiting.extend(names.into_iter().map(|name| Waiting { path: place(name), settled }));
                    }
                    Err(why) => drop(hindered.get_or_insert(why)),
                }
            }
        }
        hindered.map_or(Ok(()), Err)
    }

    async fn names(&self, cx: &Cx, folder: &str) -> Result<Vec<String>, String> {
        let listing = cx.list_dir(folder, MOST_NAMES).await.map_err(|e| e.to_string())?;
        if listing.not_utf8 > 0 {
            return Err(format!("{folder}: {} names in it are no UTF-8 and can't be compared", listing.not_utf8));
        }
        if listing.cut {
            return Err(format!("{folder}: more than {MOST_NAMES} names in one folder"));
        }
        Ok(listing.names.into_iter().filter(|name| !self.except.iter().any(|p| fits(p, name))).collect())
    }
}
