#include "eval/text/windows.h"

#include <algorithm>

namespace sterna::eval {
namespace {

std::vector<Window> side_by_side(std::size_t tokens, std::size_t window, std::size_t first_scored) {
  std::vector<Window> windows;
  windows.reserve(tokens / window);
  for (std::size_t begin = 0; begin + window <= tokens; begin += window) {
    windows.push_back({begin, window, first_scored});
  }
  return windows;
}

std::vector<Window> strided(std::size_t tokens, std::size_t window, std::size_t stride) {
  std::vector<Window> windows;
  std::size_t scored = 1;  // the first token has nothing before it
  for (std::size_t begin = 0; scored < tokens; begin += stride) {
    const std::size_t end = std::min(begin + window, tokens);
    windows.push_back({begin, end - begin, scored - begin});
    scored = end;
  }
  return windows;
}

}  // namespace

Result<std::vector<Window>> cut(std::size_t tokens, const Protocol& p) {
  if (p.window < 4)
    return fail("a window of {} tokens is too small to score anything; use at least 4", p.window);
  if (p.name == "strided") {
    if (p.stride == 0 || p.stride >= p.window) {
      return fail("a stride of {} does not go with a window of {}; use one from 1 to {}", p.stride, p.window,
                  p.window - 1);
    }
    if (tokens < 2) return fail("the text has {} tokens, too few to score anything", tokens);
    return strided(tokens, p.window, p.stride);
  }
  if (tokens < p.window) {
    return fail("the text has {} tokens, fewer than one window of {}; use a longer text or a smaller window",
                tokens, p.window);
  }
  return side_by_side(tokens, p.window, p.name == "all" ? 1 : p.window / 2 + 1);
}

std::vector<std::size_t> byte_offsets(const runtime::Tokenizer& tokenizer,
                                      std::span<const runtime::TokenId> ids) {
  std::vector<std::size_t> offsets = {0};
  offsets.reserve(ids.size() + 1);
  runtime::StreamDecoder decoder(tokenizer, /*skip_special=*/false);
  for (const runtime::TokenId id : ids) offsets.push_back(offsets.back() + decoder.push(id).size());
  offsets.back() += decoder.finish().size();
  return offsets;
}

}  // namespace sterna::eval
