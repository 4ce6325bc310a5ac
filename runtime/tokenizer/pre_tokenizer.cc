#include "runtime/tokenizer/pre_tokenizer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/limits.h"
#include "runtime/tokenizer/metaspace.h"
#include "runtime/tokenizer/pattern.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

namespace {

using PreTokenizerPtr = std::unique_ptr<PreTokenizer>;

// GPT-2's expression for ByteLevel with "use_regex".
constexpr std::string_view kByteLevelRegex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Splits every piece. `find`: Result<std::vector<Part>>(std::string_view piece).
template <class Find>
Status split_pieces(PreTokenizedText& text, SplitBehavior behavior, Find find) {
  std::vector<Span> pieces;
  pieces.reserve(text.pieces.size());
  for (const Span whole : text.pieces) {
    STERNA_TRY(const std::vector<Part> parts, find(text.piece(whole)));
    for (const Span part : apply_behavior(parts, behavior)) {
      if (!part.empty()) pieces.push_back({whole.begin + part.begin, whole.begin + part.end});
    }
  }
  text.at_origin = text.at_origin && !pieces.empty() && pieces[0].begin == text.pieces[0].begin;
  text.pieces = std::move(pieces);
  return {};
}

// Replaces the text of every piece. `rewrite`: void(std::string_view piece, bool first, std::string& out).
template <class Rewrite>
void rewrite_pieces(PreTokenizedText& text, Rewrite rewrite) {
  std::string out;
  out.reserve(text.text.size() + text.text.size() / 2);
  bool first = true;
  for (Span& span : text.pieces) {
    const std::size_t begin = out.size();
    rewrite(text.piece(span), first, out);
    span = {begin, out.size()};
    first = false;
  }
  text.text = std::move(out);
}

class SequencePreTokenizer final : public PreTokenizer {
 public:
  explicit SequencePreTokenizer(std::vector<PreTokenizerPtr> steps) : steps_(std::move(steps)) {}
  Status apply(PreTokenizedText& text, RegexScratch& scratch) const override {
    for (const auto& step : steps_) STERNA_CHECK(step->apply(text, scratch));
    return {};
  }

 private:
  std::vector<PreTokenizerPtr> steps_;
};

class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  Status apply(PreTokenizedText& text, RegexScratch& scratch) const override {
    std::vector<Span> matches;
    return split_pieces(text, behavior_, [&](std::string_view piece) -> Result<std::vector<Part>> {
      matches.clear();
      STERNA_CHECK(pattern_.find_all(piece, scratch, matches));
      std::vector<Part> parts = parts_of(piece, matches);
      for (Part& part : parts) part.is_match = part.is_match != invert_;
      return parts;
    });
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// Digits, WhitespaceSplit and Punctuation: single characters are the matches.
class CharacterSplit final : public PreTokenizer {
 public:
  CharacterSplit(bool (*predicate)(char32_t), SplitBehavior behavior)
      : predicate_(predicate), behavior_(behavior) {}
  Status apply(PreTokenizedText& text, RegexScratch& /*scratch*/) const override {
    return split_pieces(text, behavior_, [&](std::string_view piece) -> Result<std::vector<Part>> {
      return parts_by_character(piece, predicate_);
    });
  }

 private:
  bool (*predicate_)(char32_t);
  SplitBehavior behavior_;
};

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, PreTokenizerPtr split)
      : add_prefix_space_(add_prefix_space), split_(std::move(split)) {}
  Status apply(PreTokenizedText& text, RegexScratch& scratch) const override {
    if (text.text.size() > kLongestText) return fail("byte-level text is longer than {} bytes", kLongestText);
    if (add_prefix_space_) {
      rewrite_pieces(text, [](std::string_view piece, bool /*first*/, std::string& out) {
        if (!piece.starts_with(' ')) out += ' ';
        out += piece;
      });
    }
    if (split_) STERNA_CHECK(split_->apply(text, scratch));
    rewrite_pieces(text, [](std::string_view piece, bool /*first*/, std::string& out) {
      append_byte_characters(out, piece);
    });
    return {};
  }

 private:
  bool add_prefix_space_;
  PreTokenizerPtr split_;  // null without use_regex
};

class Metaspace final : public PreTokenizer {
 public:
  explicit Metaspace(MetaspaceOptions options) : options_(std::move(options)) {}
  Status apply(PreTokenizedText& text, RegexScratch& /*scratch*/) const override {
    const std::string& mark = options_.replacement;
    rewrite_pieces(text, [&](std::string_view piece, bool first, std::string& out) {
      const bool marked = piece.starts_with(' ') || piece.starts_with(mark);
      const bool wanted = options_.prepend == MetaspacePrepend::kAlways ||
                          (options_.prepend == MetaspacePrepend::kFirst && first && text.at_origin);
      if (wanted && !marked) out += mark;
      for (const char c : piece) c == ' ' ? out += mark : out += c;
    });
    if (!options_.split) return {};
    return split_pieces(text, SplitBehavior::kMergedWithNext,
                        [&](std::string_view piece) -> Result<std::vector<Part>> {
                          std::vector<Span> matches;
                          for (std::size_t at = piece.find(mark); at != std::string_view::npos;
                               at = piece.find(mark, at + mark.size())) {
                            matches.push_back({at, at + mark.size()});
                          }
                          return parts_of(piece, matches);
                        });
  }

