//! A server of TLS 1.0 to 1.2 for tests, which has one of the known flaws on purpose. It knows one suite alone,
//! TLS_RSA_WITH_AES_128_CBC_SHA.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use num_bigint::BigUint;

use super::cipher::Protection;
use super::suite::Suite;
use super::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, HEARTBEAT, message, record};
use crate::engine::random;
use crate::hello::Hello;
use crate::wire;

const SUITE: u16 = 0x002f;

/// The flaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    Heartbleed,
    Ccs,
    Robot,
    /// As `Robot`, where the secret comes alone, and with silence in place of another alert.
    RobotAlone,
    /// Answers at random.
    Fickle,
    Ticketbleed,
    PoodleTls,
    Goldendoodle,
    ZombiePoodle,
    SleepingPoodle,
    ZeroLength,
    LuckyMinus20,
    Renegotiates,
    Compresses,
    /// Ends every connection after that many.
    Blocks(usize),
}

/// A key, its certificate, and where the server listens.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
}

struct Identity {
    certificate: Vec<u8>,
    modulus: BigUint,
    private: BigUint,
}

impl Identity {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").current_dir(folder.path()).args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=peer", "-keyout", "key"];
        let certificate = openssl(&[&words[..], &["-outform", "DER"]].concat());
        let text = String::from_utf8(openssl(&["pkey", "-in", "key", "-noout", "-text"])).unwrap();
        let number = |name: &str| {
            let rest = text.split_once(&format!("{name}:\n")).unwrap().1;
            let digits: String = rest.lines().take_while(|line| line.starts_with(' ')).collect();
            let digits: String = digits.chars().filter(char::is_ascii_hexdigit).collect();
            BigUint::parse_bytes(digits.as_bytes(), 16).unwrap()
        };
        Self { certificate, modulus: number("modulus"), private: number("privateExponent") }
    }

    /// The block that was encrypted.
    fn block(&self, body: &[u8]) -> Vec<u8> {
        let plain = BigUint::from_bytes_be(&body[2..]).modpow(&self.private, &self.modulus).to_bytes_be();
        [vec![0; 256 - plain.len()], plain].concat()
    }
}

impl Peer {
    pub(crate) fn start(flaw: Flaw, version: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Arc::new(Identity::new());
        std::thread::spawn(move || {
            let count = AtomicUsize::new(0);
            for stream in listener.incoming() {
                let (identity, number) = (Arc::clone(&identity), count.fetch_add(1, Ordering::Relaxed));
                if matches!(flaw, Flaw::Blocks(after) if number >= after) {
                    continue;
                }
                std::thread::spawn(move || {
                    let mut talk = Talk { stream: stream.unwrap(), version, flaw, identity, number };
                    // The client may leave at any moment.
                    let _ = talk.serve();
                });
            }
        });
        Self { address }
    }
}

struct Talk {
    stream: TcpStream,
    version: u16,
    flaw: Flaw,
    identity: Arc<Identity>,
    number: usize,
}

