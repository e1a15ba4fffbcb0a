//! Paths inside a pack: names that every file system keeps apart and no shell, terminal or archive misreads.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::text::shown;

/// Bytes of a path at most.
const MAX_PATH: usize = 512;
/// Bytes of one part of a path at most, as most file systems have it.
const MAX_PART: usize = 255;

/// Why a path, or a list of paths, is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// The path may lead out of the folder, or be misread on the way.
    #[error(
        "the path '{0}' is refused: a relative path of letters, digits and ._+@=,- is wanted, with no empty part, no part of dots alone, none that begins with - or ends with a dot"
    )]
    Unsafe(String),
    /// The list is not sorted by path, or names one twice.
    #[error("the path '{0}' is out of order or given twice")]
    Order(String),
    /// Two paths are one on a file system that folds case, or one is a folder of the other.
    #[error("the paths '{0}' and '{1}' can't lie side by side on every file system")]
    Collision(String, String),
}

/// Checks one path: relative, `/` between its parts, ASCII letters, digits and `._+@=,-` only.
///
/// # Errors
/// Where the path is anything else.
pub fn check_path(path: &str) -> Result<(), PathError> {
    let part_is_safe = |part: &str| {
        !part.is_empty()
            && part.len() <= MAX_PART
            && !part.starts_with('-')
            // Covers `.` and `..` too. Windows drops a final dot, and makes two names one.
            && !part.ends_with('.')
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._+@=,-".contains(&c))
    };
    let safe = path.len() <= MAX_PATH && path.split('/').all(part_is_safe);
    safe.then_some(()).ok_or_else(|| PathError::Unsafe(shown(path)))
}

/// Checks a list of paths: each safe, strictly ascending by bytes, none equal to another but for case, none a
/// folder of another.
///
/// # Errors
/// At the first path that breaks a rule.
pub fn check_paths<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<(), PathError> {
    let mut last = None;
    // Every file and folder by its folded name: how it was spelt, and whether it is a file.
    let mut seen: BTreeMap<String, (&str, bool)> = BTreeMap::new();
    for path in paths {
        check_path(path)?;
        if last.is_some_and(|last| last >= path) {
            return Err(PathError::Order(shown(path)));
        }
        last = Some(path);
        let folders = path.match_indices('/').map(|(at, _)| (path.get(..at).unwrap_or_default(), false));
        for (name, is_file) in folders.chain([(path, true)]) {
            let first = *seen.entry(name.to_ascii_lowercase()).or_insert((name, is_file));
            let same_folder = !first.1 && !is_file && first.0 == name;
            let just_added = is_file && first == (name, true);
            if !same_folder && !just_added {
                return Err(PathError::Collision(first.0.to_owned(), path.to_owned()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_and_mean_one_thing() {
        for good in ["a", "evidence/0a.json", "report.html", ".hidden", "a..b", "x@y+z=1,2/_-"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/./b",
            "a\\b",
            "C:/a",
            "a\nb",
            "a\0",
            "a b",
            "-",
            "-rf",
            "a/-b",
            "a.",
            "é",
            "\u{202e}a",
            "a:b",
            "a*",
            &long,
            &"a/".repeat(400),
        ] {
            assert_eq!(check_path(bad), Err(PathError::Unsafe(shown(bad))), "{bad}");
        }
    }

    #[test]
    fn lists_are_sorted_and_without_collisions() {
        assert_eq!(check_paths(["a", "b/c", "b/d/e", "b/d/f"]), Ok(()));
        assert_eq!(check_paths([]), Ok(()));
        for bad in [["b", "a"], ["a", "a"]] {
            assert!(matches!(check_paths(bad), Err(PathError::Order(_))), "{bad:?}");
        }
        for bad in [["A", "a"], ["A/x", "a/y"], ["a", "a/b"], ["A", "a/b"], ["x/A", "x/a"]] {
            assert!(matches!(check_paths(bad), Err(PathError::Collision(..))), "{bad:?}");
        }
        // `a.b` sorts between `a` and `a/b`: neighbours alone do not show the collision.
        assert!(matches!(check_paths(["a", "a.b", "a/b"]), Err(PathError::Collision(..))));
    }
}
