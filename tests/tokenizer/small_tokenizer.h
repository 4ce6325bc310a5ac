// Small tokenizers and shorthands for the tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/json_fields.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/support/shared_data.h"

namespace sterna::testing {

using nlohmann::json;
using Ids = std::vector<runtime::TokenId>;

// Ends the test program where a fixture itself is broken.
inline runtime::Tokenizer must_create(const runtime::TokenizerSpec& spec,
                                      runtime::Tokenizer::CreateOptions options = {}) {
  auto tokenizer = runtime::Tokenizer::create(spec, "test", options);
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().message;
    std::abort();
  }
  return *std::move(tokenizer);
}

inline runtime::Tokenizer from_json(const json& pipeline) {
  return must_create(runtime::TokenizerSpec{pipeline.dump(), {}, {}});
}

// A tokenizer.json whose tokens are the 256 byte characters, with ids equal to the bytes; no merges.
inline json byte_tokenizer() {
  json vocabulary = json::object();
  for (int byte = 0; byte < 256; ++byte) {
    std::string character;
    runtime::tokenization::append_byte_characters(character, std::string(1, static_cast<char>(byte)));
    vocabulary[character] = byte;
  }
  return {{"version", "1.0"},
          {"added_tokens", json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", json::array()}}}};
}

// A tokenizer.json over the given tokens (ids in order) without any other component.
inline json plain_tokenizer(const std::vector<std::string>& tokens,
                            const std::vector<std::string>& merges = {}) {
  json vocabulary = json::object();
  for (std::size_t id = 0; id < tokens.size(); ++id) vocabulary[tokens[id]] = id;
  return {{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}}};
}

inline json added_token(std::string_view content, int id, const json& flags = json::object()) {
  json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", false}};
  token.update(flags);
  return token;
}

inline runtime::tokenization::Field field_of(const json& value) { return {value, "test", "field", true}; }

// Ids, or the error's message as a failure.
inline Ids encode(const runtime::Tokenizer& tokenizer, std::string_view text,
                  runtime::Tokenizer::EncodeOptions options = {}) {
  auto ids = tokenizer.encode(text, options);
  if (!ids) {
    ADD_FAILURE() << ids.error().message;
    return {};
  }
  return *std::move(ids);
}

inline std::string decode_stream(const runtime::Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  runtime::StreamDecoder stream(tokenizer, skip_special);
  std::string text;
  for (const auto id : ids) text += stream.push(id);
  return text + stream.finish();
}

}  // namespace sterna::testing
