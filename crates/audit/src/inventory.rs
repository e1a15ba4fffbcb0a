//! The inventory (`probity.yaml`): what is audited, by which policies, with whose waivers and keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;

use check_backup::target::BackupTarget;
use check_encryption::e2ee::target::E2eeTarget;
use check_encryption::facts::{ConfigTarget, DatabaseProduct, DatabaseTarget, DiskTarget, KeyFileTarget, SshTarget};
use check_tls::target::{TlsTarget, parse_endpoint};
use model::Severity;
use policy::Diagnostics;
use policy::yaml::{Data, Fields, File, Key, Node};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::data_path::DataPathTarget;

/// A service, as its operator declares it. Paths are as written: relative to the inventory's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The service's name.
    pub service: String,
    /// Policies for all targets, in order.
    pub policies: Vec<String>,
    /// Policies for those targets that carry the labels.
    pub policies_for: Vec<PolicyFor>,
    /// A folder of the user's own `controls/`, `profiles/`.
    pub policy_dir: Option<String>,
    /// The least severity that blocks.
    pub fail_on: Option<Severity>,
    /// What the inventory claims to cover.
    pub scope: Scope,
    /// What to look at.
    pub targets: Vec<Declared>,
    /// The file of waivers.
    pub waivers: Option<String>,
    /// The key to sign with: `file:PATH`, `env:NAME` (the variable holds the PEM text), or `cmd:PROGRAM ARGUMENTS`.
    pub sign_key: Option<String>,
    /// Public keys whose packs are believed, beside the user's own.
    pub signers: Vec<String>,
}

/// A policy for some targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFor {
    /// The policy's name.
    pub policy: String,
    /// Labels that a target must carry.
    pub labels: BTreeMap<String, String>,
}

/// What the inventory claims to cover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Everything that listens on this machine is declared: what else is found is a finding.
    pub complete: bool,
    /// What is left out on purpose: pattern over `address:port`, and why.
    pub exclude: Vec<(String, String)>,
}

/// One declared target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is.
    pub subject: Subject,
}

/// What a declared target is; exactly one in the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A TLS endpoint.
    Tls(TlsTarget),
    /// An SSH server.
    Ssh(SshTarget),
    /// A disk, and what it holds.
    Disk(DiskTarget),
    /// A database server.
    Database(DatabaseProduct, Box<DatabaseTarget>),
    /// Payloads that are encrypted end to end.
    E2ee(Box<E2eeTarget>),
    /// The configuration of a server, in files.
    Config(ConfigTarget),
    /// Copies of a data set.
    Backup(Box<BackupTarget>),
    /// The way that data takes, through other targets.
    DataPath(DataPathTarget),
    /// Key files on this machine.
    KeyFile(KeyFileTarget),
    /// This machine.
    Host,
}

/// The name of the target that this machine always is.
pub const HOST: &str = "host";

impl Inventory {
    /// Reads an inventory. `file` is its name in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once, each with its place.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        let (mut file, node) = File::read(file, bytes);
        let inventory = node.as_ref().and_then(|node| read(&mut file, node));
        match inventory {
            Some(inventory) if file.found.is_empty() => Ok(inventory),
            _ => Err(Diagnostics::new(file.found)),
        }
    }
}

const FIELDS: [&str; 9] =
    ["service", "policy", "policies_for", "policy_dir", "fail_on", "scope", "targets", "waivers", "sign"];

