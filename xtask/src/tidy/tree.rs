//! Rules on which files there are and that each is taken up by another.

use super::{File, Violation};

/// What a newcomer looks for in the root.
const ROOT: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "deny.toml",
    "clippy.toml",
];

/// The crates without clock, network, files, environment and randomness; the calls are named in clippy.toml.
const PURE: [&str; 3] = ["crates/model/src/lib.rs", "crates/policy/src/lib.rs", "crates/report/src/lib.rs"];

/// Every violation in the tree of files.
pub(crate) fn check(files: &[File]) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in ROOT {
        if !files.iter().any(|file| file.path == name && file.bytes > 0) {
            found.push(Violation::new(name, 0, "is missing"));
        }
    }
    for path in PURE {
        for lint in ["clippy::disallowed_methods", "clippy::disallowed_types"] {
            if text(files, path).is_some_and(|text| !text.contains(lint)) {
                found.push(Violation::new(path, 0, format!("the crate is pure, but does not switch on {lint}")));
            }
        }
    }
    for file in files.iter().filter(|file| file.extension() == "rs") {
        found.extend(orphan(file, files));
        found.extend(unlisted_probes(file, files));
        found.extend(unlisted_renderer(file, files));
    }
    found
}

fn text<'a>(files: &'a [File], path: &str) -> Option<&'a str> {
    files.iter().find(|file| file.path == path).and_then(|file| file.text.as_deref())
}

/// A file that no `mod` names is never compiled.
fn orphan(file: &File, files: &[File]) -> Option<Violation> {
    let (folder, name) = file.path.rsplit_once('/')?;
    let (_, inside) = folder.split_once("/src").or_else(|| (folder == "src").then_some(("", "")))?;
    let stem = name.strip_suffix(".rs")?;
    if (inside.is_empty() && matches!(stem, "lib" | "main")) || inside.starts_with("/bin") {
        return None;
    }
    // `a/mod.rs` is named by the folder above, `a/b.rs` by `a/mod.rs` or `a.rs`.
    let (module, home) =
        if stem == "mod" { (folder.rsplit_once('/')?.1, folder.rsplit_once('/')?.0) } else { (stem, folder) };
    let parents = [format!("{home}/lib.rs"), format!("{home}/main.rs"), format!("{home}/mod.rs"), format!("{home}.rs")];
    let declares = |text: &str| {
        text.lines()
            .any(|line| line.trim().trim_end_matches(';').trim_end_matches(" {").ends_with(&format!("mod {module}")))
    };
    let declared = parents.iter().filter_map(|path| text(files, path)).any(declares);
    (!declared).then(|| Violation::new(&file.path, 0, format!("no `mod {module};` names this file")))
}

/// Whether the file is a module of tests: its declaration, in any file of its crate, says so.
fn is_for_tests(file: &File, files: &[File]) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let module = name.strip_suffix(".rs").unwrap_or(name);
    let crate_of = |path: &str| path.split('/').take(2).collect::<Vec<_>>().join("/");
    let declaration = format!("#[cfg(test)]\nmod {module};");
    let own = crate_of(&file.path);
    files
        .iter()
        .filter(|other| crate_of(&other.path) == own)
        .any(|other| other.text.as_ref().is_some_and(|text| text.contains(&declaration)))
}

/// A probe is one file and one line in its crate's plain list.
fn unlisted_probes(file: &File, files: &[File]) -> Vec<Violation> {
    let Some((name, _)) = file.path.strip_prefix("crates/").and_then(|rest| rest.split_once("/src/")) else {
        return Vec::new();
    };
    if !name.starts_with("check-") {
        return Vec::new();
    }
    if is_for_tests(file, files) {
        return Vec::new();
    }
    let list = text(files, &format!("crates/{name}/src/lib.rs")).unwrap_or_default();
    let mut found = Vec::new();
    for (number, line) in file.lines() {
        if line.contains("cfg(test)") {
            break;
        }
        let Some(probe) = line.trim_start().strip_prefix("impl").and_then(|rest| rest.split_once("Probe for ")) else {
            continue;
        };
        let probe: String = probe.1.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !list.contains(&probe) {
            found.push(Violation::new(
                &file.path,
                number,
                format!("the probe {probe} is not in its crate's list in lib.rs"),
            ));
        }
    }
    found
}

/// A renderer is one file that the crate's table of formats names.
fn unlisted_renderer(file: &File, files: &[File]) -> Option<Violation> {
    let name = file.path.strip_prefix("crates/report/src/")?.strip_suffix(".rs")?;
    let module = name.strip_suffix("/mod").unwrap_or(name);
    let number = file.lines().find(|(_, line)| line.trim_start().starts_with("pub fn render"))?.0;
    if module.contains('/') || module == "lib" {
        return None;
    }
    let list = text(files, "crates/report/src/lib.rs").unwrap_or_default();
    (!list.contains(&format!("{module}::"))).then(|| {
        Violation::new(&file.path, number, format!("the renderer {module} is not named in the list in lib.rs"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), bytes: text.len(), text: Some(text.to_owned()) }
    }

    fn messages(files: &[File]) -> Vec<String> {
        let root = |path: &str| ROOT.contains(&path);
        check(files).into_iter().filter(|v| !root(&v.file)).map(|v| format!("{}: {}", v.file, v.message)).collect()
    }

    #[test]
    fn a_file_that_no_mod_names_is_found() {
        let files = [
            file("crates/a/src/lib.rs", "pub mod b;\nmod d;"),
            file("crates/a/src/b.rs", ""),
            file("crates/a/src/c.rs", ""),
            file("crates/a/src/d/mod.rs", "mod e;"),
            file("crates/a/src/d/e.rs", ""),
            file("crates/a/src/d/f.rs", ""),
            file("crates/a/tests/g.rs", ""),
        ];
        assert_eq!(
            messages(&files),
            ["crates/a/src/c.rs: no `mod c;` names this file", "crates/a/src/d/f.rs: no `mod f;` names this file"]
        );
    }

    #[test]
    fn probes_and_renderers_are_listed() {
        let probe = "impl Probe for Luks {\n";
        let unlisted = [file("crates/check-x/src/lib.rs", "mod luks;"), file("crates/check-x/src/luks.rs", probe)];
        assert_eq!(messages(&unlisted).len(), 1);
        let listed =
            [file("crates/check-x/src/lib.rs", "mod luks;\n[luks::Luks]"), file("crates/check-x/src/luks.rs", probe)];
        assert!(messages(&listed).is_empty());
        let render = "pub fn render() {}\n";
        let lints = "clippy::disallowed_methods clippy::disallowed_types";
        let unlisted = [
            file("crates/report/src/lib.rs", &format!("mod csv;\n// {lints}")),
            file("crates/report/src/csv.rs", render),
        ];
        assert_eq!(messages(&unlisted).len(), 1);
    }

    #[test]
    fn a_pure_crate_says_so() {
        assert_eq!(messages(&[file("crates/model/src/lib.rs", "")]).len(), 2);
    }

    #[test]
    fn a_missing_licence_is_found() {
        assert_eq!(check(&[]).len(), ROOT.len());
    }
}
