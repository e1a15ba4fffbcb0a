//! The canary: a small file that a drill plants among the data, so that the next copy must hold it. Its presence in a
//! copy shows that the copy was made after it was planted, whatever clocks and records say.

use std::path::Path;

use jiff::Timestamp;
use model::{Digest, Evidence};
use probe::Cx;
use serde::{Deserialize, Serialize};

use crate::facts::{Canary, Outcome};

/// Bytes of a canary at most.
const MOST: usize = 4096;
/// The first field of every canary, by which nothing else is taken for one.
const MARK: u32 = 1;

/// What stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "probity-canary")]
    mark: u32,
    planted: String,
    nonce: String,
}

fn read(bytes: &[u8]) -> Option<Written> {
    serde_json::from_slice::<Written>(bytes).ok().filter(|w| w.mark == MARK)
}

/// Compares the canary that came back with those that were planted: the one that is in place now, and those of earlier
/// drills, which their signed evidence names. `point` is the instant whose data the copy gives back.
pub(super) async fn look(cx: &Cx, live: &str, restored: Option<&Path>, point: Option<Timestamp>) -> Canary {
    let canary = |outcome, why: Option<String>, planted| Canary {
        outcome,
        why,
        place: Some(live.to_owned()),
        planted,
        next: None,
    };
    let in_place = cx.read_file(live, MOST).await.ok().filter(|bytes| read(bytes).is_some());
    let earlier = planted_before(cx.prior());
    let Some(restored) = restored else {
        let planted = in_place.as_deref().and_then(read).and_then(|w| w.planted.parse::<Timestamp>().ok());
        let before = |at: &Timestamp| point.is_none_or(|point| *at < point);
        let earlier = cx.prior().iter().filter(|e| next(e).is_some()).map(|e| e.collected);
        return if planted.into_iter().chain(earlier).any(|at| before(&at)) {
            canary(Outcome::Absent, Some("the copy holds no canary, though one was planted before".into()), None)
        } else {
            let why = "none was planted before the copy was made: a later drill looks for it".to_owned();
            canary(Outcome::NotProven, Some(why), None)
        };
    };
    let bytes = match cx.read_file(restored, MOST).await {
        Ok(bytes) => bytes,
        Err(e) => return canary(Outcome::NotProven, Some(e.to_string()), None),
    };
    let Some(written) = read(&bytes) else {
        return canary(Outcome::Absent, Some("what came back in its place is no canary".into()), None);
    };
    let Ok(planted) = written.planted.parse::<Timestamp>() else {
        return canary(Outcome::Absent, Some("the canary that came back carries no time".into()), None);
    };
    let planted = Some(planted.to_string());
    let digest = Digest::of(&bytes).to_string();
    if in_place.is_some_and(|live| live == bytes) || earlier.contains(&digest) {
        canary(Outcome::Present, None, planted)
    } else if earlier.is_empty() {
        let why =
            "a canary came back that is not the one in place, and no earlier drill's evidence names it".to_owned();
        canary(Outcome::NotProven, Some(why), planted)
    } else {
        canary(Outcome::Absent, Some("a canary came back that no drill planted".into()), planted)
    }
}

/// Digests of canaries that earlier drills planted.
fn planted_before(prior: &[Evidence]) -> Vec<String> {
    prior.iter().filter_map(next).collect()
}

/// The digest of the canary that a drill planted.
fn next(evidence: &Evidence) -> Option<String> {
    Some(evidence.facts.as_ref()?.get("canary")?.get("next")?.as_str()?.to_owned())
}

/// Plants a new one in place of the old one. Anything else at that place is left alone.
///
/// # Errors
/// Why it was not planted.
pub(super) async fn plant(cx: &Cx, live: &str) -> Result<String, String> {
    match cx.read_file(live, MOST).await {
        Ok(bytes) if read(&bytes).is_none() => {
            return Err(format!("{live} is something else than a canary, and is left alone"));
        }
        Err(e) if e.class != model::FailureClass::Missing => return Err(e.to_string()),
        _ => {}
    }
    let nonce = super::choose::random();
    let written = Written {
        mark: MARK,
        planted: Timestamp::now().to_string(),
        nonce: format!("{nonce:016x}{:016x}", super::choose::random()),
    };
    let mut bytes = serde_json::to_vec(&written).map_err(|e| e.to_string())?;
    bytes.push(b'\n');
    cx.plant_file(live, &bytes).await.map_err(|e| e.to_string())?;
    Ok(Digest::of(&bytes).to_string())
}
