"""Training: batches never push right passages away, pictures are reproducible, runs go on where they stopped."""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from retriever.checkpoints import load_retriever
from retriever.region import RegionSettings
from retriever.training.backgrounds import add_clutter
from retriever.training.cloze import question_about
from retriever.training.data import BLANK, Corpus, KnowledgeSampler, Pair, PassageSampler, TaskMix, misspell
from retriever.training.drawings import FLAG_ICONS, DrawingSource, draw_levels, fetch_drawings
from retriever.training.flag_atlas import FlagAtlas, load_atlas
from retriever.training.invented_flags import with_invented_flags
from retriever.training.loop import Resumable, RunLog, scheduled_rate
from retriever.training.losses import contrast, unevenness
from retriever.training.pictures import PictureRenderer, PictureSettings
from retriever.training.region import RegionTrainingSettings, box_overlap, train_region_head
from retriever.training.vision import VisionSettings, train_vision
from tests.retriever.conftest import TINY

N_ENTITIES, N_SIDES = 5, 4


@pytest.fixture
def corpus() -> Corpus:
    places = [(entity, side) for entity in range(N_ENTITIES) for side in range(N_SIDES)]
    return Corpus(
        texts=tuple(f"entity {entity} side {side}" for entity, side in places),
        entity=tuple(entity for entity, _ in places),
        side=tuple(side for _, side in places),
    )


@pytest.fixture
def sampler(corpus: Corpus) -> KnowledgeSampler:
    pairs = [
        Pair(
            entity=entity,
            name=f"name{entity}",
            picture=entity,
            relation=f"relation{side}",
            phrasings=(f"what about {side}",),
            positives=(entity * N_SIDES + side,),
        )
        for entity in range(N_ENTITIES)
        for side in range(N_SIDES)
    ]
    return KnowledgeSampler(corpus, pairs, {0: [1], 1: [0]})


@pytest.fixture
def atlas() -> FlagAtlas:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(256, (3, 4, 3, 144, 192), generator=generator, dtype=torch.uint8)
    drawings = torch.arange(4)[:, None]
    return FlagAtlas(
        codes=("aa", "bb", "cc", "dd"), pixels=pixels, classes=torch.tensor([0, 1, 2, 1]), drawings=drawings
    )


@pytest.mark.parametrize("task", ["picture_and_question", "picture", "name_and_question", "question"])
def test_a_passage_that_is_right_too_never_pushes(sampler: KnowledgeSampler, corpus: Corpus, task: str) -> None:
    nothing = TaskMix(picture_and_question=0)
    batch = sampler.draw(random.Random(1), n_entities=3, n_relations=2, n_extra=8, mix=replace(nothing, **{task: 1.0}))
    assert batch.places is not None
    assert len(batch.queries) == 6
    for row, query in enumerate(batch.queries):
        right = batch.places[int(batch.target[row])]
        assert bool(batch.counted[row, batch.target[row]])
        for column, place in enumerate(batch.places):
            same_entity = corpus.entity[place] == corpus.entity[right]
            same_side = corpus.side[place] == corpus.side[right]
            also_right = (same_entity or task == "question") and (same_side or task == "picture")
            assert bool(batch.counted[row, column]) == (place == right or not also_right), query


def test_a_sentence_is_asked_of_the_passage_it_came_from() -> None:
    texts = [f"Al{n} we{n} ho{n} so{n}. Be{n} st{n} th{n} at{n}. Ga{n} wa{n} la{n} to{n}." for n in range(6)]
    batch = PassageSampler(texts).draw(random.Random(2), 4)
    for row, query in enumerate(batch.queries):
        numbers = set(re.findall(r"\d", query.text))
        assert numbers == set(re.findall(r"\d", batch.texts[int(batch.target[row])]))


def test_neighbours_share_a_batch_and_each_passage_is_drawn_once() -> None:
    texts = [f"First{n} is here. Second{n} is there. Third{n} is gone." for n in range(40)]
    batch = PassageSampler(texts).draw(random.Random(4), 12)
    places = [int(re.findall(r"\d+", text)[0]) for text in batch.texts]
    assert len(set(places)) == 12
    assert sum((place + 1) % 40 in places for place in places) >= 6
    with pytest.raises(ValueError, match="batch of 41 passages was asked for and only 40 have three sentences"):
        PassageSampler(texts).draw(random.Random(4), 41)


