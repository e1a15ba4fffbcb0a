//! The binary log of MariaDB or MySQL beside copies: whether its files follow each other, and whether it holds the place
//! at which the newest copy was taken, so that what happened since can be restored too.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use jiff::Timestamp;
use probe::{Cx, OpenFile};

use super::chain::{PACKED, Pair};
use crate::facts::{Continuity, Outcome, Snapshot};
use crate::format::Format;
use crate::pattern;
use crate::source::binlog::{HEAD, Head, Last, TAIL, base, begins, head, link, numbered};

/// Files that are looked into.
const MOST_FILES: usize = 10_000;
/// Bytes of an index.
const MOST_INDEX: usize = 4 << 20;

/// What is there.
struct Held {
    /// Names without endings of compression, and paths, by what stands before the number, then by number.
    files: BTreeMap<(String, u64), (String, String)>,
    indexes: Vec<String>,
}

/// Looks through the files that match.
pub(super) async fn archive(cx: &Cx, pattern: &str, copies: &[Pair<'_>]) -> Vec<Continuity> {
    let name = format!("binlog {pattern}");
    let not = |outcome, why: String| vec![continuity(name.clone(), outcome, Some(why))];
    let paths = match pattern::matches(cx, pattern).await {
        Ok(paths) => paths,
        Err(e) => return not(Outcome::NotProven, e.to_string()),
    };
    let mut held = Held { files: BTreeMap::new(), indexes: Vec::new() };
    for path in paths {
        let file = base(&path);
        let bare = PACKED.iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file).to_owned();
        if file.ends_with(".index") {
            held.indexes.push(path);
        } else if let Some((before, number)) = numbered(&bare) {
            held.files.insert((before.to_owned(), number), (bare, path));
        }
    }
    if held.files.is_empty() {
        return not(Outcome::Absent, "no file of a binary log matches".to_owned());
    }
    if held.files.len() > MOST_FILES {
        return not(Outcome::NotProven, format!("more than {MOST_FILES} files match"));
    }
    let (outcome, why) = match unbroken(cx, &held).await {
        Ok(None) => (Outcome::Present, None),
        Ok(Some(why)) => (Outcome::Absent, Some(why)),
        Err(why) => (Outcome::NotProven, Some(why)),
    };
    let mut names = held.files.values().map(|(bare, _)| bare.clone());
    let (first, last) = (names.next(), names.next_back());
    let log = Continuity { to: last.or_else(|| first.clone()), from: first, ..continuity(name, outcome, why) };
    let of_copy = newest(copies).map(|copy| place(cx, &held, copy));
    let of_copy = match of_copy {
        Some(place) => Some(place.await),
        None => None,
    };
    std::iter::once(log).chain(of_copy).collect()
}

fn continuity(name: String, outcome: Outcome, why: Option<String>) -> Continuity {
    Continuity { name, outcome, why, from: None, to: None }
}

/// Whether nothing is missing between the first and the last file: what is, or `Err` with why that is not known.
async fn unbroken(cx: &Cx, held: &Held) -> Result<Option<String>, String> {
    for index in &held.indexes {
        let text = cx.read_file(index, MOST_INDEX).await.map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let known = |line: &str| numbered(base(line)).is_some_and(|(b, n)| held.files.contains_key(&(b.to_owned(), n)));
        if let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty() && !known(line)) {
            return Ok(Some(format!("{}, which {} names, is not there", base(line), base(index))));
        }
    }
    for (((before, number), _), ((next, follows), (after, _))) in held.files.iter().zip(held.files.iter().skip(1)) {
        if before != next {
            return Err(format!("the files are of several logs: {before} and {next}; write a pattern for one of them"));
        }
        if number + 1 != *follows {
            let missing = follows - number - 1;
            return Ok(Some(format!("{missing} file(s) before {after} are missing")));
        }
    }
    // A break that is certain outweighs what is not known.
    let (mut last, mut unknown) = (None::<(String, Head, Last)>, None);
    for (bare, path) in held.files.values() {
        let seen = match look(cx, bare, path).await {
            Ok(seen) => seen,
            Err(Ok(why)) => return Ok(Some(format!("{bare}: {why}"))),
            Err(Err(why)) => {
                unknown.get_or_insert_with(|| format!("{bare}: {why}"));
                last = None;
                continue;
            }
        };
        let this = (bare.clone(), seen.0, seen.1);
        match last.as_ref().map_or(Ok(None), |before| link(before, &this)) {
            Ok(None) => {}
            Ok(Some(why)) => return Ok(Some(why)),
            Err(why) => drop(unknown.get_or_insert(why)),
        }
        last = Some(this);
    }
    unknown.map_or(Ok(None), Err)
}

