// The templates of the field over eight conversations each (golden.json, made with jinja2 as transformers
// uses it).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/chat_template/support.h"

namespace sterna::runtime {
namespace {

Json golden() {
  std::ifstream in(std::filesystem::path(STERNA_SOURCE_DIR) / "tests" / "chat_template" / "golden.json");
  return Json::parse(in);
}

TEST(ChatTemplateGolden, EveryRenderingAndErrorIsEqual) {
  int renderings = 0;
  int errors = 0;
  for (const Json& entry : golden()) {
    const std::string name = entry["name"];
    const auto chat_template = ChatTemplate::parse(entry["template"], name);
    ASSERT_TRUE(chat_template) << chat_template.error().message;
    for (const Json& c : entry["cases"]) {
      const Json context = {{"messages", c["messages"]},
                            {"add_generation_prompt", c["add_generation_prompt"]},
                            {"bos_token", entry["bos_token"]},
                            {"eos_token", entry["eos_token"]}};
      const auto text = chat_template->render(context);
      if (c.contains("error")) {
        ASSERT_FALSE(text) << name << ": " << *text;
        EXPECT_EQ(text.error().message, c["error"].get<std::string>()) << name;
        ++errors;
      } else {
        ASSERT_TRUE(text) << name << ": " << text.error().message;
        EXPECT_EQ(*text, c["rendered"].get<std::string>()) << name;
        ++renderings;
      }
    }
  }
  EXPECT_EQ(renderings, 52);
  EXPECT_EQ(errors, 4);
}

TEST(ChatTemplateGolden, PlainMessagesRenderAsJsonMessagesDo) {
  const std::vector<ChatMessage> messages = {{"system", "S"}, {"user", "日本語"}};
  const Json json = to_json(messages);
  EXPECT_EQ(json,
            Json::parse(R"([{"role": "system", "content": "S"}, {"role": "user", "content": "日本語"}])"));
  EXPECT_EQ(
      render("{% for m in messages %}{{ m.role }}:{{ m['content'] }};{% endfor %}", {{"messages", json}}),
      "system:S;user:日本語;");
}

}  // namespace
}  // namespace sterna::runtime
