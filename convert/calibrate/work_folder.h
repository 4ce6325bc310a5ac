// What a long conversion has finished, on disk beside its output, so that it can go on after it was stopped:
// one file for each layer, written beside its name and renamed when whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "convert/graph/levels.h"
#include "runtime/result.h"
#include "runtime/tensor_list.h"

namespace sterna::convert {

// A linear as it was fitted; which one it is follows from its place in the layer.
struct FittedLinear {
  LevelMatrix matrix;
  std::size_t rotation_block = 1;  // 1: none
  std::uint32_t rotation_seed = 0;
  double relative_error = 0.0;  // sqrt(e H e^T / w H w^T) over all rows
  std::size_t plain_rows = 0;   // rows where plain rounding was better
};

struct FittedLayer {
  std::vector<FittedLinear> linears;        // q, k, v, o, gate, up, down
  double damping[runtime::kFamilies] = {};  // more than kDamping where it had to grow
  double seconds = 0.0;
};

class WorkFolder {
 public:
  // `output`.calibration. `settings` says everything that decides the result, as text. A folder of a run
  // with other settings is an error that says what to do; without `resume` one that is there is emptied.
  static Result<WorkFolder> open(const std::string& output, const std::string& settings, bool resume);

  [[nodiscard]] const std::string& path() const { return path_; }
  // Layers 0..n-1 that are there.
  [[nodiscard]] std::size_t finished_layers() const;
  Status save(std::size_t layer, const FittedLayer& fitted) const;
  // An error when the file is damaged: delete it.
  [[nodiscard]] Result<FittedLayer> load(std::size_t layer) const;
  // The choice of planes, where there was one to be made; none if it is not there. An error when the file is
  // damaged.
  Status save_plan(const nlohmann::json& plan) const;
  [[nodiscard]] Result<std::optional<nlohmann::json>> load_plan() const;
  Status remove() const;

 private:
  explicit WorkFolder(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] std::string file_of(std::size_t layer) const;
  [[nodiscard]] std::string plan_file() const;
  std::string path_;
};

}  // namespace sterna::convert
