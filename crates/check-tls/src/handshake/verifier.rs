//! A certificate verifier for rustls that accepts everything and writes it down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::Signatures;
use crate::certificate::{self, signature::Scheme};

/// What the verifier was given in one handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    pub(crate) chain: Option<Vec<Vec<u8>>>,
    pub(crate) ocsp: Vec<u8>,
    pub(crate) signature_scheme: Option<u16>,
    pub(crate) signature_verified: Option<bool>,
    pub(crate) client_certificate_requested: bool,
    pub(crate) authorities: Vec<Vec<u8>>,
}

/// Accepts every chain and every signature, and has no certificate of its own. Used for one handshake.
#[derive(Debug)]
pub(crate) struct Recorder {
    signatures: Signatures,
    recording: Mutex<Recording>,
}

impl Recorder {
    pub(crate) fn new(signatures: Signatures) -> Self {
        Self { signatures, recording: Mutex::default() }
    }

    /// What was recorded; empties the record.
    pub(crate) fn take(&self) -> Recording {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signed(&self, message: &[u8], leaf: &CertificateDer<'_>, signed: &DigitallySignedStruct) {
        let code = u16::from(signed.scheme);
        let verified = certificate::parse(leaf)
            .ok()
            .and_then(|leaf| Scheme::of_tls(code)?.verifies(leaf.public_key(), message, signed.signature()));
        let mut recording = self.lock();
        recording.signature_scheme = Some(code);
        recording.signature_verified = verified;
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut recording = self.lock();
        recording.chain = Some(std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect());
        recording.ocsp = ocsp_response.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, cert, dss);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, cert, dss);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme as S;
        const ECDSA: [S; 4] =
            [S::ECDSA_NISTP256_SHA256, S::ECDSA_NISTP384_SHA384, S::ECDSA_NISTP521_SHA512, S::ECDSA_SHA1_Legacy];
        const EDDSA: [S; 2] = [S::ED25519, S::ED448];
        const PSS: [S; 3] = [S::RSA_PSS_SHA256, S::RSA_PSS_SHA384, S::RSA_PSS_SHA512];
        const PKCS1: [S; 4] = [S::RSA_PKCS1_SHA256, S::RSA_PKCS1_SHA384, S::RSA_PKCS1_SHA512, S::RSA_PKCS1_SHA1];
        const ML_DSA: [S; 3] = [S::ML_DSA_44, S::ML_DSA_65, S::ML_DSA_87];
        match self.signatures {
            Signatures::Any => [&ECDSA[..3], &EDDSA, &PSS, &PKCS1[..3], &ML_DSA, &ECDSA[3..], &PKCS1[3..]].concat(),
            Signatures::Rsa => [PSS.as_slice(), &PKCS1].concat(),
            Signatures::RsaPss => PSS.to_vec(),
            Signatures::Ecdsa => ECDSA.to_vec(),
            Signatures::Eddsa => EDDSA.to_vec(),
            Signatures::MlDsa => ML_DSA.to_vec(),
            Signatures::One(code) => vec![S::from(code)],
        }
    }
}

impl ResolvesClientCert for Recorder {
    fn resolve(&self, authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut recording = self.lock();
        recording.client_certificate_requested = true;
        recording.authorities = authorities.iter().take(super::MOST_AUTHORITIES).map(|name| name.to_vec()).collect();
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}
