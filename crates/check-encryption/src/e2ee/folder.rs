//! Files below a folder, each a payload.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use model::Digest;
use probe::{Cx, OpenFile, OpenFolder};

use super::canary::CONTROL;
use super::target::Folder;
use super::{Draw, Drawn, HEAD, Lens, Looked, WINDOW};

/// Files that are chosen from.
pub(super) const MOST: usize = 5_000_000;

/// Looks at some of them: no link is followed, and nothing but regular files is opened.
/// `control` is a file that the drill planted, which is no payload.
pub(super) async fn draw(
    folder: &Folder,
    control: Option<&str>,
    draw: Draw,
    lens: &Lens,
    cx: &Cx,
) -> Result<Drawn, String> {
    let open = cx.open_folder(&folder.path, cx.remaining()).await.map_err(|e| e.to_string())?;
    let (lens, pattern) = (lens.clone(), folder.pattern.clone());
    let within = |path: &str| Path::new(path).strip_prefix(&folder.path).ok()?.to_str().map(str::to_owned);
    let control = control.and_then(within);
    let look = move || look(&open, pattern.as_deref(), control.as_deref(), draw, &lens);
    let looked = tokio::task::spawn_blocking(look).await.map_err(|e| e.to_string())?;
    looked.map_err(|e| format!("{}: {e}", folder.path))
}

fn look(
    folder: &OpenFolder,
    pattern: Option<&str>,
    control: Option<&str>,
    draw: Draw,
    lens: &Lens,
) -> std::io::Result<Drawn> {
    let mut chosen: BTreeMap<(String, String), ()> = BTreeMap::new();
    let mut of = 0_u64;
    let link = folder.each(MOST, &mut |below| {
        let name = below.name.rsplit('/').next().unwrap_or(below.name);
        // An empty file shows nothing.
        if below.size == 0 || !pattern.is_none_or(|pattern| fits(pattern, name)) {
            return;
        }
        of += 1;
        let key = (rank(draw.seed, below.name), below.name.to_owned());
        if chosen.len() < draw.count || chosen.last_key_value().is_some_and(|(last, ())| key < *last) {
            chosen.insert(key, ());
        }
        if chosen.len() > draw.count {
            chosen.pop_last();
        }
    })?;
    let mut drawn = Drawn { of: Some(of), ..Drawn::default() };
    drawn.why = link.map(|link| format!("{link} is a symbolic link, and was not followed"));
    for (rank, name) in chosen.into_keys() {
        match payload(folder, &name, control == Some(name.as_str()), &rank, lens) {
            Ok(Some(looked)) => drawn.looked.push(looked),
            // Gone since: a queue does that.
            Ok(None) => drawn.of = drawn.of.and_then(|of| of.checked_sub(1)),
            Err(e) => {
                drawn.unread += 1;
                drawn.why = Some(format!("{name}: {e}"));
            }
        }
    }
    Ok(drawn)
}

/// Every name is as likely as any other to be among the least.
pub(super) fn rank(seed: u64, name: &str) -> String {
    Digest::of(format!("{seed:016x} {name}").as_bytes()).to_string()
}

fn payload(folder: &OpenFolder, name: &str, control: bool, rank: &str, lens: &Lens) -> std::io::Result<Option<Looked>> {
    let Some(mut file) = folder.open(name)? else { return Ok(None) };
    let head = read(&mut file, HEAD)?;
    let length = file.seek(SeekFrom::End(0))?.max(u64::try_from(head.len()).unwrap_or_default());
    // What bears the control's name and says more than it is a payload.
    if head.is_empty() || control && length < 200 && head.starts_with(CONTROL.as_bytes()) {
        return Ok(None);
    }
    let (all, window) = (u64::try_from(head.len()).unwrap_or_default(), u64::try_from(WINDOW).unwrap_or_default());
    if length <= all + 2 * window {
        // What is behind the head is no more than would be read of it.
        file.seek(SeekFrom::Start(all))?;
        let head = [head, read(&mut file, 2 * WINDOW)?].concat();
        let length = u64::try_from(head.len()).unwrap_or_default();
        return Ok(Some(lens.look(name.to_owned(), length, &head, &[])));
    }
    let chance = u64::from_str_radix(rank.trim_start_matches("sha256:").get(..16).unwrap_or("0"), 16).unwrap_or(0);
    let last = length - window;
    let mut windows = Vec::new();
    for offset in [all + chance % (last - window - all + 1), last] {
        file.seek(SeekFrom::Start(offset))?;
        windows.push((offset, read(&mut file, WINDOW)?));
    }
    Ok(Some(lens.look(name.to_owned(), length, &head, &windows)))
}

fn read(file: &mut OpenFile, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(u64::try_from(most).unwrap_or_default()).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a name fits a pattern with `*`.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = pattern.contains('*').then(|| parts.next_back().unwrap_or_default()) else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        for (pattern, name, yes) in [
            ("*", "a", true),
            ("*.enc", "a.enc", true),
            ("*.enc", ".encx", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(fits(pattern, name), yes, "{pattern} {name}");
        }
    }
}
