//! What an inventory says of a TLS endpoint, and what a probe is given.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::starttls::Protocol;

/// A TLS endpoint as an inventory declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsTarget {
    /// `host`, `host:port`, `address:port` or `[v6]:port`; the port defaults to 443, or to that of `starttls`.
    pub endpoint: String,
    /// The protocol in which TLS has to be asked for: `smtp`, `imap`, `pop3`, `ftp`, `ldap`, `postgres` or `mysql`. The port
    /// then defaults to its own.
    #[serde(default)]
    pub starttls: Option<Protocol>,
    /// Which of the host's addresses are looked at.
    #[serde(default)]
    pub addresses: Addresses,
    /// How many addresses the host should have.
    #[serde(default)]
    pub expect_addresses: Option<u32>,
    /// Server names to send, the main one first; the word `none` sends none. Without it: the host's name.
    #[serde(default)]
    pub sni: Option<Vec<String>>,
    /// PEM files with certificate authorities of one's own, each a trust store.
    #[serde(default)]
    pub trust: Vec<String>,
    /// Known flaws are tested too, with what no honest client sends: after all else, and at full depth alone.
    #[serde(default)]
    pub flaws: bool,
}

/// Which addresses of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Addresses {
    /// Each of them, as a target of its own.
    #[default]
    All,
    /// The first one only.
    First,
}

/// What the probe is given: a declared endpoint at one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// Address and port.
    pub address: String,
    /// The name or address that a client would check the certificate against.
    pub host: Option<String>,
    /// Server names to send, the main one first; null sends none.
    pub sni: Vec<Option<String>>,
    /// PEM files with certificate authorities of one's own.
    pub trust: Vec<String>,
    /// The protocol in which TLS has to be asked for.
    #[serde(default)]
    pub starttls: Option<Protocol>,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name in lower case without the final dot, or an IP address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl TlsTarget {
    /// An endpoint with everything else by default.
    #[must_use]
    pub const fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            starttls: None,
            addresses: Addresses::All,
            expect_addresses: None,
            sni: None,
            trust: Vec::new(),
            flaws: false,
        }
    }

    /// Its host and port.
    ///
    /// # Errors
    /// As [`parse_endpoint`].
    pub fn endpoint(&self) -> Result<Endpoint, String> {
        parse_endpoint(&self.endpoint, self.port())
    }

    /// The port where the endpoint names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.starttls.map_or(443, Protocol::port)
    }

    /// What the probe is given for one of the host's addresses.
    ///
    /// # Errors
    /// Where the endpoint or a server name is malformed.
    pub fn resolve(&self, address: IpAddr) -> Result<TlsSpec, String> {
        let Endpoint { host, port } = self.endpoint()?;
        let sni = match &self.sni {
            // A server name is a DNS name, never an address (RFC 6066, section 3).
            None if host.parse::<IpAddr>().is_ok() => vec![None],
            None => vec![Some(host.clone())],
            Some(names) if names.is_empty() => {
                return Err(format!("{}: `sni` is empty; leave it out or write [none]", self.endpoint));
            }
            Some(names) => names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?,
        };
        Ok(TlsSpec {
            address: std::net::SocketAddr::new(address, port).to_string(),
            host: Some(host),
            sni,
            trust: self.trust.clone(),
            starttls: self.starttls,
        })
    }
}

fn server_name(name: &str) -> Result<Option<String>, String> {
    if name == "none" {
        return Ok(None);
    }
    if name.parse::<IpAddr>().is_ok() {
        return Err(format!("'{name}' is an address; a server name is a DNS name, or `none`"));
    }
    dns_name(name).map(Some)
}

/// Reads `host`, `host:port`, `address:port`, an address, or `[v6]:port`.
///
/// # Errors
/// Where it is none of these; the message says what is wrong and what would be right.
pub fn parse_endpoint(text: &str, default_port: u16) -> Result<Endpoint, String> {
    let port = |digits: &str| match digits.parse::<u16>() {
        Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(format!("'{text}': '{digits}' is no port; a number from 1 to 65535 is wanted")),
    };
    if text.contains("://") {
        return Err(format!("'{text}' is a URL; write host or host:port"));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Endpoint { host: address.to_string(), port: default_port });
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) =
            rest.split_once(']').ok_or_else(|| format!("'{text}': the bracket is not closed; write [v6]:port"))?;
        let address =
            inside.parse::<std::net::Ipv6Addr>().map_err(|_| format!("'{text}': '{inside}' is no IPv6 address"))?;
        let port = match after.strip_prefix(':') {
            Some(digits) => port(digits)?,
            None if after.is_empty() => default_port,
            None => return Err(format!("'{text}': a colon and a port are wanted after the bracket")),
        };
        return Ok(Endpoint { host: address.to_string(), port });
    }
    let (host, port) = match text.split_once(':') {
        None => (text, default_port),
        Some((_, rest)) if rest.contains(':') => {
            return Err(format!("'{text}': put an IPv6 address with a port in brackets, [v6]:port"));
        }
        Some((host, digits)) => (host, port(digits)?),
    };
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(Endpoint { host: address.to_string(), port }),
        Err(_) => Ok(Endpoint { host: dns_name(host)?, port }),
    }
}

/// A DNS name in lower case without the final dot (RFC 1123, 2.1; underscores are met in practice).
fn dns_name(name: &str) -> Result<String, String> {
    if !name.is_ascii() {
        return Err(format!("'{name}' is not ASCII; give its A-label (the form that begins with xn--)"));
    }
    let plain = name.strip_suffix('.').unwrap_or(name);
    let fine = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A name whose last label is a number would be read as an address by some (WHATWG URL, "ends in a number").
    let number = plain.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if plain.len() > 253 || !plain.split('.').all(fine) || number {
        return Err(format!("'{name}' is no host name; a name such as www.example.org or an address is wanted"));
    }
    Ok(plain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn endpoints_in_every_form() {
        for (text, host, port) in [
            ("Example.org.", "example.org", 443),
            ("example.org:8443", "example.org", 8443),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("::1", "::1", 443),
            ("[::1]", "::1", 443),
            ("[2001:DB8::1]:853", "2001:db8::1", 853),
            ("localhost", "localhost", 443),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", 443),
        ] {
            assert_eq!(parse_endpoint(text, 443), Ok(Endpoint { host: host.into(), port }), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("https://example.org", "is a URL"),
            ("example.org:0", "no port"),
            ("example.org:+1", "no port"),
            ("example.org:65536", "no port"),
            ("::1:443:x", "brackets"),
            ("[::1", "not closed"),
            ("[::1]443", "colon"),
            ("bücher.example", "A-label"),
            ("", "no host name"),
            ("a..b", "no host name"),
            ("1.2.3.400", "no host name"),
            ("exa mple.org", "no host name"),
        ] {
            let message = parse_endpoint(text, 443).err().unwrap_or_default();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn names_to_send() -> Result<(), String> {
        let mut target = TlsTarget::new("example.org".into());
        let address = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(target.resolve(address)?.sni, [Some("example.org".into())]);
        target.sni = Some(vec!["Other.example".into(), "none".into()]);
        let spec = target.resolve(address)?;
        assert_eq!((spec.address.as_str(), spec.sni), ("192.0.2.1:443", vec![Some("other.example".into()), None]));
        target.endpoint = "[::1]:8443".into();
        target.sni = None;
        let spec = target.resolve(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))?;
        assert_eq!((spec.address.as_str(), spec.host.as_deref(), spec.sni), ("[::1]:8443", Some("::1"), vec![None]));
        Ok(())
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = parse_endpoint(&text, 443);
        }
    }
}
