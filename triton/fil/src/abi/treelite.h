// The part of treelite's C API that this backend uses: PyPI's treelite ships the library, not its header.
//
// Signatures are facts of the ABI, as published in dmlc/treelite 4.x: include/treelite/c_api.h. Every call returns 0, or
// -1 with the reason in TreeliteGetLastError() of the same thread.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

typedef void* TreeliteModelHandle;
typedef void* TreeliteGTILConfigHandle;

/// A run of `nitem` items of `itemsize` bytes. `format` is a type code of Python's struct module; treelite ignores it
/// when it reads.
struct TreelitePyBufferFrame {
  void* buf;
  char* format;
  std::size_t itemsize;
  std::size_t nitem;
};

const char* TreeliteGetLastError();
int TreeliteFreeModel(TreeliteModelHandle model);

/// Builds a model on top of the frames, without copying arrays: they must outlive the model.
int TreeliteDeserializeModelFromPyBuffer(TreelitePyBufferFrame* frames, std::size_t num_frames,
                                         TreeliteModelHandle* out);
int TreeliteLoadXGBoostModelJSON(const char* path, const char* config_json, TreeliteModelHandle* out);
int TreeliteLoadXGBoostModelUBJSON(const char* path, const char* config_json, TreeliteModelHandle* out);
int TreeliteLoadLightGBMModel(const char* path, const char* config_json, TreeliteModelHandle* out);

int TreeliteQueryNumFeature(TreeliteModelHandle model, int* out);
/// "float32" or "float64": what rows and answers of TreeliteGTILPredict are made of.
int TreeliteGetInputType(TreeliteModelHandle model, const char** out);
int TreeliteGetHeaderField(TreeliteModelHandle model, const char* name, TreelitePyBufferFrame* out);

int TreeliteGTILParseConfig(const char* config_json, TreeliteGTILConfigHandle* out);
int TreeliteGTILDeleteConfig(TreeliteGTILConfigHandle config);
int TreeliteGTILGetOutputShape(TreeliteModelHandle model, std::uint64_t num_row, TreeliteGTILConfigHandle config,
                               const std::uint64_t** out, std::uint64_t* out_ndim);
int TreeliteGTILPredict(TreeliteModelHandle model, const void* input, const char* input_type, std::uint64_t num_row,
                        void* output, TreeliteGTILConfigHandle config);
}
