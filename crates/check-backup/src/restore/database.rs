//! What a restored database is asked: the rows of random tables, the inventory's queries, and the canary's time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::Asked;
use probe::{BoxFuture, Cx};

use super::account::short;
use super::choose;
use crate::facts::{Canary, Outcome, Query, Sample, Samples};
use crate::target::Drill;

/// Tables compared where the inventory names no number.
const SAMPLES: u32 = 20;
/// A table with so many rows in use of which none came back did not fill up since the copy was made.
const MANY: u64 = 1000;
/// Tables that are looked into for a single row.
const MOST_TABLES: usize = 100_000;
/// Tables that are missing in the copy and named.
const MOST_MISSING: usize = 100;

/// A database that answers statements.
pub(super) trait Sql: Send + Sync {
    /// The lines of an answer.
    fn ask<'a>(&'a self, cx: &'a Cx, statement: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>>;

    /// A statement that lists the tables of users, a line for each, four fields between tabs: its name as SQL wants it,
    /// whether it has any bytes (`1`, `0`), whether it was there at that instant, and whether it has not changed since
    /// (`1`, `0`, empty where that is not known).
    fn tables(&self, before: Option<Timestamp>) -> String;
}

/// A table of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Table {
    name: String,
    filled: bool,
    existed: Option<bool>,
    quiet: Option<bool>,
}

/// What a comparison came to.
pub(super) struct Compared {
    /// What was compared.
    pub(super) samples: Samples,
    /// Whether nothing came back: no table, or no row in any.
    pub(super) empty: Option<String>,
}

async fn catalogue(db: &dyn Sql, cx: &Cx, before: Option<Timestamp>) -> Result<Vec<Table>, String> {
    let lines = db.ask(cx, &db.tables(before)).await?;
    let flag = |text: Option<&str>| match text {
        Some("1") => Some(true),
        Some("0") => Some(false),
        _ => None,
    };
    let table = |line: &String| {
        let mut fields = line.split('\t');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let filled = flag(fields.next()) != Some(false);
        Some(Table { name, filled, existed: flag(fields.next()), quiet: flag(fields.next()) })
    };
    Ok(lines.iter().filter(|l| !l.is_empty()).filter_map(table).collect())
}

/// Counts the rows of a table.
async fn rows(db: &dyn Sql, cx: &Cx, table: &str) -> Result<u64, String> {
    let lines = db.ask(cx, &format!("select count(*) from {table}")).await?;
    let count = lines.first().and_then(|line| line.trim().parse().ok());
    count.ok_or_else(|| "its rows could not be counted".to_owned())
}

/// Compares random tables with the database in use, where there is one, and reads them to their end where there is none.
///
/// # Errors
/// Where the restored database can't even be asked what is in it.
pub(super) async fn compare(
    restored: &dyn Sql,
    live: Option<&dyn Sql>,
    copied: Option<Timestamp>,
    drill: &Drill,
    cx: &Cx,
) -> Result<Compared, String> {
    let tables = catalogue(restored, cx, None).await?;
    let empty = match any_row(restored, &tables, cx).await? {
        true => None,
        false if tables.is_empty() => Some("restored, and empty: there is no table".to_owned()),
        false => Some(format!("restored, and empty: no row in any of {} tables", tables.len())),
    };
    let of = i64::try_from(tables.len()).unwrap_or(i64::MAX);
    let nothing = |why: String| Samples {
        asked: Asked::Only(Vec::new()),
        outcome: Outcome::NotProven,
        why: Some(why),
        of,
        samples: Vec::new(),
    };
    let count = usize::try_from(drill.samples.unwrap_or(SAMPLES)).unwrap_or(usize::MAX);
    let (mut samples, mut collapsed) = (Vec::new(), Vec::new());
    match live {
        None => {
            for table in pick(&tables, count) {
                samples.push(read(restored, cx, &table.name).await);
            }
        }
        Some(live) => {
            let in_use = match catalogue(live, cx, copied).await {
                Ok(in_use) => in_use,
                Err(why) => {
                    let why = format!("the database in use can't be asked: {why}");
                    return Ok(Compared { samples: nothing(why), empty });
                }
            };
            // What has not changed since the copy can be proven; what has can't, and is compared where there is no other.
            let both = |t: &&Table| tables.iter().any(|r| r.name == t.name);
            let (quiet, busy): (Vec<&Table>, Vec<&Table>) =
                in_use.iter().filter(both).partition(|t| t.quiet == Some(true));
            let mut chosen = pick(&quiet, count);
            chosen.extend(pick(&busy, count.saturating_sub(chosen.len())));
            for table in chosen {
                samples.push(same(restored, live, cx, &table.name, &mut collapsed).await);
            }
            samples.extend(in_use.iter().filter(|t| !both(t)).filter_map(missing).take(MOST_MISSING));
        }
    }
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    let compared = samples.iter().any(|s| s.outcome != Outcome::NotProven);
    let why = (!compared).then(|| match samples.first().and_then(|s| s.why.clone()) {
        Some(why) => format!("no table could be compared: {why}"),
        None => "there is no table to compare".to_owned(),
    });
    let lacking = samples.iter().find(|s| collapsed.contains(&s.name));
    let lacking = lacking.map(|s| format!("{}: {}", s.name, s.why.as_deref().unwrap_or("it differs")));
    let outcome = if compared && lacking.is_none() { Outcome::Present } else { Outcome::NotProven };
    let asked = if lacking.is_none() { Asked::All } else { Asked::Only(Vec::new()) };
    Ok(Compared { samples: Samples { asked, outcome, why: why.or(lacking), of, samples }, empty })
}

