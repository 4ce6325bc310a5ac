// Words and numbers as a report writes them: in UTF-8, escaped, with no more digits than the error allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "eval/results.h"

namespace sterna::eval::report {

// For XML and HTML, in text and in quoted attributes: valid UTF-8 without the characters that XML 1.0 forbids
// (they and ill-formed bytes become U+FFFD), and & < > " ' as entities.
std::string escape_xml(std::string_view text);

// For Markdown, on one line: what would begin a tag, an emphasis, a link or a table's next column is escaped;
// line ends become spaces.
std::string escape_markdown(std::string_view text);

// Cells of a terminal: wide characters (Japanese, Chinese, Korean) take two, combining ones none.
std::size_t display_width(std::string_view text);

// At most `width` cells; what is longer ends in "…" (one cell).
std::string shortened(std::string_view text, std::size_t width);

enum class Align { kLeft, kRight };
std::string padded(std::string_view text, std::size_t width, Align align);

// "14.52 ± 0.08": the error with two significant digits below 3 and one above, the value with as many
// decimals, at most six; large numbers in the form 1.2e+06. Without an error (0) four significant digits.
// What is not a number is "n/a".
std::string number(const Estimate& estimate);
std::string number(double value);  // four significant digits
std::string number(double value, int decimals);
std::string percent(const Estimate& share);  // "97.1 ± 0.2 %"
std::string percent(double share);           // "97.1 %"
std::string bytes(std::uint64_t count);      // "1.1 GiB", "513 KiB"
std::string seconds(double value);

// "p = 0.031", "p < 0.001"
std::string p_value(double p);

// "1,234,567"
std::string grouped(std::uint64_t count);

}  // namespace sterna::eval::report