fn read(file: &mut File<'_>, node: &Node) -> Option<Inventory> {
    let known: Vec<&str> = FIELDS.into_iter().chain(["trust"]).collect();
    let fields = file.fields(node, "the inventory", &known)?;
    let mut inventory = Inventory::default();
    if let Some(service) = file.required(&fields, "service", "the inventory") {
        inventory.service = name(file, service, "service").unwrap_or_default();
    }
    inventory.policies = one_or_many(file, &fields, "policy");
    inventory.policy_dir = text(file, &fields, "policy_dir");
    inventory.waivers = text(file, &fields, "waivers");
    if let Some(node) = fields.get("fail_on")
        && let Some(word) = file.text_of(node, "fail_on").map(str::to_owned)
    {
        match word.parse() {
            Ok(severity) => inventory.fail_on = Some(severity),
            Err(message) => file.error("unknown-word", node.span.clone(), message, None),
        }
    }
    if let Some(node) = fields.get("policies_for") {
        inventory.policies_for = policies_for(file, node);
    }
    if let Some(node) = fields.get("scope") {
        inventory.scope = scope(file, node).unwrap_or_default();
    }
    if let Some(node) = fields.get("sign")
        && let Some(sign) = file.fields(node, "sign", &["key"])
    {
        inventory.sign_key = text(file, &sign, "key");
    }
    if let Some(node) = fields.get("trust")
        && let Some(trust) = file.fields(node, "trust", &["signers"])
    {
        inventory.signers = one_or_many(file, &trust, "signers");
    }
    if let Some(node) = file.required(&fields, "targets", "the inventory") {
        inventory.targets = targets(file, node);
    }
    if inventory.policies.is_empty() && inventory.policies_for.is_empty() {
        inventory.policies = vec!["baseline".to_owned()];
    }
    Some(inventory)
}

/// A name: what may stand in a file name, an URL and a table without being quoted.
fn name(file: &mut File<'_>, node: &Node, what: &str) -> Option<String> {
    let text = file.text_of(node, what)?.to_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() > 100 || !text.chars().all(plain) || text.starts_with(['.', '-']) {
        let message = format!("'{text}' is no name: up to 100 letters, digits, '-', '_', '.' are wanted");
        file.error("bad-name", node.span.clone(), message, None);
        return None;
    }
    Some(text)
}

fn text(file: &mut File<'_>, fields: &Fields<'_>, what: &str) -> Option<String> {
    fields.get(what).and_then(|node| file.text_of(node, what).map(str::to_owned))
}

/// A string or a list of strings, which must not be empty where it is given.
fn one_or_many(file: &mut File<'_>, fields: &Fields<'_>, what: &str) -> Vec<String> {
    let Some(node) = fields.get(what) else { return Vec::new() };
    if matches!(node.data, Data::Text(_)) {
        return file.text_of(node, what).map(str::to_owned).into_iter().collect();
    }
    let list = file.texts_of(node, what).unwrap_or_default();
    if list.is_empty() && matches!(&node.data, Data::List(items) if items.is_empty()) {
        let help = Some(format!("name at least one, or leave '{what}' out"));
        file.error("empty", fields.start.clone(), format!("'{what}' is an empty list"), help);
    }
    list
}

fn labels(file: &mut File<'_>, node: Option<&Node>) -> BTreeMap<String, String> {
    let Some(node) = node else { return BTreeMap::new() };
    let Some(entries) = file.map_of(node, "labels") else { return BTreeMap::new() };
    let read =
        |(key, value): &(Key, Node)| file.text_of(value, &key.name).map(|value| (key.name.clone(), value.to_owned()));
    entries.iter().filter_map(read).collect()
}

fn policies_for(file: &mut File<'_>, node: &Node) -> Vec<PolicyFor> {
    let mut found = Vec::new();
    for node in file.list_of(node, "policies_for").unwrap_or_default() {
        let Some(fields) = file.fields(node, "an entry of policies_for", &["policy", "labels"]) else { continue };
        let Some(policy) = file.required(&fields, "policy", "the entry") else { continue };
        let Some(policy) = file.text_of(policy, "policy").map(str::to_owned) else { continue };
        file.required(&fields, "labels", "the entry");
        let labels = labels(file, fields.get("labels"));
        if labels.is_empty() {
            let help = Some("a policy for all targets belongs under 'policy'".to_owned());
            file.error("empty", fields.start.clone(), "the entry names no labels".into(), help);
        }
        found.push(PolicyFor { policy, labels });
    }
    found
}

