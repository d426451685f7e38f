//! The classic BPF program: `bind` and `listen` of the native architecture are handed to the
//! listener, all else is allowed.
//!
//! Callers of another architecture pass untouched: i386 and 32-bit arm have other `arch` values,
//! x32 has bit 30 set in its call numbers, so that neither number matches.

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};
use std::mem::offset_of;

/// `AUDIT_ARCH_*` of linux/audit.h: the ELF machine, little endian, 64 bit.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 62 | LITTLE_ENDIAN_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 183 | LITTLE_ENDIAN_64;
const LITTLE_ENDIAN_64: u32 = 0xC000_0000;

const LOAD: u32 = BPF_LD | BPF_W | BPF_ABS;
const EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
const RETURN: u32 = BPF_RET | BPF_K;

/// The whole program.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) static INSTRUCTIONS: &[sock_filter] = &[
    step(LOAD, offset_of!(libc::seccomp_data, arch) as u32),
    jump(EQUAL, ARCHITECTURE, 0, 3),
    step(LOAD, offset_of!(libc::seccomp_data, nr) as u32),
    jump(EQUAL, libc::SYS_bind as u32, 2, 0),
    jump(EQUAL, libc::SYS_listen as u32, 1, 0),
    step(RETURN, libc::SECCOMP_RET_ALLOW),
    step(RETURN, libc::SECCOMP_RET_USER_NOTIF),
];

/// On other machines the kernel refuses the empty program with `EINVAL`.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) static INSTRUCTIONS: &[sock_filter] = &[];

const fn step(code: u32, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

/// `yes` and `no` count the instructions to skip.
const fn jump(code: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: code as u16, jt: yes, jf: no, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program returns for a call; enough of BPF for the three codes it uses.
    fn run(arch: u32, number: u32) -> u32 {
        let mut accumulator = 0;
        let mut at = 0;
        loop {
            let now = INSTRUCTIONS[at];
            at += 1;
            match u32::from(now.code) {
                LOAD if now.k == 4 => accumulator = arch,
                LOAD if now.k == 0 => accumulator = number,
                EQUAL if accumulator == now.k => at += usize::from(now.jt),
                EQUAL => at += usize::from(now.jf),
                RETURN => return now.k,
                code => panic!("code {code}"),
            }
        }
    }

    #[test]
    fn only_native_bind_and_listen_are_trapped() {
        const I386: u32 = 0x4000_0003;
        const X32: u32 = 0x4000_0000;
        let (bind, listen) = (libc::SYS_bind as u32, libc::SYS_listen as u32);
        let table = [
            (ARCHITECTURE, bind, libc::SECCOMP_RET_USER_NOTIF),
            (ARCHITECTURE, listen, libc::SECCOMP_RET_USER_NOTIF),
            (ARCHITECTURE, libc::SYS_connect as u32, libc::SECCOMP_RET_ALLOW),
            (ARCHITECTURE, bind | X32, libc::SECCOMP_RET_ALLOW),
            (ARCHITECTURE, listen | X32, libc::SECCOMP_RET_ALLOW),
            (I386, bind, libc::SECCOMP_RET_ALLOW),
            (I386, listen, libc::SECCOMP_RET_ALLOW),
        ];
        for (arch, number, expected) in table {
            assert_eq!(run(arch, number), expected, "{arch:x} {number:x}");
        }
    }
}
