//! A backup tool's command line: secrets by environment, JSON out, and errors that say what to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use model::{Failure, FailureClass};
use probe::{Command, Cx, Output};
use serde::de::DeserializeOwned;

use crate::scalar::secret_in;

/// Characters of a tool's own words in a message, at most.
const MOST_SAID: usize = 300;

/// What a tool says where this machine takes no more, in any of its lines.
const FULL: [&str; 4] = ["no space left on device", "disk quota exceeded", "file too large", "too many open files"];

/// Variables that a tool sees and nobody else.
#[derive(Default)]
pub(crate) struct Secrets {
    variables: Vec<(String, zeroize::Zeroizing<String>)>,
    /// What is to be kept out of the record beside what [`Cx::secret`] gave.
    hidden: Vec<zeroize::Zeroizing<String>>,
    /// Variables that name a folder for what the tool wants to write down, which is gone with this.
    folders: Vec<(String, tempfile::TempDir)>,
}

impl Secrets {
    /// A variable whose value is a secret.
    ///
    /// # Errors
    /// Where it can't be had.
    pub(crate) async fn add(&mut self, cx: &Cx, name: &str, reference: &str) -> Result<(), Failure> {
        let value = cx.secret(reference).await?;
        self.hidden.push(value.clone());
        self.variables.push((name.to_owned(), value));
        Ok(())
    }

    /// The variables that an inventory brings.
    ///
    /// # Errors
    /// Where one can't be had, or is none that is known to be harmless and the command line does not allow others.
    pub(crate) async fn environment(&mut self, cx: &Cx, variables: &BTreeMap<String, String>) -> Result<(), Failure> {
        for (name, reference) in variables {
            if !CREDENTIALS.contains(&name.as_str()) && !cx.allow_commands() {
                return Err(not_allowed(&format!("environment: {name}")));
            }
            self.add(cx, name, reference).await?;
        }
        Ok(())
    }

    /// The place of a repository, whose URL may hold a password, which other users would see among the words of a command.
    pub(crate) fn place(&mut self, name: &str, location: &str) {
        self.hidden.extend(secret_in(location).map(|secret| zeroize::Zeroizing::new(secret.to_owned())));
        self.set(name, location);
    }

    /// A variable that names an empty folder of the tool's own.
    ///
    /// # Errors
    /// Where none can be made.
    pub(crate) async fn folder(&mut self, cx: &Cx, name: &str) -> Result<(), Failure> {
        let folder = cx.private_folder().await.map_err(|e| Failure::new(e.class, e.to_string()))?;
        self.folders.push((name.to_owned(), folder));
        Ok(())
    }

    /// A variable that is no secret.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), zeroize::Zeroizing::new(value.to_owned())));
    }
}

impl Secrets {
    /// A text without any of the secrets: what a tool says goes into messages and notes.
    fn out_of(&self, text: &str) -> String {
        // The longest first: a secret that holds another one is taken out as a whole.
        let mut hidden: Vec<&zeroize::Zeroizing<String>> = self.hidden.iter().filter(|s| !s.is_empty()).collect();
        hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        hidden.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "[redacted]"))
    }

    fn env(&self) -> Vec<(&str, &str)> {
        let folders = self.folders.iter().filter_map(|(name, folder)| Some((name.as_str(), folder.path().to_str()?)));
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(folders).collect()
    }
}

/// Variables that an inventory may set for a tool: credentials of stores. Any other may name a command
/// (`RESTIC_PASSWORD_COMMAND`, `BORG_RSH`, `LD_PRELOAD`).
const CREDENTIALS: [&str; 15] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AZURE_ACCOUNT_KEY",
    "AZURE_ACCOUNT_NAME",
    "AZURE_ACCOUNT_SAS",
    "B2_ACCOUNT_ID",
    "B2_ACCOUNT_KEY",
    "GOOGLE_ACCESS_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_PROJECT_ID",
    "RESTIC_REST_PASSWORD",
    "RESTIC_REST_USERNAME",
    "TMPDIR",
];

/// The program: the tool's own name, which is looked for in the system's folders, or what the inventory names, which is
/// a command that the inventory brings.
///
/// # Errors
/// Where the command line does not allow those.
pub(crate) fn program(own: &str, named: Option<&String>, cx: &Cx) -> Result<String, Failure> {
    match named {
        None => Ok(own.to_owned()),
        Some(named) if cx.allow_commands() => Ok(named.clone()),
        Some(named) => Err(not_allowed(&format!("program: {named}"))),
    }
}

fn not_allowed(what: &str) -> Failure {
    let message = format!("'{what}' of the inventory may run any command; it needs --allow-commands");
    Failure::new(FailureClass::Permission, message)
}

