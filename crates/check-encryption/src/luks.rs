//! The probe `luks`: the header of a declared device, and those of the devices that hold declared paths.
//!
//! Nothing but headers is read (8 MiB at most), and nothing of wrapped keys, salts and digests is written down. Level
//! effective: what the header says is how the data are encrypted, for without it nothing can open them.

mod bytes;
pub(crate) mod cipher;
mod metadata;
mod signature;
mod v1;
mod v2;

use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, OpenFile, Plan, Probe};

use crate::disk::{self, SORT};
use crate::facts::{
    Asked, DiskSpec, Format, KeyDigest, Keyslot, Layer, LuksFacts, NotRead, Outcome, Part, PartState, Reencryption,
    Segment, Token, Volume,
};
use crate::mounts::storage;
use crate::root::{Root, why};

/// The magic of LUKS1 and of LUKS2's first copy.
const MAGIC: [u8; 6] = *b"LUKS\xba\xbe";
/// What cryptsetup-reencrypt(8) put in place of LUKS1's magic while it worked.
const IN_REENCRYPTION: [u8; 6] = *b"LUKS\xde\xad";
/// How long reading a header may take.
const WITHIN: Duration = Duration::from_secs(20);

/// Reads headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Luks {
    pub(crate) root: Root,
}

impl Probe for Luks {
    fn kind(&self) -> Kind {
        Kind::new("luks", Level::Effective)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(LuksFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        let files = disk::spec(target).ok().and_then(|spec| spec.device).into_iter().collect();
        Plan { files, ..Plan::default() }
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&self.look(&disk::spec(target)?, target, cx).await?) })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

impl Luks {
    async fn look(&self, spec: &DiskSpec, target: &Target, cx: &Cx) -> Result<LuksFacts, Failure> {
        let mut volumes = Vec::new();
        if let Some(device) = &spec.device {
            let fail = |class, why: String| Failure::new(class, format!("{}: {why}", target.name));
            let read = volume(cx, &self.root, device, true).await;
            volumes.push(read.map_err(|(class, why)| fail(class, why))?);
        }
        let mut not_read = Vec::new();
        for (path, layers) in storage::luks_layers(cx, &self.root, &spec.mounts, &target.name).await? {
            if layers.is_empty() {
                not_read.push(NotRead::new(path, "no LUKS device beneath it is shown"));
            }
            for layer in layers {
                if let Err(missing) = self.beneath(cx, &layer, &mut volumes).await
                    && !not_read.contains(&missing)
                {
                    not_read.push(missing);
                }
            }
        }
        let asked = if volumes.is_empty() { Asked::Only(vec![]) } else { Asked::All };
        Ok(LuksFacts { device: spec.device.clone(), asked, volumes, not_read })
    }

    /// The header that an open LUKS device came from, by its UUID; the declared device may be a detached header. One that
    /// was read already may be a copy: where that on the disk says something else, both count.
    async fn beneath(&self, cx: &Cx, layer: &Layer, volumes: &mut Vec<Volume>) -> Result<(), NotRead> {
        let same = |volume: &Volume| volume.uuid.is_some() && volume.uuid == layer.uuid;
        let mut found = volumes.iter().any(same);
        let mapped = format!("/dev/mapper/{}", layer.label.as_deref().unwrap_or(&layer.name));
        let slaves = self.root.path(format!("/sys/class/block/{}/slaves", layer.name));
        let slaves = cx.list_dir(slaves, 16).await.map_err(|e| NotRead::new(&mapped, why(&e)))?;
        for slave in &slaves.names {
            let read = volume(cx, &self.root, &format!("/dev/{slave}"), false).await;
            let read = read.map_err(|(_, why)| NotRead::new(&mapped, why))?;
            if same(&read) {
                found = true;
                if !volumes.iter().any(|volume| says_the_same(volume, &read)) {
                    volumes.push(read);
                }
            }
        }
        if found {
            return Ok(());
        }
        let beneath = slaves.names.join(", ");
        Err(NotRead::new(
            mapped,
            format!("its LUKS header is not on {beneath}; if it is detached, declare it as device"),
        ))
    }
}

/// Whether two headers say the same, wherever they lie.
fn says_the_same(one: &Volume, other: &Volume) -> bool {
    let (name, declared, bytes) = (one.name.clone(), one.declared, one.bytes);
    *one == Volume { name, declared, bytes, ..other.clone() }
}