/// Whether there is a row in any table.
async fn any_row(db: &dyn Sql, tables: &[Table], cx: &Cx) -> Result<bool, String> {
    let mut refused = None;
    for table in tables.iter().filter(|t| t.filled).take(MOST_TABLES) {
        let statement = format!("select count(*) from (select 1 from {} limit 1) one", table.name);
        match db.ask(cx, &statement).await {
            Ok(lines) if lines.first().is_some_and(|line| line.trim() == "1") => return Ok(true),
            Ok(_) => {}
            Err(why) => refused = Some(why),
        }
    }
    // A table that can't be read is not an empty one.
    refused.map_or(Ok(false), Err)
}

/// Up to `count` of them, each as likely as any other.
fn pick<T: Clone>(from: &[T], count: usize) -> Vec<T> {
    let mut left = from.to_vec();
    let mut chosen = Vec::new();
    while chosen.len() < count
        && let Ok(length @ 1..) = u64::try_from(left.len())
        && let Ok(at) = usize::try_from(choose::random() % length)
    {
        chosen.push(left.swap_remove(at));
    }
    chosen
}

/// A table that was read to its end.
async fn read(restored: &dyn Sql, cx: &Cx, table: &str) -> Sample {
    let (outcome, why) = match rows(restored, cx, table).await {
        Ok(_) => (Outcome::Present, None),
        Err(why) => (Outcome::Absent, Some(why)),
    };
    Sample { name: table.to_owned(), outcome, why, by: "rows read".to_owned() }
}

/// A table against the one in use. `collapsed` gets its name where less than half of it came back.
async fn same(restored: &dyn Sql, live: &dyn Sql, cx: &Cx, table: &str, collapsed: &mut Vec<String>) -> Sample {
    let sample = |outcome, why: Option<String>| Sample { name: table.to_owned(), outcome, why, by: "rows".to_owned() };
    let back = match rows(restored, cx, table).await {
        Ok(back) => back,
        Err(why) => return sample(Outcome::Absent, Some(why)),
    };
    match rows(live, cx, table).await {
        // Nothing came back of nothing: that shows nothing of a restore.
        Ok(0) if back == 0 => sample(Outcome::NotProven, Some("it has no rows, here and there".to_owned())),
        Ok(used) if used == back => sample(Outcome::Present, None),
        Ok(used) if back == 0 && used >= MANY => {
            sample(Outcome::Absent, Some(format!("no row came back, and {used} are in use")))
        }
        Ok(used) => {
            // No day's work, though it may be that of a young table: no other table makes up for it. What the server says of
            // changes since comes late, and proves nothing here.
            collapsed.extend((used >= MANY && back < used / 2).then(|| table.to_owned()));
            let why = format!("{back} rows came back, and {used} are in use: it changed since, or the copy lacks some");
            sample(Outcome::NotProven, Some(why))
        }
        Err(why) => sample(Outcome::NotProven, Some(format!("the one in use can't be counted: {why}"))),
    }
}

