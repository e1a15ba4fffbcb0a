//! A run of the drills alone: which targets and controls it is about.

use std::collections::BTreeSet;

use model::{NotLookedAt, Notice, NoticeLevel};
use policy::Policy;

use crate::Error;
use crate::collect::Prepared;

impl Prepared {
    /// Narrows the run to drills: targets without one are left out, and what is judged is what drills can show.
    ///
    /// # Errors
    /// Where no target has a drill.
    pub fn drills_alone(&mut self) -> Result<(), Error> {
        let drills: Vec<_> = self.probes.iter().filter(|p| p.is_drill()).cloned().collect();
        let sorts: BTreeSet<&str> = drills.iter().map(|p| p.sort()).collect();
        let has_drill = |sort: &str| sorts.contains(sort);
        if !self.expanded.targets.iter().any(|t| has_drill(&t.subject.sort)) {
            let known = if sorts.is_empty() {
                "this program has none".to_owned()
            } else {
                format!("there are drills for targets of the sort {}", sorts.into_iter().collect::<Vec<_>>().join(", "))
            };
            return Err(Error::Config(format!("no target has a drill; {known}")));
        }
        let out = self.expanded.targets.iter().filter(|t| !has_drill(&t.subject.sort)).map(|t| NotLookedAt {
            what: t.name.clone(),
            why: "there is no drill for it, and this run does drills alone".to_owned(),
        });
        self.left_out.extend(out);
        self.expanded.targets.retain(|t| has_drill(&t.subject.sort));
        let kinds: BTreeSet<String> = drills.iter().map(|p| p.kind().name.into_owned()).collect();
        let kinds: Vec<String> = kinds.into_iter().collect();
        for policy in &self.policies {
            let (all, judged) = (policy.controls.len(), narrowed(policy, &kinds).controls.len());
            if judged < all {
                self.left_out.push(NotLookedAt {
                    what: format!("policy {}", policy.name),
                    why: format!("{} of its {all} controls are not about drills alone", all - judged),
                });
            }
        }
        self.probes = drills;
        self.only_kinds = Some(kinds);
        Ok(())
    }
}

/// The policy with those of its controls alone that need nothing but these kinds. Its digest stays that of the whole.
pub(crate) fn narrowed(policy: &Policy, kinds: &[String]) -> Policy {
    let mut policy = policy.clone();
    policy.controls.retain(|control| control.written.evidence.kinds.iter().all(|kind| kinds.contains(kind)));
    policy.requires.retain(|kind| kinds.contains(kind));
    policy
}

/// What a reader of the report must know of a run that was narrowed.
pub(crate) fn notice(kinds: &[String]) -> Notice {
    let message = format!(
        "this run did drills alone ({}): no other control of the policies was judged; 'probity audit' judges all",
        kinds.join(", ")
    );
    Notice { level: NoticeLevel::Warning, message }
}
