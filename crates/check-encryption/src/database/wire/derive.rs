//! From the record of two connections to facts.

use model::{Direction, Ended, Exchange, Failure, FailureClass};

use super::super::mysql::packet::{self, Greeting, Reply, can};
use super::super::postgresql::message::{self, ServerError};
use super::{Sealed, Way};
use crate::facts::{
    DatabaseDoor, DatabaseProduct, DatabaseSign, DatabaseSpec, DatabaseWireFacts, DoorOutcome, Outcome,
};

/// The account and database that are named where the inventory names none.
pub(super) const POSTGRES: &str = "postgres";
/// The same for MySQL.
pub(super) const ROOT: &str = "root";

/// What came of one way in.
enum Came {
    /// The server asks for this, or lets in (`none`).
    Asks(String),
    /// The server asks for this, and says afterwards whether it lets in.
    Later(String),
    /// The server says no.
    No(String),
    /// Nothing can be told.
    Nothing(String),
}

/// What the exchanges say.
pub(super) fn facts(
    product: DatabaseProduct,
    spec: &DatabaseSpec,
    exchanges: &[Exchange],
) -> Result<DatabaseWireFacts, Failure> {
    let address = spec.address.clone().unwrap_or_default();
    let (mut version, mut plain, mut sealed) = (None, None, None);
    for (index, exchange) in (0_u32..).zip(exchanges) {
        let received = exchange.bytes(Direction::Received);
        if product == DatabaseProduct::Mysql {
            version = version.or_else(|| greeting(&received).map(|greeting| greeting.version));
        }
        match serde_json::from_str(&exchange.question) {
            Ok(Way::Plaintext) => plain = Some((plaintext(product, exchange, &received), index)),
            Ok(Way::Tls) => sealed = Some((tls(product, exchange, &received), index)),
            Err(_) => {}
        }
    }
    let not_tried = || {
        let why = "it was not tried: a port of Redis that answers in the clear speaks no TLS";
        (product == DatabaseProduct::Redis).then(|| ((Came::Nothing(why.to_owned()), None), None))
    };
    let sealed = sealed.map(|(came, index)| (came, Some(index))).or_else(not_tried);
    let (Some((plain, at_plain)), Some(((sealed, seen), at_tls))) = (plain, sealed) else {
        return Err(Failure::new(FailureClass::Unreachable, format!("{address}: not both ways in were tried")));
    };
    let answered = |came: &Came| matches!(came, Came::Asks(_));
    // A port of Redis speaks either; where it may want a certificate of the client, the handshake itself must do.
    let offers_tls = product == DatabaseProduct::Mysql && !matches!(sealed, Came::No(_));
    let plain = match plain {
        // Whether it takes a log-in without TLS, a server of MySQL that has TLS says after the password alone.
        Came::Asks(what) if offers_tls && what != "none" => Came::Later(what),
        plain => plain,
    };
    let speaks_tls = answered(&sealed) || (product == DatabaseProduct::Redis && seen.is_some());
    if let (Came::Nothing(why), Came::Nothing(_)) = (&plain, &sealed) {
        return Err(Failure::new(
            FailureClass::Protocol,
            format!(
                "{address}: {why}; is it the sort of server that it \
                                                                 is declared to be?"
            ),
        ));
    }
    let without_password = match (&plain, &sealed) {
        _ if product == DatabaseProduct::Mysql => {
            sign(Outcome::NotProven, Some("to find out would be an attempt to log in; see the accounts"), None)
        }
        (Came::Asks(what), _) if what == "none" => sign(Outcome::Present, None, Some(at_plain)),
        (_, Came::Asks(what)) if what == "none" => sign(Outcome::Present, None, at_tls),
        // Rules may differ with TLS and without: the way that said nothing may be the open one. Of Redis both ways lead to
        // the same users.
        (Came::Asks(_), Came::Nothing(why)) | (Came::Nothing(why), Came::Asks(_))
            if product == DatabaseProduct::Postgresql =>
        {
            let why = format!("one way in asks for a proof, and the other did not come as far as a log-in: {why}");
            sign(Outcome::NotProven, Some(&why), None)
        }
        (Came::Asks(_), _) => sign(Outcome::Absent, None, Some(at_plain)),
        (_, Came::Asks(_)) => sign(Outcome::Absent, None, at_tls),
        _ => sign(Outcome::NotProven, Some("the server went along with neither way as far as a log-in"), None),
    };
    let user = match product {
        DatabaseProduct::Postgresql => Some(spec.user.clone().unwrap_or_else(|| POSTGRES.to_owned())),
        DatabaseProduct::Mysql => Some(spec.user.clone().unwrap_or_else(|| ROOT.to_owned())),
        // PING is said as whoever one is without a log-in.
        DatabaseProduct::Redis => Some("default".to_owned()),
    };
    Ok(DatabaseWireFacts {
        product,
        user,
        version,
        plaintext: door(&plain, speaks_tls, Some(at_plain), None),
        tls: door(&sealed, answered(&plain), at_tls, seen),
        without_password,
        address,
        socket: false,
    })
}

