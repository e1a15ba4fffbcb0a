//! Where this user's key and the keys that they trust are kept.
//!
//! The folder is `$XDG_STATE_HOME/probity`, else `/var/lib/probity` for root, else `~/.local/state/probity`.
//! `key.pem` in it is the user's own key (mode 0600, made on first use, never overwritten), `key.pub` its public half,
//! and `trusted/*.pub` are the keys added by `probity keys trust`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use attest::{Algorithm, PublicKey, SigningKey};

use crate::Error;

/// A public key and what it is called.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name: the file's name without its ending.
    pub label: String,
    /// The key.
    pub key: PublicKey,
    /// This user's own, made on first use; nobody else vouches for it.
    pub self_made: bool,
}

/// What this user's own key is called in reports.
pub const OWN: &str = "your own key";

/// How a pack gets its signature.
pub enum Signer {
    /// By this key.
    Key {
        /// The key itself.
        key: Box<SigningKey>,
        /// Its name, for reports.
        label: String,
        /// Made by Probity on first use; nobody else vouches for it.
        self_made: bool,
    },
    /// Not at all, and why.
    Nobody(String),
}

impl Signer {
    /// The public half of the key.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        match self {
            Self::Key { key, .. } => Some(key.public().clone()),
            Self::Nobody(_) => None,
        }
    }
}

/// The folder for keys of the user who runs this. `None` where no home is known.
#[must_use]
pub fn state_dir() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(state) = of("XDG_STATE_HOME").filter(|p| p.is_absolute()) {
        return Some(state.join("probity"));
    }
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/probity"));
    }
    of("HOME").map(|home| home.join(".local/state/probity"))
}

/// The user's own key, made now where there is none.
///
/// # Errors
/// Where it can't be made, written or read. An existing file is never overwritten.
pub fn own_key(dir: &Path) -> Result<SigningKey, Error> {
    let path = dir.join("key.pem");
    if !path.exists() {
        let made = write_key(dir, "key", Algorithm::EcdsaP256);
        // Another run may have made it a moment ago: then that one is used.
        if let Err(e) = made
            && !path.exists()
        {
            return Err(e);
        }
    }
    read_key(&path)
}

/// Makes a key pair `<name>.pem`, `<name>.pub` in a folder.
///
/// # Errors
/// Where a file of that name exists or can't be written.
pub fn write_key(dir: &Path, name: &str, algorithm: Algorithm) -> Result<PathBuf, Error> {
    let key = SigningKey::generate(algorithm).map_err(|e| Error::Key { path: name.into(), why: e.to_string() })?;
    let pem = key.to_pem().map_err(|e| Error::Key { path: name.into(), why: e.to_string() })?;
    fs::DirBuilder::new()
        .recursive(true)
        // Others may pass, not look: the key is its owner's alone, and drills find their scratch folder below.
        .mode(0o711)
        .create(dir)
        .map_err(|e| Error::Key { path: dir.display().to_string(), why: format!("can't make the folder: {e}") })?;
    let path = dir.join(format!("{name}.pem"));
    let create = |path: &Path, mode: u32, bytes: &[u8]| {
        let fail =
            |e: std::io::Error| Error::Key { path: path.display().to_string(), why: format!("can't write: {e}") };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(fail)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)
    };
    create(&path, 0o600, pem.as_bytes())?;
    create(&dir.join(format!("{name}.pub")), 0o644, key.public().to_pem().as_bytes())?;
    Ok(path)
}

/// Reads a private key.
///
/// # Errors
/// Where it can't be read or is no key that we sign with.
pub fn read_key(path: &Path) -> Result<SigningKey, Error> {
    let fail = |why: String| Error::Key { path: path.display().to_string(), why };
    let bytes = zeroize::Zeroizing::new(bounded(path).map_err(fail)?);
    let pem = std::str::from_utf8(&bytes).map_err(|_| fail("not a PEM file".into()))?;
    SigningKey::from_pem(pem).map_err(|e| fail(e.to_string()))
}

/// Reads a public key; its label is the file's name without its ending.
///
/// # Errors
/// Where it can't be read or is no key that we know.
pub fn read_public(path: &Path) -> Result<Named, Error> {
    let fail = |why: String| Error::Key { path: path.display().to_string(), why };
    let bytes = bounded(path).map_err(fail)?;
    let pem = std::str::from_utf8(&bytes).map_err(|_| fail("not a PEM file".into()))?;
    let key = PublicKey::from_pem(pem).map_err(|e| fail(e.to_string()))?;
    let label = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    Ok(Named { label, key, self_made: false })
}

/// The keys that this user trusts without being told: their own, and those added by `probity keys trust`.
///
/// # Errors
/// Where a file is there but can't be read as a key.
pub fn trusted(dir: &Path) -> Result<Vec<Named>, Error> {
    let mut found = Vec::new();
    let own = dir.join("key.pub");
    if own.exists() {
        found.push(Named { label: OWN.to_owned(), self_made: true, ..read_public(&own)? });
    }
    let folder = dir.join("trusted");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(found) };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "pub")) {
        found.push(read_public(path)?);
    }
    Ok(found)
}

/// Adds a public key to those that this user trusts.
///
/// # Errors
/// Where the file is no key, the label is in use for another key, or it can't be written.
pub fn trust(dir: &Path, from: &Path, label: Option<&str>) -> Result<Named, Error> {
    let mut named = read_public(from)?;
    if let Some(label) = label {
        label.clone_into(&mut named.label);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if named.label.is_empty() || !named.label.chars().all(plain) || named.label.starts_with('.') {
        return Err(Error::Key {
            path: from.display().to_string(),
            why: format!("'{}' is no good name for a key; give one of letters, digits, - _ . with --name", named.label),
        });
    }
    let to = dir.join("trusted").join(format!("{}.pub", named.label));
    if to.exists() && read_public(&to)?.key != named.key {
        return Err(Error::Key {
            path: to.display().to_string(),
            why: "another key of that name is trusted already; give a name with --name".into(),
        });
    }
    let fail = |e: std::io::Error| Error::Key { path: to.display().to_string(), why: format!("can't write: {e}") };
    fs::create_dir_all(dir.join("trusted")).map_err(fail)?;
    fs::write(&to, named.key.to_pem()).map_err(fail)?;
    Ok(named)
}

/// A key file is small; a device or a log file given by mistake is not read to its end.
fn bounded(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let metadata = fs::metadata(path).map_err(|e| format!("can't be read: {e}"))?;
    if !metadata.is_file() {
        return Err("not a regular file".into());
    }
    let file = fs::File::open(path).map_err(|e| format!("can't be read: {e}"))?;
    let mut bytes = Vec::new();
    file.take(64 * 1024).read_to_end(&mut bytes).map_err(|e| format!("can't be read: {e}"))?;
    Ok(bytes)
}
