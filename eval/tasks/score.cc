#include "eval/tasks/score.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "eval/tasks/strings.h"

namespace sterna::eval {
namespace {

using runtime::TokenId;

// What is appended only to be remembered: one logit is as good as none (LogitsNeed), all would cost a head.
constexpr runtime::LogitsNeed kAlmostNone{1};

std::optional<TokenId> bos_of(const runtime::Model& model) {
  const auto named = model.tokenizer().id_of(model.text().bos_text);
  if (named) return named;
  return model.config().bos < 0 ? std::nullopt : std::optional<TokenId>(model.config().bos);
}

// What stands for an empty context.
Result<TokenId> first_token(const runtime::Model& model) {
  if (const auto bos = bos_of(model)) return *bos;
  const auto eos = model.tokenizer().id_of(model.text().eos_text);
  if (eos) return *eos;
  return fail("{}: neither a BOS nor an EOS token, one of which must stand for an empty context",
              model.where());
}

Result<std::vector<TokenId>> encode(const runtime::Model& model, std::string_view text) {
  const auto bos = bos_of(model);
  const std::string written = bos ? model.tokenizer().decode(std::span(&*bos, 1), false) : std::string();
  const bool framed = written.empty() || !text.starts_with(written);
  return model.tokenizer().encode(text, {.add_special = framed, .parse_special = true});
}

// How many tokens both begin with.
std::size_t common_length(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

// The position whose logits foresee the first target.
std::size_t first_scored(const Request& request) { return request.input.size() - request.target.size(); }

// How many tokens all requests begin with, before anything is scored.
std::size_t shared_length(std::span<const Request> requests) {
  std::size_t shared = first_scored(requests.front());
  for (const Request& request : requests) {
    shared = std::min({shared, first_scored(request), common_length(requests.front().input, request.input)});
  }
  return shared;
}

double log_sum_exp(std::span<const float> logits, float top) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - static_cast<double>(top));
  return static_cast<double>(top) + std::log(sum);
}

struct Split {
  std::vector<TokenId> context;
  std::vector<TokenId> continuation;
};

Result<Split> split(const runtime::Model& model, std::string_view context, std::string_view continuation) {
  const std::string_view kept = stripped_right(context);
  const std::string moved = fmt::format("{}{}", context.substr(kept.size()), continuation);
  Split result;
  if (!kept.empty()) {
    STERNA_TRY(result.context, encode(model, kept));
    STERNA_TRY(const std::vector<TokenId> whole, encode(model, fmt::format("{}{}", kept, moved)));
    const std::size_t n = std::min(result.context.size(), whole.size());
    result.context.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    result.continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(n), whole.end());
    return result;
  }
  STERNA_TRY(const TokenId first, first_token(model));
  STERNA_TRY(result.continuation,
             model.tokenizer().encode(moved, {.add_special = false, .parse_special = true}));
  if (!result.continuation.empty() && result.continuation.front() == first) {
    result.continuation.erase(result.continuation.begin());
  }
  result.context = {first};
  return result;
}

}  // namespace

Result<Request> encode_request(const runtime::Model& model, std::string_view context,
                               std::string_view continuation, std::size_t context_size) {
  STERNA_TRY(const Split parts, split(model, context, continuation));
  const std::size_t scored = parts.continuation.size();
  if (scored == 0) return fail("the continuation '{}' adds no token to its context", continuation);
  if (scored > context_size) {
    return fail("a continuation of {} tokens does not fit into a context of {}", scored, context_size);
  }
  Request request;
  request.target = parts.continuation;
  request.input = parts.context;
  request.input.insert(request.input.end(), parts.continuation.begin(), parts.continuation.end() - 1);
  if (request.input.size() > context_size) {
    request.input.erase(request.input.begin(),
                        request.input.end() - static_cast<std::ptrdiff_t>(context_size));
    request.truncated = true;
  }
  return request;
}

