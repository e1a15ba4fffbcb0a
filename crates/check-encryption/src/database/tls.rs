//! TLS to a database server: whose certificate it is, is found out and told; who asks decides what follows.

use std::sync::{Arc, Mutex, PoisonError};

use model::{Failure, FailureClass};
use probe::Cx;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore, SignatureScheme,
};

use crate::facts::{DatabaseSpec, DatabaseTlsSeen};

/// Most bytes of a file of authorities or certificates.
const MOST_PEM: usize = 4 << 20;

/// What a handshake begins with.
pub(crate) struct Wanted {
    config: ClientConfig,
    name: ServerName<'static>,
    verdict: Verdict,
}

/// What became of the certificate: `Ok`, why not, or nothing yet.
type Verdict = Arc<Mutex<Option<Result<(), String>>>>;

impl Wanted {
    /// Reads authorities, and this client's certificate where the server is to see one.
    pub(crate) async fn of(cx: &Cx, spec: &DatabaseSpec) -> Result<Self, Failure> {
        let cannot = |what: String| Failure::new(FailureClass::Unreadable, what);
        let asked = spec.tls.clone().unwrap_or_default();
        let mut roots = RootCertStore::empty();
        match &asked.ca {
            Some(path) => {
                let pem = cx.read_file(path, MOST_PEM).await.map_err(|e| Failure::new(e.class, e.to_string()))?;
                let (added, _) = roots.add_parsable_certificates(certificates(&pem));
                if added == 0 {
                    return Err(cannot(format!("{path}: it holds no certificate in PEM")));
                }
            }
            None => {
                let of_machine = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
                roots.add_parsable_certificates(of_machine.map(|found| found.certs).unwrap_or_default());
            }
        }
        let name = asked.name.clone().or_else(|| spec.host.clone()).unwrap_or_default();
        let name = ServerName::try_from(name.clone()).map_err(|_| {
            cannot(format!("'{name}' is no name that a certificate can have; write 'tls: {{ name: … }}'"))
        })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verdict = Verdict::default();
        let verifier = Watching {
            real: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().ok(),
            provider: Arc::clone(&provider),
            verdict: Arc::clone(&verdict),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|e| cannot(e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match (&asked.certificate, &asked.key) {
            (Some(path), Some(reference)) => {
                let pem = cx.read_file(path, MOST_PEM).await.map_err(|e| Failure::new(e.class, e.to_string()))?;
                let key = cx.secret(reference).await?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|_| cannot(format!("'{reference}' is no private key in PEM without a pass phrase")))?;
                builder
                    .with_client_auth_cert(certificates(&pem), key)
                    .map_err(|e| cannot(format!("{path}: it can't be used with its key: {e}")))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { config, name, verdict })
    }

    /// The protocol that is offered (RFC 7301).
    pub(crate) fn speaking(mut self, protocol: Option<&str>) -> Self {
        self.config.alpn_protocols = protocol.into_iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// A client, and where the verdict on the server's certificate will stand.
pub(crate) fn client(wanted: &Wanted) -> Result<(ClientConnection, Verdict), String> {
    let client = ClientConnection::new(Arc::new(wanted.config.clone()), wanted.name.clone());
    Ok((client.map_err(|e| format!("TLS can't be offered: {e}"))?, Arc::clone(&wanted.verdict)))
}

/// What was negotiated, once it is.
pub(crate) fn seen(client: &ClientConnection, verdict: &Verdict) -> Option<DatabaseTlsSeen> {
    let version = match client.protocol_version()? {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => return None,
    };
    let suite = client.negotiated_cipher_suite()?.suite().as_str().unwrap_or("unknown");
    let why = match verdict.lock().unwrap_or_else(PoisonError::into_inner).clone() {
        Some(Ok(())) => None,
        Some(Err(why)) => Some(why),
        None => Some("no certificate was seen".to_owned()),
    };
    Some(DatabaseTlsSeen {
        version: version.to_owned(),
        cipher: suite.replace("TLS13_", "TLS_"),
        verified: why.is_none(),
        why,
    })
}

/// Lets every certificate pass and writes down whether it holds. Signatures of the handshake must be right.
#[derive(Debug)]
struct Watching {
    real: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    verdict: Verdict,
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let held = match &self.real {
            None => Err("there are no authorities on this machine; name them with 'tls: { ca: FILE }'".to_owned()),
            Some(real) => real
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map(drop)
                .map_err(|e| e.to_string()),
        };
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
