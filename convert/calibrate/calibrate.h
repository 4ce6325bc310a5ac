// Calibrated conversion: layer by layer, each linear is fitted to the inputs that it will see behind the
// layers that are quantised already. docs/quantization.md explains the method.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "convert/calibrate/fit.h"
#include "convert/calibrate/held_out.h"
#include "convert/calibrate/text.h"
#include "convert/calibrate/work_folder.h"
#include "convert/checkpoint.h"
#include "convert/hf_config.h"
#include "kernels/registry.h"
#include "runtime/model.h"
#include "runtime/result.h"
#include "runtime/tensor_list.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

struct CalibrationOptions {
  CalibrationText text;
  FitOptions fit;
  bool rotate = true;
  std::size_t window = 512;           // tokens; at most the model's context
  std::size_t memory = 1280UL << 20;  // bytes of activations that stay in memory; more go to a file
  bool resume = false;
};

// What happened to a layer, when it is done.
struct CalibratedLayer {
  std::size_t layer = 0;
  std::size_t layers = 0;
  const FittedLayer* fitted = nullptr;
  bool resumed = false;  // it was finished by an earlier run
};

struct CalibrationReport {
  runtime::Calibration text;
  HeldOut held_out;
};

struct CalibrationSurroundings {
  runtime::ThreadPool& pool;
  const kernels::Kernels& kernels;
  std::function<void(const CalibratedLayer&)> on_layer;
  std::function<void(std::size_t done, std::size_t total, const std::string& what)> progress;
  std::function<bool()> cancelled;
};

// planes(spec): of a linear. The layers are left in `folder`. Errors: linears that are ternary already, what
// calibration_windows() refuses, activations that are not finite, cancelled (what is finished stays).
using PlanesOf = std::function<std::size_t(const runtime::TensorSpec& spec)>;
Result<CalibrationReport> calibrate(const Checkpoint& checkpoint, const HfModel& model,
                                    const CalibrationWindows& windows, const PlanesOf& planes,
                                    const CalibrationOptions& options, const WorkFolder& folder,
                                    const CalibrationSurroundings& surroundings);

}  // namespace sterna::convert