def test_a_question_about_a_sentence_stays_with_the_whole_passage() -> None:
    texts = [f"Ann{n} came in 18{n}0. Bob{n} sold 4{n} ships. Eve{n} left." for n in range(6)]
    batch = PassageSampler(texts).draw(random.Random(2), 6, asked_share=1.0)
    assert {*batch.texts} == {*texts}
    assert all(query.text for query in batch.queries)
    assert any(query.text.endswith("?") for query in batch.queries)


def test_a_passage_may_have_more_questions_than_one() -> None:
    texts = [f"Ann{n} came in 18{n}0. Bob{n} sold 4{n} ships. Eve{n} left for 7{n} days." for n in range(6)]
    batch = PassageSampler(texts).draw(random.Random(2), 4, asked_share=1.0, questions=2)
    assert batch.target.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert batch.counted.shape == (12, 4)
    assert len({query.text for query in batch.queries}) == 12
    for query, target in zip(batch.queries, batch.target.tolist(), strict=True):
        words = {word.strip("?").lower() for word in query.text.split()} - {"in", "for", "when", "what", "was", "did"}
        own = {word.strip(".").lower() for word in batch.texts[target].split()}
        others = [text for place, text in enumerate(batch.texts) if place != target]
        theirs = {word.strip(".").lower() for text in others for word in text.split()} - own
        assert not words & theirs


SENTENCE = "In the summer of 1937 the painter Maria Blanchard sold 12 portraits to the Museum of Modern Art in Bilbao."


def test_what_is_asked_for_is_not_said() -> None:
    asked = [question_about(SENTENCE, random.Random(seed)) for seed in range(200)]
    assert len(set(asked)) > 150
    for question in asked:
        said = question.lower().rstrip("?").split()
        if said[:3] == ["in", "what", "year"] or said[:2] == ["what", "year"]:
            assert "1937" not in said, question
        if said[:2] == ["how", "many"]:
            assert "12" not in said, question
    assert (
        sum(question.lower().startswith(("who", "which", "where", "what", "how", "when")) for question in asked) > 100
    )


@pytest.mark.parametrize("sentence", ["", "Yes.", "[12] “—”", "1999", "A B C D E F G H"])
def test_any_sentence_can_be_asked_about(sentence: str) -> None:
    assert all(len(question_about(sentence, random.Random(seed))) > 1 for seed in range(50))


def test_pictures_stand_beside_the_passages_of_entities_that_are_shown(
    sampler: KnowledgeSampler, corpus: Corpus
) -> None:
    draw = partial(sampler.draw, n_entities=2, n_relations=2, n_extra=20, mix=TaskMix())
    assert set(draw(random.Random(3)).pictures) == {-1}
    batch = draw(random.Random(3), shown_share=1.0)
    assert batch.places is not None
    asked = {query.picture for query in batch.queries}
    for place, picture in zip(batch.places, batch.pictures, strict=True):
        assert picture == (corpus.entity[place] if corpus.entity[place] in asked else -1)
    assert {-1} < set(batch.pictures)


def test_a_disguised_entity_is_found_by_the_same_picture_beside_its_passages(
    corpus: Corpus, sampler: KnowledgeSampler
) -> None:
    pairs = [pair for of_entity in sampler._pairs.values() for pair in of_entity.values()]
    disguising = KnowledgeSampler(corpus, pairs, {}, disguises=[77, 78])
    batch = disguising.draw(
        random.Random(3), n_entities=3, n_relations=2, n_extra=20, mix=TaskMix(), disguised_share=1.0
    )
    assert {query.picture for query in batch.queries} <= {77, 78}
    for query, target in zip(batch.queries, batch.target.tolist(), strict=True):
        assert batch.pictures[target] == query.picture
    assert -1 in batch.pictures


