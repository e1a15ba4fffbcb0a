//! Objects below a prefix of an S3-compatible store, each a copy (through Apache OpenDAL, the cargo feature `s3`).
//!
//! The store's list tells names, sizes and times; of each object the first megabyte and the last bytes are asked for, so
//! that it is read as a file is at its head. The times are the store's own clock, which whoever writes an object can't
//! set. Requests go through OpenDAL's client: they are not among the recorded exchanges.

use std::cmp::Reverse;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use model::{Asked, Failure, FailureClass};
use opendal::services::S3 as Service;
use opendal::{ErrorKind, Operator};
use probe::{BoxFuture, Cx, Metadata, Plan};

use super::Repository;
use super::files::{Context, Copy, Match, Zone, encryption, identity};
use crate::facts::{Locks, SourceKind};
use crate::format::{self, Bounds, Depth, Inspection};
use crate::target::{BackupSpec, Files, S3};

/// Objects that are listed.
const MOST_OBJECTS: usize = 100_000;
/// Objects that are looked into, the newest.
const MOST_COPIES: usize = 1_000;
/// What is asked for of the beginning of each.
const HEAD: u64 = (1 << 20) + (64 << 10);
/// What is asked for of the end of each.
const TAIL: u64 = 128 << 10;
/// Objects at once.
const AT_ONCE: usize = 4;
/// Time that is kept back for writing down what was seen.
const SPARE: Duration = Duration::from_millis(500);

/// Reads a store.
pub(crate) struct Adapter {
    source: S3,
}

impl Adapter {
    pub(crate) const fn new(source: S3) -> Self {
        Self { source }
    }

    async fn store(&self, cx: &Cx) -> Result<Operator, Failure> {
        let S3 { endpoint, bucket, region, prefix, access_key, secret_key, .. } = &self.source;
        // Its HTTP client; the first call installs it.
        opendal::install_default();
        // Nothing comes from the environment, the machine's role or files of other tools: the inventory alone says who asks.
        let mut service = Service::default()
            .endpoint(endpoint)
            .bucket(bucket)
            .root(&format!("/{}/", prefix.trim_matches('/')))
            .region(region.as_deref().unwrap_or("us-east-1"))
            .disable_config_load()
            .disable_ec2_metadata();
        let access = cx.secret(access_key).await?;
        let secret = cx.secret(secret_key).await?;
        service = service.access_key_id(&access).secret_access_key(&secret);
        Operator::new(service).map_err(|e| self.failed(&e))
    }

    fn failed(&self, error: &opendal::Error) -> Failure {
        let (class, hint) = match error.kind() {
            ErrorKind::NotFound => (FailureClass::Missing, "; are 'endpoint' and 'bucket' right?"),
            ErrorKind::PermissionDenied => (FailureClass::Permission, "; may these keys list and read the bucket?"),
            ErrorKind::ConfigInvalid => (FailureClass::Unreadable, "; is 'endpoint' an URL?"),
            _ => (FailureClass::Unreachable, "; can the endpoint be reached from here?"),
        };
        let said: String = error.to_string().chars().take(300).collect();
        Failure::new(class, format!("s3 {}: {said}{hint}", self.source.bucket))
    }

    async fn listed(&self, store: &Operator) -> Result<Vec<Match>, Failure> {
        let mut lister = store.lister_with("").recursive(true).await.map_err(|e| self.failed(&e))?;
        let mut found = Vec::new();
        while let Some(entry) = lister.try_next().await.map_err(|e| self.failed(&e))? {
            if entry.metadata().is_dir() {
                continue;
            }
            if found.len() >= MOST_OBJECTS {
                let message = format!("more than {MOST_OBJECTS} objects below the prefix; name a longer one");
                return Err(Failure::new(FailureClass::Unreadable, message));
            }
            let modified = entry.metadata().last_modified().map_or(i64::MIN, |at| at.into_inner().as_second());
            let metadata = Metadata {
                mode: 0,
                uid: 0,
                gid: 0,
                size: entry.metadata().content_length(),
                modified,
                changed: modified,
                is_file: true,
                is_dir: false,
                is_symlink: false,
                device: 0,
            };
            found.push(Match {
                name: entry.path().to_owned(),
                path: entry.path().to_owned(),
                metadata: Some(metadata),
            });
        }
        Ok(found)
    }

