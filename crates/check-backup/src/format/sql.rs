//! Dumps as SQL text: pg_dump, pg_dumpall, mariadb-dump and mysqldump.
//!
//! Text carries no checksum: a changed byte inside stays unseen unless a compression around it has one. The end is a
//! comment that these tools write last; where they were told to write no comments, nothing proves the end.

use std::collections::VecDeque;

use super::input::{Halt, Input, Step};
use super::{Depth, Format, Inspection, text, times};

/// What is kept of a line; a COPY with 1600 columns fits.
const LINE: usize = 256 * 1024;
/// What is kept of the last lines.
const LAST: usize = 256;
/// Lines that a trailer may have, empty ones included.
const TRAILER: usize = 16;
/// What [`Depth::Head`] reads at each end.
const EDGE: u64 = 64 * 1024;

/// Walks through a dump.
pub(super) fn walk(input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    let names = input.meter().bounds().names;
    let mut scan = Scan { format: seen.format, ..Scan::default() };
    let mut whole = true;
    loop {
        let length = input.length().filter(|length| depth == Depth::Head && *length > 2 * EDGE);
        if let Some(length) = length.filter(|_| whole && input.position() >= EDGE) {
            whole = false;
            input.go(length - EDGE)?;
            scan.jumped();
        }
        let shown = input.peek()?;
        let count = shown.len();
        if count == 0 {
            break;
        }
        for piece in shown.split_inclusive(|byte| *byte == b'\n') {
            scan.piece(piece, seen, names);
        }
        input.consume(count);
    }
    if whole {
        let postgres = seen.format != Format::MysqlDump;
        seen.counts.objects = Some(scan.objects);
        seen.counts.filled = postgres.then_some(scan.filled);
        seen.counts.rows = postgres.then_some(scan.rows);
        seen.counts.inserts = Some(scan.inserts);
        seen.counts.bytes = Some(input.position());
    }
    scan.end()?;
    let read = if whole { "all of it was read" } else { "what stands between head and end was not read" };
    Ok(format!("its last lines are those that the tool writes last; {read}"))
}

/// The place in the binary log, which `--master-data` or `--source-data` writes as a statement or as a comment:
/// `CHANGE MASTER TO MASTER_LOG_FILE='mysql-bin.000001', MASTER_LOG_POS=330;`
fn binlog(line: &[u8], seen: &mut Inspection) {
    let line = text(line);
    let value = |key: &str| Some(line.split_once(key)?.1.split([',', ';']).next().unwrap_or_default().trim());
    let file = value("_LOG_FILE=").map(|name| name.trim_matches('\'').to_owned());
    let place = value("_LOG_POS=").and_then(|place| place.parse().ok());
    seen.binlog = file.zip(place).or(seen.binlog.take());
}

#[derive(Default)]
struct Scan {
    format: Format,
    line: Vec<u8>,
    /// The first line after a jump is a part of one.
    partial: bool,
    /// Between COPY … FROM stdin and its end, lines are rows.
    copying: bool,
    /// The key of `\restrict` that its `\unrestrict` has not taken back.
    restricted: Option<Vec<u8>>,
    last: VecDeque<Vec<u8>>,
    objects: u64,
    filled: u64,
    rows: u64,
    inserts: u64,
}

impl Scan {
    fn jumped(&mut self) {
        self.line.clear();
        self.last.clear();
        self.partial = true;
        self.copying = false;
        if self.format == Format::PgDumpall {
            // The key at the head was one of an inner dump.
            self.restricted = None;
        }
    }

    /// Takes the next piece of a line.
    fn piece(&mut self, piece: &[u8], seen: &mut Inspection, names: usize) {
        let (body, ended) = match piece.strip_suffix(b"\n") {
            Some(body) => (body, true),
            None => (piece, false),
        };
        let space = LINE.saturating_sub(self.line.len()).min(body.len());
        self.line.extend_from_slice(body.get(..space).unwrap_or_default());
        if !ended {
            return;
        }
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if !std::mem::take(&mut self.partial) {
            self.line(&line, seen, names);
        }
        line.clear();
        self.line = line;
    }

