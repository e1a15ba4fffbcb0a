//! What a server's configuration files declare, read from the files alone: one shape for nginx, Apache, HAProxy, Postfix
//! and Dovecot.

use std::path::Path;

use model::{Asked, Digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NotRead, Outcome};

/// A server whose configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConfigServer {
    /// nginx.
    Nginx,
    /// Apache httpd 2.4.
    Apache,
    /// HAProxy.
    Haproxy,
    /// Postfix.
    Postfix,
    /// Dovecot.
    Dovecot,
    /// OpenSSH's `sshd`.
    Openssh,
}

/// The configuration of a server, as an inventory declares it: exactly one of the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigTarget {
    /// Path of `nginx.conf`.
    #[serde(default)]
    pub nginx: Option<String>,
    /// Path of `apache2.conf` or `httpd.conf`.
    #[serde(default)]
    pub apache: Option<String>,
    /// Path of `haproxy.cfg`.
    #[serde(default)]
    pub haproxy: Option<String>,
    /// Path of the folder that holds `main.cf` and `master.cf`.
    #[serde(default)]
    pub postfix: Option<String>,
    /// Path of `dovecot.conf`.
    #[serde(default)]
    pub dovecot: Option<String>,
    /// Path of `sshd_config`.
    #[serde(default)]
    pub openssh: Option<String>,
    /// A folder that stands for `/`: the path above, and every absolute path in the files, is looked for below it.
    #[serde(default)]
    pub root: Option<String>,
    /// The version of the server that will read the files, such as `1.22.1`: it decides what holds where they are silent.
    #[serde(default)]
    pub version: Option<String>,
}

impl ConfigTarget {
    /// The same with its paths relative to a folder; with a `root`, only that one is.
    #[must_use]
    pub fn within(&self, folder: &Path) -> Self {
        let join = |path: &String| folder.join(path).display().to_string();
        let mut within = self.clone();
        if let Some(root) = &mut within.root {
            *root = join(root);
            return within;
        }
        let paths = [
            &mut within.nginx,
            &mut within.apache,
            &mut within.haproxy,
            &mut within.postfix,
            &mut within.dovecot,
            &mut within.openssh,
        ];
        for path in paths.into_iter().flatten() {
            *path = join(path);
        }
        within
    }

    /// What the probe is given.
    ///
    /// # Errors
    /// Where it does not name exactly one server, or a version that is none; the message says so.
    pub fn resolve(&self) -> Result<ConfigSpec, String> {
        let all = [
            (ConfigServer::Nginx, &self.nginx),
            (ConfigServer::Apache, &self.apache),
            (ConfigServer::Haproxy, &self.haproxy),
            (ConfigServer::Postfix, &self.postfix),
            (ConfigServer::Dovecot, &self.dovecot),
            (ConfigServer::Openssh, &self.openssh),
        ];
        let mut given = all.iter().filter_map(|(server, path)| Some((*server, (*path).clone()?)));
        let (Some((server, path)), None) = (given.next(), given.next()) else {
            return Err("a configuration is that of one server: one of 'nginx', 'apache', 'haproxy', 'postfix', \
                        'dovecot', 'openssh', with a path (others are not read; audit the running server with 'tls:' \
                        instead)"
                .to_owned());
        };
        let digits = |text: &String| text.starts_with(|c: char| c.is_ascii_digit()) && text.len() <= 40;
        if let Some(version) = self.version.as_ref().filter(|version| !digits(version)) {
            return Err(format!("'{version}' is no version; '1.22.1' is"));
        }
        Ok(ConfigSpec { server, path, root: self.root.clone(), version: self.version.clone() })
    }
}

impl ConfigSpec {
    /// The sort of target: OpenSSH's settings have facts of their own.
    #[must_use]
    pub const fn sort(&self) -> &'static str {
        match self.server {
            ConfigServer::Openssh => crate::config::openssh::SORT,
            _ => crate::config::SORT,
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn location(&self) -> String {
        match &self.root {
            Some(root) => format!("{} in {root}", self.path),
            None => self.path.clone(),
        }
    }
}

/// What the probe is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigSpec {
    /// Whose configuration.
    pub server: ConfigServer,
    /// Where it begins.
    pub path: String,
    /// The folder that stands for `/`; without one, the machine's own.
    pub root: Option<String>,
    /// The version of the server.
    pub version: Option<String>,
}

/// What the configuration of one server declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerConfigFacts {
    /// Whose configuration.
    pub server: ConfigServer,
    /// The version that the inventory names.
    pub version: Option<String>,
    /// The files lie where the server will look for them, not in a tree that stands for its machine.
    pub installed: bool,
    /// Where it begins.
    pub entry: String,
    /// `all`: everything was read and understood. Else nothing is said to be complete, and `not_proven` says why.
    pub asked: Asked,
    /// The files, in the order in which they were read.
    pub files: Vec<ConfigSource>,
    /// Places where clients are served.
    pub services: Vec<ConfigService>,
    /// Servers behind it, or that it sends to.
    pub upstreams: Vec<ConfigUpstream>,
    /// Files of private keys that it names.
    pub keys: Vec<ConfigPath>,
    /// Code that the configuration loads.
    pub modules: Vec<ConfigModule>,
    /// What could not be read or understood.
    pub not_proven: Vec<NotRead>,
}

/// A file of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigSource {
    /// Its path, from the root on.
    pub name: String,
    /// Present where read, absent where it does not exist and need not.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: Option<String>,
    /// SHA-256 of what was read.
    pub sha256: Option<Digest>,
    /// Bytes.
    pub bytes: u64,
    /// Permission bits, octal, such as `0644`.
    pub mode: Option<String>,
    /// `file:line` that includes it; null for the first.
    pub included_at: Option<String>,
}

