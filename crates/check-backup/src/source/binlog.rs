//! Files of MariaDB's and MySQL's binary log: what each says of itself at its head, and how it ends
//! (<https://mariadb.com/kb/en/replication-protocol/>, "Binlog event header" and the pages of the events). Pure.

use std::collections::BTreeMap;

use crate::format::crc32;

/// Bytes of a file's head that are looked at: its description, and the list of positions, which has 16 bytes for each
/// server that ever wrote.
pub(crate) const HEAD: usize = 64 << 10;
/// Bytes of its tail: the last event names the next file, and a transaction stands before it.
pub(crate) const TAIL: usize = 64 << 10;

/// The four bytes that a file begins with.
const MAGIC: &[u8] = b"\xfebin";
/// Bytes of the header of an event: time, type, server, length, end, flags.
const HEADER: usize = 19;
/// Bytes of a checksum.
const SUM: usize = 4;
/// Seconds between the end of a file and the description of the one that it goes on in: a server makes both at once. A
/// disk that hangs, and a clock that is set, take some.
const AT_ONCE: i64 = 600;

/// Types of events.
const STOP: u8 = 3;
const ROTATE: u8 = 4;
const FORMAT_DESCRIPTION: u8 = 15;
const GTID: u8 = 162;
const GTID_LIST: u8 = 163;
const START_ENCRYPTION: u8 = 164;

/// For each domain and server the sequence number of the last transaction (MariaDB's GTID).
pub(crate) type Positions = BTreeMap<(u32, u32), u64>;

/// What the head of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Whether its events carry checksums.
    checksums: bool,
    /// Whether what follows is encrypted, so that no event can be read.
    pub(crate) encrypted: bool,
    /// Where all files before it ended; nothing where it does not say.
    pub(crate) before: Option<Positions>,
    /// When it was begun, in seconds since 1970.
    begun: u32,
    /// The server that wrote it.
    server: u32,
}

/// How a file ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    /// With which event.
    pub(crate) end: End,
    /// When that was, in seconds since 1970; 0 where it does not end.
    at: u32,
    /// Domain, server and number of the last transaction, where the end of the file shows it.
    gtid: Option<((u32, u32), u64)>,
}

/// The last event of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It goes on in the file of that name.
    Rotates(String),
    /// The server was shut down.
    Stops,
    /// With neither: it is being written, its server died, or it was cut.
    Open,
}

/// One event.
struct Event<'b> {
    kind: u8,
    length: usize,
    at: u32,
    server: u32,
    /// Without header and checksum.
    body: &'b [u8],
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The length and the end of the event whose header that is.
fn header(bytes: &[u8]) -> Option<(usize, u32)> {
    let length = usize::try_from(u32::from_le_bytes(number(bytes, 9)?)).ok()?;
    Some((length, u32::from_le_bytes(number(bytes, 13)?)))
}

/// The event at that place, where all of it is there and its checksum agrees.
fn event(bytes: &[u8], at: usize, checksums: bool) -> Option<Event<'_>> {
    let rest = bytes.get(at..)?;
    let (length, _) = header(rest)?;
    let whole = rest.get(..length)?;
    let kind = *whole.get(4)?;
    let (time, server) = (u32::from_le_bytes(number(whole, 0)?), u32::from_le_bytes(number(whole, 5)?));
    let sum = if checksums { SUM } else { 0 };
    let body = whole.get(HEADER..length.checked_sub(sum)?)?;
    if checksums {
        let mut covered = whole.get(..length - SUM)?.to_vec();
        if kind == FORMAT_DESCRIPTION {
            // A server marks the file that it writes by a flag, which its checksum leaves out.
            *covered.get_mut(17)? &= !1;
        }
        if crc32(&covered) != u32::from_le_bytes(number(whole, length - SUM)?) {
            return None;
        }
    }
    Some(Event { kind, length, at: time, server, body })
}

