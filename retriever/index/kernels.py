"""The inner loops of the compressed index, compiled by numba at first use and kept on disk.

Written as vector code in LLVM's own terms, of no processor in particular: sums of products of 16-bit pairs become
`vpmaddwd` on AVX2 and `vpdpwssd` on AVX512-VNNI, best-of tables `vpaddusb` and `vpmaxub`. `reference.py` says in numpy
what each function computes. Functions take a range of passages and release the GIL, so that threads share the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["GRID", "TILE_ROWS", "TILE_TOKENS", "fill_table", "rescore", "scan"]

TILE_ROWS = 16  # query rows in one vector of sums
TILE_TOKENS = 8 if binding.get_host_cpu_features().get("avx512f") else 4  # vectors of sums kept in registers
GRID = 8192  # centroids and decoded 4-bit rows are rounded to this part of 1

BYTE, SHORT, INT, FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
SUMS, SCORES = ir.VectorType(INT, TILE_ROWS), ir.VectorType(FLOAT, TILE_ROWS)
PAIRS, PRODUCTS = ir.VectorType(SHORT, 2 * TILE_ROWS), ir.VectorType(INT, 2 * TILE_ROWS)


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compiles at first use; where no folder for the machine code can be written, in every process anew."""
    made: Callable[..., None]
    try:
        made = njit(nogil=True, cache=True)(function)
    except RuntimeError:
        made = njit(nogil=True)(function)
    return made


def _vector_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function that writes LLVM code callable from compiled functions."""
    made: Callable[..., Any] = intrinsic(prefer_literal=True)(function)
    return made


def _pointer(context: Any, builder: Any, kind: Any, value: Any, element: Any) -> Any:
    """Address of an array's first element."""
    data = context.make_array(kind)(context, builder, value).data
    return builder.bitcast(data, element.as_pointer())


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    """A vector of one value."""
    undefined = ir.Constant(vector, ir.Undefined)
    lane = builder.insert_element(undefined, value, INT(0))
    return builder.shuffle_vector(lane, undefined, ir.Constant(ir.VectorType(INT, vector.count), [0] * vector.count))


def _constant(vector: Any, value: float) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _load(builder: Any, address: Any, vector: Any) -> Any:
    return builder.load(builder.bitcast(address, vector.as_pointer()), align=1)


