#include "convert/hf_rope.h"

#include <optional>
#include <utility>
#include <vector>

#include "convert/hf_fields.h"

namespace sterna::convert {
namespace {

using nlohmann::json;
using runtime::RopeConfig;
using runtime::RopeScaling;

// The objects that may hold a field of the rotary embedding.
class RopeFields {
 public:
  static Result<RopeFields> collect(const json& config, const std::string& path) {
    RopeFields rope(config, path);
    for (const char* name : {"rope_parameters", "rope_scaling"}) {
      STERNA_TRY(const json* object, rope.top_.object(name));
      if (object == nullptr) continue;
      for (const auto& [key, value] : object->items()) {
        if (value.is_object()) {
          return fail("{}: field '{}.{}': rotary embeddings that differ between layers are not supported",
                      path, name, key);
        }
      }
      rope.inner_.emplace_back(*object, path, std::string(name) + ".");
    }
    return rope;
  }

  // A number that may stand in each object and, when `also_top`, at the top of the file.
  [[nodiscard]] Result<std::optional<double>> number(const char* name, bool also_top = false) const {
    std::optional<double> found;
    std::string found_at;
    std::vector<const Fields*> places;
    for (const Fields& fields : inner_) places.push_back(&fields);
    if (also_top) places.push_back(&top_);
    for (const Fields* fields : places) {
      STERNA_TRY(const auto value, fields->number(name));
      if (!value) continue;
      if (found && *found != *value) {
        return fail("{} is {}, but another place of the file says {}: make them agree", fields->where(name),
                    *value, *found);
      }
      found = value;
    }
    return found;
  }

  [[nodiscard]] Result<double> required(const char* name, const char* type) const {
    STERNA_TRY(const auto value, number(name));
    if (!value) return fail("{} is missing; rope_type {} needs it", inner_.back().where(name), type);
    return *value;
  }

  [[nodiscard]] Result<std::string> type() const {
    std::optional<std::string> found;
    for (const Fields& fields : inner_) {
      for (const char* name : {"rope_type", "type"}) {
        STERNA_TRY(auto value, fields.text(name));
        if (!value) continue;
        if (found && *found != *value) {
          return fail("{} is '{}', but another place of the file says '{}': make them agree",
                      fields.where(name), *value, *found);
        }
        found = std::move(value);
      }
    }
    return found.value_or("default");
  }

  [[nodiscard]] bool has(const char* name) const {
    for (const Fields& fields : inner_) {
      if (fields.has(name)) return true;
    }
    return false;
  }

 private:
  RopeFields(const json& config, const std::string& path) : top_(config, path) {}
  Fields top_;
  std::vector<Fields> inner_;
};

Status parse_llama3(const RopeFields& fields, const std::string& path, std::uint32_t context,
                    RopeConfig& rope) {
  rope.scaling = RopeScaling::llama3;
  STERNA_TRY(rope.factor, fields.required("factor", "llama3"));
  STERNA_TRY(rope.low_frequency_factor, fields.required("low_freq_factor", "llama3"));
  STERNA_TRY(rope.high_frequency_factor, fields.required("high_freq_factor", "llama3"));
  STERNA_TRY(const auto original, fields.number("original_max_position_embeddings", true));
  const double positions = original.value_or(context);
  if (!(positions >= 1.0) || !(positions < 4294967296.0)) {
    return fail("{}: field 'original_max_position_embeddings' is {}, which is out of range", path, positions);
  }
  rope.original_context = static_cast<std::uint32_t>(positions);
  return {};
}

}  // namespace

Result<RopeConfig> parse_rope(const json& config, const std::string& path, double default_theta,
                              std::uint32_t context) {
  STERNA_TRY(const RopeFields fields, RopeFields::collect(config, path));
  RopeConfig rope;
  STERNA_TRY(const auto theta, fields.number("rope_theta", true));
  rope.theta = theta.value_or(default_theta);
  STERNA_TRY(const auto partial, fields.number("partial_rotary_factor", true));
  if (partial.value_or(1.0) != 1.0) {
    return fail("{}: field 'partial_rotary_factor' is {}: only full rotary embedding (1.0) is supported",
                path, *partial);
  }
  if (fields.has("mrope_section")) {
    return fail("{}: field 'mrope_section': multimodal rotary embedding is not supported", path);
  }
  STERNA_TRY(const std::string type, fields.type());
  if (type == "linear") {
    rope.scaling = RopeScaling::linear;
    STERNA_TRY(rope.factor, fields.required("factor", "linear"));
  } else if (type == "llama3") {
    STERNA_CHECK(parse_llama3(fields, path, context, rope));
  } else if (type != "default") {
    return fail("{}: rope_type '{}' is not supported (supported: default, linear, llama3)", path, type);
  }
  return rope;
}

}  // namespace sterna::convert
