#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

// Names inside the store (store.h): what owns a folder in tmp/, which texts may become names, and
// how what goes wrong with one is told.

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

// Throws Error(kIo): "cannot <what> <path>", with the mend.
[[noreturn]] void fail_in_store(std::string_view what, const std::filesystem::path& path, int code);

// With those above it.
void make_folder(const std::filesystem::path& folder);

// Whether something of that name is there, a dangling link too.
bool present(const std::filesystem::path& path);

// When it was last written to, in Unix seconds; 0 if there is nothing.
double changed_s(const std::filesystem::path& path);

// A number that a folder keeps, and that one made anew in its place does not have: of its inode
// and, where the file system knows it, the time of its birth (numbers of inodes are used again). 0
// if there is nothing.
std::uint64_t mark_of(const std::filesystem::path& path);

}  // namespace assay::supervise
