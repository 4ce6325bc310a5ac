#include "convert/export_tokens.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "runtime/format.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::convert {
namespace {

using nlohmann::json;
using runtime::TokenId;
using runtime::Tokenizer;

// As GGUF numbers them.
enum TokenType : std::int32_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

constexpr std::string_view kSpaceMark = "\u2581";
constexpr std::string_view kLlama3Split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const json& member(const json& object, const char* name) {
  static const json none;
  const auto it = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && it != object.end() ? *it : none;
}

bool is(const json& object, const char* name, const json& value) { return member(object, name) == value; }

// The steps of a component: itself, or the members of a Sequence; none for null.
std::vector<json> steps_of(const json& component, const char* list) {
  if (component.is_null()) return {};
  if (!is(component, "type", "Sequence")) return {component};
  const json& steps = member(component, list);
  return {steps.begin(), steps.end()};
}

bool is_byte_level(const json& step, bool use_regex) {
  return is(step, "type", "ByteLevel") && !is(step, "add_prefix_space", true) &&
         (member(step, "use_regex").is_null() || is(step, "use_regex", true)) == use_regex;
}

bool is_split(const json& step, std::string_view regex) {
  return is(step, "type", "Split") && is(member(step, "pattern"), "Regex", regex) &&
         is(step, "behavior", "Isolated") && !is(step, "invert", true);
}

// How SentencePiece would write a text: a mark for every space, and one in front of the text or not.
struct SpaceMarks {
  bool in_front = false;
  std::vector<std::string> others;  // steps that llama.cpp leaves out
};

Result<SpaceMarks> space_marks(const json& pipeline, const std::string& where) {
  SpaceMarks marks;
  bool replaced = false;
  for (const json& step : steps_of(member(pipeline, "normalizer"), "normalizers")) {
    if (is(step, "type", "Prepend") && is(step, "prepend", kSpaceMark)) {
      marks.in_front = true;
    } else if (is(step, "type", "Replace") && is(member(step, "pattern"), "String", " ") &&
               is(step, "content", kSpaceMark)) {
      replaced = true;
    } else {
      marks.others.push_back(member(step, "type").is_string() ? member(step, "type").get<std::string>()
                                                              : "?");
    }
  }
  for (const json& step : steps_of(member(pipeline, "pre_tokenizer"), "pretokenizers")) {
    if (!is(step, "type", "Metaspace") || !is(step, "replacement", kSpaceMark)) {
      return fail("{}: llama.cpp's SentencePiece tokenizer has no pre-tokenizer '{}'", where,
                  member(step, "type").dump(-1, ' ', false, json::error_handler_t::replace));
    }
    replaced = true;
    marks.in_front |= !is(step, "prepend_scheme", "never") && !is(step, "add_prefix_space", false);
  }
  if (!replaced) return fail("{}: the tokenizer does not mark spaces as SentencePiece does", where);
  return marks;
}

// llama.cpp joins the two neighbours whose token has the best score, a BPE the two whose merge comes first:
// the same, when a token's score falls with the first merge that makes it.
std::vector<float> scores_of(const Tokenizer& tokenizer, const std::vector<std::string>& merges,
                             std::size_t count) {
  std::unordered_map<std::string, std::size_t> first;
  first.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    std::string joined = merges[i];
    joined.erase(joined.find(' '), 1);
    first.emplace(std::move(joined), i);
  }
  std::vector<float> scores(count, 0.0F);
  for (std::size_t id = 0; id < count; ++id) {
    const auto token = static_cast<TokenId>(id);
    const auto found = first.find(std::string(tokenizer.token(token)));
    const std::size_t rank = found == first.end() ? merges.size() : found->second;
    if (!tokenizer.is_special(token)) scores[id] = -static_cast<float>(rank + 1);
  }
  return scores;
}

