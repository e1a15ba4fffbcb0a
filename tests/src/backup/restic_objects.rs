//! Snapshots and locks written into a restic repository without restic.
//!
//! `restic backup` takes half a second for each, most of it for the password. The format is described in restic's
//! "References", section "Design" (<https://restic.readthedocs.io/en/stable/100_references.html>).

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The master key of a repository, as `restic cat masterkey` prints it.
#[derive(Debug)]
pub(super) struct MasterKey {
    encrypt: Vec<u8>,
    k: Vec<u8>,
    r: [u8; 16],
}

impl MasterKey {
    pub(super) fn parse(masterkey: &Value) -> Result<Self> {
        let part = |pointer: &str| -> Result<Vec<u8>> {
            let text = masterkey.pointer(pointer).and_then(Value::as_str);
            Ok(STANDARD.decode(text.with_context(|| format!("the master key has no {pointer}"))?)?)
        };
        let r = part("/mac/r")?.try_into().map_err(|_| anyhow!("the master key's r is not 16 bytes"))?;
        Ok(Self { encrypt: part("/encrypt")?, k: part("/mac/k")?, r })
    }

    /// Encrypts an object, writes it into that folder under the digest of its bytes, and returns this id.
    ///
    /// `number` makes the initialisation vector: it must be another one for each object under one key.
    pub(super) fn write(&self, folder: &Path, number: u128, object: &Value) -> Result<String> {
        let nonce = number.to_be_bytes();
        let mut sealed = nonce.to_vec();
        let mut text = serde_json::to_vec(object)?;
        let key = UnboundCipherKey::new(&AES_256, &self.encrypt)?;
        EncryptingKey::ctr(key)?
            .less_safe_encrypt(&mut text, EncryptionContext::Iv128(FixedLength::from(nonce)))
            .context("AES-256-CTR")?;
        let mut s = nonce;
        EncryptingKey::ecb(UnboundCipherKey::new(&AES_128, &self.k)?)?.encrypt(&mut s).context("AES-128")?;
        sealed.extend(&text);
        sealed.extend(poly1305(self.r, s, &text));
        let id = Sha256::digest(&sealed).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        std::fs::write(folder.join(&id), sealed)?;
        Ok(id)
    }
}

/// Poly1305 (RFC 8439, section 2.5) in limbs of 26 bits. It guards nothing: it lets restic accept the lab's objects.
fn poly1305(r: [u8; 16], s: [u8; 16], message: &[u8]) -> [u8; 16] {
    const LIMB: u128 = (1 << 26) - 1;
    let limbs = |number: u128, top: u128| -> [u64; 5] {
        let limb = |shift: u32| u64::try_from((number >> shift) & LIMB).unwrap_or(0);
        [limb(0), limb(26), limb(52), limb(78), limb(104) | u64::try_from(top << 24).unwrap_or(0)]
    };
    let r = limbs(u128::from_le_bytes(r) & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff, 0);
    let [r0, r1, r2, r3, r4] = r;
    let mut sum = [0_u64; 5];
    for block in message.chunks(16) {
        let mut padded = [0_u8; 17];
        padded.iter_mut().zip(block.iter().chain(&[1])).for_each(|(to, from)| *to = *from);
        let [low @ .., top] = padded;
        let mut a = limbs(u128::from_le_bytes(low), u128::from(top));
        a.iter_mut().zip(sum).for_each(|(limb, before)| *limb += before);
        let [a0, a1, a2, a3, a4] = a;
        // 2^130 is 5 modulo the prime, so what overflows comes back times five.
        let mut product = [
            a0 * r0 + 5 * (a1 * r4 + a2 * r3 + a3 * r2 + a4 * r1),
            a0 * r1 + a1 * r0 + 5 * (a2 * r4 + a3 * r3 + a4 * r2),
            a0 * r2 + a1 * r1 + a2 * r0 + 5 * (a3 * r4 + a4 * r3),
            a0 * r3 + a1 * r2 + a2 * r1 + a3 * r0 + 5 * (a4 * r4),
            a0 * r4 + a1 * r3 + a2 * r2 + a3 * r1 + a4 * r0,
        ];
        let mut carry = 0;
        for limb in &mut product {
            *limb += carry;
            carry = *limb >> 26;
            *limb &= (1 << 26) - 1;
        }
        let [first, second, ..] = &mut product;
        *first += carry * 5;
        *second += *first >> 26;
        *first &= (1 << 26) - 1;
        sum = product;
    }
    finish(sum, s)
}

/// Reduces the sum modulo 2^130 - 5 and adds `s` modulo 2^128.
fn finish(sum: [u64; 5], s: [u8; 16]) -> [u8; 16] {
    let carried = |mut limbs: [u64; 5]| -> ([u64; 5], u64) {
        let mut carry = 0;
        for limb in &mut limbs {
            *limb += carry;
            carry = *limb >> 26;
            *limb &= (1 << 26) - 1;
        }
        (limbs, carry)
    };
    let (mut sum, over) = carried(sum);
    let [first, ..] = &mut sum;
    *first += over * 5;
    let (sum, _) = carried(sum);
    // With five added, a carry out of 2^130 tells that the sum was not below the prime.
    let [first, rest @ ..] = sum;
    let [b, c, d, e] = rest;
    let (less, over) = carried([first + 5, b, c, d, e]);
    let reduced = if over == 1 { less } else { sum };
    let number = reduced
        .iter()
        .zip([0_u32, 26, 52, 78, 104])
        .fold(0_u128, |number, (limb, shift)| number.wrapping_add(u128::from(*limb) << shift));
    number.wrapping_add(u128::from_le_bytes(s)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8439, section 2.5.2, its bytes read as numbers with the first byte on top.
    #[test]
    fn the_example_of_the_rfc() {
        let r = 0x85d6_be78_5755_6d33_7f44_52fe_42d5_06a8_u128.to_be_bytes();
        let s = 0x0103_808a_fb0d_b2fd_4abf_f6af_4149_f51b_u128.to_be_bytes();
        let tag = poly1305(r, s, b"Cryptographic Forum Research Group");
        assert_eq!(u128::from_be_bytes(tag), 0xa806_1dc1_3051_36c6_c22b_8baf_0c01_27a9);
    }
}
