#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/tokenizer/added_tokens.h"
#include "runtime/tokenizer/pipeline.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::runtime {

using namespace tokenization;  // NOLINT(google-build-using-namespace): this file works with those parts

namespace {

using nlohmann::json;

bool has_space(std::string_view text) { return text.find(' ') != std::string_view::npos; }

void move_merges(const MergeList& merges, json& model, std::vector<std::string>& out) {
  const auto ambiguous = [&](const auto& e) {
    return has_space(merges.left(e)) || has_space(merges.right(e));
  };
  if (std::any_of(merges.entries.begin(), merges.entries.end(), ambiguous)) {
    json list = json::array();
    for (const auto& e : merges.entries)
      list.push_back({std::string(merges.left(e)), std::string(merges.right(e))});
    model["merges"] = std::move(list);
    return;
  }
  if (merges.entries.empty()) model["merges"] = json::array();
  out.reserve(merges.entries.size());
  for (const auto& e : merges.entries) {
    std::string merge(merges.left(e));
    merge += ' ';
    merge += merges.right(e);
    out.push_back(std::move(merge));
  }
}

json vocabulary_object(const TokenList& list) {
  json object = json::object();
  for (const auto& entry : list.entries) object[std::string(list.token(entry))] = entry.id;
  return object;
}

// Tokens by id, the added ones included; "vocab_excludes" remembers which of them the model does not know.
Status move_tokens(const Vocabulary& vocabulary, const AddedTokens& added, json& model,
                   std::vector<std::string>& out) {
  out.resize(vocabulary.id_limit());
  for (std::size_t id = 0; id < out.size(); ++id) out[id] = vocabulary.token(static_cast<TokenId>(id));
  json excludes = json::array();
  for (const AddedToken& token : added.list()) {
    if (vocabulary.find(token.content) >= 0) continue;
    const auto id = static_cast<std::size_t>(token.id);
    if (id > 4 * (out.size() + added.list().size()) + 65536)
      continue;  // would be mostly holes; stays an added token
    if (id >= out.size()) out.resize(id + 1);
    if (!out[id].empty()) return fail("added_tokens: '{}' has the id {} of '{}'", token.content, id, out[id]);
    out[id] = token.content;
    excludes.push_back(token.id);
  }
  if (!excludes.empty()) model["vocab_excludes"] = std::move(excludes);
  return {};
}

}  // namespace

Result<TokenizerSpec> split_spec(std::string_view tokenizer_json, std::string_view where) {
  STERNA_TRY(Pipeline pipeline, read_pipeline(tokenizer_json, where));
  if (!pipeline.has_vocabulary || !pipeline.has_merges) {
    return fail("{}: model.vocab and model.merges are needed; only BPE tokenizers are supported", where);
  }
  TokenizerSpec spec;
  json& model = pipeline.tree["model"];
  move_merges(pipeline.merges, model, spec.merges);
  const auto& entries = pipeline.vocabulary.entries;
  const bool has_empty =
      std::any_of(entries.begin(), entries.end(), [](const auto& e) { return e.length == 0; });
  if (entries.empty() || has_empty) {
    model["vocab"] = vocabulary_object(pipeline.vocabulary);
  } else {
    const Field root(pipeline.tree, std::string(where), "", false);
    STERNA_TRY(const AddedTokens added, AddedTokens::parse(root["added_tokens"]));
    STERNA_TRY(const Vocabulary vocabulary, Vocabulary::create(std::move(pipeline.vocabulary), where));
    const Status moved = move_tokens(vocabulary, added, model, spec.tokens);
    if (!moved) return fail("{}: {}", where, moved.error().message);
  }
  spec.pipeline = pipeline.tree.dump(-1, ' ', false, json::error_handler_t::replace);
  return spec;
}

}  // namespace sterna::runtime
