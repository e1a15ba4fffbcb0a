//! From answers to facts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::answers::{Answer, Answers, Row, cipher_classes, settings};
use super::super::is_local;
use crate::facts::{
    DatabaseSession, Extension, Found, Hba, HbaRule, IdentMapping, Outcome, PostgresqlFacts, PostgresqlRole,
    PostgresqlSessions, Reach, StoredPassword, Transport,
};

/// Every question, in the order in which they are asked. Each is one statement that only reads the catalogue.
pub(super) const QUESTIONS: [&str; 9] = [SETTINGS, HBA, HBA_FILE, HBA_BARE, IDENT, SESSIONS, ROLES, HASHES, EXTENSIONS];

const SETTINGS: &str = "select name, setting, source, pending_restart from pg_settings where name in ('data_checksums', \
                        'data_directory', 'hba_file', 'listen_addresses', 'log_connections', 'log_disconnections', \
                        'log_statement', 'logging_collector', 'password_encryption', 'scram_iterations', \
                        'server_version', 'server_version_num', 'ssl', 'ssl_ca_file', 'ssl_ciphers', 'ssl_ecdh_curve', \
                        'ssl_groups', 'ssl_max_protocol_version', 'ssl_min_protocol_version', \
                        'ssl_prefer_server_ciphers', 'ssl_tls13_ciphers')";
const HBA: &str = "select line_number, type, to_json(database), to_json(user_name), address, netmask, auth_method, \
                   to_json(options), error from pg_hba_file_rules order by line_number limit 5001";
/// Anybody may set a time of modification; that of the last change is the system's own (not on Windows, where it is null).
const HBA_FILE: &str = "select greatest(modification, change) > pg_conf_load_time() from \
                        pg_stat_file(current_setting('hba_file'))";
const IDENT: &str = "select line_number, map_name, sys_name, pg_username, error from pg_ident_file_mappings order by \
                     line_number limit 5001";
/// Lines with a reject and without quotes: the view shows `"all"`, a database of that name, as it shows `all`. None where
/// lines go on behind their end or other files are included, which would move their numbers. No text of the file leaves
/// the server.
const HBA_BARE: &str = "select n from (select pg_read_file(current_setting('hba_file')) as text) f, \
                        regexp_split_to_table(f.text, chr(10)) with ordinality as lines (line, n) where position(chr(92) in \
                        f.text) = 0 and f.text !~* ('(^|' || chr(10) || ')[[:space:]]*include') and line ~ 'reject' and line \
                        !~ '[\"@]' order by n limit 5001";
const SESSIONS: &str = "select a.usename, a.datname, host(a.client_addr), a.backend_type, s.ssl, s.version, s.cipher, \
                        count(*) from pg_stat_activity a left join pg_stat_ssl s using (pid) where a.pid <> \
                        pg_backend_pid() and (a.backend_type is null or a.backend_type in ('client backend', \
                        'walsender')) group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7 limit 5001";
const ROLES: &str = "select rolname, rolsuper, case when isfinite(rolvaliduntil) then to_char(rolvaliduntil, \
                     'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') end from pg_roles where rolcanlogin order by 1 limit 5001";
/// The stored bytes never leave the server: their kind alone does.
const HASHES: &str = "select rolname, case when rolpassword is null then null when rolpassword like 'SCRAM-SHA-256$%' \
                      then 'scram-sha-256' when rolpassword ~ '^md5[0-9a-f]{32}$' then 'md5' else 'other' end, \
                      substring(rolpassword from '^SCRAM-SHA-256\\$([0-9]+):') from pg_authid where rolcanlogin order by \
                      1 limit 5001";
const EXTENSIONS: &str = "select extname, extversion from pg_extension order by 1 limit 5001";

/// The settings that are told.
const NAMES: [&str; 21] = [
    "data_checksums",
    "data_directory",
    "hba_file",
    "listen_addresses",
    "log_connections",
    "log_disconnections",
    "log_statement",
    "logging_collector",
    "password_encryption",
    "scram_iterations",
    "server_version",
    "server_version_num",
    "ssl",
    "ssl_ca_file",
    "ssl_ciphers",
    "ssl_ecdh_curve",
    "ssl_groups",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "ssl_prefer_server_ciphers",
    "ssl_tls13_ciphers",
];
/// Those that only some users are shown.
const HIDDEN: [&str; 2] = ["data_directory", "hba_file"];

