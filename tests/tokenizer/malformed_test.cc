#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

// The error for a tokenizer.json; a failure if there is none, or if it is not one line that names the file.
std::string error_of(const runtime::TokenizerSpec& spec) {
  const auto tokenizer = runtime::Tokenizer::create(spec, "dir/tokenizer.json");
  if (tokenizer.ok()) return "no error";
  const std::string& message = tokenizer.error().message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_NE(message.find("dir/tokenizer.json: "), std::string::npos) << message;
  return message;
}

std::string error_after(const std::function<void(json&)>& change) {
  json pipeline = byte_tokenizer();
  change(pipeline);
  return error_of({pipeline.dump(), {}, {}});
}

#define EXPECT_ERROR(expression, part) EXPECT_NE((expression).find(part), std::string::npos) << (expression)

TEST(Malformed, NotJson) {
  EXPECT_ERROR(error_of({"", {}, {}}), "not valid JSON");
  EXPECT_ERROR(error_of({"{\"model\": {\"vocab\": {\"a\": 1}", {}, {}}), "not valid JSON at byte");
  EXPECT_ERROR(error_of({"[]", {}, {}}), "not a JSON object");
  EXPECT_ERROR(error_of({"{\"a\": \"\xFF\"}", {}, {}}), "not valid JSON");
  EXPECT_ERROR(error_of({std::string(100'000, '['), {}, {}}), "not valid JSON");
}

TEST(Malformed, MissingOrWronglyTypedParts) {
  EXPECT_ERROR(error_after([](json& p) { p.erase("model"); }), "model: an object is needed");
  EXPECT_ERROR(error_after([](json& p) { p["model"].erase("vocab"); }), "model.vocab");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["vocab"] = json::array(); }), "model.vocab");
  EXPECT_ERROR(error_after([](json& p) { p["model"].erase("merges"); }), "model.merges: an array is needed");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["merges"] = 3; }), "model.merges: an array is needed");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["type"] = "Unigram"; }),
               "'Unigram' is not supported; supported are BPE");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["dropout"] = 0.1; }), "model.dropout");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["unk_token"] = 0; }),
               "model.unk_token: a string is needed");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["fuse_unk"] = "yes"; }), "model.fuse_unk: true or false");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["end_of_word_suffix"] = "</w>"; }), "end_of_word_suffix");
  EXPECT_ERROR(error_after([](json& p) { p["version"] = "2.0"; }), "version");
  EXPECT_ERROR(error_after([](json& p) { p["added_tokens"] = "x"; }), "added_tokens: an array is needed");
}

TEST(Malformed, Vocabulary) {
  EXPECT_ERROR(error_after([](json& p) { p["model"]["vocab"]["new"] = -1; }),
               "id of 'new' is not an integer");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["vocab"]["new"] = 1.5; }),
               "id of 'new' is not an integer");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["vocab"]["new"] = json::object(); }),
               "id of 'new' is not an integer");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["vocab"]["new"] = 1 << 24; }),
               "'new' has the id 16777216");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["vocab"]["new"] = 0xFFFFFFFFFFFFFFFFU; }),
               "'new' has the id");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["vocab"]["new"] = (1 << 24) - 1; }),
               "has 257 tokens but ids up to");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["vocab"]["new"] = 7; }), "two tokens have the id 7");
  EXPECT_ERROR(error_of({R"({"model": {"vocab": {"a": 0, "a": 1}, "merges": []}})", {}, {}}),
               "'a' has two ids: 0 and 1");
}

