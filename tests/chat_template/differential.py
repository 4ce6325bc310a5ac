#!/usr/bin/env python3
"""Compares chat_template_render_tool with jinja2 as transformers configures it.

usage: differential.py RENDER_TOOL [SHARED_DATA_DIR] [-v]

Renders (a) the templates beside this file, and those of the shared tokenizer configurations, over a set of
conversations, (b) a generated battery of expressions and statements. Texts must be equal to the byte; where jinja2
raises, the tool must report an error, with the same words for raise_exception. Then every message is written in
private-use characters, and none of them may come out in a piece that claims to come from the template.
Exit status: 0 all equal, 1 differences, 77 jinja2 or transformers is not installed.
"""

import copy
import datetime
import itertools
import json
import pathlib
import re
import subprocess
import sys

try:
    import jinja2
    import transformers.utils.chat_template_utils as chat_template_utils
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

import snippets

HERE = pathlib.Path(__file__).parent
# What a template cannot rely on: addresses, and the names of Python's inner types.
UNSTABLE = re.compile(r"object at 0x|<built-in method|<function |<class |<bound method|<Macro|<generator|iterator|<LoopContext|<jinja2")


class FixedDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 14, 3, 5)


chat_template_utils.datetime = FixedDatetime


def reference(template, context):
    """('text', rendering) or ('error', message, whether the template raised it itself)."""
    try:
        return ("text", chat_template_utils._compile_jinja_template(template).render(**copy.deepcopy(context)))
    except jinja2.exceptions.TemplateError as error:
        return ("error", str(error), type(error) is jinja2.exceptions.TemplateError)
    except Exception as error:  # whatever Python raises is an error of the template
        return ("error", f"{type(error).__name__}: {error}", False)


CONVERSATIONS = {
    "one": [{"role": "user", "content": "Hi"}],
    "system": [
        {"role": "system", "content": "  You are terse.\n"},
        {"role": "user", "content": " What is 2+2? \n"},
    ],
    "turns": [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "日本語で {{ answer }} <b> 'q' \"d\" \\"},
    ],
    "long": [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c\r\nd"},
        {"role": "assistant", "content": "<think>\nreason 1\n</think>\n\nd"},
        {"role": "user", "content": "ẞ İ ﬁ straße Σας"},
        {"role": "assistant", "content": "plain"},
    ],
    "reasoning": [
        {"role": "user", "content": "why"},
        {"role": "assistant", "content": "because", "reasoning_content": "\nlet me see\n"},
        {"role": "user", "content": "really? /no_think"},
    ],
    "special": [
        {"role": "user", "content": "<|im_end|><|eot_id|></s>[INST]"},
        {"role": "assistant", "content": "<|im_start|>"},
        {"role": "user", "content": ""},
    ],
    "parts": [
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image"}, {"type": "text", "text": "here"}]},
    ],
    "tool_call": [
        {"role": "system", "content": "Use tools."},
        {"role": "user", "content": "Weather in 大阪?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "abcdef123",
                    "type": "function",
                    "function": {"name": "weather", "arguments": {"city": "大阪", "days": 3, "metric": True, "t": 1.0}},
                }
            ],
        },
        {"role": "tool", "name": "weather", "tool_call_id": "abcdef123", "content": '{"sky": "clear"}'},
        {"role": "assistant", "content": "Clear."},
        {"role": "user", "content": "Thanks"},
    ],
    "two_calls": [
        {"role": "user", "content": "Both"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "aaaaaaaaa", "type": "function", "function": {"name": "f", "arguments": {"x": [1, None, "y"]}}},
                {"id": "bbbbbbbbb", "type": "function", "function": {"name": "g", "arguments": {}}},
            ],
        },
        {"role": "tool", "name": "f", "tool_call_id": "aaaaaaaaa", "content": "1"},
        {"role": "tool", "name": "g", "tool_call_id": "bbbbbbbbb", "content": "2"},
    ],
    "string_arguments": [
        {"role": "user", "content": "x"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "short", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
    ],
    "wrong_order": [{"role": "assistant", "content": "first"}, {"role": "user", "content": "second"}],
    "twice": [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}],
    "odd_role": [{"role": "developer", "content": "d"}, {"role": "narrator", "content": "n"}],
    "no_content": [{"role": "user"}],
    "empty": [],
}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather & <sky> of a city\nfor some days",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "the city", "enum": ["大阪", "東京"]},
                    "days": {"type": "integer", "description": "how many"},
                    "opt": {"type": "string", "nullable": True, "default": "x"},
                    "list": {"type": "array", "items": {"type": "number"}},
                    "deep": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
                },
                "required": ["city"],
            },
            "return": {"type": "string", "description": "the sky"},
        },
    },
    {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}},
]

NULLABLE_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "g",
            "description": "d",
            "parameters": {"type": "object", "properties": {"opt": {"type": ["string", "null"]}}},
        },
    }
]

TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": None}
VARIANTS = [
    {},
    {"tools": TOOLS},
    {"enable_thinking": False, "tools": None},
    {"date_string": "01 Jan 2025", "builtin_tools": ["search", "code_interpreter"], "tools": TOOLS, "tools_in_user_message": False},
    {"tools": NULLABLE_TOOLS},
    {"documents": [{"title": "T", "text": "body"}, {"title": "U", "text": "more"}], "thinking": True, "system_message": "sys"},
]


def template_requests(shared):
    templates = {path.name: path.read_text() for path in sorted((HERE / "templates").glob("*.jinja"))}
    if shared is not None:
        for path in sorted((shared / "tokenizers").glob("*_tokenizer_config.json")):
            template = json.loads(path.read_text()).get("chat_template")
            if template is not None:
                templates[path.name] = template
        for entry in json.loads((shared / "golden" / "chat_templates.json").read_text()):
            templates["golden " + entry["name"]] = entry["template"]
    for name, template in templates.items():
        for (conversation, messages), variant, prompt in itertools.product(CONVERSATIONS.items(), VARIANTS, (False, True)):
            context = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": prompt}
            yield f"{name} / {conversation}", template, {**context, **TOKENS, **variant}


def run_tool(tool, requests):
    lines = "".join(json.dumps({"template": template, "context": context}) + "\n" for template, context in requests)
    done = subprocess.run([tool], input=lines, capture_output=True, text=True, encoding="utf-8")
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    if done.returncode != 0 or len(answers) != len(requests):
        at = len(answers)
        print(f"the tool ended with status {done.returncode} at request {at}: {requests[at] if at < len(requests) else ''}")
        print(done.stderr[-4000:])
        sys.exit(1)
    return answers


# The documented limits: numbers that Python's own types hold and ours do not.
LIMITS = re.compile(r"does not fit (an integer of )?64 bits|cannot be raised to a fraction|does not fit a float")


def difference(expected, answer):
    if expected[0] == "text":
        if "error" in answer and LIMITS.search(answer["error"]):
            return None
        if "error" in answer:
            return f"jinja2 renders {expected[1]!r}\n  the tool fails: {answer['error']}"
        joined = "".join(text for text, _ in answer["segments"])
        if joined != answer["rendered"]:
            return f"the segments make {joined!r}, the rendering is {answer['rendered']!r}"
        if UNSTABLE.search(expected[1]) or answer["rendered"] == expected[1]:
            return None
        return f"jinja2 {expected[1]!r}\n  tool   {answer['rendered']!r}"
    if "error" not in answer:
        return f"jinja2 fails: {expected[1]}\n  the tool renders {answer['rendered']!r}"
    if "\n" in answer["error"]:
        return f"an error of several lines: {answer['error']!r}"
    if expected[2] and answer["error"] != " ".join(expected[1].split("\n")):
        return f"jinja2 raises {expected[1]!r}\n  the tool says {answer['error']!r}"
    return None


PRIVATE = 0xE000


def hide_text(text):
    return "".join(chr(PRIVATE + ord(c)) if c.isascii() and c.isalnum() else c for c in text)


def hide(value, key=None):
    """Every ASCII letter and digit of the strings as a private-use character, also in the keys of objects that no
    template looks into by name; roles and types stay."""
    if isinstance(value, str) and key not in ("role", "type"):
        return hide_text(value)
    if isinstance(value, list):
        return [hide(item) for item in value]
    if isinstance(value, dict):
        named = key not in ("arguments", "properties")
        return {(k if named else hide_text(k)): hide(v, k) for k, v in value.items()}
    return value


def leak(answer):
    for text, from_template in answer.get("segments", []):
        if from_template and any(PRIVATE <= ord(c) < PRIVATE + 128 for c in text):
            return f"text of a message is taken for text of the template: {text!r}"
    kinds = [from_template for _, from_template in answer.get("segments", [])]
    if any(a == b for a, b in zip(kinds, kinds[1:])):
        return "neighbouring segments are of one kind"
    return None


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "-v"]
    tool = arguments[0]
    shared = pathlib.Path(arguments[1]) if len(arguments) > 1 else HERE.parents[2] / "shared" / "data"
    named = list(template_requests(shared if shared.exists() else None))
    named += [(f"snippet {template!r}", template, snippets.CONTEXT) for template in snippets.all_snippets()]
    requests = [(template, context) for _, template, context in named]
    failures = 0
    errors = 0
    for (name, template, context), answer in zip(named, run_tool(tool, requests)):
        expected = reference(template, context)
        errors += expected[0] == "error"
        problem = difference(expected, answer)
        if problem is not None:
            failures += 1
            if failures <= 60 or "-v" in sys.argv:
                print(f"{name}\n  {problem}")
    hidden = [(t, {**c, "messages": hide(c["messages"]), "tools": hide(c.get("tools"))}) for _, t, c in named]
    pieces = 0
    for (name, _, _), answer in zip(named, run_tool(tool, hidden)):
        pieces += len(answer.get("segments", []))
        problem = leak(answer)
        if problem is not None:
            failures += 1
            print(f"{name}\n  {problem}")
    print(f"{len(named)} renderings compared, {errors} of them errors, {pieces} pieces traced: {failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
