#include "convert/model_header.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "convert/gguf_writer.h"
#include "runtime/config_keys.h"
#include "runtime/gguf.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::convert {
namespace {

using runtime::Layout;
using runtime::TensorDescriptor;

class HeaderConfig {
 public:
  explicit HeaderConfig(GgufHeader& header) : header_(header) {}
  void operator()(std::string_view key, const std::string& value) {
    header_.add(key, std::string_view(value));
  }
  template <class T>
  void operator()(std::string_view key, const T& value) {
    header_.add(key, value);
  }
  template <class Enum, std::size_t N>
  void choice(std::string_view key, const Enum& value, const std::string_view (&names)[N]) {
    header_.add(key, names[static_cast<std::size_t>(value)]);
  }

 private:
  GgufHeader& header_;
};

// Types as GGUF has them: 1 normal, 3 control (special), 4 user defined, 5 unused, 6 byte.
std::vector<std::int32_t> token_types(const runtime::Tokenizer& tokenizer, std::size_t count) {
  std::vector<std::int32_t> types(count, 1);
  for (std::size_t id = 0; id < count; ++id) {
    const auto token = tokenizer.token(static_cast<runtime::TokenId>(id));
    if (token.empty()) {
      types[id] = 5;
    } else if (tokenizer.is_special(static_cast<runtime::TokenId>(id))) {
      types[id] = 3;
    } else if (token.size() == 6 && token.starts_with("<0x") && token.ends_with(">")) {
      types[id] = 6;
    }
  }
  return types;
}

std::string padded(std::string line) {
  assert(line.size() <= kDescriptorLength);
  line.resize(std::max(line.size(), kDescriptorLength), ' ');
  return line;
}

void add_text_keys(GgufHeader& header, const runtime::ModelConfig& config, const runtime::TextParts& text,
                   const std::vector<std::int32_t>& types) {
  namespace key = runtime::key;
  const bool byte_level = text.tokenizer.pipeline.find("\"byte_fallback\":true") == std::string::npos;
  header.add(key::tokenizer_model, std::string_view(byte_level ? "gpt2" : "llama"));
  header.add(key::tokens, text.tokenizer.tokens);
  header.add(key::token_types, types);
  header.add(key::merges, text.tokenizer.merges);
  header.add(key::pipeline, std::string_view(text.tokenizer.pipeline));
  if (config.bos >= 0) header.add(key::bos_id, static_cast<std::uint32_t>(config.bos));
  if (!config.stop_tokens.empty())
    header.add(key::eos_id, static_cast<std::uint32_t>(config.stop_tokens.front()));
  header.add(key::stop_tokens, config.stop_tokens);
  header.add(key::bos_text, std::string_view(text.bos_text));
  header.add(key::eos_text, std::string_view(text.eos_text));
  if (!text.chat_template.empty()) header.add(key::chat_template, std::string_view(text.chat_template));
}

void add_tensor(GgufHeader& header, const TensorDescriptor& d, std::uint64_t offset) {
  const std::uint64_t blob[] = {d.bytes()};
  const std::uint64_t matrix[] = {d.columns, d.rows};
  const std::uint64_t vector[] = {d.columns};
  const bool is_blob =
      runtime::is_ternary(d.layout) || d.layout == Layout::i8_rows || d.layout == Layout::i8_split;
  const std::uint32_t type = is_blob                    ? runtime::ggml_id::i8
                             : d.layout == Layout::f16  ? runtime::ggml_id::f16
                             : d.layout == Layout::bf16 ? runtime::ggml_id::bf16
                                                        : runtime::ggml_id::f32;
  const auto dimensions = is_blob       ? std::span<const std::uint64_t>(blob)
                          : d.rows == 1 ? std::span<const std::uint64_t>(vector)
                                        : std::span<const std::uint64_t>(matrix);
  header.add_tensor(d.name, dimensions, type, offset);
}

// Finds the checksum's place by parsing what was written, as a reader would.
Status seal(std::vector<std::byte>& header, const std::string& where) {
  // The tensors lie behind the header and are not in this span, so only the keys can be looked at.
  constexpr std::string_view kKey = runtime::key::checksum;
  const auto needle = std::as_bytes(std::span(kKey));
  const auto at = std::search(header.begin(), header.end(), needle.begin(), needle.end());
  if (at == header.end()) return fail("{}: internal error: the header has no checksum key", where);
  const std::size_t offset =
      static_cast<std::size_t>(at - header.begin()) + kKey.size() + sizeof(std::uint32_t);
  const std::uint32_t crc = runtime::header_checksum(header, offset);
  std::memcpy(header.data() + offset, &crc, sizeof crc);
  return {};
}

}  // namespace

Result<ModelHeader> ModelHeader::create(runtime::ModelConfig config, runtime::TextParts text,
                                        std::string source, const std::string& where) {
  STERNA_TRY(const runtime::Tokenizer tokenizer, runtime::Tokenizer::create(text.tokenizer, where));
  if (tokenizer.vocab_size() > config.vocab) {
    return fail(
        "{}: the tokenizer has ids up to {}, but vocab_size in config.json is {}; the files do not belong "
        "together",
        where, tokenizer.vocab_size() - 1, config.vocab);
  }
  ModelHeader header;
  header.token_types_ = token_types(tokenizer, text.tokenizer.tokens.size());
  header.config_ = std::move(config);
  header.text_ = std::move(text);
  header.source_ = std::move(source);
  return header;
}

std::vector<std::byte> ModelHeader::bytes(const std::vector<TensorDescriptor>& descriptors,
                                          const std::vector<std::uint64_t>& offsets) const {
  namespace key = runtime::key;
  GgufHeader header;
  header.add(key::architecture, runtime::kArchitecture);
  header.add(key::checksum, std::uint32_t{0});
  header.add(key::version, runtime::kFormatVersion);
  header.add(key::alignment, static_cast<std::uint32_t>(runtime::kFileAlignment));
  HeaderConfig config(header);
  runtime::visit_config(config_, config);
  header.add(key::source, std::string_view(source_));
  if (origin_ != 0) header.add(key::origin, origin_);
  std::vector<std::string> lines;
  lines.reserve(descriptors.size());
  for (const TensorDescriptor& d : descriptors) lines.push_back(padded(runtime::to_json(d)));
  header.add(key::tensors, lines);
  add_text_keys(header, config_, text_, token_types_);
  for (std::size_t i = 0; i < descriptors.size(); ++i) add_tensor(header, descriptors[i], offsets[i]);
  return header.serialize(runtime::kFileAlignment);
}

Result<std::vector<std::byte>> ModelHeader::sealed(const std::vector<TensorDescriptor>& descriptors,
                                                   const std::vector<std::uint64_t>& offsets,
                                                   const std::string& where) const {
  std::vector<std::byte> header = bytes(descriptors, offsets);
  STERNA_CHECK(seal(header, where));
  return header;
}

}  // namespace sterna::convert
