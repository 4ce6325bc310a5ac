#include "runtime/format.h"

#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "kernels/ternary_matmul/pack.h"

namespace sterna::runtime {
namespace {

using nlohmann::json;

constexpr const char* kRotation = "rotation";

constexpr std::pair<Layout, std::string_view> kLayouts[] = {
    {Layout::f32, "f32"},           {Layout::f16, "f16"},           {Layout::bf16, "bf16"},
    {Layout::i8_rows, "i8-rows"},   {Layout::i8_split, "i8-split"}, {Layout::trit2, "trit2-16x16"},
    {Layout::base3, "base3-16x20"}, {Layout::pairs, "pairs-16x16"}, {Layout::triples, "triples-16x32"},
};

constexpr std::pair<Layout, kernels::CodeForm> kForms[] = {
    {Layout::trit2, kernels::CodeForm::trit2},
    {Layout::base3, kernels::CodeForm::base3},
    {Layout::pairs, kernels::CodeForm::pairs},
    {Layout::triples, kernels::CodeForm::triples},
};

kernels::TernaryView ternary_shape(const TensorDescriptor& d) {
  kernels::TernaryView view;
  view.rows = d.rows;
  view.columns = d.columns;
  view.planes = d.planes;
  view.group = d.group;
  view.scale_type = d.scale_type;
  view.form = code_form(d.layout);
  return view;
}

kernels::SplitView split_shape(const TensorDescriptor& d) {
  kernels::SplitView view;
  view.rows = d.rows;
  view.columns = d.columns;
  return view;
}

std::size_t element_bytes(Layout layout) {
  return layout == Layout::f32 ? 4 : layout == Layout::i8_rows ? 1 : 2;
}

Result<std::uint64_t> number(const json& object, const char* field, std::uint64_t low, std::uint64_t high,
                             const std::string& where) {
  const auto it = object.find(field);
  if (it == object.end() || !it->is_number_unsigned())
    return fail("{}: '{}' is missing or not a number", where, field);
  const auto value = it->get<std::uint64_t>();
  if (value < low || value > high)
    return fail("{}: '{}' is {}, expected {} to {}", where, field, value, low, high);
  return value;
}

Result<std::string> text(const json& object, const char* field, const std::string& where) {
  const auto it = object.find(field);
  if (it == object.end() || !it->is_string())
    return fail("{}: '{}' is missing or not a string", where, field);
  return it->get<std::string>();
}

// "requires" names what a reader must understand to use the tensor at all; names of later versions are not
// known here. True if it names the rotation.
Result<bool> requires_rotation(const json& object, const std::string& where) {
  const auto it = object.find("requires");
  if (it == object.end()) return false;
  json unknown = it->is_array() ? json::array() : *it;
  if (it->is_array()) {
    std::ranges::copy_if(*it, std::back_inserter(unknown),
                         [](const json& name) { return name != kRotation; });
  }
  if (!it->is_array() || !unknown.empty()) {
    return fail("{}: needs {}, which this version does not know; use a newer Sterna", where,
                unknown.dump(-1, ' ', false, json::error_handler_t::replace));
  }
  return !it->empty();
}

// After columns and layout.
Status parse_rotation(const json& object, bool required, TensorDescriptor& d, const std::string& where) {
  const auto it = object.find(kRotation);
  if ((it != object.end()) != required) {
    return fail("{}: 'rotation' and its name in 'requires' must stand together; the file is damaged", where);
  }
  if (!required) return {};
  if (!is_ternary(d.layout)) {
    return fail("{}: layout {} has a rotation, only ternary ones may", where, layout_name(d.layout));
  }
  if (!it->is_object()) return fail("{}: 'rotation' is not an object", where);
  const std::string place = fmt::format("{}: 'rotation'", where);
  STERNA_TRY(d.rotation_block, number(*it, "block", 2, kernels::kMaxColumns, place));
  STERNA_TRY(const std::uint64_t seed,
             number(*it, "seed", 0, std::numeric_limits<std::uint32_t>::max(), place));
  d.rotation_seed = static_cast<std::uint32_t>(seed);
  if (!std::has_single_bit(d.rotation_block) || d.columns % d.rotation_block != 0) {
    return fail("{}: a rotation in blocks of {}, expected a power of two that divides the {} columns", where,
                d.rotation_block, d.columns);
  }
  return {};
}

// Does the layout take so many planes, and groups?
Status check_form(const TensorDescriptor& d, const std::string& where) {
  const auto* const form =
      std::ranges::find(kernels::kPackedForms, code_form(d.layout), &kernels::PackedForm::form);
  if (form->form != kernels::CodeForm::trit2 && form->planes != d.planes) {
    return fail("{}: layout {} has {} planes, not {}", where, layout_name(d.layout), form->planes, d.planes);
  }
  if (d.group != 0 && !form->takes_groups()) {
    return fail("{}: layout {} has a single scale, not groups", where, layout_name(d.layout));
  }
  return {};
}

Status parse_ternary(const json& object, TensorDescriptor& d, const std::string& where) {
  STERNA_TRY(d.planes, number(object, "planes", 1, kernels::kMaxPlanes, where));
  STERNA_TRY(d.group, number(object, "group", 0, kernels::kGroupColumns, where));
  if (d.group != 0 && d.group != kernels::kGroupColumns) {
    return fail("{}: groups of {} columns are not supported, only {}", where, d.group,
                kernels::kGroupColumns);
  }
  if (d.columns > kernels::kMaxColumns) {
    return fail("{}: {} columns, at most {} are supported", where, d.columns, kernels::kMaxColumns);
  }
  STERNA_TRY(const std::string scale, text(object, "scale", where));
  if (scale != "f32" && scale != "f16") return fail("{}: unknown scale type '{}'", where, scale);
  d.scale_type = scale == "f32" ? kernels::ScaleType::f32 : kernels::ScaleType::f16;
  if (d.group == 0 && d.scale_type != kernels::ScaleType::f32) {
    return fail("{}: a single scale must be f32", where);
  }
  return check_form(d, where);
}

}  // namespace

std::string_view layout_name(Layout layout) {
  for (const auto& [value, name] : kLayouts) {
    if (value == layout) return name;
  }
  return "?";
}

kernels::CodeForm code_form(Layout layout) {
  for (const auto& [value, form] : kForms) {
    if (value == layout) return form;
  }
  assert(false && "a ternary layout");
  return kernels::CodeForm::trit2;
}

Layout ternary_layout(kernels::CodeForm form) {
  for (const auto& [layout, value] : kForms) {
    if (value == form) return layout;
  }
  assert(false && "kForms has all forms");
  return Layout::trit2;
}

std::uint64_t TensorDescriptor::scale_bytes() const {
  if (layout == Layout::i8_rows || layout == Layout::i8_split) return rows * sizeof(float);
  if (!is_ternary(layout)) return 0;
  return ternary_shape(*this).scale_count() * (scale_type == kernels::ScaleType::f32 ? 4 : 2);
}

std::uint64_t TensorDescriptor::bytes() const {
  const std::uint64_t scales = kernels::round_up(scale_bytes(), kFileAlignment);
  if (is_ternary(layout)) return scales + ternary_shape(*this).code_bytes();
  if (layout == Layout::i8_split) {
    return scales + split_shape(*this).code_bytes() + rows * kernels::kSplitBounds * sizeof(float);
  }
  return scales + rows * columns * element_bytes(layout);
}

std::string to_json(const TensorDescriptor& d) {
  std::string line = fmt::format(R"({{"name":"{}","rows":{},"columns":{},"layout":"{}")", d.name, d.rows,
                                 d.columns, layout_name(d.layout));
  if (is_ternary(d.layout)) {
    line += fmt::format(R"(,"planes":{},"group":{},"scale":"{}")", d.planes, d.group,
                        d.scale_type == kernels::ScaleType::f32 ? "f32" : "f16");
  }
  if (d.rotation_block != 0) {
    line += fmt::format(R"(,"{0}":{{"block":{1},"seed":{2}}},"requires":["{0}"])", kRotation,
                        d.rotation_block, d.rotation_seed);
  }
  return line + fmt::format(R"(,"crc32":{}}})", d.crc32);
}

Result<TensorDescriptor> parse_descriptor(std::string_view source, const std::string& where) {
  const json object = json::parse(source, nullptr, false);
  if (!object.is_object())
    return fail("{}: a tensor descriptor is not a JSON object; the file is damaged", where);
  TensorDescriptor d;
  STERNA_TRY(d.name, text(object, "name", where));
  const std::string place = fmt::format("{}: descriptor of '{}'", where, d.name);
  STERNA_TRY(const bool rotated, requires_rotation(object, place));
  STERNA_TRY(d.rows, number(object, "rows", 1, 1ULL << 24, place));
  STERNA_TRY(d.columns, number(object, "columns", 1, 1ULL << 24, place));
  STERNA_TRY(const std::uint64_t crc,
             number(object, "crc32", 0, std::numeric_limits<std::uint32_t>::max(), place));
  d.crc32 = static_cast<std::uint32_t>(crc);
  STERNA_TRY(const std::string layout, text(object, "layout", place));
  for (const auto& [value, name] : kLayouts) {
    if (name != layout) continue;
    d.layout = value;
    if (is_ternary(value)) STERNA_CHECK(parse_ternary(object, d, place));
    STERNA_CHECK(parse_rotation(object, rotated, d, place));
    if (value == Layout::i8_split && d.columns > kernels::kSplitMaxColumns) {
      return fail("{}: {} columns, at most {} are supported", place, d.columns, kernels::kSplitMaxColumns);
    }
    return d;
  }
  return fail("{}: layout '{}' is not known to this version; use a newer Sterna", place, layout);
}

kernels::TernaryView ternary_view(const TensorDescriptor& d, std::span<const std::byte> bytes) {
  assert(is_ternary(d.layout) && bytes.size() == d.bytes());
  kernels::TernaryView view = ternary_shape(d);
  view.scales = bytes.data();
  view.codes = reinterpret_cast<const std::uint8_t*>(bytes.data()) +
               kernels::round_up(d.scale_bytes(), kFileAlignment);
  return view;
}

kernels::SplitView split_view(const TensorDescriptor& d, std::span<const std::byte> bytes) {
  assert(d.layout == Layout::i8_split && bytes.size() == d.bytes());
  kernels::SplitView view = split_shape(d);
  const std::byte* codes = bytes.data() + kernels::round_up(d.scale_bytes(), kFileAlignment);
  view.row_scales = reinterpret_cast<const float*>(bytes.data());
  view.codes = reinterpret_cast<const std::uint8_t*>(codes);
  view.bounds = reinterpret_cast<const float*>(codes + view.code_bytes());
  return view;
}

kernels::DenseView dense_view(const TensorDescriptor& d, std::span<const std::byte> bytes) {
  assert(!is_ternary(d.layout) && d.layout != Layout::i8_split && bytes.size() == d.bytes());
  kernels::DenseView view{d.rows, d.columns, kernels::DenseType::f32, bytes.data(), nullptr};
  switch (d.layout) {
    case Layout::f16:
      view.type = kernels::DenseType::f16;
      break;
    case Layout::bf16:
      view.type = kernels::DenseType::bf16;
      break;
    case Layout::i8_rows:
      view.type = kernels::DenseType::i8;
      view.row_scales = reinterpret_cast<const float*>(bytes.data());
      view.data = bytes.data() + kernels::round_up(d.scale_bytes(), kFileAlignment);
      break;
    default:
      break;
  }
  return view;
}

std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t start) {
  if (bytes.empty()) return start;  // the library takes a null pointer as a request for the initial value
  return ::libdeflate_crc32(start, bytes.data(), bytes.size());
}

std::uint32_t combined_crc32(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) {
  return static_cast<std::uint32_t>(::crc32_combine(first, second, static_cast<z_off_t>(second_bytes)));
}

std::uint32_t header_checksum(std::span<const std::byte> header, std::size_t checksum_offset) {
  constexpr std::array<std::byte, 4> kZero{};
  std::uint32_t crc = crc32_of(header.first(checksum_offset));
  crc = crc32_of(kZero, crc);
  return crc32_of(header.subspan(checksum_offset + kZero.size()), crc);
}

}  // namespace sterna::runtime
