//! Programs that listen and speak SSH, and are not the server that `sshd -T` tells of: a copy by another name, Dropbear.

use std::collections::BTreeSet;

use probe::Cx;

use crate::facts::{OtherSsh, Outcome, RunningSshd};
use crate::root::Root;
use crate::{listeners, proc};

/// Parts of the names of programs that serve SSH.
const NAMES: [&str; 6] = ["sshd", "dropbear", "sftpgo", "teleport", "lshd", "esshd"];
/// What the program of a server holds: the greeting (RFC 4253, section 4.2), or OpenSSH's template of it.
const GREETINGS: [&[u8]; 2] = [b"SSH-2.0-", b"SSH-%d.%d-"];
/// Bytes of a program looked at. Larger ones are seldom servers of SSH alone, and many have a client of it in them.
const MOST_PROGRAM: usize = 4 << 20;
/// Programs looked at.
const MOST: usize = 500;

/// Every such program. Without root only one's own processes are seen.
pub(super) async fn find(cx: &Cx, root: &Root, known: &[RunningSshd]) -> Vec<OtherSsh> {
    let own = |pid| known.iter().any(|server| server.pid == pid);
    let told: BTreeSet<&String> = known.iter().flat_map(|server| &server.sockets).collect();
    let mut found = Vec::new();
    let mut read = std::collections::BTreeMap::new();
    for (pid, sockets) in listeners::holders(cx, root).await.into_iter().take(MOST) {
        let exe = proc::exe(cx, root, pid).await.map(|(path, _)| path);
        // What a connection of sshd was handed, or systemd holds for it.
        let held = sockets.iter().all(|socket| told.contains(socket));
        let systemd = pid == 1 || exe.as_deref().is_some_and(|exe| exe.ends_with("/systemd"));
        // Ports that a session forwards are not its server's.
        let session = exe.is_some() && known.iter().any(|server| server.exe == exe);
        if own(pid) || held || systemd || session {
            continue;
        }
        let title = root.line(cx, format!("/proc/{pid}/cmdline")).await.unwrap_or_default();
        let mut signs = Vec::new();
        let name = exe.as_deref().and_then(|exe| exe.rsplit('/').next()).unwrap_or_default();
        if NAMES.iter().any(|part| name.contains(part)) {
            signs.push("name");
        }
        if title.contains(" [listener] ") && title.contains(" startups") {
            signs.push("title");
        }
        if sockets.iter().any(|socket| socket.ends_with(":22")) {
            signs.push("port");
        }
        if let Some(exe) = &exe {
            let greets = match read.get(exe) {
                Some(greets) => *greets,
                None => {
                    let bytes = cx.read_file(root.path(exe), MOST_PROGRAM).await.unwrap_or_default();
                    let has = |greeting: &[u8]| bytes.windows(greeting.len()).any(|window| window == greeting);
                    let greets = GREETINGS.iter().any(|greeting| has(greeting));
                    read.insert(exe.clone(), greets);
                    greets
                }
            };
            if greets {
                signs.push("program");
            }
        }
        if !signs.is_empty() {
            found.push(OtherSsh {
                name: format!("pid {pid}"),
                outcome: Outcome::Present,
                exe,
                signs: signs.into_iter().map(str::to_owned).collect(),
                sockets: sockets.into_iter().collect(),
            });
        }
    }
    found
}
