//! Begins a control: a skeleton beside its relatives, and one for its tests. The linter names what is left to fill in.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::shell::root;

/// Appends both skeletons.
///
/// # Errors
/// When the id is not well formed or taken, or no file holds a relative.
pub(crate) fn run(id: &str) -> Result<()> {
    let formed = id.split('-').count() >= 2
        && id
            .split('-')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()));
    if !formed {
        bail!("'{id}' is no id of a control: upper case and digits with hyphens between, such as TLS-PROTO-LEGACY");
    }
    let policies = root().join("policies");
    let controls = home(&policies.join("controls"), id)?;
    let tests = policies.join("tests").join(controls.file_name().unwrap_or_default());
    append(&controls, "controls:\n", &control(id))?;
    append(&tests, "tests:\n", &test(id))?;
    println!("added {id} to {} and {}", controls.display(), tests.display());
    println!("fill them in, take the control into a profile, then: cargo run -- policy lint; cargo run -- policy test");
    Ok(())
}

/// The file whose controls begin most like this one.
fn home(folder: &Path, id: &str) -> Result<PathBuf> {
    let mut best: Option<(usize, PathBuf)> = None;
    let mut entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for path in
        entries.into_iter().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "yaml"))
    {
        let text = std::fs::read_to_string(&path)?;
        for other in ids(&text) {
            if other == id {
                bail!("there is a control {id} already, in {}", path.display());
            }
            let alike = other.split('-').zip(id.split('-')).take_while(|(a, b)| a == b).count();
            if alike > best.as_ref().map_or(0, |(most, _)| *most) {
                best = Some((alike, path.clone()));
            }
        }
    }
    match best {
        Some((_, path)) => Ok(path),
        None => bail!("no file in {} has a control that begins like {id}: make one first", folder.display()),
    }
}

fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("- id:"))
        .map(|id| id.split('#').next().unwrap_or("").trim())
}

fn append(path: &Path, head: &str, skeleton: &str) -> Result<()> {
    let mut text = if path.exists() { std::fs::read_to_string(path)? } else { head.to_owned() };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    std::fs::write(path, text + skeleton)?;
    Ok(())
}

fn control(id: &str) -> String {
    format!(
        "\n  - id: {id}\n    title:          # the state that is wanted\n    severity:       # info, low, medium, high, critical\n    \
         evidence: {{ kind: tls, max_age: 24h }}\n    over:           # path to the things looked at\n    where:          # which of them concern this control\n    \
         cover:          # names that must have been looked for\n    violates:       # when one breaks the requirement\n    message:        # what was seen\n    \
         wanted:         # what would have passed\n    rationale:      # why it matters\n    remedy: {{}}\n    clauses: {{}}\n"
    )
}

fn test(id: &str) -> String {
    format!(
        "\n  - control: {id}\n    cases:\n      - name: as it should be\n        verdict: pass\n        base: modern\n      \
         - name:       # the requirement broken\n        verdict: fail\n        base: modern\n        set: {{}}\n      \
         - name:       # not shown\n        verdict: inconclusive\n        base: modern\n        set: {{}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn ids_are_read_from_a_file_of_controls() {
        let text = "controls:\n  - id: A-B   # one\n    title: x\n  - id: A-C\n";
        assert_eq!(ids(text).collect::<Vec<_>>(), ["A-B", "A-C"]);
    }
}