fn scope(file: &mut File<'_>, node: &Node) -> Option<Scope> {
    let fields = file.fields(node, "scope", &["complete", "exclude"])?;
    let mut scope = Scope::default();
    match fields.get("complete").map(|n| (n, &n.data)) {
        None => {}
        Some((_, Data::Bool(complete))) => scope.complete = *complete,
        Some((node, _)) => {
            file.error("wrong-type", node.span.clone(), "'complete' must be true or false".into(), None);
        }
    }
    let exclude = fields.get("exclude").and_then(|node| file.list_of(node, "exclude")).unwrap_or_default();
    for node in exclude {
        let Some(entry) = file.fields(node, "an entry of exclude", &["target", "reason"]) else { continue };
        let target = file.required(&entry, "target", "the entry");
        let reason = file.required(&entry, "reason", "the entry");
        if let (Some(target), Some(reason)) = (target, reason)
            && let Some(target) = file.text_of(target, "target").map(str::to_owned)
            && let Some(reason) = file.text_of(reason, "reason").map(str::to_owned)
        {
            scope.exclude.push((target, reason));
        }
    }
    Some(scope)
}

fn targets(file: &mut File<'_>, node: &Node) -> Vec<Declared> {
    let mut found: Vec<Declared> = Vec::new();
    let mut names = BTreeSet::new();
    let Some(items) = file.list_of(node, "targets") else { return found };
    if items.is_empty() {
        let help = Some("an audit of nothing proves nothing; name a target, or run 'probity audit --self'".to_owned());
        file.error("empty", node.span.clone(), "'targets' is an empty list".into(), help);
    }
    let mut paths = Vec::new();
    for item in items {
        let known = [&["name", "labels"], SUBJECTS].concat();
        let Some(fields) = file.fields(item, "a target", &known) else { continue };
        let name =
            file.required(&fields, "name", "the target").and_then(|node| Some((node, name(file, node, "name")?)));
        let labels = labels(file, fields.get("labels"));
        let subject = subject(file, item, &fields);
        let Some((node, name)) = name else { continue };
        if !names.insert(name.clone()) {
            let message = format!("two targets are called '{name}'");
            file.error("duplicate", node.span.clone(), message, Some("names are unique in an inventory".into()));
        }
        if name == HOST && !matches!(subject, Some(Subject::Host) | None) {
            let help = Some("give the endpoint another name".to_owned());
            file.error("bad-name", node.span.clone(), format!("'{HOST}' always means this machine"), help);
        }
        if subject == Some(Subject::Host) && found.iter().any(|t| t.subject == Subject::Host) {
            file.error("duplicate", node.span.clone(), "this machine is declared twice".into(), None);
        }
        if let (Some(Subject::DataPath(path)), Data::Map(entries)) = (&subject, &item.data) {
            paths.extend(entries.iter().find(|(key, _)| key.name == "data_path").map(|at| (at, path.clone())));
        }
        if let Some(subject) = subject {
            found.push(Declared { name, labels, subject });
        }
    }
    // Only now are all names known.
    for ((key, node), path) in paths {
        let known = |name: &str| found.iter().any(|t| t.name == name && !matches!(t.subject, Subject::DataPath(_)));
        if let Err((field, message)) = path.check(&known) {
            file.error("bad-data-path", place(node, key, &field), message, None);
        }
    }
    found
}

/// What is said of a secret that stands in the inventory itself.
const NO_REFERENCE: &str = "a secret must be a reference: env:NAME, file:PATH or cmd:PROGRAM ARGUMENTS";

/// A message without a place: the line may hold the secret.
fn not_shown(field: &str, message: &str) -> String {
    format!("'{field}': {message} (its line may hold the secret, and is not shown)")
}

