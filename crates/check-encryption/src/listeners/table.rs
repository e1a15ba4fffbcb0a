//! Reads /proc/net/{tcp,tcp6,udp,udp6} (proc_net(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::facts::Protocol;

/// Kernel states of a socket that matter here (include/net/tcp_states.h); an unconnected UDP socket is in CLOSE.
const LISTEN: u8 = 0x0a;
const CLOSE: u8 = 0x07;

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) local: SocketAddr,
    pub(super) state: u8,
    pub(super) uid: u32,
    /// 0 where no process holds it any more.
    pub(super) inode: u64,
}

impl Row {
    /// Whether anyone may speak to it first.
    pub(super) const fn waits(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => self.state == LISTEN,
            Protocol::Udp => self.state == CLOSE,
        }
    }
}

/// The sockets of a table, and the numbers (from 1) of lines that could not be read. The first line is its head.
pub(super) fn parse(text: &str) -> (Vec<Row>, Vec<usize>) {
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        match row(line) {
            Some(row) => rows.push(row),
            None => bad.push(number + 1),
        }
    }
    (rows, bad)
}

/// `sl: local remote state queues timer retransmits uid timeout inode …`
fn row(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace();
    let local = address(words.nth(1)?)?;
    let state = u8::from_str_radix(words.nth(1)?, 16).ok()?;
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Row { local, state, uid, inode })
}

/// `0100007F:1538`: the address as 32-bit words in the machine's own byte order, the port as a number.
fn address(word: &str) -> Option<SocketAddr> {
    let (ip, port) = word.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(native(ip)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&native(ip.get(at * 8..at * 8 + 8)?)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn native(hex: &str) -> Option<[u8; 4]> {
    u32::from_str_radix(hex, 16).ok().map(u32::to_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_both_families() {
        let (rows, bad) = parse(include_str!("../../tests/fixtures/proc-net-tcp6"));
        assert_eq!(bad, [0; 0]);
        let locals: Vec<_> = rows.iter().map(|row| row.local.to_string()).collect();
        assert_eq!(locals, ["[::]:22", "[2001:db8::10]:22"]);
        assert_eq!(rows.iter().map(|row| row.inode).collect::<Vec<_>>(), [18836, 40112]);
        assert_eq!(rows.iter().filter(|row| row.waits(Protocol::Tcp)).count(), 1);
    }

    #[test]
    fn a_line_in_another_form_is_named() {
        let head = "  sl  local_address rem_address   st\n";
        let (rows, bad) = parse(&format!("{head}   0: 00000000:0016 00000000:0000 0A\n\n   1: zz\n"));
        assert!(rows.is_empty());
        assert_eq!(bad, [2, 4]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_named(text in "\\PC{0,40}\n(\\PC{0,80}\n){0,8}") {
            let lines = text.lines().skip(1).filter(|l| !l.trim().is_empty()).count();
            let (rows, bad) = parse(&text);
            prop_assert_eq!(rows.len() + bad.len(), lines);
        }

        #[test]
        fn an_address_comes_back(ip: [u8; 16], port: u16) {
            let words: String = ip.chunks(4).map(|c| format!("{:08X}", u32::from_ne_bytes(c.try_into().unwrap_or_default()))).collect();
            let expected = SocketAddr::new(Ipv6Addr::from(ip).into(), port);
            prop_assert_eq!(address(&format!("{words}:{port:04X}")), Some(expected));
        }
    }
}
