#include "runtime/generate.h"

#include <algorithm>
#include <chrono>

namespace sterna::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool is_stop(const ModelConfig& config, TokenId id) {
  return std::find(config.stop_tokens.begin(), config.stop_tokens.end(), id) != config.stop_tokens.end();
}

// Hands a piece of text on; false when the receiver has had enough.
bool emit(Generation& out, const std::string& piece, const TextSink& sink) {
  if (piece.empty()) return true;
  out.text += piece;
  return !sink || sink(piece);
}

}  // namespace

const char* finish_name(Finish finish) {
  switch (finish) {
    case Finish::stop:
      return "stop";
    case Finish::length:
      return "length";
    case Finish::context:
      return "context";
    case Finish::cancelled:
      return "cancelled";
  }
  return "?";
}

Result<Generation> generate(Session& session, std::span<const TokenId> prompt, std::size_t max_tokens,
                            Sampler& sampler, const TextSink& sink) {
  if (prompt.empty())
    return fail("the prompt is empty: this model has no beginning-of-text token, give some text");
  Generation out;
  out.prompt_tokens = prompt.size();
  const auto start = Clock::now();
  STERNA_CHECK(session.append(prompt, sampler.need()));
  out.prefill_seconds = seconds_since(start);

  const auto decode_start = Clock::now();
  StreamDecoder decoder(session.model().tokenizer(), true);
  while (out.tokens.size() < max_tokens) {
    STERNA_TRY(const TokenId id, sampler.sample(session.logits()));
    if (is_stop(session.model().config(), id)) {
      out.finish = Finish::stop;
      out.end_token = id;
      // The end of the turn belongs to the history; a context that is full to the last token does without it.
      if (session.position() < session.context()) STERNA_CHECK(session.append({&id, 1}, sampler.need()));
      break;
    }
    out.tokens.push_back(id);
    if (!emit(out, decoder.push(id), sink)) {
      out.finish = Finish::cancelled;
      break;
    }
    if (session.position() == session.context()) {
      out.finish = Finish::context;
      break;
    }
    if (out.tokens.size() < max_tokens) STERNA_CHECK(session.append({&id, 1}, sampler.need()));
  }
  emit(out, decoder.finish(), sink);
  out.decode_seconds = seconds_since(decode_start);
  return out;
}

}  // namespace sterna::runtime
