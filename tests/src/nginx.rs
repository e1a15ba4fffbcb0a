//! nginx with the TLS settings of a test.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use crate::authority::Identity;
use crate::process::{Server, program};

/// The TLS settings of an nginx, in nginx's own words.
#[derive(Clone, Debug)]
pub struct NginxTls {
    /// `ssl_protocols`.
    pub protocols: &'static str,
    /// `ssl_ciphers`, for TLS 1.2 and older.
    pub ciphers: &'static str,
    /// `ssl_conf_command Ciphersuites`, for TLS 1.3; empty for OpenSSL's own list.
    pub ciphersuites: &'static str,
    /// `ssl_ecdh_curve`.
    pub curves: &'static str,
    /// `ssl_prefer_server_ciphers`.
    pub prefer_server: bool,
    /// Any other directives of the server block.
    pub more: String,
}

impl NginxTls {
    /// Mozilla's "intermediate" recommendation (<https://ssl-config.mozilla.org>).
    #[must_use]
    pub fn intermediate() -> Self {
        Self {
            protocols: "TLSv1.2 TLSv1.3",
            ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
                      ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
            ciphersuites: "",
            curves: "X25519:prime256v1:secp384r1",
            prefer_server: false,
            more: "add_header Strict-Transport-Security \"max-age=63072000\" always;".to_owned(),
        }
    }
}

/// A running nginx, one process.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
    _folder: TempDir,
}

impl Nginx {
    /// Starts it on 127.0.0.1.
    ///
    /// # Errors
    /// When nginx is missing or does not take the settings.
    pub fn start(tls: &NginxTls, identities: &[&Identity]) -> Result<Self> {
        Self::listening("127.0.0.1", tls, identities)
    }

    /// Starts it on every address of this machine, so that all of 127.0.0.0/8 leads to it.
    ///
    /// # Errors
    /// As [`Nginx::start`].
    pub fn everywhere(tls: &NginxTls, identities: &[&Identity]) -> Result<Self> {
        Self::listening("0.0.0.0", tls, identities)
    }

    fn listening(on: &str, tls: &NginxTls, identities: &[&Identity]) -> Result<Self> {
        let folder = TempDir::new()?;
        let here = folder.path();
        let nginx = program("nginx")?;
        let server = Server::start(&here.join("log"), |port| {
            let file = here.join("nginx.conf");
            std::fs::write(&file, config(here, &format!("{on}:{port}"), tls, identities))?;
            let mut command = Command::new(&nginx);
            command.arg("-p").arg(here).arg("-c").arg(file).args(["-e", "stderr"]);
            Ok(command)
        })?;
        Ok(Self { server, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }
}

fn config(here: &Path, listen: &str, tls: &NginxTls, identities: &[&Identity]) -> String {
    let here = here.display();
    let prefer = if tls.prefer_server { "on" } else { "off" };
    let suites = match tls.ciphersuites {
        "" => String::new(),
        suites => format!("ssl_conf_command Ciphersuites {suites};"),
    };
    let pairs: String = identities
        .iter()
        .map(|i| format!("ssl_certificate {};\nssl_certificate_key {};\n", i.chain.display(), i.key.display()))
        .collect();
    // One process, so that killing it leaves nothing behind.
    format!(
        "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log stderr warn;\n\
         worker_rlimit_nofile 8192;\nevents {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {here}/b; proxy_temp_path {here}/p; fastcgi_temp_path {here}/f;\n\
         uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;\n\
         server {{\nlisten {listen} ssl backlog=4096;\nserver_name localhost;\n{pairs}\
         ssl_protocols {};\nssl_ciphers {};\nssl_ecdh_curve {};\nssl_prefer_server_ciphers {prefer};\n{suites}\n{}\n\
         location / {{ return 200 \"hello\\n\"; }}\n}}\n}}\n",
        tls.protocols, tls.ciphers, tls.curves, tls.more
    )
}