/// Reads one device.
///
/// # Errors
/// Where it can't be opened or read.
pub(crate) async fn volume(cx: &Cx, root: &Root, path: &str, declared: bool) -> Result<Volume, (FailureClass, String)> {
    let mut seen = once(cx, root, path, declared).await?;
    // Its tool may just have been writing: what is hurt is read twice.
    if seen.parts.iter().any(|part| part.state != PartState::Whole) {
        seen = once(cx, root, path, declared).await?;
    }
    Ok(seen)
}

async fn once(cx: &Cx, root: &Root, path: &str, declared: bool) -> Result<Volume, (FailureClass, String)> {
    let file = cx.open_device(root.path(path), WITHIN).await.map_err(|e| (e.class, why(&e)))?;
    let name = path.to_owned();
    let work = move || {
        let mut file: OpenFile = file;
        examine(&mut file, name, declared)
    };
    let read = tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)));
    read.map_err(|e| (FailureClass::Unreadable, format!("{path}: {e}")))
}

/// What a header says, where one could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    version: u8,
    uuid: Option<String>,
    label: Option<String>,
    subsystem: Option<String>,
    segments: Vec<Segment>,
    keyslots: Vec<Keyslot>,
    digests: Vec<KeyDigest>,
    tokens: Vec<Token>,
    requirements: Vec<String>,
    flags: Vec<String>,
    reencryption: Reencryption,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            version: 0,
            uuid: None,
            label: None,
            subsystem: None,
            segments: vec![],
            keyslots: vec![],
            digests: vec![],
            tokens: vec![],
            requirements: vec![],
            flags: vec![],
            reencryption: Reencryption { outcome: Outcome::Absent, why: None, mode: None },
        }
    }
}

/// Reads what is there; pure but for the reading.
fn examine<R: Read + Seek>(volume: &mut R, name: String, declared: bool) -> io::Result<Volume> {
    let bytes = volume.seek(SeekFrom::End(0))?;
    let head = at(volume, 0, signature::WINDOW)?;
    let version = head.starts_with(&MAGIC).then(|| bytes::u16_at(&head, 6));
    let (parts, seen) = match version {
        Some(Some(1)) => v1::read(&head, bytes),
        Some(Some(2)) => v2::read(volume, bytes, true)?,
        Some(_) if v2::find(volume, None)?.is_some() => v2::read(volume, bytes, true)?,
        Some(version) => {
            let why = match version {
                Some(version) => format!("its version is {version}, which no LUKS has"),
                None => "it is cut off".to_owned(),
            };
            (vec![Part { why: Some(why), ..part("primary", 0) }], None)
        }
        None if head.starts_with(&IN_REENCRYPTION) => {
            let why = "its magic says that LUKS1 is being encrypted anew, or was when that broke off";
            (vec![Part { why: Some(why.to_owned()), ..part("primary", 0) }], None)
        }
        None => match (signature::of(&head), v2::find(volume, None)?) {
            (None, Some(_)) => v2::read(volume, bytes, false)?,
            (found, second) => return Ok(foreign(name, declared, bytes, found, second)),
        },
    };
    let format = match (&seen, signature::of(&head)) {
        // A header of LUKS1 fits before that of ext4: which of them is used can't be seen from here.
        (_, Some((other, false))) => {
            let why = format!("it bears the marks of LUKS and of {other}");
            let format = Format { outcome: Outcome::NotProven, why: Some(why.clone()), found: Some("LUKS".to_owned()) };
            return Ok(blank(name, declared, bytes, format, &why));
        }
        (Some(seen), _) => {
            let why = in_the_clear(volume, bytes, &seen.segments)?;
            let outcome = if why.is_some() { Outcome::Absent } else { Outcome::Present };
            Format { outcome, why, found: Some(format!("LUKS{}", seen.version)) }
        }
        (None, _) => {
            let why = "it bears the mark of LUKS, and no whole header".to_owned();
            Format { outcome: Outcome::NotProven, why: Some(why), found: Some("LUKS".to_owned()) }
        }
    };
    let mut facts = blank(name, declared, bytes, format, "no whole header could be read");
    facts.parts = parts;
    if let Some(seen) = seen {
        facts.asked = Asked::All;
        facts.version = Some(seen.version);
        facts.uuid = seen.uuid;
        facts.label = seen.label;
        facts.subsystem = seen.subsystem;
        facts.detached = Some(seen.segments.iter().any(|segment| segment.offset == 0 && segment.in_use));
        facts.segments = seen.segments;
        facts.keyslots = seen.keyslots;
        facts.digests = seen.digests;
        facts.tokens = seen.tokens;
        facts.requirements = seen.requirements;
        facts.flags = seen.flags;
        facts.reencryption = seen.reencryption;
    }
    Ok(facts)
}

