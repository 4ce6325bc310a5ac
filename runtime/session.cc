#include "runtime/session.h"

#include <algorithm>
#include <utility>

namespace sterna::runtime {

Session::Session(std::shared_ptr<const Model> model, const kernels::Kernels& kernels, ThreadPool& pool,
                 Activations act, KvCache cache)
    : model_(std::move(model)),
      kernels_(kernels),
      pool_(pool),
      act_(std::move(act)),
      cache_(std::move(cache)) {}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const Options& options,
                                                 const kernels::Kernels& kernels, ThreadPool& pool) {
  const ModelConfig& config = model->config();
  const std::size_t context =
      options.context != 0 ? options.context : std::min<std::size_t>(config.context, kDefaultContext);
  if (context > config.context) {
    return fail("a context of {} tokens is more than the {} that this model was made for; use -c {} or less",
                context, config.context, config.context);
  }
  const std::size_t batch = std::clamp<std::size_t>(options.batch, 1, context);
  STERNA_TRY(Activations act, Activations::create(config, batch, context, pool.size()));
  STERNA_TRY(KvCache cache, KvCache::create(config, context, options.kv));
  return std::unique_ptr<Session>(
      new Session(std::move(model), kernels, pool, std::move(act), std::move(cache)));
}

Status Session::check(std::span<const TokenId> ids) const {
  if (ids.size() > context() - position_) {
    return fail(
        "the context is full: {} tokens are in it, {} more do not fit into {}; use a larger context (-c) or "
        "a shorter text",
        position_, ids.size(), context());
  }
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<std::uint32_t>(id) >= model_->config().vocab) {
      return fail("token {} is outside the model's vocabulary of {}", id, model_->config().vocab);
    }
  }
  return {};
}

Status Session::append(std::span<const TokenId> ids, LogitsNeed need) { return append(ids, need, nullptr); }

Status Session::append(std::span<const TokenId> ids, const LogitsSink& sink) { return append(ids, {}, sink); }

Status Session::append(std::span<const TokenId> ids, LogitsNeed need, const LogitsSink& sink) {
  STERNA_CHECK(check(ids));
  const std::size_t start = position_;
  const std::size_t vocab = model_->config().vocab;
  for (std::size_t begin = 0; begin < ids.size(); begin += act_.batch) {
    const std::size_t tokens = std::min(act_.batch, ids.size() - begin);
    // Prefill: only the last position meets the head.
    const std::size_t first = sink ? 0 : begin + tokens == ids.size() ? tokens - 1 : tokens;
    if (Status status = step(ids.subspan(begin, tokens), first, need); !status) {
      rewind(start);
      return status;
    }
    if (!sink) continue;
    for (std::size_t t = 0; t < tokens; ++t) sink(begin + t, {act_.logits.data() + t * vocab, vocab});
  }
  return {};
}

Result<std::span<const float>> Session::append_block(std::span<const TokenId> ids, std::size_t first) {
  assert(ids.size() <= act_.batch && first <= ids.size());
  STERNA_CHECK(check(ids));
  const std::size_t start = position_;
  if (Status status = step(ids, first, {}); !status) {
    rewind(start);
    return status.error();
  }
  return std::span<const float>(act_.logits.data(), (ids.size() - first) * model_->config().vocab);
}

// One batch; the logits of its tokens from `first` on.
Status Session::step(std::span<const TokenId> ids, std::size_t first, LogitsNeed need) {
  ForwardContext c = forward_context();
  const std::size_t tokens = ids.size();
  STERNA_CHECK(embed(c, ids, position_));
  for (std::size_t layer = 0; layer < c.config.layers; ++layer)
    transformer_block(c, layer, tokens, position_);
  position_ += tokens;
  logits_ = {};
  if (first == tokens) return {};
  STERNA_CHECK(head(c, first, tokens, need));
  const std::size_t vocab = c.config.vocab;
  logits_ = {act_.logits.data() + (tokens - 1 - first) * vocab, vocab};
  return {};
}

void Session::rewind(std::size_t position) {
  assert(position <= position_);
  position_ = position;
  logits_ = {};
}

}  // namespace sterna::runtime