/// Reads the head of a file.
///
/// # Errors
/// Why it is none.
pub(crate) fn head(bytes: &[u8]) -> Result<Head, String> {
    if !bytes.starts_with(MAGIC) {
        return Err("it does not begin as a binary log does".to_owned());
    }
    let described = || "its description, the first event, is damaged".to_owned();
    let first = MAGIC.len();
    let (length, _) = bytes.get(first..).and_then(header).ok_or_else(described)?;
    // The description ends with the sort of checksum that all events carry, and always with one of its own.
    let sort = first.checked_add(length).and_then(|end| end.checked_sub(SUM + 1)).and_then(|at| bytes.get(at));
    let checksums = match sort {
        Some(0) => false,
        Some(1) => true,
        _ => return Err("its events carry checksums of a sort that is not known here".to_owned()),
    };
    let description = event(bytes, first, true).filter(|e| e.kind == FORMAT_DESCRIPTION).ok_or_else(described)?;
    let (begun, server) = (description.at, description.server);
    let mut head = Head { checksums, encrypted: false, before: None, begun, server };
    // A few events of this sort stand in front of the first transaction.
    let mut at = first + description.length;
    while let Some(event) = event(bytes, at, checksums).filter(|event| event.length >= HEADER) {
        match event.kind {
            START_ENCRYPTION => {
                head.encrypted = true;
                break;
            }
            GTID_LIST => {
                head.before = positions(event.body);
                break;
            }
            _ => at += event.length,
        }
    }
    Ok(head)
}

/// The list of positions: how many, then domain, server and sequence number of each.
fn positions(body: &[u8]) -> Option<Positions> {
    // The highest four bits are flags.
    let count = usize::try_from(u32::from_le_bytes(number(body, 0)?) & 0x0fff_ffff).ok()?;
    let list = body.get(4..count.checked_mul(16)?.checked_add(4)?)?;
    let one = |entry: &[u8]| {
        let of = (u32::from_le_bytes(number(entry, 0)?), u32::from_le_bytes(number(entry, 4)?));
        Some((of, u64::from_le_bytes(number(entry, 8)?)))
    };
    list.chunks_exact(16).map(one).collect()
}

impl Head {
    /// How a file of that many bytes ends, from its last bytes.
    pub(crate) fn end(&self, tail: &[u8], length: u64) -> Last {
        // The place in an event's header has 32 bits.
        let place = u32::try_from(length & u64::from(u32::MAX)).unwrap_or_default();
        let open = Last { end: End::Open, at: 0, gtid: None };
        let Some(last) = self.ending(tail, place) else { return open };
        let end = match last.kind {
            STOP => End::Stops,
            // Eight bytes tell the place in the next file; its name follows.
            ROTATE => {
                let name = last.body.get(8..).and_then(|name| std::str::from_utf8(name).ok());
                name.map_or(End::Open, |name| End::Rotates(base(name).to_owned()))
            }
            _ => return open,
        };
        Last { end, at: last.at, gtid: self.last_gtid(tail, place) }
    }

    /// The event that these bytes end with; the last of them stands before `place` in the file.
    fn ending<'b>(&self, bytes: &'b [u8], place: u32) -> Option<Event<'b>> {
        let sum = if self.checksums { SUM } else { 0 };
        let fits = |at: &usize| {
            bytes.get(*at..).and_then(header).is_some_and(|(size, end)| size == bytes.len() - at && end == place)
        };
        let starts = (0..(bytes.len() + 1).saturating_sub(HEADER + sum)).rev();
        starts.filter(fits).find_map(|at| event(bytes, at, self.checksums))
    }

    /// The last transaction that these bytes show: body with number, domain and flags (MariaDB's `Gtid_log_event`).
    fn last_gtid(&self, mut bytes: &[u8], mut place: u32) -> Option<((u32, u32), u64)> {
        loop {
            let event = self.ending(bytes, place)?;
            if event.kind == GTID {
                let (sequence, domain) = (number(event.body, 0)?, number(event.body, 8)?);
                return Some(((u32::from_le_bytes(domain), event.server), u64::from_le_bytes(sequence)));
            }
            bytes = bytes.get(..bytes.len() - event.length)?;
            place = place.wrapping_sub(u32::try_from(event.length).ok()?);
        }
    }
}