class TokenKeys {
 public:
  TokenKeys(GgufHeader& header, const runtime::ModelConfig& config, const runtime::TextParts& text,
            const std::string& where, const Tokenizer& tokenizer)
      : header_(header),
        config_(config),
        text_(text),
        where_(where),
        tokenizer_(tokenizer),
        pipeline_(json::parse(text.tokenizer.pipeline, nullptr, false)),
        model_(member(pipeline_, "model")),
        unknown_(member(model_, "unk_token").is_string()
                     ? tokenizer.id_of(member(model_, "unk_token").get<std::string>())
                     : std::nullopt) {}

  Status add(const std::string& pre_tokenizer, std::vector<std::string>& notes) {
    namespace key = runtime::key;
    byte_fallback_ = is(model_, "byte_fallback", true);
    const std::vector<std::string>& merges = text_.tokenizer.merges;
    if (merges.empty() && member(model_, "merges").is_array() && !member(model_, "merges").empty()) {
      return fail("{}: the tokenizer merges tokens with spaces, which llama.cpp's list of merges cannot say",
                  where_);
    }
    STERNA_CHECK(byte_fallback_ ? add_sentencepiece(notes) : add_byte_level(pre_tokenizer, notes));
    add_tokens();
    if (!byte_fallback_) header_.add(key::merges, merges);
    if (byte_fallback_) {
      header_.add("tokenizer.ggml.scores",
                  std::span<const float>(scores_of(tokenizer_, merges, config_.vocab)));
    }
    if (unknown_) header_.add("tokenizer.ggml.unknown_token_id", static_cast<std::uint32_t>(*unknown_));
    STERNA_CHECK(add_frame(notes));
    add_stops();
    if (!text_.chat_template.empty()) header_.add(key::chat_template, std::string_view(text_.chat_template));
    return {};
  }

 private:
  Status add_byte_level(const std::string& pre_tokenizer, std::vector<std::string>& notes) {
    std::string name = pre_tokenizer.empty() ? peer_pre_tokenizer(text_.tokenizer.pipeline) : pre_tokenizer;
    // Without merges every byte is a token, however texts are split.
    if (name.empty() && text_.tokenizer.merges.empty()) name = "gpt-2";
    if (name.empty()) {
      return fail(
          "{}: the tokenizer splits texts in a way that Sterna knows no name of llama.cpp's for; give "
          "it with --pre",
          where_);
    }
    for (const json& step : steps_of(member(pipeline_, "normalizer"), "normalizers"))
      add_note(member(step, "type"), notes);
    header_.add(runtime::key::tokenizer_model, std::string_view("gpt2"));
    header_.add("tokenizer.ggml.pre", std::string_view(name));
    return {};
  }

  Status add_sentencepiece(std::vector<std::string>& notes) {
    STERNA_TRY(const SpaceMarks marks, space_marks(pipeline_, where_));
    for (const std::string& step : marks.others) add_note(step, notes);
    header_.add(runtime::key::tokenizer_model, std::string_view("llama"));
    header_.add("tokenizer.ggml.pre", std::string_view("default"));
    header_.add("tokenizer.ggml.add_space_prefix", marks.in_front);
    return {};
  }

  static void add_note(const json& step, std::vector<std::string>& notes) {
    notes.push_back(
        fmt::format("llama.cpp leaves out the tokenizer's step '{}': unusual texts may have other tokens",
                    step.is_string() ? step.get<std::string>() : "?"));
  }

  [[nodiscard]] TokenType type_of(TokenId id, const std::unordered_set<TokenId>& added) const {
    const std::string_view token = tokenizer_.token(id);
    if (token.empty()) return kUnused;
    if (byte_fallback_ && unknown_ == id) return kUnknown;
    if (tokenizer_.is_special(id)) return kControl;
    if (byte_fallback_ && token.size() == 6 && token.starts_with("<0x") && token.ends_with(">")) return kByte;
    return added.contains(id) ? kUserDefined : kNormal;
  }

