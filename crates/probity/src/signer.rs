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

/// Secrets are references: `file:PATH`, `env:NAME`, `cmd:…`.
async fn of_reference(reference: &str, folder: &Path, allow_commands: bool) -> Result<Signer, Error> {
    match reference.split_once(':') {
        Some(("file", path)) => of_file(&folder.join(path)),
        Some(("env", name)) => {
            let fail = |why: String| Error::Key { path: reference.to_owned(), why };
            let pem = std::env::var(name).map_err(|_| fail(format!("the variable {name} is not set")))?;
            let key = attest::SigningKey::from_pem(&pem).map_err(|e| fail(e.to_string()))?;
            Ok(Signer::Key { key: Box::new(key), label: name.to_owned(), self_made: false })
        }
        Some(("cmd", _)) if !allow_commands => Err(Error::Config(format!(
            "sign.key: '{reference}' is a command; the command line must allow it with --allow-commands"
        ))),
        Some(("cmd", words)) => of_command(reference, words).await,
        _ => Err(Error::Config(format!(
            "sign.key: '{reference}' is no reference; file:PATH, env:NAME or cmd:PROGRAM ARGUMENTS is wanted"
        ))),
    }
}

/// Runs a program, without a shell and under bounds, and reads the key from what it says.
async fn of_command(reference: &str, words: &str) -> Result<Signer, Error> {
    let fail = |why: String| Error::Key { path: reference.to_owned(), why };
    let argv: Vec<&str> = words.split_whitespace().collect();
    let output = probe::Command::new(&argv).run_for_secret().await.map_err(|f| fail(f.message))?;
    let pem = std::str::from_utf8(&output.stdout).map_err(|_| fail("it gave no PEM text".into()))?;
    let key = attest::SigningKey::from_pem(pem).map_err(|e| fail(e.to_string()))?;
    let label = argv.first().map_or_else(String::new, |program| (*program).to_owned());
    Ok(Signer::Key { key: Box::new(key), label, self_made: false })
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
