#include "convert/calibrate/default_text.h"

#include "runtime/embedded.h"

namespace sterna::convert {

extern const std::span<const runtime::EmbeddedFile> kEmbedded;  // convert/data

std::string_view default_calibration_text() { return kEmbedded.front().text(); }

}  // namespace sterna::convert