def test_invented_flags_stand_behind_the_countries_in_the_atlas(atlas: FlagAtlas) -> None:
    more, places = with_invented_flags(atlas, 30, torch.Generator().manual_seed(1))
    assert list(places) == list(range(4, 34))
    assert more.pixels.shape == (3, 34, 3, 144, 192)
    assert torch.equal(more.pixels[:, :4], atlas.pixels)
    assert more.codes == atlas.codes
    assert more.drawings[list(places), 0].tolist() == list(places)
    stamps = more.pixels[0, 4:, :, ::16, ::16].flatten(1)
    assert len({tuple(stamp) for stamp in stamps.tolist()}) >= 28
    assert float(stamps.float().std(dim=1).min()) > 2
    renderer = PictureRenderer(more, torch.Generator().manual_seed(0), size=64, n_backgrounds=64)
    assert renderer.render(torch.tensor([0, 33]), PictureSettings(other_drawings=0.5)).shape == (2, 3, 64, 64)


def test_pictures_of_nothing_are_asked_about_the_sides_in_the_batch(sampler: KnowledgeSampler, corpus: Corpus) -> None:
    batch = sampler.draw(random.Random(3), n_entities=2, n_relations=2, n_extra=20, mix=TaskMix(), n_blank=3)
    assert batch.places is not None
    blank = batch.target == -1
    assert [query.picture == BLANK for query in batch.queries] == blank.tolist()
    assert int(blank.sum()) == 3
    for query, counted in zip(batch.queries[-3:], batch.counted[-3:], strict=True):
        side = int(query.text.removeprefix("what about "))
        assert counted.tolist() == [corpus.side[place] == side for place in batch.places]
        assert bool(counted.any())


def test_scores_are_even_or_not() -> None:
    counted = torch.tensor([[True, True, False]])
    assert unevenness(torch.tensor([[3.0, 3.0, 9.0]]), counted).item() == pytest.approx(0, abs=1e-6)
    one = unevenness(torch.tensor([[4.0, 2.0, 9.0]]), counted).item()
    assert one == pytest.approx(torch.tensor([[4.0, 2.0]]).logsumexp(1).item() - 3 - math.log(2), abs=1e-6)
    assert one > 0


def test_misspelt_questions_keep_most_letters() -> None:
    rng = random.Random(5)
    text = "Which currency do people use there?"
    spoiled = [misspell(text, rng) for _ in range(50)]
    assert any(one != text for one in spoiled)
    assert all(abs(len(one) - len(text)) <= 12 for one in spoiled)


def test_what_does_not_count_has_no_part_in_the_loss() -> None:
    scores = torch.tensor([[2.0, 50.0, -1.0]], requires_grad=True)
    loss = contrast(scores, torch.tensor([0]), torch.tensor([[True, False, True]]))
    torch.autograd.backward(loss)
    assert scores.grad is not None
    assert loss.item() == pytest.approx(torch.log1p(torch.tensor(-3.0).exp()).item(), abs=1e-6)
    assert scores.grad[0, 1] == 0


def test_pictures_are_reproducible_and_in_range(atlas: FlagAtlas) -> None:
    def draw() -> torch.Tensor:
        renderer = PictureRenderer(atlas, torch.Generator().manual_seed(7), 64, n_backgrounds=64)
        return renderer.render(torch.tensor([0, 1, 2, -1]), PictureSettings())

    first = draw()
    assert first.shape == (4, 3, 64, 64)
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.std() > 0.05
    assert torch.equal(first, draw())


def test_pictures_show_the_drawings_of_others_when_asked(atlas: FlagAtlas) -> None:
    red, blue = (torch.tensor(colour, dtype=torch.uint8)[:, None, None] for colour in ([255, 0, 0], [0, 0, 255]))
    plain = atlas.pixels.clone()
    plain[:, :3], plain[:, 3:] = red, blue
    both = replace(atlas, pixels=plain, drawings=torch.tensor([[0, 3], [1, 1], [2, 2], [3, 3]]))
    renderer = PictureRenderer(both, torch.Generator().manual_seed(7), 64, n_backgrounds=64)
    other = PictureSettings(flat_share=1.0, noise_share=0.0, other_drawings=1.0)
    pictures = renderer.render(torch.tensor([0] * 8 + [1] * 8), other)[:, :, 16:48, 16:48]
    bluish = (pictures[:, 2] > pictures[:, 0]).float().mean(dim=(1, 2))
    assert bluish[:8].min() > 0.9
    assert bluish[8:].max() < 0.1  # nobody else draws that one