  void add_tokens() {
    std::unordered_set<TokenId> added;
    for (const json& token : member(pipeline_, "added_tokens"))
      added.insert(member(token, "id").get<TokenId>());
    std::vector<std::string> tokens(config_.vocab);
    std::vector<std::int32_t> types(config_.vocab);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      types[i] = type_of(id, added);
      tokens[i] = tokenizer_.token(id);
      if (!tokens[i].empty()) continue;
      tokens[i] = fmt::format("[UNUSED_{}]", i);  // every token must have a text of its own
      while (tokenizer_.id_of(tokens[i])) tokens[i] += ']';
    }
    header_.add(runtime::key::tokens, tokens);
    header_.add(runtime::key::token_types, types);
  }

  // What the post-processor puts around a text, read off an empty one.
  Status add_frame(std::vector<std::string>& notes) {
    STERNA_TRY(const std::vector<TokenId> frame, tokenizer_.encode(""));
    const bool bos = !frame.empty() && (config_.bos < 0 || frame.front() == config_.bos);
    const TokenId bos_id = bos ? frame.front() : config_.bos;
    if (frame.size() > (bos ? 1U : 0U)) {
      notes.emplace_back("llama.cpp does not write all tokens that this tokenizer puts around a text");
    }
    if (bos_id >= 0) header_.add(runtime::key::bos_id, static_cast<std::uint32_t>(bos_id));
    header_.add("tokenizer.ggml.add_bos_token", bos);
    header_.add("tokenizer.ggml.add_eos_token", false);
    return {};
  }

  // The end of a text, and the end of a turn where the model has another token for that.
  void add_stops() {
    const std::vector<std::int32_t>& stops = config_.stop_tokens;
    if (stops.empty()) return;
    const std::optional<TokenId> named = tokenizer_.id_of(text_.eos_text);
    const bool known = named && std::find(stops.begin(), stops.end(), *named) != stops.end();
    const std::int32_t end = known ? *named : stops.front();
    header_.add(runtime::key::eos_id, static_cast<std::uint32_t>(end));
    const auto turn = std::find_if(stops.begin(), stops.end(), [&](std::int32_t id) { return id != end; });
    if (turn != stops.end()) header_.add("tokenizer.ggml.eot_token_id", static_cast<std::uint32_t>(*turn));
  }

  GgufHeader& header_;
  const runtime::ModelConfig& config_;
  const runtime::TextParts& text_;
  const std::string& where_;
  const Tokenizer& tokenizer_;
  json pipeline_;
  const json& model_;
  std::optional<TokenId> unknown_;
  bool byte_fallback_ = false;
};

}  // namespace

std::string peer_pre_tokenizer(std::string_view text) {
  const json pipeline = json::parse(text, nullptr, false);
  const std::vector<json> steps = steps_of(member(pipeline, "pre_tokenizer"), "pretokenizers");
  const bool ignores_merges = is(member(pipeline, "model"), "ignore_merges", true);
  if (steps.size() == 2 && is_split(steps[0], kLlama3Split) && is_byte_level(steps[1], false)) {
    return ignores_merges ? "llama-bpe" : "smaug-bpe";
  }
  if (ignores_merges) return "";  // a property of the names in llama.cpp, and only of that one here
  if (steps.size() == 2 && is_split(steps[0], kQwen2Split) && is_byte_level(steps[1], false)) return "qwen2";
  if (steps.size() == 1 && is_byte_level(steps[0], true)) return "gpt-2";
  if (steps.size() == 2 && is(steps[0], "type", "Digits") && is(steps[0], "individual_digits", true) &&
      is_byte_level(steps[1], true)) {
    return "smollm";
  }
  return "";
}

Status add_token_keys(GgufHeader& header, const runtime::ModelConfig& config, const runtime::TextParts& text,
                      const std::string& where, const std::string& pre_tokenizer,
                      std::vector<std::string>& notes) {
  STERNA_TRY(const Tokenizer tokenizer, Tokenizer::create(text.tokenizer, where));
  if (tokenizer.vocab_size() > config.vocab) {
    return fail("{}: the tokenizer has ids up to {}, but the embedding has only {} rows", where,
                tokenizer.vocab_size() - 1, config.vocab);
  }
  return TokenKeys(header, config, text, where, tokenizer).add(pre_tokenizer, notes);
}

}  // namespace sterna::convert
