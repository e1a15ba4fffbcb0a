//! The files of a configuration, below a root that nothing leads out of: bounded, links followed by hand, each read
//! written down.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::sync::Arc;

use model::{Asked, Digest};
use probe::{Metadata, OpenFolder};

use crate::access::{Grant, grants, is_open};
use crate::facts::{ConfigPath, ConfigSource, NotRead, Outcome};
use crate::sshd::config::fits;

/// Files, bytes of one and of all, names in one folder, links on one way, files included in each other.
const MOST_FILES: usize = 50_000;
const MOST_BYTES: usize = 4 << 20;
const MOST_BYTES_IN_ALL: u64 = 256 << 20;
const MOST_NAMES: usize = 50_000;
const MOST_LINKS: usize = 40;
const MOST_DEPTH: usize = 32;
/// Complaints that are kept; the configuration is not proven with one.
const MOST_COMPLAINTS: usize = 200;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) file: Arc<str>,
    pub(super) line: u32,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A file that was read.
pub(super) struct Text {
    pub(super) path: Arc<str>,
    pub(super) text: String,
}

/// Why a path could not be used.
pub(super) enum Trouble {
    /// Nothing is there.
    Missing,
    /// Something stands in the way.
    Other(String),
}

impl Trouble {
    fn text(&self) -> String {
        match self {
            Self::Missing => "no such file".to_owned(),
            Self::Other(why) => why.clone(),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::PermissionDenied => Self::Other(format!("{e}; run as a user who may read it")),
            _ => Self::Other(e.to_string()),
        }
    }
}

/// The files, and what was met in them.
pub(super) struct Tree {
    folder: OpenFolder,
    /// The folder is not `/` itself: what leads above it leads outside.
    jailed: bool,
    /// Folders whose links were followed already.
    known: BTreeMap<String, String>,
    bytes: u64,
    /// Files that are being read, the outermost first.
    open: Vec<Arc<str>>,
    pub(super) files: Vec<ConfigSource>,
    pub(super) not_proven: Vec<NotRead>,
    complaints: usize,
}

impl Tree {
    pub(super) fn new(folder: OpenFolder, jailed: bool) -> Self {
        Self {
            folder,
            jailed,
            known: BTreeMap::new(),
            bytes: 0,
            open: vec![],
            files: vec![],
            not_proven: vec![],
            complaints: 0,
        }
    }

    /// Says that something is not known, and so that nothing is complete.
    pub(super) fn unknown(&mut self, name: impl ToString, why: impl Into<String>) {
        self.complaints += 1;
        match self.complaints {
            n if n < MOST_COMPLAINTS => self.not_proven.push(NotRead::new(name.to_string(), why)),
            MOST_COMPLAINTS => self.not_proven.push(NotRead::new("more", "there is more that is not known")),
            _ => {}
        }
    }

    /// Whether everything was read and understood.
    pub(super) fn asked(&self) -> Asked {
        if self.not_proven.is_empty() { Asked::All } else { Asked::Only(vec![]) }
    }

    /// Where a path leads in the end, links followed, without the slash in front.
    fn resolve(&mut self, path: &str) -> Result<(String, Option<Metadata>), Trouble> {
        let mut todo: Vec<String> = parts(path);
        let mut at = String::new();
        let (mut links, mut last) = (0, None);
        while let Some(part) = todo.pop() {
            if part == ".." {
                if at.is_empty() && self.jailed {
                    return Err(Trouble::Other("leads out of the root".into()));
                }
                at.truncate(at.rfind('/').unwrap_or(0));
                last = None;
                continue;
            }
            let next = if at.is_empty() { part } else { format!("{at}/{part}") };
            if !todo.is_empty()
                && let Some(known) = self.known.get(&next)
            {
                at.clone_from(known);
                continue;
            }
            let Some((metadata, link)) = self.folder.look(&next)? else { return Err(Trouble::Missing) };
            let Some(to) = link else {
                if !todo.is_empty() && metadata.is_dir {
                    self.known.insert(next.clone(), next.clone());
                }
                at = next;
                last = Some(metadata);
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(Trouble::Other(format!("more than {MOST_LINKS} symbolic links")));
            }
            if to.starts_with('/') {
                at.clear();
            }
            todo.extend(parts(&to));
            last = None;
        }
        Ok((at, last))
    }

