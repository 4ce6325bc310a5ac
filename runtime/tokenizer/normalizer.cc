#include "runtime/tokenizer/normalizer.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "runtime/tokenizer/pattern.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

namespace {

using NormalizerPtr = std::unique_ptr<Normalizer>;

class SequenceNormalizer final : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<NormalizerPtr> steps) : steps_(std::move(steps)) {}
  Status apply(NormalizedText& text, RegexScratch& scratch) const override {
    for (const auto& step : steps_) STERNA_CHECK(step->apply(text, scratch));
    return {};
  }

 private:
  std::vector<NormalizerPtr> steps_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  Status apply(NormalizedText& text, RegexScratch& /*scratch*/) const override {
    if (!text.text.empty()) text.text.insert(0, prefix_);
    return {};
  }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  Status apply(NormalizedText& text, RegexScratch& scratch) const override {
    bool removed_front = false;
    STERNA_TRY(text.text, pattern_.replace_all(text.text, content_, scratch, &removed_front));
    text.at_origin = text.at_origin && !removed_front;
    return {};
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  Status apply(NormalizedText& text, RegexScratch& /*scratch*/) const override {
    const std::string_view all = text.text;
    std::size_t begin = 0;
    std::size_t end = all.size();
    while (right_ && end > begin && is_white_space(code_point_before(all, end).value)) {
      end -= code_point_before(all, end).length;
    }
    while (left_ && begin < end && is_white_space(code_point_at(all, begin).value)) {
      begin += code_point_at(all, begin).length;
    }
    text.text.erase(end);
    text.text.erase(0, begin);
    text.at_origin = text.at_origin && begin == 0;
    return {};
  }

 private:
  bool left_, right_;
};

class Lowercase final : public Normalizer {
  Status apply(NormalizedText& text, RegexScratch& /*scratch*/) const override {
    text.text = to_lower(text.text);
    return {};
  }
};

class UnicodeForm final : public Normalizer {
 public:
  explicit UnicodeForm(NormalForm form) : form_(form) {}
  Status apply(NormalizedText& text, RegexScratch& /*scratch*/) const override {
    text.text = to_normal_form(text.text, form_);
    return {};
  }

 private:
  NormalForm form_;
};

Result<NormalizerPtr> parse_sequence(const Field& field) {
  const Field list = field["normalizers"];
  STERNA_CHECK(list.require_array());
  std::vector<NormalizerPtr> steps;
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    STERNA_TRY(NormalizerPtr step, parse_normalizer(list[i]));
    if (step) steps.push_back(std::move(step));
  }
  return NormalizerPtr(std::make_unique<SequenceNormalizer>(std::move(steps)));
}

Result<NormalizerPtr> parse_replace(const Field& field) {
  STERNA_TRY(Pattern pattern, Pattern::parse(field["pattern"]));
  STERNA_TRY(std::string content, field["content"].string());
  return NormalizerPtr(std::make_unique<Replace>(std::move(pattern), std::move(content)));
}

Result<NormalizerPtr> parse_strip(const Field& field) {
  STERNA_TRY(const bool left, field["strip_left"].boolean());
  STERNA_TRY(const bool right, field["strip_right"].boolean());
  return NormalizerPtr(std::make_unique<Strip>(left, right));
}

}  // namespace

Result<NormalizerPtr> parse_normalizer(const Field& field) {
  if (field.is_null()) return NormalizerPtr();
  STERNA_CHECK(field.require_object());
  if (field.depth() > kDeepestComponent) return field.error("normalizers are nested too deeply");
  STERNA_TRY(const std::string type, field["type"].string());
  if (type == "Sequence") return parse_sequence(field);
  if (type == "Replace") return parse_replace(field);
  if (type == "Strip") return parse_strip(field);
  if (type == "Prepend") {
    STERNA_TRY(std::string prefix, field["prepend"].string());
    return NormalizerPtr(std::make_unique<Prepend>(std::move(prefix)));
  }
  if (type == "Lowercase") return NormalizerPtr(std::make_unique<Lowercase>());
  constexpr std::pair<std::string_view, NormalForm> kForms[] = {{"NFC", NormalForm::kNfc},
                                                                {"NFD", NormalForm::kNfd},
                                                                {"NFKC", NormalForm::kNfkc},
                                                                {"NFKD", NormalForm::kNfkd}};
  for (const auto& [name, form] : kForms) {
    if (type == name) return NormalizerPtr(std::make_unique<UnicodeForm>(form));
  }
  return field.unsupported("normalizer", type,
                           "Sequence, Prepend, Replace, Strip, NFC, NFD, NFKC, NFKD and Lowercase");
}

}  // namespace sterna::runtime::tokenization
