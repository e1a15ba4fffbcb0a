//! The public half that lies beside an encrypted private key: `id_rsa.pub`, or the certificate of the same name. That the
//! two belong together is the names' word alone.

use probe::Cx;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate::is_certificate;
use super::private::{Public, of_spki};
use super::{openssh, pem};
use crate::authorized_keys::blob;
use crate::root::Root;

/// Bytes of a file that is looked into.
const MOST_BYTES: usize = 1 << 20;
/// Endings of certificates.
const ENDINGS: [&str; 4] = ["crt", "pem", "cer", "cert"];

/// The public half of the only key in the file at `path`, as far as it can be told from its neighbours; with the
/// neighbour's path.
pub(super) async fn public(cx: &Cx, root: &Root, path: &str) -> Option<(String, Public)> {
    for neighbour in neighbours(path) {
        if let Ok(bytes) = cx.read_secret_file(root.path(&neighbour), MOST_BYTES).await
            && let Some(public) = read(&bytes)
        {
            return Some((neighbour, public));
        }
    }
    None
}

/// Where public halves are put, the likeliest first. The file itself may hold a certificate as well.
fn neighbours(path: &str) -> Vec<String> {
    let mut paths = vec![format!("{path}.pub"), path.to_owned(), format!("{path}.crt")];
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    if let Some((stem, _)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
        let folder = path.strip_suffix(name).unwrap_or_default();
        paths.extend(ENDINGS.iter().chain(&["pub"]).map(|ending| format!("{folder}{stem}.{ending}")));
    }
    let mut seen = Vec::new();
    paths.retain(|path| {
        !seen.contains(path) && {
            seen.push(path.clone());
            true
        }
    });
    paths
}

/// The first public key or certificate in a file: a line of SSH, PEM or DER.
fn read(bytes: &[u8]) -> Option<Public> {
    let block = pem::blocks(bytes, |label| label == "PUBLIC KEY" || is_certificate(label)).into_iter().next();
    if let Some(block) = block {
        let content = block.content?;
        return if block.label == "PUBLIC KEY" { of_spki(&content) } else { of_certificate(&content) };
    }
    if bytes.first() == Some(&0x30) {
        return of_certificate(bytes).or_else(|| of_spki(bytes));
    }
    openssh::of_blob(&blob(std::str::from_utf8(bytes).ok()?.lines().next()?)?)
}

fn of_certificate(bytes: &[u8]) -> Option<Public> {
    let (_, certificate) = X509Certificate::from_der(bytes).ok()?;
    of_spki(certificate.public_key().raw)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_tell_what_belongs_together() {
        assert_eq!(neighbours("/a.b/id_rsa"), ["/a.b/id_rsa.pub", "/a.b/id_rsa", "/a.b/id_rsa.crt"]);
        assert_eq!(
            neighbours("/etc/x.pem"),
            ["/etc/x.pem.pub", "/etc/x.pem", "/etc/x.pem.crt", "/etc/x.crt", "/etc/x.cer", "/etc/x.cert", "/etc/x.pub"]
        );
        assert_eq!(neighbours("/.key").len(), 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(bytes: Vec<u8>) {
            prop_assert_eq!(read(&bytes), None);
        }

        #[test]
        fn a_damaged_certificate_is_borne(at in 0usize..2000, to: u8) {
            let mut bytes = include_bytes!("../../tests/fixtures/certificate.der").to_vec();
            prop_assert!(read(&bytes).is_some_and(|public| public.spki.is_some()));
            let at = at % bytes.len();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            read(&bytes);
        }
    }
}