    /// What lies at a path.
    pub(super) fn look(&mut self, path: &str) -> Result<Metadata, Trouble> {
        match self.resolve(path)? {
            (_, Some(metadata)) => Ok(metadata),
            (at, None) => Ok(self.folder.look(&at)?.ok_or(Trouble::Missing)?.0),
        }
    }

    /// Reads a file that must be there, or else is not proven. `from`: where it is named.
    pub(super) fn read(&mut self, path: &str, from: Option<&At>) -> Option<Text> {
        self.read_if(path, from, false)
    }

    /// Reads a file; one that is not there may be so where it is `optional`.
    pub(super) fn read_if(&mut self, path: &str, from: Option<&At>, optional: bool) -> Option<Text> {
        let included_at = from.map(ToString::to_string);
        let read = if self.files.len() >= MOST_FILES {
            Err(Trouble::Other(format!("more than {MOST_FILES} files")))
        } else {
            self.content(path)
        };
        let mut source = ConfigSource {
            name: path.to_owned(),
            outcome: Outcome::Present,
            why: None,
            sha256: None,
            bytes: 0,
            mode: None,
            included_at,
        };
        let text = match read {
            Ok((bytes, mode)) => {
                source.sha256 = Some(Digest::of(&bytes));
                source.bytes = bytes.len() as u64;
                source.mode = Some(format!("{mode:04o}"));
                // Servers end a word, or the line, at one; what stands behind it may count or not.
                if bytes.contains(&0) {
                    self.unknown(path, "it holds a NUL byte");
                }
                let text =
                    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
                Some(Text { path: path.into(), text })
            }
            Err(Trouble::Missing) if optional => {
                source.outcome = Outcome::Absent;
                None
            }
            Err(trouble) => {
                let why = trouble.text();
                let place = from.map(|at| format!(" (named at {at})")).unwrap_or_default();
                self.unknown(path, format!("{why}{place}"));
                (source.outcome, source.why) = (Outcome::NotProven, Some(why));
                None
            }
        };
        if self.files.len() <= MOST_FILES {
            self.files.push(source);
        }
        text
    }

    fn content(&mut self, path: &str) -> Result<(Vec<u8>, u32), Trouble> {
        let (at, _) = self.resolve(path)?;
        let mut file = self.folder.open(&at)?.ok_or(Trouble::Missing)?;
        let before = file.metadata()?;
        let mut bytes = Vec::new();
        (&mut file).take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MOST_BYTES {
            return Err(Trouble::Other(format!("longer than {} MiB", MOST_BYTES >> 20)));
        }
        if file.metadata()? != before || bytes.len() as u64 != before.size {
            return Err(Trouble::Other("it changed while it was read; run again".into()));
        }
        self.bytes += before.size;
        if self.bytes > MOST_BYTES_IN_ALL {
            return Err(Trouble::Other(format!("more than {} MiB in all", MOST_BYTES_IN_ALL >> 20)));
        }
        Ok((bytes, before.mode))
    }

    /// Enters a file that another one includes; `false` where that never ends.
    pub(super) fn enter(&mut self, path: &Arc<str>, from: &At) -> bool {
        let why = if self.open.contains(path) {
            "it includes itself".to_owned()
        } else if self.open.len() >= MOST_DEPTH {
            format!("files include each other more than {MOST_DEPTH} deep")
        } else {
            self.open.push(Arc::clone(path));
            return true;
        };
        self.unknown(path, format!("{why} (named at {from})"));
        false
    }

    /// Leaves the file that was entered last.
    pub(super) fn leave(&mut self) {
        self.open.pop();
    }

