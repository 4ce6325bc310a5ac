// Prefill, then one token after the other until something ends it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/sampler.h"
#include "runtime/session.h"

namespace sterna::runtime {

enum class Finish : std::uint8_t {
  stop,       // an end token of the model
  length,     // max_tokens
  context,    // the context is full
  cancelled,  // the sink said so
};
const char* finish_name(Finish finish);

struct Generation {
  std::vector<TokenId> tokens;  // without the end token
  std::string text;
  Finish finish = Finish::length;
  TokenId end_token = -1;  // with Finish::stop
  std::size_t prompt_tokens = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

// Called with whole UTF-8 characters as they become certain; false stops.
using TextSink = std::function<bool(std::string_view piece)>;

// Appends `prompt` (at least one token) to the session and generates up to max_tokens. Everything generated,
// the end token included where there is one, is in the session afterwards, except a last token that was not
// needed.
Result<Generation> generate(Session& session, std::span<const TokenId> prompt, std::size_t max_tokens,
                            Sampler& sampler, const TextSink& sink);

}  // namespace sterna::runtime
