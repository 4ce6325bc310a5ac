// What the plots share: the frame with its axes, the legend, and names beside points.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/report/axis.h"
#include "eval/report/svg.h"

namespace sterna::eval::report {

struct Box {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
};

// Grid lines at the ticks, tick labels and the names of the axes: x below the box, y as a line above it.
void draw_frame(Svg& svg, const Box& box, const Axis& x, const Axis& y, std::string_view x_name,
                std::string_view y_name);

struct LegendEntry {
  std::string name;
  Series series;
};

// Rows of marks and names from `top` downwards, wrapped at `width`. legend_height() is what they take.
void draw_legend(Svg& svg, const std::vector<LegendEntry>& entries, double top, double width);
double legend_height(const std::vector<LegendEntry>& entries, double width);

struct NamedPoint {
  Point at;
  std::string name;
  bool strong = false;
};

// Writes each name near its point, where it covers the fewest other names, points and borders of the box; far
// names get a thin line to their point. Greedy: the point with the most neighbours chooses first.
void draw_names(Svg& svg, const std::vector<NamedPoint>& points, const Box& box);

}  // namespace sterna::eval::report
