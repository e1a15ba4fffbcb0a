//! Reads small texts of the system: os-release(5), /proc/PID/status, user maps, environments.

use crate::proc;

/// Capabilities by bit (linux/capability.h).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A value of os-release(5), its quotes taken off.
pub(super) fn os_release(text: &str, key: &str) -> Option<String> {
    let value = text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?.trim();
    let bare = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value);
    let mut plain = String::with_capacity(bare.len());
    let mut characters = bare.chars();
    while let Some(c) = characters.next() {
        plain.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    Some(plain).filter(|value| !value.is_empty())
}

/// Effective user number and capabilities of /proc/PID/status.
pub(super) fn rights(status: &str) -> Option<(u32, Vec<String>)> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let uid = proc::effective_uid(status)?;
    let bits = u64::from_str_radix(field("CapEff")?, 16).ok()?;
    let held = CAPABILITIES.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    Some((uid, held.map(|(_, name)| (*name).to_owned()).collect()))
}

/// Whether a line of /proc/PID/uid_map maps every number to itself, as in the first user namespace.
pub(super) fn is_identity(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The variable `container` of a process's environment.
pub(super) fn container(environ: &[u8]) -> Option<String> {
    let value = environ.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"container="))?;
    Some(String::from_utf8_lossy(value).into_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_lose_their_quotes() {
        let text = "NAME='A B'\nID=alpine\nPRETTY_NAME=\"x \\\"y\\\"\"\nVERSION_ID=\n";
        assert_eq!(os_release(text, "NAME").as_deref(), Some("A B"));
        assert_eq!(os_release(text, "PRETTY_NAME").as_deref(), Some("x \"y\""));
        assert_eq!(os_release(text, "VERSION_ID"), None);
        assert_eq!(os_release(text, "I"), None);
    }

    #[test]
    fn rights_have_names() {
        let (uid, held) = rights("Uid:\t5\t7\t8\t9\nCapEff:\t000001ffffffffff\n").unwrap_or_default();
        assert_eq!((uid, held.len()), (7, CAPABILITIES.len()));
        assert!(is_identity("         0          0 4294967295"));
        assert!(!is_identity("0 1000 1"));
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "\\PC{0,99}(\n\\PC{0,40}){0,5}", bits: u64) {
            os_release(&text, "ID");
            rights(&text);
            rights(&format!("Uid: 1 2\nCapEff: {bits:x}\n"));
            container(text.as_bytes());
        }
    }
}