/// What the answers say.
pub(super) fn facts(answers: &Answers) -> PostgresqlFacts {
    let reads = "grant the user pg_read_all_settings";
    let hidden = |name: &str| HIDDEN.contains(&name).then(|| format!("it is not shown to this user; {reads}"));
    let settings = settings(&answers.to(SETTINGS), &NAMES, reads, hidden);
    let version = settings.items.iter().find(|s| s.name == "server_version").and_then(|s| s.value.clone());
    let nobody = DatabaseSession { transport: Transport::Tcp, user: None, method: None, tls: None };
    let rules = rules(&answers.to(HBA), &bare(&answers.to(HBA_BARE)));
    PostgresqlFacts {
        version,
        session: answers.session.clone().unwrap_or(nobody),
        hba: Hba {
            changed_since_loaded: answers.to(HBA_FILE).one().map(|word| word == "t"),
            mappings: mappings(&answers.to(IDENT), &rules),
            rules,
        },
        ciphers: cipher_classes(&settings, "ssl_ciphers"),
        settings,
        sessions: sessions(&answers.to(SESSIONS)),
        roles: roles(&answers.to(ROLES), &answers.to(HASHES)),
        extensions: answers
            .to(EXTENSIONS)
            .each("", |row| Some(Extension { name: row.text(0)?, outcome: Outcome::Present, version: row.text(1) })),
    }
}

/// The names of rules whose line bears no quotes.
fn bare(answer: &Answer) -> BTreeSet<String> {
    let lines = answer.each("", |row| Some(format!("line {}", row.text(0)?)));
    lines.items.into_iter().collect()
}

fn rules(answer: &Answer, bare: &BTreeSet<String>) -> Found<HbaRule> {
    let hint =
        "grant the user SELECT on pg_hba_file_rules and EXECUTE on pg_hba_file_rules(), or connect as a superuser";
    let mut found = answer.each(hint, |row| {
        let error = row.text(8);
        let address = row.text(4);
        Some(HbaRule {
            name: format!("line {}", row.text(0)?),
            outcome: if error.is_some() { Outcome::NotProven } else { Outcome::Present },
            why: error.map(|error| format!("the server can't read the line: {error}")),
            connection: row.text(1),
            databases: list(row, 2),
            users: list(row, 3),
            remote: address.as_deref().is_some_and(|address| reaches_beyond(address, row.text(5).as_deref())),
            address,
            netmask: row.text(5),
            method: row.text(6),
            options: list(row, 7).into_iter().map(without_secret).collect(),
            without_encryption: Some(matches!(row.text(1).as_deref(), Some("host" | "hostnossl" | "hostnogssenc"))),
        })
    });
    let mut rejected: Vec<HbaRule> = Vec::new();
    for rule in found.items.iter_mut().filter(|rule| rule.without_encryption == Some(true)) {
        let reject = (rule.method.as_deref() == Some("reject")).then(|| rule.clone());
        let mut covering = rejected.iter().filter(|earlier| covers(earlier, rule)).peekable();
        if covering.peek().is_some() {
            let told = covering.any(|earlier| bare.contains(&earlier.name) || !has_key_word(earlier));
            rule.without_encryption = if told { Some(false) } else { None };
        }
        rejected.extend(reject);
    }
    found
}

/// Whether a rule holds a word that means something else in quotes.
fn has_key_word(rule: &HbaRule) -> bool {
    let word = |name: &String| {
        matches!(name.as_str(), "all" | "sameuser" | "samerole" | "samegroup" | "replication")
            || name.starts_with(['+', '/'])
    };
    rule.databases.iter().chain(&rule.users).any(word) || rule.address.as_deref() == Some("all")
}

/// Whether a rule applies to every connection without encryption that the later one applies to.
fn covers(earlier: &HbaRule, later: &HbaRule) -> bool {
    let all = |list: &[String], of: &[String]| list.iter().any(|name| name == "all") || list == of;
    // `all` databases do not include replication.
    let replication = |rule: &HbaRule| rule.databases.iter().any(|name| name == "replication");
    let address = earlier.address.as_deref() == Some("all")
        || (earlier.address == later.address && earlier.netmask == later.netmask);
    address
        && all(&earlier.databases, &later.databases)
        && all(&earlier.users, &later.users)
        && (!replication(later) || replication(earlier))
}

