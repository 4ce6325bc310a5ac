// Activations of the calibration text, [tokens, width] floats, in memory or, where they are more than that
// may hold, in a file without a name, whose pages are the system's to keep or to write out.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/file.h"
#include "runtime/result.h"

namespace sterna::convert {

class ActivationStore {
 public:
  // `budget`, in bytes, is what is left of the memory for stores; it falls by what is taken. The file lies in
  // `folder`.
  static Result<ActivationStore> create(std::size_t tokens, std::size_t width, std::size_t& budget,
                                        const std::string& folder);

  // Rows from `first` on; width() floats each. Different rows may be used by different threads.
  Status read(std::size_t first, std::span<float> rows) const;
  Status write(std::size_t first, std::span<const float> rows);
  [[nodiscard]] std::size_t width() const { return width_; }
  [[nodiscard]] bool in_memory() const { return !file_; }

 private:
  explicit ActivationStore(std::size_t width) : width_(width) {}
  std::size_t width_;
  std::vector<float> memory_;
  std::optional<runtime::ScratchFile> file_;
};

}  // namespace sterna::convert
