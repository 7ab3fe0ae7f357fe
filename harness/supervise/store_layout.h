#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

// Names inside the store (store.h): what owns a folder in tmp/, and which texts may become names.

namespace assay::supervise {

inline constexpr std::string_view kResultFile = "result.json";

// "<host>.<pid name space>.<pid>.<start time>" of this process.
std::string owner_name();

// Whether the owner is a process under this kernel and in this pid name space, and lives. nullopt:
// nobody here can see it.
std::optional<bool> is_alive_here(const std::string& owner);

// Kills what processes of this host that are gone have left running, and removes their folders in
// `tmp`. Others are left: nobody here can know.
void remove_dead_owners(const std::filesystem::path& tmp);

// The text itself. Throws Error(kData): 64 lower-case hexadecimal digits; letters, digits, '.', '_'
// and '-', at most 200, no '.' at the start.
const std::string& checked_key(const std::string& key);
const std::string& checked_name(const std::string& name, std::string_view what);

}  // namespace assay::supervise
