#pragma once

#include <compare>
#include <concepts>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "harness/base/json.h"

namespace assay {

// A value that never changes, so that copies share it: a plan of a million stages holds each name,
// each settings object and each digest once. Never null; the default is T().
template <typename T>
class Shared {
 public:
  Shared() : value_(empty()) {}
  Shared(T value) : value_(std::make_shared<const T>(std::move(value))) {}  // NOLINT: as a T

  const T& operator*() const { return *value_; }
  const T* operator->() const { return value_.get(); }

  friend bool operator==(const Shared& a, const Shared& b) {
    return a.value_ == b.value_ || *a.value_ == *b.value_;
  }

 private:
  static const std::shared_ptr<const T>& empty() {
    static const std::shared_ptr<const T> kEmpty = std::make_shared<const T>();
    return kEmpty;
  }

  std::shared_ptr<const T> value_;
};

// A text that copies share. Reads like a std::string; str() where a template wants one.
class SharedText {
 public:
  SharedText() = default;
  SharedText(std::string text) : text_(std::move(text)) {}  // NOLINT: as a std::string
  SharedText(const char* text) : text_(text) {}             // NOLINT

  const std::string& str() const { return *text_; }
  operator const std::string&() const { return *text_; }  // NOLINT
  operator std::string_view() const { return str(); }     // NOLINT
  bool empty() const { return text_->empty(); }
  std::size_t size() const { return text_->size(); }
  std::string substr(std::size_t from, std::size_t count = std::string::npos) const {
    return text_->substr(from, count);
  }
  bool starts_with(std::string_view start) const { return text_->starts_with(start); }

  template <typename T>
  requires std::convertible_to<const T&, std::string_view>
  friend bool operator==(const SharedText& a, const T& b) {
    return std::string_view(a) == std::string_view(b);
  }
  friend std::strong_ordering operator<=>(const SharedText& a, const SharedText& b) {
    return a.str() <=> b.str();
  }
  friend std::string operator+(const SharedText& a, std::string_view b) {
    return std::string(a.str()).append(b);
  }
  friend std::ostream& operator<<(std::ostream& out, const SharedText& text) {
    return out << text.str();
  }
  friend std::string_view format_as(const SharedText& text) { return text; }
  friend void to_json(Json& json, const SharedText& text) { json = text.str(); }
  friend void from_json(const Json& json, SharedText& text) { text = json.get<std::string>(); }

 private:
  Shared<std::string> text_;
};

}  // namespace assay
