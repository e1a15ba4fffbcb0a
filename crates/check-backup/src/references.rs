//! Secrets stand in no inventory: what is written there goes into every signed pack. They are refused before anything is
//! written, and no message repeats them.

use crate::target::BackupTarget;

/// Keys of queries in URLs that carry secrets.
const SECRET_KEYS: [&str; 6] = ["token", "key", "password", "secret", "sig", "signature"];

/// Refuses secrets, and places that can't be meant.
///
/// # Errors
/// The path of the field, and what is wrong with it.
pub(crate) fn check(target: &BackupTarget) -> Result<(), (String, String)> {
    if let Some(restic) = &target.restic {
        place("restic.repository", &restic.repository)?;
        reference("restic.password", &restic.password)?;
        for (name, value) in &restic.environment {
            reference(&format!("restic.environment.{name}"), value)?;
        }
    }
    if let Some(borg) = &target.borg {
        place("borg.repository", &borg.repository)?;
        if let Some(passphrase) = &borg.passphrase {
            reference("borg.passphrase", passphrase)?;
        }
        for (name, value) in &borg.environment {
            reference(&format!("borg.environment.{name}"), value)?;
        }
    }
    if let Some(pgbackrest) = &target.pgbackrest
        && (pgbackrest.stanza.is_empty() || pgbackrest.stanza.starts_with('-'))
    {
        return Err(("pgbackrest.stanza".into(), "this is no name of a stanza".into()));
    }
    if let Some(files) = &target.files {
        place("files.pattern", &files.pattern)?;
    }
    if let Some(s3) = &target.s3 {
        place("s3.endpoint", &s3.endpoint)?;
        reference("s3.access_key", &s3.access_key)?;
        reference("s3.secret_key", &s3.secret_key)?;
    }
    let live = target.drill.as_ref().and_then(|drill| drill.live.as_deref()).unwrap_or_default();
    // libpq allows spaces around the sign of equality.
    let compact: String = live.chars().filter(|c| !c.is_whitespace()).collect();
    if compact.to_lowercase().contains("password=") {
        return Err(("drill.live".into(), "a password does not belong into an inventory; use passfile=PATH".into()));
    }
    Ok(())
}

fn reference(field: &str, value: &str) -> Result<(), (String, String)> {
    let wrong = |why: &str| Err((field.to_owned(), why.to_owned()));
    match value.split_once(':') {
        Some(("file", path)) if path.starts_with('~') => wrong("'~' is not followed; write the whole path"),
        Some(("file" | "env" | "cmd", rest)) if !rest.trim().is_empty() => Ok(()),
        _ => wrong(
            "a secret does not belong into an inventory, which goes into every pack; give a reference: file:PATH, \
             env:NAME or cmd:PROGRAM ARGUMENTS",
        ),
    }
}

fn place(field: &str, location: &str) -> Result<(), (String, String)> {
    let wrong = |why: &str| Err((field.to_owned(), why.to_owned()));
    if location.trim().is_empty() {
        return wrong("it is empty");
    }
    if location.starts_with('~') {
        return wrong("'~' is not followed; write the whole path");
    }
    let Some((_, rest)) = location.split_once("://") else { return Ok(()) };
    let authority = rest.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    // Where a password holds a slash, what looks like host and port is its beginning. Stores of objects alone have `@` in
    // their keys, and no passwords in their URLs.
    let odd = user.is_none() && authority.contains(':') && rest.contains('@') && !location.starts_with("s3:");
    let query = rest.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let keys = query.split(['&', ';']).filter_map(|pair| pair.split_once('=')).map(|(key, _)| key.to_lowercase());
    let secret_key = keys.into_iter().any(|key| SECRET_KEYS.iter().any(|secret| key.contains(secret)));
    if user.is_some_and(|user| user.contains(':')) || odd || secret_key {
        return wrong(
            "its URL holds a secret, which would go into every pack; give it by 'environment' (RESTIC_REST_PASSWORD, \
             AWS_SECRET_ACCESS_KEY) or by the tool's own means",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{place, reference};

    #[test]
    fn secrets_are_refused_and_not_repeated() {
        for location in [
            "rest:http://usr:S3CRET@h:8000/x",
            "ssh://usr:S3CRET@h/./x",
            "rest:https://u:S3/CRET@h/x",
            "rest:https://u:12/S3@h/x",
            "https://h/x?token=S3CRET",
            "https://h/x?a=b&X-Signature=S3CRET",
        ] {
            let refused = place("f", location);
            assert!(refused.as_ref().is_err_and(|(_, why)| !why.contains("S3")), "{location}: {refused:?}");
        }
        for location in
            ["/srv/a@b:c", "sftp:u@h:/srv", "ssh://u@h:22/./x", "rest:http://[::1]:8000/x", "s3:https://h:9000/a@b"]
        {
            assert_eq!(place("f", location), Ok(()), "{location}");
        }
        assert!(place("f", "").is_err() && place("f", "~/r").is_err());
    }

    #[test]
    fn references_alone() {
        for value in ["hunter2", "", "file:", "env: ", "file:~/pw", "http:x"] {
            assert!(reference("f", value).is_err_and(|(_, why)| !why.contains("hunter2")), "{value}");
        }
        for value in ["file:pw", "env:PW", "cmd:pass show x"] {
            assert_eq!(reference("f", value), Ok(()));
        }
    }
}
