//! Makes keys, certificates and chains.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// A certificate with its key.
pub(crate) struct Made {
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
}

impl Made {
    /// Signs it with the issuer's key, or its own.
    pub(crate) fn new(params: CertificateParams, key: KeyPair, by: Option<&Self>) -> Result<Self> {
        let certificate = match by {
            Some(issuer) => params.signed_by(&key, &Issuer::from_params(&issuer.params, &issuer.key))?,
            None => params.self_signed(&key)?,
        };
        Ok(Self { der: certificate.der().to_vec(), pem: certificate.pem(), params, key })
    }

    /// As a custom store would hold it.
    pub(crate) fn file(&self) -> (String, Vec<u8>) {
        ("root.pem".to_owned(), self.pem.clone().into_bytes())
    }
}

/// An authority, valid from 2020 to 2040.
pub(crate) fn authority(name: &str, by: Option<&Made>) -> Result<Made> {
    Made::new(authority_params(name)?, KeyPair::generate()?, by)
}

pub(crate) fn authority_params(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec![])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    Ok(params)
}

/// A server's certificate for `www.example.org`, valid through 2026.
pub(crate) fn leaf(by: &Made) -> Result<Made> {
    Made::new(leaf_params()?, KeyPair::generate()?, Some(by))
}

pub(crate) fn leaf_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec!["www.example.org".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "www.example.org");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    Ok(params)
}

/// Runs `openssl` in a folder.
pub(crate) fn openssl(folder: &Path, arguments: &[&str]) -> Result {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// A self-signed authority and a leaf that it signed, both made by `openssl` with these options.
pub(crate) fn pair(folder: &Path, key: &[&str], root: &[&str], leaf: &[&str]) -> Result<[Vec<u8>; 2]> {
    openssl(folder, &[&["genpkey", "-out", "root.key"], key].concat())?;
    openssl(folder, &[&["genpkey", "-out", "leaf.key"], key].concat())?;
    let request =
        ["req", "-x509", "-new", "-key", "root.key", "-subj", "/CN=Old Root", "-out", "root.pem", "-days", "9"];
    openssl(folder, &[&request, root].concat())?;
    openssl(folder, &["req", "-new", "-key", "leaf.key", "-subj", "/CN=old", "-out", "leaf.csr"])?;
    let request = ["x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "7"];
    openssl(folder, &[&request, &["-out", "leaf.pem", "-days", "9"][..], leaf].concat())?;
    Ok([read(&folder.join("leaf.pem"))?, read(&folder.join("root.pem"))?])
}

/// The first certificate of a PEM file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>> {
    Ok(CertificateDer::from_pem_file(file)?.to_vec())
}

/// The chain as the functions under test take it.
pub(crate) fn chain(certificates: &[&Made]) -> Vec<Vec<u8>> {
    certificates.iter().map(|made| made.der.clone()).collect()
}
