//! From answers to facts.

use super::super::answers::{Answer, Answers, cipher_classes, settings};
use super::super::is_local;
use super::resp::Value;
use crate::facts::{
    DatabaseFlag, DatabaseSession, DatabaseSetting, Found, InfoLine, Outcome, RedisFacts, RedisLink, RedisUser,
    Transport,
};

/// The settings that are asked for, each by itself. `requirepass`, `masterauth` and `tls-key-file-pass` never are: the
/// answer would hold the password.
pub(super) const NAMES: [&str; 19] = [
    "aclfile",
    "appendfsync",
    "appendonly",
    "bind",
    "cluster-enabled",
    "dbfilename",
    "dir",
    "port",
    "protected-mode",
    "save",
    "tls-auth-clients",
    "tls-ciphers",
    "tls-ciphersuites",
    "tls-cluster",
    "tls-port",
    "tls-protocols",
    "tls-replication",
    "unixsocket",
    "unixsocketperm",
];
/// Stands for all of `CONFIG GET`.
pub(super) const SETTINGS: &str = "CONFIG GET";
/// The users.
pub(super) const USERS: &str = "ACL LIST";
/// The server, its persistence, its replication.
pub(super) const INFO: [&str; 3] = ["INFO server", "INFO persistence", "INFO replication"];

/// What Redis stores of an empty password: the SHA-256 of nothing.
const EMPTY: &str = "#e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A line of `ACL LIST` as name, on, nopass, number of passwords, rights, whether a password is empty. What is stored of a password is left out.
pub(super) fn user(line: &str) -> Option<Vec<Option<String>>> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("user") {
        return None;
    }
    let name = words.next()?.to_owned();
    let (mut on, mut nopass, mut empty, mut passwords, mut rights) = (false, false, false, 0_u64, Vec::new());
    for word in words {
        match word {
            "on" => on = true,
            "off" => on = false,
            "nopass" => nopass = true,
            "sanitize-payload" | "skip-sanitize-payload" => {}
            // #hash; > and < would hold a password itself.
            _ if word.starts_with(['#', '>', '<', '!']) => {
                passwords += 1;
                empty |= matches!(word, EMPTY | ">");
            }
            _ => rights.push(word),
        }
    }
    let cells = [name, on.to_string(), nopass.to_string(), passwords.to_string(), rights.join(" "), empty.to_string()];
    Some(cells.map(Some).to_vec())
}

/// The answer to `CONFIG GET` for one name as a row: name and value, or none where the release has no such setting. `None`
/// for an answer that is neither.
pub(super) fn setting(name: &str, value: Value) -> Option<Vec<Vec<Option<String>>>> {
    let Value::List(items) = value else { return None };
    match items.as_slice() {
        [] => Some(Vec::new()),
        [Value::Text(of), Value::Text(value)] if of == name => Some(vec![vec![Some(of.clone()), Some(value.clone())]]),
        _ => None,
    }
}

/// What the answers say.
pub(super) fn facts(answers: &Answers) -> RedisFacts {
    let settings = settings(&answers.to(SETTINGS), &NAMES, "give the user the command 'config|get'", |_| None);
    let info = info(answers);
    let version = ["valkey_version", "redis_version"]
        .iter()
        .find_map(|name| info.items.iter().find(|line| line.name == *name).map(|line| line.value.clone()));
    let nobody = DatabaseSession { transport: Transport::Tcp, user: None, method: None, tls: None };
    RedisFacts {
        version,
        session: answers.session.clone().unwrap_or(nobody),
        plaintext_port: flag(&settings, "port", |port| port != "0"),
        remote: flag(&settings, "bind", beyond),
        ciphers: cipher_classes(&settings, "tls-ciphers"),
        links: links(&settings, &info),
        settings,
        users: users(&answers.to(USERS)),
        info,
    }
}

/// The link to a master, and the bus of a cluster, which always listens wherever the server does.
fn links(settings: &Found<DatabaseSetting>, info: &Found<InfoLine>) -> Found<RedisLink> {
    let setting = |name: &str| {
        let setting = settings.items.iter().find(|setting| setting.name == name)?;
        (setting.outcome != Outcome::NotProven).then(|| setting.value.clone().unwrap_or_default())
    };
    let line = |name: &str| info.items.iter().find(|line| line.name == name).map(|line| line.value.as_str());
    let link = |name: &str, used: Option<bool>, remote: Option<bool>, tls: Option<String>| RedisLink {
        name: name.to_owned(),
        outcome: match used {
            Some(true) => Outcome::Present,
            Some(false) => Outcome::Absent,
            None => Outcome::NotProven,
        },
        why: used.is_none().then(|| "the server does not tell whether it is in use".to_owned()),
        remote,
        tls: tls.map(|value| value == "yes"),
    };
    let replica = line("role").map(|role| role != "master");
    let master = line("master_host").map(|host| !is_local(host));
    let cluster = setting("cluster-enabled").map(|value| value == "yes");
    let bind = flag(settings, "bind", beyond).outcome;
    let remote = (bind != Outcome::NotProven).then_some(bind == Outcome::Present);
    Found::all(vec![
        link("replication", replica, master, setting("tls-replication")),
        link("cluster", cluster, remote, setting("tls-cluster")),
    ])
}

