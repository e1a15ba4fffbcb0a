//! The journal of one drill: what it makes is written down before it is made, so that it can be taken back after any end.
//!
//! One file of JSON lines in `<state>/drills`, each line on the disk before the thing that it names exists. It goes away
//! when everything in it is undone.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::living::{self, Living};
use crate::tree;
use crate::workshop::{JOURNAL, Undone};

/// The file in a scratch folder that says which journal made it.
const MARKER: &std::ffi::CStr = c".probity-drill";

/// The folder in a scratch folder that a drill gets: empty, and it may do with it what it likes.
const INNER: &str = "files";

/// Most bytes of a journal that are read.
const MOST: u64 = 8 << 20;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// The first one: the journal's id, and which drill it is about.
    Begun { id: String, about: String, pid: u32, at: String },
    /// A scratch folder is about to be made.
    Scratch { entry: u32, path: PathBuf },
    /// A process is about to be started.
    Process { entry: u32, argv: Vec<String> },
    /// It was started.
    Running { entry: u32, process: Living },
    /// An entry was undone.
    Undone { entry: u32 },
}

/// Something that was made.
#[derive(Debug)]
enum Made {
    Scratch(PathBuf),
    Process { argv: Vec<String>, process: Option<Living> },
}

#[derive(Debug)]
struct Entries {
    file: File,
    /// What there is, by number; `None` where it was undone.
    made: Vec<Option<Made>>,
    /// Nothing is made any more.
    closed: bool,
}

/// The journal of one drill.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    scratch: PathBuf,
    id: String,
    about: String,
    entries: Mutex<Entries>,
}

impl Journal {
    /// Begins a journal in `drills` for a drill whose scratch folders are made in `scratch`.
    pub(crate) fn begin(drills: &Path, scratch: &Path, about: &str) -> io::Result<Self> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = drills.join(&id).with_extension(JOURNAL);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        let entries = Mutex::new(Entries { file, made: vec![], closed: false });
        let (scratch, about) = (std::path::absolute(scratch)?, about.to_owned());
        let journal = Self { path, scratch, id: id.clone(), about: about.clone(), entries };
        let (pid, at) = (std::process::id(), jiff::Timestamp::now().to_string());
        journal.entries().write(&Line::Begun { id, about, pid, at })?;
        File::open(drills)?.sync_all()?;
        Ok(journal)
    }

    /// Reads the journal of a run that is dead. Half a line at the end is what was being written when it died: the
    /// thing that it names was not made.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let bad = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).append(true).custom_flags(no_follow).open(path)?;
        let mut text = String::new();
        (&file).take(MOST).read_to_string(&mut text)?;
        let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
        // What comes next begins a line of its own.
        file.set_len(u64::try_from(whole.len()).unwrap_or(0) + u64::from(!whole.is_empty()))?;
        let mut made: Vec<Option<Made>> = Vec::new();
        let (mut name, mut what) = (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), String::new());
        for line in whole.lines() {
            let line: Line = serde_json::from_str(line).map_err(|e| bad(e.to_string()))?;
            let slot = |made: &mut Vec<Option<Made>>, entry: u32| {
                usize::try_from(entry).ok().filter(|entry| *entry < made.len())
            };
            match line {
                Line::Begun { id, about, .. } => (name, what) = (id, about),
                Line::Scratch { path, .. } => made.push(Some(Made::Scratch(path))),
                Line::Process { argv, .. } => made.push(Some(Made::Process { argv, process: None })),
                Line::Running { entry, process: living } => {
                    let slot = slot(&mut made, entry).and_then(|slot| made.get_mut(slot));
                    let Some(Some(Made::Process { process, .. })) = slot else {
                        return Err(bad(format!("its entry {entry} is no process")));
                    };
                    *process = Some(living);
                }
                Line::Undone { entry } => {
                    let slot = slot(&mut made, entry).and_then(|slot| made.get_mut(slot));
                    *slot.ok_or_else(|| bad(format!("it has no entry {entry}")))? = None;
                }
            }
        }
        let entries = Mutex::new(Entries { file, made, closed: true });
        Ok(Self { path: path.to_owned(), scratch: PathBuf::new(), id: name, about: what, entries })
    }

    /// The value of the variable that every process of the drill sees.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Makes a scratch folder, and gives the empty folder in it that the drill may use.
    pub(crate) fn make_scratch(&self, purpose: &str) -> io::Result<PathBuf> {
        let mut entries = self.open_entries()?;
        let entry = entries.next();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let purpose: String = purpose.chars().take(40).map(plain).collect();
        let path = self.scratch.join(format!("{}-{entry}-{purpose}", self.id));
        entries.write(&Line::Scratch { entry, path: path.clone() })?;
        entries.made.push(Some(Made::Scratch(path.clone())));
        let folder = |path: &Path, mode| fs::DirBuilder::new().mode(mode).create(path);
        // Others may pass, not look: the drill may give the inner folder to the user whom its server runs as.
        folder(&path, 0o711)?;
        fs::write(path.join(std::ffi::OsStr::from_bytes(MARKER.to_bytes())), self.marker(entry))?;
        let inner = path.join(INNER);
        folder(&inner, 0o700)?;
        Ok(inner)
    }

    /// Notes that a process is about to be started.
    pub(crate) fn process(&self, argv: Vec<String>) -> io::Result<u32> {
        let mut entries = self.open_entries()?;
        let entry = entries.next();
        entries.write(&Line::Process { entry, argv: argv.clone() })?;
        entries.made.push(Some(Made::Process { argv, process: None }));
        Ok(entry)
    }

    /// Notes that it was started.
    pub(crate) fn running(&self, entry: u32, process: Living) -> io::Result<()> {
        let mut entries = self.entries();
        entries.write(&Line::Running { entry, process: process.clone() })?;
        if let Some(Some(Made::Process { process: known, .. })) = entries.made.get_mut(entry as usize) {
            *known = Some(process);
        }
        Ok(())
    }

    /// The scratch folders that are there.
    pub(crate) fn scratch_folders(&self) -> Vec<PathBuf> {
        let folder = |made: &Option<Made>| match made {
            Some(Made::Scratch(path)) => Some(path.clone()),
            _ => None,
        };
        self.entries().made.iter().filter_map(folder).collect()
    }

    /// Ends one process and its descendants, in good order where they let it. Blocks for some seconds at most.
    pub(crate) fn end(&self, entry: u32) -> Vec<i32> {
        let named = match self.entries().made.get(entry as usize) {
            Some(Some(Made::Process { process: Some(process), .. })) => process.clone(),
            _ => return vec![],
        };
        // Without the mark: the drill's other processes go on.
        living::end(None, &[named]).1
    }

    /// Takes everything back, the last thing made first; from here on nothing is made. The journal goes away where
    /// nothing is left, and stays otherwise, for the next start. Blocks while it works.
    pub(crate) fn undo(&self) -> Undone {
        let mut entries = self.entries();
        entries.closed = true;
        let about = &self.about;
        let mut undone = Undone::default();
        let named: Vec<Living> = entries.made.iter().flatten().filter_map(Made::process).collect();
        let (ended, left) = living::end(Some(&self.id), &named);
        if !ended.is_empty() {
            undone.done.push(format!("{about}: ended {} process(es)", ended.len()));
        }
        let processes_left = !left.is_empty();
        undone.left.extend(left.iter().map(|pid| format!("{about}: the process {pid} can't be ended")));
        for entry in (0..entries.made.len()).rev() {
            let outcome = match entries.made.get(entry).and_then(Option::as_ref) {
                None => continue,
                Some(Made::Process { .. }) if !processes_left => Ok(None),
                Some(Made::Process { argv, .. }) => Err(argv.join(" ")),
                Some(Made::Scratch(path)) => {
                    let number = u32::try_from(entry).unwrap_or(u32::MAX);
                    let shown = path.display();
                    match remove(path, &self.marker(number)) {
                        Ok(true) => Ok(Some(format!("{about}: removed {shown}"))),
                        Ok(false) => Ok(None),
                        Err(why) => Err(format!("{shown} can't be removed: {why}")),
                    }
                }
            };
            match outcome {
                Ok(told) => {
                    undone.done.extend(told);
                    // Where it can't be written, the next start finds nothing to undo, which is as good.
                    let _ = entries.write(&Line::Undone { entry: u32::try_from(entry).unwrap_or(u32::MAX) });
                    if let Some(slot) = entries.made.get_mut(entry) {
                        *slot = None;
                    }
                }
                Err(why) => undone.left.push(format!("{about}: {why}")),
            }
        }
        if undone.left.is_empty()
            && let Err(e) = fs::remove_file(&self.path)
        {
            undone.left.push(format!("{about}: its journal {} can't be removed: {e}", self.path.display()));
        }
        undone
    }

    fn marker(&self, entry: u32) -> String {
        format!("made by the drill {} (entry {entry}); Probity removes this folder\n", self.id)
    }

    fn open_entries(&self) -> io::Result<MutexGuard<'_, Entries>> {
        let entries = self.entries();
        if entries.closed { Err(io::Error::other("the drill is over; nothing is made any more")) } else { Ok(entries) }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    fn process(&self) -> Option<Living> {
        match self {
            Self::Process { process, .. } => process.clone(),
            Self::Scratch(_) => None,
        }
    }
}

