"""How the page looks: system fonts only, nothing is fetched from elsewhere."""

from __future__ import annotations

from gradio.themes import Soft

__all__ = ["CSS", "theme"]

_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

# Soft's own colours of text come to 2.2 to 3.7.
_READABLE = {
    "background_fill_primary": "*neutral_50",  # Soft's own, which `set` would lose
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_300",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_300",
    "link_text_color": "*secondary_700",
    "link_text_color_hover": "*secondary_800",
    "link_text_color_visited": "*secondary_700",
    "link_text_color_dark": "*secondary_300",
    "link_text_color_hover_dark": "*secondary_200",
    "link_text_color_visited_dark": "*secondary_300",
    "checkbox_border_color": "*neutral_500",
    "checkbox_border_color_dark": "*neutral_400",
    "color_accent": "*primary_600",
    "slider_color": "*primary_600",
    "input_border_width": "1px",  # white on white, a field would not be seen
    "input_border_color": "*neutral_300",
    "input_border_color_dark": "*neutral_600",
    "button_cancel_text_color": "#b91c1c",
    "button_cancel_text_color_dark": "#fecaca",
    **{f"block_{kind}_text_color": "*primary_800" for kind in ("label", "title")},
    **{f"block_{kind}_background_fill_dark": "*primary_700" for kind in ("label", "title")},
    **{
        f"button_primary_{part}{mode}": "*primary_700"
        for part in ("background_fill", "border_color")
        for mode in ("", "_dark")
    },
    **{f"button_primary_background_fill_hover{mode}": "*primary_800" for mode in ("", "_dark")},
    **{f"checkbox_label_background_fill_selected{mode}": "*primary_700" for mode in ("", "_dark")},
}