impl Talk {
    fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header).ok()?;
        let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        self.stream.read_exact(&mut body).ok()?;
        Some((header[0], body))
    }

    fn say(&mut self, kind: u8, body: &[u8]) -> Option<()> {
        self.stream.write_all(&record(kind, self.version, body)).ok()
    }

    fn alert(&mut self, code: u8) -> Option<()> {
        self.say(ALERT, &[2, code])
    }

    fn server_hello(&self, random: &[u8], id: &[u8], heartbeat: bool, compression: u8) -> Vec<u8> {
        let mut body = [&self.version.to_be_bytes()[..], random].concat();
        wire::put(&mut body, 1, id);
        body.extend(SUITE.to_be_bytes());
        body.push(compression);
        let mut extensions = vec![0xff, 1, 0, 1, 0];
        if heartbeat {
            extensions.extend([0, 15, 0, 1, 1]);
        }
        wire::put(&mut body, 2, &extensions);
        message(2, &body)
    }

    fn serve(&mut self) -> Option<()> {
        let (_, hello_message) = self.read()?;
        let hello = Hello::parse(&record(HANDSHAKE, 0x0301, &hello_message))?;
        if !hello.suites.contains(&SUITE) || hello.client_version < self.version {
            return self.alert(40);
        }
        let ours: [u8; 32] = random();
        let ticket = hello.has(35);
        if !hello.session_id.is_empty() {
            let mut id = hello.session_id.clone();
            if self.flaw == Flaw::Ticketbleed {
                id.resize(32, 0x99);
            }
            let message = self.server_hello(&ours, &id, false, 0);
            return self.say(HANDSHAKE, &message);
        }
        let heartbeat = self.flaw == Flaw::Heartbleed && hello.has(15);
        let compression = u8::from(self.flaw == Flaw::Compresses && hello.compression.contains(&1));
        let mut list = Vec::new();
        wire::put(&mut list, 3, &self.identity.certificate);
        let mut chain = Vec::new();
        wire::put(&mut chain, 3, &list);
        let flight =
            [self.server_hello(&ours, &[], heartbeat, compression), message(11, &chain), message(14, &[])].concat();
        self.say(HANDSHAKE, &flight)?;
        let mut transcript = [hello_message, flight].concat();

        let (kind, exchange) = self.read()?;
        match kind {
            HEARTBEAT if self.flaw == Flaw::Heartbleed => {
                let claimed = usize::from(exchange[1]) << 8 | usize::from(exchange[2]);
                let mut answer = exchange[..3].to_vec();
                answer[0] = 2;
                // A secret of the server follows the payload.
                answer.extend(exchange[3..].iter().copied().chain(*b"SECRET SECRET SECRET").take(claimed + 16));
                return self.say(HEARTBEAT, &answer);
            }
            HEARTBEAT => return self.read().map(|_| ()),
            CHANGE_CIPHER_SPEC if self.flaw == Flaw::Ccs => {
                self.read()?;
                return self.alert(20);
            }
            CHANGE_CIPHER_SPEC => return self.alert(10),
            HANDSHAKE => {}
            _ => return None,
        }
        transcript.extend(&exchange);
        let secret = self.secret(&exchange[4..])?;
        let suite = Suite::of(SUITE)?;
        let prf = suite.prf(self.version);
        let master = prf.expand(&secret, "master secret", &[&hello.random[..], &ours].concat(), 48);
        let keys = prf.expand(&master, "key expansion", &[&ours[..], &hello.random].concat(), Protection::keys(suite));
        let (mut client, mut server) = Protection::both(self.version, suite, &keys)?;
        let _ccs = self.read()?;
        let (_, sealed) = self.read()?;
        let Some(finished) = client.open(HANDSHAKE, &sealed) else { return self.alert(20) };
        assert_eq!(finished[4..], prf.expand(&master, "client finished", &prf.transcript(&transcript), 12));
        transcript.extend(finished);
        if ticket {
            let message = message(4, &[0, 0, 0, 60, 0, 4, 1, 2, 3, 4]);
            self.say(HANDSHAKE, &message)?;
            transcript.extend(message);
        }
        self.say(CHANGE_CIPHER_SPEC, &[1])?;
        let ours = message(20, &prf.expand(&master, "server finished", &prf.transcript(&transcript), 12));
        let sealed = server.seal(HANDSHAKE, &ours)?;
        self.say(HANDSHAKE, &sealed)?;
        while let Some((kind, body)) = self.read() {
            let (kind, answer) = match kind {
                HANDSHAKE if self.flaw == Flaw::Renegotiates => {
                    (HANDSHAKE, self.server_hello(&random::<32>(), &[], false, 0))
                }
                HANDSHAKE => (ALERT, vec![1, 100]),
                _ => match self.objection(&mut client, &body) {
                    Objection::Silence => continue,
                    Objection::Close => return None,
                    Objection::Alert(code) => (ALERT, vec![2, code]),
                },
            };
            let sealed = server.seal(kind, &answer)?;
            self.say(kind, &sealed)?;
            if answer.first() == Some(&2) && kind == ALERT {
                return None;
            }
        }
        None
    }

    /// Whether the client says more at once.
    fn more(&self) -> bool {
        let wait = Some(std::time::Duration::from_millis(200));
        let more = self.stream.set_read_timeout(wait).is_ok() && self.stream.peek(&mut [0]).is_ok_and(|read| read > 0);
        let _ = self.stream.set_read_timeout(None);
        more
    }

    /// The secret of a ClientKeyExchange, or a random one where its padding is wrong (RFC 5246, 7.4.7.1).
    fn secret(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let block = self.identity.block(body);
        let (padding, secret) = block.split_at(block.len() - 48);
        let filled = padding[2..padding.len() - 1].iter().all(|byte| *byte != 0);
        let right = padding.starts_with(&[0, 2]) && filled && padding.last() == Some(&0);
        match self.flaw {
            Flaw::Robot if !right => {
                self.alert(51)?;
                None
            }
            Flaw::RobotAlone if !self.more() => {
                if right {
                    self.alert(80)?;
                }
                None
            }
            Flaw::Fickle => {
                self.alert([20, 51, 40][self.number * 7 / 3 % 3])?;
                None
            }
            _ => Some(if right { secret.to_vec() } else { random::<48>().to_vec() }),
        }
    }

    fn objection(&self, client: &mut Protection, body: &[u8]) -> Objection {
        let plain = client.open_blocks(body).unwrap();
        let padding = usize::from(*plain.last().unwrap()) + 1;
        let wrong = Objection::Alert(20);
        let Some(length) = plain.len().checked_sub(padding + 20) else {
            return match self.flaw {
                Flaw::ZombiePoodle if padding == 256 => Objection::Alert(40),
                Flaw::SleepingPoodle if padding == 256 => Objection::Silence,
                Flaw::LuckyMinus20 if padding == 32 => Objection::Alert(22),
                _ => wrong,
            };
        };
        // The client's sequence number is still that of this record.
        let good = client.block(DATA, &plain[..length], 0);
        let mac = plain[length..length + 20] == good.mac;
        let padded = plain[length + 20..].iter().all(|byte| usize::from(*byte) + 1 == padding);
        match self.flaw {
            Flaw::PoodleTls if mac => Objection::Silence,
            Flaw::Goldendoodle if mac && !padded => Objection::Alert(47),
            Flaw::ZeroLength if length == 0 => Objection::Close,
            _ => wrong,
        }
    }
}

enum Objection {
    Alert(u8),
    Silence,
    Close,
}
