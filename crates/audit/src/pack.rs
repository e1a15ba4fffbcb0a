//! Writes and reads the folder that holds evidence, assessment and reports.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::{Digest, Evidence, Exchange, decode_exchanges, pack};
use probe::Collected;

use crate::Error;
use crate::resolved::Resolved;

/// Most bytes of one file of a pack. Reports over thousands of targets are large, but not this large.
const MOST_BYTES: u64 = 1 << 28;
/// Most files in a pack.
const MOST_FILES: usize = 1_000_000;

/// Pieces of evidence that are kept for the next question.
const RECENT: usize = 4;

/// Pieces of evidence by their digests, the last one first.
type Recent = Vec<(Digest, Arc<Evidence>)>;

/// A pack while it is written.
pub struct Writer {
    root: PathBuf,
    files: BTreeMap<String, (u64, Digest)>,
}

impl Writer {
    /// Takes a folder that does not exist yet or is empty.
    ///
    /// # Errors
    /// Where it holds something or can't be written to.
    pub fn create(root: &Path) -> Result<Self, Error> {
        let fail = |why: String| Error::Write { path: root.display().to_string(), why };
        fs::create_dir_all(root).map_err(|e| fail(e.to_string()))?;
        if fs::read_dir(root).map_err(|e| fail(e.to_string()))?.next().is_some() {
            return Err(fail("the folder is not empty, and a pack is never written over".into()));
        }
        for folder in [pack::EVIDENCE_DIR, pack::EXCHANGES_DIR] {
            fs::create_dir(root.join(folder)).map_err(|e| fail(e.to_string()))?;
        }
        Ok(Self { root: root.to_path_buf(), files: BTreeMap::new() })
    }

    /// Makes `<parent>/<name>`, with `-2`, `-3`, … appended where that is taken.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn create_in(parent: &Path, name: &str) -> Result<Self, Error> {
        let fail = |e: std::io::Error| Error::Write { path: parent.display().to_string(), why: e.to_string() };
        fs::create_dir_all(parent).map_err(fail)?;
        for turn in 1..=999_u32 {
            let root = if turn == 1 { parent.join(name) } else { parent.join(format!("{name}-{turn}")) };
            match fs::create_dir(&root) {
                Ok(()) => return Self::create(&root),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(fail(e)),
            }
        }
        Err(Error::Write { path: parent.join(name).display().to_string(), why: "999 packs of that name exist".into() })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes one file.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn file(&mut self, path: &str, bytes: &[u8]) -> Result<Digest, Error> {
        let to = self.root.join(path);
        fs::write(&to, bytes).map_err(|e| Error::Write { path: to.display().to_string(), why: e.to_string() })?;
        let digest = Digest::of(bytes);
        self.files.insert(path.to_owned(), (u64::try_from(bytes.len()).unwrap_or(u64::MAX), digest));
        Ok(digest)
    }

    /// Writes a file of earlier evidence, in a folder of its own where it is about a run.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(crate) fn prior(&mut self, path: &str, bytes: &[u8]) -> Result<Digest, Error> {
        let to = self.root.join(path);
        let fail = |e: std::io::Error| Error::Write { path: to.display().to_string(), why: e.to_string() };
        to.parent().map_or(Ok(()), fs::create_dir_all).map_err(fail)?;
        self.file(path, bytes)
    }

    /// The bytes of `evidence.sha256`: evidence and exchanges of this run.
    ///
    /// # Errors
    /// Where a path can't stand in such a list; a defect.
    pub fn evidence_sums(&self) -> Result<Vec<u8>, Error> {
        let own = |path: &str| path.starts_with("evidence/") || path.starts_with("exchanges/");
        let files = self.files.iter().filter(|(path, _)| own(path));
        let sums = files.map(|(path, (_, digest))| (path.clone(), *digest)).collect();
        attest::sums(&sums).map_err(|e| Error::Defect(e.to_string()))
    }

    /// Writes one piece of evidence and the file of its exchanges.
    ///
    /// # Errors
    /// Where one can't be written.
    pub fn evidence(&mut self, collected: &Collected) -> Result<Digest, Error> {
        if let (Some(bytes), Some(exchanges)) = (&collected.exchanges, &collected.evidence.exchanges) {
            self.file(&exchanges_path(&exchanges.digest), bytes)?;
        }
        let bytes = collected.evidence.canonical().map_err(|e| Error::Defect(e.to_string()))?;
        let digest = Digest::of(&bytes);
        self.file(&evidence_path(&digest), &bytes)?;
        Ok(digest)
    }

    /// The files written so far, by path.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, (u64, Digest)> {
        &self.files
    }
}

