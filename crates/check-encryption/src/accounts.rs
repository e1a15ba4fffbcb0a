//! The accounts of this machine that one may log in to.

use probe::{Cx, FileError};

use crate::root::Root;

/// Accounts looked at.
const MOST: usize = 10_000;

/// An account of passwd(5) with a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) home: String,
    pub(crate) shell: String,
}

/// Those of /etc/passwd, and whether there are more than are looked at. Accounts of a directory (LDAP) are not in it.
pub(crate) async fn with_shell(cx: &Cx, root: &Root) -> Result<(Vec<Account>, bool), FileError> {
    let text = root.text(cx, "/etc/passwd", 16 << 20).await?;
    let mut accounts: Vec<Account> = text.lines().filter_map(read).take(MOST + 1).collect();
    let cut = accounts.len() > MOST;
    accounts.truncate(MOST);
    Ok((accounts, cut))
}

/// One line; `None` where it is none, or its shell lets nobody in (nologin(8), false(1)).
fn read(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, _, _, home, shell] = fields.as_slice() else { return None };
    let program = shell.rsplit('/').next().unwrap_or_default();
    if name.starts_with('#') || matches!(program, "nologin" | "false" | "sync" | "shutdown" | "halt") {
        return None;
    }
    // An empty field stands for /bin/sh.
    let shell = if shell.is_empty() { "/bin/sh" } else { shell };
    let home = home.trim_end_matches('/');
    let account =
        Account { name: (*name).to_owned(), uid: uid.parse().ok()?, home: home.to_owned(), shell: shell.to_owned() };
    (!account.name.is_empty() && home.starts_with('/')).then_some(account)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accounts_without_a_shell_are_left_out() {
        assert_eq!(read("www-data:x:33:33::/var/www:/usr/sbin/nologin"), None);
        assert_eq!(read("sync:x:4:65534:sync:/bin:/bin/sync"), None);
        let empty = read("old:x:7:7::/srv/old/:");
        assert_eq!(empty.map(|a| (a.uid, a.home, a.shell)), Some((7, "/srv/old".into(), "/bin/sh".into())));
    }

    proptest! {
        #[test]
        fn any_line_is_borne(line in "(\\PC{0,9}:){0,8}\\PC{0,9}") {
            read(&line);
        }
    }
}
