// Guards of the interpreter's state, shared by its source files.
#pragma once

#include <utility>

#include "runtime/chat_template/interpreter.h"

namespace sterna::runtime::jinja {

// One level of recursion.
class Interpreter::Level {
 public:
  explicit Level(Interpreter& interpreter) : interpreter_(interpreter), ok_(interpreter.levels_left_ > 0) {
    if (ok_) --interpreter_.levels_left_;
  }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  ~Level() {
    if (ok_) ++interpreter_.levels_left_;
  }
  [[nodiscard]] Status check() const {
    if (ok_) return {};
    return fail("the template recurses too deeply");
  }

 private:
  Interpreter& interpreter_;
  bool ok_;
};

class Interpreter::EnterFrame {
 public:
  EnterFrame(Interpreter& interpreter, FramePtr frame)
      : interpreter_(interpreter), outer_(std::exchange(interpreter.frame_, std::move(frame))) {}
  EnterFrame(const EnterFrame&) = delete;
  EnterFrame& operator=(const EnterFrame&) = delete;
  ~EnterFrame() { interpreter_.frame_ = std::move(outer_); }

 private:
  Interpreter& interpreter_;
  FramePtr outer_;
};

// Collects output in a text of its own.
class Interpreter::Capture {
 public:
  explicit Capture(Interpreter& interpreter)
      : interpreter_(interpreter), outer_(std::exchange(interpreter.out_, &text_)) {}
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() { finish(); }
  // Ends the collection.
  Text take() {
    finish();
    return std::move(text_);
  }

 private:
  void finish() {
    if (interpreter_.out_ == &text_) interpreter_.out_ = outer_;
  }
  Interpreter& interpreter_;
  Text text_;
  Text* outer_;
};

}  // namespace sterna::runtime::jinja
