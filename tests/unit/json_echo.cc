// Reads one JSON document a line with the FIL backend's reader, and writes what it understood: as JSON, or as "!" and why.
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>

#include "json.h"

namespace {

using fil::json::Array;
using fil::json::Object;
using fil::json::Value;

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned char>(c));
    out += static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' ? code : std::string(1, c);
  }
  return out + '"';
}

struct Writer {
  std::string operator()(std::nullptr_t) const { return "null"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(double value) const {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.17g", value);
    return digits;
  }
  std::string operator()(const std::string& value) const { return quoted(value); }
  std::string operator()(const Array& items) const {
    std::string out;
    for (const auto& item : items) out += (out.empty() ? "" : ",") + std::visit(*this, item.data());
    return '[' + out + ']';
  }
  std::string operator()(const Object& members) const {
    std::string out;
    for (const auto& [key, value] : members) {
      out += (out.empty() ? "" : ",") + quoted(key) + ':' + std::visit(*this, value.data());
    }
    return '{' + out + '}';
  }
};

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << std::visit(Writer{}, fil::json::parse(line).data()) << std::endl;
    } catch (const std::invalid_argument& error) {
      std::cout << '!' << error.what() << std::endl;
    }
  }
}
