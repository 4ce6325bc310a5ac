// Reading a tokenizer.json: its two long lists go straight into compact form, all the rest becomes a small
// JSON tree.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "runtime/result.h"
#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/vocabulary.h"

namespace sterna::runtime::tokenization {

// NOLINTNEXTLINE(bugprone-exception-escape): moving the tree asserts, but does not throw.
struct Pipeline {
  nlohmann::json
      tree;  // an object; without model.vocab and model.merges, if these are an object and an array
  bool has_vocabulary = false, has_merges = false;
  TokenList vocabulary;
  MergeList merges;
};

// Errors: not JSON, not an object, longer than 1 GiB; an id that is no integer in [0, kIdLimit); a merge that
// is neither "left right" nor ["left", "right"].
Result<Pipeline> read_pipeline(std::string_view json, std::string_view where);

// "left right", with exactly one space.
Status add_merge(std::string_view merge, MergeList& merges, std::string_view where);

}  // namespace sterna::runtime::tokenization
