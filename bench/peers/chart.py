"""A bar chart as SVG: one small panel per measure, each with its own scale, a bar and its value for every contestant."""
from xml.sax.saxutils import escape

COLOURS = ("#0b6e99", "#b5651d", "#6b6b6b")
WIDTH, LABEL, BAR, GAP, PANEL_GAP, TITLE = 760, 190, 20, 6, 20, 22
FONT = "font-family=\"sans-serif\" font-size=\"{}\" fill=\"#222\""


def text(x, y, content, size=13, anchor="start", weight="normal"):
    return (f"<text x=\"{x:.0f}\" y=\"{y:.0f}\" {FONT.format(size)} text-anchor=\"{anchor}\" font-weight=\"{weight}\">"
            f"{escape(content)}</text>")


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
    size = f"width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\""
    return "\n".join([f"<svg xmlns=\"http://www.w3.org/2000/svg\" {size}>", f"<title>{escape(title)}</title>",
                      f"<rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#ffffff\"/>", *parts, "</svg>", ""])
