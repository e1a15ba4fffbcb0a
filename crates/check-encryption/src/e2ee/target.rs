//! What the inventory says of payloads that are encrypted end to end.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use super::drill::MARKER;
pub use super::drill::{Canary, Method, Read, Request, Write};

/// Payloads that only their readers' devices can decrypt: where they lie on the server's side, and what they should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct E2eeTarget {
    /// Where they are stored; every place where the server has them.
    pub store: Vec<Store>,
    /// The formats that they are in; without any, all known containers count.
    #[serde(default)]
    pub framing: Vec<Framing>,
    /// Payloads looked at in each store, 300 by default.
    #[serde(default)]
    pub samples: Option<u32>,
    /// Where in a JSON record the payload is: `$.content.ciphertext`.
    #[serde(default)]
    pub field: Option<String>,
    /// Who may be able to decrypt.
    #[serde(default)]
    pub recipients: Option<Allowed>,
    /// The drill; without it none is done.
    #[serde(default)]
    pub canary: Option<Canary>,
}

/// One place where payloads lie; exactly one of `folder`, `sql` and `http`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// What it is called in the report.
    pub name: Option<String>,
    /// Files, each a payload.
    pub folder: Option<Folder>,
    /// Rows of a table.
    pub sql: Option<Sql>,
    /// What an interface of the server gives.
    pub http: Option<Http>,
}

/// Files below a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// The folder.
    pub path: String,
    /// Names of the files that are payloads, `*` for anything; all by default.
    #[serde(default)]
    pub pattern: Option<String>,
}

/// A column of a table. Exactly one of `postgresql`, `mysql` and `sqlite`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// A connection string of libpq, without a password: `host=/run/postgresql dbname=chat user=audit`.
    #[serde(default)]
    pub postgresql: Option<String>,
    /// MySQL or MariaDB: `socket=/run/mysqld/mysqld.sock user=audit database=chat`, or with `host=` and `port=`.
    #[serde(default)]
    pub mysql: Option<String>,
    /// A file of SQLite.
    #[serde(default)]
    pub sqlite: Option<String>,
    /// The password, as a reference.
    #[serde(default)]
    pub password: Option<String>,
    /// The table, with its schema where it has one.
    pub table: String,
    /// The column that holds the payload.
    pub column: String,
}

/// What a GET gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Its URL.
    pub url: String,
    /// A whole header line, such as `Authorization: Bearer …`, as a reference.
    #[serde(default)]
    pub header: Option<String>,
    /// Where in the JSON that comes the list of records is: `$.messages`; without it the whole body is one payload.
    #[serde(default)]
    pub list: Option<String>,
    /// The answer is all there is, and no page of it: without this, fewer records than bound the share prove nothing.
    #[serde(default)]
    pub complete: bool,
}

/// A format of encrypted payloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// <https://age-encryption.org/v1>.
    Age,
    /// RFC 9580, RFC 4880.
    Openpgp,
    /// RFC 7516.
    Jwe,
    /// RFC 9052.
    Cose,
    /// RFC 5652, RFC 5083.
    Cms,
    /// Matrix rooms.
    Megolm,
    /// Matrix, between two devices.
    Olm,
    /// RFC 9420.
    Mls,
    /// Messages of the Double Ratchet as Signal writes them.
    Signal,
    /// XEP-0384.
    Omemo,
    /// `crypto_secretstream_xchacha20poly1305`: a header of 24 bytes, 17 more for each part.
    Secretstream,
    /// `crypto_secretbox`: a nonce of 24 bytes, then 16 more than the text.
    Secretbox,
    /// `crypto_box_seal`: a key of 32 bytes, then 16 more than the text.
    SealedBox,
    /// The service's own: so many bytes of header (version, nonce), then ciphertext.
    Opaque {
        /// Bytes before the ciphertext.
        header: u32,
    },
}

impl Framing {
    /// As it stands in facts.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Openpgp => "openpgp",
            Self::Jwe => "jwe",
            Self::Cose => "cose",
            Self::Cms => "cms",
            Self::Megolm => "megolm",
            Self::Olm => "olm",
            Self::Mls => "mls",
            Self::Signal => "signal",
            Self::Omemo => "omemo",
            Self::Secretstream => "secretstream",
            Self::Secretbox => "secretbox",
            Self::SealedBox => "sealed_box",
            Self::Opaque { .. } => "opaque",
        }
    }
}

/// Who may be able to decrypt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allowed {
    /// Key ids, `kid`s, serial numbers, or sorts such as `X25519`, as containers name them.
    pub known: Vec<String>,
    /// Most recipients of a payload whose keys are not told apart.
    pub most: Option<u32>,
}

/// An URL without its query, which may say more than is to be shown.
pub(super) fn bare(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// Whether something can be asked of an URL with that header.
pub(super) fn of_request(url: &str, header: Option<&str>) -> Result<(), &'static str> {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err("its URL is none of http or https");
    }
    if url.split('/').nth(2).is_some_and(|authority| authority.contains('@')) {
        return Err("a password in an URL would be shown; give it as 'header'");
    }
    // The inventory and the evidence keep the whole URL.
    let query = url.split_once(['?', '#']).map(|(_, query)| query.to_ascii_lowercase()).unwrap_or_default();
    let tells = query.split(['&', ';', '#', '?']).any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        value.len() > 24 || SECRET.iter().any(|word| name.contains(word))
    });
    if tells {
        return Err("a token in an URL's query would be kept in the evidence; give it as 'header'");
    }
    secret(header)
}

