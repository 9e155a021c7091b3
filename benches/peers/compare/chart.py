"""The chart: a panel for each of some rows, with a bar for each candidate. It has its own background, so that it can be
read in a light and in a dark page, and follows the colours of the reader's system. Less is better in all panels."""

from html import escape

from rows import ALL, CHART, GATED

WIDTH, COLUMNS, MARGIN, GAP = 860, 3, 20, 28
NAMES, NUMBERS = 94, 46  # the room for the names on the left of the bars, and for the figures on the right
TITLE, BAR, THICK = 22, 19, 11  # heights

STYLE = """
    text { font: 11px system-ui, sans-serif; fill: #57606a }
    .page { fill: #ffffff; stroke: #d0d7de }
    .title { font-weight: 600; font-size: 12px; fill: #1f2328 }
    .ours { fill: #6a3fc4 } .other { fill: #afb8c1 } .number { font-variant-numeric: tabular-nums }
    @media (prefers-color-scheme: dark) {
        text { fill: #9198a1 } .page { fill: #0d1117; stroke: #3d444d } .title { fill: #f0f6fc }
        .ours { fill: #a98bf0 } .other { fill: #4d5661 }
    }"""


def chart(figures, caption: str) -> str:
    """`figures` are by measure. The caption is the command, the date and the machine."""
    width = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
    panels, end = [], MARGIN
    for start in range(0, len(CHART), COLUMNS):
        line = [(title, row.digits, bars(row, figures)) for title, row in CHART[start : start + COLUMNS]]
        for place, (title, digits, values) in enumerate(line):
            x = MARGIN + place * (width + GAP)
            panels.append(f'<g transform="translate({x:.1f} {end})">{panel(title, values, digits, width)}</g>')
        end += TITLE + BAR * max(len(values) for _, _, values in line) + GAP // 2
    content = "\n".join(panels)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{end + 26}" viewBox="0 0 {WIDTH} {end + 26}" role="img">
<title>Cost and losses of ours, Sentry's bridge and OpenTelemetry's OTLP exporter; less is better</title>
<style>{STYLE}
</style>
<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{end + 25}" rx="6"/>
{content}
<text x="{MARGIN}" y="{end + 10}">Less is better. {escape(caption)}</text>
</svg>
"""


def bars(row, figures) -> list[tuple[str, bool, float]]:
    """Name, whether it is ours, and value of each bar."""
    values = [(it, row.value(figures[row.measure], it)) for it in ALL if it in row.candidates]
    return [(it.name, it in GATED, value) for it, value in values if value is not None]


def panel(title: str, bars, digits: int, width: float) -> str:
    longest = max(value for _, _, value in bars) or 1
    lines = [f'<text class="title" y="12">{escape(title)}</text>']
    for place, (name, is_ours, value) in enumerate(bars):
        y = TITLE + place * BAR
        length = max(1, max(0, value) / longest * (width - NAMES - NUMBERS))
        kind = "ours" if is_ours else "other"
        lines.append(
            f'<text x="{NAMES - 8}" y="{y + 9}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{kind}" x="{NAMES}" y="{y}" width="{length:.1f}" height="{THICK}" rx="2"/>'
            f'<text class="number" x="{NAMES + length + 5:.1f}" y="{y + 9}">{value:,.{digits}f}</text>'
        )
    return "\n".join(lines)
