"""Vector code in LLVM's own terms, of no processor in particular: stored rows as whole numbers, for `kernels.py`.

`vector_code.py` says what holds after a change here.
"""
# ruff: noqa: ANN401 (numba decides what is handed on)

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from retriever.index.levels import LEVEL_POLYNOMIAL
from retriever.index.vector_code import (
    BYTE,
    FLOAT,
    SCORES,
    SHORT,
    SUMS,
    TILE_ROWS,
    constant,
    load,
    pointer,
    splat,
    store,
    vector_code,
)

__all__ = ["take_bytes", "take_levels"]

SHORTS = ir.VectorType(SHORT, TILE_ROWS)


@vector_code
def take_bytes(typing: Any, rows: Any, token: Any, taken: Any, place: Any) -> Any:
    """Copies a token's signed bytes into a line of whole numbers, but for the last `dim % 16` of them."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        dim, width = (
            builder.extract_value(context.make_array(signature.args[at])(context, builder, values[at]).shape, 1)
            for at in (0, 2)
        )
        source = pointer(context, builder, signature.args[0], values[0], BYTE)
        target = pointer(context, builder, signature.args[2], values[2], SHORT)
        source = builder.gep(source, [builder.mul(values[1], dim)])
        target = builder.gep(target, [builder.mul(values[3], width)])
        with cgutils.for_range(builder, builder.sdiv(dim, dim.type(TILE_ROWS))) as loop:
            column = builder.mul(loop.index, dim.type(TILE_ROWS))
            some = load(builder, builder.gep(source, [column]), ir.VectorType(BYTE, TILE_ROWS))
            store(builder, builder.sext(some, SHORTS), builder.gep(target, [column]))
        return context.get_dummy_value()

    return types.void(rows, types.intp, taken, types.intp), generate


@vector_code
def take_levels(
    typing: Any,
    centroids: Any,
    centroid: Any,
    codebooks: Any,
    low: Any,
    high: Any,
    packed: Any,
    deviations: Any,
    size: Any,
    grid: Any,
    half: Any,
    taken: Any,
    place: Any,
) -> Any:
    """Puts `grid * (centroid + fine code + size * deviation * level)` into a line of whole numbers, to the nearest.

    Centroids, fine codes and lines have a multiple of 32 columns, `packed` (n,) and `deviations` (2, n) of 16; all are
    0 beyond their own. The low halves of the bytes of `packed` are levels of the first half of the coordinates; the
    fine code `low` is of that half too, and `high` of the second.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, centroid, _, low, high, _, _, size, grid, half, _, place = values
        shapes = [context.make_array(signature.args[at])(context, builder, values[at]).shape for at in (10, 5)]
        width, columns = (builder.extract_value(shape, axis) for shape, axis in zip(shapes, (1, 0), strict=True))
        index = width.type
        centroids, codebooks, packed, deviations, taken = (
            pointer(context, builder, signature.args[at], values[at], element)
            for at, element in ((0, FLOAT), (2, FLOAT), (5, BYTE), (6, FLOAT), (10, SHORT))
        )
        rint = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(SCORES, [SCORES]), f"llvm.rint.v{TILE_ROWS}f32"
        )
        size, grid = splat(builder, size, SCORES), splat(builder, grid, SCORES)
        # The second half comes second: it overwrites what the first leaves beyond its own columns.
        for part, code in enumerate((low, high)):
            with cgutils.for_range(builder, builder.sdiv(columns, index(TILE_ROWS))) as loop:
                column = builder.mul(loop.index, index(TILE_ROWS))
                at = builder.add(column, builder.mul(half, index(part)))
                near = builder.fadd(
                    load(builder, builder.gep(centroids, [builder.add(builder.mul(centroid, width), at)]), SCORES),
                    load(builder, builder.gep(codebooks, [builder.add(builder.mul(code, width), at)]), SCORES),
                )
                number = load(builder, builder.gep(packed, [column]), ir.VectorType(BYTE, TILE_ROWS))
                number = (
                    builder.lshr(number, constant(number.type, 4))
                    if part
                    else builder.and_(number, constant(number.type, 15))
                )
                deviation = builder.gep(deviations, [builder.add(column, builder.mul(columns, index(part)))])
                step = builder.fmul(load(builder, deviation, SCORES), size)
                value = builder.fadd(near, builder.fmul(_level(builder, builder.uitofp(number, SCORES)), step))
                whole = builder.fptosi(builder.call(rint, [builder.fmul(value, grid)]), SUMS)
                line = builder.add(builder.mul(place, width), at)
                store(builder, builder.trunc(whole, SHORTS), builder.gep(taken, [line]))
        return context.get_dummy_value()

    whole, number = types.intp, types.float32
    signature = types.void(
        centroids, whole, codebooks, whole, whole, packed, deviations, number, number, whole, taken, whole
    )
    return signature, generate


def _level(builder: Any, number: Any) -> Any:
    """Levels by the polynomial, which vectors compute faster than they look up."""
    at = builder.fmul(builder.fsub(number, constant(SCORES, 7.5)), constant(SCORES, 1 / 7.5))
    square = builder.fmul(at, at)
    *lower, value = (constant(SCORES, float(number)) for number in LEVEL_POLYNOMIAL)
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(SCORES, [SCORES] * 3), f"llvm.fmuladd.v{TILE_ROWS}f32"
    )
    for coefficient in reversed(lower):
        value = builder.call(fma, [value, square, coefficient])
    return builder.fmul(value, at)
