//! The syntax of Apache httpd: directives, sections, definitions, includes, and which conditions hold
//! (<https://httpd.apache.org/docs/2.4/configuring.html>).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::lines::{joined, words};
use super::super::tree::{At, Text, Tree, below, folder_of};

/// Sections inside each other.
const MOST_DEPTH: usize = 50;
/// Directives whose place in a condition that can't be told leaves something open.
const OF_INTEREST: [&str; 9] =
    ["ssl", "listen", "virtualhost", "header", "redirect", "rewrite", "proxypass", "servername", "use"];

/// A directive, or a section with what is in it. Conditions are gone: what holds stands in their place.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    /// Lower case; those of sections begin with `<`.
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) at: At,
    pub(super) block: Vec<Directive>,
}

impl Directive {
    pub(super) fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }
}

/// A section that is not closed yet.
struct Open {
    directive: Directive,
    holds: Holds,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    /// It can't be told from the files.
    Unknown,
}

/// Reads a configuration, and everything that it includes.
pub(super) struct Reader<'t> {
    tree: &'t mut Tree,
    version: Option<Vec<u32>>,
    server_root: String,
    defines: BTreeMap<String, String>,
    modules: BTreeSet<String>,
    pub(super) loaded: Vec<(String, At)>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(tree: &'t mut Tree, entry: &str, version: Option<Vec<u32>>) -> Self {
        // Debian's is built in, and is the folder of its first file.
        let server_root = folder_of(entry).to_owned();
        Self { tree, version, server_root, defines: BTreeMap::new(), modules: BTreeSet::new(), loaded: vec![] }
    }

    /// The folder that relative paths are relative to.
    pub(super) fn server_root(&self) -> &str {
        &self.server_root
    }

    /// The directives of a file.
    pub(super) fn file(&mut self, path: &str, from: Option<&At>, optional: bool) -> Vec<Directive> {
        let Some(Text { path, text }) = self.tree.read_if(path, from, optional) else { return vec![] };
        let here = At { file: Arc::clone(&path), line: 0 };
        if !self.tree.enter(&path, from.unwrap_or(&here)) {
            return vec![];
        }
        let (mut open, mut all): (Vec<Open>, Vec<Directive>) = (Vec::new(), Vec::new());
        for (line, text) in joined(&text) {
            let at = At { file: Arc::clone(&path), line };
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if let Some(name) = text.strip_prefix("</") {
                let name = format!("<{}", name.trim_end().trim_end_matches('>').to_ascii_lowercase());
                match open.pop() {
                    Some(section) if section.directive.name == name => self.close(section, &mut open, &mut all),
                    _ => {
                        self.tree.unknown(&at, "it closes a section that is not open");
                        break;
                    }
                }
                continue;
            }
            let section = text.starts_with('<');
            let text = if section { text.strip_suffix('>').unwrap_or(text) } else { text };
            let Some(mut args) = words(&self.expanded(text), false) else {
                self.tree.unknown(&at, "a quote that does not end");
                continue;
            };
            if args.is_empty() {
                continue;
            }
            let directive = Directive { name: args.remove(0).to_ascii_lowercase(), args, at, block: vec![] };
            if section {
                if open.len() >= MOST_DEPTH {
                    self.tree.unknown(&directive.at, "sections inside each other, deeper than Probity reads");
                    break;
                }
                let holds = self.holds(&directive);
                open.push(Open { directive, holds });
                continue;
            }
            // What does not hold defines and includes nothing.
            let live = open.iter().all(|section| section.holds == Holds::Yes);
            let found = if live { self.take(directive) } else { vec![directive] };
            open.last_mut().map_or(&mut all, |section| &mut section.directive.block).extend(found);
        }
        if let Some(section) = open.first() {
            let (name, at) = (&section.directive.name, &section.directive.at);
            let message = format!("the section {name}> is not closed");
            self.tree.unknown(at, message);
            // What was read of it counts: it may show a violation.
            while let Some(section) = open.pop() {
                self.close(section, &mut open, &mut all);
            }
        }
        self.tree.leave();
        all
    }

    /// A section ends: a condition vanishes, or its content does.
    fn close(&mut self, section: Open, open: &mut [Open], all: &mut Vec<Directive>) {
        let Open { directive, holds } = section;
        let outer = open.last_mut().map_or(all, |outer| &mut outer.directive.block);
        match holds {
            Holds::Yes if is_condition(&directive.name) => outer.extend(directive.block),
            Holds::Yes => outer.push(directive),
            Holds::No => {}
            Holds::Unknown => {
                if concerns(&directive.block) {
                    let what = format!("{} {}>", directive.name, directive.args.join(" "));
                    let why = format!("whether {what} holds can't be told from the files");
                    self.tree.unknown(&directive.at, why);
                }
            }
        }
    }

    /// What a directive outside of conditions comes to.
    fn take(&mut self, directive: Directive) -> Vec<Directive> {
        match directive.name.as_str() {
            "include" | "includeoptional" => {
                let optional = directive.name == "includeoptional";
                let pattern = below(&self.server_root, directive.arg(0));
                let mut found = Vec::new();
                for path in self.tree.included(&pattern, &directive.at) {
                    found.extend(self.file_or_folder(&path, &directive.at, optional));
                }
                return found;
            }
            "define" => {
                self.defines.insert(directive.arg(0).to_owned(), directive.arg(1).to_owned());
            }
            "undefine" => {
                self.defines.remove(directive.arg(0));
            }
            "serverroot" => directive.arg(0).clone_into(&mut self.server_root),
            "loadmodule" => {
                self.modules.insert(directive.arg(0).to_owned());
                self.loaded.push((directive.arg(1).to_owned(), directive.at.clone()));
            }
            "use" => self.tree.unknown(&directive.at, "macros (mod_macro) are not understood"),
            _ => {}
        }
        vec![directive]
    }

    /// A folder stands for all files in it, folders too.
    fn file_or_folder(&mut self, path: &str, at: &At, optional: bool) -> Vec<Directive> {
        if self.tree.look(path).is_ok_and(|found| found.is_dir) {
            let folder: Arc<str> = path.into();
            if !self.tree.enter(&folder, at) {
                return vec![];
            }
            let paths = self.tree.included(&format!("{}/*", path.trim_end_matches('/')), at);
            let found = paths.iter().flat_map(|path| self.file_or_folder(path, at, optional)).collect();
            self.tree.leave();
            return found;
        }
        self.file(path, Some(at), optional)
    }

    /// With `${NAME}` of those that are defined.
    fn expanded(&self, text: &str) -> String {
        let (mut done, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            done.push_str(before);
            let defined = after.split_once('}').and_then(|(name, after)| Some((self.defines.get(name)?, after)));
            match defined {
                Some((value, after)) => {
                    done.push_str(value);
                    rest = after;
                }
                None => {
                    done.push_str("${");
                    rest = after;
                }
            }
        }
        done + rest
    }

    fn holds(&mut self, section: &Directive) -> Holds {
        let (text, not) = match section.arg(0).strip_prefix('!') {
            Some(text) => (text.to_owned(), true),
            None => (section.arg(0).to_owned(), false),
        };
        let holds = match section.name.as_str() {
            "<ifmodule" => self.has_module(&text),
            // One may be defined on the command line as well.
            "<ifdefine" if self.defines.contains_key(&text) => Holds::Yes,
            "<ifdefine" | "<ifdirective" | "<ifsection" | "<macro" => Holds::Unknown,
            "<iffile" => match self.tree.look(&below(&self.server_root, &text)) {
                Ok(_) => Holds::Yes,
                Err(_) => Holds::No,
            },
            "<ifversion" => self.is_version(section),
            _ => return Holds::Yes,
        };
        match (holds, not) {
            (Holds::Yes, true) => Holds::No,
            (Holds::No, true) => Holds::Yes,
            (holds, _) => holds,
        }
    }

    /// A module by name (`ssl_module`) or file (`mod_ssl.c`). Those that are built in are not in the files; where modules
    /// are loaded at all, all but Debian's and Fedora's own few are.
    fn has_module(&self, text: &str) -> Holds {
        const BUILT_IN: [&str; 6] =
            ["core_module", "so_module", "http_module", "unixd_module", "version_module", "log_config_module"];
        let name = match text.strip_suffix(".c") {
            Some(file) => format!("{}_module", file.strip_prefix("mod_").unwrap_or(file)),
            None => text.to_owned(),
        };
        if self.modules.contains(&name) || BUILT_IN.contains(&name.as_str()) {
            Holds::Yes
        } else if self.modules.is_empty() {
            Holds::Unknown
        } else {
            Holds::No
        }
    }

    fn is_version(&self, section: &Directive) -> Holds {
        let (operator, wanted) = match section.args.as_slice() {
            [operator, wanted] => (operator.as_str(), wanted),
            [wanted] => ("=", wanted),
            _ => return Holds::Unknown,
        };
        let wanted: Option<Vec<u32>> = wanted.split('.').map(|part| part.parse().ok()).collect();
        let (Some(known), Some(wanted)) = (&self.version, wanted) else { return Holds::Unknown };
        let holds = match operator {
            "=" | "==" => known.starts_with(&wanted),
            ">=" => *known >= wanted,
            ">" => *known > wanted && !known.starts_with(&wanted),
            "<" => *known < wanted,
            "<=" => *known <= wanted || known.starts_with(&wanted),
            _ => return Holds::Unknown,
        };
        if holds { Holds::Yes } else { Holds::No }
    }
}

fn is_condition(name: &str) -> bool {
    matches!(name, "<ifmodule" | "<ifdefine" | "<iffile" | "<ifversion")
}

/// Whether something in there would matter.
fn concerns(block: &[Directive]) -> bool {
    block.iter().any(|directive| {
        let name = directive.name.trim_start_matches('<');
        let included = name.starts_with("include") || name == "define" || name == "loadmodule";
        included || OF_INTEREST.iter().any(|word| name.starts_with(word)) || concerns(&directive.block)
    })
}
