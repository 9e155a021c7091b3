"""The table as text, which is also Markdown."""

from rows import ALL, Row

def cell(row: Row, figures, candidate) -> str:
    if candidate not in row.candidates:
        return "-"
    value = row.value(figures, candidate)
    if value is None:
        return "-"
    lossy = row.is_lossy(figures, candidate)
    return f"{value:,.{row.digits}f}{'*' if lossy else ''}"


def table(rows, figures) -> str:
    """`figures` are by measure."""
    head = ["", "", *(candidate.name for candidate in ALL)]
    body = [[row.title, row.unit, *(cell(row, figures[row.measure], it) for it in ALL)] for row in rows]
    widths = [max(len(line[place]) for line in [head, *body]) for place in range(len(head))]
    right = [False, False, *(True for _ in ALL)]

    def line(cells):
        aligned = (text.rjust(width) if is_right else text.ljust(width) for text, width, is_right in zip(cells, widths, right))
        return f"| {' | '.join(aligned)} |"

    rule = ["-" * (width - 1) + ":" if is_right else "-" * width for width, is_right in zip(widths, right)]
    note = ["", "* with losses of more than 1 %"] if any("*" in text for cells in body for text in cells) else []
    return "\n".join([line(head), line(rule), *map(line, body), *note])
