//! One connection: what is said on it, and in which order.

use std::net::SocketAddr;

use model::{Direction, Ended, Failure};
use probe::{Conn, Cx, Heard};

use super::kex::{Agreed, Method, first_packet, go_on};
use super::offer::Offer;
use super::packet::{Side, message, packet, put_string};
use super::sealed::{Keys, Opened, common};
use super::{IDENTIFICATION, Question};

/// Most bytes that are read of one connection.
const MOST_BYTES: usize = 60 * 1024;
/// The account that is asked about: the one that every system has, so that no log tells of an unknown user.
pub(super) const USER: &str = "root";
/// Groups that current clients ask for, in bits: least, preferred, most.
const USUAL: [u32; 3] = [2048, 3072, 8192];

/// A connection, with what both sides said in the clear so far.
pub(super) struct Talk {
    conn: Conn,
    sent: Vec<u8>,
    heard: Vec<u8>,
}

impl Talk {
    /// Connects, and hears the server's identification and lists, if it has any.
    pub(super) async fn open(cx: &Cx, to: SocketAddr, question: &Question) -> Result<Self, Failure> {
        let conn = cx.dial(to, question.written()).await?;
        let mut talk = Self { conn, sent: Vec::new(), heard: Vec::new() };
        if talk.send(IDENTIFICATION).await.is_some() {
            talk.listen(message::KEXINIT).await;
        }
        Ok(talk)
    }

    /// The server's lists.
    pub(super) fn offer(&self) -> Option<Offer> {
        Side::read(&self.heard).packet(message::KEXINIT).and_then(Offer::read)
    }

    /// Asks. What came of it is in the record; `None` where it went wrong on the way, or there is nothing to ask.
    pub(super) async fn ask(&mut self, question: &Question) -> Option<()> {
        let offer = self.offer()?;
        match *question {
            Question::Login => {
                let under = common(&offer).filter(|_| offer.method().is_some_and(|(_, method)| method.is_computed()));
                self.exchange(&offer, 0, None, under).await?;
                self.log_in(under?).await?;
            }
            Question::Key { nth, group } => self.exchange(&offer, nth, group, None).await?,
            Question::Group { bits } => {
                let kex = offer.group_exchange()?;
                self.accept(&offer, (kex, Method::GroupExchange), offer.host_key.first()?, bits, None).await?;
                self.listen(message::KEX_REPLY).await?;
            }
        }
        self.conn.ended(Ended::ByUs);
        Some(())
    }

    /// A key exchange up to the server's signature: with the nth of its types of keys, and in a group of so many bits,
    /// if it has group exchange.
    async fn exchange(
        &mut self,
        offer: &Offer,
        nth: usize,
        group: Option<[u32; 3]>,
        under: Option<[&str; 2]>,
    ) -> Option<()> {
        let algorithms = offer.key_algorithms();
        // A server with one type of key may still be asked for a group, and one with certificates alone for a log-in.
        let host_key = match (algorithms.get(nth), group) {
            (Some(algorithm), _) => algorithm,
            (None, Some(_)) => offer.host_key.first().filter(|_| offer.group_exchange().is_some())?.as_str(),
            (None, None) => offer.host_key.first().filter(|_| nth == 0)?.as_str(),
        };
        let by_group = group.and(offer.group_exchange()).map(|name| (name, Method::GroupExchange));
        let (kex, method) = by_group.or_else(|| offer.method())?;
        self.accept(offer, (kex, method), host_key, group.unwrap_or(USUAL), under).await?;
        let side = self.listen(message::KEX_REPLY).await?;
        if method == Method::GroupExchange {
            let next = go_on(side.packet(message::KEX_REPLY)?)?;
            self.send(&packet(&next)).await?;
            self.listen(message::GEX_REPLY).await?;
        }
        Some(())
    }

    async fn accept(
        &mut self,
        offer: &Offer,
        (kex, method): (&str, Method),
        host_key: &str,
        bits: [u32; 3],
        under: Option<[&str; 2]>,
    ) -> Option<()> {
        let mut cookie = [0; 16];
        aws_lc_rs::rand::fill(&mut cookie).ok()?;
        let lists = packet(&offer.accept(kex, host_key, under, cookie));
        self.send(&[lists, first_packet(method, bits)].concat()).await
    }

    /// Asks for the method `none`, which RFC 4252 (section 5.2) has for the question how one may log in; nothing is
    /// tried that a log counts as a failed log-in. What is said under encryption is kept in the clear.
    async fn log_in(&mut self, under: [&str; 2]) -> Option<()> {
        let theirs = self.listen(message::NEWKEYS).await?;
        let ours = Side::read(&self.sent);
        let mut keys = Keys::new(&Agreed::from(&ours, &theirs)?, under)?;
        self.send(&packet(&[message::NEWKEYS])).await?;
        // What follows is ciphertext; what it says is kept in its stead.
        self.conn.mute();
        let [mut mine, mut its] = [ours.packets.len() + 1, theirs.packets.len()].map(|n| u32::try_from(n).unwrap_or(0));
        let mut service = vec![message::SERVICE_REQUEST];
        put_string(&mut service, b"ssh-userauth");
        let mut request = vec![message::USERAUTH_REQUEST];
        for text in [USER, "ssh-connection", "none"] {
            put_string(&mut request, text.as_bytes());
        }
        let mut heard = Vec::new();
        for (payload, answers) in [
            (service, &[message::SERVICE_ACCEPT][..]),
            (request, &[message::USERAUTH_FAILURE, message::USERAUTH_SUCCESS]),
        ] {
            let bytes = keys.seal(&payload, mine)?;
            mine = mine.wrapping_add(1);
            self.conn.keep(Direction::Sent, &packet(&payload));
            self.conn.send(&bytes).await.ok()?;
            self.hear(&mut keys, &mut its, &mut heard, answers).await?;
        }
        Some(())
    }

    /// Reads packets under encryption up to one of these. `number`: of the next one.
    async fn hear(&mut self, keys: &mut Keys, number: &mut u32, heard: &mut Vec<u8>, wanted: &[u8]) -> Option<()> {
        let mut total = 0;
        loop {
            match keys.open(heard, *number) {
                Opened::Payload(payload, used) => {
                    *number = number.wrapping_add(1);
                    heard.drain(..used);
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
                        heard.extend(bytes);
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

    async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.sent.extend_from_slice(bytes);
        self.conn.send(bytes).await.ok()
    }

    /// Reads up to a packet of that number; `None` where none can come any more.
    async fn listen(&mut self, number: u8) -> Option<Side> {
        loop {
            let side = Side::read(&self.heard);
            if side.packet(number).is_some() {
                return Some(side);
            }
            let over = side.broken.is_some() || side.packet(message::DISCONNECT).is_some();
            if over || self.heard.len() >= MOST_BYTES {
                return None;
            }
            match self.conn.recv(MOST_BYTES - self.heard.len()).await {
                Heard::Bytes(bytes) => self.heard.extend(bytes),
                Heard::End(_) => return None,
            }
        }
    }
}
