// The requests of one execution: their rows gathered into one matrix, its answers handed back to each.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "abi/triton.h"
#include "model.h"

namespace fil {

/// Memory that an instance keeps between executions.
struct Scratch {
  std::vector<float> rows;
  std::vector<float> answers;
};

/// Answers every request and releases it. A request that is cancelled or wrong fails alone. Throws std::bad_alloc, and
/// then has touched none of them.
void execute(const Model& model, Scratch& scratch, TRITONBACKEND_ModelInstance* instance,
             std::span<TRITONBACKEND_Request* const> requests);

}  // namespace fil
