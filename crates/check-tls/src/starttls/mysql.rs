//! MySQL and MariaDB: the greeting names the capability, an SSLRequest is not answered but followed by TLS.

use super::{Dialogue, Step};

/// CLIENT_SSL.
const SSL: u16 = 0x0800;
/// Length 32, number 1; CLIENT_PROTOCOL_41, CLIENT_SSL and CLIENT_SECURE_CONNECTION; packets of up to 16 MB; utf8mb4.
const REQUEST: [u8; 13] = [32, 0, 0, 1, 0x00, 0x8a, 0x00, 0x00, 0, 0, 0, 1, 45];

/// The dialogue; whether TLS was asked for.
#[derive(Default)]
pub(super) struct Mysql {
    asked: bool,
}

impl Dialogue for Mysql {
    fn next(&mut self, heard: &mut &[u8]) -> Step {
        if self.asked {
            return Step::Begin;
        }
        let [a, b, c, _, behind @ ..] = *heard else { return Step::Hear };
        let length = usize::from(*c) << 16 | usize::from(*b) << 8 | usize::from(*a);
        if length == 0 || length > super::MOST_BYTES {
            return Step::unclear("it does not speak MySQL's protocol");
        }
        let Some((packet, after)) = behind.split_at_checked(length) else { return Step::Hear };
        *heard = after;
        match packet {
            // ERR_Packet: too many connections (1040), a host that is not allowed or blocked (1130, 1129).
            [0xff, low, high, ..] => {
                Step::Unclear(format!("it greets with error {}", u16::from_le_bytes([*low, *high])))
            }
            [10, rest @ ..] => match capabilities(rest) {
                Some(flags) if flags & SSL != 0 => {
                    self.asked = true;
                    let mut request = REQUEST.to_vec();
                    request.resize(36, 0);
                    Step::Say(request)
                }
                Some(_) => Step::refused("its greeting does not name the capability SSL"),
                None => Step::unclear("its greeting is too short"),
            },
            _ => Step::unclear("it does not speak MySQL's protocol"),
        }
    }
}

/// The lower capability flags: behind the version as text, the connection's number, eight bytes and a zero.
fn capabilities(rest: &[u8]) -> Option<u16> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let flags = rest.get(end + 1 + 4 + 8 + 1..)?.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*flags))
}
