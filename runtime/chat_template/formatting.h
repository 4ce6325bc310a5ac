// Python's two ways to fill a format string: "%s" % values, and "{}".format(values).
#pragma once

#include "runtime/chat_template/environment.h"
#include "runtime/chat_template/value.h"

namespace sterna::runtime::jinja {

Result<Text> format_percent(Budget& budget, const Text& format, const Value& values);
Result<Text> format_braces(Environment& env, const Text& format, const Arguments& arguments);

}  // namespace sterna::runtime::jinja
