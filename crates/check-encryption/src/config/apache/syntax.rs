//! The syntax of Apache httpd: directives, sections, definitions, includes, and which conditions hold
//! (<https://httpd.apache.org/docs/2.4/configuring.html>).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::tree::{At, Text, Tree, Trouble, below, folder_of};

/// Sections inside each other.
const MOST_DEPTH: usize = 50;
/// Directives in all.
const MOST_DIRECTIVES: usize = 1_000_000;
/// Beginnings of the names that matter here: in a condition that can't be told, or with a variable, they leave something
/// open.
const OF_INTEREST: [&str; 21] = [
    "ssl",
    "listen",
    "virtualhost",
    "header",
    "redirect",
    "rewrite",
    "proxy",
    "balancermember",
    "serveralias",
    "servername",
    "serverroot",
    "macro",
    "errordocument",
    "allowoverride",
    "sethandler",
    "include",
    "define",
    "undefine",
    "load",
    "perl",
    "mdomain",
];
/// Sections that are understood, conditions aside.
const SECTIONS: [&str; 21] = [
    "<virtualhost",
    "<directory",
    "<directorymatch",
    "<files",
    "<filesmatch",
    "<location",
    "<locationmatch",
    "<proxy",
    "<proxymatch",
    "<limit",
    "<limitexcept",
    "<if",
    "<elseif",
    "<else",
    "<requireall",
    "<requireany",
    "<requirenone",
    "<authnprovideralias",
    "<authzprovideralias",
    "<mdomain",
    "<mdomainset",
];

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
    directives: usize,
    pub(super) loaded: Vec<(String, At)>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(tree: &'t mut Tree, entry: &str, version: Option<Vec<u32>>) -> Self {
        // Debian's is built in, and is the folder of its first file.
        let server_root = folder_of(entry).to_owned();
        Self {
            tree,
            version,
            server_root,
            defines: BTreeMap::new(),
            modules: BTreeSet::new(),
            directives: 0,
            loaded: vec![],
        }
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
            self.directives += 1;
            if self.directives > MOST_DIRECTIVES {
                self.tree.unknown(&at, "more directives than Probity reads");
                break;
            }
            if text.ends_with('\\') {
                self.tree.unknown(&at, "whether the line goes on behind two backslashes can't be told");
            }
            if let Some(name) = text.strip_prefix("</") {
                let name = name.split_once('>').map_or(name, |(name, _)| name).trim_end();
                let name = format!("<{}", name.to_ascii_lowercase());
                match open.pop() {
                    Some(section) if section.directive.name == name => self.close(section, &mut open, &mut all),
                    section => {
                        open.extend(section);
                        self.tree.unknown(&at, "it closes a section that is not open");
                        break;
                    }
                }
                continue;
            }
            let section = text.starts_with('<');
            // Behind the last bracket nothing counts.
            let text = match (section, text.rfind('>')) {
                (true, Some(end)) => text.get(..end).unwrap_or_default(),
                (true, None) => {
                    self.tree.unknown(&at, "a section without '>'");
                    break;
                }
                _ => text,
            };
            let mut args = words(&self.expanded(text));
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
                if !is_condition(&directive.name) && !SECTIONS.contains(&directive.name.as_str()) {
                    let why = format!("what {}> does is not understood", directive.name);
                    self.tree.unknown(&directive.at, why);
                }
                open.push(Open { directive, holds });
                continue;
            }
            // What does not hold defines and includes nothing.
            let live = open.iter().all(|section| section.holds == Holds::Yes);
            let found = if live { self.take(directive) } else { vec![directive] };
            open.last_mut().map_or(&mut all, |section| &mut section.directive.block).extend(found);
        }
        if let Some(section) = open.last() {
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
        if of_interest(&directive.name) && directive.args.iter().any(|arg| has_variable(arg)) {
            self.tree.unknown(&directive.at, "it holds a variable that the files do not define");
        }
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
            "loadfile" => self.loaded.push((directive.arg(0).to_owned(), directive.at.clone())),
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
            // Those whose names begin with a dot too.
            let mut paths = Vec::new();
            for pattern in ["*", ".*"] {
                paths.extend(self.tree.included(&format!("{}/{pattern}", path.trim_end_matches('/')), at));
            }
            paths.retain(|path| !path.ends_with("/.") && !path.ends_with("/.."));
            paths.sort();
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
            _ if has_variable(&text) => Holds::Unknown,
            // One may be defined on the command line as well.
            "<ifdefine" if self.defines.contains_key(&text) => Holds::Yes,
            "<ifdefine" | "<ifdirective" | "<ifsection" | "<macro" => Holds::Unknown,
            "<iffile" => match self.tree.look(&below(&self.server_root, &text)) {
                Ok(_) => Holds::Yes,
                Err(Trouble::Missing) => Holds::No,
                Err(Trouble::Other(_)) => Holds::Unknown,
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

    /// A module by name (`ssl_module`) or file (`mod_ssl.c`). Those that are built in are not in the files; where those that
    /// nobody can do without are loaded, few are. What is said of TLS never hangs on that guess.
    fn has_module(&self, text: &str) -> Holds {
        const BUILT_IN: [&str; 8] = [
            "core_module",
            "so_module",
            "http_module",
            "unixd_module",
            "version_module",
            "log_config_module",
            "logio_module",
            "watchdog_module",
        ];
        // Modules of other projects are never built in.
        const FOREIGN: [&str; 2] = ["gnutls_module", "nss_module"];
        let name = match text.strip_suffix(".c") {
            Some(file) => format!("{}_module", file.strip_prefix("mod_").unwrap_or(file)),
            None => text.to_owned(),
        };
        let is = |names: &[&str]| names.contains(&name.as_str());
        if self.modules.contains(&name) || is(&BUILT_IN) {
            Holds::Yes
        } else if is(&FOREIGN) || (self.modules.contains("authz_core_module") && !is(&["ssl_module"])) {
            Holds::No
        } else {
            Holds::Unknown
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
        if known.len() < wanted.len() {
            return Holds::Unknown;
        }
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
    matches!(name, "<ifmodule" | "<ifdefine" | "<iffile" | "<ifversion" | "<ifdirective" | "<ifsection" | "<macro")
}

fn of_interest(name: &str) -> bool {
    let name = name.trim_start_matches('<');
    name == "use" || OF_INTEREST.iter().any(|word| name.starts_with(word))
}

/// Whether something in there would matter.
fn concerns(block: &[Directive]) -> bool {
    block.iter().any(|directive| of_interest(&directive.name) || concerns(&directive.block))
}

/// Whether `${NAME}` is left; with a colon it is a map of mod_rewrite.
fn has_variable(text: &str) -> bool {
    text.split("${").skip(1).any(|rest| rest.split_once('}').is_some_and(|(name, _)| !name.contains(':')))
}

/// The words of a line (`ap_getword_conf`): a quote that does not end takes the rest of it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut chars) = (Vec::new(), line.chars().peekable());
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        let quote = match chars.peek() {
            None => return words,
            Some(&c) if c == '"' || c == '\'' => chars.next(),
            Some(_) => None,
        };
        let mut word = String::new();
        while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_ascii_whitespace()) {
            if Some(c) == quote {
                break;
            }
            let escaped = c == '\\' && chars.peek().is_some_and(|next| *next == '\\' || Some(*next) == quote);
            word.push(if escaped { chars.next().unwrap_or(c) } else { c });
        }
        words.push(word);
    }
}

