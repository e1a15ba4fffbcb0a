//! From what was seen in a file or a folder to a copy in the common form. Pure.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::Asked;

use super::look::Match;
use crate::facts::{Basis, Complete, Expected, Outcome, Snapshot, SnapshotKind};
use crate::format::{Depth, Ended, Format, Inspection, WAL_ELSEWHERE};
use crate::target::{FileFormat, Files};

/// The zone in which civil times inside copies are read.
pub(in crate::source) struct Zone {
    zone: TimeZone,
    /// Its name, for people.
    pub(in crate::source) name: String,
}

impl Zone {
    /// The one that the inventory names, else this machine's.
    pub(in crate::source) fn of(declared: Option<&str>) -> Self {
        let zone = declared.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system);
        let name = zone.iana_name().map_or_else(|| "the zone of this machine".to_owned(), str::to_owned);
        Self { zone, name }
    }

    /// The instant of that civil time: where clocks were put back the earlier one, a copy must not look newer than it is.
    ///
    /// `None` where an abbreviation stands beside it that this zone has not at that time: another zone's clock wrote it.
    fn instant(&self, civil: &str) -> Option<String> {
        let (civil, abbreviation) = civil.split_once(' ').unwrap_or((civil, ""));
        let civil: DateTime = civil.parse().ok()?;
        let either = self.zone.to_ambiguous_timestamp(civil);
        let called =
            |at: &Timestamp| abbreviation.is_empty() || self.zone.to_offset_info(*at).abbreviation() == abbreviation;
        let mut both = [either.earlier().ok(), either.later().ok()].into_iter().flatten();
        both.find(called).map(|at| at.to_string())
    }

    /// What a reader should know of a time that another zone's clock wrote.
    pub(in crate::source) fn contradicted(&self, seen: &Inspection) -> Option<String> {
        let local = [&seen.started_local, &seen.finished_local].into_iter().flatten();
        let other = local.into_iter().find(|civil| self.instant(civil).is_none())?;
        Some(format!(
            "'{other}' in a copy is no time of {}, so that it is not counted; name its zone (timezone)",
            self.name
        ))
    }
}

/// What a copy is judged against.
pub(in crate::source) struct Context<'a> {
    pub(in crate::source) source: &'a Files,
    pub(in crate::source) expected: &'a Expected,
    pub(in crate::source) zone: &'a Zone,
}

