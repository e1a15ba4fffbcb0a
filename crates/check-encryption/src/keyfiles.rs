//! Which private keys and certificates lie in the usual places, who may read them, and which belong together.

mod age;
mod beside;
mod certificate;
mod der;
mod jwk;
mod marks;
mod openssh;
mod pem;
mod pgp;
mod pkcs12;
mod places;
mod private;
mod protection;
mod search;

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Metadata, Plan, Probe};

use zeroize::Zeroizing;

use self::marks::Marks;
pub(crate) use self::marks::of_modulus;
use self::places::{Certificates, Spot};
use self::private::Public;
use self::search::{File, FoundKey, Search, numbered};
use crate::access::{self, Ways};
use crate::facts::{Asked, Certificate, CertificateRef, Key, KeyFileTarget, KeyFilesFacts, Mark, Outcome};
use crate::root::Root;

/// Looks for key and certificate files. Secrets are wiped from memory once read, and never written down.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyFiles {
    root: Root,
}

impl Probe for KeyFiles {
    fn kind(&self) -> Kind {
        Kind::new("keyfiles", Level::Effective)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(KeyFilesFacts)
    }

    fn plan(&self, _target: &Target) -> Plan {
        let mut files: Vec<String> = places::usual().into_iter().map(|spot| format!("{}/", spot.path)).collect();
        files.extend(["/etc/passwd", "/etc/group"].map(str::to_owned));
        Plan { files, ..Plan::default() }
    }

    fn observe<'a>(&'a self, _target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&self.look(cx, places::usual(), None).await) })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

/// The sort of target of declared key files.
pub(crate) const SORT: &str = "keyfile";

/// Looks at key files that the inventory names; the same kind of evidence as [`KeyFiles`].
#[derive(Clone, Debug, Default)]
pub(crate) struct DeclaredKeyFiles;

impl Probe for DeclaredKeyFiles {
    fn kind(&self) -> Kind {
        KeyFiles::default().kind()
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        KeyFiles::default().schema()
    }

    fn plan(&self, target: &Target) -> Plan {
        let path = target.subject.spec.get("path").and_then(|path| path.as_str()).unwrap_or_default();
        Plan { files: [path, "/etc/passwd", "/etc/group"].map(str::to_owned).into(), ..Plan::default() }
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let failure = |class, what: String| Failure::new(class, format!("{}: {what}", target.name));
            let spec: KeyFileTarget = serde_json::from_value(target.subject.spec.clone()).map_err(|e| {
                failure(FailureClass::Unreadable, format!("its parameters are not those of key files: {e}"))
            })?;
            let passphrase = match &spec.passphrase {
                Some(reference) => Some(cx.secret(reference).await?),
                None => None,
            };
            let path = spec.path.trim_end_matches('/');
            let facts = KeyFiles::default().look(cx, vec![Spot::declared(path)], passphrase).await;
            // Something is declared to be there: nothing found would prove nothing, and must not pass.
            if facts.places.iter().all(|place| place.outcome == Outcome::Absent) {
                let what =
                    format!("{path}: there is no such file or folder; is the path right, and seen from this machine?");
                return Err(failure(FailureClass::Missing, what));
            }
            let found = facts.keys.len() + facts.certificates.len() + facts.public_keys.len() + facts.containers.len();
            if found == 0 && facts.not_read.is_empty() && !facts.cut {
                let what = format!("{path}: no key or certificate in it is in a form that this program knows");
                return Err(failure(FailureClass::Unreadable, what));
            }
            probe::facts(&facts)
        })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

