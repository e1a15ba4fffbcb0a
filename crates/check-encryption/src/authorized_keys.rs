//! Which keys open which accounts, by the files that the SSH server reads.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Facts, Failure, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use crate::accounts::{Account, with_shell};
use crate::facts::{
    Asked, AuthorizedAccount, AuthorizedFile, AuthorizedKey, AuthorizedKeysFacts, NotRead, Outcome, SshdFacts,
};
use crate::root::{Root, is_missing, reason, why};
use crate::ssh::PublicKey;
use crate::sshd::Sshd;

/// Where sshd looks unless told otherwise (sshd_config(5)).
const DEFAULT: &str = ".ssh/authorized_keys .ssh/authorized_keys2";
/// Bytes of one file, keys in all, files named by the setting.
const MOST_BYTES: usize = 4 << 20;
const MOST_KEYS: usize = 50_000;
const MOST_PATTERNS: usize = 20;

/// Reads the authorized_keys files of every account with a shell.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuthorizedKeys {
    root: Root,
}

impl Probe for AuthorizedKeys {
    fn kind(&self) -> Kind {
        Kind::new("authorized-keys", Level::Declared)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(AuthorizedKeysFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        let mut plan = Sshd::default().plan(target);
        plan.files.extend(["/etc/passwd", "~/.ssh/authorized_keys", "~/.ssh/authorized_keys2"].map(str::to_owned));
        plan
    }

    fn observe<'a>(&'a self, _target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&self.look(cx).await?) })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

impl AuthorizedKeys {
    #[cfg(test)]
    pub(crate) const fn at(root: Root) -> Self {
        Self { root }
    }

    async fn look(&self, cx: &Cx) -> Result<AuthorizedKeysFacts, Failure> {
        let (accounts, cut) = with_shell(cx, &self.root).await.map_err(|e| Failure::new(e.class, why(&e)))?;
        let mut not_read = Vec::new();
        if cut {
            not_read.push(NotRead::new("/etc/passwd", "it has more accounts than this program looks at"));
        }
        let server = Sshd::at(self.root.clone()).look(cx).await;
        let (patterns, patterns_effective) = patterns(&server, &mut not_read);
        let (mut files, mut keys) = (Vec::new(), Vec::new());
        // Certificates of these authorities open every account that they name.
        let everyone =
            Account { name: "any (TrustedUserCAKeys)".into(), uid: 0, home: "/".into(), shell: String::new() };
        for path in named(&server, "trustedusercakeys") {
            files.push(self.file(cx, &everyone, path, &mut keys).await);
        }
        for key in &mut keys {
            key.cert_authority = true;
        }
        let principals = named(&server, "authorizedprincipalsfile");
        for account in &accounts {
            for path in principals.iter().filter_map(|pattern| expand(pattern, account)) {
                files.push(self.principals(cx, account, path).await);
            }
            let mut seen = BTreeSet::new();
            for pattern in &patterns {
                match expand(pattern, account) {
                    Some(path) if seen.insert(path.clone()) => {
                        files.push(self.file(cx, account, path, &mut keys).await)
                    }
                    Some(_) => {}
                    None => not_read.push(NotRead::new(pattern.clone(), "a pattern that this program does not know")),
                }
            }
        }
        share(&mut keys);
        not_read.extend(
            files
                .iter()
                .filter(|file| file.outcome == Outcome::NotProven)
                .map(|file| NotRead::new(file.name.clone(), file.why.clone().unwrap_or_default())),
        );
        let read = |account: &Account| {
            let mut its = files.iter().filter(|file| file.account == account.name);
            its.all(|file| file.outcome != Outcome::NotProven)
        };
        let asked = if not_read.is_empty() {
            Asked::All
        } else {
            Asked::Only(accounts.iter().filter(|account| read(account)).map(|account| account.name.clone()).collect())
        };
        let count =
            |name: &str| u32::try_from(keys.iter().filter(|key| key.account == name).count()).unwrap_or(u32::MAX);
        let accounts = accounts.iter().map(|account| AuthorizedAccount {
            name: account.name.clone(),
            uid: account.uid,
            shell: account.shell.clone(),
            keys: count(&account.name),
        });
        Ok(AuthorizedKeysFacts {
            asked,
            patterns,
            patterns_effective,
            accounts: accounts.collect(),
            files,
            keys,
            not_read,
        })
    }