/// A socket of this machine is not reached over the network.
pub(super) fn of_socket(product: DatabaseProduct, path: &str) -> DatabaseWireFacts {
    let why = "a socket of this machine is not reached over the network";
    let door = || DatabaseDoor {
        outcome: DoorOutcome::NotProven,
        why: Some(why.to_owned()),
        asks_for: None,
        version: None,
        cipher: None,
        seen: None,
    };
    DatabaseWireFacts {
        address: path.to_owned(),
        socket: true,
        product,
        user: None,
        version: None,
        tls: door(),
        plaintext: door(),
        without_password: sign(Outcome::NotProven, Some(why), None),
    }
}

fn sign(outcome: Outcome, why: Option<&str>, seen: Option<u32>) -> DatabaseSign {
    DatabaseSign { outcome, why: why.map(str::to_owned), seen }
}

/// A refusal counts where the other way was answered: else the server may refuse for another reason.
fn door(came: &Came, other: bool, seen: Option<u32>, tls: Option<(String, String)>) -> DatabaseDoor {
    let (outcome, why, asks_for) = match came {
        Came::Asks(what) => (DoorOutcome::Accepted, None, Some(what.clone())),
        Came::Later(what) => {
            let why =
                "it says so after the password alone, which was not sent; the server's settings and accounts tell";
            (DoorOutcome::NotProven, Some(why.to_owned()), Some(what.clone()))
        }
        Came::No(why) if other => (DoorOutcome::Refused, Some(why.clone()), None),
        Came::No(why) => {
            let why = format!("{why}; it refused the other way too, so that the reason may be another");
            (DoorOutcome::NotProven, Some(why), None)
        }
        Came::Nothing(why) => (DoorOutcome::NotProven, Some(why.clone()), None),
    };
    let (version, cipher) = tls.unzip();
    DatabaseDoor { outcome, why, asks_for, version, cipher, seen }
}

fn greeting(received: &[u8]) -> Option<Greeting> {
    packet::all(received, 1).0.first().and_then(|body| Greeting::read(body))
}

/// What the server said to a start without TLS.
fn plaintext(product: DatabaseProduct, exchange: &Exchange, received: &[u8]) -> Came {
    let silent = || Came::Nothing(format!("it said nothing that is known ({:?})", exchange.ended));
    match product {
        DatabaseProduct::Postgresql => {
            let all = message::all(received);
            let reply = all.iter().find(|(kind, _)| matches!(kind, b'R' | b'E'));
            reply.map_or_else(silent, |(kind, body)| postgresql(*kind, body))
        }
        DatabaseProduct::Mysql => match packet::all(received, 2).0.as_slice() {
            [_, reply] if greeting(received).is_some() => mysql(reply),
            [error] => match Reply::read(error) {
                Reply::Error(number, words) => Came::Nothing(format!("{words} ({number})")),
                _ => silent(),
            },
            _ => silent(),
        },
        DatabaseProduct::Redis => match received.first() {
            Some(b'+' | b'-') => redis(received),
            // A server of TLS answers with an alert (RFC 8446, section 5.1), or closes.
            Some(0x15) => Came::No("it answers with an alert of TLS".to_owned()),
            None if matches!(exchange.ended, Ended::Closed | Ended::Reset) => {
                Came::No("it closes the connection without a word".to_owned())
            }
            _ => silent(),
        },
    }
}

