//! Spans of time and sizes in words, for messages and reports.

/// Units of time, largest first, with their seconds.
const SPANS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
/// Units of size (IEC 80000-13), largest first, with their bytes.
const SIZES: [(u128, &str); 6] =
    [(1 << 60, "EiB"), (1 << 50, "PiB"), (1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

/// Seconds as a person says them: `90 s`, `26 h`, `3 d 4 h`.
///
/// A unit leads where there are at least two of it. One more follows, the largest of which there is any: a bit more
/// than a limit never reads like the limit. What is smaller is left out.
#[must_use]
pub fn span(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let whole = seconds.unsigned_abs();
    let lead = SPANS.iter().position(|(unit, _)| whole >= 2 * unit).unwrap_or(SPANS.len() - 1);
    let mut parts = Vec::new();
    let mut rest = whole;
    for (unit, name) in SPANS.iter().skip(lead) {
        let count = rest / unit;
        rest %= unit;
        if parts.len() < 2 && (count > 0 || parts.is_empty()) {
            parts.push(format!("{count} {name}"));
        }
    }
    format!("{sign}{}", parts.join(" "))
}

/// Bytes as a person says them: `512 B`, `1.5 GiB`; cut, not rounded, to one decimal.
#[must_use]
pub fn size(bytes: i128) -> String {
    let sign = if bytes < 0 { "-" } else { "" };
    let whole = bytes.unsigned_abs();
    let Some((unit, name)) = SIZES.iter().find(|(unit, _)| whole >= *unit) else { return format!("{sign}{whole} B") };
    let (count, tenths) = (whole / unit, whole % unit * 10 / unit);
    let tenths = if tenths == 0 { String::new() } else { format!(".{tenths}") };
    format!("{sign}{count}{tenths} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0, "0 s"),
            (1, "1 s"),
            (90, "90 s"),
            (119, "119 s"),
            (120, "2 min"),
            (5_400, "90 min"),
            (5_401, "90 min 1 s"),
            (93_600, "26 h"),
            (86_430, "24 h 30 s"),
            (273_600, "3 d 4 h"),
            (259_500, "3 d 5 min"),
            (-93_600, "-26 h"),
            (i64::MIN, "-106751991167300 d 15 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (1_610_612_736, "1.5 GiB"),
            (1_073_741_823, "1023.9 MiB"),
            (-2_048, "-2 KiB"),
            (i128::from(u64::MAX), "15.9 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