    /// A file that names the principals whose certificates open an account: who may write it, opens it.
    async fn principals(&self, cx: &Cx, account: &Account, path: String) -> AuthorizedFile {
        let mut file = AuthorizedFile::empty(account, path);
        match self.root.resolve(cx, &file.path).await {
            Ok((real, metadata, _)) => {
                file.outcome = Outcome::Present;
                file.mode = Some(format!("{:04o}", metadata.mode));
                file.open_to_others = self.open_to_others(cx, account, &real).await;
            }
            Err(e) if is_missing(&e) => {}
            Err(e) => (file.outcome, file.why) = (Outcome::NotProven, Some(reason(&e))),
        }
        file
    }

    async fn file(&self, cx: &Cx, account: &Account, path: String, keys: &mut Vec<AuthorizedKey>) -> AuthorizedFile {
        let mut file = AuthorizedFile::empty(account, path.clone());
        let unread =
            |why: String, file: AuthorizedFile| AuthorizedFile { outcome: Outcome::NotProven, why: Some(why), ..file };
        let (real, metadata) = match self.root.resolve(cx, &path).await {
            Ok((real, metadata, _)) => (real, metadata),
            Err(e) if is_missing(&e) => return file,
            Err(e) => return unread(reason(&e), file),
        };
        file.mode = Some(format!("{:04o}", metadata.mode));
        file.open_to_others = self.open_to_others(cx, account, &real).await;
        let text = match self.root.text(cx, &path, MOST_BYTES).await {
            Ok(text) => text,
            Err(e) => return unread(reason(&e), file),
        };
        file.outcome = Outcome::Present;
        for (line, text) in (1_u32..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if keys.len() >= MOST_KEYS {
                return unread(format!("more than {MOST_KEYS} keys in all"), file);
            }
            let key = read(text);
            file.keys += u32::from(key.outcome == Outcome::Present);
            let (name, account, path) = (format!("{path}:{line}"), account.name.clone(), path.clone());
            keys.push(AuthorizedKey { name, account, path, line, ..key });
        }
        file
    }

    /// As sshd checks it (safe_path in its misc.c): the file and the folders above it, up to the home or the top.
    async fn open_to_others(&self, cx: &Cx, account: &Account, path: &str) -> Vec<String> {
        let mut open = Vec::new();
        let mut at = path;
        loop {
            if let Ok(found) = cx.metadata(self.root.path(at)).await
                && (found.mode & 0o022 != 0 || (found.uid != 0 && found.uid != account.uid))
            {
                open.push(format!("{at} (mode {:04o}, owner {})", found.mode, found.uid));
            }
            if at == account.home {
                return open;
            }
            match at.rsplit_once('/') {
                Some((folder, _)) if !folder.is_empty() => at = folder,
                _ => return open,
            }
        }
    }
}

impl AuthorizedFile {
    fn empty(account: &Account, path: String) -> Self {
        Self {
            name: format!("{}:{path}", account.name),
            account: account.name.clone(),
            path,
            outcome: Outcome::Absent,
            why: None,
            mode: None,
            keys: 0,
            open_to_others: vec![],
        }
    }
}

/// Where the server looks for keys, and whether it said so itself.
fn patterns(server: &SshdFacts, not_read: &mut Vec<NotRead>) -> (Vec<String>, bool) {
    let setting = |name: &str| server.settings.get(name).map(|values| values.join(" "));
    if server.outcome == Outcome::NotProven {
        let why = server.why.clone().unwrap_or_default();
        not_read.push(NotRead::new("AuthorizedKeysFile", format!("its default was taken: {why}")));
    }
    for (name, why) in [
        ("AuthorizedKeysCommand", "keys that this command gives for an account are not looked at"),
        ("AuthorizedPrincipalsCommand", "principals that this command gives for an account are not looked at"),
    ] {
        if let Some(command) = setting(&name.to_ascii_lowercase()).filter(|command| command != "none") {
            not_read.push(NotRead::new(format!("{name} {command}"), why));
        }
    }
    let places = ["authorizedkeys", "authorizedprincipals", "trustedusercakeys"];
    for block in server.match_blocks.iter().flatten() {
        if block.changes.iter().any(|name| places.iter().any(|place| name.starts_with(place))) {
            let why = "a Match block has other places for keys, which are not looked at";
            not_read.push(NotRead::new(block.name.clone(), why));
        }
    }
    if server.outcome == Outcome::Present && server.match_blocks.is_none() {
        let why = "its Match blocks, which may have other places for keys, could not be read";
        not_read.push(NotRead::new("sshd_config", why));
    }
    let effective = setting("authorizedkeysfile");
    let patterns = effective.as_deref().unwrap_or(DEFAULT).split_whitespace().filter(|pattern| *pattern != "none");
    (patterns.take(MOST_PATTERNS).map(str::to_owned).collect(), effective.is_some())
}

