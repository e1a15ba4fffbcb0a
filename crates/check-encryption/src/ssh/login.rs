//! How one may log in: the method `none` is asked for, which RFC 4252 (section 5.2) has for that question, and the
//! answer names the methods. Nothing is tried that a log counts as a failed log-in.

use model::{Direction, Ended};
use probe::{Conn, Heard};

use super::offer::Offer;
use super::packet::{Side, message, packet, put_string, string};
use super::sealed::{Keys, Opened, Own, Said, common};
use super::{IDENTIFICATION, MOST_BYTES, listen};

/// The account that is asked about: the one that every system has, so that no log tells of an unknown user.
pub(super) const USER: &str = "root";

/// Asks on a connection whose identification and lists were read. What was said under encryption is kept in the clear.
/// `None` where there is no method or cipher in common, or it went wrong on the way; the record tells.
pub(super) async fn ask(conn: &mut Conn, heard: &mut Vec<u8>, theirs: &Side, offer: &Offer) -> Option<()> {
    let (curve, cipher) = common(offer)?;
    let host_key = offer.host_key.first()?;
    let ours = offer.accept_with(curve.name, host_key, cipher);
    let own = Own::new(curve)?;
    let mut init = vec![message::KEX_INIT];
    put_string(&mut init, &own.public);
    conn.send(&[ours.clone(), packet(&init)].concat()).await.ok()?;
    let side = listen(conn, heard, |side| side.packet(message::NEWKEYS).is_some()).await;
    let (host_key, rest) = string(side.packet(message::KEX_REPLY)?.get(1..)?)?;
    let (public, _) = string(rest)?;
    side.packet(message::NEWKEYS)?;
    let read = Side::read(&[IDENTIFICATION, ours.as_slice()].concat());
    let said = Said {
        identifications: [IDENTIFICATION.trim_ascii_end(), theirs.identification.as_ref()?.as_bytes()],
        offers: [read.packet(message::KEXINIT)?, theirs.packet(message::KEXINIT)?],
        host_key,
        public,
    };
    let keys = own.keys(&said, cipher)?;
    conn.send(&packet(&[message::NEWKEYS])).await.ok()?;
    // What follows is ciphertext; what it says is kept in its stead.
    conn.mute();
    // Three packets of ours went in the clear; of theirs all that were heard.
    let numbers = [3, u32::try_from(side.packets.len()).ok()?];
    let mut sealed = Sealed { conn, keys, numbers, heard: Vec::new() };
    let mut service = vec![message::SERVICE_REQUEST];
    put_string(&mut service, b"ssh-userauth");
    sealed.say(&service).await?;
    sealed.hear(&[message::SERVICE_ACCEPT]).await?;
    let mut request = vec![message::USERAUTH_REQUEST];
    for text in [USER, "ssh-connection", "none"] {
        put_string(&mut request, text.as_bytes());
    }
    sealed.say(&request).await?;
    sealed.hear(&[message::USERAUTH_FAILURE, message::USERAUTH_SUCCESS]).await
}

/// A connection under its keys.
struct Sealed<'a> {
    conn: &'a mut Conn,
    keys: Keys,
    /// Numbers of the next packets: ours, theirs.
    numbers: [u32; 2],
    heard: Vec<u8>,
}

impl Sealed<'_> {
    async fn say(&mut self, payload: &[u8]) -> Option<()> {
        let [number, _] = &mut self.numbers;
        let bytes = self.keys.seal(payload, *number)?;
        *number = number.wrapping_add(1);
        self.conn.keep(Direction::Sent, &packet(payload));
        self.conn.send(&bytes).await.ok()
    }

    /// Reads packets up to one of these.
    async fn hear(&mut self, wanted: &[u8]) -> Option<()> {
        let mut total = 0;
        loop {
            let [_, number] = &mut self.numbers;
            match self.keys.open(&self.heard, *number) {
                Opened::Payload(payload, used) => {
                    *number = number.wrapping_add(1);
                    self.heard.drain(..used);
                    self.conn.keep(Direction::Received, &packet(&payload));
                    let first = payload.first()?;
                    if wanted.contains(first) {
                        return Some(());
                    }
                    if *first == message::DISCONNECT {
                        return None;
                    }
                }
                Opened::Broken => return None,
                Opened::Short => match self.conn.recv(MOST_BYTES).await {
                    Heard::Bytes(bytes) if total + bytes.len() <= MOST_BYTES => {
                        total += bytes.len();
                        self.heard.extend(bytes);
                    }
                    Heard::Bytes(_) => {
                        self.conn.ended(Ended::ByUs);
                        return None;
                    }
                    Heard::End(_) => return None,
                },
            }
        }
    }
}
