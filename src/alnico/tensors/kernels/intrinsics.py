"""What kernels are made of: loads, stores, magnitudes as bits, random bits, ranks."""

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from alnico.tensors.kernels import call
from alnico.tensors.kernels.job import LARGEST

ARGUMENTS = (types.int64, types.int64, types.int64, types.CPointer(types.int64))
"""Of a kernel: n, start, row, the addresses of its arrays."""

__all__ = [
    "array",
    "choose",
    "gather",
    "largest_BF16",
    "largest_F16",
    "largest_F32",
    "load_BF16",
    "load_F16",
    "load_F32",
    "rank_row",
    "room",
    "size",
    "store_BF16",
    "store_F16",
    "store_F32",
    "uniform",
]

SHORT = 400
"""Rows of up to so many are sorted by fewer bits at once: counts are cleared for each."""


room = njit(call.room)


@intrinsic
def _pointer(typing, address, like):
    def make(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(types.int64, like), make


@njit(inline="always")
def array(address, like, shape):
    """The array of a number's dtype that lies at an address."""
    return carray(_pointer(address, like), shape)


@intrinsic
def _bits(typing, value):
    def make(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), make


@intrinsic
def _from_bits(typing, bits):
    def make(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), make


@intrinsic
def choose(typing, condition, this, other):
    """One of two values without a branch: what follows a branch is seldom vectorised."""

    def make(context, builder, signature, args):
        return builder.select(*args)

    return this(types.boolean, this, this), make


@intrinsic
def load_F16(typing, bits):
    def make(context, builder, signature, args):
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), make