/// The files of a setting, as the server tells it.
fn named(server: &SshdFacts, setting: &str) -> Vec<String> {
    let values = server.settings.get(setting).into_iter().flatten();
    values.filter(|path| *path != "none").cloned().collect()
}

/// Where a pattern leads for an account (sshd_config(5), "TOKENS"); relative ones lie in the home.
fn expand(pattern: &str, account: &Account) -> Option<String> {
    let mut path = String::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '%' => match rest.next()? {
                '%' => path.push('%'),
                'h' => path.push_str(&account.home),
                'u' => path.push_str(&account.name),
                'U' => path.push_str(&account.uid.to_string()),
                _ => return None,
            },
            c => path.push(c),
        }
    }
    Some(if path.starts_with('/') { path } else { format!("{}/{path}", account.home) })
}

/// Reads one line; its place is filled in by the caller.
fn read(line: &str) -> AuthorizedKey {
    let mut key = AuthorizedKey {
        name: String::new(),
        account: String::new(),
        path: String::new(),
        line: 0,
        outcome: Outcome::NotProven,
        why: Some("neither a comment nor a key that this program can read".to_owned()),
        key_type: None,
        bits: None,
        fingerprint: None,
        options: vec![],
        from: None,
        expires: None,
        cert_authority: false,
        forced_command: false,
        also_in: vec![],
    };
    let (options, rest) = match blob(line) {
        Some(_) => ("", line),
        None => line.split_at_checked(end_of_options(line)).unwrap_or((line, "")),
    };
    let Some(public) = blob(rest.trim_start()).and_then(|blob| PublicKey::read(&blob)) else { return key };
    key.outcome = Outcome::Present;
    key.why = None;
    (key.key_type, key.bits, key.fingerprint) = (Some(public.kind), public.bits, Some(public.fingerprint));
    for (name, value) in split_options(options) {
        match name.as_str() {
            "from" => key.from = value,
            "expiry-time" => key.expires = value,
            "cert-authority" => key.cert_authority = true,
            "command" => key.forced_command = true,
            _ => {}
        }
        key.options.push(name);
    }
    key
}

/// The key in a text that begins with its type.
pub(crate) fn blob(text: &str) -> Option<Vec<u8>> {
    let mut words = text.split_whitespace();
    let kind = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    let named = blob.get(4..4 + kind.len())?;
    (named == kind.as_bytes()).then_some(blob)
}

/// Where the options of a line end: the first blank outside of quotes.
fn end_of_options(line: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        match c {
            '\\' => {
                escaped = !escaped;
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            c if c.is_whitespace() && !quoted => return at,
            _ => {}
        }
        escaped = false;
    }
    line.len()
}

