"""Vector code in LLVM's own terms, of no processor in particular, for the compiled functions of `kernels.py`.

Sums of products of 16-bit pairs become `vpmaddwd` on AVX2 and `vpdpwssd` on AVX512-VNNI, best-of tables `vpaddusb` and
`vpmaxub`. numba keeps the machine code of `kernels.py` by that file's time: touch it after a change here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "BYTE",
    "FLOAT",
    "LANES",
    "SCORES",
    "SHORT",
    "SUMS",
    "TILE_ROWS",
    "TILE_TOKENS",
    "bound",
    "constant",
    "fill_block",
    "load",
    "pointer",
    "splat",
    "store",
    "sum_of_best",
    "vector_code",
]

TILE_ROWS = 16  # query rows in one vector of sums
LANES = 2 * TILE_ROWS  # coordinates in one vector of a product
TILE_TOKENS = 8 if binding.get_host_cpu_features().get("avx512f") else 4  # vectors of sums kept in registers

BYTE, SHORT, INT, FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
SUMS, SCORES = ir.VectorType(INT, TILE_ROWS), ir.VectorType(FLOAT, TILE_ROWS)
PAIRS, PRODUCTS = ir.VectorType(SHORT, LANES), ir.VectorType(INT, LANES)


def vector_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function that writes LLVM code callable from compiled functions."""
    made: Callable[..., Any] = intrinsic(prefer_literal=True)(function)
    return made


def pointer(context: Any, builder: Any, kind: Any, value: Any, element: Any) -> Any:
    """Address of an array's first element."""
    data = context.make_array(kind)(context, builder, value).data
    return builder.bitcast(data, element.as_pointer())


def splat(builder: Any, value: Any, vector: Any) -> Any:
    """A vector of one value."""
    undefined = ir.Constant(vector, ir.Undefined)
    lane = builder.insert_element(undefined, value, INT(0))
    return builder.shuffle_vector(lane, undefined, ir.Constant(ir.VectorType(INT, vector.count), [0] * vector.count))


def constant(vector: Any, value: float) -> Any:
    """A vector of one value that is known now."""
    return ir.Constant(vector, [value] * vector.count)


def load(builder: Any, address: Any, vector: Any) -> Any:
    """A vector from an address that may be of no particular alignment."""
    return builder.load(builder.bitcast(address, vector.as_pointer()), align=1)


def store(builder: Any, value: Any, address: Any) -> None:
    """Stores a vector at an address that may be of no particular alignment."""
    builder.store(value, builder.bitcast(address, value.type.as_pointer()), align=1)


