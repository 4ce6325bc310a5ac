// A picture as SVG markup, to stand in an HTML page that has plot_style() in its <style>.
//
// Coordinates are CSS pixels at the picture's natural size, x to the right and y down; they must be finite.
// Texts are escaped here. No scripts and nothing from outside; colours are CSS variables, so the page decides
// between light and dark.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sterna::eval::report {

// The rules for everything that is drawn here, with both sets of colours.
std::string_view plot_style();

// How a model looks in every picture: one of six colours and one of six marks, no pair twice among 36 models.
// The colours are chosen after Okabe and Ito (2008) to differ for the colour-blind, and darkened in light
// mode for a contrast of 3 and more to the page; the baseline has the ink of the text.
struct Series {
  bool is_baseline = false;
  std::size_t index = 0;  // among the models that are not the baseline

  [[nodiscard]] std::string css_class() const;  // sets --c
  [[nodiscard]] std::size_t shape() const;
  [[nodiscard]] bool is_dashed() const { return !is_baseline && index >= 6; }
};

struct Point {
  double x = 0;
  double y = 0;
};

enum class Anchor { kStart, kMiddle, kEnd };

// Pixels that a text of the plots' font size takes, from its cells; a little too many for most fonts.
double text_width(std::string_view text);
constexpr double kTextHeight = 13;

class Svg {
 public:
  // `label` is what a screen reader says of the picture.
  Svg(double width, double height, std::string_view label);

  void line(Point from, Point to, std::string_view css_class);
  void polyline(const std::vector<Point>& points, std::string_view css_class);
  void rect(Point corner, double width, double height, std::string_view css_class,
            std::string_view tooltip = {});
  // `at` is on the base line. `rotated`: reads upwards.
  void text(Point at, std::string_view text, Anchor anchor = Anchor::kStart, std::string_view css_class = {},
            bool rotated = false);
  void mark(Point at, const Series& series, std::string_view tooltip = {});
  // A line with a cap at either end, from value to value at one x (or, horizontal, at one y).
  void error_bar(Point from, Point to, const Series& series);

  [[nodiscard]] double width() const { return width_; }
  [[nodiscard]] double height() const { return height_; }
  [[nodiscard]] std::string finish() &&;

 private:
  double width_;
  double height_;
  std::string out_;
};

// The mark alone, to stand before a model's name in a text.
std::string swatch(const Series& series);

}  // namespace sterna::eval::report
