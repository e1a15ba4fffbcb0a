//! Which versions of TLS a `bind` line accepts.

use super::super::found::{Found, VERSIONS, by_default, unclear, unset, written};
use super::Options;
use crate::facts::ConfigSetting;

/// The places of SSL 3.0 and TLS 1.2 among the versions.
const SSL3: usize = 1;
const TLS12: usize = 4;
const FORCE: [&str; 5] = ["force-sslv3", "force-tlsv10", "force-tlsv11", "force-tlsv12", "force-tlsv13"];
const EXCLUDE: [&str; 5] = ["no-sslv3", "no-tlsv10", "no-tlsv11", "no-tlsv12", "no-tlsv13"];

/// As HAProxy keeps them (`struct tls_version_filter`).
#[derive(Default)]
struct Filter {
    min: Option<usize>,
    max: Option<usize>,
    excluded: Vec<usize>,
}

fn filter(options: &Options<'_>) -> Result<Filter, ConfigSetting> {
    let mut filter = Filter::default();
    for (word, value) in &options.pairs {
        let place = |words: &[&str]| words.iter().position(|known| known == word).map(|n| n + SSL3);
        if let Some(version) = place(&FORCE) {
            (filter.min, filter.max) = (Some(version), Some(version));
        } else if let Some(version) = place(&EXCLUDE) {
            filter.excluded.push(version);
        } else if matches!(*word, "ssl-min-ver" | "ssl-max-ver") {
            let version = VERSIONS.iter().position(|version| version == value);
            let version = version.ok_or_else(|| unclear(options.at, value, "no version of TLS"))?;
            *(if *word == "ssl-min-ver" { &mut filter.min } else { &mut filter.max }) = Some(version);
        }
    }
    Ok(filter)
}

/// Limits win over exclusions, those of the line over those of `global` (`ssl_sock_new_ctx`). Since 2.2 the least version
/// is TLS 1.2 unless something is said.
pub(super) fn protocols(found: &Found, bind: &Options<'_>, default: Option<&Options<'_>>) -> ConfigSetting {
    if let Some(strange) = default.and_then(|default| default.strange.as_ref().map(|word| (default.at, word))) {
        return unclear(strange.0, strange.1, "it is not understood in ssl-default-bind-options");
    }
    let (own, general) = match (filter(bind), default.map(filter).transpose()) {
        (Ok(own), Ok(general)) => (own, general.unwrap_or_default()),
        (Err(setting), _) | (_, Err(setting)) => return setting,
    };
    let (min, max) = (own.min.or(general.min), own.max.or(general.max));
    let excluded: Vec<usize> = match (min, max) {
        (None, None) => own.excluded.iter().chain(&general.excluded).copied().collect(),
        _ => vec![],
    };
    let at = match default {
        Some(default) if own.min.or(own.max).is_none() && own.excluded.is_empty() => default.at,
        _ => bind.at,
    };
    // Where no least one is written, and everything below TLS 1.2 is not left out either, the version of HAProxy decides.
    let since = found.since(&[2, 2]);
    let low = match (min, since) {
        (Some(min), _) => min,
        (None, Some(true)) => max.map_or(TLS12, |max| max.min(TLS12)),
        (None, _) if (SSL3..TLS12).all(|version| excluded.contains(&version)) => TLS12,
        (None, _) => return unset("ssl-min-ver", "HAProxy"),
    };
    let high = max.unwrap_or(VERSIONS.len() - 1);
    let names: Vec<String> = (low..=high)
        .filter(|version| !excluded.contains(version))
        .filter_map(|version| VERSIONS.get(version))
        .map(|name| (*name).to_owned())
        .collect();
    if min.or(max).is_none() && excluded.is_empty() {
        return by_default(names);
    }
    let said = |options: &Options<'_>| -> Vec<String> {
        let about = |word: &str| word.starts_with("ssl-m") || FORCE.contains(&word) || EXCLUDE.contains(&word);
        let pairs = options.pairs.iter().filter(|(word, _)| about(word));
        pairs.map(|(word, value)| format!("{word} {value}").trim_end().to_owned()).collect()
    };
    let text = [default.map(said).unwrap_or_default(), said(bind)].concat().join(" ");
    written(at, text, names)
}
