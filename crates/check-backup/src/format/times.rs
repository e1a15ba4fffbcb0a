//! Times as they stand inside payloads.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// A time with or without its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    /// RFC 3339 in UTC.
    Instant(String),
    /// Civil time of an unknown zone.
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

/// `2026-11-24 13:55:58 UTC`, or the same without a zone or with another one's abbreviation, which names no offset.
///
/// `mariadb-dump` writes hours before ten with a blank in the place of the first digit (`%2d:%02d:%02d`).
pub(super) fn parse(text: &str) -> Option<When> {
    let mut words = text.split_ascii_whitespace();
    let date: DateTime = format!("{}T{:0>8}", words.next()?, words.next()?).parse().ok()?;
    match words.next() {
        Some("UTC" | "GMT") => {
            let instant: Timestamp = format!("{date}Z").parse().ok()?;
            Some(When::Instant(instant.to_string()))
        }
        _ => Some(When::Local(date.to_string())),
    }
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
}