impl KeyFiles {
    async fn look(&self, cx: &Cx, spots: Vec<Spot>, passphrase: Option<Zeroizing<String>>) -> KeyFilesFacts {
        let mut search = Search::new(cx, &self.root, passphrase);
        search.all(spots).await;
        let marks = Marks::new(cx, &self.root);
        let mut ways = Ways::default();
        let mut folders: BTreeMap<String, Option<Metadata>> = BTreeMap::new();
        let users = names(&self.root.text(cx, "/etc/passwd", 4 << 20).await.unwrap_or_default());
        let groups = names(&self.root.text(cx, "/etc/group", 4 << 20).await.unwrap_or_default());

        let mut keys = Vec::new();
        let mut in_file: BTreeMap<String, usize> = BTreeMap::new();
        for found in &search.keys {
            *in_file.entry(found.path.clone()).or_default() += 1;
        }
        for mut found in search.keys {
            let Some(file) = search.files.get(&found.path) else { continue };
            let folder = found.path.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
            if !folders.contains_key(folder) {
                folders.insert(folder.to_owned(), cx.metadata(self.root.path(folder)).await.ok());
            }
            let folder = folders.get(folder).and_then(Option::as_ref);
            let mut public_from = None;
            if let Ok(public) = &mut found.public
                && public.is_hidden()
                && in_file.get(&found.path) == Some(&1)
                && let Some((path, beside)) = beside::public(cx, &self.root, &found.path).await
            {
                *public = Public { encrypted: true, protection: public.protection.take(), ..beside };
                public_from = Some(path);
            }
            let marks = marks.of(found.public.as_ref().ok()).await;
            let mut key = describe(found, file, folder, marks);
            key.public_from = public_from;
            key.owner = users.get(&key.uid).cloned();
            key.group = groups.get(&key.gid).cloned();
            self.access(cx, &mut ways, &mut key, &groups).await;
            keys.push(key);
        }
        let mut certificates = search.certificates;
        for certificate in &mut certificates {
            certificate.links = links(search.files.get(&certificate.path));
        }
        join(&mut keys, &mut certificates);
        certificates.retain(|certificate| match search.files.get(&certificate.path).map(|file| file.certificates) {
            Some(Certificates::Matching) => certificate.key_matches.is_some(),
            Some(Certificates::Linked) => !certificate.links.is_empty(),
            _ => true,
        });
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        copies(&mut keys);
        search.public_keys.sort_by(|a, b| a.name.cmp(&b.name));
        search.containers.sort_by(|a, b| a.name.cmp(&b.name));
        certificates.sort_by(|a, b| (&a.path, a.position).cmp(&(&b.path, b.position)));

        let read = |outcome| outcome != Outcome::NotProven;
        let whole = search.not_read.is_empty() && !search.cut && search.places.iter().all(|place| read(place.outcome));
        let searched = search.places.iter().filter(|place| read(place.outcome)).map(|place| place.name.clone());
        KeyFilesFacts {
            asked: if whole { Asked::All } else { Asked::Only(searched.collect()) },
            places: search.places,
            keys,
            public_keys: search.public_keys,
            containers: search.containers,
            certificates,
            not_read: search.not_read,
            cut: search.cut,
        }
    }
}

impl KeyFiles {
    /// Who beside owner and group may read, write or replace a key's file.
    async fn access(&self, cx: &Cx, ways: &mut Ways, key: &mut Key, groups: &BTreeMap<u32, String>) {
        match access::of(&self.root, cx, &key.path).await {
            Ok(grants) => {
                let name = |grant: &access::Grant| match (grant.is_group, groups.get(&grant.id)) {
                    (true, Some(group)) => group.clone(),
                    (true, None) => format!("group {}", grant.id),
                    (false, _) => format!("account {}", grant.id),
                };
                let others: Vec<_> = grants.iter().filter(|g| g.is_group || g.id != 0 && g.id != key.uid).collect();
                key.acl_readers = others.iter().filter(|grant| grant.read).map(|grant| name(grant)).collect();
                key.acl_writers = others.iter().filter(|grant| grant.write).map(|grant| name(grant)).collect();
            }
            Err(why) => key.access_unknown = Some(why),
        }
        for path in std::iter::once(&key.path).chain(&key.links) {
            match ways.open(&self.root, cx, path, key.uid).await {
                Ok(open) => key.open_folders.extend(open),
                Err(why) => key.access_unknown = Some(why),
            }
        }
        key.open_folders.sort();
        key.open_folders.dedup();
    }
}

