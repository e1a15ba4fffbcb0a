//! Times as they stand inside payloads.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A time with or without its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    /// RFC 3339 in UTC.
    Instant(String),
    /// Civil time of an unknown zone, with the abbreviation of that zone where one stands beside it.
    Local(String),
}

/// Seconds since 1970, as RFC 3339.
pub(super) fn epoch(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|instant| instant.to_string())
}

/// Civil time of an unknown zone.
pub(super) fn civil(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<String> {
    let small = |value: i64| i8::try_from(value).ok();
    let year = i16::try_from(year).ok()?;
    // A leap second is told as 60; the civil calendar here has none.
    let date = DateTime::new(year, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second.min(59))?, 0);
    date.ok().map(|date| date.to_string())
}

/// `2026-11-24 13:55:58 UTC`, or the same with another zone's abbreviation, an offset, or nothing.
///
/// `mariadb-dump` writes hours before ten with a blank in the place of the first digit (`%2d:%02d:%02d`). Zones without
/// letters of their own are abbreviated by their offset, `-03` (<https://data.iana.org/time-zones/theory.html>); it may
/// stand at the time itself too. Any other abbreviation names no offset, but what zone it can't be: it is kept.
pub(super) fn parse(text: &str) -> Option<When> {
    let mut words = text.split_ascii_whitespace();
    let (date, rest) = (words.next()?, words.next()?);
    let glued = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(rest.len());
    let (time, glued) = rest.split_at_checked(glued)?;
    let zone = if glued.is_empty() { words.next().unwrap_or_default() } else { glued };
    let civil: DateTime = format!("{date}T{time:0>8}").parse().ok()?;
    if matches!(zone, "UTC" | "GMT" | "Z") {
        return Some(When::Instant(TimeZone::UTC.to_timestamp(civil).ok()?.to_string()));
    }
    if zone.starts_with(['+', '-']) {
        let instant: Timestamp = format!("{civil}{zone}").parse().ok()?;
        return Some(When::Instant(instant.to_string()));
    }
    let letters = (3..=5).contains(&zone.len()) && zone.bytes().all(|byte| byte.is_ascii_uppercase());
    Some(When::Local(if letters { format!("{civil} {zone}") } else { civil.to_string() }))
}

/// Puts a time where it belongs.
pub(super) fn set(when: Option<When>, instant: &mut Option<String>, local: &mut Option<String>) {
    match when {
        Some(When::Instant(text)) => *instant = Some(text),
        Some(When::Local(text)) => *local = Some(text),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_before_ten_may_be_written_with_one_digit() {
        let local = |text: &str| Some(When::Local(text.to_owned()));
        assert_eq!(parse("2026-11-25  0:10:01"), local("2026-11-25T00:10:01"));
        assert_eq!(parse("2026-11-25  9:59:59"), local("2026-11-25T09:59:59"));
        assert_eq!(parse("2026-11-25 13:55:58"), local("2026-11-25T13:55:58"));
        assert_eq!(parse("2026-11-25 3:04:05 UTC"), Some(When::Instant("2026-11-25T03:04:05Z".to_owned())));
        assert_eq!(parse("2026-11-25"), None);
    }

    #[test]
    fn an_offset_is_never_dropped() {
        let at = |text: &str| Some(When::Instant(text.to_owned()));
        for text in ["2026-11-25 00:30:00 -03", "2026-11-25 00:30:00-03:00", "2026-11-25 0:30:00 -0300"] {
            assert_eq!(parse(text), at("2026-11-25T03:30:00Z"), "{text}");
        }
        assert_eq!(parse("2026-11-25 00:15:00 +0545"), at("2026-11-24T18:30:00Z"), "the day before");
        assert_eq!(parse("2026-11-25 13:55:58Z"), at("2026-11-25T13:55:58Z"));
        assert_eq!(parse("2026-11-25 13:55:58.5 GMT"), at("2026-11-25T13:55:58.5Z"));
        assert_eq!(parse("2026-11-25 13:55:58 +99"), None, "no zone has that offset");
    }

    #[test]
    fn an_abbreviation_is_kept_and_the_name_of_another_system_is_not() {
        let local = |text: &str| Some(When::Local(text.to_owned()));
        assert_eq!(parse("2026-11-25 13:55:58 CET"), local("2026-11-25T13:55:58 CET"));
        assert_eq!(parse("2026-11-25 13:55:58 W. Europe Standard Time"), local("2026-11-25T13:55:58"));
        assert_eq!(parse("2026-02-29 13:55:58 CET"), None);
        assert_eq!(parse("25.11.2026 13:55:58"), None, "an order of fields that could be another one is not read");
        assert_eq!(parse("2026-11-25 1:55:58 PM"), local("2026-11-25T01:55:58"));
    }
}
