//! Renders an assessment: one renderer a file, listed in [`RENDERERS`].
//!
//! Everything here is a function from data to bytes. Nothing reads a clock, a file, the network or the
//! environment, and nothing prints. Text that came from a target is made harmless by [`escape`] before it
//! reaches a format.

#![warn(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod annotations;
mod backup;
pub mod csv;
mod data_path;
pub mod escape;
mod explain;
mod facts;
mod flaws;
pub mod gitlab;
mod group;
pub mod html;
pub mod json;
pub mod jsonl;
pub mod junit;
pub mod markdown;
pub mod oscal;
mod paint;
pub mod prometheus;
pub mod sarif;
mod scan;
mod schema;
mod ssh;
mod summary;
pub mod terminal;
mod tls;
mod verify_md;
mod view;

pub use explain::policy_explain;
pub use scan::scan;
pub use schema::assessment_schema;
pub use verify_md::verify_md;
pub use view::{Earlier, RenderError, Renderer, Signature, Style, Trust, View};

/// Every format there is. A new one is one file and one entry here.
pub const RENDERERS: &[Renderer] = &[
    Renderer {
        key: "terminal",
        file: "",
        media_type: "text/plain",
        about: "text for people",
        render: terminal::render,
    },
    Renderer {
        key: "json",
        file: "",
        media_type: "application/json",
        about: "the assessment itself",
        render: json::render,
    },
    Renderer {
        key: "html",
        file: "report.html",
        media_type: "text/html",
        about: "one page for people, with everything in it",
        render: html::render,
    },
    Renderer {
        key: "sarif",
        file: "report.sarif",
        media_type: "application/sarif+json",
        about: "SARIF 2.1.0, for code scanning",
        render: sarif::render,
    },
    Renderer {
        key: "junit",
        file: "report.junit.xml",
        media_type: "application/xml",
        about: "JUnit XML, for GitLab and Jenkins",
        render: junit::render,
    },
    Renderer {
        key: "github",
        file: "",
        media_type: "text/plain",
        about: "workflow commands, for annotations on GitHub",
        render: annotations::render,
    },
    Renderer {
        key: "markdown",
        file: "",
        media_type: "text/markdown",
        about: "Markdown, for pull requests and GitHub's step summary",
        render: markdown::render,
    },
    Renderer {
        key: "gitlab",
        file: "",
        media_type: "application/json",
        about: "GitLab's Code Quality report",
        render: gitlab::render,
    },
    Renderer {
        key: "csv",
        file: "report.csv",
        media_type: "text/csv",
        about: "a row per finding, for spreadsheets",
        render: csv::render,
    },
    Renderer {
        key: "oscal",
        file: "report.oscal.json",
        media_type: "application/oscal.assessment-results+json",
        about: "OSCAL assessment results 1.2.1",
        render: oscal::render,
    },
    Renderer {
        key: "jsonl",
        file: "",
        media_type: "application/jsonl",
        about: "a line of JSON per finding, for log stores",
        render: jsonl::render,
    },
    Renderer {
        key: "prometheus",
        file: "",
        media_type: "text/plain; version=0.0.4",
        about: "Prometheus' text format, for the textfile collector",
        render: prometheus::render,
    },
];

/// The renderer of that name.
#[must_use]
pub fn renderer(key: &str) -> Option<&'static Renderer> {
    RENDERERS.iter().find(|r| r.key == key)
}
