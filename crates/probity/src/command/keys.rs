//! `probity keys`.

use attest::Algorithm;
use audit::{Error, keys as store};

use crate::arguments::{AlgorithmArg, KeysCommand};
use crate::exit::Exit;
use crate::output;

pub(crate) fn keys(command: KeysCommand) -> Result<Exit, Error> {
    match command {
        KeysCommand::New { name, dir, algorithm } => {
            let algorithm = match algorithm {
                AlgorithmArg::EcdsaP256 => Algorithm::EcdsaP256,
                AlgorithmArg::Ed25519 => Algorithm::Ed25519,
            };
            let path = store::write_key(&dir, &name, algorithm)?;
            let public = path.with_extension("pub");
            let fingerprint = store::read_public(&public)?.key.fingerprint();
            output::stdout(
                format!(
                    "private key  {} (keep it secret, mode 0600)\npublic key   {} (give it to whoever verifies)\nfingerprint  {fingerprint}\n",
                    path.display(),
                    public.display()
                )
                .as_bytes(),
            )?;
        }
        KeysCommand::Show => {
            let dir = state_dir()?;
            let own = dir.join("key.pub");
            let mut text = match own.exists() {
                true => format!("your own   {}  {}\n", store::read_public(&own)?.key.fingerprint(), own.display()),
                false => format!("your own   none yet; the first audit makes {}\n", dir.join("key.pem").display()),
            };
            for named in store::trusted(&dir)?.iter().filter(|n| !n.self_made) {
                text.push_str(&format!("trusted    {}  {}\n", named.key.fingerprint(), named.label));
            }
            output::stdout(text.as_bytes())?;
        }
        KeysCommand::Trust { file, name } => {
            let named = store::trust(&state_dir()?, &file, name.as_deref())?;
            output::stdout(format!("trusted from now on: {}  {}\n", named.key.fingerprint(), named.label).as_bytes())?;
        }
    }
    Ok(Exit::Passed)
}

fn state_dir() -> Result<std::path::PathBuf, Error> {
    store::state_dir().ok_or_else(|| Error::Config("no home folder to keep keys in; set XDG_STATE_HOME".into()))
}
