#include "convert/json.h"

#include <utility>
#include <vector>

namespace sterna::convert {
namespace {

using nlohmann::json;

// Configurations nest about 6 deep. The bound keeps everything that recurses over a document (comparison,
// printing) far from the end of the stack.
constexpr std::size_t kMaxDepth = 64;

class Builder : public nlohmann::json_sax<json> {
 public:
  Builder(const std::string& where, DuplicateKeys duplicates) : where_(where), duplicates_(duplicates) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    frames_.back().key = std::move(value);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    error_ = fail("{}: not valid JSON at byte {}: the file is damaged or incomplete", where_, position);
    return false;
  }

  [[nodiscard]] Error take_error() { return std::move(error_); }
  [[nodiscard]] json take() { return std::move(root_); }

 private:
  struct Frame {
    json value;
    std::string key;  // of the value that comes next, in objects
  };

  bool open(json container) {
    if (frames_.size() >= kMaxDepth) {
      error_ = fail("{}: JSON is nested deeper than {} levels", where_, kMaxDepth);
      return false;
    }
    frames_.push_back({std::move(container), {}});
    return true;
  }

  bool close() {
    json value = std::move(frames_.back().value);
    frames_.pop_back();
    return add(std::move(value));
  }

  bool add(json value) {
    if (frames_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Frame& frame = frames_.back();
    if (frame.value.is_array()) {
      frame.value.push_back(std::move(value));
      return true;
    }
    const auto found = frame.value.find(frame.key);
    if (found == frame.value.end()) {
      frame.value.emplace(frame.key, std::move(value));
      return true;
    }
    if (duplicates_ == DuplicateKeys::equal_only && *found == value) return true;
    error_ = fail("{}: the key '{}' stands twice in one object{}", where_, frame.key,
                  duplicates_ == DuplicateKeys::equal_only ? " with different values: remove one" : "");
    return false;
  }

  const std::string& where_;
  DuplicateKeys duplicates_;
  std::vector<Frame> frames_;
  json root_;
  Error error_;
};

}  // namespace

Result<json> parse_json_object(std::string_view text, const std::string& where, DuplicateKeys duplicates) {
  Builder builder(where, duplicates);
  if (!json::sax_parse(text, &builder)) return builder.take_error();
  json root = builder.take();
  if (!root.is_object()) return fail("{}: a JSON object is expected, found {}", where, root.type_name());
  return root;
}

}  // namespace sterna::convert
