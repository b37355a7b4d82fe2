"""Every kind of file that people have is read; what is wrong in it is named and the rest goes in."""

from __future__ import annotations

import bz2
import gzip
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from knowledge_bases.files import read_passages
from knowledge_bases.importing.items import BadRow, Columns, Entry, ReadSettings, Splitting
from knowledge_bases.importing.source import FileSource
from knowledge_bases.importing.splitting import sentences, split
from knowledge_bases.importing.wikitext import plain_text


def read(*paths: Path, how: ReadSettings | None = None) -> tuple[list[Entry], list[BadRow]]:
    with FileSource(list(paths)) as source:
        items = list(source.items(how or ReadSettings()))
        assert source.done == source.total
    return [item for item in items if isinstance(item, Entry)], [item for item in items if isinstance(item, BadRow)]


def picture(kind: str = "JPEG") -> bytes:
    stream = BytesIO()
    Image.new("RGB", (30, 20), "red").save(stream, kind)
    return stream.getvalue()


def test_sentences_end_where_people_end_them() -> None:
    text = (
        "Dr. Smith came (at 5.30 p.m. sharp). He said: “No!” Then e.g. Rome fell… 東京は首都です。大阪は違う。\n\nNew"
    )
    assert sentences(text) == [
        "Dr. Smith came (at 5.30 p.m. sharp).",
        "He said: “No!”",
        "Then e.g. Rome fell…",
        "東京は首都です。",
        "大阪は違う。",
        "New",
    ]


@pytest.mark.parametrize("text", ["كتب قصة؟ هذه مدينة.", "यह शहर है। वह नदी है।", "Սա քաղաք է։ Դա գետ է։"])
def test_sentences_of_other_scripts_end_at_their_own_stops(text: str) -> None:
    assert len(sentences(text)) == 2


def test_passages_are_cut_between_sentences_and_overlap() -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(1, 13))
    parts = split(text, words=20, overlap=1)
    assert parts[0].endswith("number 4.")
    assert parts[1].startswith("This is sentence number 4. This is sentence number 5.")
    assert [len(part.split()) for part in parts] == [20, 20, 20, 15]
    assert split(text, words=0) == [text]
    assert split(" \n ", words=20) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("abZ. 東京。\n!(x")), max_size=30).map(" ".join), st.integers(20, 40))
def test_splitting_loses_nothing_and_keeps_to_the_length(text: str, words: int) -> None:
    parts = split(text, words=words, overlap=0)
    assert "".join("".join(parts).split()) == "".join(text.split())
    if len(parts) > 1:
        assert all(len(part.split()) <= words for part in parts)


def test_a_table_of_other_columns_is_mapped_and_semicolons_part_it(tmp_path: Path) -> None:
    path = tmp_path / "things.csv"
    path.write_bytes("Nr;Titel;Farbe;Preis;Notiz\n7;Stuhl;rot;5;schön\n8;Tisch;;9;\n".encode("cp1252"))
    wanted = Columns(passage_id="Nr", title="Titel", text=("Farbe", "Preis", "Notiz"))
    entries, bad = read(path, how=ReadSettings(columns=wanted, encoding="cp1252"))
    assert [entry.passage.text for entry in entries] == ["Farbe: rot. Preis: 5. Notiz: schön", "Preis: 9"]
    assert ([entry.passage.passage_id for entry in entries], bad) == (["7", "8"], [])
    entries, bad = read(path, how=ReadSettings(columns=wanted))
    assert [entry.passage.passage_id for entry in entries] == ["8"]
    assert [(row.line, "not text in this encoding" in row.problem) for row in bad] == [(2, True)]


def test_a_preview_shows_the_columns_and_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"id": n, "Body": f"t{n}", "url": "u"}) + "\n" for n in range(5000)))
    with FileSource([path]) as source:
        preview = source.preview(ReadSettings(), limit=3)
        assert source.done < source.total / 2
    assert preview.columns == ("id", "Body", "url")
    assert (preview.chosen.passage_id, preview.chosen.text, preview.chosen.source) == ("id", ("Body",), "url")
    assert [entry.passage.text for entry in preview.entries] == ["t0", "t1", "t2"]
    with FileSource([path]) as source:
        problem = source.preview(ReadSettings(columns=Columns(title="Name"))).problem
    assert problem == "a.jsonl has no column 'Name'; it has id, Body, url"


