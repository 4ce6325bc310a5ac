// What lm-evaluation-harness does to texts with Python's string functions, on UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sterna::eval {

// Without the white space (str.isspace) at both ends, or at the end.
std::string_view stripped(std::string_view text);
std::string_view stripped_right(std::string_view text);

// str.capitalize: the first character in title case, all others in lower case, each by itself (Python's
// rules for a final sigma and for characters that become two are left out).
std::string capitalized(std::string_view text);

// Every `from` that does not overlap one before it, from the left.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

// HellaSwag's marks of the web pages: " [title]" becomes ". ", what stands in brackets on one line goes,
// double spaces become single ones (once), and the ends are stripped before all that.
std::string without_page_marks(std::string_view text);

// Code points.
std::size_t character_count(std::string_view text);

}  // namespace sterna::eval
