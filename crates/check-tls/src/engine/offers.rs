//! The hellos that the engine sends.

use std::sync::LazyLock;

use crate::facts::VersionName;
use crate::hello::{Extension, Hello, MOST_SUITES, MOST_SUITES_BARE};
use crate::registry::{
    GROUPS, GroupInfo, RENEGOTIATION_SCSV, SCHEMES, group, in_version, is_tls13_suite, suite_parts, suites,
};

/// A group of no meaning, for a server that dislikes an empty list of key shares (RFC 8701).
const GREASE: u16 = 0x5a5a;

/// Suites of TLS 1.2 and older in the order in which they are offered: those in common use first, weakest first among
/// them, so that a server that goes by its own list shows it with its first answer.
static OLDER: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let mut ids: Vec<u16> = suites().iter().map(|(id, _)| *id).filter(|id| !is_tls13_suite(*id)).collect();
    ids.sort_by_key(|id| {
        let Some(parts) = suite_parts(*id) else { return (true, true, false, false, 0, *id) };
        let common = matches!(parts.key_exchange.as_str(), "RSA" | "DHE" | "ECDHE")
            && matches!(parts.authentication.as_str(), "RSA" | "ECDSA")
            && !parts.export
            && !parts.encryption.starts_with("ARIA");
        // What SSL 3.0 can have stays together, so that it takes few hellos there.
        (!common, !common && !in_version(*id, VersionName::Ssl3), parts.ephemeral, parts.aead, parts.key_bits, *id)
    });
    ids
});

/// The suites of a version, in pieces of the size of one hello.
pub(crate) fn chunks(version: VersionName) -> Vec<Vec<u16>> {
    match version {
        VersionName::Tls13 => vec![tls13_suites()],
        // Pieces of those of later versions, which then are their siblings.
        VersionName::Ssl3 => OLDER
            .chunks(MOST_SUITES)
            .map(|piece| piece.iter().copied().filter(|id| in_version(*id, version)).collect::<Vec<_>>())
            .flat_map(|piece| piece.chunks(MOST_SUITES_BARE).map(<[u16]>::to_vec).collect::<Vec<_>>())
            .collect(),
        _ => OLDER.chunks(MOST_SUITES).map(<[u16]>::to_vec).collect(),
    }
}

pub(crate) fn tls13_suites() -> Vec<u16> {
    let mut ids: Vec<u16> = suites().iter().map(|(id, _)| *id).filter(|id| is_tls13_suite(*id)).collect();
    // Weakest first, as above.
    ids.sort_by_key(|id| suite_parts(*id).map_or((0, *id), |parts| (parts.key_bits, *id)));
    ids
}

/// Where a suite of TLS 1.2 and older stands in the order in which they are offered.
pub(super) fn place(suite: u16) -> usize {
    OLDER.iter().position(|id| *id == suite).unwrap_or(usize::MAX)
}

/// Every group, for TLS 1.3: those in common use last, rarest first among them.
pub(crate) fn all_groups() -> Vec<u16> {
    let rare = GROUPS.iter().map(|group| group.id).filter(|id| !super::predict::GROUPS_IN_USE.contains(id));
    rare.chain(super::predict::GROUPS_IN_USE.iter().copied()).collect()
}

/// Every group but the finite fields: where those are named, a server with a prime of its own may refuse DHE
/// (RFC 7919, section 4).
pub(crate) fn curves() -> Vec<u16> {
    let mut groups = all_groups();
    groups.retain(|id| !group(*id).is_some_and(GroupInfo::finite_field));
    groups
}

pub(crate) fn finite_fields() -> Vec<u16> {
    let mut groups = all_groups();
    groups.retain(|id| group(*id).is_some_and(GroupInfo::finite_field));
    groups
}

pub(crate) fn all_schemes() -> Vec<u16> {
    SCHEMES.iter().map(|scheme| scheme.id).collect()
}

/// A hello of a version from TLS 1.0 to TLS 1.2 with the usual extensions; of SSL 3.0, with none.
pub(crate) fn older(version: VersionName, sni: Option<&str>, suites: &[u16], groups: &[u16], schemes: &[u16]) -> Hello {
    let mut hello = Hello::bare(version, suites);
    if version == VersionName::Ssl3 {
        return hello;
    }
    hello.suites.retain(|id| *id != RENEGOTIATION_SCSV);
    hello.extensions.extend(sni.map(|name| Extension::ServerName(name.to_owned())));
    hello.extensions.extend([
        Extension::ExtendedMasterSecret,
        Extension::RenegotiationInfo,
        Extension::PointFormats,
        Extension::SignatureSchemes(schemes.to_vec()),
        Extension::Groups(groups.to_vec()),
    ]);
    hello
}

/// A hello as the clients of TLS 1.0 sent it: server name, point formats and the three NIST curves (RFC 4492) alone, and
/// no more suites than they had, RSA, DHE and ECDHE with RC4, 3DES and AES.
pub(crate) fn of_the_time(sni: Option<&str>) -> Hello {
    let usual = |id: &u16| {
        suite_parts(*id).is_some_and(|p| {
            matches!(p.key_exchange.as_str(), "RSA" | "DHE" | "ECDHE")
                && matches!(p.authentication.as_str(), "RSA" | "ECDSA")
                && ["RC4_128", "3DES_EDE_CBC", "AES_128_CBC", "AES_256_CBC"].contains(&p.encryption.as_str())
                && p.hash.as_deref() != Some("SHA256")
        })
    };
    let suites: Vec<u16> =
        OLDER.iter().copied().filter(|id| in_version(*id, VersionName::Tls10)).filter(usual).collect();
    let mut hello = Hello::bare(VersionName::Tls10, &suites);
    hello.extensions.extend(sni.map(|name| Extension::ServerName(name.to_owned())));
    hello.extensions.extend([Extension::PointFormats, Extension::Groups(vec![0x0017, 0x0018, 0x0019])]);
    hello
}

