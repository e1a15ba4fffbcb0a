//! Reads sshd_config(5) as far as `Match` and `Include` go: what `sshd -T` does not show.

use super::syntax::{line, usual};
use crate::facts::{MatchBlock, Setting};

/// What one file holds of interest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) blocks: Vec<MatchBlock>,
    /// Patterns of files to read as well, with the criteria of the `Match` block around them.
    pub(super) includes: Vec<(String, Option<String>)>,
    /// Why a line was not understood; an `Include` or a `Match` may stand in it.
    pub(super) not_understood: Option<String>,
}

/// Reads one file. `around`: criteria of the `Match` block in which the file itself is included.
pub(super) fn parse(file: &str, text: &str, around: Option<&str>) -> Config {
    let mut config = Config::default();
    let mut open: Option<MatchBlock> = around.map(|criteria| block(file, 1, criteria));
    for (number, text) in (1u32..).zip(text.lines()) {
        let Some(line) = line(text) else { continue };
        let (name, value) = (line.name, line.rest);
        let Some(words) = line.words.filter(|_| !name.is_empty() && !text.contains('\0')) else {
            config.not_understood.get_or_insert_with(|| format!("line {number} is not understood"));
            continue;
        };
        match name.as_str() {
            "match" => {
                config.blocks.extend(open.take());
                let criteria = match around {
                    Some(around) => format!("{around}, {value}"),
                    None => value,
                };
                open = Some(block(file, number, &criteria));
            }
            "include" => {
                let criteria = open.as_ref().map(|block| block.criteria.clone());
                config.includes.extend(words.into_iter().map(|pattern| (pattern, criteria.clone())));
            }
            _ => {
                if let Some(block) = &mut open {
                    if !block.changes.contains(&name) {
                        block.changes.push(name.clone());
                    }
                    let value = usual(&name, &words);
                    block.settings.push(Setting { name, value });
                }
            }
        }
    }
    config.blocks.extend(open);
    // A file that is included conditionally, and has no setting outside its own blocks, makes no block.
    config.blocks.retain(|block| around.is_none() || block.line > 1 || !block.settings.is_empty());
    config
}

pub(crate) fn block(file: &str, line: u32, criteria: &str) -> MatchBlock {
    MatchBlock {
        name: format!("{file}:{line}"),
        file: file.to_owned(),
        line,
        criteria: criteria.to_owned(),
        settings: vec![],
        changes: vec![],
    }
}

/// Splits an `Include` pattern into a folder without wildcards and a pattern for names in it; relative ones lie in
/// /etc/ssh. `None` where the folder has wildcards too, or the pattern is of a kind that this program does not know.
pub(crate) fn pattern(text: &str) -> Option<(String, String)> {
    let text = if text.starts_with('/') { text.to_owned() } else { format!("/etc/ssh/{text}") };
    let (folder, name) = text.rsplit_once('/')?;
    let wild = |s: &str| s.contains(['*', '?']);
    let unknown = text.contains(['[', ']', '{', '}', '\\', '~']);
    (!unknown && !wild(folder)).then(|| (folder.to_owned(), name.to_owned()))
}

/// Whether a name fits a pattern with `*` and `?` (glob(7)); a leading dot must be written out.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The last star, and how far into the name it has been stretched: one step back is all that is ever needed.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || name.get(n) == Some(c) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, stretched)) => {
                    star = Some((at, stretched + 1));
                    p = at + 1;
                    n = stretched + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
Include /etc/ssh/sshd_config.d/*.conf \"/etc/ssh/my extra.conf\"
PasswordAuthentication no   # as agreed
# Match User commented
Match User git, Address 192.0.2.0/24
    PasswordAuthentication=yes
    ForceCommand echo \"# not a comment\"
    Include git.conf
match all
    X11Forwarding no
";

    #[test]
    fn blocks_and_includes_are_found() {
        let config = parse("/etc/ssh/sshd_config", TEXT, None);
        assert_eq!(config.blocks.len(), 2);
        assert_eq!(config.blocks[0].name, "/etc/ssh/sshd_config:4");
        assert_eq!(config.blocks[0].criteria, "User git, Address 192.0.2.0/24");
        assert_eq!(config.blocks[0].changes, ["passwordauthentication", "forcecommand"]);
        assert_eq!(config.blocks[0].settings[0].value, "yes");
        assert_eq!(config.blocks[0].settings[1].value, "echo …");
        assert_eq!(config.blocks[1].criteria, "all");
        let includes: Vec<_> = config.includes.iter().map(|(p, c)| (p.as_str(), c.as_deref())).collect();
        assert_eq!(
            includes,
            [
                ("/etc/ssh/sshd_config.d/*.conf", None),
                ("/etc/ssh/my extra.conf", None),
                ("git.conf", Some("User git, Address 192.0.2.0/24"))
            ]
        );
    }

    #[test]
    fn quoted_includes_are_found_and_strange_lines_told() {
        let config = parse("x", "=Include '/etc/ssh/m.conf' a\\ b\n=Match User git\nPermitRootLogin 'Yes'\n", None);
        assert_eq!(config.includes.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(), ["/etc/ssh/m.conf", "a b"]);
        assert_eq!(config.blocks[0].settings[0].value, "yes");
        assert_eq!(config.not_understood, None);
        for text in ["Include 'x\n", "==Include x\n", "\"Include x\n"] {
            assert!(parse("x", text, None).not_understood.is_some(), "{text}");
        }
    }

    #[test]
    fn a_file_included_in_a_block_is_in_it() {
        let config = parse("x", "AllowTcpForwarding no\nMatch Host a\nX11Forwarding yes\n", Some("User git"));
        assert_eq!(config.blocks.len(), 2);
        assert_eq!((config.blocks[0].criteria.as_str(), config.blocks[0].line), ("User git", 1));
        assert_eq!(config.blocks[1].criteria, "User git, Host a");
        assert!(parse("x", "# nothing\n", Some("User git")).blocks.is_empty());
    }

    #[test]
    fn patterns_fit_names() {
        assert_eq!(pattern("a/*.conf"), Some(("/etc/ssh/a".into(), "*.conf".into())));
        assert_eq!(pattern("/etc/*/x"), None);
        assert!(fits("*.conf", "10-a.conf") && fits("1?-*", "10-a.conf") && fits("*a*b*", "xaxxb"));
        assert!(!fits("*.conf", "a.conf.bak") && !fits("*.conf", ".conf") && !fits("?", ""));
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "((Match|Include|X)?[ =\"]?\\PC{0,30}\n){0,9}") {
            let config = parse("f", &text, None);
            for (include, _) in config.includes {
                pattern(&include);
            }
        }

        #[test]
        fn a_name_fits_itself_and_the_star(name in "[a-z0-9_-]{1,12}", cut in 0usize..12) {
            prop_assert!(fits(&name, &name) && fits("*", &name));
            let (left, right) = name.split_at(cut.min(name.len()));
            let starred = format!("{left}*{right}");
            prop_assert!(fits(&starred, &name));
        }
    }
}
