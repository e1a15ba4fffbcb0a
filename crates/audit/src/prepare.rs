//! Settles what is to be done: reads inventory, policies and waivers, and resolves names. Every mistake of the user's
//! shows here, before the first connection.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use model::{Depth, Digest, NotLookedAt, Severity, Source};
use policy::{Diagnostics, Kinds, Library, Policy, SourceFile, Sources, Waivers};
use probe::Limits;

use crate::Error;
use crate::collect::Prepared;
use crate::expand::{self, expand, from_argument};
use crate::inventory::{Declared, HOST, Inventory, Subject};
use crate::prior::Gathered;
use crate::resolved::{PolicyUse, Written};
use crate::{kinds, seal, shipped};

/// Most bytes of an inventory or a file of waivers.
const MOST_BYTES: u64 = 2 << 20;

/// What the user asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The inventory.
    pub inventory: Option<PathBuf>,
    /// Endpoints; beside an inventory, names of its targets to which the run is narrowed.
    pub targets: Vec<String>,
    /// Look at this machine too.
    pub self_check: bool,
    /// Policies, in place of the inventory's.
    pub policies: Vec<String>,
    /// A folder of policies beside the shipped ones, in place of the inventory's.
    pub policy_dir: Option<PathBuf>,
    /// Waivers, in place of the inventory's.
    pub waivers: Option<PathBuf>,
    /// The least severity that blocks, in place of the inventory's.
    pub fail_on: Option<Severity>,
    /// The service's name, in place of the inventory's.
    pub service: Option<String>,
    /// How much to look for.
    pub depth: Depth,
    /// What the run may cost.
    pub limits: Limits,
}

/// Everything settled.
pub struct Ready {
    /// What to collect.
    pub prepared: Prepared,
    /// The waivers.
    pub waivers: Waivers,
    /// The waivers as given.
    pub waivers_bytes: Vec<u8>,
    /// The inventory, where there is a file.
    pub inventory: Option<Inventory>,
    /// Its folder, which relative paths in it are relative to.
    pub folder: PathBuf,
    /// Its place, for annotations.
    pub source: Option<Source>,
}

/// Settles a request.
///
/// # Errors
/// Everything that is wrong with files, arguments and names.
pub async fn prepare(request: Request) -> Result<Ready, Error> {
    let mut ready_inventory = None;
    let mut written = None;
    let mut folder = PathBuf::from(".");
    let mut source = None;
    if let Some(path) = &request.inventory {
        let bytes = read(path)?;
        let shown = path.display().to_string();
        let inventory = parse_inventory(path, &bytes)?;
        written = Some(Written { file: shown.clone(), sha256: Digest::of(&bytes).to_string() });
        source = Some(Source { file: shown, line: 1, column: 1 });
        path.parent().unwrap_or(Path::new("")).clone_into(&mut folder);
        ready_inventory = Some(inventory);
    }
    let inventory = ready_inventory.clone().unwrap_or_default();

    let (declared, implied) = declared(&request, ready_inventory.as_ref())?;
    let policy_dir = request.policy_dir.clone().or_else(|| inventory.policy_dir.as_ref().map(|p| folder.join(p)));
    let (library, sources) = library(policy_dir.as_deref())?;
    let uses = policy_uses(&request, &inventory);
    let names: Vec<&str> = uses.iter().map(|u| u.policy.as_str()).collect();
    let policies = library.resolve(&names).map_err(|d| Error::files(d, sources))?;

    let waivers_path = request.waivers.clone().or_else(|| inventory.waivers.as_ref().map(|p| folder.join(p)));
    let (waivers, waivers_bytes) = match &waivers_path {
        None => (Waivers::default(), seal::NO_WAIVERS.to_vec()),
        Some(path) => {
            let bytes = read(path)?;
            let ids: Vec<&str> = library.controls().map(|c| c.written.id.as_str()).collect();
            let shown = path.display().to_string();
            let waivers = Waivers::parse(&shown, &bytes, ids).map_err(|d| Error::files(d, one(&shown, &bytes)))?;
            (waivers, bytes)
        }
    };

    let service = match (&request.service, &ready_inventory) {
        (Some(service), _) => service.clone(),
        (None, Some(inventory)) => inventory.service.clone(),
        (None, None) => service_of(&declared),
    };
    let mut expanded = expand(&declared, &folder).await;
    expand::add_flaws(&mut expanded, &declared, request.depth);
    for host in expanded.targets.iter_mut().filter(|t| implied && t.subject.sort == HOST) {
        host.discovered = true;
    }
    let prepared = Prepared {
        service,
        written,
        expanded,
        scope: inventory.scope.clone(),
        policies,
        policy_uses: uses,
        fail_on: request.fail_on.or(inventory.fail_on).unwrap_or(Severity::High),
        left_out: left_out(&declared, ready_inventory.as_ref()),
        depth: request.depth,
        limits: request.limits,
        prior: Gathered::default(),
        probes: kinds::probes(),
        only_kinds: None,
    };
    Ok(Ready { prepared, waivers, waivers_bytes, inventory: ready_inventory, folder, source })
}

