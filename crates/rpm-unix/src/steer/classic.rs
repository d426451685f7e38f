//! Classic BPF as the kernel runs it on a `SO_REUSEPORT` group: the instructions, and pieces of
//! them.
//!
//! The program sees the packet from behind its TCP or UDP header on; what is before is reached from
//! `SKF_NET_OFF`, the start of the IP header (linux/filter.h). On a dual-stack socket that may be
//! an IPv4 header, so the version decides, never the socket's family. What it returns is an index;
//! one that is not below the group's size means the kernel's own hash.

use libc::{
    BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JGE,
    BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_LDX, BPF_MEM, BPF_MISC, BPF_MOD, BPF_MSH, BPF_MUL,
    BPF_RET, BPF_RSH, BPF_ST, BPF_TAX, BPF_W, BPF_X, BPF_XOR, sock_filter,
};

/// A := the word there, in network byte order; a packet without it gets index 0.
pub(super) const LOAD: u32 = BPF_LD | BPF_W | BPF_ABS;
/// A := the byte there.
pub(super) const LOAD_BYTE: u32 = BPF_LD | BPF_B | BPF_ABS;
/// A := the word X bytes behind there.
pub(super) const LOAD_FROM_X: u32 = BPF_LD | BPF_W | BPF_IND;
/// X := four times the low half of the byte there: the length of an IPv4 header.
pub(super) const LENGTH_TO_X: u32 = BPF_LDX | BPF_B | BPF_MSH;
/// A := a number.
pub(super) const SET: u32 = BPF_LD | BPF_IMM;
/// A := scratch word.
pub(super) const RECALL: u32 = BPF_LD | BPF_MEM;
/// X := scratch word.
pub(super) const RECALL_TO_X: u32 = BPF_LDX | BPF_MEM;
/// Scratch word := A.
pub(super) const KEEP: u32 = BPF_ST;
/// X := A.
pub(super) const COPY_TO_X: u32 = BPF_MISC | BPF_TAX;
/// A := A operated with a number, or with X.
pub(super) const ADD: u32 = BPF_ALU | BPF_ADD | BPF_K;
pub(super) const AND: u32 = BPF_ALU | BPF_AND | BPF_K;
pub(super) const MULTIPLY: u32 = BPF_ALU | BPF_MUL | BPF_K;
pub(super) const MODULO: u32 = BPF_ALU | BPF_MOD | BPF_K;
pub(super) const SHIFT_RIGHT: u32 = BPF_ALU | BPF_RSH | BPF_K;
pub(super) const XOR: u32 = BPF_ALU | BPF_XOR | BPF_K;
pub(super) const XOR_X: u32 = BPF_ALU | BPF_XOR | BPF_X;
/// Skips instructions.
pub(super) const SKIP: u32 = BPF_JMP | BPF_JA;
pub(super) const IF_EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
pub(super) const IF_NOT_BELOW: u32 = BPF_JMP | BPF_JGE | BPF_K;
pub(super) const IF_ABOVE_X: u32 = BPF_JMP | BPF_JGT | BPF_X;
/// Ends with a number, or with A.
pub(super) const RETURN: u32 = BPF_RET | BPF_K;
pub(super) const RETURN_A: u32 = BPF_RET | BPF_A;

/// Where the IP header starts.
pub(super) const NETWORK: u32 = libc::SKF_NET_OFF as u32;
/// A word that is random each time it is loaded.
pub(super) const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;

/// The scratch word in which a hash grows.
pub(super) const HASH: u32 = 0;

/// Odd numbers whose bits look random (MurmurHash3's, public domain).
pub(super) const MIX: u32 = 0x85eb_ca6b;
pub(super) const MIX_AGAIN: u32 = 0xc2b2_ae35;

pub(super) const fn step(code: u32, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

/// `yes` and `no` count the instructions to skip.
pub(super) const fn jump(code: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: code as u16, jt: yes, jf: no, k }
}

/// Starts the hash.
pub(super) fn begin() -> Vec<sock_filter> {
    vec![step(SET, 0), step(KEEP, HASH)]
}

/// Takes A into the hash, and leaves that in A too. Each bit of A reaches the middle of the hash
/// and above; [`finish`] spreads it over all.
pub(super) fn fold() -> [sock_filter; 10] {
    let [copy, halve, mix] = shift_and_xor(16);
    let [again, shift, spread] = shift_and_xor(15);
    let (recall, take) = (step(RECALL_TO_X, HASH), step(XOR_X, 0));
    let (multiply, keep) = (step(MULTIPLY, MIX), step(KEEP, HASH));
    [recall, take, copy, halve, mix, multiply, again, shift, spread, keep]
}

/// Makes the hash in A fit for a remainder: its low bits depend on all it was made of.
pub(super) fn finish() -> [sock_filter; 4] {
    let [copy, shift, spread] = shift_and_xor(16);
    [step(MULTIPLY, MIX_AGAIN), copy, shift, spread]
}

/// `A ^= A >> by`.
pub(super) fn shift_and_xor(by: u32) -> [sock_filter; 3] {
    [step(COPY_TO_X, 0), step(SHIFT_RIGHT, by), step(XOR_X, 0)]
}

/// Takes words of the IP header into the hash, at these offsets.
pub(super) fn fold_header(offsets: &[u32]) -> Vec<sock_filter> {
    offsets.iter().flat_map(|at| [step(LOAD, NETWORK + at)].into_iter().chain(fold())).collect()
}

/// One of two pieces, by the IP version of the packet; both go on with what follows.
pub(super) fn by_version(v4: &[sock_filter], v6: &[sock_filter]) -> Vec<sock_filter> {
    // Each piece is at most five words with 11 instructions; a longer one the kernel would refuse.
    let over_v4 = u8::try_from(v4.len() + 1).unwrap_or(u8::MAX);
    let over_v6 = u32::try_from(v6.len()).unwrap_or(u32::MAX);
    let mut code =
        vec![step(LOAD_BYTE, NETWORK), step(AND, 0xf0), jump(IF_EQUAL, 0x40, 0, over_v4)];
    code.extend_from_slice(v4);
    code.push(step(SKIP, over_v6));
    code.extend_from_slice(v6);
    code
}
