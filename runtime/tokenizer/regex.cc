#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/tokenizer/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "runtime/tokenizer/oniguruma.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

namespace {

// A run of n spaces costs the usual `\s*[\r\n]+` n steps in one match, so the limit grows with the text. A
// step may look at the whole text (a*+), which is bounded only for short ones: 10^9 characters in all, about
// a second. In longer texts the expression calls back at each of its items, which takes up to half as much
// time again, and can be stopped.
constexpr std::uint32_t kStepsPerMatch = 200'000;
constexpr std::uint32_t kStepsPerByte = 16;
constexpr std::size_t kShortText = 4096;
constexpr std::uint32_t kHeapKib = 64 * 1024;

// Usual expressions split 1 MiB in less than 0.1 s.
constexpr double kSeconds = 5;
constexpr double kSecondsPerByte = 20.0 / (1 << 20);

constexpr std::size_t kLongestPattern = 65536;

PCRE2_SPTR as_units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data() == nullptr ? "" : text.data());
}

// Of this thread, so far.
std::chrono::nanoseconds cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  if (pcre2_get_error_message(code, buffer.data(), buffer.size()) < 0) return "unknown error";
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

void Regex::Free::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }
void RegexScratch::Free::operator()(pcre2_real_match_data_8* data) const { pcre2_match_data_free(data); }
void RegexScratch::Free::operator()(pcre2_real_match_context_8* context) const {
  pcre2_match_context_free(context);
}

RegexScratch::RegexScratch(std::size_t text_bytes)
    : RegexScratch(std::chrono::duration_cast<std::chrono::steady_clock::duration>(
          std::chrono::duration<double>(kSeconds + kSecondsPerByte * static_cast<double>(text_bytes)))) {}

RegexScratch::RegexScratch(std::chrono::steady_clock::duration time) : time_(time) {}

// The processor time decides, so that a busy or stopped machine does no harm; the other clock is cheaper to
// read.
bool RegexScratch::out_of_time() const {
  return std::chrono::steady_clock::now() - start_ > time_ && cpu_time() - cpu_start_ > time_;
}

void RegexScratch::prepare(std::uint32_t steps) {
  if (!data_) {
    data_.reset(pcre2_match_data_create(1, nullptr));
    context_.reset(pcre2_match_context_create(nullptr));
    start_ = std::chrono::steady_clock::now();
    cpu_start_ = cpu_time();
  }
  const auto stop_if_late = [](pcre2_callout_block* /*block*/, void* scratch) {
    return static_cast<RegexScratch*>(scratch)->out_of_time_now_and_then() ? PCRE2_ERROR_CALLOUT : 0;
  };
  pcre2_set_heap_limit(context_.get(), kHeapKib);
  pcre2_set_callout(context_.get(), stop_if_late, this);
  pcre2_set_match_limit(context_.get(), steps);
}

Result<Regex> Regex::compile(std::string_view oniguruma, bool jit) {
  if (oniguruma.size() > kLongestPattern) {
    return fail("a regular expression of {} bytes is too long, {} are supported", oniguruma.size(),
                kLongestPattern);
  }
  STERNA_TRY(const std::string pattern, translate_oniguruma(oniguruma));
  Regex regex;
  regex.source_ = oniguruma;
  STERNA_TRY(regex.code_, regex.compile_code(pattern, 0, jit));
  STERNA_TRY(regex.watched_, regex.compile_code(pattern, PCRE2_AUTO_CALLOUT, jit));
  return regex;
}

Result<Regex::Code> Regex::compile_code(const std::string& pattern, std::uint32_t options, bool jit) const {
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  options |= PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(as_units(pattern), pattern.size(), options, &error, &offset, context.get()));
  if (!code) return fail("the regular expression '{}' is not valid: {}", source_, message_of(error));
  // Where machine code cannot be made or may not be run, the interpreter does the same.
  if (jit) pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

Regex::Outcome Regex::search(std::string_view text, std::size_t from, RegexScratch& scratch,
                             Span& match) const {
  const auto run = [&](std::uint32_t options) {
    const auto* code = (text.size() > kShortText ? watched_ : code_).get();
    return pcre2_match(code, as_units(text), text.size(), from, options, scratch.data_.get(),
                       scratch.context_.get());
  };
  // The text is known to be valid; checking it again for every match would take quadratic time.
  int code = run(PCRE2_NO_UTF_CHECK);
  if (code == PCRE2_ERROR_JIT_STACKLIMIT) code = run(PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
  if (code == PCRE2_ERROR_NOMATCH) return Outcome::kNone;
  if (code < 0) return Outcome::kFailed;
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(scratch.data_.get());
  match = {ends[0], ends[1]};
  // \K in a look-ahead can put the start behind the end.
  return match.begin <= match.end && match.begin >= from ? Outcome::kMatch : Outcome::kFailed;
}

Status Regex::find_all(std::string_view text, RegexScratch& scratch, std::vector<Span>& matches) const {
  const std::uint64_t steps = kStepsPerMatch + std::uint64_t{kStepsPerByte} * text.size();
  scratch.prepare(static_cast<std::uint32_t>(std::min<std::uint64_t>(steps, UINT32_MAX)));
  std::size_t from = 0;
  bool any = false;
  std::size_t last_end = 0;
  while (from <= text.size()) {
    Span match;
    const Outcome outcome = scratch.out_of_time() ? Outcome::kFailed : search(text, from, scratch, match);
    if (outcome == Outcome::kNone) return {};
    if (outcome == Outcome::kFailed) {
      return fail("the regular expression '{}' takes too much work on a text of {} bytes", source_,
                  text.size());
    }
    if (match.empty() && any && match.end == last_end) {
      from += from < text.size() ? code_point_at(text, from).length : 1;
      continue;
    }
    matches.push_back(match);
    from = last_end = match.end;
    any = true;
  }
  return {};
}

}  // namespace sterna::runtime::tokenization
