#include "forest.h"

#include <limits>
#include <string_view>
#include <thread>
#include <vector>

#include "checkpoint.h"
#include "failure.h"

namespace fil {
namespace {

void check_treelite(int status, TRITONSERVER_Error_Code code) {
  if (status != 0) throw Failure(code, std::string("treelite: ") + TreeliteGetLastError());
}

void check_load(int status) { check_treelite(status, TRITONSERVER_ERROR_INVALID_ARG); }

using Loader = int (*)(const char*, const char*, TreeliteModelHandle*);

Loader loader_of(Format format) {
  switch (format) {
    case Format::kXgboostJson:
      return TreeliteLoadXGBoostModelJSON;
    case Format::kXgboostUbjson:
      return TreeliteLoadXGBoostModelUBJSON;
    default:
      return TreeliteLoadLightGBMModel;
  }
}

TreeliteModelHandle load_foreign(const std::string& path, const Config& config) {
  const char* options = config.allow_unknown_fields ? R"({"allow_unknown_field": true})" : "{}";
  TreeliteModelHandle model = nullptr;
  check_load(loader_of(config.format)(path.c_str(), options, &model));
  return model;
}

TreeliteModelHandle load_checkpoint(Checkpoint& checkpoint) {
  TreeliteModelHandle model = nullptr;
  check_load(TreeliteDeserializeModelFromPyBuffer(checkpoint.frames.data(), checkpoint.frames.size(), &model));
  return model;
}

TreeliteGTILConfigHandle engine_with(int threads) {
  // treelite refuses more threads than there are; NVIDIA's backend takes all it can get.
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const std::string options =
      R"({"predict_type": "default", "nthread": )" + std::to_string(threads < cores ? threads : 0) + "}";
  TreeliteGTILConfigHandle engine = nullptr;
  check_load(TreeliteGTILParseConfig(options.c_str(), &engine));
  return engine;
}

void require_one_target(TreeliteModelHandle model) {
  TreelitePyBufferFrame frame{};
  check_load(TreeliteGetHeaderField(model, "num_target", &frame));
  const auto targets = *static_cast<const std::int32_t*>(frame.buf);
  if (targets != 1) {
    throw Failure(TRITONSERVER_ERROR_UNSUPPORTED,
                  "the model has " + std::to_string(targets) + " targets; FIL serves one");
  }
}

std::int64_t outputs_of(TreeliteModelHandle model, TreeliteGTILConfigHandle engine) {
  const std::uint64_t* shape = nullptr;
  std::uint64_t dims = 0;
  check_load(TreeliteGTILGetOutputShape(model, 1, engine, &shape, &dims));
  std::int64_t outputs = 1;
  for (std::uint64_t dim = 0; dim < dims; ++dim) outputs *= static_cast<std::int64_t>(shape[dim]);
  return outputs;
}

}  // namespace

Forest::Forest(const std::string& folder, const Config& config) {
  const std::string path = folder + "/" + config.file_name;
  if (config.format == Format::kTreeliteCheckpoint) {
    Checkpoint checkpoint = read_checkpoint(path);
    pages_ = std::move(checkpoint.pages);
    model_.reset(load_checkpoint(checkpoint));
  } else {
    model_.reset(load_foreign(path, config));
    require_one_target(model_.get());
  }
  engine_.reset(engine_with(config.threads));

  int features = 0;
  check_load(TreeliteQueryNumFeature(model_.get(), &features));
  features_ = features;
  outputs_ = outputs_of(model_.get(), engine_.get());
  const char* type = nullptr;
  check_load(TreeliteGetInputType(model_.get(), &type));
  is_float32_ = std::string_view(type) == "float32";
  predict_one_row();
}

void Forest::predict(const float* rows, std::uint64_t count, float* out) const {
  if (count == 0) return;
  if (!is_float32_) return predict_as_double(rows, count, out);
  check_treelite(TreeliteGTILPredict(model_.get(), rows, "float32", count, out, engine_.get()),
                 TRITONSERVER_ERROR_INTERNAL);
}

void Forest::predict_as_double(const float* rows, std::uint64_t count, float* out) const {
  const std::vector<double> wide(rows, rows + count * features_);
  std::vector<double> answers(count * outputs_);
  check_treelite(TreeliteGTILPredict(model_.get(), wide.data(), "float64", count, answers.data(), engine_.get()),
                 TRITONSERVER_ERROR_INTERNAL);
  for (const double answer : answers) *out++ = static_cast<float>(answer);
}

void Forest::predict_one_row() const {
  const std::vector<float> row(features_, std::numeric_limits<float>::quiet_NaN());
  std::vector<float> out(outputs_);
  predict(row.data(), 1, out.data());
}

}  // namespace fil
