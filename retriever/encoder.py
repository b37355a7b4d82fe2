"""Encodes questions and passages in batches: length buckets, device, dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from knowledge_bases.records import VisualQuestion
from retriever.modeling import FLMRModelForRetrieval, Rows
from retriever.parts import Parts
from retriever.processing import FLMRProcessor
from retriever.region import Look, RegionFinder
from retriever.remembered import RememberedPictures

__all__ = ["Encoder", "OpenPicture"]

Progress = Callable[[int, int], None]
OpenPicture = Callable[[], Image.Image | None]

NO_PICTURES: Mapping[int, OpenPicture] = MappingProxyType({})

QUERIES_A_BATCH = 16
TOKENS_A_BATCH = 8192  # passages are batched by length up to this many tokens, padding included
WINDOW = 4096  # passages tokenised and sorted at a time


class Encoder:
    """A retriever ready to encode: model and processor together.

    Attributes:
        model: the model, in evaluation mode, on its device and in its dtype.
        processor: makes its inputs.
    """

    def __init__(
        self,
        model: FLMRModelForRetrieval,
        processor: FLMRProcessor,
        *,
        identify: Callable[[], str],
        regions: RegionFinder | None = None,
    ) -> None:
        """Puts the parts together.

        Args:
            model: on the device and in the dtype to compute with; set to evaluation mode.
            processor: makes its inputs.
            identify: tells the fingerprint of the checkpoint, asked at most once.
            regions: tells which part of a picture is encoded in its place; None encodes all of it.
        """
        self.model = model.eval()
        self.processor = processor
        self._regions = regions
        self._identify = identify
        self._remembered = RememberedPictures()

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self.model.dim

    @cached_property
    def fingerprint(self) -> str:
        """Tells one checkpoint from another: 16 hexadecimal digits over weights, configuration and tokenizers."""
        return self._identify()

    def picture_rows(self, question: VisualQuestion) -> int:
        """How many rows of the encoded question, the last ones, are of its picture and regions."""
        config = self.model.config
        if question.image is None or not config.query_concat_output_from_vision_encoder:
            return 0
        n_patches = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
        rows = config.mapping_network_prefix_length + (n_patches if config.has_mapping_network else 0)
        return rows * (1 + len(question.regions))

    def look(self, questions: Sequence[VisualQuestion]) -> list[Look | None]:
        """What each question's picture is looked at for.

        Returns:
            the region that is encoded in the picture's place, and how surely there is one; None without a picture, for
            a picture with regions of its own, and where the checkpoint has no region head.
        """
        found: list[Look | None] = [None] * len(questions)
        if self._regions is None:
            return found
        places = [at for at, one in enumerate(questions) if one.image is not None and not one.regions]
        for start in range(0, len(places), QUERIES_A_BATCH):
            few = places[start : start + QUERIES_A_BATCH]
            looks = self._regions.find([image for at in few if (image := questions[at].image) is not None])
            for at, look in zip(few, looks, strict=True):
                found[at] = look
        return found

    def encode_queries(
        self, questions: Sequence[VisualQuestion], looks: Sequence[Look | None] | None = None
    ) -> list[Tensor]:
        """Encodes questions, in any mixture of picture and text, picture only and text only.

        What is fed for a missing part: without a picture, nothing (the query is its text rows alone; no black picture
        is made up: who follows M2KR's published protocol gives one); without a text, the picture's instruction alone.
        Regions of a picture are encoded beside it; where there are none, the part that `look` found takes the
        picture's place.

        Args:
            questions: what is asked.
            looks: what `look` said of them; None asks it.

        Returns:
            one (n_rows, dim) float32 tensor of unit rows a question, on the CPU; rows that do not count are dropped.

        Raises:
            ValueError: a question has neither part, or the checkpoint takes no pictures.
        """
        encoded: dict[int, Tensor] = {}
        looks = self.look(questions) if looks is None else looks
        questions = [_cut(question, look) for question, look in zip(questions, looks, strict=True)]
        kinds = [-1 if question.image is None else len(question.regions) for question in questions]
        for kind in sorted(set(kinds)):
            members = [index for index, one in enumerate(kinds) if one == kind]
            for start in range(0, len(members), QUERIES_A_BATCH):
                batch = members[start : start + QUERIES_A_BATCH]
                inputs = self.processor.queries([questions[index] for index in batch])
                with torch.inference_mode():
                    if "pixel_values" in inputs and self.model.config.query_concat_output_from_vision_encoder:
                        inputs |= self._picture_features(inputs.pop("pixel_values"))
                    rows = self.model.query(**self._to_device(inputs))  # type: ignore[arg-type]
                encoded.update(zip(batch, _ragged(rows), strict=True))
        return [encoded[index] for index in range(len(questions))]

    def forget_pictures(self) -> None:
        """Forgets what was computed of pictures. A picture that is encoded beside others again, rather than looked up,
        may get other last digits; who wants results that do not depend on what was asked before calls this."""
        self._remembered.forget()
        if self._regions is not None:
            self._regions.forget()

    def _picture_features(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """What `FLMRModelForRetrieval.query` takes instead of pixels (with regions: five dimensions)."""
        shape = pixel_values.shape[:-3]
        features, patches = self._remembered.of(pixel_values.flatten(0, -4), self._see)
        return {
            "image_features": features.reshape(*shape, *features.shape[1:]),
            "patch_features": patches.reshape(*shape, *patches.shape[1:]),
        }

    def _see(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.model.vision_encoder(pixel_values.to(self.model.device, self.model.dtype))
        return seen.global_feature, seen.patches

    def seen(self, question: VisualQuestion, look: Look | None) -> tuple[float, float, float, float] | None:
        """The part of a question's picture that its rows stand for.

        Args:
            question: as it was asked.
            look: what `look` said of it.

        Returns:
            left, top, right and bottom in the picture's pixels, which may reach beyond it where black is added; None
            without a picture, or where the checkpoint takes none.
        """
        images, picture = self.processor.image_processor, question.image
        if images is None or picture is None:
            return None
        if look is None or look.box is None:
            return images.seen(*picture.size)
        left, top, right, bottom = look.box
        seen = images.seen(right - left, bottom - top)
        return left + seen[0], top + seen[1], left + seen[2], top + seen[3]

    @property
    def passage_picture_rows(self) -> int:
        """How many rows, the first ones, a passage's picture gives; 0 where the checkpoint reads texts only."""
        config = self.model.config
        reads = config.context_concat_output_from_vision_encoder and self.processor.image_processor is not None
        return config.mapping_network_prefix_length if reads else 0

    def encode_passages(
        self,
        texts: Sequence[str],
        pictures: Mapping[int, OpenPicture] = NO_PICTURES,
        *,
        progress: Progress | None = None,
    ) -> list[Tensor]:
        """Encodes passages; passages of similar length are encoded together.

        Args:
            texts: what each passage says.
            pictures: what opens the picture of a passage, by its position in `texts` (None: it cannot be read); they
                are opened one at a time, and not at all where the checkpoint reads texts only.
            progress: called with (passages done, passages in all) after each batch.

        Returns:
            one (n_rows, dim) float32 tensor of unit rows a passage, on the CPU; padding and punctuation are dropped.
            Rows of a picture come first and are as long as the checkpoint's `passage_picture_weight`.
        """
        encoded: dict[int, Tensor] = {}
        for batch, inputs in self._passage_batches(texts):
            with torch.inference_mode():
                rows = self.model.doc(**self._to_device(inputs))  # type: ignore[arg-type]
            encoded.update(zip(batch, _ragged(rows), strict=True))
            if progress is not None:
                progress(len(encoded), len(texts))
        if self.passage_picture_rows:
            for position, rows_of_picture in self._encode_pictures(pictures):
                encoded[position] = torch.cat([rows_of_picture, encoded[position]])
        return [encoded[index] for index in range(len(texts))]

    def _encode_pictures(self, pictures: Mapping[int, OpenPicture]) -> Iterator[tuple[int, Tensor]]:
        """The rows of passages' pictures; they do not depend on the texts beside them."""
        weight, process = self.model.config.passage_picture_weight, self.processor.image_processor
        assert process is not None
        places = list(pictures)
        for start in range(0, len(places), QUERIES_A_BATCH):
            opened = ((place, pictures[place]()) for place in places[start : start + QUERIES_A_BATCH])
            pixels = {place: process([self._looked_at(picture)]) for place, picture in opened if picture is not None}
            if not pixels:
                continue
            inputs = self._to_device({"pixel_values": torch.cat(list(pixels.values()))})
            with torch.inference_mode():
                rows = self.model.doc(**inputs, parts=Parts.IMAGE)
            yield from zip(pixels, (weight * one for one in _ragged(rows)), strict=True)

    def _looked_at(self, picture: Image.Image) -> Image.Image:
        return picture if self._regions is None else self._regions.find([picture])[0].cut(picture)

    def _passage_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Batches of similar length: the passages' positions and the model's inputs."""
        for start in range(0, len(texts), WINDOW):
            window = self.processor.passages(texts[start : start + WINDOW])
            lengths = window["attention_mask"].sum(dim=1)
            order = lengths.argsort(descending=True, stable=True).tolist()
            while order:
                longest = int(lengths[order[0]])
                size = max(1, TOKENS_A_BATCH // longest)
                batch, order = order[:size], order[size:]
                inputs = {name: tensor[batch, :longest] for name, tensor in window.items()}
                yield [start + index for index in batch], inputs

    def _to_device(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        model = self.model
        return {
            name: tensor.to(model.device, model.dtype if tensor.is_floating_point() else None)
            for name, tensor in inputs.items()
        }


def _cut(question: VisualQuestion, look: Look | None) -> VisualQuestion:
    return question if look is None or question.image is None else replace(question, image=look.cut(question.image))


def _ragged(rows: Rows) -> list[Tensor]:
    """The rows that count, as unit rows in float32 whatever the model computed in."""
    output = functional.normalize(rows.late_interaction_output.float(), dim=-1).cpu()
    # Each passage gets memory of its own: a view would keep the whole batch alive.
    return [item[mask].clone() for item, mask in zip(output, rows.mask.cpu(), strict=True)]