impl Context<'_> {
    /// The paths that must be in it.
    pub(in crate::source) fn wanted(&self) -> Vec<String> {
        let all: std::collections::BTreeSet<_> =
            self.expected.paths.iter().chain(&self.expected.configuration).collect();
        all.into_iter().cloned().collect()
    }

    /// The copy in the common form.
    pub(in crate::source) fn snapshot(
        &self,
        found: &Match,
        seen: &Result<Inspection, String>,
        depth: Depth,
    ) -> Snapshot {
        let mut snapshot = Snapshot {
            name: found.name.clone(),
            outcome: Outcome::Present,
            why: None,
            kind: SnapshotKind::Full,
            host: None,
            paths: Vec::new(),
            databases: self.source.database.iter().cloned().collect(),
            listed: Asked::Only(Vec::new()),
            series: None,
            started: None,
            ended: None,
            recovery_point: None,
            complete: Complete { outcome: Outcome::NotProven, basis: None, why: None },
            parents: Vec::new(),
            missing_parents: Vec::new(),
            files: None,
            bytes: None,
            objects: None,
            stored: found.size().map(number),
        };
        let unknown = |mut snapshot: Snapshot, why: String| {
            snapshot.outcome = Outcome::NotProven;
            snapshot.complete.why = Some(why.clone());
            snapshot.why = Some(why);
            snapshot.databases.clear();
            snapshot
        };
        if found.size() == Some(0) {
            // A job that died before its first byte, or a full disk. That is known, and it is no copy of anything.
            snapshot.recovery_point = self.trusted(found);
            snapshot.listed = Asked::All;
            snapshot.series = self.source.database.is_none().then(|| "empty files".to_owned());
            (snapshot.bytes, snapshot.objects) = (Some(0), Some(0));
            let why = Some("is empty: not one byte".to_owned());
            snapshot.complete = Complete { outcome: Outcome::Absent, basis: Some(Basis::EndMark), why };
            return snapshot;
        }
        let seen = match seen {
            Ok(seen) => seen,
            Err(why) => return unknown(snapshot, why.clone()),
        };
        if let Some(why) = self.strange(seen) {
            return unknown(snapshot, why);
        }
        self.times(found, seen, &mut snapshot);
        self.names(seen, &mut snapshot);
        self.counts(seen, &mut snapshot);
        if seen.incremental == Some(true) {
            snapshot.kind = SnapshotKind::Incremental;
        }
        snapshot.complete = complete(seen, depth);
        snapshot
    }

    /// Why it is not what it should be.
    fn strange(&self, seen: &Inspection) -> Option<String> {
        let name = seen.format.name();
        match (self.source.format, seen.format) {
            // What is encrypted may be anything.
            _ if seen.seal.is_some() && seen.format == Format::Unknown => None,
            (_, Format::Unknown) if seen.why.starts_with("reading failed") => Some(seen.why.clone()),
            (_, Format::Unknown) => Some(format!("is in no format that is known here: {}", seen.why)),
            (Some(wanted), found) if !fits(wanted, found) => {
                Some(format!("the inventory says that it is {}, and it is {name}", word(wanted)))
            }
            _ => None,
        }
    }

    /// The file system's time, where the inventory trusts it.
    fn trusted(&self, found: &Match) -> Option<String> {
        let at = Timestamp::from_second(found.metadata?.modified).ok()?;
        self.source.trust_mtime.then(|| at.to_string())
    }

    fn times(&self, found: &Match, seen: &Inspection, snapshot: &mut Snapshot) {
        let time = |instant: &Option<String>, civil: &Option<String>| {
            instant.clone().or_else(|| civil.as_deref().and_then(|civil| self.zone.instant(civil)))
        };
        snapshot.started = time(&seen.started, &seen.started_local);
        snapshot.ended = time(&seen.finished, &seen.finished_local);
        let inside = match seen.format {
            // Its log carries what changed while it was taken up to its end.
            Format::Mariabackup => snapshot.ended.clone().or_else(|| snapshot.started.clone()),
            _ => snapshot.started.clone().or_else(|| snapshot.ended.clone()),
        };
        // The newest file in an archive is never newer than the archive, if nobody set its time.
        snapshot.recovery_point = inside.or_else(|| self.trusted(found)).or_else(|| match seen.format {
            Format::Tar | Format::Zip | Format::Folder => seen.newest.clone(),
            _ => None,
        });
    }

    fn names(&self, seen: &Inspection, snapshot: &mut Snapshot) {
        // It names the connection, not a machine.
        let local = |host: &String| matches!(host.as_str(), "" | "localhost" | "127.0.0.1" | "::1");
        snapshot.host = seen.origin.host.clone().filter(|host| !local(host));
        // Redis has numbers in place of names.
        let told = seen.format != Format::RedisRdb && !seen.origin.databases.is_empty();
        if told {
            snapshot.databases.clone_from(&seen.origin.databases);
        }
        let archive = matches!(seen.format, Format::Tar | Format::Zip | Format::Folder);
        let wanted = self.wanted();
        if archive {
            snapshot.paths.clone_from(if wanted.is_empty() { &seen.names } else { &seen.held });
        }
        snapshot.series = match seen.format {
            Format::MysqlDump => snapshot.databases.first().cloned(),
            Format::PgDumpall => None,
            _ if archive => None,
            _ => Some(snapshot.databases.join(",")).filter(|names| !names.is_empty()),
        };
        let named = match (seen.format, seen.seal) {
            (Format::Unknown, Some(seal)) => seal.name(),
            (format, _) => format.name(),
        };
        let series = snapshot.series.take().unwrap_or_else(|| named.to_owned());
        snapshot.series = Some(match &snapshot.host {
            Some(host) => format!("{host}:{series}"),
            None => series,
        });
        let whole = match seen.format {
            // A list of all databases is known once all of it was read, which counts its objects.
            Format::PgDumpall | Format::MysqlDump => seen.counts.objects.is_some(),
            Format::Tar | Format::Zip => {
                let all_held = !wanted.is_empty() && seen.held.len() == wanted.len();
                all_held || matches!(seen.ended, Ended::Complete | Ended::Truncated)
            }
            Format::Folder => seen.counts.files.is_some(),
            _ => !snapshot.databases.is_empty(),
        };
        if whole && (snapshot.host.is_some() || self.expected.hosts.is_empty()) {
            snapshot.listed = Asked::All;
        }
    }

    fn counts(&self, seen: &Inspection, snapshot: &mut Snapshot) {
        let counts = &seen.counts;
        let folder = matches!(seen.format, Format::Folder | Format::Mariabackup);
        // Counts stand where all was counted: not where reading stopped on the way.
        let ended = seen.ended != Ended::NotProven || seen.format == Format::Folder || seen.why == WAL_ELSEWHERE;
        let counted = |count: Option<u64>| count.filter(|_| ended).map(number);
        let files = matches!(
            seen.format,
            Format::Tar | Format::Zip | Format::Folder | Format::PgBasebackup | Format::Mariabackup
        );
        snapshot.files = counted(counts.files).filter(|_| files);
        snapshot.bytes = counted(counts.bytes);
        if folder {
            snapshot.stored = snapshot.bytes;
        }
        snapshot.objects = match seen.format {
            Format::RedisRdb => counted(counts.keys),
            _ => counts.objects.map(number),
        };
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether an archive's end proves no more than that it is not cut.
pub(in crate::source) fn archives(format: Format) -> bool {
    matches!(format, Format::Tar | Format::Zip)
}

/// Whether checksums over the contents were compared.
pub(crate) fn protected(seen: &Inspection) -> bool {
    // The manifest's own sum protects the list of files, not the files.
    seen.checked_by.iter().any(|check| check != "sha256 of the manifest")
}

fn complete(seen: &Inspection, depth: Depth) -> Complete {
    let complete = |outcome, why| Complete { outcome, basis: Some(Basis::EndMark), why };
    match seen.ended {
        Ended::Complete if seen.format == Format::PgBasebackup && seen.incremental == Some(true) => {
            let why = "it needs an earlier base backup, and which one is not known here; pg_combinebackup tells";
            complete(Outcome::NotProven, Some(why.to_owned()))
        }
        Ended::Complete if archives(seen.format) => {
            // tar and zip go on where they can't read a file, and name it in their own words alone.
            let why = "it is not cut; whether all files were put into it stands in the job's log alone: give it (logs)";
            complete(Outcome::NotProven, Some(why.to_owned()))
        }
        Ended::Complete => {
            let why = (depth == Depth::Full && !protected(seen))
                .then(|| "no checksum protects its contents: a changed byte would not show".to_owned());
            complete(Outcome::Present, why)
        }
        Ended::Truncated | Ended::Damaged => complete(Outcome::Absent, Some(seen.why.clone())),
        Ended::NotProven if seen.format == Format::Folder => Complete {
            outcome: Outcome::NotProven,
            basis: None,
            why: Some(format!("{}; use compare_with_source", seen.why)),
        },
        Ended::NotProven if depth == Depth::Head && seen.seal.is_none() => Complete {
            outcome: Outcome::NotProven,
            basis: None,
            why: Some(format!("{}; have copies read whole by 'read: {{}}' (backup-read)", seen.why)),
        },
        Ended::NotProven => Complete { outcome: Outcome::NotProven, basis: None, why: Some(seen.why.clone()) },
    }
}

/// Whether a format is one of those that the inventory means.
fn fits(wanted: FileFormat, found: Format) -> bool {
    match wanted {
        FileFormat::PgDump => matches!(
            found,
            Format::PgDumpCustom | Format::PgDumpDirectory | Format::PgDumpTar | Format::PgDumpSql | Format::PgDumpall
        ),
        FileFormat::PgBasebackup => found == Format::PgBasebackup,
        FileFormat::MariadbDump => found == Format::MysqlDump,
        FileFormat::Mariabackup => matches!(found, Format::Mariabackup | Format::Xbstream),
        FileFormat::RedisRdb => found == Format::RedisRdb,
        // The tar files of PostgreSQL's tools are tar files too.
        FileFormat::Tar => matches!(found, Format::Tar | Format::PgDumpTar | Format::PgBasebackup),
        FileFormat::Zip => found == Format::Zip,
        FileFormat::Folder => found == Format::Folder,
    }
}

fn word(format: FileFormat) -> &'static str {
    match format {
        FileFormat::PgDump => "pg_dump",
        FileFormat::PgBasebackup => "pg_basebackup",
        FileFormat::MariadbDump => "mariadb_dump",
        FileFormat::Mariabackup => "mariabackup",
        FileFormat::RedisRdb => "redis_rdb",
        FileFormat::Tar => "tar",
        FileFormat::Zip => "zip",
        FileFormat::Folder => "folder",
    }
}

#[cfg(test)]
mod tests {
    use super::Zone;

    #[test]
    fn a_time_of_another_zones_clock_is_not_taken_for_one_of_this_zone() {
        let at = |zone: &str, civil: &str| Zone::of(Some(zone)).instant(civil);
        let zurich = |civil: &str| at("Europe/Zurich", civil).unwrap_or_default();
        assert_eq!(zurich("2026-11-24T13:55:58"), "2026-11-24T12:55:58Z");
        assert_eq!(zurich("2026-07-24T13:55:58"), "2026-07-24T11:55:58Z");
        assert_eq!(zurich("2026-10-25T02:30:00"), "2026-10-25T00:30:00Z", "twice on that night: the earlier");
        assert_eq!(zurich("2026-10-25T02:30:00 CET"), "2026-10-25T01:30:00Z");
        assert_eq!(zurich("2026-03-29T02:30:00"), "2026-03-29T00:30:00Z", "never on that night");
        assert_eq!(at("UTC", "2026-11-24T13:55:58 CET"), None);
        assert_eq!(at("Europe/Zurich", "2026-07-24T13:55:58 CET"), None, "it was summer");
    }
}
