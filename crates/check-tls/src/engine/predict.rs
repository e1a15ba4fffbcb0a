//! What a server is likely to accept, and in which order: lists in wide use.
//!
//! Nothing here decides anything. A good guess saves rounds, a bad one costs connections.

use crate::facts::VersionName;
use crate::registry::{in_version, scheme, suite_parts};

/// Mozilla's "intermediate" recommendation, version 6.
const INTERMEDIATE: &[u16] = &[0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];

/// The same with the DHE of version 5.
const INTERMEDIATE_5: &[u16] = &[0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0x009e, 0x009f, 0xccaa];

/// Mozilla's "old" recommendation, version 5.
const OLD: &[u16] = &[
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0x009e, 0x009f, 0xccaa, 0xc023, 0xc027, 0xc009, 0xc013, 0xc024,
    0xc028, 0xc00a, 0xc014, 0x0067, 0x006b, 0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, 0x000a,
];

/// Everything of OpenSSL 3.0, in its order, without PSK and SRP.
const OPENSSL: &[u16] = &[
    0xc02c, 0xc030, 0x00a3, 0x009f, 0xcca9, 0xcca8, 0xccaa, 0xc0af, 0xc0ad, 0xc0a3, 0xc09f, 0xc05d, 0xc061, 0xc057,
    0xc053, 0x00a7, 0xc02b, 0xc02f, 0x00a2, 0x009e, 0xc0ae, 0xc0ac, 0xc0a2, 0xc09e, 0xc05c, 0xc060, 0xc056, 0xc052,
    0x00a6, 0xc024, 0xc028, 0x006b, 0x006a, 0xc073, 0xc077, 0x00c4, 0x00c3, 0x006d, 0x00c5, 0xc023, 0xc027, 0x0067,
    0x0040, 0xc072, 0xc076, 0x00be, 0x00bd, 0x006c, 0x00bf, 0xc00a, 0xc014, 0x0039, 0x0038, 0x0088, 0x0087, 0xc019,
    0x003a, 0x0089, 0xc009, 0xc013, 0x0033, 0x0032, 0x0045, 0x0044, 0xc018, 0x0034, 0x0046, 0x009d, 0xc0a1, 0xc09d,
    0xc051, 0x009c, 0xc0a0, 0xc09c, 0xc050, 0x003d, 0x00c0, 0x003c, 0x00ba, 0x0035, 0x0084, 0x002f, 0x0041, 0xc006,
    0xc010, 0xc015, 0x003b, 0x0002, 0x0001,
];

/// TLS 1.3 suites of nearly every server: OpenSSL's order.
const MODERN: &[u16] = &[0x1302, 0x1303, 0x1301];

/// Groups in the order of servers with a list of their own: OpenSSL's.
const FAVOURITES: &[u16] = &[0x11ec, 0x001d, 0x0017, 0x001e, 0x0019, 0x0018, 0x0100, 0x0101, 0x0102, 0x0103, 0x0104];

/// Groups in use, rarest first; the others are offered before them. A server that takes the client's first one that it
/// has shows by it how long its own list is.
pub(super) const GROUPS_IN_USE: &[u16] =
    &[0x11ed, 0x11eb, 0x11ec, 0x0104, 0x0103, 0x0102, 0x0101, 0x0100, 0x001e, 0x0019, 0x0018, 0x0017, 0x001d];

/// Whether a suite or group is in common use.
pub(super) fn in_use(id: u16) -> bool {
    OPENSSL.contains(&id) || OLD.contains(&id) || MODERN.contains(&id) || GROUPS_IN_USE.contains(&id)
}

/// Where a suite stands in the order of most servers.
pub(super) fn rank(id: u16) -> usize {
    OPENSSL.iter().position(|known| *known == id).unwrap_or(usize::MAX)
}

/// Whether a suite exists in a version for whoever keeps to the standards: TLS 1.1 and older know neither AEAD nor the
/// hashes of SHA-2 (RFC 5246, 1.2).
pub(super) fn fits(id: u16, version: VersionName) -> bool {
    let plain = |id| suite_parts(id).is_some_and(|p| !p.aead && matches!(p.hash.as_deref(), Some("SHA" | "MD5")));
    in_version(id, version) && (version >= VersionName::Tls12 || plain(id))
}

