// How a text of tokens is cut into windows, and which of its tokens are scored.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "eval/results.h"
#include "runtime/result.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::eval {

// The three protocols, by Protocol::name:
//   second-half  windows side by side, of each the tokens behind position window / 2: what llama-perplexity
//   of
//                llama.cpp does. A rest that fills no window is left out; so it is with
//   all          of each window every token but the first
//   strided      windows that begin `stride` apart, of each the tokens that no earlier window has scored, to
//   the
//                end of the text: the Hugging Face documentation, "Perplexity of fixed-length models"
inline constexpr std::string_view kProtocols[] = {"second-half", "all", "strided"};

// The tokens [begin, begin + count) are fed, and of them [first_scored, count), at least 1, are scored.
struct Window {
  std::size_t begin = 0;
  std::size_t count = 0;
  std::size_t first_scored = 0;
};

// An error when `tokens` fill no window, or the protocol's numbers make no sense.
Result<std::vector<Window>> cut(std::size_t tokens, const Protocol& protocol);

// bytes[i]: of the text that the tokens before i stand for, where characters are whole; size n + 1.
std::vector<std::size_t> byte_offsets(const runtime::Tokenizer& tokenizer,
                                      std::span<const runtime::TokenId> ids);

}  // namespace sterna::eval