def test_bad_rows_do_not_end_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,"two\nlines"\n2\n3,\n4,good\n5,"open\n')
    entries, bad = read(path)
    assert [(entry.passage.passage_id, entry.line) for entry in entries] == [("1", 2), ("4", 6)]
    assert [row.line for row in bad] == [4, 5, 7]
    assert bad[0].content == "2"
    path = tmp_path / "b.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a"}\nnonsense\n\n{"text": "half \\ud83d"}\n{"text": "b"}\n'))
    entries, bad = read(path)
    assert ([entry.passage.text for entry in entries], [row.line for row in bad]) == (["a", "b"], [2, 4])


def test_utf16_tables_of_spreadsheets_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("id\ttext\n1\tschön\n".encode("utf-16"))
    entries, _ = read(tmp_path / "a.csv")
    assert entries[0].passage.text == "schön"


def test_pictures_come_with_their_passages(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "x", "image": "p/red.jpg"},
        {"id": "b", "text": "y"},
        {"id": "c", "text": "z", "image": "no.png"},
    ]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("kb/rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        archive.writestr("kb/p/red.jpg", picture())
        archive.writestr("kb/oak.md", "# Oak\n\nA tree. ![it](p/red.jpg)\n")
        archive.writestr("kb/elm.txt", "Another tree.")
        archive.writestr("kb/elm.png", picture("PNG"))
        archive.writestr("__MACOSX/kb/elm.txt", "junk")
    entries, bad = read(tmp_path / "a.zip")
    found = {entry.passage.passage_id: entry.picture for entry in entries}
    assert found == {"kb/elm.txt": picture("PNG"), "kb/oak.md": picture(), "a": picture(), "b": None}
    assert [(row.line, row.problem.split(";")[0]) for row in bad] == [
        (3, "there is no picture 'no.png' among the files")
    ]
    (tmp_path / "outside.csv").write_text("text,image\nx,../../../etc/hostname\n")
    assert "no picture" in read(tmp_path / "outside.csv")[1][0].problem


def test_a_column_that_only_later_rows_have_is_used_all_the_same(tmp_path: Path) -> None:
    plain = [{"passage_id": f"p{number}", "text": f"Passage {number}."} for number in range(150)]
    shown = [{"passage_id": "q", "text": "A passage.", "picture": "q.jpg", "title": "Q"}]
    (tmp_path / "q.jpg").write_bytes(picture())
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*plain, *shown]))
    entries, bad = read(tmp_path)
    assert bad == []
    assert len(entries) == 151
    assert entries[149].picture is None
    assert (entries[150].picture, entries[150].passage.title) == (picture(), "Q")


def test_columns_asked_for_count_where_the_first_rows_are_all_bad(tmp_path: Path) -> None:
    rows = [json.dumps({"passage_id": "a", "text": "Not this.", "body": "This."})]
    (tmp_path / "rows.jsonl").write_text("".join(row + "\n" for row in [*["no JSON"] * 120, *rows]))
    entries, bad = read(tmp_path, how=ReadSettings(columns=Columns(text=("body",))))
    assert (len(bad), [entry.passage.text for entry in entries]) == (120, ["This."])


def test_words_named_jpg_are_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,image\nx,b.jpg\n")
    (tmp_path / "b.jpg").write_text("words")
    entries, bad = read(tmp_path)
    assert (entries, bad[0].problem) == ([], "b.jpg is not a picture that can be read; save it as JPEG or PNG")


