"""The machine operations that numba has no name for: unaligned loads, 64 bytes compared at once, 128-bit products.

A mask has bit i set where byte `offset + i` answers yes:

    text   T h e   c a t .        mask_equal(text, 0, ord(" "))
    bit    0 1 2 3 4 5 6 7   ->   0 0 0 1 0 0 0 0   (bit 0 first)

Written as LLVM vectors, they become whatever the machine has (AVX-512, AVX2, NEON), or plain words where it has nothing.

Nothing here checks bounds. `load64` reads 8 bytes and everything named `mask_` or `copy64` reads 64, so an array
ends in PADDING bytes more than it says it holds.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

PADDING = 64

_BYTE = ir.IntType(8)
_WORD = ir.IntType(64)
_WIDE = ir.IntType(128)
_LANES = ir.VectorType(_BYTE, 64)

ONE = np.uint64(1)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


def _address(context, builder, array_type, array, offset):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _load(context, builder, array_type, array, offset, kind):
    address = _address(context, builder, array_type, array, offset)
    return builder.load(builder.bitcast(address, kind.as_pointer()), align=1)


def _splat(builder, byte):
    lanes = builder.insert_element(ir.Constant(_LANES, ir.Undefined), byte, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), 64), None)
    return builder.shuffle_vector(lanes, ir.Constant(_LANES, ir.Undefined), zeros)


@intrinsic
def load64(typingctx, array, offset):
    """The 8 bytes at `offset` as a little-endian number."""

    def codegen(context, builder, signature, args):
        return _load(context, builder, signature.args[0], args[0], args[1], _WORD)

    return types.uint64(array, types.int64), codegen


@intrinsic
def store64(typingctx, array, offset, word):
    """Writes 8 bytes at `offset`."""

    def codegen(context, builder, signature, args):
        address = _address(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(address, _WORD.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


@intrinsic
def byte_at(typingctx, array, offset):
    """array[offset] without the look at negative indices."""

    def codegen(context, builder, signature, args):
        value = builder.load(_address(context, builder, signature.args[0], args[0], args[1]))
        return builder.zext(value, _WORD)

    return types.int64(array, types.int64), codegen


@intrinsic
def copy64(typingctx, target, target_offset, source, source_offset):
    """64 bytes from one array to another."""

    def codegen(context, builder, signature, args):
        lanes = _load(context, builder, signature.args[2], args[2], args[3], _LANES)
        address = _address(context, builder, signature.args[0], args[0], args[1])
        builder.store(lanes, builder.bitcast(address, _LANES.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), codegen


@intrinsic
def mask_equal(typingctx, array, offset, byte):
    """Bytes equal to `byte`."""

    def codegen(context, builder, signature, args):
        lanes = _load(context, builder, signature.args[0], args[0], args[1], _LANES)
        hits = builder.icmp_unsigned("==", lanes, _splat(builder, builder.trunc(args[2], _BYTE)))
        return builder.bitcast(hits, _WORD)

    return types.uint64(array, types.int64, types.int64), codegen


@intrinsic
def mask_range(typingctx, array, offset, raised, low, high):
    """Bytes b with low <= (b | raised) <= high; `raised` = 0x20 makes letters of one case."""

    def codegen(context, builder, signature, args):
        raised, low, high = (builder.trunc(value, _BYTE) for value in args[2:])
        lanes = _load(context, builder, signature.args[0], args[0], args[1], _LANES)
        lanes = builder.sub(builder.or_(lanes, _splat(builder, raised)), _splat(builder, low))
        hits = builder.icmp_unsigned("<=", lanes, _splat(builder, builder.sub(high, low)))
        return builder.bitcast(hits, _WORD)

    return types.uint64(array, types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def trailing_zeros(typingctx, word):
    """Index of the lowest set bit; 64 for zero."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], cgutils.false_bit)

    return types.int64(types.uint64), codegen


@intrinsic
def leading_zeros(typingctx, word):
    """63 minus the index of the highest set bit; 64 for zero."""

    def codegen(context, builder, signature, args):
        return builder.ctlz(args[0], cgutils.false_bit)

    return types.int64(types.uint64), codegen


@intrinsic
def count_bits(typingctx, word):
    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def multiply_wide(typingctx, a, b):
    """High and low word of the 128-bit product."""
    result = types.UniTuple(types.uint64, 2)

    def codegen(context, builder, signature, args):
        product = builder.mul(builder.zext(args[0], _WIDE), builder.zext(args[1], _WIDE))
        high = builder.trunc(builder.lshr(product, ir.Constant(_WIDE, 64)), _WORD)
        return context.make_tuple(builder, result, (high, builder.trunc(product, _WORD)))

    return result(types.uint64, types.uint64), codegen
