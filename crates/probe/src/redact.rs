//! Takes secrets out of what is recorded.

use model::Digest;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What stands in a record where a secret stood.
pub(crate) const REDACTED: &str = "[redacted]";

/// Secrets that must not be in any record.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<Zeroizing<String>>);

impl Secrets {
    /// Adds one. An empty text hides nothing.
    pub(crate) fn add(&mut self, secret: &str) {
        if !secret.is_empty() && !self.0.iter().any(|known| known.as_str() == secret) {
            self.0.push(Zeroizing::new(secret.to_owned()));
            // The longest first: a secret that holds another one is taken out as a whole.
            self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// The text without the secrets.
    pub(crate) fn out_of(&self, text: &str) -> String {
        let mut bytes = Vec::new();
        let mut held = text.as_bytes().to_vec();
        self.cut(&mut held, true, |piece| bytes.extend_from_slice(piece));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Hands on what is surely no part of a secret, and keeps the rest in `held`; all of it at the `end`.
    fn cut(&self, held: &mut Vec<u8>, end: bool, mut give: impl FnMut(&[u8])) {
        let longest = self.0.first().map_or(0, |secret| secret.len());
        let mut begin = 0; // Of what was not handed on yet.
        let mut at = 0;
        while let Some(rest) = held.get(at..).filter(|rest| !rest.is_empty()) {
            if !end && rest.len() < longest {
                break;
            }
            match self.0.iter().find(|secret| rest.starts_with(secret.as_bytes())) {
                None => at += 1,
                Some(secret) => {
                    give(held.get(begin..at).unwrap_or_default());
                    give(REDACTED.as_bytes());
                    at += secret.len();
                    begin = at;
                }
            }
        }
        give(held.get(begin..at).unwrap_or_default());
        held.drain(..at);
    }
}

/// The digest of a stream without its secrets, wherever they lie across the pieces that it comes in.
pub(crate) struct Hasher {
    secrets: Secrets,
    held: Vec<u8>,
    hash: Sha256,
}

impl Hasher {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, held: Vec::new(), hash: Sha256::new() }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        if self.secrets.0.is_empty() {
            return self.hash.update(piece);
        }
        self.held.extend_from_slice(piece);
        self.secrets.cut(&mut self.held, false, |piece| self.hash.update(piece));
    }

    /// The digest of all so far; what comes later counts anew.
    pub(crate) fn finish(&mut self) -> Digest {
        self.secrets.cut(&mut self.held, true, |piece| self.hash.update(piece));
        Digest::from_bytes(self.hash.finalize_reset().into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(of: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        of.iter().for_each(|secret| secrets.add(secret));
        secrets
    }

    #[test]
    fn every_occurrence_goes() {
        let secrets = secrets(&["hunter2", "", "hunter2hunter3"]);
        assert_eq!(secrets.out_of("a hunter2 b hunter2hunter3hunter2"), "a [redacted] b [redacted][redacted]");
        assert_eq!(secrets.out_of("hunter"), "hunter");
    }

    proptest! {
        /// However a stream is cut into pieces, its digest is that of the whole text without the secrets.
        #[test]
        fn pieces_do_not_matter(text in "[ab]{0,40}", cuts in prop::collection::vec(0_usize..40, 0..6)) {
            let secrets = secrets(&["ab", "bba"]);
            let wanted = secrets.out_of(&text);
            prop_assert!(!wanted.replace(REDACTED, "|").contains("ab"));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut hasher = Hasher::new(secrets);
            for pair in cuts.windows(2) {
                hasher.update(&text.as_bytes()[pair[0]..pair[1]]);
            }
            prop_assert_eq!(hasher.finish(), Digest::of(wanted.as_bytes()));
        }
    }
}
