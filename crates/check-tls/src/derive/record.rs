//! The record as a whole: which answers are refusals that count, and which siblings prove them.

use std::collections::BTreeSet;

use model::Exchange;

use crate::facts::VersionName;
use crate::reply::ServerHello;
use crate::trial::{Purpose, Said, Trial};

/// How often a connection must be dropped on the same offer before that counts as an answer.
const DROPS: usize = 3;
/// Alert `protocol_version` (RFC 8446, 6.2): the one refusal that names its reason.
pub(crate) const PROTOCOL_VERSION: u8 = 70;

/// A trial with what is asked of it again and again.
pub(crate) struct Entry {
    pub(crate) trial: Trial,
    pub(crate) took: Took,
    pub(crate) suites: BTreeSet<u16>,
    pub(crate) groups: BTreeSet<u16>,
    pub(crate) schemes: BTreeSet<u16>,
    shape: Vec<u16>,
}

/// How the server took an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    Chose(VersionName),
    Declined(u8),
    Dropped,
    Unclear(String),
}

impl Entry {
    fn new(trial: Trial) -> Self {
        let took = match trial.said() {
            Said::Chose(hello) => match crate::trial::version_of(hello.version) {
                Some(version) => Took::Chose(version),
                None => Took::Unclear("a version without a name".into()),
            },
            Said::Declined(alert) => Took::Declined(alert.code),
            Said::Dropped => Took::Dropped,
            Said::Unclear(why) => Took::Unclear(why),
        };
        let set = |list: Option<Vec<u16>>| list.unwrap_or_default().into_iter().collect();
        let offer = trial.offer.as_ref();
        Self {
            took,
            suites: set(offer.map(crate::hello::Hello::real_suites)),
            groups: set(offer.map(crate::hello::Hello::groups)),
            schemes: set(offer.map(crate::hello::Hello::schemes)),
            shape: offer.map(crate::hello::Hello::shape).unwrap_or_default(),
            trial,
        }
    }

    pub(crate) fn index(&self) -> u32 {
        self.trial.index
    }

    pub(crate) fn asks(&self, purposes: &[Purpose]) -> bool {
        purposes.contains(&self.trial.question.ask)
    }

    /// The version that the hello was about.
    pub(crate) fn meant(&self) -> VersionName {
        self.trial.question.version
    }

    /// The answer, where the server chose this version.
    pub(crate) fn chose(&self, version: VersionName) -> Option<&ServerHello> {
        (self.took == Took::Chose(version)).then_some(self.trial.reply.hello.as_ref()).flatten()
    }

    fn chose_any(&self) -> bool {
        matches!(self.took, Took::Chose(_))
    }

    /// Offers all that the other one offers, in the same shape. SSL 3.0 has no extensions, and whoever does not speak it
    /// may not answer any hello without them, so that the same suites must do there.
    fn covers(&self, other: &Self) -> bool {
        (self.shape == other.shape || other.meant() == VersionName::Ssl3)
            && self.suites.is_superset(&other.suites)
            && self.groups.is_superset(&other.groups)
            && self.schemes.is_superset(&other.schemes)
    }
}

/// Everything said between the probe and one server.
pub(crate) struct Record {
    pub(crate) entries: Vec<Entry>,
    /// Exchanges in a window in which the server had stopped answering as it did.
    void: BTreeSet<u32>,
    /// Connections were dropped on offers that were answered at another time.
    erratic: bool,
}

impl Record {
    pub(crate) fn new(exchanges: &[Exchange]) -> Self {
        let entries: Vec<Entry> = Trial::all(exchanges).into_iter().map(Entry::new).collect();
        let void = void(&entries);
        let erratic = entries.iter().filter(|e| e.took == Took::Dropped).any(|dropped| {
            entries.iter().any(|other| {
                matches!(other.took, Took::Chose(_) | Took::Declined(_)) && same_offer(&other.trial, &dropped.trial)
            })
        });
        Self { entries, void, erratic }
    }

    /// Entries in which the server chose that version.
    pub(crate) fn chosen(&self, version: VersionName) -> impl Iterator<Item = (&Entry, &ServerHello)> {
        self.entries.iter().filter_map(move |e| e.chose(version).map(|hello| (e, hello)))
    }

