// How errors travel: as exceptions inside, as TRITONSERVER_Error at the C boundary, and never past it.
#pragma once

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "abi/triton.h"

namespace fil {

/// What went wrong, in words for whoever wrote the entry or the request, with the code that Triton reports.
class Failure : public std::runtime_error {
 public:
  Failure(TRITONSERVER_Error_Code code, const std::string& message) : std::runtime_error(message), code_(code) {}

  TRITONSERVER_Error_Code code() const noexcept { return code_; }

 private:
  TRITONSERVER_Error_Code code_;
};

struct ErrorDeleter {
  void operator()(TRITONSERVER_Error* error) const noexcept { TRITONSERVER_ErrorDelete(error); }
};
using Error = std::unique_ptr<TRITONSERVER_Error, ErrorDeleter>;

/// An error for Triton, in ASCII: the message may quote a damaged file, and Triton's own answers have to be UTF-8.
inline TRITONSERVER_Error* error_of(TRITONSERVER_Error_Code code, const char* message) noexcept {
  try {
    std::string printable(message);
    for (char& c : printable) {
      if (c < ' ' || c > '~') c = '?';
    }
    return TRITONSERVER_ErrorNew(code, printable.c_str());
  } catch (const std::bad_alloc&) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNAVAILABLE, "out of memory");
  }
}

/// Turns an error that Triton returned into a Failure.
inline void check(TRITONSERVER_Error* returned) {
  if (const Error error{returned}) {
    throw Failure(TRITONSERVER_ErrorCode(error.get()), TRITONSERVER_ErrorMessage(error.get()));
  }
}

/// Runs `body` and returns what it threw as an error, or nullptr.
template <typename Body>
TRITONSERVER_Error* guarded(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const Failure& failure) {
    return error_of(failure.code(), failure.what());
  } catch (const std::bad_alloc&) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNAVAILABLE, "out of memory");
  } catch (const std::exception& error) {
    return error_of(TRITONSERVER_ERROR_INTERNAL, error.what());
  } catch (...) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, "unknown exception");
  }
}

/// Runs `body`, where nobody is left to be told: what it throws is logged.
template <typename Body>
void logged(Body&& body) noexcept {
  if (const Error error{guarded(body)}) {
    Error ignored{
        TRITONSERVER_LogMessage(TRITONSERVER_LOG_ERROR, "fil", 0, TRITONSERVER_ErrorMessage(error.get()))};
  }
}

}  // namespace fil