/// Whether an event begins at `place` whose header these bytes are.
pub(crate) fn begins(bytes: &[u8], place: u64) -> bool {
    header(bytes).is_some_and(|(length, end)| {
        let after = place.saturating_add(length as u64) & u64::from(u32::MAX);
        length >= HEADER && u64::from(end) == after
    })
}

/// The name without the folders before it.
pub(crate) fn base(path: &str) -> &str {
    path.trim_start_matches("./").rsplit('/').next().unwrap_or_default()
}

/// The number of a file of the binary log, and what stands in front of it: `mysql-bin.000042`.
pub(crate) fn numbered(name: &str) -> Option<(&str, u64)> {
    let (before, digits) = name.rsplit_once('.')?;
    let all = digits.len() >= 6 && digits.bytes().all(|digit| digit.is_ascii_digit());
    Some((before, all.then(|| digits.parse().ok())??))
}

/// Why one file does not go on where the other ends, or `Err` with why that is not known.
pub(crate) fn link(one: &(String, Head, Last), next: &(String, Head, Last)) -> Result<Option<String>, String> {
    let (name, head, last) = one;
    let (after, follows, _) = next;
    if head.encrypted || follows.encrypted {
        return Err(format!("{name} or {after} is encrypted, so that nothing shows whether they follow each other"));
    }
    match &last.end {
        End::Rotates(wanted) if wanted != after => {
            return Ok(Some(format!("{name} goes on in {wanted}, and {after} is what follows")));
        }
        End::Open => return Err(format!("{name} does not end as a whole file does: it was cut, or its server died")),
        End::Rotates(_) | End::Stops => {}
    }
    if let (Some(before), Some(later)) = (&head.before, &follows.before) {
        let known = before.iter().map(|(of, at)| (*of, *at));
        if let Some(why) = forgotten(name, known, after, later)? {
            return Ok(Some(why));
        }
        // What it ends with is where the next one begins, and not before nor after.
        if let Some(((domain, server), at)) = last.gtid {
            match later.get(&(domain, server)) {
                Some(known) if *known == at => {}
                Some(_) => {
                    return Ok(Some(format!(
                        "{name} ends with the transaction {domain}-{server}-{at}, and {after} does not begin there: it is \
                         of another history"
                    )));
                }
                None => return forgotten(name, std::iter::once(((domain, server), at)), after, later),
            }
        }
    }
    if head.server != follows.server {
        let (one, other) = (head.server, follows.server);
        return Err(format!("{name} was written by the server {one}, and {after} by the server {other}"));
    }
    let pause = i64::from(follows.begun) - i64::from(last.at);
    if pause < -AT_ONCE || (pause > AT_ONCE && last.end != End::Stops) {
        let side = if pause < 0 { "before" } else { "after" };
        let pause = pause.abs();
        return Err(format!("{after} was begun {pause} s {side} {name} ended: it may be of another server"));
    }
    Ok(None)
}

/// Of those transactions one that a later file should know of.
fn forgotten(
    name: &str,
    transactions: impl Iterator<Item = ((u32, u32), u64)>,
    after: &str,
    later: &Positions,
) -> Result<Option<String>, String> {
    let mut unknown = None;
    for ((domain, server), at) in transactions {
        let of = format!("{domain}-{server}-{at}, which {name} knows of");
        match later.get(&(domain, server)) {
            Some(known) if *known >= at => {}
            // Of a domain all servers are remembered.
            None if !later.keys().any(|(known, _)| *known == domain) => {
                // FLUSH BINARY LOGS DELETE_DOMAIN_ID and RESET MASTER forget whole domains.
                unknown.get_or_insert_with(|| format!("{after} does not tell of {of}"));
            }
            _ => return Ok(Some(format!("{after} does not know {of}: it is of another history"))),
        }
    }
    unknown.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests;