/// The head of a file, and how it ends. `Err(Ok(_))`: it is damaged. `Err(Err(_))`: it can't be looked at.
async fn look(cx: &Cx, bare: &str, path: &str) -> Result<(Head, Last), Result<String, String>> {
    if base(path) != bare {
        return Err(Err("it is compressed, so that nothing shows whether it is whole".to_owned()));
    }
    let mut file = cx.open_file(path, cx.remaining()).await.map_err(|e| Err(e.message))?;
    let work = tokio::task::spawn_blocking(move || {
        let start = read(&mut file, 0, HEAD)?;
        let length = file.seek(SeekFrom::End(0))?;
        let tail = read(&mut file, length.saturating_sub(TAIL as u64), TAIL)?;
        // One that is written to meanwhile ends elsewhere by now, and is open.
        Ok::<_, io::Error>((start, tail, length))
    });
    let read = work.await.unwrap_or_else(|e| Err(io::Error::other(e)));
    let (start, tail, length) = read.map_err(|e| Err(e.to_string()))?;
    let head = head(&start).map_err(Ok)?;
    let end = head.end(&tail, length);
    Ok((head, end))
}

/// At most so many bytes from a place on.
fn read(file: &mut OpenFile, from: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The newest copy of MariaDB or MySQL, and where in the binary log it was taken.
fn newest<'a>(copies: &'a [Pair<'_>]) -> Option<(&'a Snapshot, Option<&'a (String, u64)>)> {
    let at = |copy: &Snapshot| copy.recovery_point.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
    let of_server = |format| matches!(format, Format::MysqlDump | Format::Mariabackup | Format::Xbstream);
    let fitting = copies.iter().filter(|(copy, seen)| of_server(seen.format) && copy.outcome == Outcome::Present);
    let (copy, seen) = fitting.max_by_key(|(copy, _)| at(copy))?;
    Some((copy, seen.binlog.as_ref()))
}

/// Whether the place at which a copy was taken is held.
async fn place(cx: &Cx, held: &Held, (copy, place): (&Snapshot, Option<&(String, u64)>)) -> Continuity {
    let said = |outcome, why: Option<String>| continuity(format!("binlog since {}", copy.name), outcome, why);
    let Some((file, at)) = place else {
        let why = "it does not say where in the binary log it was taken (mariadb-dump --master-data=2)";
        return said(Outcome::NotProven, Some(why.to_owned()));
    };
    let name = base(file);
    let known = numbered(name).and_then(|(before, number)| held.files.get(&(before.to_owned(), number)));
    let Some((_, path)) = known else {
        let why = format!("{name}, in which it was taken, is not there: what happened since can't be restored");
        return said(Outcome::Absent, Some(why));
    };
    let (outcome, why) = match event_at(cx, name, path, *at).await {
        Ok(true) => (Outcome::Present, None),
        Ok(false) => (Outcome::Absent, Some(format!("no event of {name} begins at {at}, where it was taken"))),
        Err(why) => (Outcome::NotProven, Some(format!("{name}: {why}"))),
    };
    let to = held.files.last_key_value().map(|(_, (bare, _))| bare.clone());
    Continuity { from: Some(format!("{name}:{at}")), to, ..said(outcome, why) }
}

/// Whether an event begins at that place, or the file ends there.
async fn event_at(cx: &Cx, bare: &str, path: &str, at: u64) -> Result<bool, String> {
    let (head, _) = look(cx, bare, path).await.map_err(|why| why.unwrap_or_else(|why| why))?;
    if head.encrypted {
        return Err("it is encrypted".to_owned());
    }
    let mut file = cx.open_file(path, cx.remaining()).await.map_err(|e| e.message)?;
    let work = tokio::task::spawn_blocking(move || {
        let length = file.seek(SeekFrom::End(0))?;
        let bytes = if at < length { read(&mut file, at, 64)? } else { Vec::new() };
        Ok::<_, io::Error>(at == length || begins(&bytes, at))
    });
    work.await.unwrap_or_else(|e| Err(io::Error::other(e))).map_err(|e| e.to_string())
}
