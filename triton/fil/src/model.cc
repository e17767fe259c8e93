#include "model.h"

#include <algorithm>

namespace fil {
namespace {

std::int64_t columns_of(Answer answer, std::int64_t outputs) {
  switch (answer) {
    case Answer::kProbabilities:
      return std::max<std::int64_t>(outputs, 2);
    case Answer::kClass:
      return 1;
    default:
      return outputs;
  }
}

/// P(class 1) of each row, at the front of `out`, becomes P(class 0), P(class 1). From the back, so in place.
void spread_probabilities(std::vector<float>& out, std::uint64_t count) {
  for (std::uint64_t row = count; row-- > 0;) {
    const float probability = out[row];
    out[2 * row] = 1.0F - probability;
    out[2 * row + 1] = probability;
  }
}

/// `outputs` values of each row become the index of the largest, at the front of `out`.
void pick_classes(std::vector<float>& out, std::uint64_t count, std::int64_t outputs) {
  for (std::uint64_t row = 0; row < count; ++row) {
    const auto start = out.begin() + static_cast<std::ptrdiff_t>(row) * outputs;
    out[row] = static_cast<float>(std::max_element(start, start + outputs) - start);
  }
}

}  // namespace

Model::Model(std::string_view config_json, const std::string& folder)
    : config_(read_config(config_json)),
      forest_(folder, config_),
      columns_(columns_of(config_.answer, forest_.outputs())) {
  check_dims(config_, features(), columns_);
}

bool Model::takes(const std::vector<std::int64_t>& shape) const {
  if (shape.size() == 1) return config_.max_batch_size == 0 && shape[0] == features();
  return shape.size() == 2 && shape[0] >= 0 && shape[1] == features();
}

std::vector<std::int64_t> Model::answer_shape(std::int64_t rows) const {
  if (columns_ == 1) return {rows};
  return {rows, columns_};
}

void Model::answer(const float* rows, std::uint64_t count, std::vector<float>& out) const {
  const std::int64_t outputs = forest_.outputs();
  out.resize(count * std::max(outputs, columns_));
  forest_.predict(rows, count, out.data());
  if (config_.answer == Answer::kProbabilities && outputs == 1) {
    spread_probabilities(out, count);
  } else if (config_.answer == Answer::kClass && outputs == 1) {
    std::ranges::transform(out, out.begin(), [&](float p) { return p > config_.threshold ? 1.0F : 0.0F; });
  } else if (config_.answer == Answer::kClass) {
    pick_classes(out, count, outputs);
  }
}

}  // namespace fil