/// Makes a hello one of TLS 1.3, with these versions in its list and an empty list of key shares: the answer is a
/// HelloRetryRequest that names suite and group in clear text (RFC 8446, 4.2.8).
pub(crate) fn upgrade(hello: &mut Hello, versions: &[VersionName], grease: bool) {
    hello.record_version = VersionName::Tls10.wire();
    hello.client_version = VersionName::Tls12.wire();
    let mut shares = Vec::new();
    if grease {
        for extension in &mut hello.extensions {
            if let Extension::Groups(groups) = extension
                && !groups.contains(&GREASE)
            {
                groups.insert(0, GREASE);
            }
        }
        shares.push((GREASE, vec![0]));
    }
    let versions = versions.iter().map(|version| version.wire()).collect();
    let last = hello.extensions.len().saturating_sub(1);
    // `supported_groups` stays last: its content is never empty.
    let more = [Extension::SupportedVersions(versions), Extension::PskModes, Extension::KeyShare(shares)];
    hello.extensions.splice(last..last, more);
}

/// A TLS 1.3 hello.
pub(crate) fn tls13(sni: Option<&str>, suites: &[u16], groups: &[u16], schemes: &[u16], grease: bool) -> Hello {
    let mut hello = older(VersionName::Tls12, sni, suites, groups, schemes);
    upgrade(&mut hello, &[VersionName::Tls13], grease);
    hello
}

/// The first hello of a version: everything that fits in one.
pub(crate) fn version_hello(version: VersionName, sni: Option<&str>) -> Hello {
    let suites = chunks(version).into_iter().next().unwrap_or_default();
    match version {
        VersionName::Tls13 => tls13(sni, &suites, &all_groups(), &all_schemes(), false),
        _ => older(version, sni, &suites, &curves(), &all_schemes()),
    }
}

/// A hello that any TLS server can answer, whatever its versions.
pub(crate) fn any_version_hello(sni: Option<&str>) -> Hello {
    let mut suites: Vec<u16> = (0x1301..=0x1305).collect();
    suites.extend(OLDER.iter().take(MOST_SUITES - 5));
    let mut hello = older(VersionName::Tls12, sni, &suites, &all_groups(), &all_schemes());
    let versions = [VersionName::Tls13, VersionName::Tls12, VersionName::Tls11, VersionName::Tls10];
    upgrade(&mut hello, &versions, false);
    hello
}

/// A sibling of a refused hello: the same, with a suite and a version that the server accepts.
pub(crate) fn control(
    refused: &Hello,
    sni: Option<&str>,
    suite: u16,
    accepted: VersionName,
    meant: VersionName,
) -> Hello {
    let mut hello = refused.clone();
    if !hello.suites.contains(&suite) {
        hello.suites.insert(0, suite);
    }
    if accepted == meant {
        return hello;
    }
    if meant == VersionName::Ssl3 {
        hello = older(accepted.min(VersionName::Tls12), sni, &hello.suites, &curves(), &all_schemes());
    }
    if accepted == VersionName::Tls13 {
        upgrade(&mut hello, &[VersionName::Tls13, meant.max(VersionName::Tls10)], false);
        return hello;
    }
    for extension in &mut hello.extensions {
        if let Extension::SupportedVersions(versions) = extension {
            versions.push(accepted.wire());
        }
    }
    hello.client_version = accepted.wire();
    hello
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_is_offered_once_and_hellos_stay_small() {
        for version in VersionName::ALL.into_iter().skip(1) {
            let mut all: Vec<u16> = chunks(version).concat();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count);
            assert_eq!(count, suites().iter().filter(|(id, _)| in_version(*id, version)).count());
            let bytes = version_hello(version, Some("www.example.org")).encode();
            assert!(bytes.len() < 1300, "{version:?}: {}", bytes.len());
            assert!(!(261..517).contains(&bytes.len()), "{version:?}: {}", bytes.len());
            assert!(chunks(version).iter().all(|piece| piece.len() <= MOST_SUITES), "{version:?}");
        }
        assert_eq!(chunks(VersionName::Tls12).len(), 3);
        assert_eq!(chunks(VersionName::Ssl3).len(), 2);
    }

    #[test]
    fn a_control_has_the_shape_of_the_refused_hello() {
        let name = Some("www.example.org");
        for (meant, accepted) in [
            (VersionName::Tls10, VersionName::Tls12),
            (VersionName::Tls12, VersionName::Tls13),
            (VersionName::Tls13, VersionName::Tls12),
        ] {
            let refused = version_hello(meant, name);
            let sibling = control(&refused, name, 0xc02f, accepted, meant);
            assert_eq!(sibling.shape(), refused.shape(), "{meant:?}");
            assert!(sibling.versions().contains(&accepted.wire()), "{meant:?}");
        }
    }
}