impl Entries {
    fn next(&self) -> u32 {
        u32::try_from(self.made.len()).unwrap_or(u32::MAX)
    }

    /// Writes a line and waits until it is on the disk.
    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes)?;
        self.file.sync_data()
    }
}

/// Removes a scratch folder that bears the marker. `false` where there is none any more.
fn remove(path: &Path, marker: &str) -> Result<bool, String> {
    let text = |e: Errno| e.to_string();
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err("no folder".into()) };
    let name = CString::new(name.as_bytes()).map_err(|e| e.to_string())?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match openat(CWD, parent, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(false),
        parent => parent.map_err(text)?,
    };
    let folder = match tree::open(parent.as_fd(), &name) {
        Err(Errno::NOENT) => return Ok(false),
        Err(Errno::LOOP | Errno::NOTDIR) => return Err("it is no folder any more".into()),
        folder => folder.map_err(text)?,
    };
    match read_marker(&folder) {
        Ok(found) if found == marker.as_bytes() => {}
        // It was made a moment before this run died, or was being removed when it died: only the marker was missing.
        _ if tree::names(folder.as_fd()).map_err(text)?.iter().all(|name| name.as_c_str() == MARKER) => {}
        _ => return Err("its marker is not the drill's: somebody else put something there".into()),
    }
    tree::empty(folder.as_fd(), MARKER)?;
    match unlinkat(&folder, MARKER, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(e) => return Err(text(e)),
    }
    unlinkat(&parent, &name, AtFlags::REMOVEDIR).map_err(text)?;
    Ok(true)
}

fn read_marker(folder: &OwnedFd) -> io::Result<Vec<u8>> {
    let file =
        openat(folder, MARKER, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?;
    let mut bytes = Vec::new();
    File::from(file).take(4096).read_to_end(&mut bytes)?;
    Ok(bytes)
}
