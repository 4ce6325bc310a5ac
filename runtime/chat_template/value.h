// The values of the template language: Python's, without what a sandboxed template cannot reach. Lists and
// dictionaries never change after they are made, so that only namespaces and captured scopes can form cycles;
// the interpreter clears those when a rendering ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/chat_template/budget.h"
#include "runtime/chat_template/text.h"
#include "runtime/result.h"

namespace sterna::runtime::jinja {

class Value;
struct Environment;

struct Sequence;
struct Mapping;

// `message` is what an operation on it reports.
struct Undefined {
  std::shared_ptr<const std::string> message;
};
struct None {};

// Everything that is not plain data. `depth` is how many levels of containers lie below.
struct Object {
  enum class Kind {
    range,
    iterator,
    view,
    loop,
    name_space,
    cycler,
    joiner,
    macro,
    method,
    function,
  };
  explicit Object(Kind k) : kind(k) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
  // self.name, where `self` is the value that holds this object; nothing when it has no such attribute.
  virtual Result<std::optional<Value>> attribute(Environment& env, const Value& self, std::string_view name);
  const Kind kind;
  std::size_t depth = 1;
};

class Value {
 public:
  using StringPtr = std::shared_ptr<const Text>;
  using SequencePtr = std::shared_ptr<const Sequence>;
  using MappingPtr = std::shared_ptr<const Mapping>;
  using ObjectPtr = std::shared_ptr<Object>;