def test_web_pages_lose_their_menus(tmp_path: Path) -> None:
    html = (
        "<html><head><title>Oak &amp; elm</title><style>x{}</style></head><body><nav>Home</nav><form><h1>Trees</h1>"
        "<p>An oak\n is   a <b>tree</b>.<br>Tall.<script>alert(1)</script><p>An elm too.<table><tr><td>a</td><td>b</td>"
        "</table></form></body></html>"
    )
    (tmp_path / "a.html").write_text(html)
    entries, _ = read(tmp_path / "a.html")
    passage = entries[0].passage
    assert passage.title == "Oak & elm"
    assert passage.text == "Trees\n\nAn oak is a tree.\nTall.\n\nAn elm too.\n\na b"


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page, written by hand."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET" if text else ""
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    out, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return (
        f"{out}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    ).encode()


def test_pdf_pages_become_passages_that_name_their_page(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("The castle is old.", "", "It has a moat."))
    (tmp_path / "scan.pdf").write_bytes(pdf(""))
    (tmp_path / "torn.pdf").write_bytes(b"%PDF-1.4 torn")
    entries, bad = read(tmp_path)
    assert [(entry.passage.passage_id, entry.passage.text) for entry in entries] == [
        ("a.pdf#page=1", "The castle is old."),
        ("a.pdf#page=3", "It has a moat."),
    ]
    assert "run text recognition" in bad[0].problem
    assert "not a PDF that can be read" in bad[1].problem


def test_a_hugging_face_folder_is_read_without_its_card_and_caches(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"id": [1, 2], "text": ["a", None], "image": [{"bytes": picture(), "path": "x.jpg"}, None]}
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table(rows), tmp_path / "data" / "train-0.parquet")
    with (
        pa.OSFile(str(tmp_path / "data.arrow"), "wb") as file,
        pa.ipc.new_stream(file, pa.schema([("text", "string")])) as out,
    ):
        out.write_batch(pa.record_batch({"text": ["arrow"]}))
    (tmp_path / "cache-1.arrow").write_bytes(b"junk")
    (tmp_path / "README.md").write_text("# Card")
    entries, bad = read(tmp_path)
    assert [(entry.passage.passage_id, entry.picture) for entry in entries] == [("1", picture()), ("data-1", None)]
    assert [(row.file, row.line) for row in bad] == [("data/train-0.parquet", 2)]
    (tmp_path / "torn.parquet").write_bytes(b"PAR1junk")
    assert "not a parquet file" in read(tmp_path)[1][-1].problem


MARKUP = """{{Infobox|name=Oak|image={{x|y}}}}
[[File:Oak.jpg|thumb|An [[oak]] in ''May'']]
'''Oaks''' are [[tree|trees]] of the genus ''Quercus''.<ref name="a">Book</ref><ref name="b"/> They grow
{{convert|20|m|ft}} tall &ndash; or more.
{| class="wikitable"
! a
| b
|}
== Uses ==
* [[Wood]] is hard ({{lang|fr|chêne}}).
== References ==
{{reflist}}
* A book
[[Category:Trees]]"""


def test_wiki_markup_becomes_sentences() -> None:
    assert plain_text(MARKUP) == (
        "Oaks are trees of the genus Quercus. They grow\n20 m tall – or more.\n\nWood is hard (chêne)."
    )
    assert plain_text("[[Datei:x.jpg|a]]b{{unclosed", left_out={"datei"}) == "bunclosed"


def dump(pages: Iterator[tuple[str, int, str, str]]) -> Iterator[str]:
    yield '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"><siteinfo>'
    yield "<base>https://xx.wikipedia.org/wiki/Main</base>"
    yield '<namespaces><namespace key="6">Datei</namespace></namespaces></siteinfo>'
    for title, namespace, extra, text in pages:
        yield f"<page><title>{title}</title><ns>{namespace}</ns><id>{abs(hash(title)) % 99 + 1}</id>{extra}"
        yield f"<revision><id>5</id><text>{text}</text></revision></page>"
    yield "</mediawiki>"


def test_a_wikipedia_dump_gives_its_articles(tmp_path: Path) -> None:
    pages = [
        ("Red oak", 0, "", "[[Datei:a.jpg|b]]A tree."),
        ("Talk:Oak", 1, "", "Chat."),
        ("Oaks", 0, '<redirect title="Oak"/>', "x"),
    ]
    path = tmp_path / "xxwiki-pages-articles1.xml-p1p9.bz2"
    path.write_bytes(bz2.compress("".join(dump(iter(pages))).encode()))
    (entry,), bad = read(path)
    assert (entry.passage.title, entry.passage.text, bad) == ("Red oak", "A tree.", [])
    assert entry.passage.source == "https://xx.wikipedia.org/wiki/Red_oak"
    path.write_bytes(path.read_bytes()[:-30])
    assert "cut short or damaged" in read(path)[1][0].problem


