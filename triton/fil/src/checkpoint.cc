#include "checkpoint.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>

#include "failure.h"

namespace fil {
namespace {

constexpr std::int32_t kMajor = 4;
constexpr std::uint8_t kFloat32 = 2, kFloat64 = 3;  // treelite::TypeInfo
constexpr std::int8_t kCategorical = 2;             // treelite::TreeNodeType
constexpr std::int8_t kLastOperator = 5;            // treelite::Operator: 1 to 5
constexpr std::int32_t kNone = -1;                  // a leaf's child; "all classes" as a tree's class

/// treelite reads arrays in place, so each starts where any of its element types may. What that adds is less than the
/// 8-byte length in front of each array, which is in the file but not kept.
constexpr std::size_t kAlignment = 8;

/// Scalars have no length in front. A tree's are paid for by its dropped statistics; this is more than the header has.
constexpr std::size_t kScalars = 32;

[[noreturn]] void damaged(const std::string& what) {
  throw Failure(TRITONSERVER_ERROR_INVALID_ARG, "the checkpoint is damaged: " + what);
}

void require(bool holds, const char* what) {
  if (!holds) damaged(what);
}

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

/// A file read from front to back, which never gives more than it has.
class Source {
 public:
  explicit Source(const std::string& path) : file_(std::fopen(path.c_str(), "rb")) {
    if (!file_) throw Failure(TRITONSERVER_ERROR_NOT_FOUND, "cannot open " + path + ": " + std::strerror(errno));
    struct stat status {};
    if (::fstat(::fileno(file_.get()), &status) != 0 || !S_ISREG(status.st_mode)) {
      throw Failure(TRITONSERVER_ERROR_INVALID_ARG, path + " is not a file");
    }
    size_ = remaining_ = static_cast<std::uint64_t>(status.st_size);
  }

  std::uint64_t size() const noexcept { return size_; }
  std::uint64_t remaining() const noexcept { return remaining_; }

  void read(void* to, std::uint64_t bytes) {
    take(bytes);
    if (std::fread(to, 1, bytes, file_.get()) != bytes) damaged("it cannot be read to its end");
  }

  void skip(std::uint64_t bytes) {
    take(bytes);
    if (::fseeko(file_.get(), static_cast<off_t>(bytes), SEEK_CUR) != 0) damaged("it cannot be read to its end");
  }

  /// The length in front of an array, which has to fit into the rest of the file.
  std::uint64_t length(std::uint64_t item_size) {
    std::uint64_t items = 0;
    read(&items, sizeof items);
    if (items > remaining_ / item_size) damaged("it ends too early");
    return items;
  }

 private:
  void take(std::uint64_t bytes) {
    if (bytes > remaining_) damaged("it ends too early");
    remaining_ -= bytes;
  }

  std::unique_ptr<std::FILE, FileCloser> file_;
  std::uint64_t size_ = 0;
  std::uint64_t remaining_ = 0;
};

/// What of the header the trees are checked against.
struct Header {
  std::uint64_t trees;
  std::int32_t features;
  std::int32_t classes;
  std::uint64_t leaf_vector_size;
  std::span<const std::int32_t> class_of_tree;
  bool is_float32;
};

/// One tree's arrays, an item for each node. T is what thresholds and leaves are made of.
struct Tree {
  std::span<const std::int8_t> type;
  std::span<const std::int32_t> left, right, feature;
  std::span<const std::int8_t> comparison;
  std::uint64_t leaf_values, categories;
  std::span<const std::uint64_t> leaf_begin, leaf_end, category_begin, category_end;
};

class Reader {
 public:
  explicit Reader(const std::string& path) : source_(path) {
    checkpoint_.pages = Pages(source_.size() + kScalars * kAlignment);
  }

  Checkpoint read() {
    const Header header = read_header();
    for (std::uint64_t tree = 0; tree < header.trees; ++tree) {
      if (header.is_float32) {
        read_tree<float>(header, tree);
      } else {
        read_tree<double>(header, tree);
      }
    }
    require(source_.remaining() == 0, "something follows the last tree");
    checkpoint_.pages.shrink(used_);
    return std::move(checkpoint_);
  }

