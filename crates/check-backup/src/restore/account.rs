//! The user whom a scratch server runs as. Database servers refuse to run as root, and what a dump says is executed: both
//! are reasons to be somebody else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use model::{Failure, FailureClass};
use probe::{Command, Cx, Output};

/// Most bytes of what a program says.
const MOST: usize = 16 << 20;
/// Characters of a program's own words in a message, at most.
const MOST_SAID: usize = 300;

/// A user of this machine, or the one that Probity runs as.
#[derive(Debug)]
pub(super) struct Account {
    /// Its name, for people.
    name: String,
    /// Numbers of user and group; `None` where it is the one that Probity runs as.
    ids: Option<(u32, u32)>,
    /// What stands before a program, so that it runs as this user: no shell, no further groups, no way to other rights.
    words: Vec<String>,
}

/// What a program is given beside its arguments.
#[derive(Clone, Copy, Default)]
pub(super) struct With<'a> {
    /// Its variables.
    pub(super) env: &'a [(&'a str, &'a str)],
    /// Its folder.
    pub(super) cwd: Option<&'a Path>,
    /// Its input.
    pub(super) stdin: Option<&'a Path>,
}

impl Account {
    /// The user that the inventory names, else the usual one; where Probity is not root, the one that it runs as.
    ///
    /// # Errors
    /// Where there is no such user, or it is root.
    pub(super) async fn of(cx: &Cx, named: Option<&str>, usual: &str) -> Result<Self, Failure> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::own());
        }
        let name = named.unwrap_or(usual);
        let found = cx.command(Command::new(&["getent", "passwd", "--", name])).await?;
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        let ids = ids(&text).ok_or_else(|| {
            let message =
                format!("there is no user '{name}' for a scratch server; name another one (drill: {{ user: … }})");
            Failure::new(FailureClass::Missing, message)
        })?;
        if ids.0 == 0 {
            let message = format!("a scratch server can't run as '{name}', which is root; name another user");
            return Err(Failure::new(FailureClass::Permission, message));
        }
        let words = ["setpriv", "--reuid", &ids.0.to_string(), "--regid", &ids.1.to_string()].map(str::to_owned);
        let words = words.into_iter().chain(["--clear-groups".to_owned(), "--no-new-privs".to_owned()]).collect();
        Ok(Self { name: name.to_owned(), ids: Some(ids), words })
    }

    /// The user that Probity runs as.
    pub(super) fn own() -> Self {
        Self { name: "this user".to_owned(), ids: None, words: Vec::new() }
    }

    /// Whether it is another user than the one that Probity runs as.
    pub(super) const fn is_other(&self) -> bool {
        self.ids.is_some()
    }

    /// Gives it a folder, not what is in it.
    ///
    /// # Errors
    /// Where it can't be given, or the user could not reach it.
    pub(super) fn give(&self, folder: &Path) -> Result<(), Failure> {
        let Some((user, group)) = self.ids else { return Ok(()) };
        let fail = |e: std::io::Error| {
            let message = format!("{}: can't be given to {}: {e}", folder.display(), self.name);
            Failure::new(FailureClass::Permission, message)
        };
        std::os::unix::fs::chown(folder, Some(user), Some(group)).map_err(fail)?;
        for above in folder.ancestors().skip(1) {
            use std::os::unix::fs::MetadataExt as _;
            let found = above.metadata().map_err(fail)?;
            let passes = found.mode() & 0o001 != 0
                || (found.gid() == group && found.mode() & 0o010 != 0)
                || (found.uid() == user && found.mode() & 0o100 != 0);
            if !passes {
                let message = format!(
                    "{0} may not pass {1}, in which the scratch place is; let others pass it (chmod o+x {1}), give another place with --scratch, or run the scratch server as another user (drill: {{ user: … }})",
                    self.name,
                    above.display()
                );
                return Err(Failure::new(FailureClass::Permission, message));
            }
        }
        Ok(())
    }

    /// Makes a folder that it owns, closed to others.
    ///
    /// # Errors
    /// Where it can't be made.
    pub(super) fn folder(&self, path: &Path) -> Result<(), Failure> {
        let made = std::fs::create_dir(path)
            .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)));
        made.map_err(|e| not_written(path, &e))?;
        self.give(path)
    }

    /// Writes a small file that it may read.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), Failure> {
        std::fs::write(path, text).map_err(|e| not_written(path, &e))?;
        let (user, group) = self.ids.unzip();
        std::os::unix::fs::chown(path, user, group).map_err(|e| not_written(path, &e))
    }

    /// Copies a folder, links as links, and gives the copy to the user.
    ///
    /// # Errors
    /// Where it can't be copied.
    pub(super) async fn copy(&self, cx: &Cx, from: &Path, to: &Path) -> Result<(), Failure> {
        let (source, target) = (format!("{}/.", from.display()), to.display().to_string());
        let copied = ["cp", "-r", "--no-dereference", "--reflink=auto", "--", &source, &target];
        let own = Self::own();
        own.run(cx, &copied, With::default()).await.and_then(|output| done("cp", &output))?;
        self.take(cx, to).await
    }

    /// Gives it a folder with all that is in it.
    ///
    /// # Errors
    /// Where it can't be given.
    pub(super) async fn take(&self, cx: &Cx, folder: &Path) -> Result<(), Failure> {
        if let Some((user, group)) = self.ids {
            let (owner, place) = (format!("{user}:{group}"), folder.display().to_string());
            let argv = ["chown", "-R", "--no-dereference", "--", &owner, &place];
            Self::own().run(cx, &argv, With::default()).await.and_then(|output| done("chown", &output))?;
        }
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(|e| not_written(folder, &e))
    }

    /// The words of a command that runs as this user.
    pub(super) fn argv<'a>(&'a self, argv: &[&'a str]) -> Vec<&'a str> {
        self.words.iter().map(String::as_str).chain(argv.iter().copied()).collect()
    }

    /// Runs a program as this user, to its end.
    ///
    /// # Errors
    /// As [`Cx::command`].
    pub(super) async fn run(&self, cx: &Cx, argv: &[&str], with: With<'_>) -> Result<Output, Failure> {
        let argv = self.argv(argv);
        let With { env, cwd, stdin } = with;
        cx.command(Command { env, cwd, stdin, most: MOST, within: cx.remaining(), ..Command::new(&argv) }).await
    }
}

