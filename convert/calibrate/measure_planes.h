// What plane_losses.h needs of a model: the inputs of its linears and the derivatives of the loss.
#pragma once

#include <string>
#include <vector>

#include "convert/calibrate/calibrate.h"
#include "convert/calibrate/plane_losses.h"
#include "convert/calibrate/text.h"
#include "convert/checkpoint.h"
#include "convert/hf_config.h"
#include "runtime/result.h"

namespace sterna::convert {

// The losses of all linears, in the order of kLinearRoles within a layer, from the first windows of the
// text: forward through the float model with the residual stream kept, and back. Errors: those of
// load_block(), activations that are not finite, cancelled.
Result<std::vector<LossOfPlanes>> measure_plane_losses(const Checkpoint& checkpoint, const HfModel& model,
                                                       const CalibrationWindows& windows,
                                                       const CalibrationOptions& options,
                                                       const std::string& folder,
                                                       const CalibrationSurroundings& surroundings);

}  // namespace sterna::convert
