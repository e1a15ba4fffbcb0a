//! Walks through places and reads what is in them, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use probe::{Cx, FileError, Metadata};
use zeroize::Zeroizing;

use super::certificate::{self, is_certificate};
use super::pem;
use super::places::{Certificates, Spot, by_name, named};
use super::private::{Public, is_private, of_der, of_pem};
use super::{age, jwk, pgp, pkcs12};
use crate::facts::{Certificate, Container, KeyFormat, NotRead, Outcome, Place, PublicKey};
use crate::root::{Root, is_missing, reason};

/// Bytes of one file, files in all, names in one folder, keys and certificates in all, places that configurations name.
const MOST_BYTES: usize = 1 << 20;
const MOST_FILES: usize = 50_000;
const MOST_NAMES: usize = 50_000;
const MOST_FOUND: usize = 100_000;
const MOST_NAMED: usize = 1000;
/// Time kept back for the rest of the probe.
const RESERVE: Duration = Duration::from_secs(2);

/// A file that was looked at.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) metadata: Metadata,
    pub(super) links: BTreeSet<String>,
    pub(super) certificates: Certificates,
}

/// A private key as found: its file, its place among the keys there, and what could be told.
pub(super) struct FoundKey {
    pub(super) path: String,
    pub(super) position: usize,
    pub(super) format: KeyFormat,
    pub(super) public: Result<Public, &'static str>,
}

/// What was found so far.
pub(super) struct Search<'a> {
    cx: &'a Cx,
    root: &'a Root,
    folders: BTreeSet<String>,
    pub(super) files: BTreeMap<String, File>,
    pub(super) places: Vec<Place>,
    pub(super) not_read: Vec<NotRead>,
    pub(super) keys: Vec<FoundKey>,
    pub(super) public_keys: Vec<PublicKey>,
    pub(super) containers: Vec<Container>,
    pub(super) certificates: Vec<Certificate>,
    pub(super) cut: bool,
    named: BTreeSet<String>,
    passphrase: Option<Zeroizing<String>>,
}

impl<'a> Search<'a> {
    pub(super) const fn new(cx: &'a Cx, root: &'a Root, passphrase: Option<Zeroizing<String>>) -> Self {
        Self {
            passphrase,
            cx,
            root,
            folders: BTreeSet::new(),
            files: BTreeMap::new(),
            places: vec![],
            not_read: vec![],
            keys: vec![],
            public_keys: vec![],
            containers: vec![],
            certificates: vec![],
            cut: false,
            named: BTreeSet::new(),
        }
    }

    /// Looks at these places, then at the files that configurations in them name.
    pub(super) async fn all(&mut self, spots: Vec<Spot>) {
        let known: BTreeSet<String> = spots.iter().map(|spot| spot.path.clone()).collect();
        for spot in spots {
            self.place(&spot).await;
        }
        for path in std::mem::take(&mut self.named) {
            if !self.files.contains_key(&path) && !known.contains(&path) {
                self.place(&Spot::named(path)).await;
            }
        }
    }

    async fn place(&mut self, spot: &Spot) {
        let (before, found_before) = (self.not_read.len(), self.files.len());
        let cut_before = std::mem::replace(&mut self.cut, false);
        let outcome = match self.root.resolve(self.cx, &spot.path).await {
            Ok((path, metadata, links)) if metadata.is_dir => {
                self.folder(spot, path, links).await;
                Outcome::Present
            }
            Ok((path, metadata, links)) => {
                self.file(spot, path, metadata, links).await;
                Outcome::Present
            }
            Err(e) if is_missing(&e) => Outcome::Absent,
            Err(e) => {
                self.unread(&spot.path, &e);
                Outcome::NotProven
            }
        };
        let unread = self.not_read.len().saturating_sub(before);
        let why = match self.not_read.get(before) {
            Some(first) if unread > 1 => Some(format!("{} and {} more: {}", first.name, unread - 1, first.why)),
            Some(first) => Some(format!("{}: {}", first.name, first.why)),
            None => self.cut.then(|| "it holds more than this program looks at, or there was no time left".to_owned()),
        };
        self.places.push(Place {
            name: spot.path.clone(),
            outcome: if why.is_some() { Outcome::NotProven } else { outcome },
            why,
            files: u32::try_from(self.files.len() - found_before).unwrap_or(u32::MAX),
        });
        self.cut |= cut_before;
    }

    async fn folder(&mut self, spot: &Spot, top: String, links: Vec<String>) {
        // Files found through a link to a folder are found by that link too.
        let mut todo = vec![(top, 0, links)];
        while let Some((folder, depth, via)) = todo.pop() {
            if !self.folders.insert(folder.clone()) {
                continue;
            }
            let listing = match self.cx.list_dir(self.root.path(&folder), MOST_NAMES).await {
                Ok(listing) => listing,
                Err(e) if is_missing(&e) => continue,
                Err(e) => {
                    self.unread(&folder, &e);
                    continue;
                }
            };
            self.cut |= listing.cut;
            for name in listing.names {
                let path = format!("{folder}/{name}");
                let (real, metadata, mut links) = match self.root.resolve(self.cx, &path).await {
                    Ok(found) => found,
                    // A link into nothing holds no key.
                    Err(e) if is_missing(&e) => continue,
                    Err(e) => {
                        self.unread(&path, &e);
                        continue;
                    }
                };
                let linked = !links.is_empty();
                if linked && spot.certificates == Certificates::Matching {
                    continue;
                }
                links.extend(via.iter().map(|link| format!("{link}/{name}")));
                if metadata.is_dir {
                    if depth < spot.depth {
                        todo.push((real, depth + 1, links));
                    } else if !spot.by_name {
                        self.not_read.push(NotRead::new(path, format!("more than {} folders deep", spot.depth)));
                    }
                } else if metadata.is_file && (!spot.by_name || by_name(&name)) {
                    self.file(spot, real, metadata, links).await;
                }
            }
        }
    }