/// A program and what it needs.
pub(crate) struct Tool {
    /// Its name or path.
    pub(crate) program: String,
    /// Arguments that make it tell its version.
    pub(crate) version: &'static [&'static str],
    /// Its variables.
    pub(crate) secrets: Secrets,
    /// What its complaints mean.
    pub(crate) hint: fn(&str) -> Option<(FailureClass, &'static str)>,
}

/// What a tool said as JSON.
pub(crate) struct Json<T> {
    /// It.
    pub(crate) value: T,
    /// Warnings beside it.
    pub(crate) notes: Vec<String>,
    /// What it says of itself.
    pub(crate) version: Option<String>,
}

impl Tool {
    /// Runs it.
    ///
    /// # Errors
    /// As [`Cx::command`].
    pub(crate) async fn run(&self, cx: &Cx, arguments: &[&str], most: usize) -> Result<Output, Failure> {
        self.run_in(cx, arguments, most, None).await
    }

    /// Runs it in a folder.
    ///
    /// # Errors
    /// As [`Cx::command`].
    pub(crate) async fn run_in(
        &self,
        cx: &Cx,
        arguments: &[&str],
        most: usize,
        cwd: Option<&Path>,
    ) -> Result<Output, Failure> {
        self.run_within(cx, arguments, most, cwd, cx.remaining()).await
    }

    /// Runs it in a folder, and ends it after so long.
    ///
    /// # Errors
    /// As [`Cx::command`].
    pub(crate) async fn run_within(
        &self,
        cx: &Cx,
        arguments: &[&str],
        most: usize,
        cwd: Option<&Path>,
        within: Duration,
    ) -> Result<Output, Failure> {
        let argv: Vec<&str> = std::iter::once(self.program.as_str()).chain(arguments.iter().copied()).collect();
        let env = self.secrets.env();
        let redact: Vec<&str> = self.secrets.hidden.iter().map(|secret| secret.as_str()).collect();
        let version = self.version;
        cx.command(Command { env: &env, cwd, redact: &redact, most, within, version, ..Command::new(&argv) }).await
    }

    /// Runs it and reads its answer. The exit code alone proves nothing: the answer has to be there and whole.
    ///
    /// # Errors
    /// Where it can't be run, or does not give that answer.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        arguments: &[&str],
        most: usize,
    ) -> Result<Json<T>, Failure> {
        let output = self.run(cx, arguments, most).await?;
        if output.exit != Some(0) {
            return Err(self.complaint(arguments, &output));
        }
        let (value, mut notes) = parse::<T>(&output.stdout).map_err(|why| {
            // Why an answer is not understood repeats some of it.
            let why = self.secrets.out_of(&why);
            let message = format!("{}: its answer to '{}' can't be read: {why}", self.program, arguments.join(" "));
            Failure::new(FailureClass::Unreadable, format!("{message}; is this version of it known to Probity?"))
        })?;
        notes.extend(self.said(&output.stderr).map(|said| format!("{}: {said}", self.program)));
        Ok(Json { value, notes, version: output.version })
    }

    /// Runs it and hands out its answer line by line; `line` says whether it understood.
    ///
    /// # Errors
    /// Where it can't be run, does not end well, or says a line that is not understood.
    pub(crate) async fn lines(
        &self,
        cx: &Cx,
        arguments: &[&str],
        line: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<(), Failure> {
        let argv: Vec<&str> = std::iter::once(self.program.as_str()).chain(arguments.iter().copied()).collect();
        let env = self.secrets.env();
        let redact: Vec<&str> = self.secrets.hidden.iter().map(|secret| secret.as_str()).collect();
        let within = cx.remaining();
        let command = Command { env: &env, redact: &redact, within, version: self.version, ..Command::new(&argv) };
        let mut strange = 0_u64;
        let output = cx
            .command_lines(command, |bytes: &[u8]| {
                strange += u64::from(!bytes.trim_ascii().is_empty() && !line(bytes));
                Ok(())
            })
            .await?;
        if output.exit != Some(0) {
            return Err(self.complaint(arguments, &output));
        }
        if strange > 0 {
            let message = format!("{}: {strange} lines of its answer to '{}'", self.program, arguments.join(" "));
            return Err(Failure::new(FailureClass::Unreadable, format!("{message} can't be read")));
        }
        Ok(())
    }

    /// Its last words, without secrets.
    fn said(&self, stderr: &[u8]) -> Option<String> {
        last_words(self.secrets.out_of(&String::from_utf8_lossy(stderr)).as_bytes())
    }

    /// What went wrong, in the tool's words and ours.
    pub(crate) fn complaint(&self, arguments: &[&str], output: &Output) -> Failure {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = self.said(&output.stderr).unwrap_or_else(|| "it said nothing".to_owned());
        // The last line often only counts what the first one names.
        let first = self.secrets.out_of(&stderr);
        let first = first.lines().map(str::trim).find(|line| is_complaint(line));
        let first = first.map(|line| line.chars().take(MOST_SAID).collect::<String>()).filter(|line| *line != last);
        let said = first.map_or_else(|| last.clone(), |first| format!("{first} … {last}"));
        let ended = output.exit.map_or_else(|| "was killed".to_owned(), |code| format!("ended with {code}"));
        if let Some(full) = FULL.iter().find(|words| stderr.to_lowercase().contains(**words)) {
            let message = format!("{} {} {ended}: {full}", self.program, arguments.join(" "));
            return Failure::new(
                FailureClass::Interrupted,
                format!("{message}; that says nothing of the copy; make room"),
            );
        }
        let (class, advice) = (self.hint)(&stderr).unwrap_or((FailureClass::Unreadable, "run it by hand to see more"));
        Failure::new(class, format!("{} {} {ended}: {said}; {advice}", self.program, arguments.join(" ")))
    }
}

