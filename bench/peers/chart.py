"""Charts as SVG: bars, one small panel per measure, each with its own scale, a bar and its value for every contestant; and
points over a common axis."""
import math
from xml.sax.saxutils import escape

COLOURS = ("#0b6e99", "#b5651d", "#6b6b6b")
WIDTH, LABEL, BAR, GAP, PANEL_GAP, TITLE, PANEL = 760, 190, 20, 6, 20, 22, 260
FONT = "font-family=\"sans-serif\" font-size=\"{}\" fill=\"#222\""


def text(x, y, content, size=13, anchor="start", weight="normal"):
    return (f"<text x=\"{x:.0f}\" y=\"{y:.0f}\" {FONT.format(size)} text-anchor=\"{anchor}\" font-weight=\"{weight}\">"
            f"{escape(content)}</text>")


def document(title, height, parts):
    size = f"width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\""
    return "\n".join([f"<svg xmlns=\"http://www.w3.org/2000/svg\" {size}>", f"<title>{escape(title)}</title>",
                      f"<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>", *parts, "</svg>", ""])


def bar_chart(title, subtitle, panels):
    """panels: (name, remark, [(contestant, value, value as text)]); values are >= 0. Returns the file's text."""
    parts, y = [text(20, 30, title, 17, weight="bold"), text(20, 50, subtitle, 12)], 76
    colours = {}
    for name, remark, bars in panels:
        parts.append(text(20, y + 10, name, 14, weight="bold"))
        parts.append(text(WIDTH - 20, y + 10, remark, 12, "end"))
        y += TITLE
        largest = max(value for _, value, _ in bars) or 1
        for contestant, value, shown in bars:
            colour = colours.setdefault(contestant, COLOURS[len(colours) % len(COLOURS)])
            length = (WIDTH - LABEL - 130) * value / largest
            parts.append(text(LABEL - 8, y + BAR - 6, contestant, 13, "end"))
            parts.append(f"<rect x=\"{LABEL}\" y=\"{y}\" width=\"{length:.1f}\" height=\"{BAR}\" fill=\"{colour}\"/>")
            parts.append(text(LABEL + length + 6, y + BAR - 6, shown))
            y += BAR + GAP
        y += PANEL_GAP
    return document(title, y, parts)


def ticks(low, high):
    """1, 2 and 5 times powers of ten in a range."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [t for e in exponents for t in (10.0**e, 2 * 10.0**e, 5 * 10.0**e) if low <= t <= high]


def place(x, y, label, taken):
    """A label beside a point, where it covers no other one: the position, and which end of the text is there."""
    width, height = 7.2 * len(label), 13
    candidates = [(x + 7 if side > 0 else x - 7 - width, y + 4 + step, side)
                  for step in (-10, 11, -22, 23, -34, 35) for side in (1, -1)]

    def is_free(left, base):
        return all(left + width < other[0] or other[0] + other[2] < left or abs(base - other[1]) >= height for other in taken)

    left, base, side = next((c for c in candidates if is_free(*c[:2])), candidates[0])
    taken.append((left, base, width))
    return (left if side > 0 else left + width), base, ("start" if side > 0 else "end")


def point_panel(y, name, remark, series, levels, x_range):
    """One panel of point_chart, from y downwards."""
    values = [v for _, points in series for _, v, _ in points] + [v for _, v in levels]
    low, high = min(values) / 1.3, max(values) * 1.3
    left, right, top, bottom = 70, WIDTH - 30, y + TITLE + 4, y + TITLE + PANEL

    def across(x):
        return left + (right - left) * (x - x_range[0]) / (x_range[1] - x_range[0])

    def down(value):
        return bottom - (bottom - top) * math.log(value / low) / math.log(high / low)

    parts = [text(20, y + 10, name, 14, weight="bold"), text(right, y + 10, remark, 12, "end")]
    for tick in ticks(low, high):
        parts.append(f"<path d=\"M{left} {down(tick):.1f}H{right}\" stroke=\"#ddd\"/>")
        parts.append(text(left - 8, down(tick) + 4, f"{tick:g}", 12, "end"))
    for tick in range(x_range[0], x_range[1] + 1):
        parts.append(text(across(tick), bottom + 18, str(tick), 12, "middle"))
    for label, value in levels:
        parts.append(f"<path d=\"M{left} {down(value):.1f}H{right}\" stroke=\"#222\" stroke-dasharray=\"5 4\"/>")
        parts.append(text(right, down(value) + 15, f"{label}: {value:.4g}", 12, "end"))
    taken = []
    for i, (_, points) in enumerate(series):
        colour, placed = COLOURS[i], [(across(x), down(v), label) for x, v, label in sorted(points)]
        if not placed:
            continue
        path = "L".join(f"{px:.1f} {py:.1f}" for px, py, _ in placed)
        parts.append(f"<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.4\"/>")
        for px, py, label in placed:
            parts.append(f"<circle cx=\"{px:.1f}\" cy=\"{py:.1f}\" r=\"4\" fill=\"{colour}\"/>")
            label_x, label_y, anchor = place(px, py, label, taken)
            parts.append(text(label_x, label_y, label, 12, anchor))
    return parts


def point_chart(title, subtitle, x_name, panels):
    """panels: (name, remark, [(contestant, [(x, value, label)])], [(label, level)]); values > 0, on logarithmic axes.

    A contestant without points keeps its colour for itself.
    """
    xs = [x for _, _, series, _ in panels for _, points in series for x, _, _ in points]
    x_range = (math.floor(min(xs, default=0)), math.floor(max(xs, default=0)) + 2)  # room for the last label
    parts, y, x = [text(20, 30, title, 17, weight="bold"), text(20, 50, subtitle, 12)], 76, 20
    shown = {contestant for _, _, series, _ in panels for contestant, points in series if points}
    for colour, (contestant, _) in zip(COLOURS, panels[0][2]):
        if contestant not in shown:
            continue
        parts += [f"<circle cx=\"{x + 5}\" cy=\"{y}\" r=\"5\" fill=\"{colour}\"/>", text(x + 16, y + 5, contestant)]
        x += 120
    y += 24
    for name, remark, series, levels in panels:
        if any(points for _, points in series):
            parts += point_panel(y, name, remark, series, levels, x_range)
            y += TITLE + PANEL + 2 * PANEL_GAP
    parts.append(text(WIDTH / 2, y, x_name, 12, "middle"))
    return document(title, y + 16, parts)
