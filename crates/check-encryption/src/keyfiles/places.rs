//! Where keys are usually kept, and which files the configuration of a server names.

/// Which certificates of a place are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certificates {
    /// All of them.
    All,
    /// Those whose key was found: the place is full of others. Symbolic links in it are not followed, for the same
    /// reason.
    Matching,
    /// Those that a link from elsewhere leads to: old ones are kept there too.
    Linked,
}

/// A place to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) path: String,
    /// Folders below it that are looked into.
    pub(super) depth: usize,
    /// Only files whose name says that they are keys or certificates, and no deeper folders: the rest are data.
    pub(super) by_name: bool,
    pub(super) certificates: Certificates,
}

impl Spot {
    fn new(path: &str, certificates: Certificates) -> Self {
        Self { path: path.to_owned(), depth: 8, by_name: false, certificates }
    }

    /// A file or folder that the inventory names.
    pub(super) fn declared(path: &str) -> Self {
        Self::new(path, Certificates::All)
    }

    /// A file or folder that a configuration names.
    pub(super) fn named(path: String) -> Self {
        Self { path, depth: 2, by_name: false, certificates: Certificates::All }
    }
}

/// The usual places, of Debian, Fedora, Alpine and their kin.
pub(super) fn usual() -> Vec<Spot> {
    const PLACES: [&str; 14] = [
        "/etc/ssl/private",
        "/etc/pki/tls/private",
        "/etc/letsencrypt/live",
        "/etc/nginx",
        "/etc/apache2",
        "/etc/httpd",
        "/etc/haproxy",
        "/etc/caddy",
        "/etc/postfix",
        "/etc/dovecot",
        "/etc/exim4",
        "/etc/stunnel",
        "/etc/ssh",
        "/root/.ssh",
    ];
    let mut spots: Vec<Spot> = PLACES.iter().map(|path| Spot::new(path, Certificates::All)).collect();
    spots.push(Spot::new("/etc/letsencrypt/archive", Certificates::Linked));
    spots.extend(["/etc/ssl/certs", "/etc/pki/tls/certs"].map(|path| Spot::new(path, Certificates::Matching)));
    // …/15/main, and Fedora's …/data: beside the database itself.
    let data = |path: &str, depth| Spot { depth, by_name: true, ..Spot::new(path, Certificates::All) };
    spots.extend([data("/var/lib/postgresql", 2), data("/var/lib/pgsql", 2), data("/var/lib/mysql", 0)]);
    spots
}

/// Whether a name says that the file is a key or a certificate.
pub(super) fn by_name(name: &str) -> bool {
    const ENDINGS: [&str; 14] =
        ["key", "pem", "crt", "cer", "cert", "der", "p8", "p12", "pfx", "jwk", "jwks", "age", "asc", "gpg"];
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// Absolute paths of keys and certificates that a configuration names: nginx, Apache, HAProxy, Postfix, Dovecot, stunnel.
pub(super) fn named(text: &str) -> Vec<String> {
    const KEYWORDS: [&str; 14] = [
        "ssl_certificate_key",
        "ssl_certificate",
        "sslcertificatekeyfile",
        "sslcertificatefile",
        "smtpd_tls_key_file",
        "smtpd_tls_cert_file",
        "smtpd_tls_chain_files",
        "ssl_key",
        "ssl_cert",
        "ssl_server_key_file",
        "ssl_server_cert_file",
        "key",
        "cert",
        "crt",
    ];
    let mut paths = Vec::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split(|c: char| c.is_whitespace() || c == '=' || c == ',').filter(|word| !word.is_empty());
        let first = words.next().map(str::to_ascii_lowercase).unwrap_or_default();
        if KEYWORDS.contains(&first.as_str()) {
            paths.extend(words.take(8).filter_map(path));
        } else if matches!(first.as_str(), "bind" | "server" | "default-server") {
            // HAProxy: bind :443 ssl crt /etc/haproxy/site.pem
            while let Some(word) = words.next() {
                if word == "crt" {
                    paths.extend(words.next().and_then(path));
                }
            }
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

/// An absolute path without variables, quotes and punctuation taken off.
fn path(word: &str) -> Option<String> {
    let word = word.trim_start_matches('<').trim_end_matches(';').trim_matches(['"', '\'']);
    let plain = word.starts_with('/') && word.len() > 1 && !word.contains(['$', '%', '*', '{', '\0']);
    plain.then(|| word.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_found_in_configurations() {
        let text = "
            # ssl_certificate_key /commented;
            ssl_certificate_key \"/srv/a.key\";
            ssl_certificate_key /srv/$host.key;
            SSLCertificateFile /srv/b.crt
            ssl_key = </srv/c.key
            smtpd_tls_chain_files = /srv/d.key, /srv/d.crt
            bind :443 ssl crt /srv/haproxy/ alpn h2
            keyserver /srv/not
            key relative.pem";
        assert_eq!(named(text), ["/srv/a.key", "/srv/b.crt", "/srv/c.key", "/srv/d.crt", "/srv/d.key", "/srv/haproxy"]);
    }

    #[test]
    fn names_tell() {
        assert!(by_name("server.key") && by_name("a.b.PEM"));
        assert!(!by_name("key") && !by_name("pg_hba.conf"));
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "((ssl_key|bind|crt) \\PC{0,30}\n){0,9}") {
            named(&text);
        }
    }
}