/// The numbers in a line of `passwd(5)`.
fn ids(line: &str) -> Option<(u32, u32)> {
    let mut fields = line.trim_end().split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

pub(super) fn not_written(path: &Path, e: &std::io::Error) -> Failure {
    Failure::new(FailureClass::Interrupted, format!("{}: can't be written: {e}", path.display()))
}

/// Whether a program did its work: it ended well, and named no error.
///
/// # Errors
/// [`FailureClass::Unreadable`] with the first error that it named.
pub(super) fn done(program: &str, output: &Output) -> Result<(), Failure> {
    let error = first_error(&output.stderr);
    if output.exit == Some(0) && error.is_none() {
        return Ok(());
    }
    let ended = output.exit.map_or_else(|| "was killed".to_owned(), |code| format!("ended with {code}"));
    let said = error.or_else(|| last_line(&output.stderr)).unwrap_or_else(|| "it said nothing".to_owned());
    Err(Failure::new(FailureClass::Unreadable, format!("{program} {ended}: {said}")))
}

/// The first line that names an error.
pub(super) fn first_error(said: &[u8]) -> Option<String> {
    let names = |line: &str| {
        ["error:", "ERROR:", "FATAL:", "PANIC:", "ERROR ", "[ERROR]"].iter().any(|word| line.contains(word))
    };
    let text = String::from_utf8_lossy(said);
    text.lines().map(str::trim).find(|line| names(line)).map(short)
}

pub(super) fn last_line(said: &[u8]) -> Option<String> {
    String::from_utf8_lossy(said).lines().map(str::trim).rfind(|l| !l.is_empty()).map(short)
}

pub(super) fn short(text: &str) -> String {
    text.chars().take(MOST_SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::{first_error, ids};

    #[test]
    fn lines_of_passwd() {
        assert_eq!(
            ids("postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n"),
            Some((101, 104))
        );
        for wrong in ["", "postgres", "postgres:x:-1:1::", "a:b:c:d"] {
            assert_eq!(ids(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn errors_in_what_is_said() {
        let said = b"psql:<stdin>:3: NOTICE: x\npsql:<stdin>:4: ERROR:  relation \"a\" does not exist\nLINE 1: x\n";
        assert_eq!(first_error(said).as_deref(), Some("psql:<stdin>:4: ERROR:  relation \"a\" does not exist"));
        assert_eq!(first_error(b"WARNING: nothing wrong here\n"), None);
    }
}
