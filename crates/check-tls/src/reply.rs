//! What a server said to a hello, read from untrusted bytes under bounds.

mod messages;
mod not_tls;
mod ssl2;

pub use messages::{KeyExchange, ServerHello};
pub use not_tls::Spoke;
pub use ssl2::Ssl2Hello;

/// Most bytes read from a server in one exchange.
pub const MOST_BYTES: usize = 64 * 1024;
/// Most records read in one exchange: whoever sends more, in pieces this small, never ends.
const MOST_RECORDS: usize = 1024;
/// Most alerts of level "warning" read in one exchange.
const MOST_WARNINGS: usize = 8;

/// An alert (RFC 8446, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert {
    /// 1 warning, 2 fatal.
    pub level: u8,
    /// Its description.
    pub code: u8,
}

impl Alert {
    /// The name of its description; `alert` where it has none here.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.code {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            47 => "illegal_parameter",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => "alert",
        }
    }

    /// Whether it says that the server has no use for what was offered, rather than that something else went wrong.
    #[must_use]
    pub const fn declines(self) -> bool {
        matches!(self.code, 40 | 47 | 70 | 71 | 80 | 86)
    }
}

/// How far to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// To the first ServerHello or HelloRetryRequest.
    Hello,
    /// To the ServerKeyExchange, or what takes its place.
    KeyExchange,
    /// To the ServerHelloDone; in TLS 1.3 through enough encrypted bytes to tell a certificate from an alert.
    Done,
}

/// Encrypted bytes read behind a TLS 1.3 ServerHello.
const MOST_ENCRYPTED: usize = 512;

/// All that a server said, as far as it can be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// ServerHello or HelloRetryRequest.
    pub hello: Option<ServerHello>,
    /// The chain, for TLS 1.2 and older.
    pub chain: Option<Vec<Vec<u8>>>,
    /// The stapled OCSP response, for TLS 1.2 and older.
    pub ocsp: Option<Vec<u8>>,
    /// The parameters of the ServerKeyExchange.
    pub key_exchange: Option<KeyExchange>,
    /// ServerHelloDone came.
    pub done: bool,
    /// The alert that ended it, or the last warning.
    pub alert: Option<Alert>,
    /// An SSL 2.0 SERVER-HELLO.
    pub ssl2: Option<Ssl2Hello>,
    /// It does not speak TLS: what it seems to speak.
    pub spoke: Option<Spoke>,
    /// What was wrong with it.
    pub broken: Option<&'static str>,
    /// Bytes of encrypted records behind a TLS 1.3 ServerHello.
    pub encrypted: usize,
    /// Bytes that came.
    pub bytes: usize,
}

/// Reads a reply piece by piece.
#[derive(Debug)]
pub struct Reader {
    until: Until,
    ssl2: bool,
    pending: Vec<u8>,
    handshake: Vec<u8>,
    records: usize,
    warnings: usize,
    over: bool,
    reply: Reply,
}

impl Reader {
    /// A reader that is done at `until`.
    #[must_use]
    pub fn new(until: Until) -> Self {
        Self {
            until,
            ssl2: false,
            pending: Vec::new(),
            handshake: Vec::new(),
            records: 0,
            warnings: 0,
            over: false,
            reply: Reply::default(),
        }
    }

    /// A reader of the answer to an SSL 2.0 CLIENT-HELLO, which may be one in TLS.
    #[must_use]
    pub fn ssl2() -> Self {
        Self { ssl2: true, ..Self::new(Until::Hello) }
    }

    /// How many bytes to read next, at most; 0 where there is enough.
    #[must_use]
    pub fn wants(&self) -> usize {
        if self.over {
            return 0;
        }
        self.record_length().unwrap_or(5).saturating_sub(self.pending.len()).max(1)
    }