/// A pack on disk. Nothing in it is believed before it is checked.
#[derive(Clone, Debug)]
pub struct Reader {
    root: PathBuf,
    /// Pieces that were asked for last: several findings rest on one.
    recent: Arc<Mutex<Recent>>,
}

impl Reader {
    /// Opens a folder as a pack.
    ///
    /// # Errors
    /// Where it is no folder, or holds no assessment and no evidence.
    pub fn open(root: &Path) -> Result<Self, Error> {
        if !root.is_dir() {
            return Err(Error::Config(format!("{}: no such folder; give the folder of a pack", root.display())));
        }
        if !root.join(pack::ASSESSMENT).exists() && !root.join(pack::EVIDENCE_SUMS).exists() {
            return Err(Error::Config(format!("{}: not a pack: it holds no {}", root.display(), pack::ASSESSMENT)));
        }
        Ok(Self { root: root.to_path_buf(), recent: Arc::default() })
    }

    /// A folder in which evidence is still being gathered; nothing of it is looked at yet.
    #[must_use]
    pub fn open_evidence(root: &Path) -> Self {
        Self { root: root.to_path_buf(), recent: Arc::default() }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Reads one file, bounded. Links and special files are refused.
    ///
    /// # Errors
    /// Where it is missing, no regular file, or too large.
    pub fn file(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.file_within(path, MOST_BYTES)
    }

    /// Reads one file of at most so many bytes.
    ///
    /// # Errors
    /// As [`Reader::file`].
    pub fn file_within(&self, path: &str, most: u64) -> Result<Vec<u8>, Error> {
        let from = self.root.join(path);
        let fail = |why: String| Error::Read { path: path.to_owned(), why };
        let metadata = fs::symlink_metadata(&from).map_err(|e| fail(e.to_string()))?;
        if !metadata.is_file() {
            return Err(fail("not a regular file".into()));
        }
        if metadata.len() > most {
            return Err(fail(format!("larger than {most} bytes")));
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(&from).map_err(|e| fail(e.to_string()))?;
        file.take(most).read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
        Ok(bytes)
    }

    /// The size of a file, without reading it.
    ///
    /// # Errors
    /// Where it is missing or no regular file.
    pub fn size(&self, path: &str) -> Result<u64, Error> {
        let fail = |why: String| Error::Read { path: path.to_owned(), why };
        let metadata = fs::symlink_metadata(self.root.join(path)).map_err(|e| fail(e.to_string()))?;
        if metadata.is_file() { Ok(metadata.len()) } else { Err(fail("not a regular file".into())) }
    }

    /// Whether a file of that path is there.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.root.join(path).symlink_metadata().is_ok()
    }

    /// Every file in the pack, relative, sorted. A name that is not UTF-8 and anything that is neither file nor
    /// folder is an error: no manifest can list it.
    ///
    /// # Errors
    /// Where a folder can't be read, or for what is said above.
    pub fn list(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let mut folders = vec![(self.root.clone(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            let fail = |why: String| Error::Read { path: folder.display().to_string(), why };
            for entry in fs::read_dir(&folder).map_err(|e| fail(e.to_string()))? {
                let entry = entry.map_err(|e| fail(e.to_string()))?;
                let name = entry.file_name();
                let name = name.to_str().ok_or_else(|| fail(format!("{} is not UTF-8", name.to_string_lossy())))?;
                let path = format!("{prefix}{name}");
                let sort = entry.file_type().map_err(|e| fail(e.to_string()))?;
                if sort.is_dir() {
                    let origin = path.strip_prefix("prior/").is_some_and(|digest| digest.parse::<Digest>().is_ok());
                    if ![pack::EVIDENCE_DIR, pack::EXCHANGES_DIR, pack::PRIOR_DIR].contains(&&*path) && !origin {
                        return Err(Error::Pack(format!("{path}: a folder that a pack does not hold")));
                    }
                    folders.push((entry.path(), format!("{path}/")));
                } else if sort.is_file() {
                    found.push(path);
                } else {
                    return Err(Error::Pack(format!("{path}: neither a file nor a folder; a pack holds no links")));
                }
                if found.len() > MOST_FILES {
                    return Err(Error::Pack(format!("more than {MOST_FILES} files")));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Reads one piece of evidence; its bytes must be what the digest says, and in canonical form.
    ///
    /// # Errors
    /// Where that does not hold.
    pub fn evidence(&self, digest: &Digest) -> Result<Evidence, Error> {
        self.piece(&evidence_path(digest), digest)
    }

    /// Reads one piece of evidence of an earlier run; the same holds for it.
    ///
    /// # Errors
    /// Where that does not hold.
    pub fn prior(&self, digest: &Digest) -> Result<Evidence, Error> {
        self.piece(&prior_path(digest), digest)
    }

    /// The evidence behind a finding: of this run, or of an earlier one that stood in for it.
    #[must_use]
    pub fn behind(&self, digest: &Digest) -> Option<Arc<Evidence>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = recent.iter().find(|(known, _)| known == digest) {
            return Some(Arc::clone(found));
        }
        let found = Arc::new(self.evidence(digest).or_else(|_| self.prior(digest)).ok()?);
        recent.truncate(RECENT - 1);
        recent.insert(0, (*digest, Arc::clone(&found)));
        Some(found)
    }

    /// The evidence of earlier runs that the inventory of the pack names; none where that can't be read.
    #[must_use]
    pub fn earlier(&self) -> Vec<report::Earlier> {
        let resolved = self.file(pack::INVENTORY).and_then(|bytes| Resolved::from_yaml(&bytes));
        let pieces = resolved.map(|resolved| resolved.prior).unwrap_or_default().into_iter();
        let earlier = pieces.map(|p| report::Earlier {
            digest: p.digest,
            kind: p.kind,
            target: p.target,
            collected: p.collected,
        });
        earlier.collect()
    }

    fn piece(&self, path: &str, digest: &Digest) -> Result<Evidence, Error> {
        let bytes = self.file(path)?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::Pack(format!("{path}: its digest is not the one it is named by")));
        }
        let evidence: Evidence = model::from_json(&bytes).map_err(|e| Error::Pack(format!("{path}: {e}")))?;
        if evidence.format != Evidence::FORMAT {
            return Err(Error::Pack(format!(
                "{path}: its format is '{}'; this program reads {}",
                evidence.format,
                Evidence::FORMAT
            )));
        }
        if !evidence.is_canonical(&bytes) {
            return Err(Error::Pack(format!("{path}: not in its canonical form")));
        }
        if evidence.facts.is_some() == evidence.failure.is_some() {
            return Err(Error::Pack(format!("{path}: evidence holds facts or a failure, never both, never neither")));
        }
        Ok(evidence)
    }

    /// Reads the raw exchanges behind a piece of evidence.
    ///
    /// # Errors
    /// Where the file is missing, has another digest, or is malformed.
    pub fn exchanges(&self, digest: &Digest) -> Result<Vec<Exchange>, Error> {
        let path = exchanges_path(digest);
        let bytes = self.file(&path)?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::Pack(format!("{path}: its digest is not the one it is named by")));
        }
        decode_exchanges(&bytes).map_err(|e| Error::Pack(format!("{path}: {e}")))
    }

    /// The digests of all evidence that `evidence.sha256` lists, sorted.
    ///
    /// # Errors
    /// Where that file is missing or malformed, or lists what is no evidence.
    pub fn evidence_digests(&self) -> Result<Vec<Digest>, Error> {
        let sums = attest::parse_sums(&self.file(pack::EVIDENCE_SUMS)?)
            .map_err(|e| Error::Pack(format!("{}: {e}", pack::EVIDENCE_SUMS)))?;
        let mut digests = Vec::new();
        for (path, digest) in sums {
            if path == evidence_path(&digest) {
                digests.push(digest);
            } else if path != exchanges_path(&digest) {
                return Err(Error::Pack(format!("{}: '{path}' is not named by its digest", pack::EVIDENCE_SUMS)));
            }
        }
        digests.sort();
        Ok(digests)
    }
}

/// Path of a piece of evidence in a pack.
#[must_use]
pub fn evidence_path(digest: &Digest) -> String {
    format!("{}/{digest}.json", pack::EVIDENCE_DIR)
}

/// Path of a piece of evidence of an earlier run in a pack.
#[must_use]
pub fn prior_path(digest: &Digest) -> String {
    format!("{}/{digest}.json", pack::PRIOR_DIR)
}

/// Path of the signed claim of an earlier run.
pub(crate) fn prior_bundle_path(origin: &Digest) -> String {
    format!("{}/{origin}/{}", pack::PRIOR_DIR, pack::ASSESSMENT_BUNDLE)
}

/// Path of the list of evidence of an earlier run.
pub(crate) fn prior_sums_path(origin: &Digest) -> String {
    format!("{}/{origin}/{}", pack::PRIOR_DIR, pack::EVIDENCE_SUMS)
}

/// Path of a file of exchanges in a pack.
#[must_use]
pub fn exchanges_path(digest: &Digest) -> String {
    format!("{}/{digest}.bin", pack::EXCHANGES_DIR)
}
