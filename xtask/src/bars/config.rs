//! Configuration files: nginx with 10,000 files that include each other.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Bar;
use super::measure::{median, probity, run};
use crate::shell::Scratch;

/// How often it is measured.
const RUNS: usize = 3;
/// Folders, each with one file that includes the others of it.
const FOLDERS: usize = 100;
/// Servers of a folder, each a file of its own; with the first file, and one of types, 10,000 are read.
const SERVERS: usize = 98;
/// What a folder's servers share is read once for each folder.
const FILES: usize = 2 + FOLDERS * (SERVERS + 1) + (FOLDERS - 2);

/// 10,000 files of nginx: includes with globs and without, relative and absolute.
pub(super) fn many(program: &Path) -> Result<Vec<Bar>> {
    let scratch = Scratch::new("bars-config")?;
    let write = |path: &str, text: &str| -> Result<()> {
        let path = scratch.path().join("etc/nginx").join(path);
        std::fs::create_dir_all(path.parent().context("no folder")?)?;
        std::fs::write(path, text).map_err(Into::into)
    };
    write(
        "nginx.conf",
        "user www-data;\nevents { worker_connections 1024; }\nhttp {\n  include mime.types;\n  ssl_protocols TLSv1.2 \
         TLSv1.3;\n  include sites/*/all.conf;\n}\n",
    )?;
    write("mime.types", "types {\n  text/html html htm;\n  image/png png;\n}\n")?;
    write("tls.conf", "ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;\nssl_session_tickets off;\n")?;
    for folder in 0..FOLDERS {
        // Two folders do without, so that the sum is 10,000.
        let shared = if folder < 2 { "" } else { "include /etc/nginx/tls.conf;\n" };
        let (all, pattern) = (format!("sites/{folder}/all.conf"), format!("include sites/{folder}/server-*.conf;\n"));
        write(&all, &pattern)?;
        for server in 0..SERVERS {
            let shared = if server == 0 { shared } else { "" };
            write(&format!("sites/{folder}/server-{server}.conf"), &site(folder, server, shared))?;
        }
    }
    let text = "service: bars\npolicy: [baseline]\ntargets:\n  - { name: it, config: { nginx: /etc/nginx/nginx.conf, root: ., \
                version: 1.22.1 } }\n";
    std::fs::write(scratch.path().join("probity.yaml"), text)?;
    let (mut seconds, mut peak, mut read) = (Vec::new(), 0.0_f64, (0, 0));
    for at in 0..RUNS {
        let pack = format!("pack{at}");
        let mut audit = probity(program, scratch.path());
        audit.args(["audit", "-c", "probity.yaml", "--out", &pack]);
        let done = run(&mut audit, &[0, 1, 3])?;
        seconds.push(done.seconds);
        peak = peak.max(done.peak_mb);
        read = found(&scratch.path().join(pack))?;
    }
    let wanted = (FILES, FOLDERS * SERVERS);
    Ok(vec![
        Bar::under("10,000 files of nginx: read, judged, signed", median(seconds), 5.0, "s"),
        Bar::under("memory for them", peak, 500.0, "MB"),
        Bar::new("files and servers that were read", format!("{read:?}"), format!("{wanted:?}"), read == wanted),
    ])
}

/// One server of a usual size.
fn site(folder: usize, server: usize, shared: &str) -> String {
    let name = format!("s{server}.f{folder}.example.org");
    format!(
        "# {name}\nserver {{\n  listen 443 ssl;\n  server_name {name} www.{name};\n  {shared}  ssl_certificate \
         /etc/ssl/{name}.pem;\n  ssl_certificate_key /etc/ssl/private/{name}.key;\n  add_header Strict-Transport-Security \
         \"max-age=63072000\" always;\n  location / {{\n    proxy_pass http://127.0.0.1:{};\n    proxy_set_header Host \
         $host;\n  }}\n  location /static {{ root /srv/{name}; }}\n}}\n",
        8000 + server
    )
}

/// Files and services in the evidence of a pack.
fn found(pack: &Path) -> Result<(usize, usize)> {
    for entry in std::fs::read_dir(pack.join("evidence"))? {
        let evidence: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        if evidence.get("kind").is_some_and(|kind| kind == "server-config") {
            let count = |list: &str| evidence.pointer(list).and_then(Value::as_array).map(Vec::len).context("no list");
            return Ok((count("/facts/files")?, count("/facts/services")?));
        }
    }
    anyhow::bail!("no evidence of the kind server-config")
}