TEST(Malformed, Merges) {
  EXPECT_ERROR(error_after([](json& p) { p["model"]["merges"] = json::array({"a b"}); }),
               "model.merges[0] ('a' and 'b'): 'ab' is not in");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["merges"] = json::array({"a xy"}); }),
               "'xy' is not in the vocabulary");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["merges"] = json::array({"ab"}); }),
               "not two tokens separated by one space");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["merges"] = json::array({json::array({"a"})}); }),
               "model.merges[0]");
  EXPECT_ERROR(error_after([](json& p) {
                 p["model"]["merges"] = json::array({json::array({"a", "b", "c"})});
               }),
               "model.merges[0]");
  EXPECT_ERROR(error_after([](json& p) { p["model"]["merges"] = json::array({1}); }), "model.merges[0]");
  EXPECT_ERROR(error_after([](json& p) {
                 p["model"]["merges"] = json::array({json::array({"a", json::array()})});
               }),
               "model.merges[0]");
}

TEST(Malformed, AddedTokens) {
  const auto with = [](const std::vector<json>& added) {
    return error_after([&](json& p) { p["added_tokens"] = added; });
  };
  EXPECT_ERROR(with({json{{"content", "<s>"}}}), "added_tokens[0].id: an integer");
  EXPECT_ERROR(with({json{{"id", 256}}}), "added_tokens[0].content: a string");
  EXPECT_ERROR(with({added_token("<s>", -1)}), "added_tokens[0].id");
  EXPECT_ERROR(with({added_token("<s>", 1 << 24)}), "added_tokens[0].id");
  EXPECT_ERROR(with({added_token("<s>", 256, {{"lstrip", 1}})}), "added_tokens[0].lstrip: true or false");
  EXPECT_ERROR(with({added_token("<s>", 256), added_token("<t>", 256)}), "contradicts");
  EXPECT_ERROR(with({added_token("<s>", 256), added_token("<s>", 257)}), "contradicts");
  EXPECT_ERROR(with({added_token("<s>", 97)}), "has the id 97 of 'a'");
  EXPECT_ERROR(with({added_token("a", 256)}), "but 97 in the vocabulary");
  EXPECT_ERROR(with({added_token(std::string(2000, 'x'), 256)}), "at most 1024");
  EXPECT_EQ(with({added_token("<s>", 256), added_token("<s>", 256), added_token("", 0)}), "no error");
}

TEST(Malformed, ComponentsAreNamedWithWhatIsSupported) {
  const auto with = [](const char* field, const json& value) {
    return error_after([&](json& p) { p[field] = value; });
  };
  EXPECT_ERROR(with("normalizer", {{"type", "Precompiled"}}),
               "normalizer: the normalizer 'Precompiled' is not supported; supported are Sequence");
  EXPECT_ERROR(with("pre_tokenizer", {{"type", "UnicodeScripts"}}),
               "pre-tokenizer 'UnicodeScripts' is not supported");
  EXPECT_ERROR(with("post_processor", {{"type", "BertProcessing"}}),
               "post-processor 'BertProcessing' is not supported");
  EXPECT_ERROR(with("decoder", {{"type", "WordPiece"}}), "decoder 'WordPiece' is not supported");
  EXPECT_ERROR(
      with("normalizer", {{"type", "Sequence"},
                          {"normalizers", json::array({json{{"type", "NFC"}}, json{{"type", "Nmt"}}})}}),
      "normalizer.normalizers[1]: ");
  EXPECT_ERROR(with("normalizer", "NFC"), "normalizer: an object is needed");
  EXPECT_ERROR(with("normalizer", {{"typ", "NFC"}}), "normalizer.type: a string is needed");
}

