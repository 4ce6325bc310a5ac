// Regular expressions of tokenizer.json files, which are written for Oniguruma, run by PCRE2.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"

// PCRE2's own types stay out of the headers.
struct pcre2_real_code_8;
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;

namespace sterna::runtime::tokenization {

struct Span {
  std::size_t begin = 0, end = 0;  // bytes, half-open
  [[nodiscard]] bool empty() const { return begin == end; }
};

// What a series of matches over one text needs; not shared between threads. It also bounds the work, since an
// expression comes from an untrusted file: every single match has a limit on backtracking steps, and all
// matches together a limit on time.
class RegexScratch {
 public:
  explicit RegexScratch(
      std::size_t text_bytes);  // the time is some hundred times what usual expressions take
  explicit RegexScratch(std::chrono::steady_clock::duration time);
  RegexScratch(const RegexScratch&) = delete;  // PCRE2 knows its address
  RegexScratch& operator=(const RegexScratch&) = delete;
  ~RegexScratch() = default;

  [[nodiscard]] bool out_of_time() const;
  [[nodiscard]] bool out_of_time_now_and_then() { return ++calls_ % 64 == 0 && out_of_time(); }

 private:
  friend class Regex;
  struct Free {
    void operator()(pcre2_real_match_data_8* data) const;
    void operator()(pcre2_real_match_context_8* context) const;
  };
  void prepare(std::uint32_t steps);

  std::unique_ptr<pcre2_real_match_data_8, Free> data_;  // made when first needed
  std::unique_ptr<pcre2_real_match_context_8, Free> context_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::nanoseconds cpu_start_{0};
  std::chrono::steady_clock::duration time_;
  std::uint32_t calls_ = 0;
};

class Regex {
 public:
  // `jit`: translate to machine code where the platform allows it; the matches are the same either way.
  static Result<Regex> compile(std::string_view oniguruma, bool jit);

  // Appends all matches in valid UTF-8 text, from left to right. They do not overlap, and an empty match
  // right behind another match does not count. Error: the limits were exceeded.
  Status find_all(std::string_view text, RegexScratch& scratch, std::vector<Span>& matches) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const;
  };
  enum class Outcome { kMatch, kNone, kFailed };
  Outcome search(std::string_view text, std::size_t from, RegexScratch& scratch, Span& match) const;

  using Code = std::unique_ptr<pcre2_real_code_8, Free>;
  Result<Code> compile_code(const std::string& pattern, std::uint32_t options, bool jit) const;

  std::string source_;
  Code code_;
  Code watched_;  // the same, but it stops when the time is up even within a match; for long texts
};

}  // namespace sterna::runtime::tokenization
