//! Everything that must hold before a change is merged.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::shell::{Steps, build_probity, command, installed, run, target_dir, works};
use crate::{docs, tidy};

/// What the tests need from Debian: the program that shows that it is there, and the package that brings it.
///
/// Without one of them its tests fail; nothing is skipped in silence.
const PACKAGES: [(&str, &str); 32] = [
    ("nginx", "nginx"),
    ("apache2", "apache2-bin"),
    ("haproxy", "haproxy"),
    ("openssl", "openssl"),
    ("sshd", "openssh-server"),
    ("dropbear", "dropbear-bin"),
    ("ssh-audit", "ssh-audit"),
    ("stunnel4", "stunnel4"),
    ("gnutls-cli", "gnutls-bin"),
    ("cryptsetup", "cryptsetup-bin"),
    ("xmllint", "libxml2-utils"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("python3", "python3-venv"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("age", "age"),
    ("gpg", "gnupg"),
    ("jose", "jose"),
    ("/usr/lib/x86_64-linux-gnu/libsodium.so.23", "libsodium23"),
    ("sqlite3", "sqlite3"),
    ("curl", "curl"),
    ("restic", "restic"),
    ("borg", "borgbackup"),
    ("pgbackrest", "pgbackrest"),
    ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15"),
    ("mariadbd", "mariadb-server"),
    ("mariabackup", "mariadb-backup"),
    ("redis-server", "redis-server"),
    ("faketime", "faketime"),
    ("postconf", "postfix"),
    ("doveconf", "dovecot-imapd"),
];

/// Runs every step; the first failure ends it.
///
/// # Errors
/// The first step that fails, by name.
pub(crate) fn run_all() -> Result<()> {
    let mut steps = Steps::default();
    let target = target_dir()?;
    steps.step("Debian packages", debian_packages)?;
    steps.step("cargo tools", || cargo_tools(&target.join("tools")))?;
    let third_party = steps.step("third-party verifiers", || third_party(&target.join("third-party")))?;
    steps.step("format", || run(&mut command(&["cargo", "fmt", "--all", "--check"])))?;
    steps.step("tidy", tidy::run)?;
    steps.step("clippy", || {
        run(&mut command(&[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    steps.step("licences and sources", || licences(&target.join("tools")))?;
    let probity = steps.step("build", || build_probity(false))?;
    steps.step("tests", || {
        let words: &[&str] = if works(&["cargo", "nextest", "--version"]) {
            &["cargo", "nextest", "run", "--workspace", "--all-features", "--no-fail-fast"]
        } else {
            &[
                "cargo",
                "test",
                "--workspace",
                "--all-features",
                "--lib",
                "--bins",
                "--tests",
                "--examples",
                "--no-fail-fast",
            ]
        };
        run(command(words).env("PROBITY_BIN", &probity).env("PROBITY_THIRD_PARTY", &third_party))
    })?;
    steps.step("examples in the documentation", || {
        run(&mut command(&["cargo", "test", "--workspace", "--all-features", "--doc"]))
    })?;
    let probity = probity.to_string_lossy().into_owned();
    steps.step("policy lint", || run(&mut command(&[&probity, "policy", "lint"])))?;
    steps.step("policy test", || run(&mut command(&[&probity, "policy", "test"])))?;
    steps.step("generated pages", || docs::pages(true))?;
    steps.step("samples of reports", || docs::samples(true))?;
    steps.step("generated schemas", || docs::schemas(true))?;
    steps.summary();
    Ok(())
}

/// Installs the missing ones where we may.
fn debian_packages() -> Result<()> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(program, _)| !found(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        println!("all there");
        return Ok(());
    }
    let root = works(&["sh", "-c", "test \"$(id -u)\" = 0"]);
    if !root || !installed("apt-get") {
        bail!("these packages are missing: {0}; as root: apt-get install {0}", missing.join(" "));
    }
    let _no_services = NoServices::decree()?;
    let apt = |words: &[&str]| run(command(words).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1"));
    apt(&["apt-get", "update", "-qq"])?;
    let mut install = vec!["apt-get", "install", "-qq", "--yes", "--no-install-recommends"];
    install.extend(&missing);
    apt(&install)
}

/// Keeps Debian from starting the servers that it installs: the tests start their own.
///
/// Packages ask `/usr/sbin/policy-rc.d` (Debian Policy, section 9.3.3.1), also where systemd starts services. One that
/// is there already stays as it is, and decides; ours is taken away again. Where neither asks, run level 1 helps.
struct NoServices {
    ours: bool,
}

impl NoServices {
    const FILE: &str = "/usr/sbin/policy-rc.d";

    fn decree() -> Result<Self> {
        let ours = !Path::new(Self::FILE).exists();
        if ours {
            std::fs::write(Self::FILE, "#!/bin/sh\nexit 101\n")?;
            std::fs::set_permissions(Self::FILE, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours && std::fs::remove_file(Self::FILE).is_err() {
            println!("WARNING: {} is ours and can't be removed: no service of a package starts", Self::FILE);
        }
    }
}

/// Whether a program is there; servers are often in `sbin`, which is not in everyone's `PATH`.
fn found(program: &str) -> bool {
    installed(program) || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(program).is_file())
}

/// The tools beside cargo: formatter and linter always, nextest and cargo-deny on a machine that is there for this.
fn cargo_tools(tools: &Path) -> Result<()> {
    for (component, probe) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !works(&["cargo", probe, "--version"]) {
            run(&mut command(&["rustup", "component", "add", component]))?;
        }
    }
    if !works(&["cargo", "deny", "--version"]) && !deny_in(tools).is_file() {
        if in_ci() {
            // Unoptimised: it builds in a third of the time and runs for a second.
            let root = tools.to_string_lossy().into_owned();
            let install = ["cargo", "install", "--quiet", "--locked", "--debug", "--root", &root, "cargo-deny"];
            if let Err(error) = run(&mut command(&install)) {
                println!("WARNING: {error:#}");
            }
        } else {
            println!("cargo-deny is not installed: `cargo install --locked cargo-deny`");
        }
    }
    if !works(&["cargo", "nextest", "--version"]) {
        println!("cargo-nextest is not installed: the tests run with `cargo test`");
    }
    Ok(())
}

fn deny_in(tools: &Path) -> PathBuf {
    tools.join("bin").join("cargo-deny")
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Other people's verifiers of our bundles, into a folder of the build.
fn third_party(folder: &Path) -> Result<PathBuf> {
    let script = "crates/attest/tests/third_party/install.sh";
    run(command(&["sh", script]).arg(folder))?;
    Ok(folder.to_path_buf())
}

/// Licences, banned crates and sources of the dependencies.
fn licences(tools: &Path) -> Result<()> {
    let own = deny_in(tools).to_string_lossy().into_owned();
    let check = ["check", "licenses", "bans", "sources"];
    if works(&["cargo", "deny", "--version"]) {
        return run(command(&["cargo", "deny"]).args(check));
    }
    if deny_in(tools).is_file() {
        return run(command(&[&own]).args(check));
    }
    println!("NOT CHECKED: licences, bans and sources of the dependencies: cargo-deny is not here and could not");
    println!("NOT CHECKED: be installed. Run `cargo install --locked cargo-deny`, then `cargo deny check` by hand.");
    Ok(())
}
