from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from retriever.late_interaction import maxsim, maxsim_matrix
from retriever.training.losses import hard_negative_loss, in_batch_loss, own_scores, paired_scores


def batch(seed: int, n_queries: int = 3, n_passages: int = 6, length: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    queries = functional.normalize(torch.randn(n_queries, 4, 5, generator=generator), dim=-1)
    passages = functional.normalize(torch.randn(n_passages, length, 5, generator=generator), dim=-1)
    mask = torch.rand(n_passages, length, generator=generator) > 0.4
    mask[:, 0] = True
    return queries, passages, mask


def test_negative_cosines_are_not_clipped_and_padding_does_not_win() -> None:
    query = torch.tensor([[1.0, 0.0]])
    passages = torch.tensor([[[-1.0, 0.0], [1.0, 0.0]]])
    assert maxsim(query, passages, torch.tensor([[True, False]])).tolist() == [-1.0]
    assert maxsim_matrix(query[None], passages, torch.tensor([[True, False]])).tolist() == [[-1.0]]


def test_an_empty_passage_is_an_error() -> None:
    with pytest.raises(ValueError, match="drop empty passages"):
        maxsim(torch.ones(1, 2), torch.ones(1, 1, 2), torch.tensor([[False]]))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), chunk=st.sampled_from([1, 30, 100, 1 << 20]), padding=st.integers(0, 5))
def test_matrix_equals_the_definition_whatever_chunk_padding_and_order(seed: int, chunk: int, padding: int) -> None:
    queries, passages, mask = batch(seed)
    expected = torch.stack([maxsim(query, passages, mask) for query in queries])
    torch.testing.assert_close(maxsim_matrix(queries, passages, mask, chunk_elements=chunk), expected)
    order = torch.randperm(passages.shape[1], generator=torch.Generator().manual_seed(seed))
    longer = functional.pad(passages[:, order], (0, 0, 0, padding), value=9.0)
    longer_mask = functional.pad(mask[:, order], (0, padding), value=False)
    padded_queries = functional.pad(queries, (0, 0, 0, padding))
    torch.testing.assert_close(maxsim_matrix(padded_queries, longer, longer_mask), expected)


def test_cosines_in_bfloat16_score_nearly_the_same() -> None:
    queries, passages, mask = batch(4)
    exact = maxsim_matrix(queries, passages, mask)
    rounded = maxsim_matrix(queries, passages, mask, dtype=torch.bfloat16)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, atol=0.02, rtol=0)


@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_gradients_equal_those_of_the_definition(chunk: int) -> None:
    queries, passages, mask = batch(3)
    weights = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    gradients = []
    for plain in (True, False):
        leaves = queries.clone().requires_grad_(), passages.clone().requires_grad_()
        if plain:
            scores = torch.stack([maxsim(query, leaves[1], mask) for query in leaves[0]])
        else:
            scores = maxsim_matrix(*leaves, mask, chunk_elements=chunk)
        (scores * weights).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([leaf.grad for leaf in leaves])
    for plain_gradient, fast_gradient in zip(*gradients, strict=True):
        torch.testing.assert_close(fast_gradient, plain_gradient)


def test_losses_are_cross_entropies_of_the_right_passages() -> None:
    queries, passages, mask = batch(4)
    matrix = maxsim_matrix(queries, passages, mask)
    own = paired_scores(queries, passages, mask)
    torch.testing.assert_close(own_scores(matrix), own)
    torch.testing.assert_close(own, torch.stack([matrix[index, 2 * index : 2 * index + 2] for index in range(3)]))
    by_hand = -own.log_softmax(dim=1)[:, 0].mean()
    torch.testing.assert_close(hard_negative_loss(own), by_hand)
    by_hand = -matrix.log_softmax(dim=1)[torch.arange(3), torch.tensor([0, 2, 4])].mean()
    torch.testing.assert_close(in_batch_loss(matrix), by_hand)


def test_passages_that_cannot_be_shared_out_are_an_error() -> None:
    queries, passages, mask = batch(5, n_passages=4)
    with pytest.raises(ValueError, match="4 passages cannot be shared out evenly among 3 queries"):
        paired_scores(queries, passages, mask)
