//! Chooses live files at random: those that were there before the copy was begun and have not changed since.

use std::hash::{BuildHasher as _, RandomState};

use probe::Cx;

use crate::quiet::{Quiet, Walk};

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
    /// The paths that they lie below.
    pub(super) tops: Vec<String>,
    /// Why there are no more to choose from.
    pub(super) why: Option<String>,
}

/// Chooses up to `count` files below a path, each as likely as any other (reservoir sampling), and shows all of them.
pub(super) async fn files(
    cx: &Cx,
    top: &str,
    walk: Walk<'_>,
    count: usize,
    each: &mut (dyn FnMut(&Quiet<'_>) + Send),
) -> Chosen {
    let mut chosen = Chosen::default();
    if !top.starts_with('/') {
        chosen.why = Some("its paths are not absolute, so that nothing shows where they are on this machine".into());
        return chosen;
    }
    let mut choose = |file: Quiet<'_>| {
        each(&file);
        // An empty file would show nothing by coming back.
        if file.found.size == 0 {
            return;
        }
        chosen.of += 1;
        if chosen.paths.len() < count {
            chosen.paths.push(file.path.to_owned());
        } else if let Some(place) = usize::try_from(random() % chosen.of).ok()
            && let Some(held) = chosen.paths.get_mut(place)
        {
            file.path.clone_into(held);
        }
    };
    let walked = walk.down(cx, top, &mut choose).await;
    chosen.why = walked.err();
    chosen.paths.sort();
    chosen
}