def _larger(builder: Any, left: Any, right: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


def _tile(builder: Any, tokens: Any, block: Any, n_pairs: Any) -> list[Any]:
    """Dot products of `TILE_TOKENS` tokens with the 16 rows of a query block, as one vector a token."""
    sums = [cgutils.alloca_once(builder, SUMS) for _ in range(TILE_TOKENS)]
    for total in sums:
        builder.store(_constant(SUMS, 0), total)
    half = ir.Constant(SUMS, list(range(0, 2 * TILE_ROWS, 2))), ir.Constant(SUMS, list(range(1, 2 * TILE_ROWS, 2)))
    anything = ir.Constant(PRODUCTS, ir.Undefined)
    with cgutils.for_range(builder, n_pairs) as loop:
        pair = loop.index
        rows = _load(builder, builder.gep(block, [builder.mul(pair, pair.type(2 * TILE_ROWS))]), PAIRS)
        for number, total in enumerate(sums):
            place = builder.add(pair, builder.mul(n_pairs, pair.type(number)))
            two = builder.load(builder.gep(builder.bitcast(tokens, INT.as_pointer()), [place]), align=2)
            token = builder.bitcast(_splat(builder, two, SUMS), PAIRS)
            product = builder.mul(builder.sext(token, PRODUCTS), builder.sext(rows, PRODUCTS))
            both = [builder.shuffle_vector(product, anything, lanes) for lanes in half]
            builder.store(builder.add(builder.load(total), builder.add(*both)), total)
    return [builder.load(total) for total in sums]


@_vector_code
def _sum_of_best(typing: Any, tokens: Any, scales: Any, n_tiles: Any, query: Any) -> Any:
    """Sum over query rows of the largest scaled dot product with a token."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        shape = context.make_array(signature.args[3])(context, builder, values[3]).shape
        n_blocks, n_pairs = (builder.extract_value(shape, axis) for axis in (0, 1))
        token = _pointer(context, builder, signature.args[0], values[0], SHORT)
        scale = _pointer(context, builder, signature.args[1], values[1], FLOAT)
        rows = _pointer(context, builder, signature.args[3], values[3], SHORT)
        total, best = cgutils.alloca_once(builder, SCORES), cgutils.alloca_once(builder, SCORES)
        builder.store(_constant(SCORES, 0.0), total)
        index = n_blocks.type
        with cgutils.for_range(builder, n_blocks) as blocks:
            builder.store(_constant(SCORES, float("-inf")), best)
            start = builder.mul(blocks.index, builder.mul(n_pairs, index(2 * TILE_ROWS)))
            with cgutils.for_range(builder, values[2]) as tiles:
                first = builder.mul(tiles.index, index(TILE_TOKENS))
                here = builder.gep(token, [builder.mul(first, builder.mul(n_pairs, index(2)))])
                for number, sums in enumerate(_tile(builder, here, builder.gep(rows, [start]), n_pairs)):
                    factor = builder.load(builder.gep(scale, [builder.add(first, index(number))]))
                    scores = builder.fmul(builder.sitofp(sums, SCORES), _splat(builder, factor, SCORES))
                    builder.store(_larger(builder, scores, builder.load(best)), best)
            builder.store(builder.fadd(builder.load(total), builder.load(best)), total)
        lanes = builder.load(total)
        result = builder.extract_element(lanes, INT(0))
        for lane in range(1, TILE_ROWS):
            result = builder.fadd(result, builder.extract_element(lanes, INT(lane)))
        return result

    return types.float32(tokens, scales, types.intp, query), generate


@_vector_code
def _fill_block(typing: Any, vectors: Any, query: Any, number: Any, gain: Any, lift: Any, table: Any) -> Any:
    """Bytes `clip(dot * gain + lift)` of every vector with the 16 rows of one query block, into a table."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[5])(context, builder, values[5])
        n_vectors, width = (builder.extract_value(array.shape, axis) for axis in (1, 2))
        shape = context.make_array(signature.args[1])(context, builder, values[1]).shape
        n_pairs = builder.extract_value(shape, 1)
        index = n_pairs.type
        vector = _pointer(context, builder, signature.args[0], values[0], SHORT)
        rows = _pointer(context, builder, signature.args[1], values[1], SHORT)
        out = _pointer(context, builder, signature.args[5], values[5], BYTE)
        block = builder.gep(rows, [builder.mul(values[2], builder.mul(n_pairs, index(2 * TILE_ROWS)))])
        column = builder.mul(values[2], index(TILE_ROWS))
        start = builder.mul(builder.sdiv(column, width), builder.mul(n_vectors, width))
        start = builder.add(start, builder.srem(column, width))
        with cgutils.for_range(builder, builder.sdiv(n_vectors, index(TILE_TOKENS))) as tiles:
            first = builder.mul(tiles.index, index(TILE_TOKENS))
            here = builder.gep(vector, [builder.mul(first, builder.mul(n_pairs, index(2)))])
            for token, sums in enumerate(_tile(builder, here, block, n_pairs)):
                scaled = builder.fmul(builder.sitofp(sums, SCORES), _splat(builder, values[3], SCORES))
                level = builder.fadd(scaled, _splat(builder, values[4], SCORES))
                level = _larger(builder, level, _constant(SCORES, 0.0))
                top = _constant(SCORES, 255.0)
                level = builder.select(builder.fcmp_ordered("<", level, top), level, top)
                small = builder.fptoui(level, ir.VectorType(BYTE, TILE_ROWS))
                line = builder.mul(builder.add(first, index(token)), width)
                address = builder.gep(out, [builder.add(start, line)])
                builder.store(small, builder.bitcast(address, small.type.as_pointer()), align=1)
        return context.get_dummy_value()

    signature = types.void(vectors, query, types.intp, types.float32, types.float32, table)
    return signature, generate


@_vector_code
def _bound(typing: Any, width: Any, table: Any, fine_table: Any, codes: Any, fine: Any, start: Any, stop: Any) -> Any:
    """Sum over all table columns of the largest `table + fine_table[0] + fine_table[1]` of tokens start to stop."""
    if not isinstance(width, types.IntegerLiteral):
        return None
    bytes_ = ir.VectorType(BYTE, width.literal_value)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, *arrays, start, stop = values
        kinds = signature.args[1:5]
        elements = (BYTE, BYTE, SHORT, BYTE)
        table, fine_table, codes, fine = (
            _pointer(context, builder, kind, value, element)
            for kind, value, element in zip(kinds, arrays, elements, strict=True)
        )
        shape = context.make_array(kinds[0])(context, builder, arrays[0]).shape
        n_blocks, n_centroids = (builder.extract_value(shape, axis) for axis in (0, 1))
        index = n_blocks.type
        add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(bytes_, [bytes_, bytes_]), f"llvm.uadd.sat.v{bytes_.count}i8"
        )
        wide = ir.VectorType(INT, bytes_.count)
        reduce = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(INT, [wide]), f"llvm.vector.reduce.add.v{bytes_.count}i32"
        )
        best, total = cgutils.alloca_once(builder, bytes_), cgutils.alloca_once(builder, INT)
        builder.store(INT(0), total)
        with cgutils.for_range(builder, n_blocks) as blocks:
            builder.store(_constant(bytes_, 0), best)
            coarse = builder.gep(table, [builder.mul(blocks.index, builder.mul(n_centroids, index(bytes_.count)))])
            finer = builder.gep(fine_table, [builder.mul(blocks.index, index(512 * bytes_.count))])
            with cgutils.for_range(builder, stop, start=start) as tokens:
                token = tokens.index

                def line(base: Any, code: Any, offset: int = 0) -> Any:
                    place = builder.mul(builder.add(builder.zext(code, index), index(offset)), index(bytes_.count))
                    return _load(builder, builder.gep(base, [place]), bytes_)

                pair = builder.mul(token, index(2))
                value = line(coarse, builder.load(builder.gep(codes, [token])))
                for part in range(2):
                    code = builder.load(builder.gep(fine, [builder.add(pair, index(part))]))
                    value = builder.call(add, [value, line(finer, code, 256 * part)])
                higher = builder.icmp_unsigned(">", value, builder.load(best))
                builder.store(builder.select(higher, value, builder.load(best)), best)
            columns = builder.call(reduce, [builder.zext(builder.load(best), wide)])
            builder.store(builder.add(builder.load(total), columns), total)
        return builder.load(total)

    return types.int32(width, table, fine_table, codes, fine, types.intp, types.intp), generate


