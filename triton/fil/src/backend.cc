// The entry points that Triton calls.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "abi/triton.h"
#include "batch.h"
#include "failure.h"
#include "model.h"

namespace {

using fil::check;
using fil::Failure;
using fil::guarded;
using fil::Model;

struct Instance {
  const Model& model;
  fil::Scratch scratch;
};

struct MessageDeleter {
  void operator()(TRITONSERVER_Message* message) const noexcept {
    fil::logged([&] { check(TRITONSERVER_MessageDelete(message)); });
  }
};

std::unique_ptr<TRITONSERVER_Message, MessageDeleter> configuration(TRITONBACKEND_Model* model) {
  TRITONSERVER_Message* message = nullptr;
  check(TRITONBACKEND_ModelConfig(model, 1, &message));
  return std::unique_ptr<TRITONSERVER_Message, MessageDeleter>(message);
}

std::string version_folder(TRITONBACKEND_Model* model) {
  TRITONBACKEND_ArtifactType type{};
  const char* location = nullptr;
  std::uint64_t version = 0;
  check(TRITONBACKEND_ModelRepository(model, &type, &location));
  check(TRITONBACKEND_ModelVersion(model, &version));
  if (type != TRITONBACKEND_ARTIFACT_FILESYSTEM) {
    throw Failure(TRITONSERVER_ERROR_UNSUPPORTED, "models have to be in the local file system");
  }
  return std::string(location) + "/" + std::to_string(version);
}

void require_cpu(TRITONBACKEND_ModelInstance* instance) {
  TRITONSERVER_InstanceGroupKind kind{};
  check(TRITONBACKEND_ModelInstanceKind(instance, &kind));
  if (kind != TRITONSERVER_INSTANCEGROUPKIND_CPU) {
    throw Failure(TRITONSERVER_ERROR_UNSUPPORTED, "this backend runs on the CPU: set instance_group to KIND_CPU");
  }
}

/// What Triton keeps for a model or an instance, as what was stored there; null where loading failed before that.
template <typename State>
State* state_of(TRITONBACKEND_Model* model) {
  void* state = nullptr;
  check(TRITONBACKEND_ModelState(model, &state));
  return static_cast<State*>(state);
}

template <typename State>
State* state_of(TRITONBACKEND_ModelInstance* instance) {
  void* state = nullptr;
  check(TRITONBACKEND_ModelInstanceState(instance, &state));
  return static_cast<State*>(state);
}

}  // namespace

extern "C" {

TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend*) {
  return guarded([&] {
    std::uint32_t major = 0, minor = 0;
    check(TRITONBACKEND_ApiVersion(&major, &minor));
    if (major != TRITONBACKEND_API_VERSION_MAJOR || minor < TRITONBACKEND_API_VERSION_MINOR) {
      throw Failure(TRITONSERVER_ERROR_UNSUPPORTED, "this backend needs Triton 24.10 or later");
    }
  });
}

TRITONSERVER_Error* TRITONBACKEND_GetBackendAttribute(TRITONBACKEND_Backend*,
                                                      TRITONBACKEND_BackendAttribute* attributes) {
  return guarded(
      [&] { check(TRITONBACKEND_BackendAttributeSetParallelModelInstanceLoading(attributes, true)); });
}

TRITONSERVER_Error* TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* model) {
  return guarded([&] {
    const auto message = configuration(model);
    const char* text = nullptr;
    std::size_t size = 0;
    check(TRITONSERVER_MessageSerializeToJson(message.get(), &text, &size));
    auto loaded = std::make_unique<Model>(std::string_view(text, size), version_folder(model));
    check(TRITONBACKEND_ModelSetState(model, loaded.get()));
    loaded.release();
  });
}

TRITONSERVER_Error* TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* model) {
  return guarded([&] { delete state_of<Model>(model); });
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceInitialize(TRITONBACKEND_ModelInstance* instance) {
  return guarded([&] {
    require_cpu(instance);
    TRITONBACKEND_Model* model = nullptr;
    check(TRITONBACKEND_ModelInstanceModel(instance, &model));
    auto created = std::unique_ptr<Instance>(new Instance{*state_of<Model>(model), {}});
    check(TRITONBACKEND_ModelInstanceSetState(instance, created.get()));
    created.release();
  });
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance* instance) {
  return guarded([&] { delete state_of<Instance>(instance); });
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance* instance,
                                                       TRITONBACKEND_Request** requests,
                                                       std::uint32_t request_count) {
  return guarded([&] {
    auto& [model, scratch] = *state_of<Instance>(instance);
    fil::execute(model, scratch, instance, std::span(requests, request_count));
  });
}
}
