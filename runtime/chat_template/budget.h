// What one rendering may use. Every evaluated node and list element is a step, and every 128 bytes of string
// that come into being are one more, so that neither time nor memory can run away: a million steps hold the
// strings made during a rendering below 128 MB.
#pragma once

#include <cstddef>

#include "runtime/result.h"

namespace sterna::runtime::jinja {

class Budget {
 public:
  Budget(std::size_t steps, std::size_t string_bytes, std::size_t depth)
      : steps_(steps), left_(steps), string_bytes_(string_bytes), depth_(depth) {}

  Status spend(std::size_t steps) {
    if (steps > left_) {
      left_ = 0;
      return fail("the template needs more than {} steps; it loops too long or its input is too large",
                  steps_);
    }
    left_ -= steps;
    return {};
  }

  // For a string of `bytes` that is about to be made.
  Status spend_bytes(std::size_t bytes) {
    STERNA_CHECK(check_bytes(bytes));
    return spend(bytes / kBytesPerStep);
  }
  // As spend_bytes, for one that grew from `before` to `after` bytes.
  Status spend_growth(std::size_t before, std::size_t after) {
    STERNA_CHECK(check_bytes(after));
    return spend(after / kBytesPerStep - before / kBytesPerStep);
  }

  // For looking for `needle` bytes in `text` bytes, which may take time in proportion to their product.
  Status spend_search(std::size_t text, std::size_t needle) {
    return spend(text / kBytesPerStep + text * (needle / kBytesPerStep));
  }

  // For looking at the Unicode properties of every character, which is slower than copying.
  Status spend_characters(std::size_t bytes) { return spend(bytes / kCharactersPerStep); }

  // `level` counts from 1; for nested values and recursive functions over them.
  [[nodiscard]] Status check_depth(std::size_t level) const {
    if (level > depth_) return fail("values are nested more than {} levels deep", depth_);
    return {};
  }

 private:
  [[nodiscard]] Status check_bytes(std::size_t bytes) const {
    if (bytes <= string_bytes_) return {};
    return fail("the template makes a string of {} bytes; the limit is {}", bytes, string_bytes_);
  }

  static constexpr std::size_t kBytesPerStep = 128;
  static constexpr std::size_t kCharactersPerStep = 16;
  std::size_t steps_;
  std::size_t left_;
  std::size_t string_bytes_;
  std::size_t depth_;
};

}  // namespace sterna::runtime::jinja