/// Lines with their numbers, those that end in a backslash joined with the next, comments too. Two backslashes stay.
fn joined(text: &str) -> Vec<(u32, String)> {
    let mut all: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1u32..).zip(text.lines()) {
        let (line, goes_on) = match line.strip_suffix('\\') {
            Some(line) if !line.ends_with('\\') => (line, true),
            _ => (line, false),
        };
        match all.last_mut() {
            Some((_, last)) if open => last.push_str(line),
            _ => all.push((number, line.to_owned())),
        }
        open = goes_on;
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_apaches() {
        assert_eq!(words("Header set X \"a \\\"b\\\" c\" 'd e'"), ["Header", "set", "X", "a \"b\" c", "d e"]);
        assert_eq!(words("a\\b \\d \"\" \"x\"y"), ["a\\b", "\\d", "", "x", "y"]);
        assert_eq!(words("a \"b c"), ["a", "b c"]);
        assert_eq!(joined("a \\\nb\nc\\\\\nd"), [(1, "a b".into()), (3, "c\\\\".into()), (4, "d".into())]);
        assert_eq!(joined("# a \\\nSSLProtocol all"), [(1, "# a SSLProtocol all".into())]);
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "([ \"'\\\\#\n$}]|[$][{]|\\PC){0,60}") {
            for (line, text) in joined(&text) {
                prop_assert!(line >= 1);
                words(&text);
                has_variable(&text);
            }
        }
    }
}
