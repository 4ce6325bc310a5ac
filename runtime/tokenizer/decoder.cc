#include "runtime/tokenizer/decoder.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/tokenizer/decode_stage.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

namespace {

Status add_steps(const Field& field, std::vector<DecoderStep>& steps);

Status add_sequence(const Field& field, std::vector<DecoderStep>& steps) {
  const Field list = field["decoders"];
  STERNA_CHECK(list.require_array());
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    if (list[i].is_null()) return list[i].error("a decoder is needed");
    STERNA_CHECK(add_steps(list[i], steps));
  }
  return {};
}

Status add_strip(const Field& field, std::vector<DecoderStep>& steps) {
  StripDecoder strip;
  STERNA_TRY(const char32_t content, field["content"].character());
  append_utf8(strip.content, content);
  STERNA_TRY(const std::int64_t start, field["start"].integer(0, INT32_MAX));
  STERNA_TRY(const std::int64_t stop, field["stop"].integer(0, INT32_MAX));
  strip.start = static_cast<std::size_t>(start);
  strip.stop = static_cast<std::size_t>(stop);
  steps.emplace_back(std::move(strip));
  return {};
}

Status add_steps(const Field& field, std::vector<DecoderStep>& steps) {
  STERNA_CHECK(field.require_object());
  if (field.depth() > kDeepestComponent) return field.error("decoders are nested too deeply");
  STERNA_TRY(const std::string type, field["type"].string());
  if (type == "Sequence") return add_sequence(field, steps);
  if (type == "Strip") return add_strip(field, steps);
  if (type == "Replace") {
    STERNA_TRY(Pattern pattern, Pattern::parse(field["pattern"]));
    STERNA_TRY(std::string content, field["content"].string());
    steps.emplace_back(ReplaceDecoder{std::move(pattern), std::move(content)});
  } else if (type == "Metaspace") {
    STERNA_TRY(MetaspaceOptions options, parse_metaspace(field));
    steps.emplace_back(std::move(options));
  } else if (type == "ByteLevel") {
    steps.emplace_back(ByteLevelDecoder{});
  } else if (type == "ByteFallback") {
    steps.emplace_back(ByteFallbackDecoder{});
  } else if (type == "Fuse") {
    steps.emplace_back(FuseDecoder{});
  } else {
    return field.unsupported("decoder", type,
                             "Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip and Metaspace");
  }
  return {};
}

}  // namespace

Result<std::vector<DecoderStep>> parse_decoder(const Field& field) {
  std::vector<DecoderStep> steps;
  if (field.is_null()) {
    steps.emplace_back(JoinDecoder{});
  } else {
    STERNA_CHECK(add_steps(field, steps));
  }
  return steps;
}

DecodeStream::DecodeStream(const std::vector<DecoderStep>& steps)
    : out_(std::make_unique<std::string>()), stages_(make_stages(steps, *out_)) {}

DecodeStream::~DecodeStream() = default;
DecodeStream::DecodeStream(DecodeStream&&) noexcept = default;
DecodeStream& DecodeStream::operator=(DecodeStream&&) noexcept = default;

void DecodeStream::push(std::string_view token) { stages_.front()->push(token); }

void DecodeStream::finish() {
  for (const auto& stage : stages_) stage->finish();
}

std::string DecodeStream::take() { return std::exchange(*out_, {}); }

}  // namespace sterna::runtime::tokenization
