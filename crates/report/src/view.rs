//! What a renderer is given and what it is.

use std::sync::Arc;

use model::{Assessment, Digest, Evidence, Source, Timestamp};
use thiserror::Error;

/// How far the key behind a signature is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Made on first use by the user who ran the audit; nobody else vouches for it.
    SelfMade,
    /// Named by the inventory, the command line or `probity keys trust`.
    Trusted,
    /// Known to nobody here.
    Unknown,
}

impl Trust {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfMade => "self-made",
            Self::Trusted => "trusted",
            Self::Unknown => "unknown",
        }
    }
}

/// Who signs the pack, if anybody does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Nobody.
    Unsigned {
        /// Why not, as a clause: `no key was given`.
        why: String,
    },
    /// The holder of a key.
    Signed {
        /// Fingerprint of the public key (`SHA256:…`).
        fingerprint: String,
        /// Name of the key, where it has one.
        label: Option<String>,
        /// How far it is trusted.
        trust: Trust,
    },
}

/// A piece of evidence of an earlier run that the pack holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its digest, which [`View::evidence`] takes.
    pub digest: Digest,
    /// Its kind.
    pub kind: String,
    /// The name of its target.
    pub target: String,
    /// When it was collected, UTC.
    pub collected: Timestamp,
}

/// What a renderer sees.
pub struct View<'a> {
    /// The assessment to show.
    pub assessment: &'a Assessment,
    /// Gives the evidence of a digest, where it can be had. Called for what is shown in detail, one piece at a
    /// time, so that all evidence need never be in memory at once.
    pub evidence: &'a dyn Fn(&Digest) -> Option<Arc<Evidence>>,
    /// Lists the evidence of earlier runs that the pack holds. Called only where something shows it.
    pub earlier: &'a dyn Fn() -> Vec<Earlier>,
    /// Who signs the pack.
    pub signature: Signature,
    /// Where the pack lies, as a person would type it.
    pub pack: Option<&'a str>,
    /// Text of `assessment.sigstore.json`, for formats that carry it along.
    pub bundle: Option<&'a str>,
    /// The inventory's place in the user's repository, where there is one. Formats that annotate files point there,
    /// because the file of a shipped policy is not in the user's repository.
    pub inventory: Option<&'a Source>,
}

/// How text for a terminal looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether colours (SGR sequences) are written.
    pub colour: bool,
    /// Columns to fill; 60 at least are used.
    pub width: usize,
    /// Whether a person looks at a terminal. Then small pictures made of block characters are drawn, which programs
    /// that read the text could do nothing with.
    pub pictures: bool,
}

impl Style {
    /// No colour, no pictures, 104 columns: for files and for output that is not a terminal.
    pub const PLAIN: Self = Self { colour: false, width: 104, pictures: false };
}

/// Why a renderer failed. Each is a defect of Probity: no assessment should bring it about.
#[derive(Debug, Error)]
pub enum RenderError {
    /// JSON could not be written.
    #[error("failed to write JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The JUnit report could not be written.
    #[error("failed to write the JUnit report: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    /// The template of a page could not be filled.
    #[error("failed to fill the template: {0}")]
    Template(#[from] minijinja::Error),
}

/// One format.
pub struct Renderer {
    /// Its name on the command line (`--format sarif`).
    pub key: &'static str,
    /// Its file name in a pack; empty where it is not kept in one.
    pub file: &'static str,
    /// Its media type (RFC 6838).
    pub media_type: &'static str,
    /// One line for the help.
    pub about: &'static str,
    /// Turns an assessment into the bytes of the format. Only the terminal heeds the style.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub render: fn(&View<'_>, &Style) -> Result<Vec<u8>, RenderError>,
}