    async fn repository(&self, spec: &BackupSpec, cx: &Cx) -> Result<Repository, Failure> {
        let within = cx.remaining().saturating_sub(SPARE);
        let until = tokio::time::Instant::now() + within;
        let late = |_| Failure::new(FailureClass::Timeout, "the store did not answer in time; raise --deadline");
        let store = self.store(cx).await?;
        let mut found = tokio::time::timeout_at(until, self.listed(&store)).await.map_err(late)??;
        let all = found.len();
        found.sort_by_cached_key(|m| (Reverse(m.modified()), Reverse(m.name.clone())));
        found.truncate(MOST_COPIES);
        let source = Files {
            format: self.source.format,
            database: self.source.database.clone(),
            trust_mtime: true,
            ..Files::default()
        };
        let zone = Zone::of(None);
        let context = Context { source: &source, expected: &spec.expected, zone: &zone };
        let wanted = context.wanted();
        let (store, wanted) = (&store, wanted.as_slice());
        let copies: Vec<Copy> = futures::stream::iter(found)
            .map(|found| async move {
                let seen = tokio::time::timeout_at(until, look(store, &found, wanted)).await;
                let seen =
                    seen.unwrap_or_else(|_| Err("there was no time to look into it; raise --deadline".to_owned()));
                Copy { found, seen, depth: Depth::Head }
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let snapshots: Vec<_> = copies.iter().map(|c| context.snapshot(&c.found, &c.seen, c.depth)).collect();
        let mut notes = vec!["copies without a time inside are dated by the store's clock".to_owned()];
        let asked = if all > copies.len() { Asked::Only(Vec::new()) } else { Asked::All };
        if asked != Asked::All {
            notes.push(format!("{all} objects are there; the newest {MOST_COPIES} were looked at"));
        }
        if copies.iter().any(|c| c.seen.as_ref().is_ok_and(|s| s.started_local.is_some() || s.finished_local.is_some()))
        {
            notes.push(format!("times without a zone in copies are taken as {}, as of this machine", zone.name));
            notes.extend(copies.iter().find_map(|c| zone.contradicted(c.seen.as_ref().ok()?)));
        }
        Ok(Repository {
            tool: None,
            identity: identity(&source, &copies, &snapshots),
            encryption: encryption(&copies),
            locks: Locks::all(Vec::new()),
            asked,
            snapshots,
            contents: std::collections::BTreeMap::new(),
            continuity: Vec::new(),
            notes,
        })
    }
}

/// Looks into an object.
async fn look(store: &Operator, found: &Match, wanted: &[String]) -> Result<Inspection, String> {
    let length = found.size().unwrap_or(0);
    let head = ranged(store, &found.path, 0, length.min(HEAD)).await?;
    let rest = length.saturating_sub(HEAD).min(TAIL);
    let tail = ranged(store, &found.path, length - rest, rest).await?;
    let shown = Shown { head, tail, length, at: 0 };
    let wanted = wanted.to_vec();
    // An object that is shown whole is read as one.
    let depth = if length <= HEAD { Depth::Full } else { Depth::Head };
    let inspect = move || format::inspect_for(None, shown, depth, Bounds::default(), &wanted);
    tokio::task::spawn_blocking(inspect).await.map_err(|_| "reading it failed, which is a defect of Probity".to_owned())
}

/// Some bytes of an object: no more than was asked for, whatever the store sends, and no fewer.
async fn ranged(store: &Operator, path: &str, from: u64, count: u64) -> Result<Vec<u8>, String> {
    let said = |e: &dyn std::fmt::Display| e.to_string().chars().take(300).collect::<String>();
    let mut bytes = Vec::new();
    if count > 0 {
        let reader = store.reader(path).await.map_err(|e| said(&e))?;
        let mut stream = reader.into_bytes_stream(from..from + count).await.map_err(|e| said(&e))?;
        while let Some(piece) = stream.try_next().await.map_err(|e| said(&e))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > count {
                break;
            }
        }
    }
    match bytes.len() as u64 == count {
        true => Ok(bytes),
        false => {
            Err("the store sent another number of bytes than its list says; was it replaced meanwhile?".to_owned())
        }
    }
}

/// Both ends of an object; what lies between is not there to be read.
struct Shown {
    head: Vec<u8>,
    tail: Vec<u8>,
    length: u64,
    at: u64,
}

impl Read for Shown {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let tail_at = self.length - self.tail.len() as u64;
        let piece = if self.at < self.head.len() as u64 { Some((&self.head, 0)) } else { None };
        let piece = piece.or_else(|| (self.at >= tail_at).then_some((&self.tail, tail_at)));
        let Some((bytes, start)) = piece else {
            return Err(io::Error::other("no more than both ends of the object were asked for"));
        };
        let skip = usize::try_from(self.at - start).unwrap_or(usize::MAX);
        let rest = bytes.get(skip..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Shown {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "no place in the object");
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(from) => self.length.checked_add_signed(from).ok_or_else(wrong)?,
            SeekFrom::Current(from) => self.at.checked_add_signed(from).ok_or_else(wrong)?,
        };
        Ok(self.at)
    }
}

impl super::Adapter for Adapter {
    fn kind(&self) -> SourceKind {
        SourceKind::S3
    }

    fn plan(&self, _: &BackupSpec) -> Plan {
        let S3 { endpoint, bucket, prefix, .. } = &self.source;
        Plan { files: vec![format!("{endpoint}/{bucket}/{prefix} (requests)")], ..Plan::default() }
    }

    fn list<'a>(&'a self, spec: &'a BackupSpec, cx: &'a Cx) -> BoxFuture<'a, Result<Repository, Failure>> {
        Box::pin(self.repository(spec, cx))
    }
}

#[cfg(all(test, feature = "s3-server"))]
mod tests;