fn describe(found: FoundKey, file: &File, folder: Option<&Metadata>, marks: Vec<Mark>) -> Key {
    let (outcome, why, public) = match found.public {
        Ok(public) => (Outcome::Present, None, Some(public)),
        Err(why) => (Outcome::NotProven, Some(why.to_owned()), None),
    };
    let encrypted = public.as_ref().map(|public| public.encrypted);
    let public = public.unwrap_or_default();
    let may = |bit: u32| file.metadata.mode & bit != 0;
    Key {
        name: numbered(&found.path, found.position),
        path: found.path,
        links: links(Some(file)),
        outcome,
        why,
        format: found.format,
        encrypted,
        protection: public.protection,
        key_type: public.key_type,
        algorithm: public.algorithm,
        bits: public.bits,
        curve: public.curve,
        exponent: public.exponent,
        purpose: public.purpose,
        key_id: public.key_id,
        spki_sha256: public.spki,
        public_from: None,
        marks,
        copies: vec![],
        created: public.created,
        modified: Timestamp::from_second(file.metadata.modified).map(|time| time.to_string()).unwrap_or_default(),
        mode: octal(&file.metadata),
        owner: None,
        group: None,
        uid: file.metadata.uid,
        gid: file.metadata.gid,
        group_readable: may(0o040),
        world_readable: may(0o004),
        group_writable: may(0o020),
        world_writable: may(0o002),
        folder_world_writable: folder.is_some_and(|folder| folder.mode & 0o002 != 0),
        folder_mode: folder.map(octal),
        acl_readers: vec![],
        acl_writers: vec![],
        open_folders: vec![],
        access_unknown: None,
        certificate: None,
    }
}

fn octal(metadata: &Metadata) -> String {
    format!("{:04o}", metadata.mode)
}

fn links(file: Option<&File>) -> Vec<String> {
    file.map(|file| file.links.iter().cloned().collect()).unwrap_or_default()
}

/// Names, for each key, the others with the same public half.
fn copies(keys: &mut [Key]) {
    let mut by_half: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for key in keys.iter() {
        if let Some(spki) = &key.spki_sha256 {
            by_half.entry(spki.clone()).or_default().push(key.name.clone());
        }
    }
    for key in keys {
        let same = key.spki_sha256.as_ref().and_then(|spki| by_half.get(spki)).into_iter().flatten();
        key.copies = same.filter(|name| **name != key.name).take(MOST_COPIES).cloned().collect();
    }
}

/// Copies of one key that are named.
const MOST_COPIES: usize = 10;

/// Brings keys and certificates together by their public halves. Of several certificates for one key the one that
/// begins last is named.
fn join(keys: &mut [Key], certificates: &mut [Certificate]) {
    let mut by_key: BTreeMap<&str, &Key> = BTreeMap::new();
    for key in keys.iter() {
        if let Some(spki) = &key.spki_sha256 {
            by_key.entry(spki).or_insert(key);
        }
    }
    let mut newest: BTreeMap<String, (Option<String>, CertificateRef)> = BTreeMap::new();
    for certificate in certificates {
        let Some(spki) = &certificate.spki_sha256 else { continue };
        let Some(key) = by_key.get(spki.as_str()) else { continue };
        certificate.key_matches = Some(key.path.clone());
        let its = CertificateRef { path: certificate.path.clone(), sha256: certificate.sha256.clone() };
        let candidate = (certificate.not_before.clone(), its);
        match newest.get_mut(spki) {
            Some(best) if best.0 >= candidate.0 => {}
            Some(best) => *best = candidate,
            None => {
                newest.insert(spki.clone(), candidate);
            }
        }
    }
    for key in keys {
        key.certificate =
            key.spki_sha256.as_ref().and_then(|spki| newest.get(spki)).map(|(_, certificate)| certificate.clone());
    }
}

/// Number → name of passwd(5) or group(5): the first and third field of each line.
fn names(text: &str) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(number)) = (fields.next(), fields.nth(1).and_then(|number| number.parse().ok())) {
            names.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests;