fn postgresql(kind: u8, body: &[u8]) -> Came {
    if kind == b'R' {
        return match message::authentication(body) {
            Some((code, _)) => Came::Asks(message::method(code).to_owned()),
            None => Came::Nothing("it asks for nothing that is known".to_owned()),
        };
    }
    let error = ServerError::read(body);
    match error.code.as_str() {
        // invalid_authorization_specification: no rule lets this connection in, or one rejects it.
        "28000" => Came::No(error.to_string()),
        _ => Came::Nothing(error.to_string()),
    }
}

fn mysql(reply: &[u8]) -> Came {
    match Reply::read(reply) {
        Reply::Switch(method, _) => Came::Asks(method),
        Reply::More(_) => Came::Asks("unknown".to_owned()),
        // Fine without a proof: who one is was told by other means.
        Reply::Fine => Came::Asks("none".to_owned()),
        // ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR: it went on to judge the account.
        Reply::Error(1045 | 1698, _) => Came::Asks("unknown".to_owned()),
        // ER_SECURE_TRANSPORT_REQUIRED of MySQL, and of MariaDB.
        Reply::Error(number @ (3159 | 4228), words) => Came::No(format!("{words} ({number})")),
        Reply::Error(number, words) if words.contains("require_secure_transport") => {
            Came::No(format!("{words} ({number})"))
        }
        Reply::Error(number, words) => Came::Nothing(format!("{words} ({number})")),
        Reply::Other => Came::Nothing("it does not answer a log-in as MySQL does".to_owned()),
    }
}

fn redis(line: &[u8]) -> Came {
    let line = String::from_utf8_lossy(line).trim_end().chars().take(300).collect::<String>();
    match line.strip_prefix('-') {
        None => Came::Asks("none".to_owned()),
        Some(words) if words.starts_with("NOAUTH") => Came::Asks("password".to_owned()),
        // Let in, without the right to PING.
        Some(words) if words.starts_with("NOPERM") => Came::Asks("none".to_owned()),
        Some(words) => Came::Nothing(words.to_owned()),
    }
}

