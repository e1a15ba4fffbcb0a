//! What the inventory says of the drill.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::{Http, bare, of_request};

/// What stands for the marker in the body of a request.
pub(crate) const MARKER: &str = "{marker}";

/// The drill: a marker that nobody can guess is sent through a client, and looked for in every store. It runs only where the
/// command line says `--allow-commands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The client that sends the marker.
    pub write: Write,
    /// Another client, which gives what arrived.
    #[serde(default)]
    pub read: Option<Read>,
    /// Seconds until all stores have it, 2 by default.
    #[serde(default)]
    pub wait: Option<u32>,
    /// A file inside a store that the drill may write: another marker, which the search must find there.
    #[serde(default)]
    pub control: Option<String>,
}

/// What sends the marker: a command, or an HTTP API of the client (not of the server: it must be the one that encrypts).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "this is neither a command ([PROGRAM, ARGUMENT]) nor 'http: { url, method, header, content_type, body }'"
)]
pub enum Write {
    /// Program and arguments of a client that sends what it reads from its standard input.
    Command(Vec<String>),
    /// A request.
    Http {
        /// The API.
        http: Request,
    },
}

/// What gives back what arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "this is neither a command ([PROGRAM, ARGUMENT]) nor 'http: { url, header }'")]
pub enum Read {
    /// Program and arguments of a client that prints it.
    Command(Vec<String>),
    /// A GET of another client's API, whose answer has it.
    Http {
        /// The API.
        http: Http,
    },
}

/// A request that sends the marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its URL.
    pub url: String,
    /// `POST` by default.
    #[serde(default)]
    pub method: Method,
    /// A whole header line, such as `Authorization: Bearer …`, as a reference.
    #[serde(default)]
    pub header: Option<String>,
    /// `text/plain` by default.
    #[serde(default)]
    pub content_type: Option<String>,
    /// What is sent, with the marker in the place of each `{marker}`; the marker alone by default.
    #[serde(default)]
    pub body: Option<String>,
}

/// A method of HTTP that sends something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// RFC 9110, section 9.3.3.
    #[default]
    Post,
    /// RFC 9110, section 9.3.4.
    Put,
}

impl Method {
    /// As it stands in a request.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

impl Canary {
    /// The commands and requests, for people. Nothing secret is in them.
    pub(crate) fn steps(&self) -> Vec<String> {
        let write = match &self.write {
            Write::Command(argv) => argv.join(" "),
            Write::Http { http } => format!("{} {}", http.method.name(), bare(&http.url)),
        };
        let read = self.read.as_ref().map(|read| match read {
            Read::Command(argv) => argv.join(" "),
            Read::Http { http } => format!("GET {}", bare(&http.url)),
        });
        [Some(write), read].into_iter().flatten().collect()
    }

    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let wrong = |field: &str, why: &str| Err((format!("canary.{field}"), why.to_owned()));
        match &self.write {
            Write::Command(argv) if argv.is_empty() => return wrong("write", "no command is named"),
            Write::Command(_) => {}
            Write::Http { http } => {
                of_request(&http.url, http.header.as_deref()).or_else(|why| wrong("write.http", why))?;
                if http.body.as_ref().is_some_and(|body| !body.contains(MARKER)) {
                    return wrong("write.http.body", "the marker has no place in it; write {marker} where it belongs");
                }
                if http.content_type.as_ref().is_some_and(|t| t.is_empty() || t.contains(char::is_control)) {
                    return wrong("write.http.content_type", "this is no media type such as application/json");
                }
            }
        }
        match &self.read {
            Some(Read::Command(argv)) if argv.is_empty() => wrong("read", "no command is named"),
            Some(Read::Http { http }) if http.list.is_some() => {
                wrong("read.http", "the marker may be anywhere in the answer; leave 'list' out")
            }
            Some(Read::Http { http }) => {
                of_request(&http.url, http.header.as_deref()).or_else(|why| wrong("read.http", why))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn headers(&mut self) -> impl Iterator<Item = &mut String> {
        let write = match &mut self.write {
            Write::Http { http } => http.header.as_mut(),
            Write::Command(_) => None,
        };
        let read = match &mut self.read {
            Some(Read::Http { http }) => http.header.as_mut(),
            _ => None,
        };
        write.into_iter().chain(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use crate::e2ee::target::E2eeTarget;

    fn target(canary: &str) -> Result<E2eeTarget, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{ "store": [{{ "folder": {{ "path": "/srv" }} }}], "canary": {canary} }}"#))
    }

    #[test]
    fn what_a_drill_may_be() {
        let at = r#""url": "http://localhost/send""#;
        for (canary, field) in [
            (r#"{ "write": ["send"], "read": ["receive"] }"#.to_owned(), ""),
            (format!(r#"{{ "write": {{ "http": {{ {at} }} }}, "read": {{ "http": {{ {at} }} }} }}"#), ""),
            (format!(r#"{{ "write": {{ "http": {{ {at}, "method": "PUT", "body": "<{{marker}}>" }} }} }}"#), ""),
            (r#"{ "write": [] }"#.to_owned(), "canary.write"),
            (r#"{ "write": ["send"], "read": [] }"#.to_owned(), "canary.read"),
            (format!(r#"{{ "write": {{ "http": {{ {at}, "body": "hello" }} }} }}"#), "canary.write.http.body"),
            (format!(r#"{{ "write": {{ "http": {{ {at}, "header": "Authorization: x" }} }} }}"#), "canary.write.http"),
            (r#"{ "write": { "http": { "url": "ftp://localhost" } } }"#.to_owned(), "canary.write.http"),
            (r#"{ "write": { "http": { "url": "http://a:b@localhost" } } }"#.to_owned(), "canary.write.http"),
            (
                format!(r#"{{ "write": {{ "http": {{ {at}, "content_type": "a\nb: c" }} }} }}"#),
                "canary.write.http.content_type",
            ),
            (format!(r#"{{ "write": ["a"], "read": {{ "http": {{ {at}, "list": "$.a" }} }} }}"#), "canary.read.http"),
        ] {
            let found = target(&canary).unwrap().check();
            assert_eq!(found.err().map_or(String::new(), |(field, _)| field), field, "{canary}");
        }
    }

    #[test]
    fn what_is_neither_a_command_nor_a_request_is_told() {
        for canary in [r#"{ "write": "send" }"#, r#"{ "write": { "http": { "url": "x", "method": "GET" } } }"#] {
            let told = target(canary).unwrap_err().to_string();
            assert!(told.contains("'http: { url, method, header, content_type, body }'"), "{told}");
        }
    }

    #[test]
    fn nothing_secret_is_in_the_plan_and_files_are_beside_the_inventory() {
        let request = r#"{ "http": { "url": "http://localhost/a?token=1", "header": "file:token" } }"#;
        let target = target(&format!(r#"{{ "write": {request}, "read": {request} }}"#)).unwrap();
        let canary = target.within(Path::new("/etc/probity")).canary.unwrap();
        assert_eq!(canary.steps(), ["POST http://localhost/a", "GET http://localhost/a"]);
        let text = serde_json::to_string(&canary).unwrap();
        assert_eq!(text.matches("file:/etc/probity/token").count(), 2, "{text}");
    }
}
