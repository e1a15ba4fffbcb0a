//! The file system as a probe sees it: this machine's, or a folder that stands for one in tests.

use std::path::{Component, Path, PathBuf};

use model::FailureClass;
use probe::{Cx, FileError, Metadata};

/// Symbolic links followed in a row, as the kernel does (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where programs are.
pub(crate) const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

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

    /// Where a program is, in the folders of the system; the caller's PATH is not trusted.
    pub(crate) fn program(&self, cx: &Cx, name: &str) -> Option<String> {
        let paths = FOLDERS.iter().map(|folder| self.path(folder).join(name).display().to_string());
        paths.into_iter().find(|path| cx.which(path).is_some())
    }

    /// Follows symbolic links: the file in the end, and the links on the way to it, the first one first. Links among
    /// the folders on the way are left to the kernel.
    pub(crate) async fn resolve(&self, cx: &Cx, path: &str) -> Result<(String, Metadata, Vec<String>), FileError> {
        let mut at = path.to_owned();
        let mut links = Vec::new();
        loop {
            let found = cx.metadata(self.path(&at)).await?;
            if !found.is_symlink {
                return Ok((at, found, links));
            }
            if links.len() >= MOST_LINKS {
                let message = format!("more than {MOST_LINKS} symbolic links in a row");
                return Err(FileError { path: path.to_owned(), class: FailureClass::Unreadable, message });
            }
            let to = cx.read_link(self.path(&at)).await?;
            let next = join(&at, &to);
            links.push(std::mem::replace(&mut at, next));
        }
    }

    /// Follows all symbolic links in a path, those among its folders too: the real path, and what is there.
    ///
    /// # Errors
    /// Where something on the way is missing or forbidden, or there are too many links.
    pub(crate) async fn real(&self, cx: &Cx, path: &str) -> Result<(String, Metadata), FileError> {
        self.walk(cx, path, &mut Vec::new()).await
    }

    /// The folders in which something is looked up on the way to a folder, and it itself; those that links lead through, too.
    ///
    /// # Errors
    /// As [`Root::real`].
    pub(crate) async fn way(&self, cx: &Cx, folder: &str) -> Result<Vec<String>, FileError> {
        let mut passed = Vec::new();
        let (at, _) = self.walk(cx, folder, &mut passed).await?;
        passed.push(at);
        passed.sort();
        passed.dedup();
        Ok(passed)
    }

    async fn walk(&self, cx: &Cx, path: &str, passed: &mut Vec<String>) -> Result<(String, Metadata), FileError> {
        let mut at = "/".to_owned();
        let mut found = cx.metadata(self.path(&at)).await?;
        let mut links = 0;
        let mut todo: Vec<String> = Vec::new();
        let steps = |path: &str| -> Vec<String> {
            path.split('/').rev().filter(|step| !matches!(*step, "" | ".")).map(str::to_owned).collect()
        };
        todo.extend(steps(path));
        while let Some(step) = todo.pop() {
            let next = join(&format!("{}/x", at.trim_end_matches('/')), &step);
            passed.push(at.clone());
            found = cx.metadata(self.path(&next)).await?;
            if !found.is_symlink {
                at = next;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                let message = format!("more than {MOST_LINKS} symbolic links on the way");
                return Err(FileError { path: path.to_owned(), class: FailureClass::Unreadable, message });
            }
            let to = cx.read_link(self.path(&next)).await?;
            if to.starts_with('/') {
                "/".clone_into(&mut at);
            }
            todo.extend(steps(&to));
        }
        Ok((at, found))
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

/// Where a link at `at` leads: its folder joined with `to`, with `.` and `..` taken out.
fn join(at: &str, to: &str) -> String {
    let mut path = PathBuf::from(at);
    path.pop();
    for part in Path::new(to).components() {
        match part {
            Component::RootDir => path = PathBuf::from("/"),
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    path.display().to_string()
}

/// Whether nothing is there, as opposed to something that can't be looked at.
pub(crate) fn is_missing(error: &FileError) -> bool {
    error.class == FailureClass::Missing
}

/// What stood in the way, and what to do about it; the path stands elsewhere.
pub(crate) fn reason(error: &FileError) -> String {
    match error.class {
        FailureClass::Permission => format!("{}; run as root to see it", error.message),
        _ => error.message.clone(),
    }
}

/// The same with the path in front.
pub(crate) fn why(error: &FileError) -> String {
    format!("{}: {}", error.path, reason(error))
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn links_are_joined() {
        assert_eq!(join("/etc/live/a/key.pem", "../../archive/a/key1.pem"), "/etc/archive/a/key1.pem");
        assert_eq!(join("/a", "/b/./c"), "/b/c");
        assert_eq!(join("/a/b", "../../../c"), "/c");
    }
}