/// What the server said under TLS, with version and suite.
fn tls(product: DatabaseProduct, exchange: &Exchange, received: &[u8]) -> (Came, Option<(String, String)>) {
    let silent = || (Came::Nothing(format!("it said nothing that is known ({:?})", exchange.ended)), None);
    let no = |why: &str| (Came::No(why.to_owned()), None);
    let rest = match product {
        DatabaseProduct::Postgresql => match received.split_first() {
            Some((b'S', rest)) => rest,
            Some((b'N', _)) => return no("it answers that it has no TLS"),
            _ => return silent(),
        },
        DatabaseProduct::Mysql => match greeting(received) {
            Some(greeting) if greeting.capabilities & can::SSL == 0 => {
                return no("it does not offer TLS when it greets");
            }
            Some(_) => packet::all(received, 1).1,
            None => return silent(),
        },
        DatabaseProduct::Redis => received,
    };
    let Ok(sealed) = serde_json::from_slice::<Sealed>(rest) else { return silent() };
    let seen = sealed.version.zip(sealed.cipher);
    let reply = sealed.reply.and_then(|digits| bytes_of(&digits));
    let came = match (&seen, reply) {
        (Some(_), Some(reply)) => match product {
            DatabaseProduct::Postgresql => match message::all(&reply).first() {
                Some((kind, body)) => postgresql(*kind, body),
                None => Came::Nothing("its answer can't be read".to_owned()),
            },
            DatabaseProduct::Mysql => mysql(&reply),
            DatabaseProduct::Redis => redis(&reply),
        },
        // It wants a certificate of the client first, or broke off.
        (Some(_), None) => Came::Nothing(sealed.error.unwrap_or_default()),
        (None, _) => Came::Nothing(sealed.error.unwrap_or_default()),
    };
    (came, seen)
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use model::Frame;
    use proptest::prelude::*;

    use super::*;

    fn exchange(way: Way, received: &[u8], ended: Ended) -> Exchange {
        Exchange {
            question: serde_json::to_string(&way).unwrap(),
            peer: "127.0.0.1:1".into(),
            at: 0,
            ended,
            cut: false,
            frames: vec![Frame { direction: Direction::Received, bytes: received.to_vec() }],
        }
    }

    fn postgres(plain: &[u8], tls: &[u8]) -> DatabaseWireFacts {
        let both = [exchange(Way::Plaintext, plain, Ended::ByUs), exchange(Way::Tls, tls, Ended::ByUs)];
        facts(DatabaseProduct::Postgresql, &DatabaseSpec::default(), &both).unwrap()
    }

    const NO: &[u8] = b"E\0\0\0\x0cC28000\0\0";

    #[test]
    fn a_refusal_counts_where_the_other_way_was_answered() {
        let sasl = br#"S{"version":"TLSv1.3","cipher":"X","error":null,"reply":"52000000080000000a"}"#;
        let seen = postgres(NO, sasl);
        assert_eq!((seen.plaintext.outcome, seen.tls.outcome), (DoorOutcome::Refused, DoorOutcome::Accepted));
        assert_eq!(seen.tls.asks_for.as_deref(), Some("scram-sha-256"));
        assert_eq!(seen.without_password.outcome, Outcome::Absent);
        let no = br#"S{"version":"TLSv1.3","cipher":"X","error":null,"reply":"450000000c4332383030300000"}"#;
        let seen = postgres(NO, no);
        assert_eq!((seen.plaintext.outcome, seen.tls.outcome), (DoorOutcome::NotProven, DoorOutcome::NotProven));
        // Too many connections is no refusal of plaintext.
        assert_eq!(postgres(b"E\0\0\0\x0cC53300\0\0", sasl).plaintext.outcome, DoorOutcome::NotProven);
        assert_eq!(postgres(b"E\0\0\0\x0cC53300\0\0", sasl).without_password.outcome, Outcome::NotProven);
        assert_eq!(postgres(b"R\0\0\0\x08\0\0\0\x0a", b"?").without_password.outcome, Outcome::NotProven);
        assert_eq!(postgres(b"R\0\0\0\x08\0\0\0\x0a", b"N").without_password.outcome, Outcome::Absent);
        // Trust.
        assert_eq!(postgres(b"R\0\0\0\x08\0\0\0\0", b"N").without_password.outcome, Outcome::Present);
    }

    #[test]
    fn a_port_of_redis_that_closes_is_no_refusal_by_itself() {
        let spec = DatabaseSpec::default();
        let plain = exchange(Way::Plaintext, b"", Ended::Closed);
        let of = |tls: &[u8]| {
            facts(DatabaseProduct::Redis, &spec, &[plain.clone(), exchange(Way::Tls, tls, Ended::ByUs)])
                .map(|facts| facts.plaintext.outcome)
        };
        let sealed = br#"{"version":"TLSv1.3","cipher":"X","error":"it wants a certificate","reply":null}"#;
        assert_eq!(of(sealed).ok(), Some(DoorOutcome::Refused));
        let broken = br#"{"version":null,"cipher":null,"error":"reset","reply":null}"#;
        assert_eq!(of(broken).ok(), Some(DoorOutcome::NotProven));
    }

    proptest! {
        /// Whatever was received, nothing panics, and garbage opens no door.
        #[test]
        fn no_bytes_make_it_panic(plain: Vec<u8>, tls: Vec<u8>, lead in prop::sample::select(vec![&b""[..], b"S", b"R\0\0", b"E"])) {
            let tls = [lead, &tls].concat();
            let both = [exchange(Way::Plaintext, &plain, Ended::Closed), exchange(Way::Tls, &tls, Ended::Closed)];
            for product in DatabaseProduct::ALL {
                let _ = facts(product, &DatabaseSpec::default(), &both);
            }
        }
    }
}