    async fn file(&mut self, spot: &Spot, path: String, metadata: Metadata, links: Vec<String>) {
        if let Some(file) = self.files.get_mut(&path) {
            file.links.extend(links);
            return;
        }
        if self.files.len() >= MOST_FILES || self.keys.len() + self.certificates.len() >= MOST_FOUND {
            self.cut = true;
            return;
        }
        if self.cx.remaining() < RESERVE {
            self.cut = true;
            return;
        }
        if metadata.size > MOST_BYTES as u64 {
            if by_name(&path) || spot.path == path || links.contains(&spot.path) {
                self.not_read.push(NotRead::new(path, format!("longer than {MOST_BYTES} bytes")));
            }
            return;
        }
        let bytes = match self.cx.read_secret_file(self.root.path(&path), MOST_BYTES).await {
            Ok(bytes) => bytes,
            Err(e) if is_missing(&e) => return,
            Err(e) => {
                self.unread(&path, &e);
                return;
            }
        };
        self.read(spot, &path, &bytes);
        self.files.insert(path, File { metadata, links: links.into_iter().collect(), certificates: spot.certificates });
    }

    fn read(&mut self, spot: &Spot, path: &str, bytes: &[u8]) {
        let passphrase = self.passphrase.as_ref().map(|passphrase| passphrase.as_str());
        let blocks = pem::blocks(bytes, |label| is_private(label) || is_certificate(label));
        let (mut keys, mut certificates) = (Vec::new(), Vec::new());
        for block in &blocks {
            if is_private(&block.label) {
                keys.push(of_pem(block, passphrase));
            } else {
                certificates.push(certificate::read(block.content.as_ref().map(|content| content.as_slice())));
            }
        }
        if blocks.is_empty() && bytes.first() == Some(&0x30) {
            if let Some(store) = pkcs12::is_store(bytes).then(|| pkcs12::read(bytes, passphrase)).flatten() {
                keys.extend(store.keys.into_iter().map(|key| (KeyFormat::Pkcs12, key)));
                certificates.extend(store.certificates);
                self.containers.push(Container { name: path.to_owned(), ..store.container });
            } else {
                keys.extend(of_der(bytes, passphrase));
            }
            let whole = certificate::read(Some(bytes));
            if keys.is_empty() && certificates.is_empty() && whole.outcome == Outcome::Present {
                certificates.push(whole);
            }
        }
        if blocks.is_empty() {
            self.other_forms(path, bytes, &mut keys);
        }
        if keys.is_empty() && spot.certificates == Certificates::All {
            let paths = std::str::from_utf8(bytes).map(named).unwrap_or_default();
            self.named.extend(paths.into_iter().take(MOST_NAMED.saturating_sub(self.named.len())));
        }
        self.keys.extend(keys.into_iter().zip(1..).map(|((format, public), position)| FoundKey {
            path: path.to_owned(),
            position,
            format,
            public,
        }));
        self.certificates.extend(certificates.into_iter().zip(1u32..).map(|(certificate, position)| Certificate {
            name: numbered(path, position as usize),
            path: path.to_owned(),
            position,
            ..certificate
        }));
    }

    /// JWK, OpenPGP and age.
    fn other_forms(&mut self, path: &str, bytes: &[u8], keys: &mut Vec<(KeyFormat, Result<Public, &'static str>)>) {
        keys.extend(pgp::keys(bytes).into_iter().map(|key| (KeyFormat::OpenPgp, key)));
        keys.extend(age::identities(bytes).into_iter().map(|key| (KeyFormat::Age, key)));
        self.containers.extend(age::encrypted(bytes).map(|found| Container { name: path.to_owned(), ..found }));
        for (position, (private, key)) in (1..).zip(jwk::read(bytes)) {
            match key {
                Ok(key) if !private => self.public_keys.push(PublicKey {
                    name: numbered(path, position),
                    format: KeyFormat::Jwk,
                    key_type: key.key_type,
                    bits: key.bits,
                    curve: key.curve,
                    purpose: key.purpose,
                    key_id: key.key_id,
                    spki_sha256: key.spki,
                }),
                // A public half that can't be read is nobody's secret.
                Err(_) if !private => {}
                key => keys.push((KeyFormat::Jwk, key)),
            }
        }
    }

    fn unread(&mut self, path: &str, error: &FileError) {
        self.not_read.push(NotRead::new(path, reason(error)));
    }
}

/// `path`, or `path#2` for the second thing in it.
pub(super) fn numbered(path: &str, position: usize) -> String {
    if position > 1 { format!("{path}#{position}") } else { path.to_owned() }
}
