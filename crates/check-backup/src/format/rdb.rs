//! Snapshots of Redis (RDB versions 1 to 12) and Valkey (`src/rdb.h` and `src/rdb.c` of both).
//!
//! Since version 5 a CRC-64 covers every byte; it is 0 where the server was told not to calculate it.

use super::checksum::{Algorithm, hex};
use super::input::{Halt, Input, Step};
use super::{Depth, Inspection, text, times};

/// Auxiliary texts that are kept; longer ones are passed over.
const KEPT: u64 = 4096;

/// A length, or a number that is encoded in place of a text.
enum Length {
    Plain(u64),
    Encoded(u8),
}

/// Walks through all records. [`Depth::Head`] reads the auxiliary fields at the beginning only.
pub(super) fn walk(input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    let bounds = input.meter().bounds();
    input.tap(Algorithm::Crc64.start());
    let magic = input.array::<9>()?;
    let digits = magic.strip_prefix(b"REDIS").or_else(|| magic.strip_prefix(b"VALKEY")).unwrap_or_default();
    let version: u32 = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Halt::damaged("the version after the magic is no number"))?;
    let redis = magic.starts_with(b"REDIS");
    if version == 0 || (redis && version > 12) || (!redis && version > 80) {
        return Err(Halt::not_proven(format!("RDB version {version} is not known here")));
    }
    let (mut keys, mut records) = (0_u64, 0_u64);
    loop {
        records += 1;
        if records > bounds.entries {
            return Err(Halt::not_proven(format!("bound reached: {} records", bounds.entries)));
        }
        let at = input.position();
        match input.byte()? {
            0xff => break,
            0xfa => auxiliary(input, seen)?,
            _ if depth == Depth::Head => {
                return Err(Halt::not_proven("only the head was read: an RDB shows its end when all of it is read"));
            }
            0xfe => {
                let number = length(input)?;
                seen.database(&number.to_string(), bounds.names);
            }
            0xfb => lengths(input, 2)?,
            0xfd => input.pass(4)?,
            0xfc => input.pass(8)?,
            0xf8 => lengths(input, 1)?,
            0xf9 => input.pass(1)?,
            0xf7 => {
                lengths(input, 3)?; // module, opcode of the moment, moment
                module(input)?;
            }
            0xf5 => string(input)?, // a library of functions
            0xf4 => lengths(input, 3)?,
            kind => {
                string(input)?;
                value(input, kind, at)?;
                keys += 1;
                seen.counts.keys = Some(keys);
            }
        }
    }
    seen.counts.keys = Some(keys);
    let sum = input.untap();
    if version < 5 {
        return ended(input, "the record of the end was reached; this version has no checksum");
    }
    let told: Vec<u8> = input.array::<8>()?.into_iter().rev().collect();
    if told.iter().all(|byte| *byte == 0) {
        return ended(input, "the record of the end was reached; the server was told to write no checksum");
    }
    if told != sum {
        return Err(Halt::damaged(format!("the CRC-64 is {}, the file says {}", hex(&sum), hex(&told))));
    }
    seen.checked("crc64 of the file");
    ended(input, "the record of the end was reached and the CRC-64 agrees")
}

fn ended(input: &mut Input<'_>, how: &str) -> Step<String> {
    if input.at_end()? { Ok(how.to_owned()) } else { Err(Halt::damaged("bytes follow the end of the RDB")) }
}

/// One auxiliary field: a name and a text.
fn auxiliary(input: &mut Input<'_>, seen: &mut Inspection) -> Step<()> {
    let name = short(input)?;
    let value = short(input)?;
    match name.as_str() {
        "redis-ver" => seen.origin.server = Some(format!("Redis {value}")),
        "valkey-ver" => seen.origin.server = Some(format!("Valkey {value}")),
        "ctime" => seen.started = value.parse().ok().and_then(times::epoch),
        _ => {}
    }
    Ok(())
}

fn read_length(input: &mut Input<'_>) -> Step<Length> {
    let first = input.byte()?;
    Ok(Length::Plain(match (first >> 6, first) {
        (0, _) => u64::from(first & 0x3f),
        (1, _) => u64::from(first & 0x3f) << 8 | u64::from(input.byte()?),
        (_, 0x80) => u64::from(u32::from_be_bytes(input.array()?)),
        (_, 0x81) => u64::from_be_bytes(input.array()?),
        (3, _) => return Ok(Length::Encoded(first & 0x3f)),
        _ => return Err(Halt::damaged(format!("an unknown sort of length before byte {}", input.position()))),
    }))
}

fn length(input: &mut Input<'_>) -> Step<u64> {
    match read_length(input)? {
        Length::Plain(length) => Ok(length),
        Length::Encoded(_) => {
            Err(Halt::damaged(format!("a text stands for a length before byte {}", input.position())))
        }
    }
}

