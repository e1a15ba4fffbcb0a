//! Logs of backup jobs: `restic backup --json` and `borg create --json --log-json`, both outputs of the command in one
//! file, ended by a line that tells the exit code. Other tools do not say what they made: a line `made NAME` does.

use serde_json::Value;

/// Complaints kept of one job.
const MOST_LINES: usize = 20;
/// Characters of a line that are kept.
const MOST_CHARACTERS: usize = 200;
/// Lines that one JSON object may be spread over.
const MOST_SPREAD: usize = 2_000;

/// What a log says of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Job {
    /// Names (or beginnings of ids) of the copy that it made.
    pub(super) made: Vec<String>,
    /// The id of the archive that it made, where names can be used again (Borg).
    pub(super) id: Option<String>,
    /// Its exit code, where the log tells it.
    pub(super) exit: Option<i64>,
    /// Its complaints.
    pub(super) errors: Vec<String>,
    /// Lines that say something unknown.
    pub(super) unknown: Vec<String>,
    /// Files in the copy.
    pub(super) files: Option<i64>,
    /// Bytes in it.
    pub(super) bytes: Option<i64>,
    /// Bytes that it added.
    pub(super) stored: Option<i64>,
}

/// Lines of tools that say nothing about what was copied.
const HARMLESS: [&str; 16] = [
    "tar: removing leading `/' from member names",
    "tar: removing leading `/' from hard link targets",
    "repository ",
    "open repository",
    "lock repository",
    "load index files",
    "created new cache",
    "using parent snapshot",
    "no parent snapshot found",
    "start scan on",
    "start backup on",
    "scan finished",
    "unable to open cache",
    "found ",
    "snapshot ",
    "#",
];
/// Words of lines that say that something was not copied.
const COMPLAINTS: [&str; 12] = [
    "does not exist",
    "error",
    "warning",
    "fatal",
    "could not be read",
    "permission denied",
    "no such file",
    "failed",
    "unable to",
    "skipping",
    "cannot ",
    "can't ",
];

/// The jobs in a log, oldest first.
pub(super) fn read(text: &str) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut job = Job::default();
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    while let Some(line) = lines.next() {
        if line.starts_with('{') {
            match object(line, &mut lines) {
                Some(value) if job.of_json(&value) => jobs.push(std::mem::take(&mut job)),
                Some(_) => {}
                None => keep(&mut job.unknown, line),
            }
        } else if let Some(code) = exit_code(line) {
            job.exit = Some(code);
            jobs.push(std::mem::take(&mut job));
        } else {
            job.of_text(line);
        }
    }
    if job != Job::default() {
        jobs.push(job);
    }
    jobs.retain(|job| !job.made.is_empty());
    jobs
}

/// A JSON object that begins on this line, and may go on over the next ones.
fn object<'a>(first: &'a str, lines: &mut (impl Iterator<Item = &'a str> + Clone)) -> Option<Value> {
    let eof = match serde_json::from_str(first) {
        Ok(value) => return Some(value),
        Err(e) => e.is_eof(),
    };
    if !eof {
        return None;
    }
    let mut text = first.to_owned();
    let mut ahead = lines.clone();
    for _ in 0..MOST_SPREAD {
        text.push('\n');
        text.push_str(ahead.next()?);
        // An object ends with a brace, so that only there a try is worth its time.
        if text.ends_with('}')
            && let Ok(value) = serde_json::from_str(&text)
        {
            *lines = ahead;
            return Some(value);
        }
    }
    None
}

impl Job {
    /// Takes a JSON message in. True where it ends the job: a line with its exit code.
    fn of_json(&mut self, value: &Value) -> bool {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let whole = |at: &Value, key: &str| at.get(key).and_then(Value::as_i64);
        if let Some(code) = ["exit", "rc", "exit_code"].iter().find_map(|key| whole(value, key)) {
            self.exit = Some(code);
            return true;
        }
        match (text("message_type"), text("type")) {
            (Some("summary"), _) => {
                self.made.extend(text("snapshot_id").filter(|id| !id.is_empty()).map(str::to_owned));
                self.files = whole(value, "total_files_processed");
                self.bytes = whole(value, "total_bytes_processed");
                self.stored = whole(value, "data_added");
            }
            (Some("error" | "exit_error"), _) => {
                let what = text("item").or_else(|| text("message")).unwrap_or("an error without a name");
                keep(&mut self.errors, what);
            }
            (Some(_), _) => {}
            (None, Some("log_message")) => {
                if matches!(text("levelname"), Some("WARNING" | "ERROR" | "CRITICAL")) {
                    keep(&mut self.errors, text("message").unwrap_or("a warning without words"));
                }
            }
            (None, Some("file_status")) => {
                if text("status") == Some("E") {
                    keep(&mut self.errors, text("path").unwrap_or("a file that could not be read"));
                }
            }
            (None, Some(_)) => {}
            (None, None) => match value.get("archive") {
                Some(archive) => {
                    let name = archive.get("name").and_then(Value::as_str);
                    self.made.extend(name.map(str::to_owned));
                    self.id = archive.get("id").and_then(Value::as_str).map(str::to_owned);
                    if let Some(stats) = archive.get("stats") {
                        self.files = whole(stats, "nfiles");
                        self.bytes = whole(stats, "original_size");
                        self.stored = whole(stats, "deduplicated_size");
                    }
                }
                None => keep(&mut self.unknown, &value.to_string()),
            },
        }
        false
    }

    fn of_text(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("made ") {
            self.made.push(name.trim().to_owned());
            return;
        }
        let lower = line.to_lowercase();
        if COMPLAINTS.iter().any(|word| lower.contains(word)) && !lower.starts_with("unable to open cache") {
            keep(&mut self.errors, line);
        } else if !HARMLESS.iter().any(|word| lower.starts_with(word)) {
            keep(&mut self.unknown, line);
        }
    }
}

fn keep(list: &mut Vec<String>, line: &str) {
    if list.len() < MOST_LINES {
        list.push(line.chars().take(MOST_CHARACTERS).collect());
    }
}

/// The number in a line such as `exit 0`, `exit code: 3`, `rc=1`.
fn exit_code(line: &str) -> Option<i64> {
    let lower = line.to_lowercase();
    let rest = ["exit", "rc"].iter().find_map(|word| lower.strip_prefix(word))?;
    let rest = rest.trim_start_matches([' ', ':', '=']);
    let rest = ["code", "status"].iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    rest.trim_start_matches([' ', ':', '=']).trim().parse().ok()
}
