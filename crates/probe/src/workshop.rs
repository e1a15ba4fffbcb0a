//! Where drills work: one at a time on this machine, each with a journal, and what a dead run left behind is undone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Failure, FailureClass};
use rustix::fs::{FlockOperation, OFlags, flock};
use tokio::time::Instant;

use crate::cx::Stop;
use crate::journal::Journal;

/// Ending of a journal's file name.
pub(crate) const JOURNAL: &str = "jsonl";

/// The folders in which drills work.
#[derive(Clone, Debug)]
pub struct Workshop {
    drills: PathBuf,
    scratch: PathBuf,
}

/// What was taken back of a drill, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// What is gone now.
    pub done: Vec<String>,
    /// What is still there, and why. Somebody must look.
    pub left: Vec<String>,
}

impl Undone {
    /// One line for each, as they are told: `undone: …`, `left behind: …`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let done = self.done.iter().map(|what| format!("undone: {what}"));
        done.chain(self.left.iter().map(|what| format!("left behind: {what}")))
    }
}

/// Leave to drill. Given back when it is dropped, and by the kernel when this process dies in whatever way.
pub(crate) struct Turn(#[allow(dead_code, reason = "the open file is the lock")] File);

impl Workshop {
    /// A workshop with its lock and journals in `<state>/drills` and its scratch folders in `scratch`, by default
    /// `<state>/scratch`. Nothing is made yet.
    #[must_use]
    pub fn new(state: &Path, scratch: Option<&Path>) -> Self {
        let scratch = scratch.map_or_else(|| state.join("scratch"), Path::to_owned);
        Self { drills: state.join("drills"), scratch }
    }

    /// The folder below which drills make their scratch folders.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Undoes what runs that died in mid-drill left behind: ends their processes, removes their scratch folders.
    /// Does nothing while another run drills; that one did it when it began. Blocks while it works.
    #[must_use]
    pub fn undo_dead(&self) -> Undone {
        let mut undone = Undone::default();
        if !self.drills.is_dir() {
            return undone;
        }
        match self.try_turn() {
            Ok(Some(_turn)) => self.undo_all(&mut undone),
            Ok(None) => {}
            Err(e) => {
                undone.left.push(format!("{}: the journals of drills can't be looked at: {e}", self.drills.display()))
            }
        }
        undone
    }

    /// Undoes every journal. Who holds the turn knows that no living run has one.
    fn undo_all(&self, undone: &mut Undone) {
        let entries = match fs::read_dir(&self.drills) {
            Ok(entries) => entries,
            Err(e) => return undone.left.push(format!("{}: {e}", self.drills.display())),
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == JOURNAL));
        paths.sort();
        for path in paths {
            match Journal::read(&path) {
                Ok(journal) => {
                    let found = journal.undo();
                    undone.done.extend(found.done);
                    undone.left.extend(found.left);
                }
                Err(e) => undone.left.push(format!(
                    "{}: this journal of a drill can't be read ({e}); look what it names, remove that, then the journal",
                    path.display()
                )),
            }
        }
    }

    /// The turn to drill, waited for; what dead runs left is undone at once.
    pub(crate) async fn turn(&self, patience: Duration, stop: &Stop) -> Result<(Turn, Undone), Failure> {
        let until = Instant::now() + patience;
        loop {
            let workshop = self.clone();
            let attempt = tokio::task::spawn_blocking(move || {
                workshop.make()?;
                let Some(turn) = workshop.try_turn()? else { return Ok(None) };
                let mut undone = Undone::default();
                workshop.undo_all(&mut undone);
                Ok::<_, io::Error>(Some((turn, undone)))
            });
            match attempt.await.unwrap_or_else(|e| Err(io::Error::other(e))) {
                Ok(Some(turn)) => return Ok(turn),
                Ok(None) if stop.is_stopped() => {
                    let message = "the run was stopped while it waited for another run's drills";
                    return Err(Failure::new(FailureClass::Interrupted, message));
                }
                Ok(None) if Instant::now() >= until => return Err(self.busy(patience)),
                Ok(None) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(e) => {
                    let class = match e.kind() {
                        io::ErrorKind::PermissionDenied => FailureClass::Permission,
                        _ => FailureClass::Unreadable,
                    };
                    let (drills, scratch) = (self.drills.display(), self.scratch.display());
                    let message = format!(
                        "no drill without a journal and a scratch folder, and {drills} or {scratch} can't be used: {e}"
                    );
                    return Err(Failure::new(class, message));
                }
            }
        }
    }

    fn busy(&self, patience: Duration) -> Failure {
        let mut holder = String::new();
        // It may be gone by now; then nobody is named.
        let _ = File::open(self.lock()).and_then(|file| file.take(32).read_to_string(&mut holder));
        let holder = match holder.trim().parse::<u32>() {
            Ok(pid) => format!("another run of Probity (process {pid}) is drilling"),
            Err(_) => "another run of Probity is drilling".to_owned(),
        };
        let seconds = patience.as_secs();
        Failure::new(
            FailureClass::Interrupted,
            format!("{holder}, and did not end within {seconds} s; drills run one at a time: run this one later"),
        )
    }

    fn lock(&self) -> PathBuf {
        self.drills.join("lock")
    }

    /// Makes the folders.
    fn make(&self) -> io::Result<()> {
        let folder = |mode: u32, path: &Path| DirBuilder::new().recursive(true).mode(mode).create(path);
        // Others may pass, not look: a database server that runs as another user finds the folder that it is given.
        folder(0o711, self.drills.parent().unwrap_or(&self.drills))?;
        folder(0o700, &self.drills)?;
        folder(0o711, &self.scratch)
    }

    fn try_turn(&self) -> io::Result<Option<Turn>> {
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(no_follow);
        let mut file = options.open(self.lock())?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            outcome => outcome?,
        }
        // For the message to others.
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Turn(file)))
    }

    /// Begins the journal of one drill.
    pub(crate) fn journal(&self, about: &str) -> io::Result<Journal> {
        Journal::begin(&self.drills, &self.scratch, about)
    }
}
