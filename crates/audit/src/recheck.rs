//! Checks one piece of evidence against itself: its times, its peers, and its facts against its raw exchanges.

use model::{Evidence, Exchange, Level, Run};
use report::Signature;
use serde_json::Value;

use crate::data_path::Layers;
use crate::pack::Reader;
use crate::{Error, kinds};

/// Keys that do not follow from exchanges, and so are not compared: paths to the trust stores of the machine that looked.
const NOT_DERIVED: [&str; 1] = ["stores"];

/// Checks a piece. `true`: its facts were parsed again from its exchanges; `false`: they do not follow from any.
///
/// # Errors
/// What does not fit together.
pub(crate) fn evidence(reader: &Reader, evidence: &Evidence, run: &Run) -> Result<bool, Error> {
    let fail = |why: String| Err(Error::Pack(why));
    if evidence.collected < run.started || evidence.collected > run.finished {
        return fail(format!("collected at {}, outside the run", evidence.collected));
    }
    let Some(probe) = kinds::probe_on(&evidence.kind, &evidence.target.subject.sort) else {
        // Made by the collector itself, from other evidence; that of data paths is joined again when all was read.
        let joined = [crate::scope::kind(), crate::data_path::kind()];
        return match joined.iter().find(|kind| kind.name == evidence.kind) {
            Some(kind) if kind.level == evidence.level => Ok(false),
            Some(_) => fail(format!("evidence of the kind '{}' is never {}", evidence.kind, evidence.level.as_str())),
            None => fail(format!("this program knows no evidence of the kind '{}'", evidence.kind)),
        };
    };
    if evidence.level != probe.kind().level {
        return fail(format!("evidence of the kind '{}' is never {}", evidence.kind, evidence.level.as_str()));
    }
    let exchanges = match &evidence.exchanges {
        None => Vec::new(),
        Some(reference) => {
            let exchanges = reader.exchanges(&reference.digest)?;
            if u32::try_from(exchanges.len()).ok() != Some(reference.count) {
                return fail(format!("it says {} exchanges, the file holds {}", reference.count, exchanges.len()));
            }
            exchanges
        }
    };
    peers(evidence, &exchanges)?;
    let Some(facts) = &evidence.facts else { return Ok(false) };
    match probe.derive(&evidence.target, &evidence.asked, &exchanges) {
        // A thing that was seen on the wire has bytes behind it; what was left alone says that nothing is proven. A
        // restore that a local tool did has none: it is this machine's word.
        None if evidence.level == Level::Demonstrated
            && !probe.attested_by_host_only()
            && facts.get("outcome") != Some(&"not_proven".into()) =>
        {
            fail("its facts have no exchanges behind them".to_owned())
        }
        None => Ok(false),
        Some(Err(failure)) => fail(format!("its facts do not follow from its exchanges ({})", failure.message)),
        Some(Ok(again)) => match difference("facts", &Value::Object(again), &Value::Object(facts.clone())) {
            None => Ok(true),
            Some(place) => fail(format!("{place} does not follow from its exchanges")),
        },
    }
}

/// Joins a data path again from the other evidence of its pack.
///
/// # Errors
/// The first place that is not what the others say.
pub(crate) fn data_path(evidence: &Evidence, layers: &Layers) -> Result<(), Error> {
    let again = probe::facts(&layers.of(&evidence.target)?).map_err(|f| Error::Defect(f.message))?;
    let said = evidence.facts.clone().map(Value::Object);
    match said.and_then(|said| difference("facts", &Value::Object(again), &said)) {
        Some(place) => Err(Error::Pack(format!("{place} is not what the evidence on the path's targets says"))),
        None if evidence.facts.is_none() => Err(Error::Pack("a data path has facts".to_owned())),
        None => Ok(()),
    }
}

/// Everything was said to the address that the target names.
fn peers(evidence: &Evidence, exchanges: &[Exchange]) -> Result<(), Error> {
    let Some(address) = evidence.target.subject.spec.get("address").and_then(Value::as_str) else { return Ok(()) };
    match exchanges.iter().find(|exchange| exchange.peer != address) {
        None => Ok(()),
        Some(other) => Err(Error::Pack(format!("its exchanges are with {}, its target is {address}", other.peer))),
    }
}

/// The first place where what was derived differs from what is said.
fn difference(place: &str, derived: &Value, said: &Value) -> Option<String> {
    match (derived, said) {
        (Value::Object(derived), Value::Object(said)) => {
            let missing = derived.iter().find_map(|(key, value)| {
                let place = format!("{place}.{key}");
                said.get(key).map_or_else(|| Some(place.clone()), |said| difference(&place, value, said))
            });
            let added = || said.keys().find(|key| !derived.contains_key(*key) && !NOT_DERIVED.contains(&key.as_str()));
            missing.or_else(|| added().map(|key| format!("{place}.{key}")))
        }
        (Value::Array(derived), Value::Array(said)) if derived.len() == said.len() => derived
            .iter()
            .zip(said)
            .enumerate()
            .find_map(|(i, (derived, said))| difference(&format!("{place}[{i}]"), derived, said)),
        _ if derived == said => None,
        _ => Some(place.to_owned()),
    }
}

/// How the reports of a pack call its signature, as the statement says; whose it is, the signature itself has shown.
pub(crate) fn signature_in(statement: &attest::Statement, fingerprint: &str) -> Signature {
    let signer = statement.predicate.get("probity").and_then(|own| own.get("signer"));
    let self_made = signer.and_then(|s| s.get("self_made")).and_then(Value::as_bool) == Some(true);
    Signature::Signed {
        fingerprint: fingerprint.to_owned(),
        label: signer.and_then(|s| s.get("label")).and_then(Value::as_str).map(str::to_owned),
        trust: if self_made { report::Trust::SelfMade } else { report::Trust::Trusted },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference;

    #[test]
    fn a_difference_is_named_by_its_place() {
        let said = json!({"a": [{"b": 1, "stores": []}], "c": null});
        assert_eq!(difference("facts", &json!({"a": [{"b": 1}], "c": null}), &said), None);
        assert_eq!(difference("facts", &json!({"a": [{"b": 2}], "c": null}), &said).as_deref(), Some("facts.a[0].b"));
        assert_eq!(difference("facts", &json!({"a": [], "c": null}), &said).as_deref(), Some("facts.a"));
        assert_eq!(difference("facts", &json!({"d": 1}), &said).as_deref(), Some("facts.d"));
        assert_eq!(difference("facts", &json!({"a": [{"b": 1}]}), &said).as_deref(), Some("facts.c"));
    }
}
