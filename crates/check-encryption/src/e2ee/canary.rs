//! The drill `e2ee-canary`: a marker of 192 random bits goes through a client, comes back from another client, and is looked for in every store. A second marker, planted in every form, shows that the search finds what is there.
//!
//! The marker is in no argument and in no evidence. What the drill makes is the scratch folder, which its journal takes away;
//! the message itself, which the client sent; and the control file, where the inventory names one.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use model::{Asked, Digest, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, OpenFolder, Plan, Probe};

use super::courier::{receive, send};
use super::folder::MOST as MOST_FILES;
use super::search::{Found, PIECE, SHARED, Search, planted};
use super::sql::{Client, unhex};
use super::target::{Canary, Sql, Store};
use super::{SORT, field, http, spec};
use crate::facts::{Control, E2eeCanaryFacts, Hit, Hits, Outcome, Planted, Searches, Step, StoreSearched};

/// Why there is no drill.
const NOT_ASKED: &str = "the inventory asks for no canary; add 'canary:' to this target";
/// Places that are named.
const MOST_HITS: usize = 100;
/// Time that is kept back for writing down what was seen.
const SPARE: Duration = Duration::from_millis(500);
/// What the control file says around its marker.
pub(super) const CONTROL: &str = "Probity's control, which its search must find here: ";

/// Sends and searches.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct E2eeCanary;

impl Probe for E2eeCanary {
    fn kind(&self) -> Kind {
        Kind::new("e2ee-canary", Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(E2eeCanaryFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        let Ok(spec) = spec(target) else { return Plan::default() };
        let Some(canary) = &spec.canary else { return Plan::default() };
        let mut plan = Plan { commands: canary.steps(), ..Plan::default() };
        plan.files.extend(spec.store.iter().map(|store| format!("all of {}", store.title())));
        plan.files.extend(canary.control.iter().map(|path| format!("{path} (written: the control)")));
        plan
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec(target)?;
            let canary = spec.canary.as_ref().ok_or_else(|| Failure::new(FailureClass::NotAsked, NOT_ASKED))?;
            probe::facts(&drill(canary, &spec.store, cx).await?)
        })
    }

    fn not_asked(&self, target: &Target) -> Option<String> {
        spec(target).is_ok_and(|spec| spec.canary.is_none()).then(|| NOT_ASKED.to_owned())
    }