 private:
  MetaspaceOptions options_;
};

// Runs of word characters and runs of what is neither word character nor white space.
class Whitespace final : public PreTokenizer {
 public:
  Status apply(PreTokenizedText& text, RegexScratch& scratch) const override {
    STERNA_CHECK(spaces_.apply(text, scratch));
    return words_.apply(text, scratch);
  }

 private:
  CharacterSplit spaces_{&is_white_space, SplitBehavior::kRemoved};
  CharacterSplit words_{&is_word, SplitBehavior::kContiguous};
};

Result<PreTokenizerPtr> parse_sequence(const Field& field) {
  const Field list = field["pretokenizers"];
  STERNA_CHECK(list.require_array());
  std::vector<PreTokenizerPtr> steps;
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    STERNA_TRY(PreTokenizerPtr step, parse_pre_tokenizer(list[i]));
    if (step) steps.push_back(std::move(step));
  }
  return PreTokenizerPtr(std::make_unique<SequencePreTokenizer>(std::move(steps)));
}

Result<PreTokenizerPtr> parse_split(const Field& field) {
  STERNA_TRY(Pattern pattern, Pattern::parse(field["pattern"]));
  STERNA_TRY(const SplitBehavior behavior, parse_split_behavior(field["behavior"]));
  STERNA_TRY(const bool invert, field["invert"].boolean_or(false));
  return PreTokenizerPtr(std::make_unique<Split>(std::move(pattern), behavior, invert));
}

Result<PreTokenizerPtr> parse_byte_level(const Field& field) {
  STERNA_TRY(const bool add_prefix_space, field["add_prefix_space"].boolean());
  STERNA_TRY(const bool use_regex, field["use_regex"].boolean_or(true));
  PreTokenizerPtr split;
  if (use_regex) {
    STERNA_TRY(Pattern pattern, Pattern::regex(kByteLevelRegex, field.jit()));
    split = std::make_unique<Split>(std::move(pattern), SplitBehavior::kIsolated, false);
  }
  return PreTokenizerPtr(std::make_unique<ByteLevel>(add_prefix_space, std::move(split)));
}

Result<PreTokenizerPtr> parse_digits(const Field& field) {
  STERNA_TRY(const bool individual, field["individual_digits"].boolean());
  return PreTokenizerPtr(std::make_unique<CharacterSplit>(
      &is_numeric, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
}

Result<PreTokenizerPtr> parse_punctuation(const Field& field) {
  const Field behavior = field["behavior"];
  if (behavior.is_null()) {
    return PreTokenizerPtr(std::make_unique<CharacterSplit>(&is_punctuation, SplitBehavior::kIsolated));
  }
  STERNA_TRY(const SplitBehavior given, parse_split_behavior(behavior));
  return PreTokenizerPtr(std::make_unique<CharacterSplit>(&is_punctuation, given));
}

}  // namespace

Result<PreTokenizerPtr> parse_pre_tokenizer(const Field& field) {
  if (field.is_null()) return PreTokenizerPtr();
  STERNA_CHECK(field.require_object());
  if (field.depth() > kDeepestComponent) return field.error("pre-tokenizers are nested too deeply");
  STERNA_TRY(const std::string type, field["type"].string());
  if (type == "Sequence") return parse_sequence(field);
  if (type == "Split") return parse_split(field);
  if (type == "ByteLevel") return parse_byte_level(field);
  if (type == "Digits") return parse_digits(field);
  if (type == "Punctuation") return parse_punctuation(field);
  if (type == "Whitespace") return PreTokenizerPtr(std::make_unique<Whitespace>());
  if (type == "WhitespaceSplit") {
    return PreTokenizerPtr(std::make_unique<CharacterSplit>(&is_white_space, SplitBehavior::kRemoved));
  }
  if (type == "Metaspace") {
    STERNA_TRY(MetaspaceOptions options, parse_metaspace(field));
    return PreTokenizerPtr(std::make_unique<Metaspace>(std::move(options)));
  }
  return field.unsupported(
      "pre-tokenizer", type,
      "Sequence, Split, Digits, ByteLevel, Metaspace, Whitespace, WhitespaceSplit and Punctuation");
}

}  // namespace sterna::runtime::tokenization
