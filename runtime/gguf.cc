#include "runtime/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

namespace sterna::runtime {
namespace {

static_assert(std::endian::native == std::endian::little,
              "GGUF is read in place, which needs a little-endian machine");

constexpr GgmlType kTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
};

constexpr std::uint64_t kMaxDimensions = 4;

template <class T>
T load(std::span<const std::byte> bytes) {
  assert(bytes.size() >= sizeof(T));
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// Reads forward through the header; the first failure sticks and later reads yield zeros.
class Cursor {
 public:
  Cursor(std::span<const std::byte> file, const std::string& where) : file_(file), where_(where) {}

  template <class T>
  T scalar(const char* what) {
    const auto bytes = take(sizeof(T), what);
    return bytes.empty() ? T{} : load<T>(bytes);
  }

  std::string_view string(const char* what) {
    const auto bytes = take(scalar<std::uint64_t>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::span<const std::byte> take(std::uint64_t n, const char* what) {
    if (error_) return {};
    if (n > file_.size() - position_) {
      error_ = fail("{}: {} at byte {} needs {} bytes, but the file ends at {}; it is truncated or damaged",
                    where_, what, position_, n, file_.size());
      return {};
    }
    const auto bytes = file_.subspan(position_, n);
    position_ += n;
    return bytes;
  }

  void refuse(Error error) {
    if (!error_) error_ = std::move(error);
  }
  [[nodiscard]] bool failed() const { return error_.has_value(); }
  [[nodiscard]] const Error& error() const { return *error_; }
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t left() const { return file_.size() - position_; }
  [[nodiscard]] std::span<const std::byte> from(std::size_t begin) const {
    return file_.subspan(begin, position_ - begin);
  }

 private:
  std::span<const std::byte> file_;
  const std::string& where_;
  std::size_t position_ = 0;
  std::optional<Error> error_;
};

void skip_elements(Cursor& cursor, GgufType type, std::uint64_t count, const std::string& where, int depth) {
  if (const std::size_t bytes = gguf_scalar_bytes(type); bytes > 0) {
    if (count > cursor.left() / bytes) {
      cursor.refuse(fail("{}: an array of {} elements at byte {} does not fit into the file", where, count,
                         cursor.position()));
      return;
    }
    cursor.take(count * bytes, "array");
    return;
  }
  for (std::uint64_t i = 0; i < count && !cursor.failed(); ++i) {
    if (type == GgufType::string) {
      cursor.string("array element");
      continue;
    }
    const auto inner = cursor.scalar<std::uint32_t>("array type");
    const auto inner_count = cursor.scalar<std::uint64_t>("array length");
    if (inner > static_cast<std::uint32_t>(GgufType::f64) || depth > 2) {
      cursor.refuse(
          fail("{}: array of type {} at byte {} is not valid GGUF", where, inner, cursor.position()));
      return;
    }
    skip_elements(cursor, static_cast<GgufType>(inner), inner_count, where, depth + 1);
  }
}

GgufValue read_value(Cursor& cursor, const std::string& where, std::string_view key) {
  GgufValue value;
  const auto type = cursor.scalar<std::uint32_t>("value type");
  if (cursor.failed()) return value;
  if (type > static_cast<std::uint32_t>(GgufType::f64)) {
    cursor.refuse(fail("{}: key '{}' has the unknown value type {}", where, key, type));
    return value;
  }
  value.type = static_cast<GgufType>(type);
  if (value.type == GgufType::string) {
    const std::string_view text = cursor.string("string");
    value.bytes = std::as_bytes(std::span(text));
  } else if (value.type == GgufType::array) {
    const auto element = cursor.scalar<std::uint32_t>("array type");
    value.count = cursor.scalar<std::uint64_t>("array length");
    if (element > static_cast<std::uint32_t>(GgufType::f64)) {
      cursor.refuse(fail("{}: key '{}' is an array of the unknown type {}", where, key, element));
      return value;
    }
    value.element = static_cast<GgufType>(element);
    const std::size_t begin = cursor.position();
    skip_elements(cursor, value.element, value.count, where, 0);
    value.bytes = cursor.from(begin);
  } else {
    value.bytes = cursor.take(gguf_scalar_bytes(value.type), "value");
  }
  return value;
}

template <class F>
auto visit_number(GgufType type, std::span<const std::byte> bytes, F f) -> std::optional<decltype(f(0))> {
  switch (type) {
    case GgufType::u8:
      return f(load<std::uint8_t>(bytes));
    case GgufType::i8:
      return f(load<std::int8_t>(bytes));
    case GgufType::u16:
      return f(load<std::uint16_t>(bytes));
    case GgufType::i16:
      return f(load<std::int16_t>(bytes));
    case GgufType::u32:
      return f(load<std::uint32_t>(bytes));
    case GgufType::i32:
      return f(load<std::int32_t>(bytes));
    case GgufType::u64:
      return f(load<std::uint64_t>(bytes));
    case GgufType::i64:
      return f(load<std::int64_t>(bytes));
    case GgufType::boolean:
      return f(load<std::uint8_t>(bytes) != 0 ? 1 : 0);
    default:
      return std::nullopt;
  }
}

template <class Names>
std::vector<std::size_t> sorted_order(std::size_t n, Names name) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return name(a) < name(b); });
  return order;
}

}  // namespace

