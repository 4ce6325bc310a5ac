// Reads the metadata of a small GGUF file, for the vocabularies that llama.cpp's test vectors belong to. Test
// data only: the file is trusted.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tests/support/shared_data.h"

namespace sterna::testing {

struct GgufVocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<float> scores;
};

class GgufVocabularyReader {
 public:
  explicit GgufVocabularyReader(std::string bytes) : bytes_(std::move(bytes)) {}

  GgufVocabulary read() {
    position_ = 16;  // magic, version, number of tensors
    for (auto count = take<std::uint64_t>(); count > 0; --count) {
      const std::string key = text();
      value(take<std::uint32_t>(), key);
    }
    return std::move(vocabulary_);
  }

 private:
  template <class T>
  T take() {
    T value{};
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }
  std::string text() {
    const auto size = take<std::uint64_t>();
    position_ += size;
    return bytes_.substr(position_ - size, size);
  }
  void value(std::uint32_t type, const std::string& key) {
    constexpr std::uint32_t kFloat = 6;
    constexpr std::uint32_t kString = 8;
    constexpr std::uint32_t kArray = 9;
    constexpr std::size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == kArray) {
      const auto element = take<std::uint32_t>();
      for (auto count = take<std::uint64_t>(); count > 0; --count) value(element, key);
    } else if (type == kString) {
      auto* const list = key == "tokenizer.ggml.tokens"   ? &vocabulary_.tokens
                         : key == "tokenizer.ggml.merges" ? &vocabulary_.merges
                                                          : nullptr;
      std::string string = text();
      if (list != nullptr) list->push_back(std::move(string));
    } else if (type == kFloat && key == "tokenizer.ggml.scores") {
      vocabulary_.scores.push_back(take<float>());
    } else {
      position_ += kSizes[type];
    }
  }

  std::string bytes_;
  std::size_t position_ = 0;
  GgufVocabulary vocabulary_;
};

}  // namespace sterna::testing
