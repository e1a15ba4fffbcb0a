//! Progress on standard error: a bar on a terminal, a line now and then elsewhere.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use probe::Event;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::output::say;

/// How long a run stays silent.
const SILENCE: Duration = Duration::from_secs(1);
/// How often a line is written where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// Shows events until the sender is gone.
pub(crate) async fn show(mut events: UnboundedReceiver<Event>) {
    let terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} of {len} probes · {elapsed} · {wide_msg}") {
        bar.set_style(style);
    }
    let began = Instant::now();
    let mut last_line = began;
    let (mut known, mut done) = (0_u64, 0_u64);
    let mut in_flight = BTreeSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None => break,
                Some(Event::Began { target, kind }) => {
                    known += 1;
                    in_flight.insert((target, kind));
                }
                Some(Event::Ended { target, kind, .. }) => {
                    done += 1;
                    in_flight.remove(&(target, kind));
                }
                Some(Event::Said(line)) => bar.suspend(|| say(&format!("probity: {}", report::escape::plain(&line)))),
            },
            _ = tick.tick() => {
                if began.elapsed() < SILENCE {
                    continue;
                }
                let now = now(&in_flight);
                if terminal {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.set_length(known);
                    bar.set_position(done);
                    bar.set_message(now);
                    bar.tick();
                } else if last_line.elapsed() >= EVERY {
                    last_line = Instant::now();
                    say(&format!("probity: {done} of {known} probes done after {} s; {now}", began.elapsed().as_secs()));
                }
            }
        }
    }
    bar.finish_and_clear();
}

/// The target in flight, and how many more.
fn now(in_flight: &BTreeSet<(String, String)>) -> String {
    let Some((target, kind)) = in_flight.first() else { return "judging".to_owned() };
    let target = report::escape::plain(target);
    match in_flight.len() {
        1 => format!("looking at {target} ({kind})"),
        more => format!("looking at {target} ({kind}) and {} more", more - 1),
    }
}
