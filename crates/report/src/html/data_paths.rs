//! The table of data paths: a row for each hop, a column for each level of evidence.

use minijinja::{Value, context};

use crate::View;
use crate::data_path::{self, Cell, Hop};

pub(super) fn context(view: &View<'_>) -> Value {
    let paths: Vec<Value> = data_path::all(view)
        .iter()
        .map(|path| {
            let hops = path.hops.iter().map(|hop| row(hop, path.claimed)).collect::<Vec<_>>();
            context! { name => path.name.clone(), claimed => path.claimed, more => path.more, hops }
        })
        .collect();
    let left_out = data_path::known(view) - paths.len();
    context! { paths, left_out }
}

fn row(hop: &Hop, claimed: Option<u64>) -> Value {
    let cell = |cell: &Option<Cell>| match cell {
        None => context! { class => "", words => "no evidence", state => () },
        Some(cell) => {
            context! { class => cell.state.class(), words => cell.words.clone(), state => cell.state.as_str() }
        }
    };
    let short = hop.bits.zip(claimed).is_some_and(|(bits, claimed)| bits < claimed);
    context! {
        name => hop.name.clone(),
        class => hop.state.class(),
        state => hop.state.as_str(),
        why => hop.why.clone(),
        bits => hop.bits,
        short,
        cells => hop.cells.iter().map(cell).collect::<Vec<_>>(),
    }
}
