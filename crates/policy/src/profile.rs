//! Profiles: which controls, with which parameters.

use std::collections::{BTreeMap, BTreeSet};

use crate::Kinds;
use crate::control::{Control, Param, Params};
use crate::diagnostic::{Diagnostic, Place, suggest};
use crate::read;
use crate::yaml::{Data, File, Node};

/// A profile as it is written.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name, which policies are asked for by.
    pub name: String,
    /// Its version, as its author numbers it.
    pub version: String,
    /// One line.
    pub title: String,
    /// Where its rules come from (a URL).
    pub source: Option<String>,
    /// True where it came from a file that ships with Probity.
    pub shipped: bool,
    pub(crate) extends: Vec<(String, Place)>,
    pub(crate) requires: Vec<String>,
    takes: Vec<Take>,
    drops: Vec<(String, Place)>,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
struct Take {
    control: String,
    params: Params,
    place: Place,
    param_places: BTreeMap<String, Place>,
}

impl Profile {
    /// Names of the profiles that it extends.
    pub fn extends(&self) -> impl Iterator<Item = &str> {
        self.extends.iter().map(|(name, _)| name.as_str())
    }
}

/// Reads a profile's file. `None` where anything is wrong; what, is in `file.found`.
pub(crate) fn profile(file: &mut File<'_>, node: &Node, kinds: &Kinds, shipped: bool) -> Option<Profile> {
    const FIELDS: [&str; 8] = ["profile", "version", "title", "source", "extends", "requires", "controls", "drop"];
    let before = file.found.len();
    let fields = file.fields(node, "a profile", &FIELDS)?;
    let mut text = |name: &str, what: &str| {
        let node = file.required(&fields, name, what)?;
        file.text_of(node, name).map(str::to_owned)
    };
    let name = text("profile", "the profile");
    let version = text("version", "the profile");
    let title = text("title", "the profile");
    let source = fields.get("source").and_then(|n| file.text_of(n, "source")).map(str::to_owned);
    let mut profile = Profile {
        name: name.unwrap_or_default(),
        version: version.unwrap_or_default(),
        title: title.unwrap_or_default(),
        source,
        shipped,
        extends: Vec::new(),
        requires: Vec::new(),
        takes: Vec::new(),
        drops: Vec::new(),
        place: Place::of(file, &fields.start),
    };
    for node in fields.get("extends").and_then(|n| file.list_of(n, "extends")).unwrap_or_default() {
        if let Some(name) = file.text_of(node, "extends") {
            profile.extends.push((name.to_owned(), Place::of(file, &node.span)));
        }
    }
    for node in fields.get("requires").and_then(|n| file.list_of(n, "requires")).unwrap_or_default() {
        profile.requires.extend(read::kind(file, node, kinds));
    }
    for node in fields.get("controls").and_then(|n| file.list_of(n, "controls")).unwrap_or_default() {
        profile.takes.extend(take(file, node));
    }
    for node in fields.get("drop").and_then(|n| file.list_of(n, "drop")).unwrap_or_default() {
        let Some(dropped) = file.fields(node, "'drop'", &["control", "reason"]) else { continue };
        if let Some(reason) = file.required(&dropped, "reason", "what is dropped") {
            file.text_of(reason, "reason");
        }
        let control = file.required(&dropped, "control", "what is dropped");
        if let Some(control) = control.and_then(|n| file.text_of(n, "control").map(|t| (t, n))) {
            profile.drops.push((control.0.to_owned(), Place::of(file, &control.1.span)));
        }
    }
    if profile.takes.is_empty() && profile.extends.is_empty() {
        file.error(
            "missing-field",
            fields.start.clone(),
            "the profile takes no control and extends nothing".into(),
            None,
        );
    }
    (file.found.len() == before).then_some(profile)
}

fn take(file: &mut File<'_>, node: &Node) -> Option<Take> {
    let (id, params) = match &node.data {
        Data::Text(_) => (node, None),
        _ => {
            let fields = file.fields(node, "a control of a profile", &["id", "params"])?;
            (file.required(&fields, "id", "the control")?, fields.get("params"))
        }
    };
    let control = file.text_of(id, "id")?.to_owned();
    let mut param_places = BTreeMap::new();
    if let Some(Data::Map(entries)) = params.map(|n| &n.data) {
        param_places.extend(entries.iter().map(|(k, _)| (k.name.clone(), Place::of(file, &k.span))));
    }
    let params = params.map_or(Some(Params::new()), |n| read::params(file, n, "params"))?;
    Some(Take { control, params, place: Place::of(file, &id.span), param_places })
}

