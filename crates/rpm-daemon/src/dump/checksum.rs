//! A list with its own checksum, so that one that was cut short or changed by a broken disk is not
//! taken for whole.
//!
//! The file stays PM2's JSON: the checksum is in white space after the array, which every reader of
//! JSON skips. It is the CRC-32 of all before, 32 bits as blanks (0) and tabs (1), the highest
//! first, between two line ends. A file without it (PM2's, an edited one) is taken as it is.

use serde_json::Value;
use std::io;

/// Bits, and the two line ends.
const SEAL_BYTES: usize = 32 + 2;

/// The list as JSON with its checksum behind it.
pub(super) fn sealed(list: &[Value]) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(list)?;
    let seal = seal(&bytes);
    bytes.extend(seal);
    Ok(bytes)
}

/// # Errors
/// There is a checksum, and it is that of other bytes.
pub(super) fn verify(bytes: &[u8]) -> io::Result<()> {
    let Some((text, end)) = bytes.split_at_checked(bytes.len().saturating_sub(SEAL_BYTES)) else {
        return Ok(());
    };
    let is_seal = matches!(end, [b'\n', bits @ .., b'\n']
        if bits.len() == SEAL_BYTES - 2 && bits.iter().all(|bit| matches!(bit, b' ' | b'\t')));
    if is_seal && end != seal(text) {
        return Err(io::Error::other("its checksum is that of another list"));
    }
    Ok(())
}

fn seal(text: &[u8]) -> Vec<u8> {
    let sum = crc32fast::hash(text);
    let bit = |at: u32| if sum >> at & 1 == 1 { b'\t' } else { b' ' };
    [b'\n'].into_iter().chain((0..32).rev().map(bit)).chain([b'\n']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_list_is_still_json_and_any_change_shows() {
        let list = [Value::from("one"), Value::from("two")];
        let bytes = sealed(&list).unwrap();
        assert_eq!(serde_json::from_slice::<Vec<Value>>(&bytes).unwrap(), list);
        verify(&bytes).unwrap();
        for at in 0..bytes.len() - SEAL_BYTES {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(verify(&changed).is_err(), "byte {at}");
        }
        for plain in [&b""[..], b"[]", b"[]\n", b"[{\"name\": \"a list that PM2 wrote itself\"}]\n"]
        {
            verify(plain).unwrap();
        }
    }
}
