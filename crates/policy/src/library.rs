//! All controls and profiles at hand.

use std::collections::BTreeMap;

use crate::control::Control;
use crate::diagnostic::{Diagnostic, Diagnostics, Gravity, Place, suggest};
use crate::policy::Policy;
use crate::profile::{self, Profile, View};
use crate::read::{self, Origin};
use crate::yaml::File;
use crate::{Kinds, Sources};

/// All controls and profiles at hand: those that ship with Probity and the user's.
///
/// Where the user brings a control or a profile under a shipped name, the user's is taken and every policy that
/// differs from what was shipped under its name is marked as modified.
#[derive(Clone, Debug, Default)]
pub struct Library {
    controls: BTreeMap<String, Control>,
    profiles: BTreeMap<String, Profile>,
    shipped_controls: BTreeMap<String, Control>,
    shipped_profiles: BTreeMap<String, Profile>,
    warnings: Diagnostics,
}

/// The folder that a file lies in decides what it is.
pub(crate) fn is_in(path: &str, folder: &str) -> bool {
    let Some((folders, file)) = path.rsplit_once('/') else { return false };
    let yaml = file.ends_with(".yaml") || file.ends_with(".yml");
    yaml && folders.rsplit('/').next() == Some(folder)
}

impl Library {
    /// Reads and lints every `controls/*.yaml` and `profiles/*.yaml` of the sources; other files are left alone.
    ///
    /// # Errors
    /// Everything that is wrong in all of the files at once.
    pub fn load(sources: &Sources, kinds: &Kinds) -> Result<Self, Diagnostics> {
        let mut library = Self::default();
        let mut found = Vec::new();
        for (path, source) in sources.iter().filter(|(path, _)| is_in(path, "controls")) {
            let (mut file, node) = File::read(path, &source.bytes);
            let fields = node.as_ref().and_then(|n| file.fields(n, "a file of controls", &["controls"]));
            let list = fields.and_then(|f| file.required(&f, "controls", "the file"));
            for node in list.and_then(|n| file.list_of(n, "controls")).unwrap_or_default() {
                if let Some(control) = read::control(&mut file, node, kinds, Origin::Author { shipped: source.shipped })
                {
                    library.add_control(&mut file, control);
                }
            }
            found.append(&mut file.found);
        }
        for (path, source) in sources.iter().filter(|(path, _)| is_in(path, "profiles")) {
            let (mut file, node) = File::read(path, &source.bytes);
            if let Some(profile) = node.as_ref().and_then(|n| profile::profile(&mut file, n, kinds, source.shipped)) {
                library.add_profile(profile, &mut found);
            }
            found.append(&mut file.found);
        }
        // Profiles can only be judged fairly where all that they may name was read.
        if !found.iter().any(|d| d.severity == Gravity::Error) {
            for profile in library.profiles.values() {
                library.view().flatten(profile, &mut found);
            }
        }
        let found = Diagnostics::new(found);
        if found.has_errors() {
            return Err(found);
        }
        Ok(Self { warnings: found, ..library })
    }

    fn add_control(&mut self, file: &mut File<'_>, control: Control) {
        let id = control.written.id.clone();
        let same = |known: &Control| known.shipped == control.shipped;
        if let Some(known) = self.controls.get(&id).filter(|k| same(k)) {
            let message =
                format!("control '{id}' is written twice; first in {}:{}", known.source.file, known.source.line);
            let at = control.source.clone();
            let mut place = Place::of(file, &(0..0)).error("duplicate-id", message, None);
            (place.line, place.column) = (at.line, at.column);
            place.span = file.offset(at.line, at.column);
            file.found.push(place);
            return;
        }
        if control.shipped {
            self.shipped_controls.insert(id.clone(), control.clone());
        }
        if self.controls.get(&id).is_none_or(|known| known.shipped) {
            self.controls.insert(id, control);
        }
    }

    fn add_profile(&mut self, profile: Profile, found: &mut Vec<Diagnostic>) {
        let name = profile.name.clone();
        if let Some(known) = self.profiles.get(&name).filter(|k| k.shipped == profile.shipped) {
            let message = format!("profile '{name}' is written twice; first in {}", known.place.to_source().file);
            found.push(profile.place.error("duplicate-id", message, None));
            return;
        }
        if profile.shipped {
            self.shipped_profiles.insert(name.clone(), profile.clone());
        }
        if self.profiles.get(&name).is_none_or(|known| known.shipped) {
            self.profiles.insert(name, profile);
        }
    }

    const fn view(&self) -> View<'_> {
        View { controls: &self.controls, profiles: &self.profiles }
    }

    /// Every control, by id.
    pub fn controls(&self) -> impl Iterator<Item = &Control> {
        self.controls.values()
    }

    /// The control of that id.
    #[must_use]
    pub fn control(&self, id: &str) -> Option<&Control> {
        self.controls.get(id)
    }

    /// The control id nearest to one that does not exist, for "did you mean".
    #[must_use]
    pub fn nearest_control(&self, id: &str) -> Option<&str> {
        crate::diagnostic::nearest(id, self.controls.keys().map(String::as_str))
    }

    /// Every profile, by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// What is not wrong but odd in the files.
    #[must_use]
    pub const fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// The policies of those names, in that order; a name given twice counts once.
    ///
    /// # Errors
    /// Where there is no profile of a name, and whatever is wrong in one.
    pub fn resolve(&self, names: &[&str]) -> Result<Vec<Policy>, Diagnostics> {
        let mut found = Vec::new();
        let mut policies: Vec<Policy> = Vec::new();
        for name in names {
            if policies.iter().any(|p| p.name == *name) {
                continue;
            }
            match self.profiles.get(*name) {
                Some(profile) => policies.push(self.policy(profile, &mut found)),
                None => {
                    let help = suggest(name, self.profiles.keys().map(String::as_str));
                    found.push(Place::default().error("unknown-profile", format!("there is no policy '{name}'"), help));
                }
            }
        }
        if found.is_empty() { Ok(policies) } else { Err(Diagnostics::new(found)) }
    }

    fn policy(&self, profile: &Profile, found: &mut Vec<Diagnostic>) -> Policy {
        let mut policy = Policy::of(profile, self.view().flatten(profile, found));
        policy.modified = self.is_modified(&policy);
        policy
    }

    /// Whether a policy bears a shipped name but differs from what was shipped.
    #[must_use]
    pub fn is_modified(&self, policy: &Policy) -> bool {
        let view = View { controls: &self.shipped_controls, profiles: &self.shipped_profiles };
        let shipped = self.shipped_profiles.get(&policy.name);
        shipped.is_some_and(|p| Policy::of(p, view.flatten(p, &mut Vec::new())).digest != policy.digest)
    }
}
