// Reads a treelite checkpoint (format 4.x) into memory that treelite then works on directly.
//
// treelite's own reader trusts what it reads: a file cut at the wrong byte aborts the process, and a flipped bit makes it
// walk out of its arrays. Here every length is held against the file's size, and every index that prediction follows
// against its array, so a damaged file is an error like any other. It also halves what a model takes: one copy, without
// the training statistics that prediction never looks at, where treelite's reader rounds every array up to a power of
// two.
//
// The order of fields is a fact of the format: dmlc/treelite, src/serializer.cc.
#pragma once

#include <string>
#include <vector>

#include "abi/treelite.h"
#include "pages.h"

namespace fil {

struct Checkpoint {
  Pages pages;                                ///< what the frames point into; outlives the treelite model
  std::vector<TreelitePyBufferFrame> frames;  ///< what TreeliteDeserializeModelFromPyBuffer takes
};

/// Reads the file once, in order. Throws Failure where it is missing, damaged, or of another format.
Checkpoint read_checkpoint(const std::string& path);

}  // namespace fil