/// Names in lower case, with their values without quotes.
fn split_options(options: &str) -> Vec<(String, Option<String>)> {
    let mut found = vec![(String::new(), None::<String>)];
    let (mut quoted, mut escaped) = (false, false);
    for c in options.chars() {
        let Some((name, value)) = found.last_mut() else { break };
        match c {
            '"' if !escaped => quoted = !quoted,
            '\\' if quoted && !escaped => {
                escaped = true;
                continue;
            }
            ',' if !quoted => found.push((String::new(), None)),
            '=' if value.is_none() => *value = Some(String::new()),
            c => value.as_mut().unwrap_or(name).push(c),
        }
        escaped = false;
    }
    found.retain(|(name, _)| !name.is_empty());
    found.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

/// Names, for each key, the other accounts that it opens to more than one command.
fn share(keys: &mut [AuthorizedKey]) {
    let mut accounts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in keys.iter().filter(|key| !key.forced_command) {
        if let Some(print) = &key.fingerprint {
            accounts.entry(print.clone()).or_default().insert(key.account.clone());
        }
    }
    for key in keys {
        let all = key.fingerprint.as_ref().and_then(|print| accounts.get(print)).into_iter().flatten();
        key.also_in = all.filter(|account| **account != key.account).cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::{Machine, observe};

    const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINkvt5FDLWCDLr7DfhdM5aE6WUcuF1EjcnkZ3gaUQUBi";

    #[test]
    fn options_are_told_apart() {
        let line = format!(
            r#"command="echo \"a, b\" secret",no-pty,FROM="192.0.2.0/24,*.example.org",expiry-time="20300101Z" {ED} me"#
        );
        let key = read(&line);
        assert_eq!(key.options, ["command", "no-pty", "from", "expiry-time"]);
        assert_eq!(
            (key.from.as_deref(), key.expires.as_deref()),
            (Some("192.0.2.0/24,*.example.org"), Some("20300101Z"))
        );
        assert!(key.forced_command && !key.cert_authority);
        assert_eq!((key.key_type.as_deref(), key.bits), (Some("ssh-ed25519"), Some(256)));
        assert_eq!(read(ED).options, Vec::<String>::new());
        assert!(read(&format!("cert-authority {ED}")).cert_authority);
        assert_eq!(read("ssh-rsa nonsense").outcome, Outcome::NotProven);
    }

    #[tokio::test]
    async fn accounts_files_and_keys_are_found() {
        let machine = Machine::new();
        machine.file(
            "/etc/passwd",
            "root:x:0:0::/srv/admin:/bin/bash\nann:x:1000:1000::/srv/ann:/bin/sh\nwww:x:33:33::/var/www:/usr/sbin/nologin\n",
        );
        machine.file("/srv/admin/.ssh/authorized_keys", format!("# c\n\n{ED} x\n"));
        machine.file("/srv/ann/.ssh/authorized_keys", format!("restrict {ED}\nnonsense\n"));
        machine.file("/var/www/.ssh/authorized_keys", ED);
        machine.mode("/srv/ann/.ssh", 0o777);
        let facts = observe(AuthorizedKeys { root: machine.root() }).await.unwrap();
        assert_eq!((&facts["asked"], &facts["patterns_effective"]), (&json!("all"), &json!(false)));
        let keys = facts["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 3);
        assert_eq!(
            (&keys[0]["name"], &keys[0]["also_in"]),
            (&json!("/srv/admin/.ssh/authorized_keys:3"), &json!(["ann"]))
        );
        assert_eq!((&keys[1]["options"], &keys[2]["outcome"]), (&json!(["restrict"]), &json!("not_proven")));
        let open = facts["files"]
            .as_array()
            .unwrap()
            .iter()
            .find(|f| f["name"] == "ann:/srv/ann/.ssh/authorized_keys")
            .unwrap();
        assert!(open["open_to_others"][0].as_str().unwrap().contains("/srv/ann/.ssh (mode 0777"), "{open}");
    }

    #[tokio::test]
    async fn authorities_and_principals_are_looked_at() {
        let machine = Machine::new();
        machine.link("/usr/sbin/sshd", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/said"));
        let said =
            include_str!("../tests/fixtures/sshd-T").replace("trustedusercakeys none", "trustedusercakeys /etc/ssh/ca");
        let said = said.replace("authorizedprincipalsfile none", "authorizedprincipalsfile /etc/ssh/p/%u");
        let said = said.replace("authorizedprincipalscommand none", "authorizedprincipalscommand /bin/p s3cret");
        machine.file("/usr/sbin/sshd.said", said);
        machine.file("/etc/ssh/sshd_config", "");
        machine.file("/etc/passwd", "ann:x:1000:1000::/srv/ann:/bin/sh\n");
        machine.file("/etc/ssh/ca", ED);
        machine.mode("/etc/ssh/ca", 0o666);
        machine.file("/etc/ssh/p/ann", "ann\n");
        machine.mode("/etc/ssh/p/ann", 0o666);
        let facts = observe(AuthorizedKeys { root: machine.root() }).await.unwrap();
        assert_eq!(
            (&facts["keys"][0]["path"], &facts["keys"][0]["cert_authority"]),
            (&json!("/etc/ssh/ca"), &json!(true))
        );
        let open: Vec<_> =
            facts["files"].as_array().unwrap().iter().filter(|f| f["open_to_others"] != json!([])).collect();
        assert_eq!(open.len(), 2, "{facts:#}");
        assert_eq!(facts["not_read"][0]["name"], "AuthorizedPrincipalsCommand /bin/p …");
    }

    proptest! {
        #[test]
        fn any_line_is_borne(line in "([a-z-]{0,9}(=\"?\\PC{0,9}\"?)?,?){0,6} (ssh-rsa )?\\PC{0,40}", pattern in "\\PC{0,20}") {
            read(&line);
            expand(&pattern, &Account { name: "a".into(), uid: 1, home: "/srv/a".into(), shell: "/bin/sh".into() });
        }
    }
}