def test_the_atlas_leaves_out_what_looks_like_another_flag(tmp_path: Path) -> None:
    def band(top: str, bottom: str) -> str:
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"><rect width="4" height="3" fill="'
            f'{bottom}"/><rect width="4" height="1.5" fill="{top}"/></svg>'
        )

    flags = {"ro": ("red", "white"), "td": ("red", "white"), "fr": ("blue", "red"), "pl": ("white", "red")}
    others = {"fr": ("#22c", "#d22"), "pl": ("blue", "red"), "zz": ("green", "white")}
    other = DrawingSource(package="other", version="1", folder=".")
    for source, drawn in ((FLAG_ICONS, flags), (other, others)):
        folder = tmp_path / source.name / "package" / source.folder
        folder.mkdir(parents=True)
        for code, colours in drawn.items():
            (folder / f"{code}.svg").write_text(band(*colours))
    atlas = load_atlas(tmp_path, [other])
    places = {code: atlas.drawings[atlas.codes.index(code)].tolist() for code in atlas.codes}
    assert atlas.pixels.shape == (3, 7, 3, 144, 192)
    assert places["fr"][1] >= len(atlas.codes)
    assert places["pl"][1] == atlas.codes.index("pl")  # what the other calls Poland's looks like France's
    assert places["td"][1] == atlas.codes.index("td")
    assert atlas.classes[atlas.codes.index("ro")] == atlas.classes[atlas.codes.index("td")]


def test_drawings_come_as_icons_of_one_file_and_as_png(tmp_path: Path) -> None:
    icons = DrawingSource(package="icons", version="1", folder="icons.json")
    package = tmp_path / "icons" / "package"
    package.mkdir(parents=True)
    halves = '<path fill="#00f" d="M0 0h8v12H0z"/><path fill="#f00" d="M8 0h8v12H8z"/>'
    square = '<path fill="#0f0" d="M2 2h8v8H2z"/>'
    content = {"height": 12, "icons": {"aa": {"body": halves}, "bb": {"body": square, "width": 12}}}
    (package / "icons.json").write_text(json.dumps(content))
    found = fetch_drawings(icons, tmp_path)
    assert sorted(found) == ["aa", "bb"]
    assert fetch_drawings(icons, tmp_path) == found
    png = tmp_path / "cc.png"
    Image.new("RGBA", (30, 20), (200, 100, 0, 255)).save(png)
    drawn = draw_levels([found["aa"], found["bb"], png])[0]
    assert drawn[0, :, 72, 40].tolist() == [0, 0, 255]
    assert drawn[0, :, 72, 150].tolist() == [255, 0, 0]
    assert drawn[1, :, 4, 4].tolist() == [0, 255, 0]  # its empty margin is cut off
    assert drawn[2, :, 72, 96].tolist() == [200, 100, 0]


def test_flat_drawings_fill_the_frame(atlas: FlagAtlas) -> None:
    plain = atlas.pixels.clone()
    plain[:] = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None]
    renderer = PictureRenderer(replace(atlas, pixels=plain), torch.Generator().manual_seed(7), 64, n_backgrounds=64)
    pictures = renderer.render(torch.zeros(8, dtype=torch.int64), PictureSettings(flat_share=1.0, noise_share=0.0))
    centre = pictures[:, :, 16:48, 16:48]
    assert bool((centre[:, 0] > centre[:, 1] + 0.1).float().mean() > 0.95)