@intrinsic
def store_F16(typing, value):
    def make(context, builder, signature, args):
        return builder.bitcast(builder.fptrunc(args[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), make


@njit(inline="always")
def load_BF16(bits):
    return _from_bits(np.uint32(np.uint32(bits) << np.uint32(16)))


@njit(inline="always")
def store_BF16(value):
    """Round to the nearest, a half to the even one."""
    bits = _bits(value)
    even = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = np.uint32(bits + np.uint32(0x7FFF) + even)
    return choose(value == value, np.uint16(rounded >> np.uint32(16)), np.uint16(0x7FC0))


@njit(inline="always")
def load_F32(value):
    return value


store_F32 = load_F32


@njit
def largest_F32(values):
    """The bits of the largest magnitude of some values, as float32."""
    found = np.uint32(0)
    for i in range(len(values)):
        found = max(found, np.uint32(_bits(values[i]) & np.uint32(0x7FFFFFFF)))
    return np.int64(found)


@njit
def _largest_bits(bits):
    found = np.uint16(0)
    for i in range(len(bits)):
        found = max(found, np.uint16(bits[i] & np.uint16(0x7FFF)))
    return found


@njit
def largest_BF16(bits):
    return np.int64(_largest_bits(bits)) << 16


@njit
def largest_F16(bits):
    """Infinity and NaN alone reach the bits of a float32 infinity."""
    return np.int64(_largest_bits(bits)) * (LARGEST // 0x7C00 + 1)


@njit(inline="always")
def size(value):
    """The bits of a magnitude, which order as it does; NaN counts as infinity."""
    bits = np.uint32(_bits(value) & np.uint32(0x7FFFFFFF))
    return choose(bits < np.uint32(LARGEST), bits, np.uint32(LARGEST))


@njit(inline="always")
def _mix(bits):
    bits = np.uint32(bits ^ (bits >> np.uint32(16)))
    bits = np.uint32(bits * np.uint32(0x7FEB352D))
    bits = np.uint32(bits ^ (bits >> np.uint32(15)))
    bits = np.uint32(bits * np.uint32(0x846CA68B))
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@njit(inline="always")
def uniform(position, first, second):
    """See tensors.noise."""
    bits = _mix(np.uint32(_mix(np.uint32(position ^ first)) + second))
    return np.float32(np.int32(bits >> np.uint32(8))) * np.float32(2.0**-24)


@njit
def gather(sizes, places, n, least, largest):
    """Move the values between two to the front, and write down where each was.

    Returns:
        How many they are, and how many values are larger.
    """
    low, span, top = np.uint32(least), np.uint32(largest - least), np.uint32(largest)
    above = count = 0
    for i in range(n):
        above += sizes[i] > top
    for at in range(0, n, 16):  # most groups have none, which is soon known of all 16 at once
        hit = at + 16 > n
        if not hit:
            for i in range(at, at + 16):
                hit |= np.uint32(sizes[i] - low) <= span
        if hit:
            for i in range(at, min(at + 16, n)):
                if np.uint32(sizes[i] - low) <= span:
                    sizes[count] = sizes[i]
                    places[count] = i
                    count += 1
    return count, above


@njit
def rank_row(bits, keys, counts):
    """Replace each of a row's values by how many are smaller; of equals the earlier is smaller.

    bits: [n], keys: [2, n], counts: [2**11 + 1]; the last two are room to work in.
    """
    order = keys[0]
    if not _sort_by_bins(bits, order, counts):
        order = _sort_by_digits(bits, keys, counts)
    for p in range(len(bits)):
        bits[np.int64(order[p] & np.uint64(0xFFFFFFFF))] = p


@njit
def _sort_by_bins(bits, order, counts):
    """Sort values and their places: put into bins by leading bits, then sorted within each.

    What is smaller than the largest by a factor of 64 is in the first bin: few values are, as a
    rule, and bins of their own would be missing elsewhere. Says no where a bin takes long to sort.
    """
    n = len(bits)
    n_bins = min(2 * n, len(counts) - 1)
    least, most = np.uint32(0xFFFFFFFF), np.uint32(0)
    for i in range(n):
        least, most = min(least, bits[i]), max(most, bits[i])
    least = max(least, np.uint32(max(np.int64(most) - (6 << 23), 0)))
    shift = np.uint32(0)
    while ((most - least) >> shift) >= n_bins:
        shift += np.uint32(1)
    counts[: n_bins + 1] = 0
    for i in range(n):
        counts[np.int64((max(bits[i], least) - least) >> shift) + 1] += 1
    for b in range(1, n_bins):
        counts[b] += counts[b - 1]
    for i in range(n):
        b = np.int64((max(bits[i], least) - least) >> shift)
        order[counts[b]] = (np.uint64(bits[i]) << np.uint64(32)) | np.uint64(i)
        counts[b] += 1
    left = 8 * n
    for p in range(1, n):
        key, q = order[p], p
        while q > 0 and order[q - 1] > key:
            order[q] = order[q - 1]
            q -= 1
        order[q] = key
        left -= p - q
        if left < 0:
            return False
    return True


@njit
def _sort_by_digits(bits, keys, counts):
    """Sort values and their places by one stable pass for each group of bits."""
    n, front, back = len(bits), keys[0], keys[1]
    group = np.uint32(11 if n > SHORT else 8)
    n_bins = 1 << group
    mask = np.uint32(n_bins - 1)
    for i in range(n):
        front[i] = (np.uint64(bits[i]) << np.uint64(32)) | np.uint64(i)
    for shift in range(0, 31, group):
        counts[: n_bins + 1] = 0
        for i in range(n):
            counts[np.int64((bits[i] >> np.uint32(shift)) & mask) + 1] += 1
        if counts[np.int64((bits[0] >> np.uint32(shift)) & mask) + 1] == n:
            continue  # all alike, as the low bits of bfloat16 are
        for b in range(1, n_bins):
            counts[b] += counts[b - 1]
        for i in range(n):
            b = np.int64((front[i] >> np.uint64(32 + shift)) & np.uint64(mask))
            back[counts[b]] = front[i]
            counts[b] += 1
        front, back = back, front
    return front
