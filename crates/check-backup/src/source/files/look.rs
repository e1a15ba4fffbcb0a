//! Opens copies and hands them to the readers of formats, each on a thread of its own.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use model::FailureClass;
use probe::{Cx, FileError, Metadata, OpenFolder};

use crate::format::{self, Bounds, Depth, Ended, Folder, Format, Inspection};
use crate::target::{FileFormat, Files};

/// Files and folders below one folder that is a copy.
const MOST_BELOW: usize = 5_000_000;
/// Links that lead from one to the next.
const MOST_LINKS: usize = 8;

/// Something that the pattern fits.
#[derive(Clone, Debug)]
pub(in crate::source) struct Match {
    /// Its name without the folders before it.
    pub(in crate::source) name: String,
    /// Where it is; where the pattern names a link, what that leads to.
    pub(in crate::source) path: String,
    /// What the file system says of it; none if it was gone before that could be asked.
    pub(in crate::source) metadata: Option<Metadata>,
}

impl Match {
    /// What was listed, and was gone when it was looked at.
    pub(in crate::source) fn gone(path: String) -> Self {
        Self { name: path.rsplit('/').next().unwrap_or(&path).to_owned(), path, metadata: None }
    }

    /// When its content last changed, as the file system says.
    pub(in crate::source) fn modified(&self) -> i64 {
        self.metadata.map_or(i64::MIN, |found| found.modified)
    }

    /// Its bytes, where it is a file.
    pub(in crate::source) fn size(&self) -> Option<u64> {
        self.metadata.filter(|found| found.is_file).map(|found| found.size)
    }
}

/// Looks at something that the pattern fits; a link is followed only where it is asked for by its own name.
pub(in crate::source) async fn find(cx: &Cx, path: String, follow: bool) -> Result<Match, FileError> {
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let mut at = path;
    let mut metadata = cx.metadata(&at).await?;
    for _ in 0..MOST_LINKS {
        if !(metadata.is_symlink && follow) {
            break;
        }
        let to = cx.read_link(&at).await?;
        at = Path::new(&at).parent().unwrap_or(Path::new("/")).join(to).display().to_string();
        metadata = cx.metadata(&at).await?;
    }
    Ok(Match { name, path: at, metadata: Some(metadata) })
}

/// How much to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) depth: Depth,
    pub(crate) bounds: Bounds,
    /// How long it may take; never longer than the probe has.
    pub(crate) within: Duration,
}

/// Looks into a copy.
///
/// # Errors
/// Why nothing can be said of it: it can't be opened, it vanished, or it changed meanwhile.
pub(in crate::source) async fn look(
    cx: &Cx,
    source: &Files,
    found: &Match,
    extent: Extent,
    wanted: &[String],
) -> Result<Inspection, String> {
    let Extent { depth, bounds, within } = extent;
    let Some(before) = found.metadata else { return Err(VANISHED.to_owned()) };
    let wanted = wanted.to_vec();
    let work: Box<dyn FnOnce() -> Inspection + Send> = if before.is_dir {
        let folder = cx.open_folder(&found.path, within).await.map_err(|e| gone(&e))?;
        let format = source.format;
        Box::new(move || in_folder(format, folder, depth, bounds, &wanted))
    } else {
        let file = cx.open_file(&found.path, within).await.map_err(|e| gone(&e))?;
        Box::new(move || format::inspect_for(None, file, depth, bounds, &wanted))
    };
    let seen =
        tokio::task::spawn_blocking(work).await.map_err(|_| "reading it failed, which is a defect of Probity")?;
    match cx.metadata(&found.path).await {
        Ok(after) if before == after => Ok(seen),
        Ok(_) => Err("it changed while it was read; is it being written?".to_owned()),
        Err(e) => Err(gone(&e)),
    }
}

const VANISHED: &str = "it vanished while it was looked at";

fn gone(error: &FileError) -> String {
    if error.class == FailureClass::Missing { VANISHED.to_owned() } else { error.message.clone() }
}

fn in_folder(
    format: Option<FileFormat>,
    folder: OpenFolder,
    depth: Depth,
    bounds: Bounds,
    wanted: &[String],
) -> Inspection {
    let disk = Disk { folder, newest: Cell::new(None), link: RefCell::new(None) };
    let marked = match format {
        Some(FileFormat::Folder) => None,
        _ => Some(format::inspect_folder(None, &disk, depth, bounds)),
    };
    if let Some(mut seen) = marked.filter(|seen| seen.format != Format::Unknown || format.is_some()) {
        if let (Ended::Damaged, Some(link)) = (seen.ended, disk.link.take()) {
            // What seems to be missing may lie behind it: the tablespaces of PostgreSQL do.
            seen.ended = Ended::NotProven;
            seen.why = format!("{}; but {link} is a link, which is not followed", seen.why);
        }
        return seen;
    }
    let mut seen = format::inspect_plain(&disk, bounds, wanted);
    seen.newest = disk.newest.get().and_then(|at| Timestamp::from_second(at).ok()).map(|at| at.to_string());
    seen
}

/// A folder on disk.
struct Disk {
    folder: OpenFolder,
    newest: Cell<Option<i64>>,
    link: RefCell<Option<String>>,
}

impl Folder for Disk {
    fn each(&self, show: &mut dyn FnMut(&str, u64)) -> io::Result<()> {
        let link = self.folder.each(MOST_BELOW, &mut |file| {
            self.newest.set(self.newest.get().max(Some(file.modified)));
            show(file.name, file.size);
        })?;
        self.link.replace(link);
        Ok(())
    }

    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        Ok(self.folder.open(name)?.map(|file| Box::new(file) as Box<dyn Read + '_>))
    }
}