  Value() : data_(Undefined{}) {}
  Value(None none) : data_(none) {}  // NOLINT(google-explicit-constructor)
  explicit Value(bool value) : data_(value) {}
  explicit Value(std::int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(Text text) : data_(std::make_shared<const Text>(std::move(text))) {}
  explicit Value(SequencePtr sequence) : data_(std::move(sequence)) {}
  explicit Value(MappingPtr mapping) : data_(std::move(mapping)) {}
  explicit Value(ObjectPtr object) : data_(std::move(object)) {}

  static Value undefined(std::string message) {
    Value value;
    value.data_ = Undefined{std::make_shared<const std::string>(std::move(message))};
    return value;
  }
  static Value string(std::string_view text) { return Value(Text(std::string(text))); }
  static Value size(std::size_t n) { return Value(static_cast<std::int64_t>(n)); }

  [[nodiscard]] bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  [[nodiscard]] bool is_none() const { return std::holds_alternative<None>(data_); }
  [[nodiscard]] const bool* boolean() const { return std::get_if<bool>(&data_); }
  [[nodiscard]] const std::int64_t* plain_integer() const { return std::get_if<std::int64_t>(&data_); }
  [[nodiscard]] const double* floating() const { return std::get_if<double>(&data_); }
  [[nodiscard]] const Text* text() const { return pointee<StringPtr>(); }
  [[nodiscard]] const Sequence* sequence() const { return pointee<SequencePtr>(); }
  [[nodiscard]] const Mapping* mapping() const { return pointee<MappingPtr>(); }
  [[nodiscard]] Object* object() const {
    const auto* held = std::get_if<ObjectPtr>(&data_);
    return held == nullptr ? nullptr : held->get();
  }
  // T has `static constexpr Object::Kind kKind`.
  template <class T>
  [[nodiscard]] T* object_as() const {
    Object* held = object();
    return held != nullptr && held->kind == T::kKind ? static_cast<T*>(held) : nullptr;
  }
  template <class T>
  [[nodiscard]] std::shared_ptr<T> shared_as() const {
    return object_as<T>() == nullptr ? nullptr : std::static_pointer_cast<T>(std::get<ObjectPtr>(data_));
  }
  [[nodiscard]] MappingPtr shared_mapping() const {
    const auto* held = std::get_if<MappingPtr>(&data_);
    return held == nullptr ? nullptr : *held;
  }

  // bool and int: Python's bool is an int.
  [[nodiscard]] std::optional<std::int64_t> integer() const;
  [[nodiscard]] bool is_number() const {
    return boolean() != nullptr || plain_integer() != nullptr || floating() != nullptr;
  }
  [[nodiscard]] double as_double() const;                // is_number() only
  [[nodiscard]] Error undefined_error() const;           // is_undefined() only
  [[nodiscard]] bool same_as(const Value& other) const;  // Python's `is`

 private:
  template <class Pointer>
  [[nodiscard]] const typename Pointer::element_type* pointee() const {
    const auto* held = std::get_if<Pointer>(&data_);
    return held == nullptr ? nullptr : held->get();
  }

  std::variant<Undefined, None, bool, std::int64_t, double, StringPtr, SequencePtr, MappingPtr, ObjectPtr>
      data_;
};

struct Sequence {
  std::vector<Value> items;
  bool tuple = false;
  bool group = false;  // a (grouper, list) pair of the filter groupby, whose parts have names
  std::size_t depth = 1;
};

struct Mapping {
  std::vector<std::pair<Value, Value>> entries;  // in the order of insertion
  std::size_t depth = 1;
};

struct Range : Object {
  static constexpr Kind kKind = Kind::range;
  Range() : Object(kKind) {}
  Result<std::optional<Value>> attribute(Environment& env, const Value& self, std::string_view name) override;
  std::int64_t start = 0;
  std::int64_t stop = 0;
  std::int64_t step = 1;
  [[nodiscard]] std::size_t length() const;
  [[nodiscard]] Value at(std::size_t index) const {
    return Value(start + static_cast<std::int64_t>(index) * step);
  }
};

// What a generator or iterator of Python is to a template: it can be walked once, and has no length. The
// elements are computed beforehand; an error met on the way is reported by the one who walks that far.
struct Iterator : Object {
  static constexpr Kind kKind = Kind::iterator;
  Iterator() : Object(kKind) {}
  std::vector<Value> items;
  std::size_t next = 0;
  std::optional<Error> failure;
};

// keys(), values() or items() of a dictionary.
struct View : Object {
  static constexpr Kind kKind = Kind::view;
  enum class What { keys, values, items };
  View() : Object(kKind) {}
  Value::MappingPtr mapping;
  What what = What::keys;
};

struct Namespace : Object {
  static constexpr Kind kKind = Kind::name_space;
  Namespace() : Object(kKind) {}
  Result<std::optional<Value>> attribute(Environment& env, const Value& self, std::string_view name) override;
  std::vector<std::pair<Text, Value>> attributes;
};

struct Cycler : Object {
  static constexpr Kind kKind = Kind::cycler;
  Cycler() : Object(kKind) {}
  Result<std::optional<Value>> attribute(Environment& env, const Value& self, std::string_view name) override;
  std::vector<Value> items;
  std::size_t position = 0;
};

struct Joiner : Object {
  static constexpr Kind kKind = Kind::joiner;
  Joiner() : Object(kKind) {}
  Text separator;
  bool used = false;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
  bool names_untrusted = false;  // some came from the keys of a dict of the context
};

using Method = Result<Value> (*)(Environment&, const Value& self, const Arguments&);
using Function = Result<Value> (*)(Environment&, const Arguments&);

struct BoundMethod : Object {
  static constexpr Kind kKind = Kind::method;
  BoundMethod() : Object(kKind) {}
  Value self;
  Method method = nullptr;
};

struct BuiltinFunction : Object {
  static constexpr Kind kKind = Kind::function;
  BuiltinFunction() : Object(kKind) {}
  Result<std::optional<Value>> attribute(Environment& env, const Value& self, std::string_view name) override;
  Function function = nullptr;
  bool is_dict = false;  // dict, which also has the attribute fromkeys
};

// Python's name of the type: "str", "int", "dict" ...
[[nodiscard]] std::string_view type_name(const Value& value);
[[nodiscard]] bool truth(const Value& value);
[[nodiscard]] std::size_t depth_of(const Value& value);

// Errors: nested too deeply, out of steps.
Result<Value> make_sequence(Budget& budget, std::vector<Value> items, bool tuple);
Result<Value> make_list(Budget& budget, std::vector<Value> items);
Result<Value> make_tuple(Budget& budget, std::vector<Value> items);
// The last of equal keys wins, at the place of the first. Error: a key that cannot be hashed.
Result<Value> make_mapping(Budget& budget, std::vector<std::pair<Value, Value>> entries);
Result<Value> make_text(Budget& budget, Text text);
[[nodiscard]] Value make_method(Value self, Method method);
[[nodiscard]] Value make_iterator(std::vector<Value> items, std::optional<Error> failure = std::nullopt);

// Python's ==, and < or its kin. Errors: out of steps, types without an order.
Result<bool> equal(Budget& budget, const Value& a, const Value& b);
enum class Order { less, equal, greater, unordered };
Result<Order> order(Budget& budget, const Value& a, const Value& b, std::string_view operation);
Result<bool> less(Budget& budget, const Value& a, const Value& b);
Status check_hashable(Budget& budget, const Value& key);
// The value under `key`, or null. Errors: a key that cannot be hashed, out of steps.
Result<const Value*> find(Budget& budget, const Mapping& mapping, const Value& key);
[[nodiscard]] const Value* find(const Mapping& mapping, std::string_view key);

}  // namespace sterna::runtime::jinja