def _larger(builder: Any, left: Any, right: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


def _pair_sums(builder: Any, products: Any) -> Any:
    """Each product with its neighbour."""
    lanes = ir.Constant(SUMS, list(range(0, LANES, 2))), ir.Constant(SUMS, list(range(1, LANES, 2)))
    anything = ir.Constant(PRODUCTS, ir.Undefined)
    return builder.add(*(builder.shuffle_vector(products, anything, which) for which in lanes))


def _tile(builder: Any, tokens: Any, block: Any, n_pairs: Any) -> list[Any]:
    """Dot products of `TILE_TOKENS` tokens with the 16 rows of a query block, as one vector a token."""
    sums = [cgutils.alloca_once(builder, SUMS) for _ in range(TILE_TOKENS)]
    for total in sums:
        builder.store(constant(SUMS, 0), total)
    with cgutils.for_range(builder, n_pairs) as loop:
        pair = loop.index
        rows = load(builder, builder.gep(block, [builder.mul(pair, pair.type(LANES))]), PAIRS)
        for number, total in enumerate(sums):
            place = builder.add(pair, builder.mul(n_pairs, pair.type(number)))
            two = builder.load(builder.gep(builder.bitcast(tokens, INT.as_pointer()), [place]), align=2)
            token = builder.bitcast(splat(builder, two, SUMS), PAIRS)
            products = builder.mul(builder.sext(token, PRODUCTS), builder.sext(rows, PRODUCTS))
            builder.store(builder.add(builder.load(total), _pair_sums(builder, products)), total)
    return [builder.load(total) for total in sums]


@vector_code
def sum_of_best(typing: Any, tokens: Any, scales: Any, n_tiles: Any, query: Any) -> Any:
    """Sum over query rows of the largest scaled dot product with a token."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        shape = context.make_array(signature.args[3])(context, builder, values[3]).shape
        n_blocks, n_pairs = (builder.extract_value(shape, axis) for axis in (0, 1))
        token = pointer(context, builder, signature.args[0], values[0], SHORT)
        scale = pointer(context, builder, signature.args[1], values[1], FLOAT)
        rows = pointer(context, builder, signature.args[3], values[3], SHORT)
        total, best = cgutils.alloca_once(builder, SCORES), cgutils.alloca_once(builder, SCORES)
        builder.store(constant(SCORES, 0.0), total)
        index = n_blocks.type
        with cgutils.for_range(builder, n_blocks) as blocks:
            builder.store(constant(SCORES, float("-inf")), best)
            start = builder.mul(blocks.index, builder.mul(n_pairs, index(LANES)))
            with cgutils.for_range(builder, values[2]) as tiles:
                first = builder.mul(tiles.index, index(TILE_TOKENS))
                here = builder.gep(token, [builder.mul(first, builder.mul(n_pairs, index(2)))])
                for number, sums in enumerate(_tile(builder, here, builder.gep(rows, [start]), n_pairs)):
                    factor = builder.load(builder.gep(scale, [builder.add(first, index(number))]))
                    scores = builder.fmul(builder.sitofp(sums, SCORES), splat(builder, factor, SCORES))
                    builder.store(_larger(builder, scores, builder.load(best)), best)
            builder.store(builder.fadd(builder.load(total), builder.load(best)), total)
        lanes = builder.load(total)
        result = builder.extract_element(lanes, INT(0))
        for lane in range(1, TILE_ROWS):
            result = builder.fadd(result, builder.extract_element(lanes, INT(lane)))
        return result

    return types.float32(tokens, scales, types.intp, query), generate


@vector_code
def fill_block(typing: Any, vectors: Any, query: Any, number: Any, gain: Any, lift: Any, table: Any) -> Any:
    """Bytes `clip(dot * gain + lift)` of every vector with the 16 rows of one query block, into a table."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[5])(context, builder, values[5])
        n_vectors, width = (builder.extract_value(array.shape, axis) for axis in (1, 2))
        shape = context.make_array(signature.args[1])(context, builder, values[1]).shape
        n_pairs = builder.extract_value(shape, 1)
        index = n_pairs.type
        vector = pointer(context, builder, signature.args[0], values[0], SHORT)
        rows = pointer(context, builder, signature.args[1], values[1], SHORT)
        out = pointer(context, builder, signature.args[5], values[5], BYTE)
        block = builder.gep(rows, [builder.mul(values[2], builder.mul(n_pairs, index(LANES)))])
        column = builder.mul(values[2], index(TILE_ROWS))
        start = builder.mul(builder.sdiv(column, width), builder.mul(n_vectors, width))
        start = builder.add(start, builder.srem(column, width))
        with cgutils.for_range(builder, builder.sdiv(n_vectors, index(TILE_TOKENS))) as tiles:
            first = builder.mul(tiles.index, index(TILE_TOKENS))
            here = builder.gep(vector, [builder.mul(first, builder.mul(n_pairs, index(2)))])
            for token, sums in enumerate(_tile(builder, here, block, n_pairs)):
                scaled = builder.fmul(builder.sitofp(sums, SCORES), splat(builder, values[3], SCORES))
                level = builder.fadd(scaled, splat(builder, values[4], SCORES))
                level = _larger(builder, level, constant(SCORES, 0.0))
                top = constant(SCORES, 255.0)
                level = builder.select(builder.fcmp_ordered("<", level, top), level, top)
                small = builder.fptoui(level, ir.VectorType(BYTE, TILE_ROWS))
                line = builder.mul(builder.add(first, index(token)), width)
                address = builder.gep(out, [builder.add(start, line)])
                store(builder, small, address)
        return context.get_dummy_value()

    signature = types.void(vectors, query, types.intp, types.float32, types.float32, table)
    return signature, generate


class _Lines:
    """Code that reads a token's line of one block of a table: `table + fine_table[0] + fine_table[1]`, saturating."""

    def __init__(self, context: Any, builder: Any, kinds: Any, arrays: Any, block: Any, width: int) -> None:
        self.builder, self.width = builder, width
        self.bytes = ir.VectorType(BYTE, width)
        elements = (BYTE, BYTE, SHORT, BYTE)
        table, fine_table, self.codes, self.fine = (
            pointer(context, builder, kind, array, element)
            for kind, array, element in zip(kinds, arrays, elements, strict=True)
        )
        n_centroids = builder.extract_value(context.make_array(kinds[0])(context, builder, arrays[0]).shape, 1)
        self.index = n_centroids.type
        self.coarse = builder.gep(table, [builder.mul(block, builder.mul(n_centroids, self.index(width)))])
        self.finer = builder.gep(fine_table, [builder.mul(block, self.index(512 * width))])

    def of(self, token: Any) -> Any:
        """The line of a token."""
        builder = self.builder
        add = self._function("llvm.uadd.sat", self.bytes, [self.bytes, self.bytes], "i8")
        value = self._line(self.coarse, builder.load(builder.gep(self.codes, [token])))
        for part in range(2):
            place = builder.add(builder.mul(token, self.index(2)), self.index(part))
            code = builder.load(builder.gep(self.fine, [place]))
            value = builder.call(add, [value, self._line(self.finer, code, 256 * part)])
        return value

    def sum(self, line: Any, weights: Any) -> Any:
        """Sum over the columns, each times its weight."""
        wide = ir.VectorType(INT, self.width)
        reduce = self._function("llvm.vector.reduce.add", INT, [wide], "i32")
        return self.builder.call(reduce, [self.builder.mul(self.builder.zext(line, wide), weights)])

    def _line(self, base: Any, code: Any, offset: int = 0) -> Any:
        builder = self.builder
        line = builder.add(builder.zext(code, self.index), self.index(offset))
        return load(builder, builder.gep(base, [builder.mul(line, self.index(self.width))]), self.bytes)

    def _function(self, name: str, result: Any, arguments: list[Any], element: str) -> Any:
        kind = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.builder.module, kind, f"{name}.v{self.width}{element}")


@vector_code
def bound(
    typing: Any,
    width: Any,
    table: Any,
    fine_table: Any,
    codes: Any,
    fine: Any,
    weights: Any,
    block: Any,
    start: Any,
    stop: Any,
) -> Any:
    """Weighted sum over the columns of a table's block of the largest line entry of tokens start to stop."""
    if not isinstance(width, types.IntegerLiteral):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, *arrays, weights, block, start, stop = values
        lines = _Lines(context, builder, signature.args[1:5], arrays, block, width.literal_value)
        best = cgutils.alloca_once_value(builder, constant(lines.bytes, 0))
        with cgutils.for_range(builder, stop, start=start) as tokens:
            value, highest = lines.of(tokens.index), builder.load(best)
            builder.store(builder.select(builder.icmp_unsigned(">", value, highest), value, highest), best)
        base = pointer(context, builder, signature.args[5], weights, INT)
        base = builder.gep(base, [builder.mul(block, lines.index(lines.width))])
        return lines.sum(builder.load(best), load(builder, base, ir.VectorType(INT, lines.width)))

    signature = types.int32(width, table, fine_table, codes, fine, weights, types.intp, types.intp, types.intp)
    return signature, generate
