//! Rules on the text of each file.

use super::{File, Violation};

/// The longest that a file written by hand may be.
const MAX_LINES: usize = 600;
/// The most bytes that any file may have.
const MAX_BYTES: usize = 1_000_000;

/// Written by people, so that length matters.
const WRITTEN: [&str; 12] = ["rs", "toml", "yaml", "yml", "sh", "py", "js", "mjs", "html", "j2", "typ", "css"];

/// Words of unfinished work. Put together here so that this file does not hold them.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
];

/// Starts of paths that exist on one machine only.
const MACHINE: [&str; 7] = [
    concat!("/wo", "rk/"),
    concat!("/root/", ".cargo"),
    concat!("/root/", ".rustup"),
    concat!("/root/", ".pyenv"),
    concat!("/root/", ".cache"),
    concat!("/Us", "ers/"),
    concat!("C:\\", "Users"),
];

/// Hosts that packages are fetched from: a lock file or script that names one breaks behind a mirror.
const REGISTRIES: [&str; 7] = [
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi.", "org/simple"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("proxy.", "golang.org"),
];

/// Every violation in the text of the files.
pub(crate) fn check(files: &[File]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files {
        if file.bytes > MAX_BYTES {
            found.push(Violation::new(&file.path, 0, format!("{} bytes; at most {MAX_BYTES} are allowed", file.bytes)));
        }
        let written = WRITTEN.contains(&file.extension()) && !file.generated();
        let lines = file.lines().count();
        if written && lines > MAX_LINES {
            found.push(Violation::new(
                &file.path,
                0,
                format!("{lines} lines; a file written by hand has at most {MAX_LINES}"),
            ));
        }
        for (number, line) in file.lines() {
            for word in UNFINISHED.iter().filter(|word| written && line.contains(**word)) {
                found.push(Violation::new(&file.path, number, format!("'{word}' marks unfinished work")));
            }
            for path in MACHINE.iter().filter(|path| line.contains(**path)) {
                found.push(Violation::new(&file.path, number, format!("'{path}' is a path of one machine")));
            }
            if home_of_someone(line) {
                found.push(Violation::new(&file.path, number, "a path in someone's home folder"));
            }
            for host in REGISTRIES.iter().filter(|host| line.contains(**host)) {
                found.push(Violation::new(&file.path, number, format!("'{host}' is a registry's host")));
            }
        }
        if file.extension() == "rs" {
            found.extend(silenced(file));
        }
    }
    found
}

/// `/home/` with a name after it; `/home/*` and `/home` are places to look, not paths of a machine.
fn home_of_someone(line: &str) -> bool {
    let prefix = concat!("/ho", "me/");
    line.match_indices(prefix)
        .any(|(at, _)| line.get(at + prefix.len()..).is_some_and(|rest| rest.starts_with(char::is_alphanumeric)))
}

/// Attributes that silence a lint and do not say why.
fn silenced(file: &File) -> Vec<Violation> {
    let text = file.text.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("#[").chain(text.match_indices("#![")) {
        let before = text.get(..at).unwrap_or_default();
        // Only where an attribute can stand: at the start of a line.
        if !before.rsplit('\n').next().unwrap_or_default().trim().is_empty() {
            continue;
        }
        let attribute = attribute(text.get(at..).unwrap_or_default());
        let silences = ["allow(", "expect("].iter().any(|word| {
            attribute.match_indices(word).any(|(start, _)| {
                !attribute.get(..start).unwrap_or_default().ends_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        });
        if silences && !attribute.contains("reason") {
            let number = before.matches('\n').count() + 1;
            found.push(Violation::new(&file.path, number, "a lint is silenced without `reason = \"…\"`"));
        }
    }
    found
}

/// From its `#` to the bracket that closes it.
fn attribute(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '[' => depth += 1,
            ']' if depth <= 1 => return text.get(..=at).unwrap_or(text),
            ']' => depth -= 1,
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), bytes: text.len(), text: Some(text.to_owned()) }
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&[file(path, text)]).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn an_allow_needs_a_reason() {
        assert_eq!(lines("a.rs", "\n#[allow(clippy::exit)]\nfn a() {}\n"), [2]);
        assert_eq!(lines("a.rs", "#![cfg_attr(test, allow(clippy::exit))]\n"), [1]);
        assert!(lines("a.rs", "#[allow(\n    clippy::exit,\n    reason = \"x\"\n)]\n").is_empty());
        assert!(lines("a.rs", "#[derive(Debug)]\nlet a = x.expect(\"y\");\n").is_empty());
    }

    #[test]
    fn unfinished_work_is_found_in_code_only() {
        let word = UNFINISHED[0];
        assert_eq!(lines("a.rs", &format!("// {word}\n")), [1]);
        assert!(lines("a.md", &format!("no {word} here\n")).is_empty());
    }

    #[test]
    fn long_files_are_found_unless_a_program_made_them() {
        let long = "x\n".repeat(MAX_LINES + 1);
        assert_eq!(lines("a.yaml", &long), [0]);
        assert!(lines("a.yaml", &format!("# Generated by x\n{}", "x\n".repeat(MAX_LINES))).is_empty());
        assert!(lines("a.md", &long).is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(lines("a.md", &format!("see {}x\n", MACHINE[0])), [1]);
        assert_eq!(lines("a.md", &format!("see {}{}\n", "/home", "/ann/x")), [1]);
        assert!(lines("a.md", "keys in /home/*/.ssh\n").is_empty());
        assert_eq!(lines("a.json", &format!("https://{}/x\n", REGISTRIES[0])), [1]);
    }
}
