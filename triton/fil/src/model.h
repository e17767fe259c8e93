// One loaded model: its configuration, its forest, and how the forest's outputs become what a request is answered with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config.h"
#include "forest.h"

namespace fil {

class Model {
 public:
  /// `folder` holds the version's files. Throws Failure where the entry could not be served safely.
  Model(std::string_view config_json, const std::string& folder);

  std::int64_t features() const noexcept { return forest_.features(); }
  /// Values that a row is answered with.
  std::int64_t columns() const noexcept { return columns_; }

  /// Whether `shape` is that of an input: [rows, features], or [features] for one row where Triton does not batch.
  bool takes(const std::vector<std::int64_t>& shape) const;

  /// The shape of the answer to `rows` rows. As NVIDIA's backend has it, one column makes no second dimension.
  std::vector<std::int64_t> answer_shape(std::int64_t rows) const;

  /// Answers `count` rows of features() values with `count` rows of columns() values. Thread-safe. Throws Failure.
  void answer(const float* rows, std::uint64_t count, std::vector<float>& out) const;

 private:
  Config config_;
  Forest forest_;
  std::int64_t columns_;
};

}  // namespace fil
