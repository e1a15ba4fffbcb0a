//! PostgreSQL: SSLRequest, answered by one byte.

use super::{Dialogue, Step};

/// Length 8 and the code 80877103.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The dialogue; whether the question was asked.
#[derive(Default)]
pub(super) struct Postgres {
    asked: bool,
}

impl Dialogue for Postgres {
    fn next(&mut self, heard: &mut &[u8]) -> Step {
        if !std::mem::replace(&mut self.asked, true) {
            return Step::say(REQUEST);
        }
        match heard.split_off_first() {
            None => Step::Hear,
            Some(b'S') => Step::Begin,
            Some(b'N') => Step::refused("it answers SSLRequest with no"),
            // ErrorResponse: too many clients, or a server from before SSLRequest.
            Some(b'E') => Step::unclear("it answers SSLRequest with an error"),
            Some(_) => Step::unclear("it does not speak PostgreSQL's protocol"),
        }
    }
}
