//! A restore of the newest copy that begins while the list of copies is still read. It counts only where the tool took the
//! very copy that the list then shows to be the newest.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, Either, select};
use model::Failure;
use probe::Cx;

use super::report::millis;
use crate::source::{Adapter, Repository};
use crate::target::BackupSpec;

/// How often it is looked at whether another copy was taken.
const LOOK: Duration = Duration::from_millis(200);

/// A restore, and the milliseconds that it took.
pub(super) type Timed = (Result<(), Failure>, i64);

/// A restore that was begun. Dropping it ends it.
pub(super) struct Early<'a> {
    restore: BoxFuture<'a, Timed>,
    told: &'a OnceLock<String>,
}

/// Lists the copies, and begins to restore the newest one where the tool can.
///
/// # Errors
/// Where they can't be listed.
pub(super) async fn list<'a>(
    spec: &'a BackupSpec,
    adapter: &'a dyn Adapter,
    scratch: &'a Path,
    told: &'a OnceLock<String>,
    cx: &'a Cx,
) -> Result<(Repository, Option<Early<'a>>), Failure> {
    let listing = adapter.copies(spec, cx);
    let began = Instant::now();
    let Some(restore) = adapter.restore_newest(spec, scratch, told, cx) else { return Ok((listing.await?, None)) };
    let restore: BoxFuture<'a, Timed> = Box::pin(async move { (restore.await, millis(began)) });
    let (repository, restore) = match select(listing, restore).await {
        Either::Left((repository, restore)) => (repository?, restore),
        Either::Right((done, listing)) => {
            let restore: BoxFuture<'a, Timed> = Box::pin(std::future::ready(done));
            (listing.await?, restore)
        }
    };
    Ok((repository, Some(Early { restore, told })))
}

impl Early<'_> {
    /// How it ended, where it restored the copy of that name; nothing where it took another one, or none.
    pub(super) async fn of(mut self, name: &str) -> Option<Timed> {
        let is_it = |told: &String| name.starts_with(told.as_str());
        loop {
            match tokio::time::timeout(LOOK, &mut self.restore).await {
                Ok(timed) => return self.told.get().is_some_and(is_it).then_some(timed),
                Err(_) if self.told.get().is_some_and(|told| !is_it(told)) => return None,
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(told: Option<&str>, ends: bool) -> Option<Timed> {
        let cell = OnceLock::new();
        if let Some(told) = told {
            let _ = cell.set(told.to_owned());
        }
        let done: BoxFuture<'_, Timed> = Box::pin(std::future::ready((Ok(()), 7)));
        let restore = if ends { done } else { Box::pin(std::future::pending()) };
        Early { restore, told: &cell }.of("26ca0a0b1d").await
    }

    #[tokio::test]
    async fn only_a_restore_of_the_newest_copy_counts() {
        assert_eq!(of(Some("26ca0a0b"), true).await, Some((Ok(()), 7)));
        assert_eq!(of(Some("deadbeef"), true).await, None);
        assert_eq!(of(None, true).await, None);
    }

    #[tokio::test]
    async fn a_restore_of_another_copy_is_not_waited_for() {
        assert_eq!(of(Some("deadbeef"), false).await, None);
    }
}
