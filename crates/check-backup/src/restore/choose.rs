//! Chooses live files at random: those that were there before the copy was begun and have not changed since.

use std::hash::{BuildHasher as _, RandomState};

use jiff::Timestamp;
use model::FailureClass;
use probe::{Cx, Metadata};

use crate::pattern::fits;

/// Files that are looked at to choose from.
const MOST_FILES: u64 = 1_000_000;
/// Names in one folder.
const MOST_NAMES: usize = 1_000_000;

/// A number that nobody can foretell: the standard library seeds its hashers from the system.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// What was chosen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Paths.
    pub(super) paths: Vec<String>,
    /// From how many.
    pub(super) of: u64,
    /// Why there are no more to choose from.
    pub(super) why: Option<String>,
}

/// Whether a file was as it is before a copy was begun.
pub(super) fn is_older(found: &Metadata, begun: Timestamp) -> bool {
    found.changed < begun.as_second() && found.modified < begun.as_second()
}

/// Chooses up to `count` files below the paths, each as likely as any other (reservoir sampling).
pub(super) async fn files(cx: &Cx, tops: &[String], begun: Timestamp, except: &[String], count: usize) -> Chosen {
    let mut chosen = Chosen::default();
    let mut waiting: Vec<String> = tops.iter().filter(|top| top.starts_with('/')).cloned().collect();
    if waiting.is_empty() {
        chosen.why = Some("its paths are not absolute, so that nothing shows where they are on this machine".into());
    }
    while let Some(path) = waiting.pop() {
        if cx.remaining().is_zero() || chosen.of >= MOST_FILES {
            chosen.why = Some("not all files were looked at: there are too many, or too little time".into());
            break;
        }
        let found = match cx.metadata(&path).await {
            Ok(found) => found,
            Err(e) => {
                if e.class != FailureClass::Missing || tops.contains(&path) {
                    chosen.why = Some(e.to_string());
                }
                continue;
            }
        };
        // An empty file would show nothing by coming back.
        if found.is_file && found.size > 0 && is_older(&found, begun) {
            chosen.of += 1;
            if chosen.paths.len() < count {
                chosen.paths.push(path);
            } else if let Some(place) = usize::try_from(random() % chosen.of).ok()
                && let Some(held) = chosen.paths.get_mut(place)
            {
                *held = path;
            }
        } else if found.is_dir {
            match cx.list_dir(&path, MOST_NAMES).await {
                Ok(listing) => {
                    if listing.not_utf8 > 0 {
                        chosen.why = Some(format!("{path}: {} names in it are no UTF-8", listing.not_utf8));
                    }
                    let kept = listing.names.into_iter().filter(|name| !except.iter().any(|p| fits(p, name)));
                    waiting.extend(kept.map(|name| format!("{}/{name}", path.trim_end_matches('/'))));
                }
                Err(e) => chosen.why = Some(e.to_string()),
            }
        }
    }
    chosen.paths.sort();
    chosen
}
