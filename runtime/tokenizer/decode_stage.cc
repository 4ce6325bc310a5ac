#include "runtime/tokenizer/decode_stage.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

class OutputStage final : public DecodeStage {
 public:
  explicit OutputStage(std::string& out) : out_(out) {}
  void push(std::string_view token) override { out_ += token; }

 private:
  std::string& out_;
};

// Behind a fused stream, for a step that has to see the token as a whole.
class GatherStage final : public DecodeStage {
 public:
  void push(std::string_view token) override { text_ += token; }
  void finish() override { emit(text_); }

 private:
  std::string text_;
};

class FuseStage final : public DecodeStage {
 public:
  void push(std::string_view token) override { emit(token); }
};

class JoinStage final : public DecodeStage {
 public:
  void push(std::string_view token) override {
    if (!first_) emit(" ");
    first_ = false;
    emit(token);
  }

 private:
  bool first_ = true;
};

class ReplaceStage final : public DecodeStage {
 public:
  explicit ReplaceStage(const ReplaceDecoder& step) : step_(step) {}
  void push(std::string_view token) override {
    RegexScratch scratch(token.size());
    const auto replaced = step_.pattern.replace_all(token, step_.content, scratch);
    emit(replaced ? std::string_view(*replaced) : token);  // an expression that gives up replaces nothing
  }

 private:
  const ReplaceDecoder& step_;
};

// <0xE3> <0x81> <0x82> are the bytes of one character. A run of byte tokens that is not valid UTF-8 as a
// whole becomes one U+FFFD for each byte; so nothing of a run is certain before its end.
class ByteFallbackStage final : public DecodeStage {
 public:
  void push(std::string_view token) override {
    if (const auto byte = byte_of(token)) {
      run_ += *byte;
      return;
    }
    finish();
    emit(token);
  }
  void finish() override {
    if (run_.empty()) return;
    if (is_valid_utf8(run_)) {
      emit(run_);
    } else {
      for (std::size_t i = 0; i < run_.size(); ++i) emit(kReplacement);
    }
    run_.clear();
  }

 private:
  static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  }
  static std::optional<char> byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
    const int high = token[3] == '+' ? 0 : digit(token[3]);  // "+F" is a number where this comes from
    const int low = digit(token[4]);
    if (high < 0 || low < 0) return std::nullopt;
    return static_cast<char>(high * 16 + low);
  }
  std::string run_;
};

class ByteLevelStage final : public DecodeStage {
 public:
  void push(std::string_view token) override {
    std::string bytes;
    append_token_bytes(bytes, token);
    std::string text;
    utf8_.push(bytes, text);
    if (!text.empty()) emit(text);
  }
  void finish() override {
    std::string text;
    utf8_.finish(text);
    if (!text.empty()) emit(text);
  }

 private:
  LossyUtf8 utf8_;
};

class MetaspaceStage final : public DecodeStage {
 public:
  MetaspaceStage(const MetaspaceOptions& options, bool fused) : options_(options), fused_(fused) {}
  void push(std::string_view token) override {
    const bool drop = first_ && options_.prepend != MetaspacePrepend::kNever;
    std::string text;
    for (std::size_t i = 0; i < token.size();) {
      if (token.substr(i).starts_with(options_.replacement)) {
        if (!drop) text += ' ';
        i += options_.replacement.size();
      } else {
        text += token[i++];
      }
    }
    first_ = fused_;
    emit(text);
  }

 private:
  const MetaspaceOptions& options_;
  bool fused_;
  bool first_ = true;
};

// Removes up to `start` characters from the beginning and up to `stop` from the end of a token.
class StripStage final : public DecodeStage {
 public:
  StripStage(const StripDecoder& step, bool fused) : step_(step), fused_(fused), start_left_(step.start) {}
  void push(std::string_view token) override {
    if (!fused_) start_left_ = step_.start;
    const std::string_view mark = step_.content;
    while (start_left_ > 0 && token.starts_with(mark)) {
      token.remove_prefix(mark.size());
      --start_left_;
    }
    if (!token.empty()) start_left_ = 0;
    // At most `stop` marks at the end are held back, for they may turn out to be the end of the whole.
    std::string_view body = token;
    std::size_t trailing = 0;
    while (trailing < step_.stop && body.ends_with(mark)) {
      body.remove_suffix(mark.size());
      ++trailing;
    }
    if (!fused_) {
      emit(body);
    } else {
      push_fused(body, trailing);
    }
  }
  void finish() override { held_ = 0; }

 private:
  void push_fused(std::string_view body, std::size_t trailing) {
    if (!body.empty()) {
      emit_marks(held_);
      emit(body);
      held_ = trailing;
      return;
    }
    const std::size_t marks = held_ + trailing;
    held_ = std::min(marks, step_.stop);
    emit_marks(marks - held_);
  }
  void emit_marks(std::size_t count) {
    for (; count > 0; --count) emit(step_.content);
  }

  const StripDecoder& step_;
  bool fused_;
  std::size_t start_left_;
  std::size_t held_ = 0;
};

// Whether all that comes out of the step is one token.
bool fuses(const DecoderStep& step) {
  return std::holds_alternative<FuseDecoder>(step) || std::holds_alternative<ByteLevelDecoder>(step);
}

// Whether the step can work on the parts of a token.
bool works_on_parts(const DecoderStep& step) {
  return std::holds_alternative<FuseDecoder>(step) || std::holds_alternative<StripDecoder>(step) ||
         std::holds_alternative<MetaspaceOptions>(step);
}

struct StageMaker {
  bool fused;  // whether the stage's input is one token in parts

  std::unique_ptr<DecodeStage> operator()(const ReplaceDecoder& s) const {
    return std::make_unique<ReplaceStage>(s);
  }
  std::unique_ptr<DecodeStage> operator()(const ByteFallbackDecoder& /*step*/) const {
    return std::make_unique<ByteFallbackStage>();
  }
  std::unique_ptr<DecodeStage> operator()(const ByteLevelDecoder& /*step*/) const {
    return std::make_unique<ByteLevelStage>();
  }
  std::unique_ptr<DecodeStage> operator()(const FuseDecoder& /*step*/) const {
    return std::make_unique<FuseStage>();
  }
  std::unique_ptr<DecodeStage> operator()(const StripDecoder& s) const {
    return std::make_unique<StripStage>(s, fused);
  }
  std::unique_ptr<DecodeStage> operator()(const MetaspaceOptions& s) const {
    return std::make_unique<MetaspaceStage>(s, fused);
  }
  std::unique_ptr<DecodeStage> operator()(const JoinDecoder& /*step*/) const {
    return std::make_unique<JoinStage>();
  }
};

}  // namespace

std::vector<std::unique_ptr<DecodeStage>> make_stages(const std::vector<DecoderStep>& steps,
                                                      std::string& out) {
  std::vector<std::unique_ptr<DecodeStage>> stages;
  bool fused = false;
  for (const DecoderStep& step : steps) {
    if (fused && !works_on_parts(step)) {
      stages.push_back(std::make_unique<GatherStage>());
    }
    stages.push_back(std::visit(StageMaker{fused}, step));
    fused = fused || fuses(step);
  }
  stages.push_back(std::make_unique<OutputStage>(out));
  for (std::size_t i = 0; i + 1 < stages.size(); ++i) stages[i]->set_next(stages[i + 1].get());
  return stages;
}

}  // namespace sterna::runtime::tokenization
