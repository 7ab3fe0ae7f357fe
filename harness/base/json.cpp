#include "harness/base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/json_text.h"
#include "harness/base/utf8.h"

namespace assay {
namespace {

constexpr std::size_t kUsualText = 96;  // room for most recipes' parts without growing
constexpr std::int64_t kMaxExactInteger = std::int64_t{1} << 53;

// Order of UTF-16 code units, which differs from byte order only where surrogate pairs (lead bytes
// F0..F4) meet U+E000..U+FFFF (lead bytes EE, EF).
bool utf16_less(const std::string& a, const std::string& b) {
  const auto weight = [](unsigned char c) -> int {
    if (c >= 0xF0) return 0xED00 + c;  // surrogates sort as U+D800..U+DFFF
    if (c >= 0xEE) return 0xEE00 + c;
    return c < 0xEE && c >= 0xED ? 0xEC00 + c : c;
  };
  const std::size_t n = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < n; ++i) {
    const auto x = static_cast<unsigned char>(a[i]);
    const auto y = static_cast<unsigned char>(b[i]);
    if (x != y) return weight(x) < weight(y);
  }
  return a.size() < b.size();
}

void write_string(std::string& out, const std::string& text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c >= ' ' && c < 127 && c != '"' && c != '\\';
  });
  if (plain) {
    out.append(1, '"').append(text).append(1, '"');
    return;
  }
  out += Json(text).dump(-1, ' ', false, Json::error_handler_t::strict);
}

// ECMAScript Number::toString: shortest digits that round-trip, exponent form outside 1e-7 <= |x| <
// 1e21.
void write_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    throw Error(ErrorKind::kConfig, "a recipe cannot hold NaN or an infinity");
  }
  if (value == 0) {
    out += '0';
    return;
  }
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(value),
                                 std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(end.ptr - buffer));
  const std::size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = 0;
  const char* first = text.data() + e + 1 + (text[e + 1] == '+' ? 1 : 0);
  std::from_chars(first, text.data() + text.size(), exponent);
  if (value < 0) out += '-';
  const int count = static_cast<int>(digits.size());
  const int point = exponent + 1;  // digits before the decimal point
  if (point > 21 || point < -5) {
    out += digits[0];
    if (count > 1) out.append(".").append(digits, 1);
    out += fmt::format("e{}{}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (point <= 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-point), '0').append(digits);
  } else if (point >= count) {
    out += digits;
    out.append(static_cast<std::size_t>(point - count), '0');
  } else {
    out.append(digits, 0, static_cast<std::size_t>(point));
    out.append(".").append(digits, static_cast<std::size_t>(point));
  }
}

void write_integer(std::string& out, const Json& value) {
  const bool too_large =
      value.is_number_unsigned()
          ? value.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxExactInteger)
          : value.get<std::int64_t>() > kMaxExactInteger ||
                value.get<std::int64_t>() < -kMaxExactInteger;
  if (too_large) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format(
            "integer {} is beyond 2^53 and cannot be part of a recipe; write it as a string",
            value.dump()));
  }
  if (value.is_number_unsigned()) {
    out += fmt::format_int(value.get<std::uint64_t>()).c_str();
  } else {
    out += fmt::format_int(value.get<std::int64_t>()).c_str();
  }
}

void write(std::string& out, const Json& value) {
  switch (value.type()) {
    case Json::value_t::object: {
      const auto& object = value.get_ref<const Json::object_t&>();
      std::vector<const Json::object_t::value_type*> members;
      members.reserve(object.size());
      for (const auto& member : object) members.push_back(&member);
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return utf16_less(a->first, b->first); });
      out += '{';
      for (std::size_t i = 0; i < members.size(); ++i) {
        if (i > 0) out += ',';
        write_string(out, members[i]->first);
        out += ':';
        write(out, members[i]->second);
      }
      out += '}';
      return;
    }
    case Json::value_t::array:
      out += '[';
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (i > 0) out += ',';
        write(out, value[i]);
      }
      out += ']';
      return;
    case Json::value_t::string:
      write_string(out, value.get_ref<const std::string&>());
      return;
    case Json::value_t::number_float:
      write_double(out, value.get<double>());
      return;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      write_integer(out, value);
      return;
    case Json::value_t::boolean:
      out += value.get<bool>() ? "true" : "false";
      return;
    case Json::value_t::null:
      out += "null";
      return;
    default:
      throw Error(ErrorKind::kConfig, "a recipe cannot hold binary values");
  }
}

}  // namespace

std::string canonical_json(const Json& value) {
  std::string out;
  out.reserve(kUsualText);
  try {
    write(out, value);
  } catch (const Json::exception& e) {
    throw Error(ErrorKind::kConfig,
                fmt::format("text that is not UTF-8 cannot be part of a recipe: {}", e.what()));
  }
  return out;
}

std::string reason_of(const Json::exception& e) {
  constexpr std::size_t kLongest = 300;  // it quotes a number of any length
  const std::string text = utf8_text(std::string_view(e.what()).substr(0, kLongest));
  constexpr std::string_view kAt = "parse error at ";
  const std::size_t at = text.find(kAt);
  const std::size_t colon = text.find(": ", at);
  if (at != std::string::npos && colon != std::string::npos) {
    const std::size_t place = at + kAt.size();
    return fmt::format("({}){}", text.substr(place, colon - place), text.substr(colon));
  }
  const std::size_t prefix = text.find("] ");
  return prefix == std::string::npos ? text : text.substr(prefix + 2);
}

Json parse_json(std::string_view text, std::string_view what, int max_depth) {
  const auto guard = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > max_depth) {
      throw Error(ErrorKind::kData,
                  fmt::format("{}: JSON nested deeper than {} levels", what, max_depth));
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), guard);
  } catch (const Json::parse_error& e) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: not valid JSON at byte {} {}", what, e.byte, reason_of(e)));
  } catch (const Json::exception& e) {
    throw Error(ErrorKind::kData, fmt::format("{}: not valid JSON: {}", what, reason_of(e)));
  }
}

}  // namespace assay
