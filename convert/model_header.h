// The header of a Sterna file: what is known before its tensors, and the finished bytes once they are there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/config.h"
#include "runtime/format.h"
#include "runtime/model.h"
#include "runtime/result.h"

namespace sterna::convert {

// Descriptors are padded with spaces to this length, so that the header's size is known before the tensors
// are.
inline constexpr std::size_t kDescriptorLength = 256;

class ModelHeader {
 public:
  // Errors: a tokenizer that is malformed or has more ids than the embedding has rows; `where` names the
  // tokenizer's file.
  static Result<ModelHeader> create(runtime::ModelConfig config, runtime::TextParts text, std::string source,
                                    const std::string& where);

  [[nodiscard]] const std::string& source() const { return source_; }
  void set_source(std::string source) { source_ = std::move(source); }  // how the weights came about
  void set_calibration(runtime::Calibration calibration) { calibration_ = std::move(calibration); }
  void set_origin(std::uint32_t checksum) { origin_ = checksum; }  // of a repacked copy

  // Metadata and tensor infos up to the start of the tensor data, without the checksum; offsets count from
  // there. The size depends on the descriptors' names and layouts only.
  [[nodiscard]] std::vector<std::byte> bytes(const std::vector<runtime::TensorDescriptor>& descriptors,
                                             const std::vector<std::uint64_t>& offsets) const;
  // The same with the checksum. `where` names the file in messages.
  [[nodiscard]] Result<std::vector<std::byte>> sealed(
      const std::vector<runtime::TensorDescriptor>& descriptors, const std::vector<std::uint64_t>& offsets,
      const std::string& where) const;

 private:
  runtime::ModelConfig config_;
  runtime::TextParts text_;
  std::vector<std::int32_t> token_types_;
  std::string source_;
  runtime::Calibration calibration_;
  std::uint32_t origin_ = 0;
};

}  // namespace sterna::convert
