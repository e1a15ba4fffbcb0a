//! A certificate authority of the lab: a root, an intermediate, and leaves of every sort.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use tempfile::TempDir;

use crate::process::program;

/// The sort of a leaf's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// RSA with that many bits.
    Rsa(u32),
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

/// What a leaf certificate says.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its key.
    pub key: Key,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// The subject's common name; any text, control characters too.
    pub common_name: String,
    /// First and last day, as year, month, day (UTC).
    pub valid: [(i32, u8, u8); 2],
}

impl Default for Leaf {
    /// P-256, for `localhost` and 127.0.0.1, valid for many years.
    fn default() -> Self {
        Self {
            key: Key::P256,
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            common_name: "localhost".to_owned(),
            valid: [(2020, 1, 1), (2045, 1, 1)],
        }
    }
}

/// A certificate with its chain and private key, as files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The leaf alone, PEM.
    pub certificate: PathBuf,
    /// The intermediate alone, PEM.
    pub issuer: PathBuf,
    /// The leaf and the intermediate, PEM.
    pub chain: PathBuf,
    /// The leaf's private key, PKCS #8 PEM, mode 0600.
    pub key: PathBuf,
}

/// A root and an intermediate that it signed.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority; nobody trusts it.
    ///
    /// # Errors
    /// When keys can't be made.
    pub fn new() -> Result<Self> {
        let root = CertifiedIssuer::self_signed(authority("Lab Root"), KeyPair::generate()?)?;
        let intermediate = CertifiedIssuer::signed_by(authority("Lab Intermediate"), KeyPair::generate()?, &root)?;
        Ok(Self { root, intermediate })
    }

    /// The root's certificate, PEM.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.root.as_ref().pem()
    }

    /// The intermediate's certificate, PEM.
    #[must_use]
    pub fn intermediate_pem(&self) -> String {
        self.intermediate.as_ref().pem()
    }

    /// Writes a signed OCSP response for a leaf (RFC 6960), good for a week, and returns its path.
    ///
    /// # Errors
    /// When `openssl` is missing or makes none.
    pub fn ocsp(&self, folder: &Path, identity: &Identity, revoked: bool) -> Result<PathBuf> {
        let (key, index, response) = (folder.join("ocsp.key"), folder.join("index.txt"), folder.join("ocsp.der"));
        std::fs::write(&key, self.intermediate.key().serialize_pem())?;
        let openssl = program("openssl")?;
        let serial =
            Command::new(&openssl).args(["x509", "-noout", "-serial", "-in"]).arg(&identity.certificate).output()?;
        let serial = String::from_utf8(serial.stdout)?;
        let serial = serial.trim().strip_prefix("serial=").context("openssl printed no serial number")?;
        // The index of `openssl ca`: status, expiry, revocation, serial, file, subject.
        let (status, when) = if revoked { ("R", "240101000000Z") } else { ("V", "") };
        std::fs::write(&index, format!("{status}\t450101000000Z\t{when}\t{serial}\tunknown\t/CN=x\n"))?;
        let mut make = Command::new(openssl);
        make.arg("ocsp").arg("-index").arg(&index).arg("-rsigner").arg(&identity.issuer).arg("-rkey").arg(&key);
        make.arg("-CA")
            .arg(&identity.issuer)
            .arg("-issuer")
            .arg(&identity.issuer)
            .arg("-cert")
            .arg(&identity.certificate);
        let made = make.args(["-ndays", "7", "-noverify", "-respout"]).arg(&response).output()?;
        if !response.is_file() {
            bail!("openssl made no response: {}", String::from_utf8_lossy(&made.stderr));
        }
        Ok(response)
    }

    /// Issues a leaf and writes it, its chain and its key into `folder`, under `name`.
    ///
    /// # Errors
    /// When `openssl` is missing or the folder can't be written.
    pub fn issue(&self, folder: &Path, name: &str, leaf: &Leaf) -> Result<Identity> {
        let file = |what: &str| folder.join(format!("{name}.{what}.pem"));
        let identity =
            Identity { certificate: file("leaf"), issuer: file("issuer"), chain: file("chain"), key: file("key") };
        let public = new_key(leaf.key, &identity.key)?;
        let certificate = params(leaf)?.signed_by(&public, &*self.intermediate)?;
        std::fs::write(&identity.certificate, certificate.pem())?;
        std::fs::write(&identity.issuer, self.intermediate_pem())?;
        std::fs::write(&identity.chain, certificate.pem() + &self.intermediate_pem())?;
        Ok(identity)
    }
}

/// An authority with a folder for what it issues.
pub struct Lab {
    folder: TempDir,
    authority: Authority,
    issued: Cell<u32>,
}

impl Lab {
    /// A new one.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::new()?, authority: Authority::new()?, issued: Cell::new(0) })
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The authority.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A usual leaf with that sort of key.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn identity(&self, key: Key) -> Result<Identity> {
        self.leaf(&Leaf { key, ..Leaf::default() })
    }

    /// Any leaf.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn leaf(&self, leaf: &Leaf) -> Result<Identity> {
        let number = self.issued.get();
        self.issued.set(number + 1);
        self.authority.issue(self.folder(), &format!("server{number}"), leaf)
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2010, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}

fn params(leaf: &Leaf) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(leaf.names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, leaf.common_name.as_str());
    let [from, until] = leaf.valid;
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A public key as a certificate holds it: the bits alone, and the algorithm.
struct Public {
    bits: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// Makes a private key with `openssl`, which also makes those that no modern library does, and returns the public one.
fn new_key(key: Key, path: &Path) -> Result<Public> {
    let openssl = program("openssl")?;
    let mut make = Command::new(&openssl);
    make.args(["genpkey", "-quiet", "-out"]).arg(path).arg("-algorithm");
    let algorithm = match key {
        Key::Rsa(bits) => {
            make.args(["RSA", "-pkeyopt", &format!("rsa_keygen_bits:{bits}")]);
            &PKCS_RSA_SHA256
        }
        Key::P256 => {
            make.args(["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
            &PKCS_ECDSA_P256_SHA256
        }
        Key::P384 => {
            make.args(["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]);
            &PKCS_ECDSA_P384_SHA384
        }
        Key::Ed25519 => {
            make.arg("ED25519");
            &PKCS_ED25519
        }
    };
    let made = make.output()?;
    if !made.status.success() {
        bail!("openssl makes no {key:?} key: {}", String::from_utf8_lossy(&made.stderr));
    }
    let public = Command::new(openssl).args(["pkey", "-pubout", "-outform", "DER", "-in"]).arg(path).output()?;
    let bits = bits(&public.stdout).context("openssl printed no SubjectPublicKeyInfo")?;
    Ok(Public { bits: bits.to_vec(), algorithm })
}

/// The bits of a SubjectPublicKeyInfo: `SEQUENCE { SEQUENCE algorithm, BIT STRING bits }` (RFC 5280, section 4.1).
fn bits(der: &[u8]) -> Option<&[u8]> {
    let (outer, _) = value(der)?;
    let (_algorithm, rest) = value(outer)?;
    // The first byte of a BIT STRING counts the unused bits, which are none here.
    value(rest)?.0.split_first().map(|(_, bits)| bits)
}

/// The value of the first DER element, and what follows it.
fn value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = der.get(1..)?.split_first()?;
    let count = usize::from(length & 0x7f);
    if length < 0x80 {
        return rest.split_at_checked(count);
    }
    let (length, rest) = rest.split_at_checked(count)?;
    rest.split_at_checked(length.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
}
