//! Which sockets of this machine wait for others, and whose they are (proc(5), /proc/net and /proc/PID/fd).

mod owners;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use self::owners::Owners;
use self::table::{Row, parse};
use crate::facts::{Asked, ListenersFacts, NotRead, Outcome, Protocol, Socket};
use crate::root::{Root, is_missing, reason};

/// Bytes read of one table: about 200,000 sockets.
const MOST_TABLE: usize = 32 << 20;

/// The kernel's tables of sockets.
const TABLES: [(&str, Protocol); 4] =
    [("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp), ("udp", Protocol::Udp), ("udp6", Protocol::Udp)];

/// Looks at the sockets of the network namespace that this program runs in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listeners {
    root: Root,
}

impl Probe for Listeners {
    fn kind(&self) -> Kind {
        Kind::new("listeners", Level::Effective)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(ListenersFacts)
    }

    fn plan(&self, _target: &Target) -> Plan {
        let mut files: Vec<String> = TABLES.iter().map(|(table, _)| format!("/proc/net/{table}")).collect();
        files.extend(["/proc/*/fd/", "/proc/*/comm", "/proc/*/exe"].map(str::to_owned));
        Plan { files, ..Plan::default() }
    }

    fn observe<'a>(&'a self, _target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&self.look(cx).await?) })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

impl Listeners {
    async fn look(&self, cx: &Cx) -> Result<ListenersFacts, Failure> {
        let mut rows = Vec::new();
        let mut read = Vec::new();
        let mut not_read = Vec::new();
        let mut missing = 0;
        for (table, protocol) in TABLES {
            match self.root.text(cx, format!("/proc/net/{table}"), MOST_TABLE).await {
                Ok(text) => {
                    let (found, bad) = parse(&text);
                    rows.extend(found.into_iter().filter(|row| row.waits(protocol)).map(|row| (protocol, row)));
                    if bad.is_empty() {
                        read.push(table.to_owned());
                    }
                    not_read.extend(bad.into_iter().map(|line| {
                        NotRead::new(format!("/proc/net/{table}:{line}"), "not in a form that this program knows")
                    }));
                }
                Err(e) if is_missing(&e) => missing += 1,
                Err(e) => not_read.push(NotRead::new(format!("/proc/net/{table}"), reason(&e))),
            }
        }
        if missing == TABLES.len() {
            return Err(Failure::new(
                FailureClass::Missing,
                "host: /proc/net holds no table of sockets; is /proc mounted?",
            ));
        }
        let asked = if not_read.is_empty() { Asked::All } else { Asked::Only(read) };

        let inodes = rows.iter().map(|(_, row)| row.inode).filter(|inode| *inode != 0).collect();
        let owners = Owners::find(cx, &self.root, &inodes).await;
        let (mut listeners, mut datagrams) = (Vec::new(), Vec::new());
        for ((protocol, _), rows) in group(rows) {
            let Some(socket) = describe(cx, &self.root, &owners, protocol, &rows).await else { continue };
            match protocol {
                Protocol::Tcp => listeners.push(socket),
                Protocol::Udp => datagrams.push(socket),
            }
        }
        let order = |s: &Socket| (s.port, s.name.clone());
        listeners.sort_by_key(order);
        datagrams.sort_by_key(order);
        Ok(ListenersFacts {
            network_namespace: cx.read_link(self.root.path("/proc/self/ns/net")).await.ok(),
            asked,
            listeners,
            datagrams,
            not_read,
            processes_not_read: owners.not_read,
        })
    }
}

/// Names of the TCP sockets on which one process listens; empty where they can't be read.
pub(crate) async fn of_process(cx: &Cx, root: &Root, pid: u32) -> Vec<String> {
    let inodes = owners::inodes(cx, root, pid).await;
    let mut names = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let text = root.text(cx, format!("/proc/net/{table}"), MOST_TABLE).await.unwrap_or_default();
        let (rows, _) = parse(&text);
        let its = rows.into_iter().filter(|row| row.waits(Protocol::Tcp) && inodes.contains(&row.inode));
        names.extend(its.map(|row| format!("tcp:{}", row.local)));
    }
    names.into_iter().collect()
}

/// Processes that hold TCP sockets on which somebody listens, with the names of those.
pub(crate) async fn holders(cx: &Cx, root: &Root) -> BTreeMap<u32, BTreeSet<String>> {
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    for table in ["tcp", "tcp6"] {
        let text = root.text(cx, format!("/proc/net/{table}"), MOST_TABLE).await.unwrap_or_default();
        let rows = parse(&text).0.into_iter().filter(|row| row.waits(Protocol::Tcp) && row.inode != 0);
        names.extend(rows.map(|row| (row.inode, format!("tcp:{}", row.local))));
    }
    let owners = Owners::find(cx, root, &names.keys().copied().collect()).await;
    let mut holders: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for (inode, pids) in owners.all() {
        for pid in pids {
            holders.entry(*pid).or_default().extend(names.get(inode).cloned());
        }
    }
    holders
}

/// Several sockets may share an address (`SO_REUSEPORT`); they are one thing to everyone else.
fn group(rows: Vec<(Protocol, Row)>) -> BTreeMap<(Protocol, SocketAddr), Vec<Row>> {
    let mut groups: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for (protocol, row) in rows {
        groups.entry((protocol, row.local)).or_default().push(row);
    }
    groups
}

