//! Cipher suites by code point, from a list whose head names its sources.

use std::sync::LazyLock;

/// `c02f TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` in each line; `#` begins a comment.
const LIST: &str = include_str!("suites.txt");

/// Code point and name, by code point. Read at the first use, which takes no longer than a TLS record; as a table it would
/// be twice as large in the program.
pub(super) static SUITES: LazyLock<Vec<(u16, &'static str)>> = LazyLock::new(|| LIST.lines().filter_map(row).collect());

fn row(line: &'static str) -> Option<(u16, &'static str)> {
    let (id, name) = line.split_once(' ')?;
    Some((u16::from_str_radix(id, 16).ok()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_suite_or_a_comment() {
        for line in LIST.lines().filter(|line| !line.starts_with('#')) {
            let (_, name) = row(line).unwrap_or_else(|| panic!("{line}"));
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
        }
        assert!(SUITES.is_sorted_by(|a, b| a.0 < b.0));
    }
}