Result<std::size_t> continuation_tokens(const runtime::Model& model, std::string_view context,
                                        std::string_view continuation) {
  STERNA_TRY(const Split parts, split(model, context, continuation));
  return parts.continuation.size();
}

Result<std::vector<Request>> Scorer::requests_of(const Task& task, const Item& item) {
  const std::string& prefix = task.prefixes[item.prefix];
  std::vector<Request> requests;
  const std::size_t count = std::max(item.contexts.size(), item.continuations.size());
  requests.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto request = encode_request(session_.model(), fmt::format("{}{}", prefix, item.context(i)),
                                  item.continuation(i), session_.context());
    if (!request)
      return fail("{}: item {}: {}", task.name, &item - task.items.data() + 1, request.error().message);
    requests.push_back(*std::move(request));
  }
  return requests;
}

Status Scorer::enter_prefix(const std::string& prefix) {
  if (prefix == prefix_text_) return {};
  prefix_.clear();
  held_ = 0;
  prefix_text_ = prefix;
  STERNA_TRY(std::vector<TokenId> ids, encode(session_.model(), prefix));
  if (ids.size() <= session_.context()) prefix_ = std::move(ids);
  return {};
}

// Brings `ids` and nothing else into the session. What they have in common with the prefix comes from an
// append of the whole prefix, whatever was there before: the last bits of a long append can depend on where
// it ends (OpenBLAS).
Status Scorer::go_to(std::span<const TokenId> ids) {
  const std::size_t common = common_length(prefix_, ids);
  if (common > held_) {
    session_.rewind(0);
    held_ = 0;
    STERNA_CHECK(session_.append(prefix_, kAlmostNone));
  }
  session_.rewind(common);
  held_ = common;
  return session_.append(ids.subspan(common), kAlmostNone);
}

// Scores requests[first] and those after it with the same input and as many targets: one pass for all answers
// of one token.
Status Scorer::score_equal(std::span<const Request> requests, std::size_t first, std::size_t shared,
                           ItemScore& score) {
  const Request& request = requests[first];
  std::vector<std::size_t> equal;
  for (std::size_t i = first; i < requests.size(); ++i) {
    const bool same =
        requests[i].input == request.input && requests[i].target.size() == request.target.size();
    if (same) equal.push_back(i);
  }
  for (const std::size_t i : equal) {
    score.log_likelihoods[i] = 0;
    score.greedy[i] = 1;
  }
  const std::span input(request.input);
  const std::size_t start = first_scored(request);
  session_.rewind(shared);
  STERNA_CHECK(session_.append(input.subspan(shared, start - shared), kAlmostNone));
  return session_.append(input.subspan(start), [&](std::size_t at, std::span<const float> logits) {
    const auto top = std::max_element(logits.begin(), logits.end());
    const double normalizer = log_sum_exp(logits, *top);
    for (const std::size_t i : equal) {
      const auto target = static_cast<std::size_t>(requests[i].target[at]);
      score.log_likelihoods[i] += static_cast<double>(logits[target]) - normalizer;
      if (target != static_cast<std::size_t>(top - logits.begin())) score.greedy[i] = 0;
    }
  });
}

Result<ItemScore> Scorer::score(const Task& task, const Item& item) {
  STERNA_TRY(const std::vector<Request> requests, requests_of(task, item));
  STERNA_CHECK(enter_prefix(task.prefixes[item.prefix]));
  const std::size_t shared = shared_length(requests);
  STERNA_CHECK(go_to(std::span(requests.front().input).first(shared)));
  ItemScore score;
  score.log_likelihoods.resize(requests.size(), std::nan(""));
  score.greedy.resize(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    score.truncated = score.truncated || requests[i].truncated;
    if (!std::isnan(score.log_likelihoods[i])) continue;  // was scored with an equal one
    STERNA_CHECK(score_equal(requests, i, shared, score));
  }
  return score;
}

}  // namespace sterna::eval
