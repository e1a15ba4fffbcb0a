//! The SERVER-HELLO of SSL 2.0 (Hickman 1995, section 2.6).

use crate::wire;

/// What an SSL 2.0 server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssl2Hello {
    /// The cipher kinds that it has in common with the client.
    pub kinds: Vec<u32>,
    /// Its certificate; empty where it sent none.
    pub certificate: Vec<u8>,
}

impl Ssl2Hello {
    /// Reads one from the body of a record. `None` for anything else.
    #[must_use]
    pub fn parse(mut body: &[u8]) -> Option<Self> {
        let rest = &mut body;
        // Message 4, session id hit, certificate type, version 0x0002.
        let [4, _, _, 0, 2] = *wire::take(rest, 5)? else { return None };
        let certificate = wire::number(rest, 2)?;
        let kinds = wire::number(rest, 2)?;
        wire::number(rest, 2)?;
        let certificate = wire::take(rest, certificate)?.to_vec();
        let (codes, left) = wire::take(rest, kinds)?.as_chunks::<3>();
        let kinds = codes.iter().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c])).collect();
        left.is_empty().then_some(Self { kinds, certificate })
    }
}
