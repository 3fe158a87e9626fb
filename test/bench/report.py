# SPDX-License-Identifier: PostgreSQL
"""Numbers in, paper out: medians with intervals, Markdown tables, and plots in SVG."""

import html
import math
import statistics


def interval(values):
    """The 95 % confidence interval of the median by order statistics: it assumes no distribution. With fewer than six
    values there is none, and their extremes stand in for it."""
    values, n = sorted(values), len(values)
    if n < 6:
        return values[0], values[-1]
    outside, ways = 0, 1  # of 2**n, in which at most `outside` of the values lie below the true median
    while ways <= 2**n // 40:
        outside += 1
        ways += math.comb(n, outside)
    return values[outside - 1], values[n - outside]


def middle(values):
    """(median, low, high)"""
    return (statistics.median(values), *interval(values))


def table(*rows):
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]


def round_steps(low, high, count=6):
    """Some round numbers between two."""
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= count)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def plot(path, title, rows, unit, goal=None, logarithmic=False, zero=None):
    """A line for each row (label, (median, low, high), the same of its A/A control or None): a point and its interval,
    the control pale below it. `zero` is where nothing is added, `goal` the limit."""
    spans = [span for _, *both in rows for span in both if span]
    marks = [mark for mark in (zero, goal) if mark is not None]
    low, high = (pick([*marks, *(edge for span in spans for edge in span)]) for pick in (min, max))
    left, right, line, top = 440, 960, 30, 56
    bottom = top + line * len(rows)
    if logarithmic:
        steps = [10.0**i for i in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
        low, high = steps[0], steps[-1]
        scale = math.log10
    else:
        low, high = low - (high - low) * 0.04, high + (high - low) * 0.04
        steps, scale = round_steps(low, high), float

    def x(value):
        return left + (right - left) * (scale(value) - scale(low)) / (scale(high) - scale(low))

    def vertical(value, style):
        return f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{top - 8}" y2="{bottom}" {style}/>'

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="1060" height="{bottom + 50}" font-family="sans-serif" '
           'font-size="13">', '<!-- SPDX-License-Identifier: PostgreSQL -->',
           '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="16" y="26" font-size="16" font-weight="bold">{html.escape(title)}</text>']
    for step in steps:
        out += [vertical(step, 'stroke="#ddd"'),
                f'<text x="{x(step):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#555">{step:.10g}</text>']
    if zero is not None:
        out.append(vertical(zero, 'stroke="#555"'))
    if goal is not None:
        out += [vertical(goal, 'stroke="#c33" stroke-dasharray="5 4"'),
                f'<text x="{x(goal):.1f}" y="{top - 12}" text-anchor="middle" fill="#c33">limit</text>']
    for number, (label, ours, control) in enumerate(rows):
        y = top + line * number + line / 2 - 2
        out.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{html.escape(label)}</text>')
        for span, at, colour, size in ((control, y + 8, "#bbb", 3), (ours, y, "#26547c", 4.5)):
            if span:
                out += [f'<line x1="{x(span[1]):.1f}" x2="{x(span[2]):.1f}" y1="{at}" y2="{at}" stroke="{colour}" '
                        'stroke-width="2"/>', f'<circle cx="{x(span[0]):.1f}" cy="{at}" r="{size}" fill="{colour}"/>']
        out.append(f'<text x="{right + 14}" y="{y + 4}" fill="#26547c">{ours[0]:.4g}</text>')
    pale = "; pale: the bare program beside itself" if any(control for _, _, control in rows) else ""
    out += [f'<text x="{left}" y="{bottom + 38}" fill="#555">{html.escape(unit + pale)}</text>', "</svg>"]
    path.write_text("\n".join(out) + "\n", encoding="utf-8")