@_compiled
def fill_table(vectors: Any, query: Any, gain: Any, lift: Any, table: Any, first: Any, last: Any) -> None:
    """Fills the columns of query blocks `first` to `last` of a table of cosines in bytes.

    Args:
        vectors: (n, dim) int16, n a multiple of 8, dim even.
        query: (n_blocks, dim / 2, 16, 2) int16.
        gain, lift: float32; a byte is `clip(dot * gain + lift, 0, 255)`, rounded down.
        table: (n_rows / width, n, width) uint8, width 32 or 64; written.
        first, last: blocks of 16 rows.
    """
    for block in range(first, last):
        _fill_block(vectors, query, block, gain, lift, table)


@_compiled
def scan(table: Any, fine_table: Any, codes: Any, fine: Any, starts: Any, bounds: Any, first: Any, last: Any) -> None:
    """Approximate scores of passages `first` to `last`, in steps of the table.

    Args:
        table: (n_blocks, n_centroids, 32 or 64) uint8.
        fine_table: (n_blocks, 512, 32 or 64) uint8: both fine codebooks.
        codes: (n_tokens, 1) uint16.
        fine: (n_tokens, 2) uint8.
        starts: (n_passages + 1,) int64.
        bounds: (n_passages,) int32; written.
        first, last: passages.
    """
    if table.shape[2] == 32:
        for passage in range(first, last):
            bounds[passage] = _bound(32, table, fine_table, codes, fine, starts[passage], starts[passage + 1])
    else:
        for passage in range(first, last):
            bounds[passage] = _bound(64, table, fine_table, codes, fine, starts[passage], starts[passage + 1])


@_compiled
def rescore(
    query: Any,
    rows: Any,
    steps: Any,
    codes: Any,
    fine: Any,
    parts: Any,
    starts: Any,
    chosen: Any,
    scores: Any,
    first: Any,
    last: Any,
) -> None:
    """MaxSim of chosen passages over their decoded rows, in units of the query's grid.

    Args:
        query: (n_blocks, dim / 2, 16, 2) int16.
        rows: (n_tokens, dim) int8, or (n_tokens, dim / 2) uint8 of two 4-bit levels each.
        steps: (n_tokens, 1) uint8.
        codes: (n_tokens, 1) uint16.
        fine: (n_tokens, 2) uint8.
        parts: of the codec, float32: step sizes (256,), centroids (n, dim), fine codebooks (512, dim), and what each
            level is worth in each dimension (16, dim).
        starts: (n_passages + 1,) int64.
        chosen: (n_chosen,) int64 passages.
        scores: (n_chosen,) float32; written.
        first, last: which of the chosen.
    """
    sizes, centroids, codebooks, levels = parts
    dim, half = centroids.shape[1], rows.shape[1]
    capacity = 0
    for number in range(first, last):
        capacity = max(capacity, starts[chosen[number] + 1] - starts[chosen[number]])
    capacity += TILE_TOKENS
    buffer = np.zeros((capacity, 2 * query.shape[1]), dtype=np.int16)
    factors = np.zeros(capacity, dtype=np.float32)
    for number in range(first, last):
        start, stop = starts[chosen[number]], starts[chosen[number] + 1]
        n_tiles = (stop - start + TILE_TOKENS - 1) // TILE_TOKENS
        for place in range(n_tiles * TILE_TOKENS):
            token = min(start + place, stop - 1)  # the last token again fills the last tile
            line, size = buffer[place], sizes[steps[token, 0]]
            if half == dim:
                for column in range(dim):
                    line[column] = np.int8(rows[token, column])
                factors[place] = size
            else:
                centroid, one, two = centroids[codes[token, 0]], fine[token, 0], 256 + np.int64(fine[token, 1])
                # The first fine codebook is zero in the second half of the dimensions, and the second in the first.
                for column in range(half):
                    value = size * levels[rows[token, column] & np.uint8(15), column]
                    value += centroid[column] + codebooks[one, column]
                    line[column] = np.int16(np.rint(value * np.float32(GRID)))
                for column in range(half):
                    value = size * levels[rows[token, column] >> np.uint8(4), half + column]
                    value += centroid[half + column] + codebooks[two, half + column]
                    line[half + column] = np.int16(np.rint(value * np.float32(GRID)))
                factors[place] = np.float32(1 / GRID)
        scores[number] = _sum_of_best(buffer, factors, n_tiles, query)