/// Reads JSON among whatever else was printed: all of it, else the one line that is it.
fn parse<T: DeserializeOwned>(stdout: &[u8]) -> Result<(T, Vec<String>), String> {
    let whole = match serde_json::from_slice::<T>(stdout) {
        Ok(value) => return Ok((value, Vec::new())),
        Err(e) => e,
    };
    let begins = |line: &&[u8]| line.trim_ascii_start().starts_with(b"[") || line.trim_ascii_start().starts_with(b"{");
    let lines: Vec<&[u8]> = stdout.split(|b| *b == b'\n').collect();
    let mut found = lines.iter().filter(|l| begins(l)).filter_map(|l| serde_json::from_slice::<T>(l).ok());
    match (found.next(), found.next()) {
        (Some(value), None) => Ok((value, vec!["the tool printed other lines into its JSON".to_owned()])),
        _ => Err(whole.to_string()),
    }
}

/// A line that tells of something wrong.
fn is_complaint(line: &str) -> bool {
    let line = line.to_lowercase();
    ["error", "fatal", "failed", "cannot"].iter().any(|word| line.contains(word))
}

/// The last line that a tool printed, shortened.
fn last_words(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).rfind(|l| !l.is_empty())?;
    Some(line.chars().take(MOST_SAID).collect())
}

#[cfg(test)]
mod tests {
    use super::{Secrets, Tool, parse};

    #[test]
    fn words_of_tools_hold_no_secrets() {
        let hidden = ["S3CR", "S3CRET-long", "", "p@ss"].map(|secret| secret.to_owned().into());
        let secrets = Secrets { hidden: hidden.into(), ..Secrets::default() };
        let tool = Tool { program: "tool".into(), version: &[], secrets, hint: |_| None };
        let stderr = b"S3CR\nFatal: https://u:p@ss@h with S3CRET-long, S3CR\n\n".to_vec();
        let said = tool.said(&stderr).unwrap_or_default();
        assert_eq!(said, "Fatal: https://u:[redacted]@h with [redacted], [redacted]");
        // A secret that the cut would leave a part of is gone before it.
        let long = format!("{}S3CRET-long", "x".repeat(super::MOST_SAID - 4));
        assert!(!tool.said(long.as_bytes()).unwrap_or_default().contains("S3"));
    }

    #[test]
    fn a_complaint_names_what_the_last_line_only_counts() {
        let tool = Tool { program: "restic".into(), version: &[], secrets: Secrets::default(), hint: |_| None };
        let stderr = b"repository opened\nignoring error for /srv/a: no blob\nFatal: There were 2 errors\n".to_vec();
        let output = probe::Output { exit: Some(1), stdout: Vec::new(), stderr, version: None };
        let said = tool.complaint(&["restore"], &output);
        assert!(said.message.contains("ignoring error for /srv/a: no blob … Fatal: There were 2 errors"), "{said:?}");
        let full = b"x: write /y: no space left on device\nFatal: There were 2 errors\n".to_vec();
        let full = tool.complaint(&["restore"], &probe::Output { stderr: full, ..output });
        assert_eq!(full.class, model::FailureClass::Interrupted, "{full:?}");
    }

    #[test]
    fn warnings_among_json() {
        assert_eq!(parse::<Vec<i64>>(b"[1,2]\n"), Ok((vec![1, 2], vec![])));
        let (value, notes) = parse::<Vec<i64>>(b"warning: old cache\n[1,2]\n").unwrap_or_default();
        assert_eq!((value, notes.len()), (vec![1, 2], 1));
        assert!(parse::<Vec<i64>>(b"[1]\n[2]\n").is_err(), "two answers are none");
        assert!(parse::<Vec<i64>>(b"").is_err());
        assert!(parse::<Vec<i64>>(b"[1,").is_err());
    }
}
