#include "batch.h"

#include <chrono>
#include <cstring>
#include <string>

#include "failure.h"

namespace fil {
namespace {

constexpr std::size_t kScratchKept = 64 * 1024;  // floats: what one large batch took is not held by every model

std::uint64_t now_ns() {
  using std::chrono::steady_clock;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

struct Times {
  std::uint64_t start = 0, compute_start = 0, compute_end = 0, end = 0;
};

std::string spelled(const std::vector<std::int64_t>& shape) {
  std::string out = "[";
  for (const auto dim : shape) out += (out.size() > 1 ? "," : "") + std::to_string(dim);
  return out + "]";
}

void require_host(TRITONSERVER_MemoryType type) {
  if (type == TRITONSERVER_MEMORY_GPU) throw Failure(TRITONSERVER_ERROR_UNSUPPORTED, "tensors have to be in host memory");
}

/// One request: where its rows are in the batch, or why it failed.
class Part {
 public:
  explicit Part(TRITONBACKEND_Request* request) : request_(request) {}

  bool failed() const noexcept { return error_ != nullptr; }
  void fail(TRITONSERVER_Error* error) noexcept { error_.reset(error); }

  /// Appends the request's rows to `rows`, or fails and leaves them as they were.
  void gather(const Model& model, std::vector<float>& rows) noexcept {
    const std::size_t before = rows.size();
    fail(guarded([&] { append(model, rows); }));
    if (failed()) rows.resize(before);
    count_ = static_cast<std::int64_t>(rows.size() - before) / model.features();
  }

  std::int64_t count() const noexcept { return count_; }

  /// Prepares the response from the request's answers, which start at `answers`.
  void fill(const Model& model, const float* answers) noexcept {
    logged([&] { check(TRITONBACKEND_ResponseNew(&response_, request_)); });
    if (response_ != nullptr && !failed()) fail(guarded([&] { copy_out(model, answers); }));
  }

  void report(TRITONBACKEND_ModelInstance* instance, const Times& at) noexcept {
    logged([&] {
      check(TRITONBACKEND_ModelInstanceReportStatistics(instance, request_, !failed(), at.start, at.compute_start,
                                                        at.compute_end, at.end));
    });
  }

  /// Sends the answers or the error, and hands the request back to Triton.
  void finish() noexcept {
    if (response_ != nullptr) {
      logged([&] { check(TRITONBACKEND_ResponseSend(response_, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error_.get())); });
    }
    logged([&] { check(TRITONBACKEND_RequestRelease(request_, TRITONSERVER_REQUEST_RELEASE_ALL)); });
  }

 private:
  void append(const Model& model, std::vector<float>& rows) const {
    bool cancelled = false;
    check(TRITONBACKEND_RequestIsCancelled(request_, &cancelled));
    if (cancelled) throw Failure(TRITONSERVER_ERROR_CANCELLED, "the request was cancelled");

    TRITONBACKEND_Input* input = nullptr;
    check(TRITONBACKEND_RequestInput(request_, "input__0", &input));
    TRITONSERVER_DataType type{};
    const std::int64_t* dims = nullptr;
    std::uint32_t dims_count = 0, buffers = 0;
    std::uint64_t bytes = 0;
    check(TRITONBACKEND_InputProperties(input, nullptr, &type, &dims, &dims_count, &bytes, &buffers));
    const std::vector<std::int64_t> shape(dims, dims + dims_count);
    if (type != TRITONSERVER_TYPE_FP32) throw Failure(TRITONSERVER_ERROR_INVALID_ARG, "input__0 has to be FP32");
    if (!model.takes(shape)) {
      throw Failure(TRITONSERVER_ERROR_INVALID_ARG,
                    "input__0 has shape " + spelled(shape) + ", but the model takes " +
                        std::to_string(model.features()) + " features a row");
    }
    const auto count = static_cast<std::uint64_t>(shape.size() == 1 ? 1 : shape[0]);
    const std::uint64_t row_bytes = sizeof(float) * static_cast<std::uint64_t>(model.features());
    // Divided, because the product of a huge shape would be a small number again.
    if (bytes % row_bytes != 0 || bytes / row_bytes != count) {
      throw Failure(TRITONSERVER_ERROR_INVALID_ARG, "input__0 holds " + std::to_string(bytes) + " bytes, not " +
                                                        std::to_string(count) + " rows of " +
                                                        std::to_string(row_bytes) + " as its shape says");
    }
    const std::uint64_t values = bytes / sizeof(float);
    rows.resize(rows.size() + values);
    copy(input, buffers, reinterpret_cast<char*>(rows.data() + rows.size() - values), bytes);
  }

  /// Joins the buffers that Triton holds the tensor in; a value may begin in one and end in the next.
  static void copy(TRITONBACKEND_Input* input, std::uint32_t buffers, char* to, std::uint64_t room) {
    for (std::uint32_t index = 0; index < buffers; ++index) {
      const void* from = nullptr;
      std::uint64_t size = 0;
      TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
      std::int64_t memory_id = 0;
      check(TRITONBACKEND_InputBuffer(input, index, &from, &size, &memory, &memory_id));
      require_host(memory);
      if (size > room) throw Failure(TRITONSERVER_ERROR_INVALID_ARG, "input__0 holds more than its shape");
      if (size > 0) std::memcpy(to, from, size);
      to += size;
      room -= size;
    }
    if (room > 0) throw Failure(TRITONSERVER_ERROR_INVALID_ARG, "input__0 holds less than its shape");
  }

  void copy_out(const Model& model, const float* answers) const {
    const std::vector<std::int64_t> shape = model.answer_shape(count_);
    TRITONBACKEND_Output* output = nullptr;
    check(TRITONBACKEND_ResponseOutput(response_, &output, "output__0", TRITONSERVER_TYPE_FP32, shape.data(),
                                       static_cast<std::uint32_t>(shape.size())));
    const std::uint64_t bytes = count_ * model.columns() * sizeof(float);
    void* to = nullptr;
    TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
    std::int64_t memory_id = 0;
    check(TRITONBACKEND_OutputBuffer(output, &to, bytes, &memory, &memory_id));
    require_host(memory);
    if (bytes > 0) std::memcpy(to, answers, bytes);
  }

  TRITONBACKEND_Request* request_;
  TRITONBACKEND_Response* response_ = nullptr;  // Triton's again once it is sent
  std::int64_t count_ = 0;
  Error error_;
};

void trim(std::vector<float>& scratch) noexcept {
  scratch.clear();
  if (scratch.capacity() > kScratchKept) std::vector<float>().swap(scratch);
}

}  // namespace

void execute(const Model& model, Scratch& scratch, TRITONBACKEND_ModelInstance* instance,
             std::span<TRITONBACKEND_Request* const> requests) {
  Times at{.start = now_ns()};
  std::vector<Part> parts(requests.begin(), requests.end());
  std::int64_t count = 0;
  for (Part& part : parts) {
    part.gather(model, scratch.rows);
    count += part.count();
  }

  at.compute_start = now_ns();
  const Error failure{guarded([&] { model.answer(scratch.rows.data(), count, scratch.answers); })};
  at.compute_end = now_ns();

  const float* answers = scratch.answers.data();
  for (Part& part : parts) {
    if (failure && !part.failed()) {
      part.fail(TRITONSERVER_ErrorNew(TRITONSERVER_ErrorCode(failure.get()), TRITONSERVER_ErrorMessage(failure.get())));
    }
    part.fill(model, answers);
    answers += part.count() * model.columns();
  }

  // Before anything is sent: whoever has an answer finds it counted, and nobody takes its model for an idle one.
  at.end = now_ns();
  for (Part& part : parts) part.report(instance, at);
  if (count > 0) {
    logged([&] {
      check(TRITONBACKEND_ModelInstanceReportBatchStatistics(instance, count, at.start, at.compute_start,
                                                             at.compute_end, at.end));
    });
  }
  for (Part& part : parts) part.finish();
  trim(scratch.rows);
  trim(scratch.answers);
}

}  // namespace fil
