// A template string: UTF-8 with a record of which bytes came from outside the template. Operations keep that
// record byte for byte, so that the caller of a rendering knows where special tokens may be looked for.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/chat_template/budget.h"
#include "runtime/result.h"

namespace sterna::runtime::jinja {

struct ByteRange {
  std::size_t begin;
  std::size_t end;
};

class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes, bool untrusted = false) : bytes_(std::move(bytes)) {
    if (untrusted && !bytes_.empty()) untrusted_.push_back({0, bytes_.size()});
  }

  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::string_view view() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  // Sorted, disjoint, not empty, not touching.
  [[nodiscard]] const std::vector<ByteRange>& untrusted_ranges() const { return untrusted_; }
  [[nodiscard]] bool any_untrusted() const { return !untrusted_.empty(); }
  [[nodiscard]] std::size_t cost() const { return bytes_.size() + untrusted_.size() * sizeof(ByteRange); }

  void append(std::string_view bytes, bool untrusted);
  void append(const Text& other) { append_slice(other, 0, other.size()); }
  // Bytes [begin, end) of `other`, which may not be *this.
  void append_slice(const Text& other, std::size_t begin, std::size_t end);
  [[nodiscard]] Text slice(std::size_t begin, std::size_t end) const;

  // Made by the filters safe and escape: joined to another string with +, the other one is escaped.
  [[nodiscard]] bool markup() const { return markup_; }
  void set_markup(bool markup) { markup_ = markup; }

 private:
  std::string bytes_;
  std::vector<ByteRange> untrusted_;
  bool markup_ = false;
};

// Walks the ranges of a text from left to right; at(position) must be called with growing positions.
class TrustCursor {
 public:
  explicit TrustCursor(const Text& text) : ranges_(text.untrusted_ranges()) {}
  bool untrusted_at(std::size_t position) {
    while (next_ < ranges_.size() && ranges_[next_].end <= position) ++next_;
    return next_ < ranges_.size() && ranges_[next_].begin <= position;
  }

 private:
  const std::vector<ByteRange>& ranges_;
  std::size_t next_ = 0;
};

enum class Side { both, left, right };
enum class CaseChange { upper, lower, capitalize, title, swap };

// As the methods of Python's str of the same names; `characters` absent means white space, and a negative
// count or limit means all.
[[nodiscard]] Text strip(const Text& text, const Text* characters, Side side);
[[nodiscard]] std::vector<Text> split_white_space(const Text& text, long limit, bool from_right);
[[nodiscard]] std::vector<Text> split(const Text& text, std::string_view separator, long limit,
                                      bool from_right);
[[nodiscard]] std::vector<Text> split_lines(const Text& text, bool keep_ends);
Result<Text> replace(Budget& budget, const Text& text, const Text& from, const Text& to, long count);
Result<Text> join(Budget& budget, const Text& separator, const std::vector<Text>& parts);
Result<Text> repeat(Budget& budget, const Text& text, long count);
// Spaces (or `fill`) to the left and right up to `width` code points.
Result<Text> pad(Budget& budget, const Text& text, std::size_t left, std::size_t right, const Text& fill);
[[nodiscard]] Text change_case(const Text& text, CaseChange change);
[[nodiscard]] Text title_words(const Text& text);  // the filter title, which differs from str.title
[[nodiscard]] Text reversed(const Text& text);
[[nodiscard]] Text escape_html(const Text& text);
// Offsets of the code points, and the size at the end.
[[nodiscard]] std::vector<std::size_t> code_point_offsets(std::string_view text);

}  // namespace sterna::runtime::jinja
