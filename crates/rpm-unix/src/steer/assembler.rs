//! Just enough eBPF to write one program readably (Documentation/bpf/standardization/
//! instruction-set.rst): 64-bit registers R0 to R10, forward jumps that land on a named place.

/// R0: a function's result, and the program's. R1 to R5: a function's arguments, lost by the call.
/// R6 to R9 stay. R10: the end of 512 bytes of stack.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// How many bytes a load or store moves: the size bits of its code.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Size {
    Word = 0x00,
    Byte = 0x10,
    Double = 0x18,
}

/// `struct bpf_insn` of linux/bpf.h on a little-endian machine, where the low half of `registers`
/// is the destination.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    number: i32,
}

/// A jump that is still to land.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jump(usize);

/// A program being written.
#[derive(Debug, Default)]
pub(super) struct Assembler(Vec<Instruction>);

/// What an operation has on its right: bit 3 of its code.
const WITH_REGISTER: u8 = 0x08;
/// 64-bit arithmetic, and its operations.
const ALU: u8 = 0x07;
pub(super) const ADD: u8 = 0x00;
pub(super) const AND: u8 = 0x50;
pub(super) const SHIFT_RIGHT: u8 = 0x70;
pub(super) const MODULO: u8 = 0x90;
pub(super) const MOVE: u8 = 0xb0;
/// 64-bit jumps, and their conditions.
const JUMP: u8 = 0x05;
pub(super) const EQUAL: u8 = 0x10;
pub(super) const ABOVE: u8 = 0x20;
pub(super) const NOT_EQUAL: u8 = 0x50;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// Loads and stores at a register plus an offset.
const LOAD: u8 = 0x61;
const STORE_NUMBER: u8 = 0x62;
const STORE: u8 = 0x63;
/// An atomic operation on 64 bits; which one is in `number`.
const ATOMIC: u8 = 0xdb;
/// Adds, and fetches what was there before; since Linux 5.12.
const FETCH_ADD: i32 = 0x01;
/// Loads 64 bits from two instructions; `BPF_PSEUDO_MAP_FD`: a map by its descriptor.
const LOAD_WIDE: u8 = 0x18;
const MAP: u8 = 1;

impl Assembler {
    /// `to = to operation number`.
    pub(super) fn with(&mut self, operation: u8, to: Register, number: i32) {
        self.push(ALU | operation, to as u8, 0, number);
    }

    /// `to = to operation from`.
    pub(super) fn with_register(&mut self, operation: u8, to: Register, from: Register) {
        self.push(ALU | operation | WITH_REGISTER, pair(to, from), 0, 0);
    }

    /// `to = *(from + offset)`.
    pub(super) fn load(&mut self, size: Size, to: Register, from: Register, offset: i16) {
        self.push(LOAD | size as u8, pair(to, from), offset, 0);
    }

    /// `*(to + offset) = from`.
    pub(super) fn store(&mut self, size: Size, to: Register, offset: i16, from: Register) {
        self.push(STORE | size as u8, pair(to, from), offset, 0);
    }

    /// `*(to + offset) = number`.
    pub(super) fn store_number(&mut self, size: Size, to: Register, offset: i16, number: i32) {
        self.push(STORE_NUMBER | size as u8, to as u8, offset, number);
    }

    /// `by, *to = *to, *to + by`, 64 bits at once.
    pub(super) fn fetch_add(&mut self, to: Register, by: Register) {
        self.push(ATOMIC, pair(to, by), 0, FETCH_ADD);
    }

    /// `to = map`, which the kernel finds by its descriptor when the program is loaded.
    pub(super) fn load_map(&mut self, to: Register, descriptor: i32) {
        self.push(LOAD_WIDE, to as u8 | MAP << 4, 0, descriptor);
        self.push(0, 0, 0, 0);
    }

    /// `R0 = function(R1, …)`; numbers of `enum bpf_func_id`.
    pub(super) fn call(&mut self, function: i32) {
        self.push(CALL, 0, 0, function);
    }

    /// Ends with R0.
    pub(super) fn exit(&mut self) {
        self.push(EXIT, 0, 0, 0);
    }

    /// Jumps if `left condition number`.
    pub(super) fn jump_if(&mut self, left: Register, condition: u8, number: i32) -> Jump {
        self.push(JUMP | condition, left as u8, 0, number);
        Jump(self.0.len() - 1)
    }

    /// Jumps if `left condition right`.
    pub(super) fn jump_if_register(
        &mut self,
        left: Register,
        condition: u8,
        right: Register,
    ) -> Jump {
        self.push(JUMP | condition | WITH_REGISTER, pair(left, right), 0, 0);
        Jump(self.0.len() - 1)
    }

    /// These jumps land here: on the instruction that comes next.
    pub(super) fn land<const N: usize>(&mut self, jumps: [Jump; N]) {
        let here = self.0.len();
        for Jump(at) in jumps {
            let distance = i16::try_from(here - at - 1).unwrap_or(i16::MAX);
            if let Some(jump) = self.0.get_mut(at) {
                jump.offset = distance;
            }
        }
    }

    /// The program.
    pub(super) fn finish(self) -> Vec<Instruction> {
        self.0
    }

    fn push(&mut self, code: u8, registers: u8, offset: i16, number: i32) {
        self.0.push(Instruction { code, registers, offset, number });
    }
}

fn pair(to: Register, from: Register) -> u8 {
    to as u8 | (from as u8) << 4
}

#[cfg(test)]
mod tests {
    use super::{Register::*, *};

    #[test]
    fn instructions_are_as_the_kernel_reads_them() {
        let mut assembler = Assembler::default();
        assembler.with_register(MOVE, R6, R1);
        let jump = assembler.jump_if(R2, NOT_EQUAL, 6);
        assembler.load(Size::Byte, R5, R3, 13);
        assembler.store(Size::Word, R10, -4, R7);
        assembler.land([jump]);
        assembler.load_map(R1, 9);
        assembler.fetch_add(R0, R7);
        assembler.exit();
        let fields = |i: Instruction| (i.code, i.registers, i.offset, i.number);
        let found: Vec<_> = assembler.finish().into_iter().map(fields).collect();
        let expected = [
            (0xbf, 0x16, 0, 0),
            (0x55, 0x02, 2, 6),
            (0x71, 0x35, 13, 0),
            (0x63, 0x7a, -4, 0),
            (0x18, 0x11, 0, 9),
            (0, 0, 0, 0),
            (0xdb, 0x70, 0, 1),
            (0x95, 0, 0, 0),
        ];
        assert_eq!(found, expected);
    }
}