def test_boxes_are_where_the_flag_is(atlas: FlagAtlas) -> None:
    plain = atlas.pixels.clone()
    plain[:] = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None]
    renderer = PictureRenderer(replace(atlas, pixels=plain), torch.Generator().manual_seed(7), 64, n_backgrounds=64)
    clean = PictureSettings(flat_share=0.0, wave_share=0.0, cover_share=0.0, noise_share=0.0, max_scale=0.6)
    flags = torch.tensor([0] * 16 + [-1] * 4)
    pictures, boxes = renderer.render_with_boxes(flags, clean)
    assert torch.equal(boxes[16:], torch.zeros(4, 4))
    assert bool((boxes[:16, 2:] > boxes[:16, :2]).all())
    for picture, box in zip(pictures[:16], boxes[:16], strict=True):
        left, top, right, bottom = (round(float(edge) * 64) for edge in box)
        middle = picture[:, (top + bottom) // 2, (left + right) // 2]
        assert middle[0] > middle[1:].max()  # red, whatever the light
    cut = renderer.render_with_boxes(flags, replace(clean, closer_share=1.0))[1][:16]
    sides, cut_sides = ((part[:, 2:] - part[:, :2]).mean().item() for part in (boxes[:16], cut))
    assert sides < 0.7
    assert 0.75 < cut_sides < 0.98


def test_clutter_comes_on_the_chosen_pictures_alone_and_differs() -> None:
    generator = torch.Generator().manual_seed(4)
    plain = torch.full((64, 3, 32, 32), 0.5)
    chosen = torch.arange(64) < 48
    drawn = add_clutter(plain, chosen, generator)
    assert torch.equal(drawn[48:], plain[48:])
    changed = (drawn[:48] != 0.5).any(dim=1).float().mean(dim=(1, 2))
    assert (changed > 0.05).float().mean() > 0.9
    assert len({tuple(picture.flatten()[::7].tolist()) for picture in drawn[:48]}) >= 46
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_overlap_of_boxes() -> None:
    ones = torch.tensor([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.25, 0.25], [0.2, 0.2, 0.6, 0.6]])
    others = torch.tensor([[0.25, 0.0, 0.75, 1.0], [0.75, 0.75, 1.0, 1.0], [0.2, 0.2, 0.6, 0.6]])
    overlap, generalised = box_overlap(ones, others)
    assert overlap.tolist() == pytest.approx([1 / 3, 0.0, 1.0])
    assert generalised.tolist() == pytest.approx([1 / 3, -0.875, 1.0])


@pytest.mark.parametrize("amp", [False, True])
def test_the_region_head_goes_on_where_it_stopped_and_leaves_the_encoder_alone(
    atlas: FlagAtlas, tmp_path: Path, amp: bool
) -> None:
    encoder = load_retriever(TINY, device=torch.device("cpu"), dtype=torch.float32)
    vision, size = encoder.model.vision_encoder, encoder.model.config.vision_config.image_size
    before = {name: tensor.clone() for name, tensor in vision.state_dict().items()}
    renderer = PictureRenderer(atlas, torch.Generator().manual_seed(7), size, n_backgrounds=64)
    settings = RegionTrainingSettings(steps=2, batch_size=8, log_every=1, save_every=1, amp=amp)
    shape = RegionSettings(vision_size=vision.config.hidden_size, side=size // vision.config.patch_size, vision_layer=1)
    train_region_head(vision, renderer, 3, tmp_path, settings, shape)
    head = train_region_head(vision, renderer, 3, tmp_path, replace(settings, steps=4), shape)
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [1, 2, 3, 4]
    assert head.settings == shape
    assert all(torch.equal(tensor, before[name]) for name, tensor in vision.state_dict().items())


def test_a_log_takes_tensors_and_numbers(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl", every=2)
    for step, loss in enumerate((0.5, 1.5, 2.0, 4.0), start=1):
        log.add(step, loss=torch.tensor(loss), right=loss / 2)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(row["step"], row["loss"], row["right"]) for row in rows] == [(2, 1.0, 0.5), (4, 3.0, 1.5)]


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [scheduled_rate(step, steps=100, warmup=10, peak=1.0) for step in range(100)]
    assert rates[0] < rates[5] < rates[9]
    assert rates[20] > rates[60] > rates[99] > 0


@pytest.mark.parametrize("amp", [False, True])
def test_vision_training_goes_on_where_it_stopped(atlas: FlagAtlas, tmp_path: Path, amp: bool) -> None:
    settings = VisionSettings(
        hidden_size=16,
        layers=2,
        heads=2,
        image_size=64,
        steps=2,
        batch_size=4,
        warmup=1,
        save_every=1,
        log_every=1,
        amp=amp,
    )
    train_vision(atlas, tmp_path, settings)
    before = load_file(tmp_path / "vision.safetensors")
    train_vision(atlas, tmp_path, replace(settings, steps=3))
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3]
    after = load_file(tmp_path / "vision.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_state_is_replaced_whole(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    state = Resumable(tmp_path / "state.pt", {"layer": layer})
    assert state.load() == 0
    state.save(5)
    saved = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.zero_()
    assert state.load() == 5
    assert torch.equal(layer.weight, saved)
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
