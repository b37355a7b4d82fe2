"""What was taken into a knowledge base, or would be, as the terminal shows it."""

from __future__ import annotations

from knowledge_bases.importing.previewing import Preview
from rag_app.counting import number_of
from rag_app.errors import shown_on_a_line
from rag_app.importing import ImportReport

__all__ = ["ROLES", "preview_text", "report_text", "taken_text"]

_LEFT_OUT = 20  # files that are not read, in a preview
ROLES = ("id", "title", "text", "source", "picture")


def report_text(report: ImportReport) -> str:
    """What was taken in, for people; the first bad rows a line each."""
    parts = [f"added {number_of(report.added, 'passage')}"]
    parts += [f"replaced {report.replaced:,}"] if report.replaced else []
    parts += [f"passed over {report.skipped:,} that it had"] if report.skipped else []
    return "\n".join([f"{', '.join(parts)}; it holds {report.holds:,}", *_bad_rows_lines(report)])


def taken_text(report: ImportReport) -> str:
    """How much of a benchmark was taken in, for people; the first bad rows a line each."""
    given = report.added + report.replaced + report.skipped + report.bad
    parts = [f"took in {report.added + report.replaced:,} of {number_of(given, 'passage')}; it holds {report.holds:,}"]
    parts += [f"replaced {report.replaced:,}"] if report.replaced else []
    if report.skipped:
        parts.append(f"passed over {report.skipped:,} that it had (--replace takes them in anew)")
    return "\n".join(["; ".join(parts), *_bad_rows_lines(report)])


def _bad_rows_lines(report: ImportReport) -> list[str]:
    if not report.bad:
        return []
    first = [f"  {shown_on_a_line(str(bad))}" for bad in report.first_bad]
    more = ["  ..."] if report.bad > len(first) else []
    return [f"{number_of(report.bad, 'row')} could not be taken in; {report.bad_rows} lists them:", *first, *more]


def preview_text(preview: Preview) -> str:
    """What reading would give, for people."""
    files = shown_on_a_line(", ".join(preview.files[:5]))
    lines = [f"files: {files}" + (f" and {len(preview.files) - 5:,} more" if len(preview.files) > 5 else "")]
    if preview.columns:
        chosen = preview.chosen
        roles = zip(ROLES, (chosen.passage_id, chosen.title, chosen.text, chosen.source, chosen.picture), strict=True)
        taken = [f"{role} = {', '.join(name) if isinstance(name, tuple) else name}" for role, name in roles if name]
        lines.append(f"columns: {shown_on_a_line(', '.join(preview.columns))}")
        lines.append(f"taken as: {shown_on_a_line('; '.join(taken)) or 'nothing'}")
    for entry in preview.entries:
        passage, shown = entry.passage, shown_on_a_line(entry.passage.text)
        picture = " [with picture]" if entry.picture is not None else ""
        lines.append(shown_on_a_line(f"[{passage.passage_id}] {passage.title}{picture}"))
        lines.append(f"   {shown[:200]}{'…' * (len(shown) > 200)}")
    lines += [f"bad: {shown_on_a_line(str(bad))}" for bad in (*preview.bad, *preview.left_out[:_LEFT_OUT])]
    return "\n".join(lines + ([f"problem: {preview.problem}"] if preview.problem else []))