/// The keys under which a target says what it is.
const SUBJECTS: &[&str] =
    &["tls", "ssh", "postgresql", "mysql", "redis", "disk", "config", "e2ee", "backup", "data_path", "keyfile", "host"];

/// The port of an SSH server that names none.
pub(crate) const SSH_PORT: u16 = 22;

/// The one subject of a target.
fn subject(file: &mut File<'_>, item: &Node, fields: &Fields<'_>) -> Option<Subject> {
    let Data::Map(entries) = &item.data else { return None };
    let given: Vec<_> = entries.iter().filter(|(key, _)| SUBJECTS.contains(&key.name.as_str())).collect();
    let (key, node) = match given.as_slice() {
        [one] => *one,
        [] => {
            let help = format!("give it one of {}; see docs/inventory.md", SUBJECTS.join(", "));
            let message = "the target does not say what it is".into();
            file.error("missing-field", fields.start.clone(), message, Some(help));
            return None;
        }
        [_, (second, _), ..] => {
            let message = format!("a target is one thing; '{}' is a second", second.name);
            file.error("two-subjects", second.span.clone(), message, Some("make it a target of its own".into()));
            return None;
        }
    };
    match key.name.as_str() {
        "tls" => {
            let target: TlsTarget = typed(file, key, node)?;
            // Any address will do: what is checked is the endpoint and the names.
            match target.resolve(IpAddr::from([127, 0, 0, 1])) {
                Ok(_) => Some(Subject::Tls(target)),
                Err(message) => {
                    file.error("bad-endpoint", place(node, key, "endpoint"), message, None);
                    None
                }
            }
        }
        "ssh" => {
            let target: SshTarget = typed(file, key, node)?;
            match parse_endpoint(&target.endpoint, SSH_PORT) {
                Ok(_) => Some(Subject::Ssh(target)),
                Err(message) => {
                    file.error("bad-endpoint", place(node, key, "endpoint"), message, None);
                    None
                }
            }
        }
        "disk" => {
            let target: DiskTarget = typed(file, key, node)?;
            match target.resolve(Path::new("/")) {
                Ok(_) => Some(Subject::Disk(target)),
                Err((field, message)) => {
                    file.error("bad-disk", place(node, key, field), message, None);
                    None
                }
            }
        }
        "config" => {
            let target: ConfigTarget = typed(file, key, node)?;
            match target.resolve() {
                Ok(_) => Some(Subject::Config(target)),
                Err(message) => {
                    file.error("bad-config", place(node, key, ""), message, None);
                    None
                }
            }
        }
        "e2ee" => {
            let target: E2eeTarget = typed(file, key, node)?;
            match target.check() {
                Ok(()) => Some(Subject::E2ee(Box::new(target))),
                Err((field, message)) if message == NO_REFERENCE => {
                    file.error("bad-secret", 0..0, not_shown(&format!("e2ee.{field}"), &message), None);
                    None
                }
                Err((field, message)) => {
                    file.error("bad-e2ee", place(node, key, &field), message, None);
                    None
                }
            }
        }
        "postgresql" => database(file, key, node, DatabaseProduct::Postgresql),
        "mysql" => database(file, key, node, DatabaseProduct::Mysql),
        "redis" => database(file, key, node, DatabaseProduct::Redis),
        "backup" => {
            let target: BackupTarget = typed(file, key, node)?;
            match target.resolve("any") {
                Ok(_) => Some(Subject::Backup(Box::new(target))),
                Err((field, message)) => {
                    file.error("bad-backup", place(node, key, &field), message, None);
                    None
                }
            }
        }
        "data_path" => typed(file, key, node).map(Subject::DataPath),
        "keyfile" => {
            let target: KeyFileTarget = typed(file, key, node)?;
            if target.path.trim_matches('/').is_empty() {
                let message = "a file or a folder of keys is wanted, not the whole file system".to_owned();
                file.error("bad-path", place(node, key, "path"), message, None);
                return None;
            }
            let is_reference = |text: &String| ["env:", "file:", "cmd:"].iter().any(|scheme| text.starts_with(scheme));
            if !target.passphrase.as_ref().is_none_or(is_reference) {
                file.error("bad-secret", 0..0, not_shown("keyfile.passphrase", NO_REFERENCE), None);
                return None;
            }
            Some(Subject::KeyFile(target))
        }
        _ => {
            if !matches!(&node.data, Data::Null) {
                file.fields(node, HOST, &[]);
            }
            Some(Subject::Host)
        }
    }
}