    /// Whether that version was accepted at all.
    pub(crate) fn speaks(&self, version: VersionName) -> bool {
        self.chosen(version).next().is_some()
    }

    /// Whether an answer is a refusal, its sibling left aside.
    pub(crate) fn declines(&self, entry: &Entry) -> bool {
        if self.void.contains(&entry.index()) {
            return false;
        }
        match entry.took {
            Took::Declined(_) => true,
            Took::Dropped => {
                let same = |e: &&Entry| e.took == Took::Dropped && same_offer(&e.trial, &entry.trial);
                !self.erratic && self.entries.iter().filter(same).count() >= DROPS
            }
            _ => false,
        }
    }

    /// Refusals that do not count because the server had stopped answering as it did.
    pub(crate) fn voided(&self) -> impl Iterator<Item = &Entry> {
        let refused = |e: &&Entry| matches!(e.took, Took::Declined(_) | Took::Dropped) && !e.asks(&[Purpose::Canary]);
        self.entries.iter().filter(|e| self.void.contains(&e.index())).filter(refused)
    }

    /// Where this is a refusal that counts: the exchanges to cite, the refused offer and its sibling.
    pub(crate) fn refusal(&self, entry: &Entry) -> Option<Vec<u32>> {
        if !self.declines(entry) {
            return None;
        }
        let mut sibling = self.sibling(entry);
        if sibling.is_none() && entry.took == Took::Declined(PROTOCOL_VERSION) {
            // That the server answers at all is enough where it names the version as the reason.
            sibling = self.entries.iter().find(|e| e.chose_any());
        }
        sibling.map(|sibling| vec![entry.index(), sibling.index()])
    }

    /// An answered offer of the same shape that holds all that this one holds: of the same version, or of another one
    /// where this one is never spoken. Where connections were dropped, it must come after them.
    pub(crate) fn sibling(&self, entry: &Entry) -> Option<&Entry> {
        let spoken = self.speaks(entry.meant());
        self.entries.iter().find(|e| {
            let version = match &e.took {
                Took::Chose(version) => *version,
                _ => return false,
            };
            (version == entry.meant() || !spoken)
                && (entry.took != Took::Dropped || e.index() > entry.index())
                && e.covers(entry)
        })
    }

    /// Why a version, or part of it, is not proven: the last thing that went wrong with it.
    pub(crate) fn trouble(&self, version: VersionName, purposes: &[Purpose]) -> String {
        let about = |e: &&Entry| e.meant() == version && e.asks(purposes);
        let mut last = None;
        for entry in self.entries.iter().filter(about) {
            last = match &entry.took {
                Took::Unclear(why) => Some(why.clone()),
                Took::Dropped if self.refusal(entry).is_none() => Some("the server dropped the connection".into()),
                Took::Declined(code) if self.void.contains(&entry.index()) => {
                    Some(format!("alert {code} came while the server did not answer as it did before"))
                }
                Took::Declined(code) if self.refusal(entry).is_none() => {
                    Some(format!("alert {code} came, but no offer of the same shape was answered"))
                }
                _ => last,
            };
        }
        last.unwrap_or_else(|| "it was not looked at before the run's time or connections were spent".into())
    }
}

fn same_offer(a: &Trial, b: &Trial) -> bool {
    match (&a.offer, &b.offer) {
        (Some(a), Some(b)) => a.same_offer(b),
        _ => false,
    }
}

/// The exchanges between a canary that failed (twice in a row) and the good ones before and after it.
fn void(entries: &[Entry]) -> BTreeSet<u32> {
    let canaries: Vec<&Entry> = entries.iter().filter(|e| e.asks(&[Purpose::Canary])).collect();
    let mut void = BTreeSet::new();
    let mut good = 0;
    let mut failed = 0;
    for canary in &canaries {
        if canary.chose_any() {
            if failed >= 2 {
                void.extend(good..canary.index());
            }
            (good, failed) = (canary.index(), 0);
        } else {
            failed += 1;
        }
    }
    if failed >= 2 {
        void.extend(entries.iter().map(Entry::index).filter(|index| *index > good));
    }
    void
}