/// The controls and profiles that names refer to.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) controls: &'a BTreeMap<String, Control>,
    pub(crate) profiles: &'a BTreeMap<String, Profile>,
}

/// What a profile comes down to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flat {
    /// Controls by id, parameters filled in.
    pub(crate) controls: BTreeMap<String, Control>,
    pub(crate) requires: BTreeSet<String>,
}

impl View<'_> {
    /// Resolves a profile: extended ones first, then its own controls, then what it drops.
    pub(crate) fn flatten(&self, profile: &Profile, found: &mut Vec<Diagnostic>) -> Flat {
        self.flatten_within(profile, &mut Vec::new(), found)
    }

    fn flatten_within(&self, profile: &Profile, chain: &mut Vec<String>, found: &mut Vec<Diagnostic>) -> Flat {
        let mut flat = Flat { requires: profile.requires.iter().cloned().collect(), ..Flat::default() };
        chain.push(profile.name.clone());
        for (name, place) in &profile.extends {
            if chain.contains(name) {
                let chain = chain.iter().skip_while(|n| *n != name).chain([name]);
                let chain: Vec<&str> = chain.map(String::as_str).collect();
                found.push(place.error("cycle", format!("profiles extend each other: {}", chain.join(" → ")), None));
            } else if let Some(base) = self.profiles.get(name) {
                let base = self.flatten_within(base, chain, found);
                for (id, control) in base.controls {
                    match flat.controls.get_mut(&id) {
                        // The later one wins.
                        Some(known) => known.written.params = control.written.params,
                        None => {
                            flat.controls.insert(id, control);
                        }
                    }
                }
                flat.requires.extend(base.requires);
            } else {
                let help = suggest(name, self.profiles.keys().map(String::as_str));
                found.push(place.error("unknown-profile", format!("there is no profile '{name}'"), help));
            }
        }
        chain.pop();
        for take in &profile.takes {
            self.take(take, &mut flat, found);
        }
        for (id, place) in &profile.drops {
            if flat.controls.remove(id).is_none() {
                let help = suggest(id, flat.controls.keys().map(String::as_str));
                let message = format!("'{id}' is dropped, but no profile that is extended has it");
                found.push(place.error("unknown-control", message, help));
            }
        }
        flat
    }

    fn take(&self, take: &Take, flat: &mut Flat, found: &mut Vec<Diagnostic>) {
        let Some(known) = self.controls.get(&take.control) else {
            let help = suggest(&take.control, self.controls.keys().map(String::as_str));
            found.push(take.place.error("unknown-control", format!("there is no control '{}'", take.control), help));
            return;
        };
        let control = flat.controls.entry(take.control.clone()).or_insert_with(|| known.clone());
        let places = |name: &str| take.param_places.get(name).unwrap_or(&take.place);
        override_params(control, &take.params, places, found);
    }
}

/// Puts new values into the parameters of a control, after checking names, types and words.
pub(crate) fn override_params<'p>(
    control: &mut Control,
    params: &Params,
    place: impl Fn(&str) -> &'p Place,
    found: &mut Vec<Diagnostic>,
) {
    let id = control.written.id.clone();
    let words = &control.compiled.usage.param_words;
    for (name, value) in params {
        let wrong_word = |value: &Param| {
            let words = words.get(name)?;
            let wrong = value.words().iter().find(|w| !words.contains(*w))?;
            Some((wrong.clone(), suggest(wrong, words.iter().map(String::as_str))))
        };
        let known: Vec<String> = control.written.params.keys().cloned().collect();
        match control.written.params.get_mut(name) {
            None => {
                let help = suggest(name, known.iter().map(String::as_str));
                found.push(place(name).error(
                    "unknown-param",
                    format!("control '{id}' has no parameter '{name}'"),
                    help,
                ));
            }
            Some(old) if !old.accepts(value) => {
                let message = format!("parameter '{name}' of '{id}' is {}; this is {}", old.sort(), value.sort());
                found.push(place(name).error("wrong-type", message, None));
            }
            Some(old) => match wrong_word(value) {
                Some((wrong, help)) => {
                    let message = format!("'{wrong}' is none of the values that parameter '{name}' is compared with");
                    found.push(place(name).error("unknown-word", message, help));
                }
                None => *old = value.clone(),
            },
        }
    }
}
