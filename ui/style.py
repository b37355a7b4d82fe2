"""How the page looks: system fonts only, nothing is fetched from elsewhere."""

from __future__ import annotations

from gradio.themes import Soft

__all__ = ["CSS", "theme"]

_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CSS = """
.gradio-container { max-width: 1120px !important; margin: 0 auto !important; }
.page-head { padding: 8px 0 4px; }
.page-head h1 { font-size: 1.6rem; font-weight: 700; margin: 0; color: var(--body-text-color); }
.page-head p { margin: 4px 0 0; color: var(--body-text-color-subdued); }
.card {
  background: var(--block-background-fill); border: 1px solid var(--border-color-primary);
  border-radius: 14px; padding: 16px 18px; color: var(--body-text-color);
}
.answer-card { border-left: 6px solid var(--color-accent); }
.answer-card.unsure { border-left-color: #d9a514; }
.answer-card.waiting { border-left-color: var(--border-color-primary); color: var(--body-text-color-subdued); }
.answer-text { font-size: 1.9rem; line-height: 1.25; font-weight: 700; overflow-wrap: anywhere; }
.answer-note { margin-top: 6px; color: var(--body-text-color-subdued); }
.meter { display: flex; align-items: center; gap: 10px; margin-top: 10px; font-size: .92rem; }
.meter-bar { flex: 1; height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; }
.meter-fill { height: 100%; border-radius: 4px; background: var(--color-accent); }
.unsure .meter-fill { background: #d9a514; }
.evidence-head { font-weight: 600; margin: 4px 2px 8px; color: var(--body-text-color); }
.passage { margin-bottom: 10px; }
.passage-head { display: flex; gap: 10px; align-items: baseline; }
.passage-rank {
  flex: none; width: 1.6em; height: 1.6em; line-height: 1.6em; border-radius: 50%; text-align: center;
  font-size: .85rem; background: var(--border-color-primary);
}
.passage-title { font-weight: 600; flex: 1; overflow-wrap: anywhere; }
.passage-score { flex: none; font-size: .85rem; color: var(--body-text-color-subdued); }
.passage-text { margin-top: 6px; line-height: 1.5; overflow-wrap: anywhere; white-space: pre-line; }
.passage-text mark { background: #ffe08a; color: #222; border-radius: 3px; padding: 0 2px; }
.passage-read { margin-top: 6px; font-size: .88rem; color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.timings { font-size: .85rem; color: var(--body-text-color-subdued); padding: 0 2px; }
.about { line-height: 1.6; }
.about dt { font-weight: 600; margin-top: 8px; }
.about dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 640px) { .answer-text { font-size: 1.5rem; } .card { padding: 12px 14px; } }
"""


def theme() -> Soft:
    """A calm theme whose fonts every system has."""
    return Soft(primary_hue="teal", secondary_hue="teal", neutral_hue="slate", font=_FONTS, font_mono=_MONO_FONTS)