/// Names of parameters whose values are secrets, or parts of such names.
const SECRET: [&str; 12] =
    ["token", "key", "secret", "passw", "pwd", "auth", "sig", "session", "credential", "jwt", "code", "ticket"];

fn secret(reference: Option<&str>) -> Result<(), &'static str> {
    if reference.is_some_and(|r| !["env:", "file:", "cmd:"].iter().any(|p| r.starts_with(p))) {
        return Err("a secret must be a reference: env:NAME, file:PATH or cmd:PROGRAM ARGUMENTS");
    }
    Ok(())
}

impl Store {
    /// What it is called, and where it is.
    pub(crate) fn title(&self) -> String {
        let place = match (&self.folder, &self.sql, &self.http) {
            (Some(folder), ..) => folder.path.clone(),
            (_, Some(sql), _) => format!("{}.{}", sql.table, sql.column),
            (.., Some(http)) => bare(&http.url).to_owned(),
            _ => String::new(),
        };
        self.name.clone().unwrap_or(place)
    }

    /// The sort, as it stands in facts.
    pub(crate) fn source(&self) -> &'static str {
        match (&self.folder, &self.sql) {
            (Some(_), _) => "folder",
            (_, Some(sql)) if sql.postgresql.is_some() => "postgresql",
            (_, Some(sql)) if sql.mysql.is_some() => "mysql",
            (_, Some(_)) => "sqlite",
            _ => "http",
        }
    }
}

impl E2eeTarget {
    /// Whether it can be looked at.
    ///
    /// # Errors
    /// The field that is wrong, and what is wrong with it.
    pub fn check(&self) -> Result<(), (String, String)> {
        let wrong = |field: String, why: &str| Err((field, why.to_owned()));
        if self.store.is_empty() {
            return wrong("store".into(), "no store is named: nothing would be looked at");
        }
        let mut names: Vec<String> = Vec::new();
        for (at, store) in self.store.iter().enumerate() {
            let place = |field: &str| format!("store[{at}]{field}");
            let sorts = [store.folder.is_some(), store.sql.is_some(), store.http.is_some()];
            if sorts.iter().filter(|s| **s).count() != 1 {
                return wrong(place(""), "a store is one of 'folder', 'sql' and 'http'");
            }
            if let Some(sql) = &store.sql {
                let sorts = [sql.postgresql.is_some(), sql.mysql.is_some(), sql.sqlite.is_some()];
                if sorts.iter().filter(|s| **s).count() != 1 {
                    return wrong(place(".sql"), "name one of 'postgresql', 'mysql' and 'sqlite'");
                }
                let text = format!(
                    "{} {}",
                    sql.postgresql.as_deref().unwrap_or_default(),
                    sql.mysql.as_deref().unwrap_or_default()
                );
                if text.contains("password") || text.contains("://") && text.contains('@') {
                    return wrong(place(".sql"), "a password is a reference of its own: 'password: file:PATH'");
                }
            }
            if let Some(http) = &store.http {
                of_request(&http.url, http.header.as_deref()).or_else(|why| wrong(place(".http"), why))?;
            }
            let password = store.sql.as_ref().and_then(|sql| sql.password.as_deref());
            secret(password).or_else(|why| wrong(place(".sql.password"), why))?;
            let title = store.title();
            if names.contains(&title) {
                return wrong(place(""), "two stores have the same name; give one of them another with 'name'");
            }
            names.push(title);
        }
        match self.samples {
            Some(0) => return wrong("samples".into(), "nothing would be looked at; write 1 or more"),
            Some(n) if n > 10_000 => return wrong("samples".into(), "at most 10000"),
            _ => {}
        }
        if self.field.as_ref().is_some_and(|f| super::field::steps(f).is_none()) {
            return wrong("field".into(), "this is no path such as $.content.ciphertext or $.parts[0].body");
        }
        self.canary.as_ref().map_or(Ok(()), Canary::check)
    }

    /// The same with paths relative to a folder.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        let folder = std::path::absolute(folder).or_else(|_| std::env::current_dir()).unwrap_or_default();
        let join = |path: &mut String| *path = folder.join(path.as_str()).display().to_string();
        let secret = |reference: &mut String| *reference = probe::secret_beside(&folder, reference);
        for store in &mut self.store {
            store.folder.iter_mut().for_each(|f| join(&mut f.path));
            store.sql.iter_mut().flat_map(|s| &mut s.sqlite).for_each(join);
            store.sql.iter_mut().flat_map(|s| &mut s.password).for_each(secret);
            store.http.iter_mut().flat_map(|h| &mut h.header).for_each(secret);
        }
        self.canary.iter_mut().flat_map(|c| &mut c.control).for_each(join);
        self.canary.iter_mut().flat_map(Canary::headers).for_each(secret);
        self
    }

    /// Where the payloads are, in words.
    #[must_use]
    pub fn location(&self) -> String {
        let stores: Vec<String> = self.store.iter().map(Store::title).collect();
        stores.join(", ")
    }
}
