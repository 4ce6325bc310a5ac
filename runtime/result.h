// The only error vocabulary of the libraries: a value, or one line that says what is wrong, where, and what
// to do. Nothing here prints, throws or exits; the command line decides what to show.
#pragma once

#include <fmt/format.h>

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace sterna {

struct Error {
  std::string message;  // one line, no trailing newline
};

// Messages quote names from untrusted files: control characters become '?', and what is longer than any
// sensible line is cut at a character's border.
inline std::string one_line(std::string message) {
  constexpr std::size_t kLongest = 1000;
  if (message.size() > kLongest) {
    std::size_t end = kLongest;
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0U) == 0x80U) --end;
    message.resize(end);
    message += "...";
  }
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return message;
}

// fail("{}: header is {} bytes, at least 8 are needed", path, n)
template <class... Args>
[[nodiscard]] Error fail(fmt::format_string<Args...> format, Args&&... args) {
  return Error{one_line(fmt::format(format, std::forward<Args>(args)...))};
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  [[nodiscard]] const Error& error() const {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  T& value() {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] const T& value() const {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  std::variant<T, Error> state_;
};

// Result of something that yields no value: `return {};` is success.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  [[nodiscard]] const Error& error() const {
    assert(!ok_);
    return error_;
  }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace sterna

#define STERNA_CONCAT_INNER(a, b) a##b
#define STERNA_CONCAT(a, b) STERNA_CONCAT_INNER(a, b)

// STERNA_TRY(auto x, f()): x = the value of f(), or return f()'s error from the enclosing function.
#define STERNA_TRY(declaration, expression)                                               \
  auto STERNA_CONCAT(result_, __LINE__) = (expression);                                   \
  if (!STERNA_CONCAT(result_, __LINE__)) return STERNA_CONCAT(result_, __LINE__).error(); \
  declaration = *std::move(STERNA_CONCAT(result_, __LINE__))  // NOLINT(bugprone-macro-parentheses)

// STERNA_CHECK(f()): return f()'s error from the enclosing function; for Status.
#define STERNA_CHECK(expression)                                       \
  do {                                                                 \
    if (auto status_ = (expression); !status_) return status_.error(); \
  } while (false)