/// Whether the addresses of `bind` are beyond loopback.
fn beyond(bind: &str) -> bool {
    bind.is_empty() || bind.split_ascii_whitespace().any(|one| !is_local(one.trim_start_matches('-')))
}

fn flag(settings: &Found<DatabaseSetting>, name: &str, holds: impl Fn(&str) -> bool) -> DatabaseFlag {
    let setting = settings.items.iter().find(|setting| setting.name == name);
    match setting.and_then(|setting| setting.value.as_deref()) {
        Some(value) => {
            DatabaseFlag { outcome: if holds(value) { Outcome::Present } else { Outcome::Absent }, why: None }
        }
        None => {
            let why = settings.why.clone().unwrap_or_else(|| format!("the server does not tell its setting '{name}'"));
            DatabaseFlag { outcome: Outcome::NotProven, why: Some(why) }
        }
    }
}

fn users(answer: &Answer) -> Found<RedisUser> {
    answer.each("give the user the command 'acl|list'; releases before 6 have no users", |row| {
        let rights: Vec<String> = row.text(4)?.split_ascii_whitespace().map(str::to_owned).collect();
        let has = |words: [&str; 2]| rights.iter().any(|right| words.contains(&right.as_str()));
        Some(RedisUser {
            name: row.text(0)?,
            outcome: Outcome::Present,
            enabled: row.yes(1),
            nopass: row.yes(2),
            empty_password: row.text(5)? == "true",
            passwords: row.number(3).and_then(|count| u64::try_from(count).ok())?,
            everything: has(["+@all", "allcommands"]) && has(["~*", "allkeys"]),
            rights,
        })
    })
}

fn info(answers: &Answers) -> Found<InfoLine> {
    let mut all = Found::all(Vec::new());
    for question in INFO {
        let found = answers.to(question).each("give the user the command 'info'", |row| {
            Some(InfoLine { name: row.text(0)?, outcome: Outcome::Present, value: row.text(1)? })
        });
        all.items.extend(found.items);
        if let Some(why) = found.why {
            all = Found::some(all.items, why);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_user_without_what_is_stored_of_the_password() {
        let row =
            user("user bob on #5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8 ~cache:* -@all +get");
        let cells: Option<Vec<String>> = row.map(|row| row.into_iter().flatten().collect());
        assert_eq!(
            cells,
            Some(["bob", "true", "false", "1", "~cache:* -@all +get", "false"].map(str::to_owned).to_vec())
        );
        assert_eq!(user("bob on"), None);
        let empty = user(&format!("user alice on #00 {EMPTY} ~* +@all")).unwrap_or_default();
        assert_eq!(empty.get(5).cloned().flatten().as_deref(), Some("true"));
    }

    #[test]
    fn links_to_other_servers() {
        let line =
            |name: &str, value: &str| InfoLine { name: name.into(), outcome: Outcome::Present, value: value.into() };
        let rows =
            [("cluster-enabled", "yes"), ("tls-replication", "no"), ("tls-cluster", "yes"), ("bind", "10.0.0.1")];
        let rows = rows.map(|(name, value)| vec![Some(name.to_owned()), Some(value.to_owned())]).to_vec();
        let settings = settings(&Answer { rows, ..Answer::default() }, &NAMES, "", |_| None);
        let info = Found::all(vec![line("role", "slave"), line("master_host", "192.0.2.1")]);
        let found = links(&settings, &info).items;
        let all: Vec<_> = found.iter().map(|link| (link.outcome, link.remote, link.tls)).collect();
        let in_use = Outcome::Present;
        assert_eq!(all, [(in_use, Some(true), Some(false)), (in_use, Some(true), Some(true))]);
        let hidden = links(&settings, &Found::all(vec![])).items;
        assert_eq!(hidden.first().map(|link| link.outcome), Some(Outcome::NotProven));
    }

    #[test]
    fn a_setting_has_its_name_and_a_value() {
        let text = |text: &str| Value::Text(text.to_owned());
        let of = |value| setting("port", value);
        assert_eq!(of(Value::List(vec![text("port"), text("0")])).map(|rows| rows.len()), Some(1));
        assert_eq!(of(Value::List(Vec::new())), Some(Vec::new()));
        assert_eq!(of(text("PONG")), None);
        assert_eq!(of(Value::Null), None);
        assert_eq!(of(Value::List(vec![text("port")])), None);
        assert_eq!(of(Value::List(vec![text("bind"), text("0")])), None);
        assert_eq!(of(Value::List(vec![text("port"), Value::Null])), None);
    }

    proptest! {
        #[test]
        fn no_line_lets_a_hash_through(line in "user [a-z]{1,8}( (on|off|nopass|[+~#><!][a-z0-9@*]{1,8})){0,8}") {
            let row = user(&line).unwrap_or_default();
            let rights = row.get(4).cloned().flatten().unwrap_or_default();
            prop_assert!(!rights.contains(['#', '>', '<', '!']), "{rights}");
        }
    }
}