def test_a_long_dump_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.xml"
    with path.open("w") as file:
        file.writelines(dump((f"Page {n}", 0, "", "A sentence of words. " * 500) for n in range(200)))
    size, passages = path.stat().st_size, 0
    assert size > 2_000_000
    tracemalloc.start()
    with FileSource([path]) as source:
        for item in source.items(ReadSettings(splitting=Splitting(words=100))):
            assert isinstance(item, Entry)
            passages += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert passages > 200 * 10
    assert peak < size / 3


@pytest.mark.parametrize(("words", "overlap"), [(5, 1), (-1, 1), (100, 9)])
def test_senseless_splitting_is_refused(words: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="give"):
        Splitting(words=words, overlap=overlap)


def test_damage_ends_a_file_and_not_the_others(tmp_path: Path) -> None:
    table = "id,text\n" + "".join(f"{number},text {number * 7919 % 1000}\n" for number in range(3000))
    for packing, name in ((zipfile.ZIP_STORED, "stored.zip"), (zipfile.ZIP_DEFLATED, "deflated.zip")):
        with zipfile.ZipFile(tmp_path / name, "w", packing) as archive:
            archive.writestr("a.csv", table)
            archive.writestr("b.txt", "Sound.")
        content = bytearray((tmp_path / name).read_bytes())
        content[2000:2040] = bytes(40)
        (tmp_path / name).write_bytes(content)
        entries, bad = read(tmp_path / name)
        assert entries[-1].passage.text == "Sound."
        assert "a.csv is damaged" in bad[-1].problem
        assert bad[-1].line is None


def test_pages_and_numbers_that_readers_stumble_over(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>One.</p><![foo[ x ]]><p>Two.</p><![ <p>Three.")
    (tmp_path / "b.jsonl").write_text('{"text": "a", "n": ' + "9" * 5000 + '}\n{"text": "b"}\n')
    (tmp_path / "c.pdf").write_bytes(b"%PDF-1.4\n1 0 obj << /Type /Catalog >> garbage")
    entries, bad = read(tmp_path)
    assert [entry.passage.text for entry in entries] == ["One.\n\nTwo.\n\nThree.", "b"]
    assert [(row.file, row.line) for row in bad] == [("b.jsonl", 1), ("c.pdf", None)]
    assert "4300 digits" in bad[0].problem


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"0" * 11_000_000)
    with pytest.raises(ValueError, match=r"a\.txt unpacks to 11 MB; unpack it yourself"):
        read(tmp_path / "a.zip")


def test_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("Thumbs.db", b"x")
        for name in ("a.txt", "b.docx", "sub/c.json", "../../evil.txt", "..\\evil.txt", "e.png", ".DS_Store"):
            archive.writestr(name, picture() if name == "e.png" else "Some text.")
    entries, bad = read(tmp_path / "a.zip")
    assert [entry.passage.passage_id for entry in entries] == ["a.txt"]
    assert {(row.file, row.line, row.problem.split(";")[0]) for row in bad} == {
        ("b.docx", None, "this kind of file is not read"),
        ("sub/c.json", None, "this kind of file is not read"),
        ("../../evil.txt", None, "its name leads out of the archive"),
        ("..\\evil.txt", None, "its name leads out of the archive"),
    }
    assert len(bad) == 4
    (tmp_path / "set").mkdir()
    for name in ("rows.csv", "README.md", "LICENSE", "dataset_info.json", "notes.docx"):
        (tmp_path / "set" / name).write_text("id,text\na,A mill.\n")
    with FileSource([tmp_path / "set"]) as source:
        assert [row.file for row in source.left_out] == ["notes.docx"]
        preview = source.preview(ReadSettings())
    assert (preview.files, preview.bad, preview.left_out) == (("rows.csv",), (), source.left_out)
    assert [entry.passage_id for entry in read_passages(tmp_path / "set")] == ["a"]