/// The mappings of `pg_ident.conf`.
fn mappings(answer: &Answer, rules: &Found<HbaRule>) -> Found<IdentMapping> {
    let used: BTreeSet<&str> =
        rules.items.iter().flat_map(|rule| &rule.options).filter_map(|option| option.strip_prefix("map=")).collect();
    answer.each("connect as a superuser of release 15 or later, or name no maps", |row| {
        let error = row.text(4);
        let (map, system_user, role) = (row.text(1), row.text(2), row.text(3));
        Some(IdentMapping {
            name: format!("line {}", row.text(0)?),
            outcome: if error.is_some() { Outcome::NotProven } else { Outcome::Present },
            why: error.map(|error| format!("the server can't read the line: {error}")),
            used: map.as_deref().is_none_or(|map| used.contains(map)),
            reach: system_user.as_deref().map_or(Reach::Pattern, reach),
            own_role: role.as_deref().is_some_and(|role| role.contains("\\1")),
            map,
            system_user,
            role,
        })
    })
}

/// For whom a system user's name in `pg_ident.conf` stands. What is left of a regular expression without anchors,
/// parentheses, dots and repetitions says nothing of names.
fn reach(name: &str) -> Reach {
    match name.strip_prefix('/') {
        None => Reach::One,
        Some(expression) if expression.chars().all(|c| "^$().*+?|".contains(c)) => Reach::Any,
        Some(_) => Reach::Pattern,
    }
}

fn list(row: &Row<'_>, column: usize) -> Vec<String> {
    row.text(column).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
}

/// An option without its value where that is a secret (`ldapbindpasswd`, `radiussecrets`).
fn without_secret(option: String) -> String {
    match option.split_once('=') {
        Some((name, _)) if name.contains("passwd") || name.contains("secret") || name.contains("password") => {
            format!("{name}=[redacted]")
        }
        _ => option,
    }
}

/// Whether an address of a rule holds others than this machine's loopback. Names may be anything.
fn reaches_beyond(address: &str, mask: Option<&str>) -> bool {
    if address == "samehost" {
        return false;
    }
    let whole = match mask.map(str::parse::<IpAddr>) {
        None => true,
        Some(Ok(IpAddr::V4(mask))) => mask.octets().first() == Some(&255),
        Some(Ok(IpAddr::V6(mask))) => mask.octets() == [255; 16],
        Some(Err(_)) => false,
    };
    !(whole && is_local(address) && address.parse::<IpAddr>().is_ok())
}

fn sessions(answer: &Answer) -> Found<PostgresqlSessions> {
    answer.each("grant the user pg_monitor", |row| {
        let (user, address, backend) = (row.text(0), row.text(2), row.text(3));
        let hidden = backend.is_none() || row.text(4).is_none();
        Some(PostgresqlSessions {
            name: format!(
                "{} from {}",
                user.as_deref().unwrap_or("somebody"),
                if hidden { "a hidden address" } else { address.as_deref().unwrap_or("a socket") }
            ),
            outcome: if hidden { Outcome::NotProven } else { Outcome::Present },
            why: hidden.then(|| "the server hides other users' sessions; grant the user pg_monitor".to_owned()),
            count: row.number(7).and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
            user,
            database: row.text(1),
            remote: address.as_deref().is_some_and(|address| !is_local(address)),
            address,
            tls: (!hidden).then(|| row.yes(4)),
            version: row.text(5),
            cipher: row.text(6),
        })
    })
}

