// The text files of a model directory, separated by zero bytes: config.json, generation_config.json,
// tokenizer_config.json, tokenizer.json, chat_template.jinja.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "convert/hf_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna;
  convert::HfTexts texts;
  texts.directory = "m";
  std::string* const parts[] = {&texts.config, &texts.generation_config, &texts.tokenizer_config,
                                &texts.tokenizer, &texts.chat_template};
  std::size_t at = 0;
  for (std::string* part : parts) {
    while (at < size && data[at] != 0) part->push_back(static_cast<char>(data[at++]));
    ++at;
  }
  const auto model = convert::parse_hf_model(texts);
  if (model ? !runtime::validate(model->config, "m") : model.error().message.empty()) std::abort();
  return 0;
}
