// What an entry's config.pbtxt asks of this backend: the same parameters, defaults and names as NVIDIA's FIL backend.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fil {

enum class Format { kXgboostJson, kXgboostUbjson, kLightgbm, kTreeliteCheckpoint };

/// What a row is answered with.
enum class Answer {
  kValues,         ///< the model's own outputs, one or several
  kProbabilities,  ///< one per class; a binary model's single probability p becomes 1 - p, p
  kClass,          ///< the class's index, as a float
};

struct Config {
  Format format;
  Answer answer;
  float threshold;  ///< a binary model answers class 1 above it; only for Answer::kClass
  int threads;      ///< 0: all cores
  bool allow_unknown_fields;
  std::string file_name;
  std::int64_t max_batch_size;
  std::vector<std::int64_t> input_dims;   ///< as written: without the batch's dimension if max_batch_size > 0
  std::vector<std::int64_t> output_dims;
};

/// Reads the configuration that Triton hands over, as JSON. Throws Failure, which says what to change in config.pbtxt.
Config read_config(std::string_view json);

/// Throws Failure unless the dims are the model's: FIL's own, unchecked, would read or write past buffers.
void check_dims(const Config& config, std::int64_t features, std::int64_t columns);

}  // namespace fil
