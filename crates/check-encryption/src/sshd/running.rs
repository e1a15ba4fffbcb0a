//! SSH servers that run, and with which options.

use std::collections::BTreeSet;

use jiff::Timestamp;
use probe::Cx;

use super::syntax::{self, line};
use crate::facts::{Outcome, RunningSshd};
use crate::root::Root;
use crate::{listeners, proc};

/// Options of sshd(8) that take a value, and those that change its settings and that `sshd -T` accepts as well.
const WITH_VALUE: &str = "bCcEfghkopu";
const OF_SETTINGS: &str = "46cfhopu";

/// Where a server writes its number down (`PidFile`, sshd_config(5)).
const PID_FILE: &str = "/run/sshd.pid";

/// Every SSH server that waits for connections; the processes that serve one connection each are left out. Without the
/// right to see which programs run, only the one that wrote its number down is found.
pub(super) async fn find(cx: &Cx, root: &Root) -> Vec<RunningSshd> {
    let mut pids = BTreeSet::new();
    for pid in proc::pids(cx, root).await {
        let exe = proc::exe(cx, root, pid).await;
        if exe.is_some_and(|(path, _)| path.ends_with("/sshd")) {
            pids.insert(pid);
        }
    }
    if let Some(pid) = root.line(cx, PID_FILE).await.and_then(|line| line.parse().ok())
        && root.line(cx, format!("/proc/{pid}/comm")).await.as_deref() == Some("sshd")
    {
        pids.insert(pid);
    }
    let boot = root.text(cx, "/proc/stat", 8 << 20).await.ok().and_then(|text| proc::boot_time(&text));
    let mut servers = Vec::new();
    for pid in pids {
        let cmdline = root.text(cx, format!("/proc/{pid}/cmdline"), 1 << 16).await.ok();
        if let Some(command) = cmdline.and_then(|cmdline| title(&cmdline)) {
            servers.push(describe(cx, root, pid, command, boot).await);
        }
    }
    servers
}

async fn describe(cx: &Cx, root: &Root, pid: u32, command: String, boot: Option<Timestamp>) -> RunningSshd {
    let stat = root.text(cx, format!("/proc/{pid}/stat"), 4096).await.ok();
    let started = boot.and_then(|boot| proc::start_time(stat.as_deref()?, boot));
    let status = root.text(cx, format!("/proc/{pid}/status"), 1 << 16).await.ok();
    let namespace = cx.read_link(root.path(format!("/proc/{pid}/ns/mnt"))).await;
    let own = cx.read_link(root.path("/proc/self/ns/mnt")).await;
    let (exe, exe_deleted) = proc::exe(cx, root, pid).await.unzip();
    RunningSshd {
        name: format!("pid {pid}"),
        outcome: Outcome::Present,
        pid,
        uid: status.and_then(|text| proc::effective_uid(&text)),
        same_namespace: namespace.ok().zip(own.ok()).map(|(its, own)| its == own),
        exe,
        exe_deleted,
        command,
        started: started.map(|time| time.to_string()),
        config_newer: None,
        sockets: listeners::of_process(cx, root, pid).await,
    }
}

/// The command line of a server from /proc/PID/cmdline; `None` for a process that serves one connection, which calls
/// itself `sshd: user@pts/0`. A server calls itself `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups`.
fn title(cmdline: &str) -> Option<String> {
    let words: Vec<&str> = cmdline.split('\0').filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    let command = match line.strip_prefix("sshd: ") {
        Some(title) => title.split_once(" [listener]")?.0,
        None => &line,
    };
    Some(command.trim().to_owned()).filter(|command| !command.is_empty())
}

/// The options of a command line that change the settings, in a form that `sshd -T` understands; `None` where the line
/// can't be split for certain, because a value holds blanks.
pub(super) fn options(command: &str) -> Option<Vec<String>> {
    let mut words = command.split_whitespace().skip(1);
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let mut letters = word.strip_prefix('-').filter(|rest| !rest.is_empty())?.chars();
        while let Some(letter) = letters.next() {
            let value = if WITH_VALUE.contains(letter) {
                let attached = letters.as_str();
                letters = "".chars();
                Some(if attached.is_empty() { words.next()?.to_owned() } else { attached.to_owned() })
            } else {
                None
            };
            if OF_SETTINGS.contains(letter) {
                options.push(format!("-{letter}"));
                options.extend(value);
            }
        }
    }
    Some(options)
}

/// A command line as it may be shown: what `-o` sets may hold secrets (`SetEnv`), and where it can't be split for certain
/// the program alone is kept.
pub(super) fn shown(command: &str) -> String {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    match (options(command), words.first()) {
        (Some(_), _) => shown_words(&words).join(" "),
        (None, Some(program)) => format!("{program} …"),
        (None, None) => String::new(),
    }
}

/// The same for words.
pub(super) fn shown_words(words: &[String]) -> Vec<String> {
    let secret = |option: &str| {
        let line = line(option)?;
        let value = syntax::shown(&line.name, &line.rest);
        (value != line.rest).then(|| format!("{}={value}", line.name))
    };
    let mut after = false;
    let mut shown = Vec::new();
    for word in words {
        let of_o = word
            .starts_with('-')
            .then(|| word.split_once('o'))
            .flatten()
            .filter(|(before, _)| !before.contains(|letter| WITH_VALUE.contains(letter)));
        shown.push(match of_o {
            _ if after => secret(word).unwrap_or_else(|| word.clone()),
            Some((before, option)) if !option.is_empty() => {
                secret(option).map_or_else(|| word.clone(), |option| format!("{before}o{option}"))
            }
            _ => word.clone(),
        });
        after = !after && of_o.is_some_and(|(_, option)| option.is_empty());
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn servers_are_told_from_sessions() {
        let server = "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups\0\0\0";
        assert_eq!(title(server).as_deref(), Some("/usr/sbin/sshd -D"));
        assert_eq!(title("/usr/sbin/sshd\0-f\0/x\0").as_deref(), Some("/usr/sbin/sshd -f /x"));
        assert_eq!(title("sshd: root@pts/0\0"), None);
        assert_eq!(title(""), None);
    }

    #[test]
    fn secrets_of_a_command_line_are_cut_off() {
        assert_eq!(shown("sshd -DoSetEnv=A=s3cret -p 22"), "sshd -Dosetenv=A=… -p 22");
        assert_eq!(shown("sshd -D -o ForceCommand=s3cret"), "sshd -D -o ForceCommand=s3cret");
        assert_eq!(shown("sshd -o ForceCommand=/bin/x s3cret -D"), "sshd …");
        assert_eq!(shown("sshd -o SetEnv=A=s3cret -f /etc/x"), "sshd -o setenv=A=… -f /etc/x");
        let words = ["sshd", "-T", "-o", "ForceCommand=/bin/x s3cret"].map(str::to_owned);
        assert_eq!(shown_words(&words).last().map(String::as_str), Some("forcecommand=/bin/x …"));
    }

    #[test]
    fn options_that_matter_are_kept() {
        let of = |line: &str| options(line).map(|words| words.join(" "));
        assert_eq!(of("/usr/sbin/sshd -D"), Some(String::new()));
        assert_eq!(of("sshd -De -f/etc/x -oPort=22 -p 23 -E log -4"), Some("-f /etc/x -o Port=22 -p 23 -4".into()));
        assert_eq!(of("sshd -o Banner none -D"), None);
        assert_eq!(of("sshd -f"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "\\PC{0,60}", line in "( ?-?[a-z46]{0,4}){0,8}") {
            title(&text);
            options(&text);
            shown(&text);
            shown(&line);
            options(&line);
        }
    }
}
