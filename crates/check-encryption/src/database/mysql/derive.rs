//! From answers to facts.

use super::super::answers::{Answer, Answers, cipher_classes, settings};
use super::super::is_local;
use crate::facts::{
    DatabaseFlag, DatabaseSession, EmptyPassword, Found, MysqlAccount, MysqlFacts, MysqlPlugin, MysqlSessions, Outcome,
    StoredPassword, Tablespace, Transport,
};

/// Stands for what the server said first: its version.
pub(super) const GREETING: &str = "greeting";

/// Every question, in the order in which they are asked.
pub(super) const fn questions(mariadb: bool) -> [&'static str; 8] {
    if mariadb {
        [
            READ_ONLY,
            "SET SESSION max_statement_time = 10",
            SETTINGS,
            WHO,
            ACCOUNTS_MARIADB,
            TABLESPACES_MARIADB,
            SESSIONS,
            PLUGINS,
        ]
    } else {
        [
            READ_ONLY,
            "SET SESSION max_execution_time = 10000",
            SETTINGS,
            WHO,
            ACCOUNTS_MYSQL,
            TABLESPACES_MYSQL,
            SESSIONS,
            PLUGINS,
        ]
    }
}

const READ_ONLY: &str = "SET SESSION TRANSACTION READ ONLY";
const SETTINGS: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('aria_encrypt_tables', \
    'authentication_policy', 'bind_address', 'binlog_encryption', 'datadir', 'default_authentication_plugin', \
    'default_table_encryption', 'encrypt_binlog', 'encrypt_tmp_disk_tables', 'encrypt_tmp_files', 'have_ssl', \
    'innodb_encrypt_log', 'innodb_encrypt_tables', 'innodb_encrypt_temporary_tables', 'innodb_redo_log_encrypt', \
    'innodb_undo_log_encrypt', 'local_infile', 'log_bin', 'performance_schema', 'port', 'require_secure_transport', \
    'secure_file_priv', 'skip_grant_tables', 'skip_networking', 'ssl_ca', 'ssl_cipher', 'tls_ciphersuites', 'tls_version', 'version', \
    'version_ssl_library')";
/// As which account the server takes this session.
const WHO: &str = "SELECT CURRENT_USER()";
/// What it says where it looked at no account: MariaDB, MySQL.
const NOBODY: [&str; 2] = ["@", "skip-grants user@skip-grants host"];
/// Of what is stored of a password its kind alone leaves the server.
const ACCOUNTS_MARIADB: &str = "SELECT User, Host, JSON_VALUE(Priv, '$.plugin'), JSON_EXTRACT(Priv, \
    '$.auth_or[*].plugin'), COALESCE(JSON_VALUE(Priv, '$.ssl_type'), 0) > 0, COALESCE(JSON_VALUE(Priv, \
    '$.account_locked'), 0) IN ('1', 'true'), CASE WHEN COALESCE(JSON_VALUE(Priv, '$.authentication_string'), '') = '' \
    THEN NULL WHEN JSON_VALUE(Priv, '$.authentication_string') = 'invalid' THEN 'invalid' WHEN LEFT(JSON_VALUE(Priv, \
    '$.authentication_string'), 1) = '*' THEN 'sha1' WHEN LENGTH(JSON_VALUE(Priv, '$.authentication_string')) = 16 THEN \
    'old' ELSE 'other' END FROM mysql.global_priv WHERE COALESCE(JSON_VALUE(Priv, '$.is_role'), 0) NOT IN ('1', 'true') \
    ORDER BY 1, 2 LIMIT 5001";
const ACCOUNTS_MYSQL: &str = "SELECT User, Host, plugin, NULL, ssl_type <> '', account_locked = 'Y', CASE WHEN \
    COALESCE(authentication_string, '') = '' THEN NULL WHEN authentication_string LIKE '%THISISNOTAVALIDPASSWORD%' THEN \
    'invalid' WHEN LEFT(authentication_string, 1) = '*' THEN 'sha1' WHEN LEFT(authentication_string, 3) = '$A$' THEN \
    'sha256' ELSE 'other' END FROM mysql.user ORDER BY 1, 2 LIMIT 5001";
const TABLESPACES_MARIADB: &str = "SELECT s.NAME, e.ENCRYPTION_SCHEME, e.MIN_KEY_VERSION, e.ROTATING_OR_FLUSHING FROM \
    information_schema.INNODB_SYS_TABLESPACES s LEFT JOIN information_schema.INNODB_TABLESPACES_ENCRYPTION e ON e.SPACE = \
    s.SPACE ORDER BY 1 LIMIT 5001";
const TABLESPACES_MYSQL: &str = "SELECT NAME, CASE ENCRYPTION WHEN 'Y' THEN 1 ELSE 0 END, 1, 0 FROM \
    information_schema.INNODB_TABLESPACES ORDER BY 1 LIMIT 5001";
