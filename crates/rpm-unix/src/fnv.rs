//! FNV-1a of 64 bits (draft-eastlake-fnv): a hash that is the same in every build, so that it may
//! be kept. Whoever chooses what is hashed can choose what collides.

/// What a hash begins with.
pub const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// Takes more bytes into a hash.
pub fn add(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the draft's test vectors.
    #[test]
    fn known_texts_have_their_known_hashes() {
        for (text, hash) in
            [("", BASIS), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(add(BASIS, text.as_bytes()), hash, "{text}");
        }
        assert_eq!(add(add(BASIS, b"foo"), b"bar"), add(BASIS, b"foobar"));
    }
}