async fn describe(cx: &Cx, root: &Root, owners: &Owners, protocol: Protocol, rows: &[Row]) -> Option<Socket> {
    let row = rows.first()?;
    let ip = row.local.ip().to_canonical();
    let transport = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    let process = owners.process(cx, root, rows.iter().map(|row| row.inode)).await;
    let process_why = match (&process, owners.not_read) {
        (Some(_), _) => None,
        (None, 0) => Some(
            "no process that this program can see holds it: the kernel does, or a process in another namespace".into(),
        ),
        (None, n) => Some(format!("{n} processes could not be read; run as root to see whose it is")),
    };
    Some(Socket {
        name: format!("{transport}:{}", row.local),
        outcome: Outcome::Present,
        protocol,
        address: row.local.ip().to_string(),
        port: row.local.port(),
        loopback: ip.is_loopback(),
        wildcard: ip.is_unspecified(),
        reach: reach(row.local).map(|address| address.to_string()),
        uid: row.uid,
        inode: row.inode,
        process,
        process_why,
    })
}

/// Where this machine itself can reach a socket.
fn reach(local: SocketAddr) -> Option<SocketAddr> {
    let ip = match local.ip().to_canonical() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => {
            // `::ffff:0.0.0.0` answers on IPv4 as well.
            Ipv4Addr::LOCALHOST.into()
        }
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(ip) if ip.is_unicast_link_local() => return None,
        ip if ip.is_multicast() => return None,
        ip => ip,
    };
    Some(SocketAddr::new(ip, local.port()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use super::*;
    use crate::testing::{Machine, observe};

    fn machine() -> Machine {
        let machine = Machine::new();
        machine.file("/proc/net/tcp", include_str!("../tests/fixtures/proc-net-tcp"));
        machine.file("/proc/net/tcp6", include_str!("../tests/fixtures/proc-net-tcp6"));
        machine.file("/proc/net/udp", include_str!("../tests/fixtures/proc-net-udp"));
        machine.link("/proc/self/ns/net", "net:[4026531840]");
        machine.link("/proc/812/fd/3", "socket:[18834]");
        machine.link("/proc/812/exe", "/usr/sbin/sshd (deleted)");
        machine.file("/proc/812/comm", "sshd\n");
        machine.link("/proc/900/fd/5", "socket:[18834]");
        machine
    }

    #[tokio::test]
    async fn sockets_have_names_reach_and_owner() {
        let machine = machine();
        let facts = observe(Listeners { root: machine.root() }).await.unwrap();
        assert_eq!(facts["asked"], "all");
        assert_eq!(facts["network_namespace"], "net:[4026531840]");
        let names: Vec<_> = facts["listeners"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
        assert_eq!(names, ["tcp:0.0.0.0:22", "tcp:[::]:22", "tcp:127.0.0.1:5432"]);
        let ssh = &facts["listeners"][0];
        assert_eq!(ssh["reach"], "127.0.0.1:22");
        assert_eq!((&ssh["wildcard"], &ssh["loopback"]), (&true.into(), &false.into()));
        assert_eq!(ssh["process"]["pid"], 812);
        assert_eq!(ssh["process"]["holders"], 2);
        assert_eq!(ssh["process"]["exe"], "/usr/sbin/sshd");
        assert_eq!(ssh["process"]["exe_deleted"], true);
        assert_eq!(facts["listeners"][1]["reach"], "[::1]:22");
        assert!(facts["listeners"][2]["process"].is_null());
        assert!(facts["listeners"][2]["process_why"].is_string());
        assert_eq!(facts["datagrams"][0]["name"], "udp:127.0.0.1:323");
    }

    #[tokio::test]
    async fn a_table_in_another_form_is_not_complete() {
        let machine = machine();
        machine.file("/proc/net/udp6", "header\n garbage\n");
        let facts = observe(Listeners { root: machine.root() }).await.unwrap();
        assert_eq!(facts["asked"], serde_json::json!(["tcp", "tcp6", "udp"]));
        assert_eq!(facts["not_read"][0]["name"], "/proc/net/udp6:2");
        assert_eq!(facts["not_read"][0]["outcome"], "not_proven");
    }

    #[tokio::test]
    async fn without_proc_nothing_is_seen() {
        let failure = observe(Listeners { root: Machine::new().root() }).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Missing);
    }

    #[tokio::test]
    async fn a_real_socket_of_this_process_is_found() {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let facts = observe(Listeners::default()).await.unwrap();
        let name = format!("tcp:{}", socket.local_addr().unwrap());
        let found = facts["listeners"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap();
        assert_eq!(found["process"]["pid"], std::process::id());
        assert_eq!(found["loopback"], true);
    }

    #[test]
    fn reach_needs_no_interface() {
        let reach = |s: &str| reach(s.parse().unwrap()).map(|a| a.to_string());
        assert_eq!(reach("0.0.0.0:1").as_deref(), Some("127.0.0.1:1"));
        assert_eq!(reach("[::]:1").as_deref(), Some("[::1]:1"));
        assert_eq!(reach("[::ffff:192.0.2.1]:1").as_deref(), Some("192.0.2.1:1"));
        assert_eq!(reach("192.0.2.1:1").as_deref(), Some("192.0.2.1:1"));
        assert_eq!(reach("[fe80::1]:1"), None);
        assert_eq!(reach("224.0.0.251:5353"), None);
    }
}