    fn is_drill(&self) -> bool {
        true
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

async fn drill(canary: &Canary, stores: &[Store], cx: &Cx) -> Result<E2eeCanaryFacts, Failure> {
    let (marker, other) = (random()?, random()?);
    let (search, control) = (Arc::new(searcher(&marker)?), Arc::new(searcher(&other)?));
    let scratch = cx.scratch("e2ee-canary").await?;
    let mut forms = rehearse(&other, &control, &scratch, cx).await;
    if let Some(path) = &canary.control {
        cx.plant_file(path, format!("{CONTROL}{other}\n").as_bytes()).await.map_err(|e| failed(&e))?;
    }
    let mut before = Vec::new();
    for store in stores {
        before.push(look(store, &search, &control, &other, cx).await.contents());
    }
    let written = step(send(&canary.write, &marker, &scratch, cx).await?);
    let mut received = match written.outcome {
        Outcome::Present => step(receive(canary.read.as_ref(), &marker, cx).await),
        _ => step(Err("nothing was sent".to_owned())),
    };
    tokio::time::sleep(Duration::from_secs(canary.wait.unwrap_or(2).into()).min(cx.remaining())).await;
    let (mut searched, mut hits, mut seen, mut arrived) = (Vec::new(), Vec::new(), false, false);
    for (store, before) in stores.iter().zip(before) {
        let tally = look(store, &search, &control, &other, cx).await;
        arrived |= tally.contents() != before;
        let title = store.title();
        hits.extend(tally.hits.iter().map(|(place, found)| Hit {
            name: format!("{title}: {place}"),
            outcome: Outcome::Present,
            form: found.form.clone(),
            derivative: found.derivative,
            offset: i64::try_from(found.offset).unwrap_or(i64::MAX),
        }));
        seen |= tally.control && store.folder.is_some();
        searched.push(tally.fact(store, title));
    }
    // A client may answer from a cache of its own.
    if received.outcome == Outcome::Present && !arrived {
        received =
            step(Err("no store changed while the message was sent: it did not arrive in any of them".to_owned()));
    }
    if let Some(path) = &canary.control {
        let why = (!seen).then(|| "the search did not find it in any store: does it lie in one?".to_owned());
        forms.push(Planted { name: path.clone(), outcome: proven(seen), why });
    }
    hits.sort_by(|a, b| (&a.name, a.offset).cmp(&(&b.name, b.offset)));
    let cut = hits.len() > MOST_HITS;
    hits.truncate(MOST_HITS);
    Ok(E2eeCanaryFacts {
        marker: Digest::of(marker.as_bytes()).to_string(),
        written,
        received,
        control: Control { asked: Asked::All, forms },
        stores: Searches { asked: Asked::All, stores: searched },
        hits: Hits { asked: if cut { Asked::Only(Vec::new()) } else { Asked::All }, hits },
    })
}

/// 192 random bits in hexadecimal: an ordinary word to a server that would treat a known mark in its own way.
fn random() -> Result<String, Failure> {
    let mut bytes = [0_u8; 24];
    let broken = |_| Failure::new(FailureClass::Panic, "this system gives no random numbers");
    aws_lc_rs::rand::fill(&mut bytes).map_err(broken)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

fn searcher(marker: &str) -> Result<Search, Failure> {
    Search::of(marker).map_err(|e| Failure::new(FailureClass::Panic, format!("the search can't be made: {e}")))
}

pub(super) fn failed(e: &probe::FileError) -> Failure {
    Failure::new(e.class, e.to_string())
}

fn proven(yes: bool) -> Outcome {
    if yes { Outcome::Present } else { Outcome::NotProven }
}

fn step(done: Result<(), String>) -> Step {
    Step { outcome: proven(done.is_ok()), why: done.err() }
}

/// Plants every form in files of a scratch folder and searches that, as stores are searched.
async fn rehearse(marker: &str, search: &Arc<Search>, scratch: &Path, cx: &Cx) -> Vec<Planted> {
    let (mut forms, mut written) = (Vec::new(), Vec::new());
    for (at, (name, bytes)) in planted(marker).into_iter().enumerate() {
        let file = format!("rehearsal-{at}");
        let done = match cx.plant_file(scratch.join(&file), &bytes).await {
            Ok(()) => Ok((file, name)),
            Err(e) => Err(e.to_string()),
        };
        written.push((name, done));
    }
    let tally = files(&scratch.display().to_string(), search, search, cx).await;
    for (name, done) in written {
        let why = match done {
            Ok((file, form)) if tally.hits.iter().any(|(at, f)| *at == file && f.form == form) => None,
            Ok(_) => Some("the search did not find it".to_owned()),
            Err(why) => Some(why),
        };
        forms.push(Planted { name: name.to_owned(), outcome: proven(why.is_none()), why });
    }
    forms
}

/// What a search of a store came to.
struct Tally {
    /// Everything that was searched, to tell whether it changed.
    contents: digest::Context,
    hits: Vec<(String, Found)>,
    /// The control's marker was met.
    control: bool,
    items: u64,
    bytes: u64,
    why: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        let contents = digest::Context::new(&digest::SHA256);
        Self { contents, hits: Vec::new(), control: false, items: 0, bytes: 0, why: None }
    }
}

impl Tally {
    /// A digest of what was searched.
    fn contents(&self) -> Vec<u8> {
        self.contents.clone().finish().as_ref().to_vec()
    }

    fn search(&mut self, place: &str, bytes: &[u8], offset: u64, search: &Search, control: &Search) {
        for part in [place.as_bytes(), &bytes.len().to_be_bytes(), bytes] {
            self.contents.update(part);
        }
        // A place is named once for each form.
        for found in search.find(bytes, offset) {
            let known = |(p, f): &(String, Found)| p == place && f.form == found.form;
            if self.hits.len() < 10 * MOST_HITS && !self.hits.iter().any(known) {
                self.hits.push((place.to_owned(), found));
            }
        }
        self.control = self.control || control.find_plain(bytes);
    }

    fn fact(self, store: &Store, name: String) -> StoreSearched {
        let real = self.hits.iter().any(|(_, found)| !found.derivative);
        let why = self.why.or_else(|| (self.items == 0).then(|| "nothing is in it".to_owned()));
        let outcome = match (real, &why) {
            (true, _) => Outcome::Present,
            (false, Some(_)) => Outcome::NotProven,
            (false, None) => Outcome::Absent,
        };
        StoreSearched {
            name,
            outcome,
            why,
            source: store.source().to_owned(),
            items: i64::try_from(self.items).unwrap_or(i64::MAX),
            bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
        }
    }
}

async fn look(store: &Store, search: &Arc<Search>, control: &Arc<Search>, other: &str, cx: &Cx) -> Tally {
    if let Some(folder) = &store.folder {
        return files(&folder.path, search, control, cx).await;
    }
    let mut tally = Tally::default();
    let looked = if let Some(sql) = &store.sql {
        rows(sql, &mut tally, search, control, other, cx).await
    } else if let Some(http) = &store.http {
        http::get(http, cx.remaining().saturating_sub(SPARE), cx).await.map(|body| {
            (tally.items, tally.bytes) = (u64::from(!body.is_empty()), body.len() as u64);
            tally.search("the answer", &body, 0, search, control);
            let answer = serde_json::from_slice(&body).unwrap_or_default();
            let list =
                http.list.as_ref().and_then(|path| field::at(&answer, path)).and_then(serde_json::Value::as_array);
            tally.why = http::incomplete(http, &answer, list.map_or(usize::MAX, Vec::len));
        })
    } else {
        Err("the inventory does not say what it is".to_owned())
    };
    tally.why = looked.err().or(tally.why);
    tally
}

/// Every row, as the database prints it, and the column's bytes.
async fn rows(
    sql: &Sql,
    tally: &mut Tally,
    search: &Search,
    control: &Search,
    other: &str,
    cx: &Cx,
) -> Result<(), String> {
    let client = Client::of(sql, cx).await?;
    let (table, column) = (client.name(&sql.table)?, client.name(&sql.column)?);
    let mut met = false;
    for statement in client.whole(&table, &column, other) {
        let mut at = 0_u64;
        client
            .lines(cx, &statement, &mut |line| {
                tally.bytes += line.len() as u64;
                let place = format!("row {at}");
                tally.search(&place, line, 0, search, control);
                let mut inner = unhex(line);
                while let Some(bytes) = inner.take_if(|bytes| !bytes.is_empty()) {
                    tally.search(&place, &bytes, 0, search, control);
                    inner = unhex(&bytes);
                }
                at += 1;
            })
            .await?;
        // The first row is the control's.
        tally.items = tally.items.max(at.saturating_sub(1));
        met = std::mem::take(&mut tally.control);
        if !met {
            break;
        }
    }
    // It was printed, not stored: it shows that rows reach the search, not that the store is the right one.
    if met {
        Ok(())
    } else {
        Err("a row with a control marker was asked for, and the search did not meet it".to_owned())
    }
}

/// Every file below a folder, or a file alone.
async fn files(path: &str, search: &Arc<Search>, control: &Arc<Search>, cx: &Cx) -> Tally {
    let failed = |why: String| Tally { why: Some(why), ..Tally::default() };
    let folder = match cx.open_folder(path, cx.remaining()).await {
        Ok(folder) => folder,
        Err(e) => return failed(e.to_string()),
    };
    let (search, control) = (Arc::clone(search), Arc::clone(control));
    let through = tokio::task::spawn_blocking(move || through(&folder, &search, &control)).await;
    through.unwrap_or_else(|e| failed(e.to_string()))
}

fn through(folder: &OpenFolder, search: &Search, control: &Search) -> Tally {
    let (mut tally, mut names) = (Tally::default(), Vec::new());
    match folder.each(MOST_FILES, &mut |below| names.push((below.name.to_owned(), below.size))) {
        Ok(link) => tally.why = link.map(|link| format!("{link} is a symbolic link, and was not followed")),
        Err(e) => tally.why = Some(e.to_string()),
    }
    names.sort();
    for (name, _) in names {
        if let Err(e) = file(folder, &name, &mut tally, search, control) {
            tally.why = Some(format!("{name}: {e}"));
        }
    }
    tally
}

fn file(folder: &OpenFolder, name: &str, tally: &mut Tally, search: &Search, control: &Search) -> std::io::Result<()> {
    let Some(mut file) = folder.open(name)? else { return Ok(()) };
    tally.items += 1;
    let mut at = 0_u64;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        (&mut file).take(PIECE as u64).read_to_end(&mut bytes)?;
        tally.search(name, &bytes, at, search, control);
        if bytes.len() < PIECE {
            tally.bytes += at + bytes.len() as u64;
            return Ok(());
        }
        at += (PIECE - SHARED) as u64;
    }
}