TEST(Malformed, ComponentFields) {
  const auto with = [](const char* field, const json& value) {
    return error_after([&](json& p) { p[field] = value; });
  };
  EXPECT_ERROR(with("normalizer", {{"type", "Prepend"}}), "normalizer.prepend: a string");
  EXPECT_ERROR(with("normalizer", {{"type", "Replace"}, {"pattern", {{"Glob", "*"}}}, {"content", ""}}),
               "normalizer.pattern: either");
  EXPECT_ERROR(with("normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", "("}}}, {"content", ""}}),
               "normalizer.pattern.Regex: the regular expression '(' is not valid");
  EXPECT_ERROR(
      with("pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Gone"}}),
      "split behavior 'Gone' is not supported");
  EXPECT_ERROR(with("pre_tokenizer", {{"type", "ByteLevel"}}),
               "pre_tokenizer.add_prefix_space: true or false");
  EXPECT_ERROR(with("pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "ab"}}),
               "replacement: a single character");
  EXPECT_ERROR(
      with("pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "last"}}),
      "always, first and never");
  EXPECT_ERROR(with("decoder", {{"type", "Strip"}, {"content", "_"}, {"start", -1}, {"stop", 0}}),
               "decoder.start: an integer");
  const json bos = {{"type", "TemplateProcessing"},
                    {"single", json::array({json{{"SpecialToken", {{"id", "<s>"}}}}})}};
  EXPECT_ERROR(with("post_processor", bos), "post_processor.special_tokens.<s>.ids: an array");
  json wrong_id = bos;
  wrong_id["special_tokens"] = {{"<s>", {{"ids", json::array({256})}}}};
  EXPECT_ERROR(with("post_processor", wrong_id), "an integer from 0 to 255 is needed");
}

TEST(Malformed, DeepNestingIsAnError) {
  json normalizer = {{"type", "NFC"}};
  json decoder = {{"type", "Fuse"}};
  for (int i = 0; i < 1000; ++i) {
    normalizer = {{"type", "Sequence"}, {"normalizers", json::array({normalizer})}};
    decoder = {{"type", "Sequence"}, {"decoders", json::array({decoder})}};
  }
  EXPECT_ERROR(error_after([&](json& p) { p["normalizer"] = normalizer; }), "nested too deeply");
  EXPECT_ERROR(error_after([&](json& p) { p["decoder"] = decoder; }), "nested too deeply");
}

// Forty steps that each make a text at least twice as long would need 2^40 bytes.
TEST(Malformed, StepsThatLengthenATextWithoutEndAreAnError) {
  json normalizers = json::array();
  json pre_tokenizers = json::array();
  for (int i = 0; i < 40; ++i) {
    normalizers.push_back(
        {{"type", "Replace"}, {"pattern", {{"Regex", "."}}}, {"content", std::string(1000, 'x')}});
    pre_tokenizers.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
  }
  json replacing = byte_tokenizer();
  replacing["normalizer"] = {{"type", "Sequence"}, {"normalizers", normalizers}};
  const auto replaced = from_json(replacing).encode("abc");
  ASSERT_FALSE(replaced.ok());
  EXPECT_ERROR(replaced.error().message, "longer than");
  json mapping = byte_tokenizer();
  mapping["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", pre_tokenizers}};
  const auto mapped = from_json(mapping).encode(std::string(1000, '\n'));
  ASSERT_FALSE(mapped.ok());
  EXPECT_ERROR(mapped.error().message, "longer than");
}

TEST(Malformed, ListsBesideThePipeline) {
  const std::string rest = R"({"model": {"type": "BPE"}})";
  EXPECT_EQ(error_of({rest, {"a", "b", "", "ab"}, {"a b"}}), "no error");
  EXPECT_ERROR(error_of({rest, {"a", "b"}, {"a b"}}), "'ab' is not in the vocabulary");
  EXPECT_ERROR(error_of({rest, {"a", "a"}, {"a a"}}), "the token 'a' has two ids: 0 and 1");
  EXPECT_ERROR(error_of({rest, {"a", "\xFF"}, {"a a"}}), "token 1 is not valid UTF-8");
  EXPECT_ERROR(error_of({rest, {"a", "aa"}, {"a a", "a\xFF a"}}), "merge 1 is not valid UTF-8");
  EXPECT_ERROR(error_of({rest, {"a", "aa"}, {}}), "model.merges: an array is needed");
  EXPECT_ERROR(error_of({byte_tokenizer().dump(), {"a"}, {}}), "either model.vocab or a list of tokens");
}

}  // namespace
}  // namespace sterna::testing
