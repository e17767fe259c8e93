// Memory straight from the kernel: it goes back the moment a model is unloaded, whatever the allocator keeps.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>
#include <utility>

namespace fil {

class Pages {
 public:
  Pages() = default;

  /// Address space for `size` bytes; a page takes memory once it is written. Throws std::bad_alloc.
  explicit Pages(std::size_t size) : size_(rounded(size)) {
    if (size_ == 0) return;
    void* start = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) throw std::bad_alloc();
    start_ = static_cast<std::byte*>(start);
  }

  Pages(Pages&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Pages& operator=(Pages&& other) noexcept {
    std::swap(start_, other.start_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Pages() { release(0); }

  std::byte* data() const noexcept { return start_; }
  std::size_t size() const noexcept { return size_; }

  /// Gives back everything after the first `size` bytes.
  void shrink(std::size_t size) noexcept { release(rounded(size)); }

 private:
  static std::size_t rounded(std::size_t size) noexcept {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (size + page - 1) / page * page;
  }

  void release(std::size_t kept) noexcept {
    if (kept >= size_) return;
    ::munmap(start_ + kept, size_ - kept);
    size_ = kept;
  }

  std::byte* start_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace fil
