//! Which crate may depend on which: the table "Layers" of ARCHITECTURE.md against what cargo sees.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{File, Violation};
use crate::shell;

/// Where the table is.
const PAGE: &str = "ARCHITECTURE.md";

/// One row: a crate, the line it stands in, and what it may depend on.
#[derive(Debug, PartialEq, Eq)]
struct Layer {
    name: String,
    line: usize,
    allowed: BTreeSet<String>,
}

/// A crate as cargo sees it.
struct Package {
    name: String,
    manifest: String,
    described: bool,
    depends: BTreeSet<String>,
}

/// Every difference between the table and the workspace, and every crate without docs.
///
/// # Errors
/// When `cargo metadata` fails.
pub(crate) fn check(files: &[File]) -> Result<Vec<Violation>> {
    let root = shell::root();
    let words = ["cargo", "metadata", "--no-deps", "--format-version", "1"];
    let metadata: Value = serde_json::from_str(&shell::output(&mut shell::command(&words))?)?;
    let packages = packages(&metadata, &root.to_string_lossy()).context("cargo metadata has an unknown shape")?;
    let (layers, mut found) = match files.iter().find(|file| file.path == PAGE).and_then(|file| file.text.as_deref()) {
        Some(text) => table(text),
        None => return Ok(vec![Violation::new(PAGE, 0, "is missing, and with it the table \"Layers\"")]),
    };
    found.extend(compare(&layers, &packages));
    for package in &packages {
        if !package.described {
            found.push(Violation::new(&package.manifest, 0, "the crate has no `description`"));
        }
        let folder = package.manifest.trim_end_matches("Cargo.toml");
        let mut roots =
            files.iter().filter(|f| ["lib.rs", "main.rs"].iter().any(|n| f.path == format!("{folder}src/{n}")));
        if !roots.any(|file| file.text.as_deref().unwrap_or_default().trim_start().starts_with("//!")) {
            found.push(Violation::new(&package.manifest, 0, "the crate's root does not begin with `//!` docs"));
        }
    }
    Ok(found)
}

fn packages(metadata: &Value, root: &str) -> Option<Vec<Package>> {
    let list = metadata.get("packages")?.as_array()?;
    list.iter()
        .map(|package| {
            let normal = |dependency: &&Value| {
                dependency.get("path").is_some_and(Value::is_string)
                    && dependency.get("kind").and_then(Value::as_str) != Some("dev")
            };
            let depends = package.get("dependencies")?.as_array()?.iter().filter(normal);
            let manifest = package.get("manifest_path")?.as_str()?;
            Some(Package {
                name: package.get("name")?.as_str()?.to_owned(),
                manifest: manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/').to_owned(),
                described: package.get("description").and_then(Value::as_str).is_some_and(|text| !text.is_empty()),
                depends: depends.filter_map(|d| d.get("name")?.as_str()).map(str::to_owned).collect(),
            })
        })
        .collect()
}

/// Reads `| crate | one line | depends on |` under the heading "Layers".
///
/// The last column holds names with commas between them, `-`, `all above`, or `x and above`.
fn table(text: &str) -> (Vec<Layer>, Vec<Violation>) {
    let mut layers: Vec<Layer> = Vec::new();
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        if line.starts_with('#') {
            inside = line.trim_start_matches('#').trim() == "Layers";
        }
        let cells: Vec<String> =
            line.trim().trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [name, _, depends] = cells.as_slice() else { continue };
        if !inside || name == "crate" || name.starts_with('-') {
            continue;
        }
        let mut allowed = BTreeSet::new();
        for word in depends.split(',').map(str::trim).filter(|word| !matches!(*word, "" | "-" | "–")) {
            let upto = word.strip_suffix(" and above");
            let position = layers.iter().position(|layer| layer.name == upto.unwrap_or(word));
            match (word, upto, position) {
                ("all above", ..) => allowed.extend(layers.iter().map(|layer| layer.name.clone())),
                (_, Some(_), Some(at)) => allowed.extend(layers.iter().take(at + 1).map(|layer| layer.name.clone())),
                (_, None, Some(_)) => {
                    allowed.insert(word.to_owned());
                }
                _ => found.push(Violation::new(PAGE, line_number, format!("'{word}' is no crate above {name}"))),
            }
        }
        layers.push(Layer { name: name.clone(), line: line_number, allowed });
    }
    if layers.is_empty() {
        found.push(Violation::new(PAGE, 0, "has no table `crate | one line | depends on` under a heading \"Layers\""));
    }
    (layers, found)
}

fn compare(layers: &[Layer], packages: &[Package]) -> Vec<Violation> {
    let mut found = Vec::new();
    let by_name: BTreeMap<&str, &Layer> = layers.iter().map(|layer| (layer.name.as_str(), layer)).collect();
    for layer in layers {
        if !packages.iter().any(|package| package.name == layer.name) {
            found.push(Violation::new(
                PAGE,
                layer.line,
                format!("there is no crate '{}' in the workspace", layer.name),
            ));
        }
    }
    for package in packages {
        let Some(layer) = by_name.get(package.name.as_str()) else {
            found.push(Violation::new(PAGE, 0, format!("the table \"Layers\" lacks the crate '{}'", package.name)));
            continue;
        };
        for dependency in package.depends.difference(&layer.allowed) {
            let message =
                format!("{} depends on {dependency}, which {PAGE}:{} does not allow", package.name, layer.line);
            found.push(Violation::new(&package.manifest, 0, message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Layers\n\n| crate | one line | depends on |\n|---|---|---|\n| `model` | nouns | - |\n\
                        | `probe` | runs | model |\n| `audit` | joins | all above |\n| `watch` | daemon | audit and above |\n";

    fn package(name: &str, depends: &[&str]) -> Package {
        let depends = depends.iter().map(|name| (*name).to_owned()).collect();
        Package { name: name.to_owned(), manifest: format!("crates/{name}/Cargo.toml"), described: true, depends }
    }

    #[test]
    fn the_table_is_read() {
        let (layers, found) = table(TEXT);
        assert!(found.is_empty());
        let allowed =
            |at: usize| layers.get(at).into_iter().flat_map(|l| &l.allowed).map(String::as_str).collect::<Vec<_>>();
        assert_eq!(layers.len(), 4);
        assert!(allowed(0).is_empty());
        assert_eq!(allowed(1), ["model"]);
        assert_eq!(allowed(2), ["model", "probe"]);
        assert_eq!(allowed(3), ["audit", "model", "probe"]);
    }

    #[test]
    fn a_name_that_is_not_above_is_found() {
        let (_, found) = table(&TEXT.replace("| runs | model |", "| runs | audit |"));
        assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [6]);
    }

    #[test]
    fn an_arrow_that_the_table_lacks_is_found() {
        let (layers, _) = table(TEXT);
        let good = [package("model", &[]), package("probe", &["model"]), package("audit", &["probe"])];
        let missing: Vec<String> = compare(&layers, &good).into_iter().map(|v| v.message).collect();
        assert_eq!(missing, ["there is no crate 'watch' in the workspace"]);
        let bad = [package("model", &["probe"]), package("probe", &[]), package("audit", &[]), package("watch", &[])];
        assert_eq!(compare(&layers, &bad).len(), 1);
    }
}