/// The targets asked for, and whether this machine is among them only because the inventory claims to be complete.
fn declared(request: &Request, inventory: Option<&Inventory>) -> Result<(Vec<Declared>, bool), Error> {
    let mut declared = match inventory {
        None => request.targets.iter().map(|t| from_argument(t)).collect::<Result<Vec<_>, _>>()?,
        Some(inventory) if request.targets.is_empty() => inventory.targets.clone(),
        Some(inventory) => {
            let known: Vec<&str> = inventory.targets.iter().map(|t| t.name.as_str()).collect();
            for wanted in &request.targets {
                if !known.iter().any(|name| policy::glob(wanted, name)) {
                    return Err(Error::Config(format!(
                        "'{wanted}' is no target of the inventory; it names {}",
                        known.join(", ")
                    )));
                }
            }
            let wanted = |t: &&Declared| request.targets.iter().any(|w| policy::glob(w, &t.name));
            inventory.targets.iter().filter(wanted).cloned().collect()
        }
    };
    let mut seen = std::collections::BTreeSet::new();
    declared.retain(|d| seen.insert(d.name.clone()));
    // What listens here is looked for where this machine is asked for, or where the inventory claims to be complete.
    let complete = inventory.is_some_and(|i| i.scope.complete);
    let missing = !declared.iter().any(|d| d.subject == Subject::Host);
    if (request.self_check || complete) && missing {
        declared.push(Declared { name: HOST.to_owned(), labels: BTreeMap::new(), subject: Subject::Host });
    }
    if declared.is_empty() {
        return Err(Error::Config("nothing to look at: name a target, give -c FILE, or --self".into()));
    }
    Ok((declared, missing && complete && !request.self_check))
}

/// The targets of the inventory that the command line does not name.
fn left_out(declared: &[Declared], inventory: Option<&Inventory>) -> Vec<NotLookedAt> {
    let all = inventory.map(|i| i.targets.as_slice()).unwrap_or_default();
    let missing = all.iter().filter(|t| !declared.iter().any(|d| d.name == t.name));
    let line = |t: &Declared| NotLookedAt { what: t.name.clone(), why: "not named on the command line".to_owned() };
    missing.map(line).collect()
}

/// Which policy is for which targets.
fn policy_uses(request: &Request, inventory: &Inventory) -> Vec<PolicyUse> {
    let everywhere = |name: &String| PolicyUse { policy: name.clone(), labels: BTreeMap::new() };
    if !request.policies.is_empty() {
        return request.policies.iter().map(everywhere).collect();
    }
    let mut uses: Vec<PolicyUse> = inventory.policies.iter().map(everywhere).collect();
    uses.extend(
        inventory.policies_for.iter().map(|p| PolicyUse { policy: p.policy.clone(), labels: p.labels.clone() }),
    );
    if uses.is_empty() {
        uses.push(everywhere(&"baseline".to_owned()));
    }
    uses
}

/// A name for a service that nobody named: the first endpoint's host, or this machine's name.
fn service_of(declared: &[Declared]) -> String {
    let plain = |text: &str| -> String {
        let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
        text.chars().map(keep).collect::<String>().trim_matches(['-', '.']).to_owned()
    };
    let name = match declared.iter().find(|d| d.subject != Subject::Host) {
        Some(endpoint) => plain(&endpoint.name),
        None => plain(&rustix::system::uname().nodename().to_string_lossy()),
    };
    if name.is_empty() { "service".to_owned() } else { name }
}

/// The shipped policies and those of a user's folder, read and linted.
///
/// # Errors
/// Everything that is wrong with them.
pub fn library(folder: Option<&Path>) -> Result<(Library, Sources), Error> {
    let mut sources = shipped::shipped()?;
    if let Some(folder) = folder {
        shipped::add_folder(&mut sources, folder)?;
    }
    match Library::load(&sources, &kinds::kinds()) {
        Ok(library) => Ok((library, sources)),
        Err(diagnostics) => Err(Error::files(diagnostics, sources)),
    }
}

/// Reads an inventory.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn parse_inventory(path: &Path, bytes: &[u8]) -> Result<Inventory, Error> {
    let shown = path.display().to_string();
    Inventory::parse(&shown, bytes).map_err(|d| Error::files(d, one(&shown, bytes)))
}

/// Reads the resolved policies of a pack.
///
/// # Errors
/// Where they are not what a pack holds.
pub fn load_policies(bytes: &[u8]) -> Result<Vec<Policy>, Error> {
    let kinds: Kinds = kinds::kinds();
    policy::policies_from_yaml(model::pack::POLICY, bytes, &kinds)
        .map_err(|d| Error::files(d, one(model::pack::POLICY, bytes)))
}

/// Reads waivers against the controls of policies.
///
/// # Errors
/// Where they are wrong.
pub fn load_waivers(file: &str, bytes: &[u8], ids: &[&str]) -> Result<Waivers, Error> {
    Waivers::parse(file, bytes, ids.iter().copied()).map_err(|d: Diagnostics| Error::files(d, one(file, bytes)))
}

fn one(path: &str, bytes: &[u8]) -> Sources {
    Sources::from([(path.to_owned(), SourceFile { bytes: bytes.to_vec().into(), shipped: false })])
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |why: String| Error::Read { path: path.display().to_string(), why };
    let metadata = fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return Err(fail(format!("not a regular file of at most {MOST_BYTES} bytes")));
    }
    fs::read(path).map_err(|e| fail(e.to_string()))
}
