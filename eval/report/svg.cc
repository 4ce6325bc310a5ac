#include "eval/report/svg.h"

#include <fmt/format.h>

#include <array>
#include <cassert>
#include <cmath>

#include "eval/report/text.h"

namespace sterna::eval::report {
namespace {

constexpr std::size_t kColours = 6;
constexpr std::size_t kShapes = 6;

std::string attribute_class(std::string_view css_class) {
  return css_class.empty() ? std::string() : fmt::format(" class=\"{}\"", css_class);
}

// An element without content, or with a tooltip as its content.
std::string closed(std::string_view element, std::string_view name, std::string_view tooltip) {
  if (tooltip.empty()) return fmt::format("{}/>\n", element);
  return fmt::format("{}><title>{}</title></{}>\n", element, escape_xml(tooltip), name);
}

// Circle, square, triangle, diamond, triangle down, plus, and the baseline's star: of about the same area.
std::string shape_path(std::size_t shape, Point c) {
  constexpr std::array<std::string_view, kShapes + 1> kOutlines = {
      "m-4.6 0a4.6 4.6 0 1 0 9.2 0a4.6 4.6 0 1 0 -9.2 0z",
      "m-4.2 -4.2h8.4v8.4h-8.4z",
      "m0 -5.6l5.4 9.6h-10.8z",
      "m0 -6l6 6l-6 6l-6 -6z",
      "m0 5.6l5.4 -9.6h-10.8z",
      "m-1.9 -5.4h3.8v3.5h3.5v3.8h-3.5v3.5h-3.8v-3.5h-3.5v-3.8h3.5z",
      "m0 -6.6l1.7 4.3l4.6 0.3l-3.5 2.9l1.1 4.4l-3.9 -2.4l-3.9 2.4l1.1 -4.4l-3.5 -2.9l4.6 -0.3z"};
  return fmt::format("M{:.1f} {:.1f}{}", c.x, c.y, kOutlines[shape]);
}

}  // namespace

std::string_view plot_style() {
  return R"(:root {
  --ink: #1c2024; --faint: #5d6670; --rule: #d5dade; --paper: #ffffff;
  --series-0: #0072b2; --series-1: #c94f00; --series-2: #00805f;
  --series-3: #ab4a86; --series-4: #8f6b00; --series-5: #2f8fcf;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e7eaed; --faint: #a2abb4; --rule: #3a424a; --paper: #16191d;
    --series-0: #4ea6ea; --series-1: #ff8b45; --series-2: #2fc79c;
    --series-3: #e59acb; --series-4: #e6c34a; --series-5: #9bd8ff;
  }
}
.series-b { --c: var(--ink); } .series-0 { --c: var(--series-0); } .series-1 { --c: var(--series-1); }
.series-2 { --c: var(--series-2); } .series-3 { --c: var(--series-3); } .series-4 { --c: var(--series-4); }
.series-5 { --c: var(--series-5); }
svg.plot { font: 12px system-ui, "Noto Sans", "Noto Sans CJK JP", sans-serif; fill: var(--ink); }
svg .faint { fill: var(--faint); }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .axis { stroke: var(--faint); stroke-width: 1; }
svg .reference { stroke: var(--faint); stroke-width: 1.2; stroke-dasharray: 2 3; }
svg .pareto { stroke: var(--faint); stroke-width: 1.5; stroke-dasharray: 6 4; fill: none; }
svg .leader { stroke: var(--faint); stroke-width: 0.8; }
svg .curve { stroke: var(--c); stroke-width: 1.8; fill: none; stroke-linejoin: round; }
svg .dashed { stroke-dasharray: 5 3; }
svg .error { stroke: var(--c); stroke-width: 1.4; }
svg .bar { fill: var(--c); fill-opacity: 0.55; stroke: var(--c); }
svg .mark { fill: var(--c); stroke: var(--paper); stroke-width: 1; }
svg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
svg .strong { font-weight: 600; }
svg .cell { stroke: var(--paper); stroke-width: 2; }
svg .share-0 { fill: #a63f00; } svg .share-1 { fill: #e08a52; } svg .share-2 { fill: #f3cfae; }
svg .share-3 { fill: #cfe2f1; } svg .share-4 { fill: #79b4dd; } svg .share-5 { fill: #0a62a3; }
svg .on-0, svg .on-5 { fill: #ffffff; }
svg .on-1, svg .on-2, svg .on-3, svg .on-4 { fill: #14181c; }
svg.swatch { width: 0.8em; height: 0.8em; vertical-align: -0.04em; margin-right: 0.4em; }
)";
}

std::string Series::css_class() const {
  return is_baseline ? std::string("series-b") : fmt::format("series-{}", index % kColours);
}

std::size_t Series::shape() const { return is_baseline ? kShapes : (index + index / kColours) % kShapes; }

// 12 pixels; a cell is half of the width of a Japanese character, which is as wide as it is high. Latin
// letters of common fonts are on average a little wider than that.
double text_width(std::string_view text) { return 6.5 * static_cast<double>(display_width(text)); }

Svg::Svg(double width, double height, std::string_view label) : width_(width), height_(height) {
  out_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" role=\"img\" aria-label=\"{2}\">\n",
      width, height, escape_xml(label));
}

void Svg::line(Point from, Point to, std::string_view css_class) {
  assert(std::isfinite(from.x + from.y + to.x + to.y));
  out_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"{}/>\n", from.x, from.y,
                      to.x, to.y, attribute_class(css_class));
}