fn lengths(input: &mut Input<'_>, count: usize) -> Step<()> {
    for _ in 0..count {
        length(input)?;
    }
    Ok(())
}

/// Reads over a text; of an encoded number gives its value.
fn string(input: &mut Input<'_>) -> Step<()> {
    match read_length(input)? {
        Length::Plain(length) => input.pass(length),
        Length::Encoded(kind) => encoded(input, kind).map(|_| ()),
    }
}

fn encoded(input: &mut Input<'_>, kind: u8) -> Step<Option<i64>> {
    match kind {
        0 => Ok(Some(i64::from(i8::from_le_bytes(input.array()?)))),
        1 => Ok(Some(i64::from(i16::from_le_bytes(input.array()?)))),
        2 => Ok(Some(i64::from(i32::from_le_bytes(input.array()?)))),
        3 => {
            let packed = length(input)?;
            length(input)?;
            input.pass(packed)?;
            Ok(None)
        }
        _ => Err(Halt::damaged(format!("an unknown encoding before byte {}", input.position()))),
    }
}

/// A short text, of which too long ones are passed over.
fn short(input: &mut Input<'_>) -> Step<String> {
    match read_length(input)? {
        Length::Plain(length) if length <= KEPT => Ok(text(&input.bytes(usize::try_from(length).unwrap_or_default())?)),
        Length::Plain(length) => input.pass(length).map(|()| String::new()),
        Length::Encoded(kind) => Ok(encoded(input, kind)?.map(|number| number.to_string()).unwrap_or_default()),
    }
}

/// Reads `count` times; the loop ends with the bytes, since each round takes at least one.
fn times_of(input: &mut Input<'_>, count: u64, mut each: impl FnMut(&mut Input<'_>) -> Step<()>) -> Step<()> {
    for _ in 0..count {
        each(input)?;
    }
    Ok(())
}

/// A value of a sort that `rdb.h` numbers as `RDB_TYPE_…`.
fn value(input: &mut Input<'_>, kind: u8, at: u64) -> Step<()> {
    match kind {
        // A string, and everything that is one text inside: zipmap, ziplist, intset, listpack.
        0 | 9..=13 | 16 | 17 | 20 => string(input),
        1 | 2 | 14 => {
            let count = length(input)?;
            times_of(input, count, string)
        }
        3 => {
            let count = length(input)?;
            times_of(input, count, |input| {
                string(input)?;
                match input.byte()? {
                    253..=255 => Ok(()), // not a number, infinities
                    digits => input.pass(u64::from(digits)),
                }
            })
        }
        4 => {
            let count = length(input)?;
            times_of(input, count, |input| string(input).and_then(|()| string(input)))
        }
        5 => {
            let count = length(input)?;
            times_of(input, count, |input| string(input).and_then(|()| input.pass(8)))
        }
        7 => length(input).and_then(|_| module(input)),
        18 => {
            let count = length(input)?;
            times_of(input, count, |input| length(input).and_then(|_| string(input)))
        }
        15 | 19 | 21 => stream(input, kind),
        24 => {
            // A hash whose fields expire: the least moment, then for each field its moment, name and value.
            input.pass(8)?;
            let count = length(input)?;
            times_of(input, count, |input| length(input).and_then(|_| string(input)).and_then(|()| string(input)))
        }
        25 => input.pass(8).and_then(|()| string(input)),
        other => Err(Halt::not_proven(format!("the record at byte {at} is of type {other}, which is not known here"))),
    }
}

/// What a module wrote: numbered pieces up to number 0.
fn module(input: &mut Input<'_>) -> Step<()> {
    loop {
        match length(input)? {
            0 => return Ok(()),
            1 | 2 => lengths(input, 1)?,
            3 => input.pass(4)?,
            4 => input.pass(8)?,
            5 => string(input)?,
            other => return Err(Halt::damaged(format!("a module's piece of the unknown sort {other}"))),
        }
    }
}

/// A stream: its entries, its marks, its groups with what is pending, and their consumers.
fn stream(input: &mut Input<'_>, kind: u8) -> Step<()> {
    let later = kind >= 19;
    let count = length(input)?;
    times_of(input, count, |input| string(input).and_then(|()| string(input)))?;
    // Length and last id; later the first id, the greatest deleted one, and the number ever added.
    lengths(input, if later { 8 } else { 3 })?;
    let groups = length(input)?;
    times_of(input, groups, |input| {
        string(input)?;
        lengths(input, if later { 3 } else { 2 })?;
        let pending = length(input)?;
        times_of(input, pending, |input| input.pass(24).and_then(|()| lengths(input, 1)))?;
        let consumers = length(input)?;
        times_of(input, consumers, |input| {
            string(input)?;
            input.pass(if kind >= 21 { 16 } else { 8 })?;
            let pending = length(input)?;
            times_of(input, pending, |input| input.pass(16))
        })
    })
}
