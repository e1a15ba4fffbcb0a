//! The file system as a probe sees it: this machine's, or a folder that stands for one in tests.

use std::path::{Path, PathBuf};

use model::FailureClass;
use probe::{Cx, FileError};

/// The top of the file system that is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// A folder that stands for a machine.
    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Where an absolute path lies.
    pub(crate) fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.0.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// A file as text; bytes that are no UTF-8 are replaced.
    pub(crate) async fn text(&self, cx: &Cx, path: impl AsRef<Path>, most: usize) -> Result<String, FileError> {
        let bytes = cx.read_file(self.path(path), most).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a small file, such as those in /proc/sys and /sys; `None` where it can't be read or is empty.
    pub(crate) async fn line(&self, cx: &Cx, path: impl AsRef<Path>) -> Option<String> {
        let text = self.text(cx, path, 1 << 16).await.ok()?;
        text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
    }
}

/// Whether nothing is there, as opposed to something that can't be looked at.
pub(crate) fn is_missing(error: &FileError) -> bool {
    error.class == FailureClass::Missing
}

/// What to do about a file that can't be read, in words.
pub(crate) fn why(error: &FileError) -> String {
    match error.class {
        FailureClass::Permission => format!("{error}; run as root to see it"),
        _ => error.to_string(),
    }
}
