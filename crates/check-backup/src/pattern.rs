//! Paths whose last part may hold `*`.

use model::FailureClass;
use probe::{Cx, FileError};

/// Names in one folder that are looked at.
const MOST_NAMES: usize = 100_000;

/// The paths that match, sorted by name. A pattern without `*` is a path, whether it exists or not.
///
/// # Errors
/// Where the folder can't be read or holds more names than the bound.
pub(crate) async fn matches(cx: &Cx, pattern: &str) -> Result<Vec<String>, FileError> {
    let (folder, name) = match pattern.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => (".", pattern),
    };
    if !name.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let listing = cx.list_dir(folder, MOST_NAMES).await?;
    if listing.cut {
        let message = format!("more than {MOST_NAMES} names in the folder");
        return Err(FileError { path: folder.to_owned(), class: FailureClass::Unreadable, message });
    }
    let folder = folder.trim_end_matches('/');
    let fitting = listing.names.iter().filter(|found| fits(name, found));
    Ok(fitting.map(|found| format!("{folder}/{found}")).collect())
}

/// Whether a name fits a pattern in which `*` stands for anything. Hidden names fit only a pattern that begins with a dot.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        for (pattern, name, wanted) in [
            ("app-*.dump", "app-2026.dump", true),
            ("app-*.dump", "app-.dump", true),
            ("app-*.dump", "app-2026.dump.gz", false),
            ("*", "a", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("ab*ba", "aba", false),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(fits(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