/// What lies in the clear at the beginning of a range that the header calls encrypted. A range at 0 is on another device.
fn in_the_clear<R: Read + Seek>(volume: &mut R, bytes: u64, segments: &[Segment]) -> io::Result<Option<String>> {
    let crypt = |segment: &&Segment| segment.in_use && segment.kind == "crypt";
    for segment in segments.iter().filter(crypt).filter(|segment| segment.offset > 0 && segment.offset < bytes) {
        if let Some(found) = signature::in_the_clear(&at(volume, segment.offset, signature::WINDOW)?) {
            let header = "a header of LUKS, and the data are not encrypted";
            return Ok(Some(format!("{header}: {found} lies in the clear at byte {}", segment.offset)));
        }
    }
    Ok(None)
}

/// No header of LUKS where one begins.
fn foreign(name: String, declared: bool, bytes: u64, found: Option<(&str, bool)>, second: Option<u64>) -> Volume {
    let (outcome, mut why) = match found {
        Some((other, false)) => (Outcome::Absent, format!("not LUKS: {other}")),
        Some((other, true)) => (Outcome::NotProven, format!("not LUKS: {other}, which is not looked into")),
        None => {
            let why = "no format that this program knows; plain dm-crypt and VeraCrypt leave no mark, and neither does \
                       an empty disk";
            (Outcome::NotProven, why.to_owned())
        }
    };
    if let Some(offset) = second {
        why.push_str(&format!("; the second copy of a LUKS2 header is left at byte {offset}"));
    }
    let format = Format { outcome, why: Some(why), found: found.map(|(other, _)| other.to_owned()) };
    blank(name, declared, bytes, format, "it bears no header of LUKS")
}

/// Nothing but what it is.
fn blank(name: String, declared: bool, bytes: u64, format: Format, why: &str) -> Volume {
    Volume {
        name,
        declared,
        bytes,
        format,
        version: None,
        uuid: None,
        label: None,
        subsystem: None,
        parts: vec![],
        asked: Asked::Only(vec![]),
        detached: None,
        segments: vec![],
        keyslots: vec![],
        digests: vec![],
        tokens: vec![],
        requirements: vec![],
        flags: vec![],
        reencryption: Reencryption { outcome: Outcome::NotProven, why: Some(why.to_owned()), mode: None },
    }
}

/// A part of which nothing good is known yet.
fn part(name: &str, offset: u64) -> Part {
    Part {
        name: name.to_owned(),
        outcome: Outcome::Present,
        why: None,
        state: PartState::Damaged,
        offset,
        bytes: None,
        sequence: None,
        checksum: None,
        counts: false,
    }
}

/// Whether all wrapped keys lie on the volume; whether they are what they were, nothing can tell without a passphrase.
fn key_material(slots: &[Keyslot], volume: u64) -> Part {
    let areas = || slots.iter().filter_map(|slot| slot.area.as_ref().map(|area| (&slot.name, area)));
    let begin = areas().map(|(_, area)| area.offset).min().unwrap_or_default();
    let end = areas().map(|(_, area)| area.offset.saturating_add(area.bytes)).max().unwrap_or_default();
    let cut = areas().find(|(_, area)| area.offset.saturating_add(area.bytes) > volume);
    let (state, why) = match cut {
        Some((slot, _)) => (PartState::Damaged, format!("slot {slot} reaches beyond the end of the volume")),
        None => {
            (PartState::Unchecked, "wrapped keys have no checksum; only a passphrase shows that one is whole".into())
        }
    };
    Part { state, why: Some(why), bytes: Some(end.saturating_sub(begin)), ..part("key material", begin) }
}

/// So many bytes from an offset on; fewer at the end.
fn at<R: Read + Seek>(volume: &mut R, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    volume.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    volume.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