/// How a service is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigEncryption {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, without which nothing is served.
    StarttlsRequired,
    /// STARTTLS, for those who ask for it.
    StarttlsOptional,
    /// None.
    None,
}

/// What a service speaks inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConfigProtocol {
    /// HTTP.
    Http,
    /// Bytes that the server does not look into.
    Tcp,
    /// SMTP between mail servers.
    Smtp,
    /// SMTP for users' programs (RFC 6409).
    Submission,
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// ManageSieve (RFC 5804).
    Sieve,
}

/// A place where clients are served: a server block, a virtual host, a `bind` line, a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigService {
    /// First name (or section) and first address.
    pub name: String,
    /// Present; not proven where it can't be told whether it holds, or how it is encrypted.
    pub outcome: Outcome,
    /// Why that is not proven.
    pub why: Option<String>,
    /// `file:line` of it.
    pub at: String,
    /// Names that it is known by.
    pub names: Vec<String>,
    /// Addresses and ports, as written.
    pub addresses: Vec<String>,
    /// All its addresses are loopback ones or Unix sockets.
    pub loopback: bool,
    /// What it speaks.
    pub speaks: ConfigProtocol,
    /// How it is encrypted.
    pub encryption: ConfigEncryption,
    /// Whether a client that asks over plain HTTP gets anything but the way to HTTPS.
    pub redirect: ConfigRedirect,
    /// Versions that it accepts, of `SSLv2`, `SSLv3`, `TLSv1.0` to `TLSv1.3`.
    pub protocols: ConfigSetting,
    /// Suites of TLS 1.2 and older.
    pub ciphers: ConfigCiphers,
    /// Suites of TLS 1.3.
    pub suites: ConfigSetting,
    /// Groups or curves of the key exchange.
    pub groups: ConfigSetting,
    /// Whether the server's order of suites counts: `on`, `off`.
    pub server_order: ConfigSetting,
    /// Session tickets: `on`, `off`.
    pub tickets: ConfigSetting,
    /// OCSP stapling: `on`, `off`.
    pub stapling: ConfigSetting,
    /// `Strict-Transport-Security` (RFC 6797).
    pub hsts: ConfigHsts,
    /// Whether a password is taken on a connection without encryption: `allowed`, `refused`, `none` where there is no log-in.
    pub plaintext_login: ConfigSetting,
    /// Certificate files that it names.
    pub certificates: Vec<ConfigPath>,
}

/// A setting of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigSetting {
    /// Present where it is written; absent where it is not and what then holds is documented; else not proven.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// `file:line` where it is written.
    pub at: Option<String>,
    /// As written.
    pub written: Option<String>,
    /// What it comes to.
    pub values: Vec<String>,
}

/// A cipher string (`openssl-ciphers(1)`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigCiphers {
    /// As in a setting.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// `file:line` where it is written.
    pub at: Option<String>,
    /// As written, or the documented default.
    pub written: Option<String>,
    /// `all`: every class below was looked for.
    pub asked: Asked,
    /// Classes of suites, and whether the string lets some of them in.
    pub classes: Vec<CipherClass>,
}

/// A class of cipher suites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CipherClass {
    /// OpenSSL's name of it: `aNULL`, `eNULL`, `EXPORT`, `RC4`, `RC2`, `DES`, `3DES`, `IDEA`, `SEED`, `MD5`, `kRSA`.
    pub name: String,
    /// Present: a word of the string lets one in. Absent: none does in any release of OpenSSL. Not proven: that depends on
    /// the release.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
}

/// `Strict-Transport-Security`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigHsts {
    /// Present where it is sent, absent where not.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// `file:line`.
    pub at: Option<String>,
    /// As written.
    pub written: Option<String>,
    /// Seconds; null where it has none.
    pub max_age: Option<u64>,
    /// `includeSubDomains`.
    pub include_subdomains: bool,
    /// Parts of the service (`file:line`) whose own headers take it away.
    pub missing_in: Vec<String>,
}

/// Whether a plain HTTP service only leads to HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRedirect {
    /// Present: every request outside of `except` is sent to HTTPS or refused. Absent: something is served.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// `file:line`.
    pub at: Option<String>,
    /// Paths that are served nonetheless.
    pub except: Vec<String>,
}

/// A server behind, or to which mail is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigUpstream {
    /// Where it is, without user and password.
    pub name: String,
    /// Present; not proven where it can't be told.
    pub outcome: Outcome,
    /// Why that is not proven.
    pub why: Option<String>,
    /// `file:line`.
    pub at: String,
    /// How the connection is encrypted.
    pub encryption: ConfigEncryption,
    /// Whether its certificate is verified: `on`, `off`.
    pub verify: ConfigSetting,
}

/// A file that a configuration names, and is looked at, never read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigPath {
    /// Its path.
    pub name: String,
    /// Whether it is there.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: Option<String>,
    /// `file:line` that names it.
    pub at: String,
    /// Permission bits, octal.
    pub mode: Option<String>,
    /// Owner's number.
    pub uid: Option<u32>,
    /// Everyone may read it, or somebody whom its access list (acl(5)) names.
    pub world_readable: Option<bool>,
    /// Others than its owner may write it, or to a folder on the way to it, and so replace it.
    pub others_write: Option<bool>,
}

/// A module that the server loads: code that runs in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigModule {
    /// Its path, as written.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// `file:line`.
    pub at: String,
}
