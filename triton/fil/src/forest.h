// A model in memory, and prediction with it: treelite's reference engine (GTIL) behind RAII.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "abi/treelite.h"
#include "config.h"
#include "pages.h"

namespace fil {

class Forest {
 public:
  /// Loads the file that `config` names from `folder`, and predicts one row with it, so that whatever treelite has to
  /// say against a model is said now. Throws Failure.
  Forest(const std::string& folder, const Config& config);

  std::int64_t features() const noexcept { return features_; }
  /// Values of one row of predict(): 1, or one for each class.
  std::int64_t outputs() const noexcept { return outputs_; }

  /// Predicts `count` rows of features() values each, row after row, NaN meaning missing, into `count` rows of
  /// outputs() values. Thread-safe. Throws Failure.
  void predict(const float* rows, std::uint64_t count, float* out) const;

 private:
  struct ModelDeleter {
    void operator()(void* model) const noexcept { TreeliteFreeModel(model); }
  };
  struct EngineDeleter {
    void operator()(void* engine) const noexcept { TreeliteGTILDeleteConfig(engine); }
  };

  void predict_as_double(const float* rows, std::uint64_t count, float* out) const;
  void predict_one_row() const;

  Pages pages_;  // under the model, so destroyed after it
  std::unique_ptr<void, ModelDeleter> model_;
  std::unique_ptr<void, EngineDeleter> engine_;
  std::int64_t features_ = 0;
  std::int64_t outputs_ = 0;
  bool is_float32_ = true;
};

}  // namespace fil
