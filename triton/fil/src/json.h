// A small reader of JSON (RFC 8259): enough for the model configuration that Triton hands over as text.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fil::json {

class Value;
using Array = std::vector<Value>;
using Object = std::map<std::string, Value, std::less<>>;

class Value {
 public:
  using Data = std::variant<std::nullptr_t, bool, double, std::string, Array, Object>;

  Value() = default;
  explicit Value(Data data) : data_(std::move(data)) {}

  const Data& data() const noexcept { return data_; }

  /// The member called `key`; null where there is none, or where this is not an object.
  const Value& operator[](std::string_view key) const;

  /// Empty where this is not an array (object, string).
  const Array& array() const;
  const Object& object() const;
  const std::string& string() const;

  /// Protobuf's JSON writes 64-bit integers as strings, so both forms count. Throws std::invalid_argument.
  std::int64_t integer() const;

 private:
  Data data_;
};

/// Throws std::invalid_argument, saying at which byte, where `text` is not one JSON value.
Value parse(std::string_view text);

}  // namespace fil::json