/// A table in use that did not come back. It may be younger than the copy, and then belongs in none.
fn missing(table: &Table) -> Option<Sample> {
    let sample = |outcome, why: &str| Sample {
        name: table.name.clone(),
        outcome,
        why: Some(why.to_owned()),
        by: "rows".to_owned(),
    };
    match table.existed {
        Some(true) => Some(sample(Outcome::Absent, "it did not come back, and is older than the copy")),
        Some(false) => None,
        None => {
            Some(sample(Outcome::NotProven, "it did not come back; whether it is older than the copy is not known"))
        }
    }
}

/// Asks the inventory's queries.
pub(super) async fn queries(db: &dyn Sql, drill: &Drill, cx: &Cx) -> Vec<Query> {
    let mut answers = Vec::new();
    for (name, query) in &drill.queries {
        let answer = db.ask(cx, &query.sql).await.map(|lines| lines.join("\n").trim().to_owned());
        let (outcome, why, got) = match (answer, query.wanted.as_deref().map(str::trim)) {
            (Err(why), _) => (Outcome::Absent, Some(why), None),
            (Ok(got), Some(wanted)) if got == wanted => (Outcome::Present, None, Some(got)),
            (Ok(got), Some(_)) => (Outcome::Absent, Some("another answer is wanted".to_owned()), Some(got)),
            (Ok(got), None) if got.is_empty() => (Outcome::Absent, Some("it gave nothing".to_owned()), None),
            (Ok(got), None) => (Outcome::Present, None, Some(got)),
        };
        let got = got.map(|text| short(&text));
        answers.push(Query { name: name.clone(), outcome, why, wanted: query.wanted.clone(), got });
    }
    answers
}

/// Asks for the time of the canary.
pub(super) async fn canary(db: &dyn Sql, drill: &Drill, cx: &Cx) -> Canary {
    let Some(statement) = &drill.canary_query else { return no_canary() };
    let canary = |outcome, why: Option<String>, planted: Option<Timestamp>| Canary {
        outcome,
        why,
        place: Some(statement.clone()),
        planted: planted.map(|t| t.to_string()),
        next: None,
    };
    match db.ask(cx, statement).await {
        Err(why) => canary(Outcome::Absent, Some(why), None),
        Ok(lines) => match lines.first().map(|line| line.trim()).filter(|text| !text.is_empty() && *text != "NULL") {
            None => canary(Outcome::Absent, Some("the query gave no time".to_owned()), None),
            Some(text) => match time(text) {
                Some(planted) => canary(Outcome::Present, None, Some(planted)),
                None => canary(Outcome::Absent, Some(format!("'{}' is no time", short(text))), None),
            },
        },
    }
}

pub(super) fn no_canary() -> Canary {
    let why = Some("the inventory names no query for one (drill: { canary_query: … })".to_owned());
    Canary { outcome: Outcome::NotProven, why, place: None, planted: None, next: None }
}

/// A time as databases write it: RFC 3339 with a blank or a `T`, or seconds since 1970. Without a zone it is UTC, which
/// the scratch server's zone is too.
fn time(text: &str) -> Option<Timestamp> {
    let whole = || text.parse::<Timestamp>().ok();
    let civil = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    let epoch = || Timestamp::from_second(text.split('.').next()?.parse().ok()?).ok();
    whole().or_else(civil).or_else(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_databases() {
        let wanted: Option<Timestamp> = "2026-11-24T02:55:16Z".parse().ok();
        for text in ["2026-11-24 02:55:16+00", "2026-11-24 03:55:16+01", "2026-11-24 02:55:16", "1795488916"] {
            assert_eq!(time(text), wanted, "{text}");
        }
        assert_eq!(time("yesterday"), None);
    }

    #[test]
    fn as_many_as_there_are() {
        let mut picked = pick(&[1, 2, 3], 7);
        picked.sort_unstable();
        assert_eq!(picked, [1, 2, 3]);
        assert_eq!(pick(&[1, 2, 3], 2).len(), 2);
        assert!(pick::<u8>(&[], 2).is_empty());
    }
}
