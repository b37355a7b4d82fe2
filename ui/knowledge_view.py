"""Knowledge bases as HTML and tables. Every text that comes from elsewhere is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from knowledge_bases.importing.previewing import Preview
from knowledge_bases.records import Passage
from rag_app.counting import number_of
from rag_app.errors import InputError
from rag_app.importing import ImportReport
from rag_app.kb_checks import KnowledgeState
from rag_app.progress import duration
from ui.asked import problem

__all__ = ["facts_card", "note_card", "preview_card", "refusal", "report_card", "rows_of"]

_SHOWN = 160  # characters of a passage in the table
_MOST_REPEATED = 10  # ids that are named
_MOST_FILES = 20  # likewise
_LATER = (
    "Cancelled while they were encoded: the passages are in, and the index is finished later, from where it stopped. "
    "“Update its index” does it now."
)


def note_card(text: str, *, alert: bool = False) -> str:
    """One sentence."""
    role, state = ('role="alert"', "error") if alert else ('aria-live="polite"', "done")
    return f'<div class="card muted" data-state="{state}" {role}>{escape(text)}</div>'


def refusal(error: InputError, var: Path) -> str:
    """What the user can mend, as one sentence; of files in the folder `var` and of uploads only the names."""
    return note_card(problem(error, folders=[var]), alert=True)


def facts_card(state: KnowledgeState, *, in_use: bool, own: bool) -> str:
    """What a knowledge base holds and takes; where it was checked, its indexes and what is wrong."""
    figures = state.figures
    facts = {
        "Passages": f"{figures.passages:,}",
        "Words a passage": f"{figures.shortest:,} to {figures.longest:,}",
        "Pictures": f"{figures.pictures:,}",
        "On disk": _megabytes(figures.disk_bytes),
        "Memory for its index": f"about {_megabytes(state.memory_bytes)}",
        "Questions are answered from it": "yes" if in_use else "no",
        "Can be changed": "yes" if own else "no, it is part of this application",
    }
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    wrong = [*state.problems, *(str(index) for index in state.indexes)]
    lines = "".join(f"<li>{escape(line)}</li>" for line in wrong)
    return f'<div class="card scroll"><table>{rows}</table>{f"<ul>{lines}</ul>" if lines else ""}</div>'


def preview_card(preview: Preview, repeated: Sequence[str] = ()) -> str:
    """The first passages as they would go in, which files are read, what the columns are taken for, and what is not
    taken in.

    Args:
        preview: of the files.
        repeated: ids that come more than once.
    """
    chosen = preview.chosen
    roles = {
        "id": chosen.passage_id,
        "title": chosen.title,
        "text": ", ".join(chosen.text),
        "source": chosen.source,
        "picture": chosen.picture,
    }
    taken = "; ".join(f"{role} = {name}" for role, name in roles.items() if name)
    columns = f"<p>Columns: {escape(', '.join(preview.columns))}. Taken as: {escape(taken or 'nothing')}.</p>"
    rows = "".join(
        f"<tr><td>{escape(entry.passage.passage_id)}</td><td>{escape(entry.passage.title)}</td>"
        f"<td>{escape(_short(entry.passage.text))}</td><td>{'yes' if entry.picture is not None else ''}</td></tr>"
        for entry in preview.entries
    )
    bad = "".join(f"<li>{escape(str(one))}</li>" for one in (*preview.bad, *preview.left_out[:_MOST_FILES]))
    again = ""
    if repeated:
        again = f"{number_of(len(repeated), 'id')} given more than once, only the first passage of each goes in: "
        again += ", ".join(repeated[:_MOST_REPEATED]) + (" …" if len(repeated) > _MOST_REPEATED else "")
    return (
        f'<div class="card scroll" data-state="preview">{_alert(preview.problem)}{_alert(again)}'
        f"{_files_line(preview.files)}{columns if preview.columns else ''}"
        "<table><thead><tr><th>id</th><th>title</th><th>text</th><th>picture</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{f'<p>Not taken in:</p><ul>{bad}</ul>' if bad else ''}</div>"
    )


def report_card(report: ImportReport, *, indexed: bool = True) -> str:
    """What was taken in, and the first rows that were not.

    Args:
        report: of the import.
        indexed: whether questions are answered from all of it, where they are from this knowledge base.
    """
    said = f"Added {number_of(report.added, 'passage')} in {duration(report.seconds)}"
    said += f", replaced {report.replaced:,}" if report.replaced else ""
    said += f", passed over {report.skipped:,} that it had" if report.skipped else ""
    bad = "".join(f"<li>{escape(str(one))}</li>" for one in report.first_bad)
    more = ""
    if report.bad:
        more = f"<p>{number_of(report.bad, 'row')} could not be taken in; the file below lists all of them.</p>"
    later = "" if indexed else f"<p>{_LATER}</p>"
    return (
        f'<div class="card" data-state="done" aria-live="polite"><p>{escape(said)}. It holds {report.holds:,} now.</p>'
        f"{later}{more}{f'<ul>{bad}</ul>' if bad else ''}</div>"
    )


def rows_of(passages: list[Passage]) -> list[list[str]]:
    """Id, title and the beginning of the text of each."""
    return [[one.passage_id, one.title, _short(one.text)] for one in passages]


def _files_line(files: Sequence[str]) -> str:
    more = f" and {len(files) - _MOST_FILES:,} more" if len(files) > _MOST_FILES else ""
    return f"<p>Read: {escape(', '.join(files[:_MOST_FILES]))}{more}.</p>"


def _alert(problem: str) -> str:
    return f'<p role="alert">{escape(problem)}</p>' if problem else ""


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