/// Threads without a peer are none: the scheduler of events, and a connection that nobody has logged in on yet.
const SESSIONS: &str = "SELECT PROCESSLIST_USER, PROCESSLIST_HOST, CONNECTION_TYPE, COUNT(*) FROM \
    performance_schema.threads WHERE TYPE = 'FOREGROUND' AND PROCESSLIST_ID IS NOT NULL AND PROCESSLIST_ID <> \
    CONNECTION_ID() AND NOT (CONNECTION_TYPE IS NULL AND (PROCESSLIST_USER IN ('event_scheduler', 'unauthenticated user') OR \
    (PROCESSLIST_USER IS NULL AND PROCESSLIST_HOST IS NULL))) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT 5001";
const PLUGINS: &str = "SELECT PLUGIN_NAME, PLUGIN_TYPE FROM information_schema.PLUGINS WHERE PLUGIN_STATUS = 'ACTIVE' AND \
    (PLUGIN_TYPE IN ('AUTHENTICATION', 'ENCRYPTION', 'PASSWORD VALIDATION') OR PLUGIN_NAME LIKE 'keyring%') ORDER BY 1 \
    LIMIT 5001";

/// The settings that are told; most exist in one of the two alone.
const NAMES: [&str; 30] = [
    "aria_encrypt_tables",
    "authentication_policy",
    "bind_address",
    "binlog_encryption",
    "datadir",
    "default_authentication_plugin",
    "default_table_encryption",
    "encrypt_binlog",
    "encrypt_tmp_disk_tables",
    "encrypt_tmp_files",
    "have_ssl",
    "innodb_encrypt_log",
    "innodb_encrypt_tables",
    "innodb_encrypt_temporary_tables",
    "innodb_redo_log_encrypt",
    "innodb_undo_log_encrypt",
    "local_infile",
    "log_bin",
    "performance_schema",
    "port",
    "require_secure_transport",
    "secure_file_priv",
    "skip_grant_tables",
    "skip_networking",
    "ssl_ca",
    "ssl_cipher",
    "tls_ciphersuites",
    "tls_version",
    "version",
    "version_ssl_library",
];

/// Plugins that ask the operating system who somebody is, and know no password.
const WITHOUT_PASSWORD: [&str; 4] = ["unix_socket", "auth_socket", "gssapi", "mysql_no_login"];
/// Plugins that compare with what is stored, and let an empty password in where nothing is.
const WITH_PASSWORD: [&str; 5] =
    ["", "mysql_native_password", "mysql_old_password", "caching_sha2_password", "sha256_password"];

/// What the answers say.
pub(super) fn facts(answers: &Answers) -> MysqlFacts {
    let version = answers.to(GREETING).one();
    let mariadb = version.as_ref().is_some_and(|version| version.contains("MariaDB"));
    let settings = settings(&answers.to(SETTINGS), &NAMES, "", |_| None);
    let value = |name: &str| settings.items.iter().find(|s| s.name == name).and_then(|s| s.value.clone());
    let schema = value("performance_schema");
    let (accounts, hint) = if mariadb {
        (ACCOUNTS_MARIADB, "grant the user SELECT on mysql.global_priv")
    } else {
        (ACCOUNTS_MYSQL, "grant the user SELECT on mysql.user")
    };
    let grant_tables_off = grant_tables_off(&answers.to(WHO), value("skip_grant_tables").as_deref());
    let mut accounts = self::accounts(&answers.to(accounts), hint);
    if grant_tables_off.outcome != Outcome::Absent {
        let why = grant_tables_off.why.as_deref().unwrap_or("the server runs without its grant tables");
        accounts = Found::some(accounts.items, why);
    }
    let nobody = DatabaseSession { transport: Transport::Tcp, user: None, method: None, tls: None };
    MysqlFacts {
        mariadb,
        session: answers.session.clone().unwrap_or(nobody),
        grant_tables_off,
        accounts,
        tablespaces: tablespaces(&answers.to(if mariadb { TABLESPACES_MARIADB } else { TABLESPACES_MYSQL })),
        sessions: sessions(&answers.to(SESSIONS), schema.as_deref()),
        plugins: answers
            .to(PLUGINS)
            .each("", |row| Some(MysqlPlugin { name: row.text(0)?, outcome: Outcome::Present, sort: row.text(1) })),
        version,
        ciphers: cipher_classes(&settings, "ssl_cipher"),
        settings,
    }
}

/// The session itself is the witness: the setting also stays on after the tables were loaded, and MySQL has none.
fn grant_tables_off(who: &Answer, setting: Option<&str>) -> DatabaseFlag {
    let of = |outcome, why: Option<String>| DatabaseFlag { outcome, why };
    match (who.one(), setting) {
        (Some(who), _) if NOBODY.contains(&who.as_str()) => of(Outcome::Present, None),
        (Some(_), Some("ON")) => {
            let why = "skip_grant_tables is on, and the session has an account; start the server without it";
            of(Outcome::NotProven, Some(why.to_owned()))
        }
        (Some(who), _) if who.contains('@') => of(Outcome::Absent, None),
        _ => {
            let why = who.error.clone();
            of(Outcome::NotProven, why.or_else(|| Some("the server does not say who is logged in".to_owned())))
        }
    }
}

