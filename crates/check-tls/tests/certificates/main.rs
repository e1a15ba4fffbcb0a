//! Certificates, trust stores, stapled responses and full handshakes, with chains made for each test.

#![allow(clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod describe;
mod handshake;
mod made;
mod ocsp;
mod stores;