fn roles(roles: &Answer, hashes: &Answer) -> Found<PostgresqlRole> {
    let kinds = hashes.each("connect as a superuser, or grant the user SELECT on pg_authid", |row| {
        Some((row.text(0)?, row.text(1), row.number(2)))
    });
    roles.each("", |row| {
        let name = row.text(0)?;
        let kind = kinds.items.iter().find(|(of, ..)| *of == name);
        let password = match kind {
            None => StoredPassword {
                outcome: Outcome::NotProven,
                why: kinds.why.clone().or_else(|| Some("the role appeared meanwhile".to_owned())),
                kind: None,
                iterations: None,
            },
            Some((_, kind, iterations)) => StoredPassword {
                outcome: if kind.is_some() { Outcome::Present } else { Outcome::Absent },
                why: None,
                kind: kind.clone(),
                iterations: *iterations,
            },
        };
        Some(PostgresqlRole {
            name,
            outcome: Outcome::Present,
            superuser: row.yes(1),
            valid_until: row.text(2),
            password,
        })
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    fn rule(connection: &str, databases: &str, address: &str, mask: &str, method: &str) -> Vec<Option<String>> {
        let cell = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let row = ["1", connection, databases, r#"["all"]"#, address, mask, method, "", ""];
        row.map(cell).to_vec()
    }

    /// Whether each rule lets in without encryption, and from elsewhere. `bare` are the lines that bear no quotes.
    fn flags_with(rows: Vec<Vec<Option<String>>>, bare: &[&str]) -> Vec<(Option<bool>, bool)> {
        let bare = bare.iter().map(|line| (*line).to_owned()).collect();
        let found = rules(&Answer { rows, ..Answer::default() }, &bare);
        found.items.iter().map(|rule| (rule.without_encryption, rule.remote)).collect()
    }

    fn flags(rows: Vec<Vec<Option<String>>>) -> Vec<(Option<bool>, bool)> {
        flags_with(rows, &["line 1"])
    }

    #[test]
    fn what_a_rule_applies_to() {
        let all = r#"["all"]"#;
        let found = flags(vec![
            rule("local", all, "", "", "peer"),
            rule("host", all, "127.0.0.1", "255.255.255.255", "md5"),
            rule("host", all, "127.0.0.0", "0.0.0.0", "md5"),
            rule("host", all, "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "md5"),
            rule("host", all, "samehost", "", "md5"),
            rule("hostssl", all, "10.0.0.0", "255.0.0.0", "md5"),
            rule("host", all, "localhost", "", "md5"),
        ]);
        let wanted =
            [(false, false), (true, false), (true, true), (true, false), (true, false), (false, true), (true, true)];
        assert_eq!(found, wanted.map(|(clear, remote)| (Some(clear), remote)));
    }

    #[test]
    fn a_rule_that_rejects_hides_later_ones() {
        let (all, replication) = (r#"["all"]"#, r#"["replication"]"#);
        let later = |databases: &str| rule("host", databases, "10.0.0.0", "255.0.0.0", "scram-sha-256");
        let reject = rule("hostnossl", all, "all", "", "reject");
        assert_eq!(flags(vec![reject.clone(), later(all)])[1].0, Some(false));
        // Replication is no database.
        assert_eq!(flags(vec![reject.clone(), later(replication)])[1].0, Some(true));
        // Too late.
        assert_eq!(flags(vec![later(all), reject])[0].0, Some(true));
        assert_eq!(flags(vec![rule("hostssl", all, "all", "", "reject"), later(all)])[1].0, Some(true));
    }

    #[test]
    fn a_reject_in_quotes_may_be_of_one_database() {
        let all = r#"["all"]"#;
        let later = rule("host", all, "10.0.0.0", "255.0.0.0", "scram-sha-256");
        let reject = rule("hostnossl", all, "all", "", "reject");
        assert_eq!(flags_with(vec![reject, later.clone()], &[])[1].0, None, "its line was not read, or bears quotes");
        // Without a key word, quotes change nothing.
        let mut named = rule("hostnossl", r#"["app"]"#, "10.0.0.0", "255.0.0.0", "reject");
        named[3] = Some(r#"["anna"]"#.to_owned());
        let mut of_app = rule("host", r#"["app"]"#, "10.0.0.0", "255.0.0.0", "scram-sha-256");
        of_app[3] = Some(r#"["anna"]"#.to_owned());
        assert_eq!(flags_with(vec![named, of_app], &[])[1].0, Some(false));
    }

    #[test]
    fn whom_a_mapping_is_for() {
        let of = ["/^.*$", "/.*", "/^(.+)$", "/^(.*)@example\\.org$", "anna", "/"].map(reach);
        assert_eq!(of, [Reach::Any, Reach::Any, Reach::Any, Reach::Pattern, Reach::One, Reach::Any]);
        let mut peer = rule("local", r#"["all"]"#, "", "", "peer");
        peer[7] = Some(r#"["map=any"]"#.to_owned());
        let rules = rules(&Answer { rows: vec![peer], ..Answer::default() }, &BTreeSet::new());
        let row = |map: &str, role: &str| ["3", map, "/^(.*)$", role].map(|cell| Some(cell.to_owned())).to_vec();
        let answer = Answer { rows: vec![row("any", "postgres"), row("b", "\\1")], ..Answer::default() };
        let found = mappings(&answer, &rules).items;
        assert_eq!((found[0].used, found[0].own_role, found[0].reach), (true, false, Reach::Any));
        assert_eq!((found[1].used, found[1].own_role), (false, true));
    }

    #[test]
    fn options_that_hold_secrets() {
        assert_eq!(without_secret("ldapbindpasswd=hunter2".into()), "ldapbindpasswd=[redacted]");
        assert_eq!(without_secret("radiussecrets=hunter2".into()), "radiussecrets=[redacted]");
        assert_eq!(without_secret("map=m".into()), "map=m");
    }
}