    /// Paths that fit a pattern (glob(7)), sorted as glob(3) does.
    pub(super) fn glob(&mut self, pattern: &str) -> Result<Vec<String>, Trouble> {
        let mut found = vec![String::new()];
        let mut parts = parts(pattern);
        while let Some(part) = parts.pop() {
            if part.contains(['[', '{', '\\', '~']) {
                return Err(Trouble::Other("a pattern of a kind that Probity does not know".into()));
            }
            if !part.contains(['*', '?']) {
                for path in &mut found {
                    path.push('/');
                    path.push_str(&part);
                }
                continue;
            }
            let mut next = Vec::new();
            for folder in &found {
                let names = match self.resolve(folder) {
                    Ok((at, _)) => self.folder.names(&at, MOST_NAMES)?,
                    Err(Trouble::Missing) => None,
                    Err(trouble) => return Err(trouble),
                };
                let Some((names, not_utf8)) = names else { continue };
                if not_utf8 > 0 {
                    return Err(Trouble::Other(format!("{folder} holds names that are no UTF-8")));
                }
                next.extend(names.iter().filter(|name| fits(&part, name)).map(|name| format!("{folder}/{name}")));
                if next.len() > MOST_FILES {
                    return Err(Trouble::Other(format!("more than {MOST_FILES} files fit")));
                }
            }
            found = next;
        }
        found.sort();
        Ok(found)
    }

    /// The files that an include means. Without wildcards it is the file itself.
    pub(super) fn included(&mut self, pattern: &str, at: &At) -> Vec<String> {
        if !pattern.contains(['*', '?', '[', '{']) {
            return vec![pattern.to_owned()];
        }
        match self.glob(pattern) {
            Ok(paths) => paths,
            Err(trouble) => {
                self.unknown(pattern, format!("{} (named at {at})", trouble.text()));
                vec![]
            }
        }
    }

    /// Whom the access list of a file names; accounts that may read all the same are left out.
    fn grants(&mut self, path: &str) -> Result<Vec<Grant>, String> {
        let failed = |e: io::Error| format!("its access list can't be read: {e}");
        let Ok((at, _)) = self.resolve(path) else { return Ok(Vec::new()) };
        let Some(file) = self.folder.open(&at).map_err(failed)? else { return Ok(Vec::new()) };
        match file.access_list().map_err(failed)? {
            Some(list) => grants(&list).ok_or_else(|| "its access list is not in a form that is known".to_owned()),
            None => Ok(Vec::new()),
        }
    }

    /// A file that is named, and not read.
    pub(super) fn named(&mut self, path: &str, at: &At) -> ConfigPath {
        let mut named = ConfigPath {
            name: path.to_owned(),
            outcome: Outcome::Present,
            why: None,
            at: at.to_string(),
            mode: None,
            uid: None,
            world_readable: None,
            others_write: None,
        };
        match self.look(path) {
            Ok(found) => {
                named.mode = Some(format!("{:04o}", found.mode));
                named.uid = Some(found.uid);
                named.world_readable = Some(found.mode & 0o004 != 0);
                let mut others_write = found.mode & 0o022 != 0;
                let real = self.resolve(path).map(|(at, _)| format!("/{}", at.trim_start_matches('/')));
                for way in [Some(path.to_owned()), real.ok()].into_iter().flatten() {
                    let mut folder = folder_of(&way);
                    while !folder.is_empty() {
                        others_write |= self.look(folder).is_ok_and(|folder| is_open(&folder, found.uid));
                        folder = folder_of(folder);
                    }
                }
                named.others_write = Some(others_write);
                match self.grants(path) {
                    Ok(grants) => {
                        named.world_readable = Some(found.mode & 0o004 != 0 || grants.iter().any(|grant| grant.read));
                        named.others_write = Some(others_write || grants.iter().any(|grant| grant.write));
                    }
                    Err(why) => (named.outcome, named.why) = (Outcome::NotProven, Some(why)),
                }
            }
            Err(Trouble::Missing) => named.outcome = Outcome::Absent,
            Err(Trouble::Other(why)) => (named.outcome, named.why) = (Outcome::NotProven, Some(why)),
        }
        named
    }
}

/// The parts of a path, the last one first.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

/// An absolute path: `path`, below `folder` where it is relative.
pub(super) fn below(folder: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", folder.trim_end_matches('/')) }
}

/// The folder of a file.
pub(super) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
