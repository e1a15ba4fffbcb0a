//! For whom `sshd -T` is asked beside everybody (`-C`, sshd(8)): an account and an address that fit each `Match` block.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::config::fits;
use super::syntax::words;
use crate::facts::MatchBlock;

/// Where connections come from and go to unless a block says otherwise: addresses that stand for any other machine
/// (RFC 5737), so that blocks for machines near by do not hold for them.
const FROM: &str = "192.0.2.1";
const TO: &str = "192.0.2.2";

/// A connection that `sshd -T` is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    user: String,
    /// The client's name; its address where names are not looked up (`UseDNS no`).
    host: String,
    addr: String,
    laddr: String,
    lport: String,
}

impl Connection {
    /// One of that account from anywhere.
    pub(super) fn of(user: &str, port: &str) -> Self {
        let [user, host, addr, laddr, lport] = [user, FROM, FROM, TO, port].map(str::to_owned);
        Self { user, host, addr, laddr, lport }
    }

    /// As `-C` takes it.
    pub(super) fn specification(&self) -> String {
        let Self { user, host, addr, laddr, lport } = self;
        format!("user={user},host={host},addr={addr},laddr={laddr},lport={lport}")
    }
}

/// The accounts of this machine, with the groups of each.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts(Vec<(String, Vec<String>)>);

impl Accounts {
    /// Reads passwd(5) and group(5). Those of a directory (LDAP) are not in them.
    pub(super) fn read(passwd: &str, group: &str) -> Self {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let groups: Vec<Vec<String>> = group.lines().take(MOST).map(fields).collect();
        let of = |line: &str| {
            let line = fields(line);
            let (name, gid) = (line.first().filter(|name| is_plain(name))?, line.get(3)?);
            let member = |group: &&Vec<String>| {
                group.get(2) == Some(gid) || group.get(3).is_some_and(|all| all.split(',').any(|one| one == name))
            };
            Some((name.clone(), groups.iter().filter(member).filter_map(|group| group.first().cloned()).collect()))
        };
        Self(passwd.lines().take(MOST).filter_map(of).collect())
    }

    fn groups_of(&self, user: &str) -> &[String] {
        self.0.iter().find(|(name, _)| name == user).map_or(&[], |(_, groups)| groups)
    }
}

/// Whether a list of patterns holds for a value.
type Holds = fn(&[&str], &str) -> bool;

/// Accounts and groups looked at.
const MOST: usize = 1000;

/// A connection for which a block holds; `like`: what is taken where it asks for nothing.
///
/// # Errors
/// Why there is none.
pub(super) fn fitting(block: &MatchBlock, like: &Connection, accounts: &Accounts) -> Result<Connection, String> {
    let mut found = like.clone();
    let (mut users, mut groups, mut seen) = (vec![], vec![], BTreeSet::new());
    // Releases differ in whether these quote here.
    if block.criteria.contains(['\'', '\\']) {
        return Err("its criteria hold a quote or a backslash".into());
    }
    let all = words(&block.criteria.replace('=', " ")).1.ok_or("a quote in its criteria does not end")?;
    let mut left = all.iter().map(|word| word.trim_end_matches(','));
    while let Some(criterion) = left.next() {
        let name = criterion.to_ascii_lowercase();
        if name == "all" {
            continue;
        }
        let list: Vec<&str> =
            left.next().unwrap_or_default().split(',').filter(|pattern| !pattern.is_empty()).collect();
        if !matches!(name.as_str(), "user" | "group") && !seen.insert(name.clone()) {
            return Err(format!("it names '{criterion}' twice"));
        }
        let (place, holds): (&mut String, Holds) = match name.as_str() {
            "user" => {
                users.push(list);
                continue;
            }
            "group" => {
                groups.push(list);
                continue;
            }
            "host" => (&mut found.host, in_list),
            "address" => (&mut found.addr, in_addresses),
            "localaddress" => (&mut found.laddr, in_addresses),
            "localport" => (&mut found.lport, in_list),
            _ => return Err(format!("'{criterion}' is a criterion that no connection is made up for")),
        };
        let mut candidates = vec![place.clone()];
        candidates.extend(list.iter().filter_map(|pattern| example(pattern)));
        *place = candidates
            .into_iter()
            .find(|candidate| is_plain(candidate) && holds(&list, candidate))
            .ok_or_else(|| format!("nothing that fits '{criterion} {}' could be made up", list.join(",")))?;
    }
    let named = users.iter().flatten().filter_map(|pattern| example(pattern));
    let known = accounts.0.iter().map(|(name, _)| name.clone());
    let mut candidates = std::iter::once(found.user.clone()).chain(known).chain(named);
    let user = candidates.find(|user| {
        let its = accounts.groups_of(user);
        is_plain(user) && users.iter().all(|list| in_list(list, user)) && groups.iter().all(|list| in_groups(list, its))
    });
    found.user = user.ok_or("no account of this machine fits it")?;
    Ok(found)
}

/// Whether a value can stand in a specification as it is.
fn is_plain(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '@' | '$' | '\\');
    !value.is_empty() && value.len() <= 255 && value.chars().all(plain)
}