    /// Takes in some bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.over {
            return;
        }
        self.reply.bytes = self.reply.bytes.saturating_add(bytes.len());
        self.pending.extend_from_slice(bytes);
        self.parse();
        if !self.over && self.reply.bytes >= MOST_BYTES {
            self.stop("more bytes than any handshake needs");
        }
    }

    /// What was understood.
    #[must_use]
    pub fn finish(mut self) -> Reply {
        // What ended before its first record was whole may still tell what it is.
        if !self.over && self.records == 0 && !not_tls::may_begin_record(&self.pending) {
            self.reply.spoke = Some(not_tls::guess(&self.pending));
        }
        self.reply
    }

    /// Header and body of the record at the front.
    fn record_length(&self) -> Option<usize> {
        match (self.ssl2 && self.records == 0, self.pending.as_slice()) {
            (true, [high, low, ..]) if *high & 0x80 != 0 => {
                Some(2 + (usize::from(*high & 0x7f) << 8 | usize::from(*low)))
            }
            (_, [_, _, _, high, low, ..]) => Some(5 + (usize::from(*high) << 8 | usize::from(*low))),
            _ => None,
        }
    }

    fn parse(&mut self) {
        while !self.over {
            let first = self.pending.first().copied();
            let in_ssl2 = self.ssl2 && self.records == 0 && first.is_some_and(|b| b & 0x80 != 0);
            if !in_ssl2 && !not_tls::may_begin_record(&self.pending) {
                if self.records == 0 {
                    self.reply.spoke = Some(not_tls::guess(&self.pending));
                    self.over = true;
                } else {
                    self.stop("a record that is not TLS");
                }
                return;
            }
            let Some(length) = self.record_length() else { return };
            if self.pending.len() < length {
                return;
            }
            let record: Vec<u8> = self.pending.drain(..length).collect();
            self.records += 1;
            if in_ssl2 {
                self.reply.ssl2 = Ssl2Hello::parse(record.get(2..).unwrap_or_default());
                if self.reply.ssl2.is_none() {
                    self.reply.broken = Some("an SSL 2.0 message other than SERVER-HELLO");
                }
                self.over = true;
                return;
            }
            self.record(record.first().copied().unwrap_or(0), record.get(5..).unwrap_or_default());
            if self.records > MOST_RECORDS {
                self.stop("more records than any handshake needs");
            }
        }
    }

    fn record(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (21, [level, code, ..]) => {
                let alert = Alert { level: *level, code: *code };
                self.reply.alert = Some(alert);
                self.warnings += 1;
                if alert.level != 1 || alert.code == 0 {
                    self.over = true;
                } else if self.warnings > MOST_WARNINGS {
                    self.stop("more warnings than any handshake needs");
                }
            }
            (22, _) => {
                self.handshake.extend_from_slice(body);
                while !self.over && self.message() {}
            }
            // The rest of a TLS 1.3 handshake can't be read, but its length tells something.
            (20, _) if self.reply.hello.is_some() => {}
            (23, _) if self.reply.hello.is_some() => {
                self.reply.encrypted += body.len();
                self.over = self.reply.encrypted >= MOST_ENCRYPTED;
            }
            _ => self.stop("a record out of place"),
        }
    }

    /// Takes one whole message off the handshake stream.
    fn message(&mut self) -> bool {
        let [kind, a, b, c, ..] = *self.handshake.as_slice() else { return false };
        let length = 4 + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c));
        if length > MOST_BYTES {
            self.stop("a message longer than any handshake needs");
            return false;
        }
        if self.handshake.len() < length {
            return false;
        }
        let message: Vec<u8> = self.handshake.drain(..length).collect();
        if kind != 2 && self.reply.hello.is_none() {
            self.stop("a message before the ServerHello");
            return false;
        }
        if let Err(broken) = self.reply.take_message(&message) {
            self.stop(broken);
            return false;
        }
        let retry = self.reply.hello.as_ref().is_some_and(|hello| hello.retry);
        self.over |= match self.until {
            Until::Hello => true,
            _ if retry => true,
            Until::KeyExchange => self.reply.key_exchange.is_some() || self.reply.done,
            Until::Done => self.reply.done,
        };
        true
    }

    fn stop(&mut self, broken: &'static str) {
        self.reply.broken = Some(broken);
        self.over = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire;

    fn read(bytes: &[u8], until: Until) -> Reply {
        let mut reader = Reader::new(until);
        reader.push(bytes);
        reader.finish()
    }

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 3, 3];
        wire::put(&mut out, 2, body);
        out
    }

    #[test]
    fn alerts_are_read_and_endless_ones_end() {
        assert_eq!(read(&record(21, &[2, 40]), Until::Hello).alert, Some(Alert { level: 2, code: 40 }));
        let reply = read(&record(21, &[1, 112]).repeat(1000), Until::Hello);
        assert_eq!(reply.broken, Some("more warnings than any handshake needs"));
    }

    #[test]
    fn a_long_message_is_refused_by_its_header() {
        let mut bytes = record(22, &messages::tests::server_hello(0x0303, 0xc02f, &[]));
        bytes.extend(record(22, &[11, 0xff, 0xff, 0xff, 0, 0]));
        let reply = read(&bytes, Until::Done);
        assert_eq!(reply.hello.map(|h| h.suite), Some(0xc02f));
        assert_eq!(reply.broken, Some("a message longer than any handshake needs"));
    }

    #[test]
    fn messages_split_over_records_are_joined() {
        let message = messages::tests::server_hello(0x0301, 0x002f, &[]);
        let bytes: Vec<u8> = message.chunks(7).flat_map(|piece| record(22, piece)).collect();
        assert_eq!(read(&bytes, Until::Hello).hello.map(|h| (h.version, h.suite)), Some((0x0301, 0x002f)));
    }

    #[test]
    fn other_protocols_are_named() {
        for (text, wanted) in [
            ("HTTP/1.1 400 Bad Request\r\n", "HTTP"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
            ("220 mx ESMTP\r\n", "SMTP or FTP"),
        ] {
            assert_eq!(read(text.as_bytes(), Until::Hello).spoke.map(Spoke::name), Some(wanted));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_on(bytes: Vec<u8>, pieces in 1_usize..40) {
            for until in [Until::Hello, Until::KeyExchange, Until::Done] {
                let mut whole = Reader::new(until);
                whole.push(&bytes);
                let mut wrapped = Reader::new(until);
                wrapped.push(&record(22, &bytes));
                let mut ssl2 = Reader::ssl2();
                let mut split = Reader::new(until);
                for piece in bytes.chunks(pieces) {
                    split.push(piece);
                    ssl2.push(piece);
                }
                prop_assert_eq!(whole.over, split.over);
                let _ = (wrapped.finish(), ssl2.finish());
            }
        }
    }
}
