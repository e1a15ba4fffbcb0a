//! The scalars of an inventory's backups: spans, sizes, paths, and locations that may hold a password.

use serde::Deserialize;

/// The text of a span; a number alone is refused in words that name what is missing.
pub(crate) fn span_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(Option<String>),
        Number(u64),
        Other(serde::de::IgnoredAny),
    }
    let wrong = |why: String| Err(serde::de::Error::custom(why));
    match Given::deserialize(from)? {
        Given::Text(text) => Ok(text),
        Given::Number(n) => wrong(format!("{n} has no unit; write {n}h for hours (or s, m, d, w)")),
        Given::Other(_) => wrong("this is no span; write a whole number and s, m, h, d or w, such as 26h".to_owned()),
    }
}

/// A span such as `90s`, `15m`, `26h`, `30d` or `8w`, in seconds.
///
/// # Errors
/// Where it is none.
pub(crate) fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is no span; write a whole number and s, m, h, d or w, such as 26h");
    let at = text.len().checked_sub(1).ok_or_else(wrong)?;
    let (number, unit) = text.split_at_checked(at).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let number = digits(number).ok_or_else(wrong)?;
    // A century: more is a slip of the pen.
    number.checked_mul(unit).filter(|s| *s > 0 && *s <= 3_155_760_000).ok_or_else(wrong)
}

/// A size such as `500`, `10MB` or `1GiB`, in bytes.
///
/// # Errors
/// Where it is none.
pub(crate) fn bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is no size; write a whole number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB");
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = match unit.trim_start() {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1_i64 << 40,
        _ => return Err(wrong()),
    };
    digits(number).and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Refuses `~`, which a shell alone follows.
pub(crate) fn not_home(path: &str) -> Result<(), String> {
    if path.starts_with('~') { Err("'~' is not followed; write the whole path".to_owned()) } else { Ok(()) }
}

/// Refuses a pattern that would match nothing, for what it uses is not known here.
pub(crate) fn pattern_is_plain(pattern: &str) -> Result<(), String> {
    not_home(pattern)?;
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if folder.contains(['*', '?', '[']) || name.contains(['?', '[']) {
        let allowed = "'*' alone stands for anything, and only in the last part, as in /srv/dumps/app-*.dump";
        return Err(format!("'{pattern}' is no pattern here: {allowed}; make other folders targets of their own"));
    }
    Ok(())
}

/// A path without the slashes at its end.
pub(crate) fn plain_path(path: &str) -> String {
    let cut = path.trim_end_matches('/');
    if cut.is_empty() { path.chars().take(1).collect() } else { cut.to_owned() }
}

/// The password in an URL: what stands between the first `:` of the user's part and the last `@`.
pub(crate) fn secret_in(location: &str) -> Option<&str> {
    let (_, rest) = location.split_once("://")?;
    let authority = rest.get(..rest.find('/').unwrap_or(rest.len()))?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, secret)| secret).filter(|s| !s.is_empty())
}

/// An URL without its password.
pub(crate) fn without_secret(location: &str) -> String {
    secret_in(location).map_or_else(|| location.to_owned(), |s| location.replacen(&format!(":{s}@"), ":[redacted]@", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes() {
        assert_eq!(seconds("26h"), Ok(93_600));
        assert_eq!(seconds("8w"), Ok(4_838_400));
        for wrong in ["", "h", "26", "-1h", "1.5h", "0h", "99999999999999999999h", "9999999d", "26ü"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        assert_eq!(bytes("10 MB"), Ok(10_000_000));
        assert_eq!(bytes("7"), Ok(7));
        for wrong in ["", "GiB", "1gib", "-1", "1.5GB", "99999999999TiB", "1µB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn passwords_in_urls_are_not_shown() {
        assert_eq!(without_secret("rest:https://u:p@ss@h:8000/r"), "rest:https://u:[redacted]@h:8000/r");
        assert_eq!(without_secret("sftp:u@h:/srv"), "sftp:u@h:/srv");
        assert_eq!(without_secret("/srv/a@b"), "/srv/a@b");
    }
}
