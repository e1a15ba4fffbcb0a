//! Requests through `curl`: what an interface of the server gives, and the marker for a client's. No redirect is followed.

use std::time::Duration;

use probe::{Command, Cx, Output};
use serde_json::Value;

use super::target::{Http, MARKER, Request};
use super::{Draw, Drawn, Lens, field};
use crate::e2ee::folder::rank;

/// Bytes of an answer.
pub(super) const MOST: usize = 64 << 20;

/// Looks at the records that come, or at the body as one payload.
pub(super) async fn draw(http: &Http, draw: Draw, lens: &Lens, cx: &Cx) -> Result<Drawn, String> {
    let body = get(http, cx.remaining().saturating_sub(Duration::from_millis(500)), cx).await?;
    let Some(path) = &http.list else {
        if body.is_empty() {
            return Err("the answer is empty".to_owned());
        }
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let looked = vec![lens.look("the answer".to_owned(), length, &body, &[])];
        return Ok(Drawn { looked, of: http.complete.then_some(1), ..Drawn::default() });
    };
    let value: Value = serde_json::from_slice(&body).map_err(|e| format!("the answer is no JSON: {e}"))?;
    let list = field::at(&value, path).and_then(Value::as_array);
    let list = list.ok_or_else(|| format!("there is no list at {path} in the answer"))?;
    let mut chosen: Vec<(String, usize)> = (0..list.len()).map(|at| (rank(draw.seed, &at.to_string()), at)).collect();
    chosen.sort_unstable();
    chosen.truncate(draw.count);
    let mut looked = Vec::new();
    for (_, at) in chosen {
        let Some(record) = list.get(at) else { continue };
        let bytes = field::bytes(record);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        looked.push(lens.look(format!("{path}[{at}]"), length, &bytes, &[]));
    }
    let why = incomplete(http, &value, list.len());
    let of = if why.is_none() { u64::try_from(list.len()).ok() } else { None };
    Ok(Drawn { looked, of, why, ..Drawn::default() })
}

/// Why an answer need not be all there is.
pub(super) fn incomplete(http: &Http, answer: &Value, records: usize) -> Option<String> {
    if !http.complete {
        return Some("the answer may be a page; where it is all there is, say 'complete: true'".to_owned());
    }
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("");
    let next = ["next", "next_page", "next_cursor", "nextPageToken", "has_more", "@odata.nextLink"];
    let more = next.iter().any(|name| answer.get(*name).is_some_and(is_set));
    let total = ["total", "total_count", "totalCount", "count"].iter().filter_map(|name| answer.get(*name)?.as_u64());
    let records = u64::try_from(records).unwrap_or(u64::MAX);
    (more || total.max().is_some_and(|total| total > records))
        .then(|| "the answer says itself that there are more, though the inventory says 'complete'".to_owned())
}

/// The body of an answer with status 200.
pub(super) async fn get(http: &Http, within: Duration, cx: &Cx) -> Result<Vec<u8>, String> {
    // The body comes through a bounded pipe and not into a file, which a server that tells no length could make grow
    // without end; the status is the last line of the other output.
    let most = MOST.to_string();
    let more = ["--max-filesize", &most, "--output", "-", "--write-out", "%{stderr}%{http_code}"];
    let curl = Curl { url: &http.url, header: http.header.as_deref(), more: &more, most: MOST, within };
    let output = curl.run(cx).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    let status = said.lines().last().unwrap_or_default().trim();
    if status != "200" {
        return Err(format!("the answer's status is {status}, and 200 is wanted"));
    }
    Ok(output.stdout)
}

/// Sends the marker in the body of a request. What the answer says beside its status is not looked at.
pub(super) async fn send(request: &Request, marker: &str, within: Duration, cx: &Cx) -> Result<(), String> {
    // curl reads the body from a file that is closed to others: the marker is in no argument.
    let folder = cx.private_folder().await.map_err(|e| e.to_string())?;
    let body = request.body.as_deref().unwrap_or(MARKER).replace(MARKER, marker);
    let body = cx.private_file(&folder, "request", body.as_bytes()).await.map_err(|e| e.to_string())?;
    let body = format!("@{}", body.display());
    let of_type = format!("Content-Type: {}", request.content_type.as_deref().unwrap_or("text/plain"));
    let method = request.method.name();
    let more = [
        "--write-out",
        "%{http_code}",
        "--request",
        method,
        "--header",
        &of_type,
        "--data-binary",
        &body,
        "--output",
        "/dev/null",
    ];
    let curl = Curl { url: &request.url, header: request.header.as_deref(), more: &more, most: 1 << 20, within };
    let output = curl.run(cx).await?;
    let status = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if status.len() != 3 || !status.starts_with('2') {
        return Err(format!("the client's API answered {method} with the status {status}, and 2xx is wanted"));
    }
    Ok(())
}

/// A request.
struct Curl<'a> {
    url: &'a str,
    /// The reference to a header line.
    header: Option<&'a str>,
    /// Further arguments.
    more: &'a [&'a str],
    /// Most bytes of each of its outputs.
    most: usize,
    /// How long it may take; no longer than a minute.
    within: Duration,
}

impl Curl<'_> {
    /// What it said, where it came to an answer.
    async fn run(&self, cx: &Cx) -> Result<Output, String> {
        // The header is a secret: curl reads it from a file that is closed to others and gone with its folder.
        let folder = cx.private_folder().await.map_err(|e| e.to_string())?;
        let header = match self.header {
            Some(reference) => {
                let line = cx.secret(reference).await.map_err(|f| f.message)?;
                let path = cx.private_file(&folder, "header", line.as_bytes()).await.map_err(|e| e.to_string())?;
                Some(format!("@{}", path.display()))
            }
            None => None,
        };
        let seconds = self.within.as_secs().clamp(1, 60).to_string();
        let mut argv =
            vec!["curl", "-q", "--silent", "--show-error", "--globoff", "--noproxy", "*", "--proto", "=http,https"];
        argv.extend(["--max-time", &seconds]);
        argv.extend(header.iter().flat_map(|header| ["--header", header.as_str()]));
        argv.extend(self.more);
        argv.extend(["--", self.url]);
        let command = Command { within: self.within, most: self.most, version: &["--version"], ..Command::new(&argv) };
        let output = cx.command(command).await.map_err(|f| f.message)?;
        if output.exit == Some(0) {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said.lines().next().unwrap_or("curl ended without a word").to_owned())
    }
}
