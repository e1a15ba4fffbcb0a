//! The tables beside other people's: what OpenSSL and GnuTLS know must be known here, and mean the same.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use check_tls::facts::VersionName;
use check_tls::registry::{GROUPS, KINDS, SCHEMES, group, in_version, scheme, suite_name, suite_parts, suites};

use crate::lab::Error;

fn said(program: &str, arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("{program} failed").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// `0xC0,0x2F` or `0xc0, 0x2f`.
fn code(text: &str) -> Result<u16, Error> {
    let (high, low) = text.split_once(',').ok_or("no comma")?;
    let byte = |text: &str| u8::from_str_radix(text.trim().trim_start_matches("0x"), 16);
    Ok(u16::from_be_bytes([byte(high)?, byte(low)?]))
}

/// `AES_128_GCM` as OpenSSL writes it: `AESGCM(128)`.
fn encryption(ours: &str, bits: u32) -> String {
    let (family, mode) = ours.split_once('_').unwrap_or((ours, ""));
    let mode = mode.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    match (family, mode) {
        ("NULL", _) => "None".to_owned(),
        ("CHACHA20", _) => format!("CHACHA20/POLY1305({bits})"),
        ("3DES", _) => format!("3DES({bits})"),
        ("CAMELLIA", _) => format!("Camellia({bits})"),
        ("AES" | "ARIA", "GCM" | "CCM") => format!("{family}{mode}({bits})"),
        ("AES", "CCM_8") => format!("AESCCM8({bits})"),
        _ => format!("{family}({bits})"),
    }
}

#[test]
fn everything_that_openssl_has_is_known_and_means_the_same() -> Result<(), Error> {
    // OpenSSL's words for ours; GOST and what it shows of SRP's authentication have words of their own.
    let exchanges = BTreeMap::from([
        ("ECDHE", "ECDH"),
        ("DHE", "DH"),
        ("DH", "DH"),
        ("ECDH", "ECDH"),
        ("DHE_PSK", "DHEPSK"),
        ("ECDHE_PSK", "ECDHEPSK"),
        ("RSA_PSK", "RSAPSK"),
    ]);
    let mut count = 0;
    for line in said("openssl", &["ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"])?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, "-", name, version, exchange, authentication, cipher, _mac] = words.as_slice() else {
            return Err(line.into());
        };
        let id = code(id)?;
        let parts = suite_parts(id).ok_or_else(|| format!("{name} is unknown"))?;
        count += 1;
        assert_eq!(in_version(id, VersionName::Tls13), *version == "TLSv1.3", "{name}");
        assert_eq!(*cipher, format!("Enc={}", encryption(&parts.encryption, parts.key_bits)), "{name}");
        if parts.key_exchange.contains("GOST") {
            continue;
        }
        let kx = parts.key_exchange.as_str();
        assert_eq!(*exchange, format!("Kx={}", exchanges.get(kx).copied().unwrap_or(kx)), "{name}");
        let au = match (kx, parts.authentication.as_str()) {
            (_, "anon") => "None",
            ("RSA_PSK", _) => "RSA",
            (_, au) => au,
        };
        assert_eq!(*authentication, format!("Au={au}"), "{name}");
    }
    assert!(count > 120, "{count}");
    Ok(())
}

#[test]
fn everything_that_gnutls_has_is_known() -> Result<(), Error> {
    let list = said("gnutls-cli", &["-l"])?;
    let mut count = 0;
    for line in list.lines().filter(|line| line.starts_with("TLS_")) {
        let (name, rest) = line.split_once(char::is_whitespace).ok_or("no space")?;
        let id = code(rest.trim().split('\t').next().unwrap_or_default())?;
        let ours = suite_name(id).ok_or_else(|| format!("{name} is unknown"))?;
        // Its names say `SHA1`, `DHE_ANON`, `ARCFOUR` and the hash of the PRF; the code point is what counts.
        assert_eq!(ours.contains("_AES_"), name.contains("_AES_"), "{name} {ours}");
        assert_eq!(ours.contains("ECDHE"), name.contains("ECDHE"), "{name} {ours}");
        count += 1;
    }
    assert!(count > 80, "{count}");
    let groups = list.lines().find_map(|line| line.strip_prefix("Groups: ")).ok_or("no groups")?;
    for name in groups.split(", ") {
        let ours = name.trim_start_matches("GROUP-").to_lowercase();
        assert!(GROUPS.iter().any(|group| group.name.to_lowercase() == ours), "{name}");
    }
    Ok(())
}

/// Counts and rows of IANA's registry (of 2026), which no test can ask.
#[test]
fn rows_of_the_registry() {
    let counted = |range: std::ops::RangeInclusive<u16>| suites().iter().filter(|(id, _)| range.contains(id)).count();
    // PSK_AES_CCM of RFC 6655, ECCPWD of RFC 8492, integrity only of RFC 9150, GOST of RFC 9189 and RFC 9367.
    for (range, wanted) in [
        (0x1301..=0x1307, 7),
        (0x0000..=0x001b, 28),
        (0x0041..=0x0046, 6),
        (0x0060..=0x0066, 7),
        (0x0067..=0x006d, 7),
        (0x0084..=0x00c5, 66),
        (0x00c6..=0x00c7, 2),
        (0xc001..=0xc0b5, 181),
        (0xc100..=0xc106, 7),
        (0xcca8..=0xccae, 7),
        (0xd001..=0xd005, 4),
        (0x16b7..=0x16ba, 4),
        (0xff00..=0xff03, 4),
    ] {
        assert_eq!(counted(range.clone()), wanted, "{range:x?}");
    }
    for (id, name) in [
        (0x0062, "TLS_RSA_EXPORT1024_WITH_DES_CBC_SHA"),
        (0x0066, "TLS_DHE_DSS_WITH_RC4_128_SHA"),
        (0x00c6, "TLS_SM4_GCM_SM3"),
        (0x1304, "TLS_AES_128_CCM_SHA256"),
        (0xc050, "TLS_RSA_WITH_ARIA_128_GCM_SHA256"),
        (0xc0b4, "TLS_SHA256_SHA256"),
        (0xc103, "TLS_GOSTR341112_256_WITH_KUZNYECHIK_MGM_L"),
        (0xfeff, "SSL_RSA_FIPS_WITH_3DES_EDE_CBC_SHA"),
        (0xffe1, "SSL_RSA_OLDFIPS_WITH_DES_CBC_SHA"),
    ] {
        assert_eq!(suite_name(id), Some(name));
    }
    assert_eq!(suites().len(), 390);
    let names: BTreeSet<_> = suites().iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), suites().len());
    assert_eq!(KINDS.len(), 10);
    assert_eq!(group(0x0201).map(|g| g.name), Some("MLKEM768"));
    assert_eq!(group(0x11ed).map(|g| g.name), Some("SecP384r1MLKEM1024"));
    assert_eq!(scheme(0x0905).map(|s| s.name), Some("mldsa65"));
    let names: BTreeSet<_> = GROUPS.iter().map(|g| g.name).chain(SCHEMES.iter().map(|s| s.name)).collect();
    assert_eq!(names.len(), GROUPS.len() + SCHEMES.len());
}