/// Something that fits a pattern: itself where it has no wildcards, an address of a network.
fn example(pattern: &str) -> Option<String> {
    if pattern.starts_with('!') {
        return None;
    }
    if let Some((network, length)) = network(pattern) {
        let longest = if network.is_ipv4() { 32 } else { 128 };
        // The first address after the network's own, where there is one.
        let step = u8::from(length < longest);
        return Some(match network {
            IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() | u32::from(step)).into()).to_string(),
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() | u128::from(step)).into()).to_string(),
        });
    }
    Some(pattern.replace(['*', '?'], "1"))
}

/// `192.0.2.0/24`.
fn network(pattern: &str) -> Option<(IpAddr, u8)> {
    let (ip, length) = pattern.split_once('/')?;
    Some((ip.parse().ok()?, length.parse().ok()?))
}

/// Whether a list of patterns holds for a name (PATTERNS, ssh_config(5)): one of them does, and none with a `!`.
fn in_list(list: &[&str], name: &str) -> bool {
    let name = name.to_lowercase();
    of_list(list, |pattern| fits(&pattern.to_lowercase(), &name))
}

fn in_groups(list: &[&str], groups: &[String]) -> bool {
    of_list(list, |pattern| groups.iter().any(|group| fits(pattern, group)))
}

fn in_addresses(list: &[&str], address: &str) -> bool {
    of_list(list, |pattern| match (network(pattern), address.parse()) {
        (Some((IpAddr::V4(network), length)), Ok(IpAddr::V4(ip))) if length <= 32 => {
            let shift = u32::from(32 - length);
            network.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        (Some((IpAddr::V6(network), length)), Ok(IpAddr::V6(ip))) if length <= 128 => {
            let shift = u32::from(128 - length);
            network.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        (Some(_), _) => false,
        (None, _) => fits(pattern, address),
    })
}

fn of_list(list: &[&str], fits: impl Fn(&str) -> bool) -> bool {
    let negated = list.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(&fits);
    !negated && list.iter().filter(|pattern| !pattern.starts_with('!')).any(|pattern| fits(pattern))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str =
        "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/srv/anna:/bin/sh\nsftp1:x:1001:50::/x:/bin/false\n";
    const GROUP: &str = "root:x:0:\nanna:x:1000:\nsftp:x:50:\nadmins:x:60:root,anna\n";

    fn of(criteria: &str) -> Result<String, String> {
        let block = MatchBlock {
            name: "f:1".into(),
            file: "f".into(),
            line: 1,
            criteria: criteria.into(),
            settings: vec![],
            changes: vec![],
        };
        let like = Connection::of("anna", "22");
        fitting(&block, &like, &Accounts::read(PASSWD, GROUP)).map(|found| found.specification())
    }

    #[test]
    fn what_fits_is_found() {
        let like = |user: &str, addr: &str, host: &str| {
            Ok(format!("user={user},host={host},addr={addr},laddr=192.0.2.2,lport=22"))
        };
        let any = "192.0.2.1";
        assert_eq!(of("all"), like("anna", any, any));
        assert_eq!(of("User git"), like("git", any, any));
        assert_eq!(of("User *,!anna Address 10.0.0.0/8"), like("root", "10.0.0.1", any));
        assert_eq!(of("group=sftp"), like("sftp1", any, any));
        assert_eq!(of("Group admins User r*"), like("root", any, any));
        assert_eq!(of("User git, Address 2001:db8::/32"), like("git", "2001:db8::1", any));
        assert_eq!(of("Host *.example.org"), like("anna", any, "1.example.org"));
        assert_eq!(of("Address *,!10.0.0.0/8"), like("anna", any, any));
        assert_eq!(of("Address 10.1.*"), like("anna", "10.1.1", any));
        assert_eq!(of("Address 198.51.100.7/32"), like("anna", "198.51.100.7", any));
        assert!(of("LocalPort 2222").is_ok_and(|found| found.ends_with("lport=2222")));
        assert!(of("LocalAddress 10.0.0.9").is_ok_and(|found| found.contains("laddr=10.0.0.9")));
    }

    #[test]
    fn what_can_not_fit_is_said() {
        for criteria in [
            "Group nobody-is-in-it",
            "User git Group admins",
            "User !root",
            "RDomain x",
            "invalid-user",
            "Address !10.0.0.0/8",
            "User",
            "Address 10.0.0.1 Address 10.0.0.2",
            "User a;b",
            "User 'git'",
            "User \"git",
        ] {
            assert!(of(criteria).is_err(), "{criteria}: {:?}", of(criteria));
        }
    }

    proptest! {
        #[test]
        fn any_criteria_are_borne(criteria in "((User|Group|Host|Address|LocalPort)[ =]?[!*?a-z0-9./:,\"]{0,20} ?){0,4}") {
            if let Ok(found) = of(&criteria) {
                prop_assert_eq!(found.split(',').count(), 5);
            }
        }

        #[test]
        fn any_file_is_borne(passwd in "(\\PC{0,9}:){0,8}\\PC{0,9}\n", group in "(\\PC{0,9}:){0,8}\\PC{0,9}\n") {
            Accounts::read(&passwd, &group);
        }
    }
}