 private:
  template <typename T>
  T* frame(std::uint64_t items) {
    T* start = reinterpret_cast<T*>(checkpoint_.pages.data() + used_);
    used_ += (items * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    require(used_ <= checkpoint_.pages.size(), "it holds more than its size");
    source_.read(start, items * sizeof(T));
    checkpoint_.frames.push_back({start, nullptr, sizeof(T), items});
    return start;
  }

  template <typename T>
  T scalar() {
    return *frame<T>(1);
  }

  template <typename T>
  std::span<const T> array() {
    const auto items = source_.length(sizeof(T));
    return {frame<T>(items), items};
  }

  /// An array with an item for each of `nodes`.
  template <typename T>
  std::span<const T> node_array(std::uint64_t nodes) {
    const auto items = array<T>();
    require(items.size() == nodes, "a tree's arrays differ in length");
    return items;
  }

  /// An array that prediction never looks at: treelite gets an empty one.
  template <typename T>
  void unused_array() {
    source_.skip(source_.length(sizeof(T)) * sizeof(T));
    checkpoint_.frames.push_back({nullptr, nullptr, sizeof(T), 0});
  }

  /// Fields that a later 4.x may add, each with its size: treelite is told that there are none.
  void extension_slot() {
    std::int32_t& count = *frame<std::int32_t>(1);
    require(count >= 0, "a negative number of fields");
    for (; count > 0; --count) {
      source_.skip(source_.length(1));
      std::uint64_t item_size = 0;
      source_.read(&item_size, sizeof item_size);
      require(item_size > 0, "a field without a size");
      source_.skip(source_.length(item_size) * item_size);
    }
  }

  Header read_header() {
    Header header{};
    const auto major = scalar<std::int32_t>();
    scalar<std::int32_t>();  // minor
    scalar<std::int32_t>();  // patch
    if (major != kMajor) {
      throw Failure(TRITONSERVER_ERROR_INVALID_ARG,
                    "not a checkpoint of treelite 4: damaged, or written by another release");
    }
    const auto threshold_type = scalar<std::uint8_t>(), leaf_type = scalar<std::uint8_t>();
    require(threshold_type == leaf_type && (leaf_type == kFloat32 || leaf_type == kFloat64), "unknown number type");
    header.is_float32 = leaf_type == kFloat32;
    header.trees = scalar<std::uint64_t>();
    header.features = scalar<std::int32_t>();
    require(header.features > 0, "no features");
    scalar<std::uint8_t>();  // task type
    require(scalar<std::uint8_t>() <= 1, "a flag is neither true nor false");  // whether trees are averaged
    read_outputs(header);
    array<char>();    // postprocessor
    scalar<float>();  // its alpha
    scalar<float>();  // its ratio
    require(array<double>().size() == static_cast<std::uint64_t>(header.classes), "base scores do not fit the classes");
    array<char>();  // attributes
    extension_slot();
    return header;
  }

  void read_outputs(Header& header) {
    const auto targets = scalar<std::int32_t>();
    if (targets > 1) {
      throw Failure(TRITONSERVER_ERROR_UNSUPPORTED,
                    "the model has " + std::to_string(targets) + " targets; FIL serves one");
    }
    const auto classes = array<std::int32_t>();
    require(targets == 1 && classes.size() == 1 && classes[0] > 0, "no classes");
    header.classes = classes[0];
    const auto shape = array<std::int32_t>();
    require(shape.size() == 2 && shape[0] == 1 && (shape[1] == 1 || shape[1] == header.classes),
            "leaves do not fit the classes");
    header.leaf_vector_size = static_cast<std::uint64_t>(shape[1]);
    const auto targets_of_trees = array<std::int32_t>();
    header.class_of_tree = array<std::int32_t>();
    require(targets_of_trees.size() == header.trees && header.class_of_tree.size() == header.trees,
            "trees do not fit their number");
    require(std::ranges::all_of(targets_of_trees, [](auto target) { return target == 0; }), "a tree of no target");
    require(std::ranges::all_of(header.class_of_tree,
                                [&](auto id) { return id == kNone || (id >= 0 && id < header.classes); }),
            "a tree of no class");
  }

  template <typename T>
  void read_tree(const Header& header, std::uint64_t index) {
    const auto declared = scalar<std::int32_t>();
    require(declared > 0, "a tree without nodes");
    const auto nodes = static_cast<std::uint64_t>(declared);
    scalar<std::uint8_t>();  // whether it has categorical splits
    Tree tree{};
    tree.type = node_array<std::int8_t>(nodes);
    tree.left = node_array<std::int32_t>(nodes);
    tree.right = node_array<std::int32_t>(nodes);
    tree.feature = node_array<std::int32_t>(nodes);
    node_array<std::uint8_t>(nodes);  // whether a missing value goes left
    node_array<T>(nodes);             // leaf values
    node_array<T>(nodes);             // thresholds
    tree.comparison = node_array<std::int8_t>(nodes);
    node_array<std::uint8_t>(nodes);  // whether the categories go right
    tree.leaf_values = array<T>().size();
    tree.leaf_begin = node_array<std::uint64_t>(nodes);
    tree.leaf_end = node_array<std::uint64_t>(nodes);
    tree.categories = array<std::uint32_t>().size();
    tree.category_begin = node_array<std::uint64_t>(nodes);
    tree.category_end = node_array<std::uint64_t>(nodes);
    for (int statistic = 0; statistic < 3; ++statistic) {  // count, sum of hessians, gain; and where each is present
      unused_array<std::uint64_t>();
      unused_array<std::uint8_t>();
    }
    extension_slot();
    extension_slot();
    check_tree(header, tree, header.class_of_tree[index]);
  }

  void check_tree(const Header& header, const Tree& tree, std::int32_t class_id) {
    reached_.assign(tree.type.size(), false);
    reached_[0] = true;
    for (std::size_t node = 0; node < tree.type.size(); ++node) {
      if (tree.left[node] == kNone) {
        check_leaf(header, tree, node, class_id);
      } else {
        check_split(header, tree, node);
      }
    }
  }

  static void check_leaf(const Header& header, const Tree& tree, std::size_t node, std::int32_t class_id) {
    const auto begin = tree.leaf_begin[node], end = tree.leaf_end[node];
    if (begin == end) {
      require(class_id != kNone && header.leaf_vector_size == 1, "a leaf does not fit its tree");
    } else {
      require(begin < end && end <= tree.leaf_values && end - begin == header.leaf_vector_size,
              "a leaf does not fit its tree");
    }
  }

  void check_split(const Header& header, const Tree& tree, std::size_t node) {
    require(tree.feature[node] >= 0 && tree.feature[node] < header.features, "a split on a feature that is not there");
    enter(tree.left[node]);
    enter(tree.right[node]);
    if (tree.type[node] == kCategorical) {
      require(tree.category_begin[node] <= tree.category_end[node] && tree.category_end[node] <= tree.categories,
              "a split's categories are not there");
    } else {
      require(tree.comparison[node] >= 1 && tree.comparison[node] <= kLastOperator, "an unknown comparison");
    }
  }

  /// Every node but the root has one parent, so no walk from the root can go round in circles.
  void enter(std::int32_t child) {
    require(child >= 0 && static_cast<std::size_t>(child) < reached_.size() && !reached_[child],
            "nodes do not make a tree");
    reached_[child] = true;
  }

  Source source_;
  Checkpoint checkpoint_;
  std::size_t used_ = 0;
  std::vector<bool> reached_;
};

}  // namespace

Checkpoint read_checkpoint(const std::string& path) { return Reader(path).read(); }

}  // namespace fil
