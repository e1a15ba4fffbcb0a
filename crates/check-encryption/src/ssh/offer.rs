//! `SSH_MSG_KEXINIT` (RFC 4253, section 7.1).

use super::kex::Method;
use super::key::{is_certificate, kind_of};
use super::packet::{message, put_string, string, text};

/// The ten lists of names, in the order of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) kex: Vec<String>,
    pub(super) host_key: Vec<String>,
    pub(super) cipher: [Vec<String>; 2],
    pub(super) mac: [Vec<String>; 2],
    pub(super) compression: [Vec<String>; 2],
}

impl Offer {
    /// Reads the payload; `None` where it is none.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut rest = payload.strip_prefix(&[message::KEXINIT])?.get(16..)?;
        let mut next = || {
            let (names, after) = string(rest)?;
            rest = after;
            let names = names.split(|byte| *byte == b',').filter(|name| !name.is_empty());
            Some(names.map(text).collect::<Vec<String>>())
        };
        Some(Self {
            kex: next()?,
            host_key: next()?,
            cipher: [next()?, next()?],
            mac: [next()?, next()?],
            compression: [next()?, next()?],
        })
    }

    /// Whether anybody could agree to it: each list that a connection needs names something. An offer of nothing is no
    /// offer without weaknesses.
    pub(super) fn is_usable(&self) -> bool {
        let Self { kex, host_key, cipher, .. } = self;
        [kex, host_key].into_iter().chain(cipher).all(|list| !list.is_empty())
    }

    /// The payload that agrees to this offer with one method of key exchange and one host key algorithm; `under`: a
    /// cipher and a MAC, else all of them stay open. The cookie makes the exchange a new one.
    pub(super) fn accept(&self, kex: &str, host_key: &str, under: Option<[&str; 2]>, cookie: [u8; 16]) -> Vec<u8> {
        let mut payload = vec![message::KEXINIT];
        payload.extend(cookie);
        let all = |lists: &[Vec<String>; 2]| lists.each_ref().map(|list| list.join(","));
        let both = |name: &str| [name.to_owned(), name.to_owned()];
        let [ciphers, macs, compressions] = match under {
            Some([cipher, mac]) => [both(cipher), both(mac), both("none")],
            None => [all(&self.cipher), all(&self.mac), all(&self.compression)],
        };
        let lists = [kex.to_owned(), host_key.to_owned()].into_iter();
        for list in lists.chain(ciphers).chain(macs).chain(compressions) {
            put_string(&mut payload, list.as_bytes());
        }
        // No languages, no guess, and a number that is reserved.
        payload.extend([0; 8 + 1 + 4]);
        payload
    }

    /// The method that a host key is best fetched by: the cheapest for the server that is known here.
    pub(super) fn method(&self) -> Option<(&str, Method)> {
        let known = self.kex.iter().filter_map(|name| Some((name.as_str(), Method::of(name)?)));
        known.min_by_key(|(_, method)| *method)
    }

    /// The name by which group exchange is offered.
    pub(super) fn group_exchange(&self) -> Option<&str> {
        self.kex.iter().map(String::as_str).find(|name| Method::of(name) == Some(Method::GroupExchange))
    }

    /// The algorithms by which each type of key is asked for, certificates left out: the key in one is offered by
    /// itself as well.
    pub(super) fn key_algorithms(&self) -> Vec<&str> {
        let mut algorithms: Vec<&str> = Vec::new();
        for algorithm in self.host_key.iter().filter(|algorithm| !is_certificate(algorithm)) {
            if algorithms.iter().all(|known| kind_of(known) != kind_of(algorithm)) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_payload_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Offer::read(&bytes);
            let _ = Offer::read(&[&[message::KEXINIT][..], &[0; 16], &bytes].concat());
        }

        #[test]
        fn what_is_accepted_is_read_again(
            kex in "[a-z0-9@.-]{1,40}",
            key in "[a-z0-9-]{1,40}",
            mac in "[a-z0-9-]{1,20}",
            cookie in any::<[u8; 16]>(),
        ) {
            let offer = Offer { mac: [vec![mac.clone()], vec![mac.clone(), "x".to_owned()]], ..Offer::default() };
            let read = Offer::read(&offer.accept(&kex, &key, None, cookie)).unwrap_or_default();
            prop_assert_eq!((&read.kex, &read.host_key, &read.mac), (&vec![kex.clone()], &vec![key.clone()], &offer.mac));
            let read = Offer::read(&offer.accept(&kex, &key, Some(["c", &mac]), cookie)).unwrap_or_default();
            prop_assert_eq!((&read.mac, &read.cipher), (&[vec![mac.clone()], vec![mac]], &[vec!["c".to_owned()], vec!["c".to_owned()]]));
        }
    }

    #[test]
    fn the_cheapest_known_method_is_taken() {
        let of = |names: &[&str]| {
            let kex = names.iter().map(|n| (*n).to_owned()).collect();
            Offer { kex, ..Offer::default() }.method().map(|(name, _)| name.to_owned())
        };
        assert_eq!(of(&["diffie-hellman-group14-sha256", "curve25519-sha256"]).as_deref(), Some("curve25519-sha256"));
        assert_eq!(of(&["ext-info-s", "unknown@example.org"]), None);
    }

    #[test]
    fn each_type_of_key_is_asked_for_once() {
        let names = ["rsa-sha2-512", "ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-256", "ssh-ed25519"];
        let offer = Offer { host_key: names.map(str::to_owned).into(), ..Offer::default() };
        assert_eq!(offer.key_algorithms(), ["rsa-sha2-512", "ssh-ed25519"]);
    }
}