std::size_t gguf_scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    default:
      return 0;
  }
}

const char* gguf_type_name(GgufType type) {
  constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                    "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<std::size_t>(type)];
}

const GgmlType* ggml_type(std::uint32_t id) {
  for (const GgmlType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

std::optional<std::uint64_t> GgufValue::as_uint() const {
  const auto value = as_int();
  if (type == GgufType::u64) return load<std::uint64_t>(bytes);
  return value && *value >= 0 ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
}

std::optional<std::int64_t> GgufValue::as_int() const {
  return visit_number(type, bytes, [](auto v) { return static_cast<std::int64_t>(v); });
}

std::optional<double> GgufValue::as_float() const {
  if (type == GgufType::f32) return load<float>(bytes);
  if (type == GgufType::f64) return load<double>(bytes);
  return visit_number(type, bytes, [](auto v) { return static_cast<double>(v); });
}

std::optional<bool> GgufValue::as_bool() const {
  if (type != GgufType::boolean) return std::nullopt;
  return load<std::uint8_t>(bytes) != 0;
}

std::optional<std::string_view> GgufValue::as_string() const {
  if (type != GgufType::string) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::vector<std::string_view> GgufValue::as_strings() const {
  std::vector<std::string_view> strings;
  if (type != GgufType::array || element != GgufType::string) return strings;
  strings.reserve(count);
  auto rest = bytes;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto length = load<std::uint64_t>(rest);
    strings.emplace_back(reinterpret_cast<const char*>(rest.data()) + sizeof(std::uint64_t), length);
    rest = rest.subspan(sizeof(std::uint64_t) + length);
  }
  return strings;
}

std::vector<double> GgufValue::as_floats() const {
  std::vector<double> numbers;
  const std::size_t step = type == GgufType::array ? gguf_scalar_bytes(element) : 0;
  if (step == 0) return numbers;
  numbers.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const GgufValue scalar{element, GgufType::u8, 0, bytes.subspan(i * step, step)};
    numbers.push_back(scalar.as_float().value_or(0.0));
  }
  return numbers;
}

std::uint64_t GgufTensor::elements() const {
  std::uint64_t n = 1;
  for (const std::uint64_t d : dimensions) n *= d;
  return n;
}

Result<Gguf> Gguf::parse(std::span<const std::byte> file, std::string where) {
  Gguf gguf;
  gguf.file_ = file;
  gguf.where_ = std::move(where);
  Cursor cursor(file, gguf.where_);
  const auto magic = cursor.scalar<std::uint32_t>("magic number");
  if (!cursor.failed() && magic != 0x46554747U) {
    return fail(
        "{}: is not a GGUF file (it starts with {:#010x}); give a GGUF file or a Hugging Face directory",
        gguf.where_, magic);
  }
  gguf.version_ = cursor.scalar<std::uint32_t>("version");
  if (!cursor.failed() && (gguf.version_ < 2 || gguf.version_ > 3)) {
    return fail("{}: GGUF version {} is not supported, only 2 and 3", gguf.where_, gguf.version_);
  }
  const auto tensor_count = cursor.scalar<std::uint64_t>("tensor count");
  const auto key_count = cursor.scalar<std::uint64_t>("key count");
  for (std::uint64_t i = 0; i < key_count && !cursor.failed(); ++i) {
    const std::string_view key = cursor.string("key");
    gguf.keys_.emplace_back(key, read_value(cursor, gguf.where_, key));
  }
  for (std::uint64_t i = 0; i < tensor_count && !cursor.failed(); ++i) {
    GgufTensor tensor;
    tensor.name = cursor.string("tensor name");
    const auto dimensions = cursor.scalar<std::uint32_t>("tensor rank");
    if (dimensions > kMaxDimensions) {
      return fail("{}: tensor '{}' has {} dimensions, at most {} are allowed", gguf.where_, tensor.name,
                  dimensions, kMaxDimensions);
    }
    for (std::uint32_t d = 0; d < dimensions; ++d)
      tensor.dimensions.push_back(cursor.scalar<std::uint64_t>("dimension"));
    tensor.type = cursor.scalar<std::uint32_t>("tensor type");
    tensor.offset = cursor.scalar<std::uint64_t>("tensor offset");
    gguf.tensors_.push_back(std::move(tensor));
  }
  if (cursor.failed()) return cursor.error();
  gguf.data_start_ = cursor.position();
  gguf.key_order_ = sorted_order(gguf.keys_.size(), [&](std::size_t i) { return gguf.keys_[i].first; });
  gguf.tensor_order_ =
      sorted_order(gguf.tensors_.size(), [&](std::size_t i) { return gguf.tensors_[i].name; });
  STERNA_CHECK(gguf.place_tensors());
  return gguf;
}

// Turns relative offsets into checked absolute ranges.
Status Gguf::place_tensors() {
  for (std::size_t i = 1; i < keys_.size(); ++i) {
    const auto key = keys_[key_order_[i]].first;
    if (key == keys_[key_order_[i - 1]].first) return fail("{}: key '{}' occurs twice", where_, key);
  }
  for (std::size_t i = 1; i < tensors_.size(); ++i) {
    const auto name = tensors_[tensor_order_[i]].name;
    if (name == tensors_[tensor_order_[i - 1]].name)
      return fail("{}: tensor '{}' occurs twice", where_, name);
  }
  if (const GgufValue* alignment = find("general.alignment")) {
    const auto value = alignment->as_uint();
    if (!value || *value == 0 || !std::has_single_bit(*value) || *value > (1U << 20)) {
      return fail("{}: general.alignment is not a power of two up to 2^20", where_);
    }
    alignment_ = *value;
  }
  data_start_ = (data_start_ + alignment_ - 1) / alignment_ * alignment_;
  if (!tensors_.empty() && data_start_ > file_.size()) {
    return fail(
        "{}: the file ends with its header, after {} bytes, and the tensors are missing; it is truncated: "
        "copy "
        "or convert it again",
        where_, file_.size());
  }
  const std::uint64_t available = tensors_.empty() ? 0 : file_.size() - data_start_;
  const auto by_offset = sorted_order(tensors_.size(), [&](std::size_t i) { return tensors_[i].offset; });
  for (std::size_t i = 0; i < by_offset.size(); ++i) {
    GgufTensor& t = tensors_[by_offset[i]];
    const std::uint64_t next = i + 1 < by_offset.size() ? tensors_[by_offset[i + 1]].offset : available;
    std::uint64_t elements = 1;
    for (const std::uint64_t d : t.dimensions) {
      if (d != 0 && elements > (1ULL << 50) / d)
        return fail("{}: the dimensions of tensor '{}' overflow", where_, t.name);
      elements *= d;
    }
    const GgmlType* type = ggml_type(t.type);
    if (type != nullptr && !t.dimensions.empty() && t.dimensions[0] % type->block != 0) {
      return fail("{}: tensor '{}' has rows of {} elements, not a multiple of the {} of type {}", where_,
                  t.name, t.dimensions[0], type->block, type->name);
    }
    if (t.offset > available || t.offset % alignment_ != 0) {
      return fail("{}: tensor '{}' starts at {} after the header, which is {}", where_, t.name, t.offset,
                  t.offset > available ? "behind the end of the file: it is truncated"
                                       : "not aligned: the file is damaged");
    }
    t.bytes =
        type != nullptr ? elements / type->block * type->block_bytes : std::min(next, available) - t.offset;
    if (t.bytes > available - t.offset) {
      return fail(
          "{}: tensor '{}' needs {} bytes, but the file ends after {}; it is truncated: copy or convert it "
          "again",
          where_, t.name, t.bytes, available - t.offset);
    }
    if (t.bytes > next - t.offset && i + 1 < by_offset.size()) {
      return fail("{}: tensor '{}' overlaps tensor '{}'", where_, t.name, tensors_[by_offset[i + 1]].name);
    }
  }
  for (GgufTensor& t : tensors_) t.offset += data_start_;
  return {};
}

const GgufValue* Gguf::find(std::string_view key) const {
  const auto it = std::lower_bound(key_order_.begin(), key_order_.end(), key,
                                   [&](std::size_t i, std::string_view k) { return keys_[i].first < k; });
  return it != key_order_.end() && keys_[*it].first == key ? &keys_[*it].second : nullptr;
}

const GgufTensor* Gguf::tensor(std::string_view name) const {
  const auto it = std::lower_bound(tensor_order_.begin(), tensor_order_.end(), name,
                                   [&](std::size_t i, std::string_view n) { return tensors_[i].name < n; });
  return it != tensor_order_.end() && tensors_[*it].name == name ? &tensors_[*it] : nullptr;
}

std::span<const std::byte> Gguf::data(const GgufTensor& tensor) const {
  return file_.subspan(tensor.offset, tensor.bytes);
}

}  // namespace sterna::runtime
