#include "json.h"

#include <charconv>
#include <cmath>
#include <stdexcept>

namespace fil::json {
namespace {

constexpr int kDeepest = 64;

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Value document() {
    Value value = this->value(0);
    skip_space();
    if (at_ != text_.size()) fail("something follows the value");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::invalid_argument("not JSON at byte " + std::to_string(at_) + ": " + what);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  bool accept(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) fail(std::string("expected '") + wanted + "'");
  }

  Value word(std::string_view spelling, Value::Data meaning) {
    if (text_.substr(at_, spelling.size()) != spelling) fail("unknown word");
    at_ += spelling.size();
    return Value(std::move(meaning));
  }

  Value value(int depth) {
    if (depth > kDeepest) fail("nested too deep");
    skip_space();
    switch (peek()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return Value(string());
      case 't':
        return word("true", true);
      case 'f':
        return word("false", false);
      case 'n':
        return word("null", nullptr);
      default:
        return number();
    }
  }

  Value object(int depth) {
    Object members;
    expect('{');
    skip_space();
    if (accept('}')) return Value(std::move(members));
    do {
      skip_space();
      std::string key = string();
      skip_space();
      expect(':');
      members.insert_or_assign(std::move(key), value(depth + 1));
      skip_space();
    } while (accept(','));
    expect('}');
    return Value(std::move(members));
  }

  Value array(int depth) {
    Array items;
    expect('[');
    skip_space();
    if (accept(']')) return Value(std::move(items));
    do {
      items.push_back(value(depth + 1));
      skip_space();
    } while (accept(','));
    expect(']');
    return Value(std::move(items));
  }

  Value number() {
    const auto start = at_;
    while (at_ < text_.size() && std::string_view("+-.eE0123456789").find(text_[at_]) != std::string_view::npos) ++at_;
    double parsed = 0;
    const char* end = text_.data() + at_;
    const auto [stopped, error] = std::from_chars(text_.data() + start, end, parsed);
    if (error != std::errc() || stopped != end) fail("expected a value");
    return Value(parsed);
  }

  std::uint32_t hex4() {
    std::uint32_t code = 0;
    const auto digits = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) fail("expected four hex digits");
    at_ += 4;
    return code;
  }

  void escape(std::string& out) {
    static constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const char letter = peek();
    ++at_;
    if (letter == 'u') {
      std::uint32_t code = hex4();
      if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
        at_ += 2;
        code = 0x10000 + ((code - 0xD800) << 10) + ((hex4() - 0xDC00) & 0x3FF);
      }
      append_utf8(out, code);
    } else if (const auto index = kLetters.find(letter); letter != '\0' && index != std::string_view::npos) {
      out += kMeanings[index];
    } else {
      fail("unknown escape");
    }
  }

  std::string string() {
    std::string out;
    expect('"');
    while (!accept('"')) {
      if (at_ >= text_.size()) fail("the string does not end");
      if (accept('\\')) {
        escape(out);
      } else {
        out += text_[at_++];
      }
    }
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

template <typename T>
const T& get_or_empty(const Value::Data& data) {
  static const T empty{};
  const T* found = std::get_if<T>(&data);
  return found ? *found : empty;
}

}  // namespace

const Value& Value::operator[](std::string_view key) const {
  static const Value null;
  const Object& members = object();
  const auto found = members.find(key);
  return found == members.end() ? null : found->second;
}

const Array& Value::array() const { return get_or_empty<Array>(data_); }
const Object& Value::object() const { return get_or_empty<Object>(data_); }
const std::string& Value::string() const { return get_or_empty<std::string>(data_); }

std::int64_t Value::integer() const {
  if (const double* number = std::get_if<double>(&data_)) {
    if (*number == std::floor(*number) && std::fabs(*number) < 0x1p53) return static_cast<std::int64_t>(*number);
  } else if (const std::string* digits = std::get_if<std::string>(&data_)) {
    std::int64_t parsed = 0;
    const char* end = digits->data() + digits->size();
    const auto [stopped, error] = std::from_chars(digits->data(), end, parsed);
    if (error == std::errc() && stopped == end) return parsed;
  }
  throw std::invalid_argument("expected an integer");
}

Value parse(std::string_view text) { return Parser(text).document(); }

}  // namespace fil::json