/// Suites that a server of an older version will choose after `chosen`, from `open`, which is in the order of the offer.
pub(super) fn suites(version: VersionName, chosen: u16, open: &[u16]) -> Vec<u16> {
    let authentication = |id: u16| suite_parts(id).map(|p| p.authentication);
    let of = authentication(chosen);
    // A server that has an ECDSA key chooses it first in both orders; with RSA there is no other key.
    let keyed = |id: &u16| of.as_deref() != Some("RSA") || authentication(*id) != Some("ECDSA".into());
    [(INTERMEDIATE, true), (INTERMEDIATE_5, true), (OLD, true), (OPENSSL, false)]
        .into_iter()
        .find_map(|(list, whole)| {
            let mut theirs: Vec<u16> = list.iter().copied().filter(|id| fits(*id, version) && keyed(id)).collect();
            theirs.retain(|id| *id == chosen || open.contains(id));
            // By the server's order, or by ours; `open` lacks what was just chosen, and nothing before it is left.
            if theirs.first() == Some(&chosen) {
                return theirs.get(1..).map(<[u16]>::to_vec);
            }
            // Nobody has all of OpenSSL's suites.
            (whole && theirs.contains(&chosen)).then_some(())?;
            let ours: Vec<u16> = open.iter().copied().filter(|id| theirs.contains(id)).collect();
            let later = ours.first().is_none_or(|first| super::offers::place(*first) > super::offers::place(chosen));
            later.then_some(ours)
        })
        .unwrap_or_default()
}

/// Suites of TLS 1.3 after `chosen`.
pub(super) fn suites13(chosen: u16, open: &[u16]) -> Vec<u16> {
    if chosen == 0x1302 {
        return MODERN.iter().copied().filter(|id| open.contains(id)).collect();
    }
    open.iter().copied().filter(|id| MODERN.contains(id)).collect()
}

/// Groups that nearly every server has, or has alone.
pub(super) const FEW_GROUPS: &[u16] = &[0x11ec, 0x001d, 0x0017, 0x0018];

/// Groups after `chosen`, from `open`, which is in the order of the offer.
pub(super) fn groups(chosen: u16, open: &[u16]) -> Vec<u16> {
    let usual = |id: &u16| open.contains(id);
    match chosen {
        // Who has X25519MLKEM768 has it first.
        0x11ec | 0x001d | 0x0017 => FAVOURITES.iter().copied().filter(|id| *id != 0x11ec && usual(id)).collect(),
        _ => {
            let at = GROUPS_IN_USE.iter().position(|id| *id == chosen).map_or(GROUPS_IN_USE.len(), |at| at + 1);
            GROUPS_IN_USE.get(at..).unwrap_or_default().iter().copied().filter(usual).collect()
        }
    }
}

/// Groups of TLS 1.2 for who has these of TLS 1.3 beside the few: the same curves, by our order.
pub(super) fn groups12(others: bool) -> Vec<u16> {
    let few = |id: &u16| others || FEW_GROUPS.contains(id);
    GROUPS_IN_USE
        .iter()
        .copied()
        .filter(|id| crate::registry::group(*id).is_some_and(|g| g.in_tls12()))
        .filter(few)
        .collect()
}

/// Signature schemes of TLS 1.2 after `chosen`, from `open`, which is in the order of the offer.
pub(super) fn schemes(chosen: u16, open: &[u16]) -> Vec<u16> {
    let sort = |id: u16| {
        let name = scheme(id).map_or("", |info| info.name);
        ["rsa_pss_pss", "rsa", "ecdsa", "dsa"].into_iter().find(|sort| name.starts_with(sort))
    };
    let usual = |id: &u16| {
        sort(*id).is_some() && sort(*id) == sort(chosen) && !scheme(*id).is_some_and(|info| info.name.contains("tls13"))
    };
    let (after, before): (Vec<u16>, Vec<u16>) = open.iter().filter(|id| usual(id)).partition(|id| **id > chosen);
    match chosen {
        // Servers with a list of their own have these first; SHA-1 and MD5 hardly ever follow.
        0x0804 | 0x0403 => after.into_iter().chain(before.into_iter().filter(|id| *id >= 0x0300)).collect(),
        _ => after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::offers;

    fn after(chosen: u16, version: VersionName) -> Vec<u16> {
        let mut open = offers::chunks(version).into_iter().next().unwrap_or_default();
        open.retain(|id| *id != chosen);
        suites(version, chosen, &open)
    }

    #[test]
    fn usual_servers_are_foreseen() {
        let tls12 = VersionName::Tls12;
        // By the client's order, by the server's, and with an ECDSA key.
        assert_eq!(after(0x009e, tls12), [0xc02f, 0x009f, 0xc030, 0xcca8, 0xccaa]);
        assert_eq!(after(0xc02f, tls12), [0xc030, 0xcca8]);
        assert_eq!(after(0xc02b, tls12).len(), 5);
        assert!(after(0x002f, tls12).ends_with(&[0x009f, 0xc030, 0xcca8, 0xccaa]));
        assert_eq!(after(0xc030, tls12).first(), Some(&0x009f));
        assert!(after(0x0005, tls12).is_empty());
        assert_eq!(after(0xc013, VersionName::Tls10).first(), Some(&0xc014));
        assert_eq!(groups(0x0018, &offers::all_groups()), [0x0017, 0x001d]);
        assert_eq!(groups(0x001d, &[0x0018, 0x0017]), [0x0017, 0x0018]);
        assert_eq!(schemes(0x0301, &offers::all_schemes()), [0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806]);
    }
}
