//! Guesses what a peer speaks that does not speak TLS.

/// What a peer seems to speak instead of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spoke {
    /// HTTP in clear text.
    Http,
    /// SSH.
    Ssh,
    /// SMTP or FTP: both greet with 220.
    SmtpOrFtp,
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// MySQL's protocol.
    Mysql,
    /// Nothing known.
    Unknown,
}

impl Spoke {
    /// Its name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Ssh => "SSH",
            Self::SmtpOrFtp => "SMTP or FTP",
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Mysql => "MySQL",
            Self::Unknown => "an unknown protocol",
        }
    }
}

impl Spoke {
    /// Its name in facts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::SmtpOrFtp => "smtp or ftp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Mysql => "mysql",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether these bytes may be the beginning of a TLS record: type, major version and length are looked at.
pub(super) fn may_begin_record(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [20..=23] | [20..=23, 3] => true,
        [20..=23, 3, minor] | [20..=23, 3, minor, _] => *minor <= 4,
        // RFC 5246, 6.2.3: no more than 2^14 + 2048 bytes.
        [20..=23, 3, minor, high, low, ..] => *minor <= 4 && u16::from_be_bytes([*high, *low]) <= 16_384 + 2048,
        _ => false,
    }
}

/// The protocol that talks like this.
pub(crate) fn guess(bytes: &[u8]) -> Spoke {
    let begins = |text: &str| {
        let length = text.len().min(bytes.len());
        length >= 2 && bytes.get(..length) == text.as_bytes().get(..length)
    };
    if begins("HTTP/") || begins("<!DOCTYPE") || begins("<html") {
        Spoke::Http
    } else if begins("SSH-") {
        Spoke::Ssh
    } else if begins("220 ") || begins("220-") {
        Spoke::SmtpOrFtp
    } else if begins("* OK") || begins("* BYE") || begins("* PREAUTH") {
        Spoke::Imap
    } else if begins("+OK") || begins("-ERR") {
        Spoke::Pop3
    } else if matches!(bytes, [_, _, 0, 0, 10 | 255, ..]) {
        Spoke::Mysql
    } else {
        Spoke::Unknown
    }
}