CSS = """
.gradio-container { width: 100%; max-width: 1120px !important; margin: 0 auto !important; }
.html-container { padding: 0 !important; }  /* level with the fields */
.page-head { display: flex; flex-wrap: wrap; align-items: baseline; column-gap: 16px; padding: 10px 16px 0; }
.page-head h1 { font-size: 1.6rem; font-weight: 700; margin: 0; color: var(--body-text-color); }
.page-head p { margin: 0; color: var(--body-text-color-subdued); }
.card {
  background: var(--block-background-fill); border: 1px solid var(--border-color-primary);
  border-radius: 14px; padding: 16px 18px; color: var(--body-text-color);
}
.answer-card { border-left: 6px solid var(--color-accent); }
.answer-card.unsure { border-left-color: #d9a514; }
.answer-card.waiting { border-left-color: var(--border-color-primary); color: var(--body-text-color-subdued); }
:is(#answer, #alone) .card { min-height: 7.6rem; }
#answers > * { min-width: min(220px, 100%) !important; }  /* side by side, or on a phone one below the other */
.alone { position: relative; }
.alone-head { position: absolute; font-size: .8rem; padding: 4px 18px; color: var(--body-text-color-subdued); }
.alone-head + .card { padding-top: 26px; }
#alone .answer-text { font-size: 1.5rem; }
.answer-text { font-size: 1.9rem; line-height: 1.25; font-weight: 700; overflow-wrap: anywhere; }
.cursor { display: inline-block; width: .5em; height: 1em; margin-left: 2px; vertical-align: -.12em;
  background: currentColor; animation: blink 1s steps(2) infinite; }
@keyframes blink { to { visibility: hidden; } }
@media (prefers-reduced-motion: reduce) { .cursor { animation: none; } }
.answer-note { margin-top: 6px; color: var(--body-text-color-subdued); }
.meter { display: flex; align-items: center; gap: 10px; margin-top: 10px; font-size: .92rem; }
.meter-bar { flex: 1; height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; }
.meter-fill { height: 100%; border-radius: 4px; background: var(--color-accent); }
.unsure .meter-fill { background: #d9a514; }
.evidence-head { font-weight: 600; margin: 4px 2px 8px; color: var(--body-text-color); }
.passage { margin-bottom: 10px; display: flow-root; }
.passage-picture {
  float: right; max-width: 120px; max-height: 110px; width: auto; height: auto; margin: 8px 0 6px 12px;
  border-radius: 8px;
}
.passage-head { display: flex; gap: 10px; align-items: baseline; }
.passage-rank {
  flex: none; width: 1.6em; height: 1.6em; line-height: 1.6em; border-radius: 50%; text-align: center;
  font-size: .85rem; background: var(--border-color-primary);
}
.passage-title { font-weight: 600; flex: 1; overflow-wrap: anywhere; }
.passage-score, .read-score { flex: none; font-size: .85rem; color: var(--body-text-color-subdued); }
.passage-base {
  flex: 0 1 auto; font-size: .8rem; padding: 0 8px; border-radius: 9px; background: var(--border-color-primary);
  overflow-wrap: anywhere;
}
.passage-text { margin-top: 6px; line-height: 1.5; overflow-wrap: anywhere; white-space: pre-line; }
.passage-text mark { background: #ffe08a; color: #222; border-radius: 3px; padding: 0 2px; }
.passage-read { margin-top: 6px; font-size: .88rem; color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.timings { font-size: .85rem; color: var(--body-text-color-subdued); padding: 0 2px; }
.muted { color: var(--body-text-color-subdued); font-size: .9rem; }
.scroll { overflow-x: auto; contain: inline-size; }  /* a wide table scrolls, the page does not */
.card :is(table, thead, tbody) { border: 0 !important; }
.card table { border-collapse: collapse; width: 100%; font-size: .92rem; }
.card th, .card td { text-align: left; padding: 6px 8px; border: 0 !important; }
.card tr { border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important; }
figure.card { margin: 0; } figure.card > figcaption { color: var(--body-text-color-subdued); padding-bottom: 6px; }
.candidates .winner td { background: color-mix(in srgb, var(--color-accent) 16%, transparent); }
.why-sum { margin: 0 0 12px; font-size: 1.05rem; overflow-wrap: anywhere; }
.why-parts { display: flex; flex-wrap: wrap; gap: 22px; }
.why-picture { flex: 1 1 280px; max-width: 480px; margin: 0; }
.why-texts { flex: 2 1 320px; min-width: 0; }
.why-texts h3 { font-size: .95rem; margin: 0 0 4px; color: var(--body-text-color); }
.heat { position: relative; overflow: hidden; border-radius: 8px; line-height: 0; }
.heat img { width: 100%; height: auto; margin: 0; }
.patches { position: absolute; display: grid; }
.patch { background: rgb(232 62 10 / calc(var(--heat) * .72)); box-shadow: inset 0 0 0 .5px rgb(255 255 255 / .25); }
.tokens { line-height: 1.9; overflow-wrap: anywhere; white-space: pre-wrap; margin: 0 0 8px; }
.token, .chip { background: rgb(232 62 10 / calc(var(--heat) * .55)); border-radius: 3px; cursor: help; }
.chips { font-size: .82rem; color: var(--body-text-color-subdued); margin: 6px 0 14px; line-height: 2; }
.chip { padding: 1px 5px; margin-right: 3px; border: 1px solid var(--border-color-primary); display: inline-block;
  line-height: 1.4; color: var(--body-text-color); }
.lit { outline: 2px solid var(--color-accent); outline-offset: -1px; }
.pairs { margin-top: 12px; } .pairs summary { cursor: pointer; } .pairs .scroll { max-height: 22rem; overflow: auto; }
#what-answers > * { gap: 6px; } #what-answers .wrap-inner { min-height: 47px; }  /* with a name in it and without */
#what-answers :is(summary, .said) { padding: 0 2px; cursor: default; } #what-answers summary { cursor: pointer; }
/* gradio's own `min_height` goes while an event runs: what is below would jump */
#ask-said, #ask-cannot { min-height: 24px; } #recognised { min-height: 32px; }
#kb-import-shown { min-height: 60px; } #evaluation { min-height: 120px; }
#ask-said { overflow: hidden; } #ask-said * { pointer-events: none; }  /* its spinner leaves the button below alone */
#ask-grid {
  display: grid; grid-template: "form answer" auto "more answer" 1fr / minmax(0, 5fr) minmax(0, 6fr);
}
/* what is below the grid comes after it, and does not jump while the page is put together */
[id^=closer-]:not(#ask-grid ~ *) { display: none !important; }
@media (min-width: 761px) { #ask-grid { min-height: 850px; } }
#ask-grid > * { min-width: 0 !important; }
#ask-form { grid-area: form; } #ask-answer { grid-area: answer; } #ask-more { grid-area: more; }
#ask-line { align-items: flex-end; } #ask { margin-bottom: 10px; }  /* level with the text field */
#below-answer { align-items: center; gap: 8px; flex-wrap: wrap; }
#below-answer button { min-width: 0; flex: 0 1 auto; }
#recognised { flex: 1 1 100%; }
.recognised { min-height: 1.6em; overflow-wrap: anywhere; color: var(--body-text-color); }
.history { display: flex; flex-direction: column; gap: 6px; max-height: 22rem; overflow-y: auto; }
.entry {
  display: flex; gap: 10px; align-items: center; width: 100%; text-align: left; padding: 6px; cursor: pointer;
  border: 1px solid var(--border-color-primary); border-radius: 10px; color: var(--body-text-color);
  background: var(--block-background-fill);
}
.entry:hover, .entry[aria-current] { border-color: var(--color-accent); }
.entry img, .no-picture { flex: none; width: 56px; height: 40px; object-fit: cover; border-radius: 6px; margin: 0; }
.no-picture { background: var(--border-color-primary); font-size: .75rem; display: grid; place-items: center; }
.entry-question, .entry-answer { display: block; font-size: .88rem; overflow-wrap: anywhere; }
.entry-answer { color: var(--body-text-color-subdued); }
#evaluate-questions, #evaluate-pictures { border-width: 0 !important; }  /* in a group, gradio leaves them black */
:is(#evaluate-missing, #evaluate-alone):not(:has(.card)) { display: none; }
#evaluate-delete .row { align-items: flex-end; } #delete { margin-bottom: 10px; }  /* level with the field */
#kb-upkeep { gap: 8px; } #kb-upkeep button { flex: 1 1 auto; min-width: max-content; padding-inline: 10px; }
[id^=kb-column-] .wrap-inner { min-height: 40px; }
/* what is in an accordion begins at its edge, fields as well as buttons */
.gr-accordion .form { gap: 0 16px; background: none; } .gr-accordion .form > .padded { padding-inline: 0; }
.gr-accordion > .label-wrap { text-align: left; }
#kb-passages :is(.virtual-row, td, th) { font-family: var(--font); }
footer .divider:last-child { display: none; }
.metrics td:not(:first-child), .metrics th:not(:first-child) { text-align: right; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 12px;
  margin-top: 12px; }
/* plots are drawn dark on light */
.plots figure { margin: 0; padding: 12px; border-radius: 14px; background: #fff; color: #222; }
.plots figcaption { font-weight: 600; } .plots svg { max-width: 100%; height: auto; }
.plots :is(figcaption, .legend, .key) { color: #222 !important; }
.plots .legend { margin: .3rem 0; font-size: .88rem; } .plots .key { margin-right: 1rem; }
.plots .key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .3rem; }
.failures { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 12px; }
.failures img { width: 100%; height: 120px; object-fit: contain; margin: 0 0 6px; }
.failures p { margin: 2px 0; font-size: .9rem; overflow-wrap: anywhere; } .failures summary { cursor: pointer; }
.about { line-height: 1.6; }
.about dt { font-weight: 600; margin-top: 8px; }
.about dd { margin: 0; overflow-wrap: anywhere; }
.presets td:first-child { white-space: nowrap; }
@media (max-width: 760px) { #ask-grid { grid-template: "form" "answer" "more" / minmax(0, 1fr); } }
@media (max-width: 640px) { .answer-text { font-size: 1.5rem; } .card { padding: 12px 14px; } }
body:not(.dark) .cm-line span { color: var(--body-text-color) !important; }  /* its colours are too faint on white */
.tab-container button.selected { color: var(--link-text-color) !important; }
@media (max-width: 640px) { .tab-container button { padding-inline: 7px !important; }
  .page-head { padding-inline: 7px; }
  .presets thead { display: none; } .presets :is(tr, td) { display: block; }
  .presets tr { padding: 8px 0; } .presets td { padding: 2px 0 !important; }
  .presets td:first-child { font-weight: 600; }
  .presets td:nth-child(3)::before { content: "downloads "; }
  /* gradio makes columns as narrow as the phone asks; so the table scrolls */
  #kb-passages :is(.header-table, .virtual-body) { min-width: 620px; }
  #kb-passages :is([data-col="0"], [data-heading="0"]) { --wide: 110px; }
  #kb-passages :is([data-col="1"], [data-heading="1"]) { --wide: 130px; }
  #kb-passages :is([data-col="2"], [data-heading="2"]) { --wide: 380px; }
  #kb-passages :is([data-col], [data-heading]) { min-width: var(--wide) !important; max-width: none !important; }
}
"""


def theme() -> Soft:
    """A calm theme whose fonts every system has, with a contrast of 4.5 and more (WCAG AA) in light and dark."""
    calm = Soft(primary_hue="teal", secondary_hue="teal", neutral_hue="slate", font=_FONTS, font_mono=_MONO_FONTS)
    calm.set(**_READABLE)
    return calm
