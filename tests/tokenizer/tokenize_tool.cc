// tokenize_tool TOKENIZER_JSON [split|nojit]...: answers requests on stdin, one JSON value a line, for
// differential.py.
//   {"text": "...", "add_special": true, "parse_special": true}  ->  [ids]
//   {"ids": [...], "skip_special": false}                        ->  {"batch": "...", "stream": "..."}
// split: pass the JSON through split_spec() first. nojit: interpret regular expressions.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/tokenizer.h"
#include "tests/support/shared_data.h"

namespace {

using nlohmann::json;
using sterna::runtime::StreamDecoder;
using sterna::runtime::Tokenizer;

json answer(const Tokenizer& tokenizer, const json& request) {
  if (request.contains("ids")) {
    const auto ids = request["ids"].get<std::vector<sterna::runtime::TokenId>>();
    const bool skip_special = request.value("skip_special", false);
    StreamDecoder stream(tokenizer, skip_special);
    std::string pieces;
    for (const auto id : ids) pieces += stream.push(id);
    return {{"batch", tokenizer.decode(ids, skip_special)}, {"stream", pieces + stream.finish()}};
  }
  Tokenizer::EncodeOptions options;
  options.add_special = request.value("add_special", true);
  options.parse_special = request.value("parse_special", true);
  const auto ids = tokenizer.encode(request["text"].get<std::string>(), options);
  return ids ? json(*ids) : json(ids.error().message);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  sterna::runtime::TokenizerSpec spec;
  spec.pipeline = sterna::testing::read_file(argv[1]);
  Tokenizer::CreateOptions options;
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "nojit") options.jit = false;
    if (word != "split") continue;
    auto split = sterna::runtime::split_spec(spec.pipeline, argv[1]);
    if (!split) {
      std::fprintf(stderr, "%s\n", split.error().message.c_str());
      return 1;
    }
    spec = *std::move(split);
  }
  const auto tokenizer = Tokenizer::create(spec, argv[1], options);
  if (!tokenizer) {
    std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str());
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);)
    std::cout << answer(*tokenizer, json::parse(line)) << '\n';
  return 0;
}