fn accounts(answer: &Answer, hint: &str) -> Found<MysqlAccount> {
    answer.each(hint, |row| {
        let (user, host) = (row.text(0)?, row.text(1)?);
        let plugin = row.text(2);
        let alternatives: Vec<String> =
            row.text(3).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let (locked, stored) = (row.yes(5), row.text(6));
        let name = plugin.as_deref().unwrap_or_default();
        Some(MysqlAccount {
            name: format!("{user}@{host}"),
            outcome: Outcome::Present,
            remote: !is_local(&host),
            requires_tls: row.yes(4),
            locked,
            empty_password: empty_password(name, &alternatives, locked, stored.as_deref()),
            password: stored_password(name, &alternatives, stored),
            user,
            host,
            plugin,
            alternatives,
        })
    })
}

fn known(alternatives: &[String]) -> bool {
    alternatives.iter().all(|plugin| WITHOUT_PASSWORD.contains(&plugin.as_str()))
}

fn empty_password(plugin: &str, alternatives: &[String], locked: bool, stored: Option<&str>) -> EmptyPassword {
    let of = |outcome, why: Option<String>| EmptyPassword { outcome, why };
    if locked {
        return of(Outcome::Absent, None);
    }
    if WITH_PASSWORD.contains(&plugin) && stored.is_none() {
        return of(Outcome::Present, None);
    }
    if !known(alternatives) {
        let why = "it may also log in by another method, whose password is not looked at";
        return of(Outcome::NotProven, Some(why.to_owned()));
    }
    if stored.is_some() || WITHOUT_PASSWORD.contains(&plugin) {
        return of(Outcome::Absent, None);
    }
    of(Outcome::NotProven, Some(format!("what the plugin '{plugin}' does without a stored password is not known")))
}

fn stored_password(plugin: &str, alternatives: &[String], stored: Option<String>) -> StoredPassword {
    let of = |outcome, why: Option<String>, kind| StoredPassword { outcome, why, kind, iterations: None };
    if !known(alternatives) {
        let why = "it may also log in by another method, whose password is not looked at";
        return of(Outcome::NotProven, Some(why.to_owned()), None);
    }
    match stored.as_deref() {
        None | Some("invalid") => of(Outcome::Absent, None, None),
        _ if WITHOUT_PASSWORD.contains(&plugin) => of(Outcome::Absent, None, None),
        Some("other") if plugin == "ed25519" => of(Outcome::Present, None, Some("ed25519".to_owned())),
        _ => of(Outcome::Present, None, stored),
    }
}

fn tablespaces(answer: &Answer) -> Found<Tablespace> {
    answer.each("grant the user PROCESS", |row| {
        let (outcome, why) = match (row.number(1), row.number(2), row.number(3)) {
            (Some(1), Some(1..), Some(0)) => (Outcome::Present, None),
            (None | Some(0), ..) => (Outcome::Absent, None),
            _ => (Outcome::NotProven, Some("it is being encrypted or decrypted".to_owned())),
        };
        Some(Tablespace { name: row.text(0)?, outcome, why })
    })
}

fn sessions(answer: &Answer, schema: Option<&str>) -> Found<MysqlSessions> {
    if schema != Some("ON") {
        let why = "sessions are told by the performance schema, which is off; switch performance_schema on, or look at \
                   what the accounts must use";
        return Found::some(Vec::new(), why);
    }
    answer.each("grant the user SELECT on performance_schema.threads", |row| {
        let (user, host, how) = (row.text(0), row.text(1), row.text(2));
        let tls = match how.as_deref() {
            Some("SSL/TLS") => Some(true),
            Some("TCP/IP" | "Socket" | "Named Pipe" | "Shared Memory") => Some(false),
            _ => None,
        };
        let local = how.as_deref() == Some("Socket") || host.as_deref().is_some_and(is_local);
        Some(MysqlSessions {
            name: format!(
                "{} from {}",
                user.as_deref().unwrap_or("somebody"),
                host.as_deref().unwrap_or("an unknown host")
            ),
            outcome: if tls.is_some() { Outcome::Present } else { Outcome::NotProven },
            why: tls.is_none().then(|| "the server does not say how it is connected".to_owned()),
            count: row.number(3).and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
            user,
            host,
            remote: !local,
            tls,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_without_an_account() {
        let of = |who: &str, setting| {
            let rows = vec![vec![Some(who.to_owned())]];
            grant_tables_off(&Answer { rows, ..Answer::default() }, setting).outcome
        };
        assert_eq!(of("@", Some("ON")), Outcome::Present);
        assert_eq!(of("@", None), Outcome::Present);
        assert_eq!(of("skip-grants user@skip-grants host", None), Outcome::Present);
        assert_eq!(of("audit@%", Some("ON")), Outcome::NotProven);
        assert_eq!(of("audit@%", Some("OFF")), Outcome::Absent);
        // The anonymous account.
        assert_eq!(of("@localhost", None), Outcome::Absent);
        assert_eq!(of("?", None), Outcome::NotProven);
        let refused = Answer { error: Some("denied".to_owned()), ..Answer::default() };
        assert_eq!(grant_tables_off(&refused, None).outcome, Outcome::NotProven);
    }
}
