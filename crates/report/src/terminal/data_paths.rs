//! One line for each hop of each data path.

use crate::View;
use crate::data_path::{self, Cell, LEVELS, State};
use crate::paint::{Look, Page};

/// Most hops that are shown.
const MOST_HOPS: usize = 24;

/// Draws them where there are any.
pub(super) fn draw(page: &mut Page, view: &View<'_>) {
    let paths = data_path::all(view);
    let hops = || paths.iter().flat_map(|path| path.hops.iter().map(move |hop| (path, hop)));
    let widest = |of: &mut dyn Iterator<Item = usize>| of.max().unwrap_or(0);
    if paths.is_empty() {
        return;
    }
    let first = 2 + widest(&mut paths.iter().map(|path| path.name.chars().count())).max(8) + 2;
    let second = first + widest(&mut hops().map(|(_, hop)| hop.name.chars().count())) + 2;
    page.put(Look::Bold, "data paths").end();
    let mut last = None;
    for (path, hop) in hops().take(MOST_HOPS) {
        if last != Some(&path.name) {
            page.to(2).put(Look::Bold, &path.name);
        }
        last = Some(&path.name);
        let look = match hop.state {
            State::Encrypted => Look::Good,
            State::Clear => Look::Bad,
            State::NotProven => Look::Doubt,
        };
        page.to(first).put(Look::Normal, &hop.name).to(second).put(look, hop.state.as_str());
        let at = second + "not proven".len() + 2;
        let encrypted = |cell: &&Cell| cell.state == State::Encrypted;
        let shown = LEVELS.iter().zip(&hop.cells).rev();
        let shown = shown.into_iter().find_map(|(level, cell)| Some((level, cell.as_ref().filter(encrypted)?)));
        let (look, words) = match (hop.state, shown) {
            (State::Encrypted, Some((level, cell))) => (Look::Normal, format!("{} ({})", cell.words, level.as_str())),
            _ => (Look::Dim, hop.why.clone()),
        };
        page.to(at).wrapped(look, &words);
        page.end();
    }
    if let Some(more) = hops().count().checked_sub(MOST_HOPS).filter(|more| *more > 0) {
        page.to(2).put(Look::Dim, &format!("and {more} more hops")).end();
    }
    page.end();
}