    fn line(&mut self, line: &[u8], seen: &mut Inspection, names: usize) {
        if self.copying {
            self.copying = line != b"\\.";
            self.rows += u64::from(self.copying);
            return;
        }
        if self.last.len() == TRAILER {
            self.last.pop_front();
        }
        self.last.push_back(line.get(..LAST).unwrap_or(line).to_vec());
        match line.first() {
            Some(b'-') => self.comment(line, seen, names),
            Some(b'C') if self.mysql() && line.starts_with(b"CHANGE ") => binlog(line, seen),
            Some(b'\\') => self.command(line, seen, names),
            Some(b'C') if line.starts_with(b"COPY ") && line.ends_with(b" FROM stdin;") => self.copying = true,
            Some(b'C') if line.starts_with(b"CREATE TABLE ") => self.objects += u64::from(self.mysql()),
            Some(b'I') if line.starts_with(b"INSERT ") => self.inserts += 1,
            _ => {}
        }
    }

    fn mysql(&self) -> bool {
        self.format == Format::MysqlDump
    }

    /// psql's commands: the database that follows, and the lock of PostgreSQL's releases since August 2025.
    fn command(&mut self, line: &[u8], seen: &mut Inspection, names: usize) {
        if let Some(key) = line.strip_prefix(b"\\restrict ") {
            self.restricted = Some(key.to_vec());
        } else if let Some(key) = line.strip_prefix(b"\\unrestrict ") {
            if self.restricted.as_deref() == Some(key) {
                self.restricted = None;
            }
        } else if let Some(name) = line.strip_prefix(b"\\connect ") {
            seen.database(text(name).trim_matches('"'), names);
        }
    }

    fn comment(&mut self, line: &[u8], seen: &mut Inspection, names: usize) {
        let Some(comment) = line.strip_prefix(b"-- ") else { return };
        let after = |mark: &str| comment.strip_prefix(mark.as_bytes()).map(text);
        if self.mysql() {
            if comment.starts_with(b"CHANGE ") {
                binlog(comment, seen);
            } else if comment.starts_with(b"MariaDB dump") || comment.starts_with(b"MySQL dump") {
                seen.origin.tool = Some(text(comment));
            } else if let Some(rest) = after("Host: ") {
                let (host, database) = rest.split_once(" Database: ").unwrap_or((&rest, ""));
                seen.origin.host = Some(host.trim().to_owned());
                if !database.trim().is_empty() {
                    seen.database(database.trim(), names);
                }
            } else if let Some(version) = after("Server version") {
                seen.origin.server = Some(version.trim().to_owned());
            } else if let Some(name) = after("Current Database: ") {
                seen.database(name.trim_matches('`'), names);
            } else if let Some(when) = after("Dump completed on ") {
                times::set(times::parse(&when), &mut seen.finished, &mut seen.finished_local);
            }
            return;
        }
        if let Some(rest) = after("Name: ") {
            self.objects += u64::from(!rest.contains("; Type: DATABASE"));
        } else if comment.starts_with(b"Data for Name: ") {
            self.objects += 1;
            self.filled += 1;
        } else if let Some(version) = after("Dumped from database version ") {
            seen.origin.server = Some(format!("PostgreSQL {version}"));
        } else if let Some(version) = after("Dumped by pg_dump version ") {
            seen.origin.tool = Some(format!("pg_dump {version}"));
        } else if let Some(when) = after("Started on ") {
            times::set(times::parse(&when), &mut seen.started, &mut seen.started_local);
        } else if let Some(when) = after("Completed on ") {
            times::set(times::parse(&when), &mut seen.finished, &mut seen.finished_local);
        }
    }

    /// Whether the last lines are those that the tool writes last.
    fn end(&self) -> Step<()> {
        if self.copying {
            return Err(Halt::truncated("ends among the rows of a table"));
        }
        if !self.line.is_empty() || self.partial {
            return Err(Halt::truncated("ends in the middle of a line"));
        }
        let mut written = self.last.iter().rev().filter(|line| !line.is_empty());
        if self.mysql() {
            return match written.next() {
                Some(line) if line.starts_with(b"-- Dump completed") => Ok(()),
                _ => Err(Halt::truncated("does not end with the comment 'Dump completed'")),
            };
        }
        let trailer: &[u8] = match self.format {
            Format::PgDumpall => b"-- PostgreSQL database cluster dump complete",
            _ => b"-- PostgreSQL database dump complete",
        };
        let mut written = written.skip_while(|line| line.starts_with(b"\\unrestrict "));
        let found = written.next().is_some_and(|line| line == b"--")
            && written.next().is_some_and(|line| line == trailer)
            && written.next().is_some_and(|line| line == b"--");
        if !found || self.restricted.is_some() || self.last.back().is_none_or(|line| !line.is_empty()) {
            return Err(Halt::truncated("does not end with the comment 'PostgreSQL database dump complete'"));
        }
        Ok(())
    }
}
