//! Secrets are references, resolved at the last moment: `env:NAME`, `file:PATH`, `cmd:PROGRAM ARGUMENTS`.

use std::path::Path;
use std::time::Duration;

use model::{Failure, FailureClass};
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use crate::command::Command;
use crate::cx::Cx;

/// Most bytes of a secret: a key or a pass phrase, never a log file given by mistake.
const MOST: usize = 64 * 1024;

/// How long a command may take to give a secret.
const PATIENCE: Duration = Duration::from_secs(20);

impl Cx {
    /// What a reference stands for, one newline at its end cut off. It is never recorded, and it is redacted from
    /// every command that this probe runs afterwards, and from the message of its failure.
    ///
    /// # Errors
    /// As [`secret`]; a `cmd:` reference also where the command line does not allow commands.
    pub async fn secret(&self, reference: &str) -> Result<Zeroizing<String>, Failure> {
        let within = PATIENCE.min(self.remaining());
        let secret = resolve(reference, self.allow_commands(), within).await?;
        self.recorder.secret(&secret);
        Ok(secret)
    }
}

/// What a reference stands for, one newline at its end cut off. Relative paths are relative to the current folder:
/// see [`secret_beside`].
///
/// # Errors
/// Where it is no reference, names nothing that can be read, is empty, no UTF-8 or longer than 64 KiB, or is a command
/// that was not allowed. No message holds the secret.
pub async fn secret(reference: &str, allow_commands: bool) -> Result<Zeroizing<String>, Failure> {
    resolve(reference, allow_commands, PATIENCE).await
}

/// The same reference with its path, where it is one, relative to `folder`: the folder of the inventory that it stands in.
#[must_use]
pub fn secret_beside(folder: &Path, reference: &str) -> String {
    match reference.split_once(':') {
        Some(("file", path)) => format!("file:{}", folder.join(path).display()),
        _ => reference.to_owned(),
    }
}

async fn resolve(reference: &str, allow_commands: bool, within: Duration) -> Result<Zeroizing<String>, Failure> {
    let fail = |class: FailureClass, why: &str| Failure::new(class, format!("the secret '{reference}': {why}"));
    let bytes = match reference.split_once(':') {
        Some(("env", name)) => match std::env::var_os(name) {
            Some(value) => Zeroizing::new(value.into_encoded_bytes()),
            None => {
                return Err(fail(FailureClass::Missing, "the variable is not set; set it where Probity is started"));
            }
        },
        Some(("file", path)) => of_file(Path::new(path)).await.map_err(|(class, why)| fail(class, &why))?,
        Some(("cmd", _)) if !allow_commands => {
            let why = "it is a command; the command line must allow it with --allow-commands";
            return Err(fail(FailureClass::Permission, why));
        }
        Some(("cmd", words)) => {
            let argv: Vec<&str> = words.split_whitespace().collect();
            let command = Command { most: MOST, within, ..Command::new(&argv) };
            let output = command.run_for_secret().await.map_err(|f| fail(f.class, &f.message))?;
            if output.exit != Some(0) {
                let exit = output.exit.map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
                return Err(fail(FailureClass::Unreadable, &format!("the command ended {exit}")));
            }
            Zeroizing::new(output.stdout)
        }
        // A secret that was written where a reference belongs must not come out in a message.
        _ => {
            let why = "a secret must be a reference: env:NAME, file:PATH or cmd:PROGRAM ARGUMENTS";
            return Err(Failure::new(FailureClass::Unreadable, why));
        }
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| fail(FailureClass::Unreadable, "it is no UTF-8 text"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err(fail(FailureClass::Unreadable, "it is empty"));
    }
    if text.len() > MOST {
        return Err(fail(FailureClass::Unreadable, "it is longer than 64 KiB"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

async fn of_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, (FailureClass, String)> {
    let fail = |e: std::io::Error| {
        let class = match e.kind() {
            std::io::ErrorKind::NotFound => FailureClass::Missing,
            std::io::ErrorKind::PermissionDenied => FailureClass::Permission,
            _ => FailureClass::Unreadable,
        };
        (class, e.to_string())
    };
    // A FIFO or device would block or never end.
    if !tokio::fs::metadata(path).await.map_err(fail)?.is_file() {
        return Err((FailureClass::Unreadable, "not a regular file".to_owned()));
    }
    let file = tokio::fs::File::open(path).await.map_err(fail)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    // Two bytes more than a secret may have: its newline, and one that tells that it is too long.
    file.take(MOST as u64 + 3).read_to_end(&mut bytes).await.map_err(fail)?;
    Ok(bytes)
}