void Svg::polyline(const std::vector<Point>& points, std::string_view css_class) {
  if (points.size() < 2) return;
  out_ += "<polyline points=\"";
  for (const Point& p : points) {
    assert(std::isfinite(p.x + p.y));
    out_ += fmt::format("{:.1f},{:.1f} ", p.x, p.y);
  }
  out_.back() = '"';
  out_ += attribute_class(css_class) + "/>\n";
}

void Svg::rect(Point corner, double width, double height, std::string_view css_class,
               std::string_view tooltip) {
  assert(std::isfinite(corner.x + corner.y + width + height) && width >= 0 && height >= 0);
  const std::string element =
      fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"{}", corner.x, corner.y,
                  width, height, attribute_class(css_class));
  out_ += closed(element, "rect", tooltip);
}

void Svg::text(Point at, std::string_view text, Anchor anchor, std::string_view css_class, bool rotated) {
  assert(std::isfinite(at.x + at.y));
  constexpr std::array<std::string_view, 3> kAnchors = {"start", "middle", "end"};
  const std::string rotation =
      rotated ? fmt::format(" transform=\"rotate(-90 {:.1f} {:.1f})\"", at.x, at.y) : std::string();
  out_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}{}>{}</text>\n", at.x, at.y,
                      kAnchors[static_cast<std::size_t>(anchor)], attribute_class(css_class), rotation,
                      escape_xml(text));
}

void Svg::mark(Point at, const Series& series, std::string_view tooltip) {
  assert(std::isfinite(at.x + at.y));
  const std::string element =
      fmt::format("<path class=\"mark {}\" d=\"{}\"", series.css_class(), shape_path(series.shape(), at));
  out_ += closed(element, "path", tooltip);
}

void Svg::error_bar(Point from, Point to, const Series& series) {
  const std::string css_class = "error " + series.css_class();
  constexpr double kCap = 3;
  const bool is_vertical = from.x == to.x;
  const double dx = is_vertical ? kCap : 0;
  const double dy = is_vertical ? 0 : kCap;
  line(from, to, css_class);
  for (const Point& end : {from, to}) line({end.x - dx, end.y - dy}, {end.x + dx, end.y + dy}, css_class);
}

std::string Svg::finish() && { return std::move(out_) + "</svg>\n"; }

std::string swatch(const Series& series) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"swatch\" viewBox=\"0 0 14 14\" aria-hidden=\"true\">"
      "<path class=\"mark {}\" d=\"{}\"/></svg>",
      series.css_class(), shape_path(series.shape(), {7, 7}));
}

}  // namespace sterna::eval::report
