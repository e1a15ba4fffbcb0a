//! Which key signs, and whom this user trusts.

use std::path::{Path, PathBuf};

use audit::Error;
use audit::inventory::Inventory;
use audit::keys::{self, Named, Signer};

/// The key for a pack: the command line's, the inventory's, or the user's own, which is made on first use but never in CI.
pub(crate) async fn signer(
    key: Option<&Path>,
    inventory: Option<&Inventory>,
    folder: &Path,
    allow_commands: bool,
) -> Result<Signer, Error> {
    if let Some(path) = key {
        return of_file(path);
    }
    if let Some(reference) = inventory.and_then(|i| i.sign_key.as_deref()) {
        return of_reference(reference, folder, allow_commands).await;
    }
    if audit::run::in_ci() {
        return Ok(Signer::Nobody("no key was given, and none is made in CI; give one with --key".to_owned()));
    }
    let Some(dir) = keys::state_dir() else {
        return Ok(Signer::Nobody("no home folder to keep a key in; give one with --key".to_owned()));
    };
    match keys::own_key(&dir) {
        Ok(key) => Ok(Signer::Key { key: Box::new(key), label: keys::OWN.to_owned(), self_made: true }),
        // A key that is there but can't be used is a mistake to mend; a folder that can't be made is a fact of the place.
        Err(e) if dir.join("key.pem").exists() => Err(e),
        Err(e) => Ok(Signer::Nobody(format!("no key could be made: {e}"))),
    }
}

fn of_file(path: &Path) -> Result<Signer, Error> {
    let label = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    Ok(Signer::Key { key: Box::new(keys::read_key(path)?), label, self_made: false })
}

/// The key that a reference stands for. It is called by the file's, the variable's or the program's name.
async fn of_reference(reference: &str, folder: &Path, allow_commands: bool) -> Result<Signer, Error> {
    let label = match reference.split_once(':') {
        Some(("file", path)) => return of_file(&folder.join(path)),
        Some(("cmd", words)) => words.split_whitespace().next().unwrap_or_default(),
        Some((_, name)) => name,
        None => "",
    };
    let pem = probe::secret(reference, allow_commands).await;
    let pem = pem.map_err(|f| Error::Config(format!("sign.key: {}", f.message)))?;
    let fail = |why: String| Error::Key { path: reference.to_owned(), why };
    let key = attest::SigningKey::from_pem(&pem).map_err(|e| fail(e.to_string()))?;
    Ok(Signer::Key { key: Box::new(key), label: label.to_owned(), self_made: false })
}

/// Everybody whose packs are believed: keys named on the command line and by an inventory, and the user's own.
pub(crate) fn trusted(named: &[PathBuf], inventory: Option<(&Inventory, &Path)>) -> Result<Vec<Named>, Error> {
    let mut found = named.iter().map(|path| keys::read_public(path)).collect::<Result<Vec<_>, _>>()?;
    if let Some((inventory, folder)) = inventory {
        for path in &inventory.signers {
            found.push(keys::read_public(&folder.join(path))?);
        }
    }
    if let Some(dir) = keys::state_dir() {
        found.extend(keys::trusted(&dir)?);
    }
    Ok(found)
}
