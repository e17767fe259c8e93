#include "config.h"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "failure.h"
#include "json.h"

namespace fil {
namespace {

struct NamedFormat {
  std::string_view model_type;
  Format format;
  std::string_view file_name;
};
constexpr std::array kFormats = {
    NamedFormat{"xgboost_json", Format::kXgboostJson, "xgboost.json"},
    NamedFormat{"xgboost_ubj", Format::kXgboostUbjson, "xgboost.ubj"},
    NamedFormat{"lightgbm", Format::kLightgbm, "model.txt"},
    NamedFormat{"treelite_checkpoint", Format::kTreeliteCheckpoint, "checkpoint.tl"},
};

[[noreturn]] void refuse(const std::string& message) { throw Failure(TRITONSERVER_ERROR_INVALID_ARG, message); }

std::string spelled(const std::vector<std::int64_t>& dims) {
  std::string out = "[";
  for (const auto dim : dims) out += (out.size() > 1 ? ", " : "") + std::to_string(dim);
  return out + "]";
}

/// The `parameters` section: strings by name.
class Parameters {
 public:
  explicit Parameters(const json::Value& section) : section_(section) {}

  std::optional<std::string> text(std::string_view key) const {
    const auto found = section_.object().find(key);
    if (found == section_.object().end()) return std::nullopt;
    return found->second["string_value"].string();
  }

  std::optional<bool> flag(std::string_view key) const {
    const auto value = text(key);
    if (!value) return std::nullopt;
    if (*value == "true") return true;
    if (*value == "false") return false;
    wrong(key, *value, "\"true\" or \"false\"");
  }

  template <typename Number>
  std::optional<Number> number(std::string_view key) const {
    const auto value = text(key);
    if (!value) return std::nullopt;
    Number parsed{};
    const char* end = value->data() + value->size();
    const auto [stopped, error] = std::from_chars(value->data(), end, parsed);
    if (error != std::errc() || stopped != end) wrong(key, *value, "a number");
    return parsed;
  }

 private:
  [[noreturn]] static void wrong(std::string_view key, const std::string& value, std::string_view wanted) {
    refuse("parameter " + std::string(key) + " is \"" + value + "\": it has to be " + std::string(wanted));
  }

  const json::Value& section_;
};

const NamedFormat& format_of(const Parameters& parameters) {
  const auto model_type = parameters.text("model_type");
  if (!model_type) refuse("parameter model_type is missing");
  std::string known;
  for (const auto& format : kFormats) {
    if (format.model_type == *model_type) return format;
    known += (known.empty() ? "" : ", ") + std::string(format.model_type);
  }
  refuse("model_type \"" + *model_type + "\" is not known: use one of " + known);
}

bool is_classifier(const Parameters& parameters) {
  const auto renamed = parameters.flag("is_classifier");
  const auto original = parameters.flag("output_class");
  if (!renamed && !original) refuse("parameter is_classifier is missing (before 25.09: output_class)");
  if (renamed && original && *renamed != *original) refuse("parameters is_classifier and output_class disagree");
  return renamed ? *renamed : *original;
}

Answer answer_of(const Parameters& parameters) {
  const bool classifier = is_classifier(parameters);
  const bool probabilities = parameters.flag("predict_proba").value_or(false);
  if (probabilities && !classifier) refuse("predict_proba is for classifiers: set is_classifier, or leave it out");
  if (!classifier) return Answer::kValues;
  return probabilities ? Answer::kProbabilities : Answer::kClass;
}

float threshold_of(const Parameters& parameters, Answer answer) {
  const auto threshold = parameters.number<float>("threshold");
  if (answer != Answer::kValues && !threshold) refuse("parameter threshold is missing: a classifier needs one");
  return threshold.value_or(0.5F);
}

int threads_of(const Parameters& parameters) {
  const int threads = parameters.number<int>("cpu_nthread").value_or(0);
  return threads > 0 ? threads : 0;
}

std::vector<std::int64_t> dims_of(const json::Value& tensors, std::string_view section, std::string_view name) {
  const json::Array& found = tensors.array();
  if (found.size() != 1 || found[0]["name"].string() != name) {
    std::string names;
    for (const auto& tensor : found) names += (names.empty() ? "" : ", ") + tensor["name"].string();
    refuse("the " + std::string(section) + " has to be one tensor called " + std::string(name) + ", not: " + names +
           (names.find("treeshap_output") == std::string::npos ? "" : " (this backend computes no SHAP values)"));
  }
  if (const auto& type = found[0]["data_type"].string(); type != "TYPE_FP32") {
    refuse(std::string(name) + " has to be TYPE_FP32, not " + type);
  }
  std::vector<std::int64_t> dims;
  for (const auto& dim : found[0]["dims"].array()) dims.push_back(dim.integer());
  return dims;
}

/// Dims with the batch's dimension in front, where Triton does not add it by itself.
std::vector<std::int64_t> per_row(const Config& config, std::vector<std::int64_t> dims) {
  if (config.max_batch_size == 0 && dims.size() > 1) dims.erase(dims.begin());
  return dims;
}

}  // namespace

Config read_config(std::string_view text) try {
  const json::Value root = json::parse(text);
  const Parameters parameters(root["parameters"]);
  const NamedFormat& format = format_of(parameters);
  const Answer answer = answer_of(parameters);
  const std::string& file_name = root["default_model_filename"].string();
  return Config{
      .format = format.format,
      .answer = answer,
      .threshold = threshold_of(parameters, answer),
      .threads = threads_of(parameters),
      .allow_unknown_fields = parameters.flag("xgboost_allow_unknown_field").value_or(false),
      .file_name = file_name.empty() ? std::string(format.file_name) : file_name,
      .max_batch_size = root["max_batch_size"].integer(),
      .input_dims = dims_of(root["input"], "input", "input__0"),
      .output_dims = dims_of(root["output"], "output", "output__0"),
  };
} catch (const std::invalid_argument& error) {
  throw Failure(TRITONSERVER_ERROR_INTERNAL, std::string("model configuration: ") + error.what());
}

void check_dims(const Config& config, std::int64_t features, std::int64_t columns) {
  if (per_row(config, config.input_dims) != std::vector{features}) {
    refuse("input__0 has dims " + spelled(config.input_dims) + ", but the model takes " + std::to_string(features) +
           " features");
  }
  const bool scalar_rows = config.max_batch_size == 0 && columns == 1 && config.output_dims == std::vector{-1L};
  if (per_row(config, config.output_dims) != std::vector{columns} && !scalar_rows) {
    refuse("output__0 has dims " + spelled(config.output_dims) + ", but the model answers " + std::to_string(columns) +
           (columns == 1 ? " value a row" : " values a row"));
  }
}

}  // namespace fil