fn database(file: &mut File<'_>, key: &Key, node: &Node, product: DatabaseProduct) -> Option<Subject> {
    let target: DatabaseTarget = typed(file, key, node)?;
    let endpoint = |text: &String| parse_endpoint(text, product.port()).map_err(|why| ("endpoint", why));
    let checked = target.check(product).and_then(|()| target.endpoint.as_ref().map(endpoint).transpose());
    match checked {
        Ok(_) => Some(Subject::Database(product, Box::new(target))),
        Err((field, message)) => {
            // The line of a secret that is no reference may hold the secret itself: it is not shown.
            let secret = matches!(field, "password" | "tls.key");
            let (span, message) = if secret {
                (
                    0..0,
                    format!(
                        "'{field}' of a target '{}': {message} (its line may hold the secret, and is not shown)",
                        key.name
                    ),
                )
            } else {
                (place(node, key, field), message)
            };
            file.error("bad-database", span, message, None);
            None
        }
    }
}

/// Reads a check crate's own type: every unknown field is complained of, then the first other mistake, each at its place.
fn typed<T: DeserializeOwned + JsonSchema>(file: &mut File<'_>, key: &Key, node: &Node) -> Option<T> {
    let before = file.found.len();
    let schema = schemars::schema_for!(T).to_value();
    known_fields(file, node, &key.name, &schema, &schema);
    match serde_path_to_error::deserialize(node.to_json()) {
        Ok(target) => Some(target),
        Err(e) => {
            // Unknown fields were complained of already; what is left is a missing field or a wrong type.
            if file.found.len() == before {
                let span = place(node, key, &e.path().to_string());
                file.error("bad-subject", span, format!("{}: {}", key.name, e.inner()), None);
            }
            None
        }
    }
}

/// Complains of fields that the schema of a type does not know.
fn known_fields(file: &mut File<'_>, node: &Node, name: &str, schema: &Value, root: &Value) {
    let Data::Map(entries) = &node.data else { return };
    let Some(properties) = properties(schema, root) else { return };
    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
    file.fields(node, name, &known);
    for (key, inner) in entries {
        if let Some(schema) = properties.get(&key.name) {
            known_fields(file, inner, &key.name, schema, root);
        }
    }
}

/// The fields of an object in a JSON Schema, found through references and alternatives with null.
fn properties<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a serde_json::Map<String, Value>> {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return properties(root.pointer(name.strip_prefix('#')?)?, root);
    }
    if let Some(either) = schema.get("anyOf").and_then(Value::as_array) {
        return either.iter().find_map(|one| properties(one, root));
    }
    schema.get("properties").and_then(Value::as_object)
}

/// Where a field (`expect.max_age`, `sni[1]`) stands, or the nearest thing around it that is there.
fn place(node: &Node, key: &Key, path: &str) -> Range<usize> {
    let mut at = node;
    let mut span = key.span.clone();
    for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
        let next = match &at.data {
            Data::Map(entries) => entries.iter().find(|(k, _)| k.name == part).map(|(k, node)| (k.span.clone(), node)),
            Data::List(items) => part.parse().ok().and_then(|i: usize| items.get(i)).map(|node| (span.clone(), node)),
            _ => None,
        };
        let Some((key, next)) = next else { break };
        at = next;
        // Lists and mappings in block style have no place of their own.
        span = if at.span.is_empty() { key } else { at.span.clone() };
    }
    span
}
