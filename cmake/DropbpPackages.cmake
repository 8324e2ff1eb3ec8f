# Packages outside the torch island; tools/setup installs all of them.

# dropbp_need(<CMake package> <Debian package>): finds it, or says what to install.
macro(dropbp_need name debian)
  find_package(${name} QUIET)
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "${name} was not found. Run tools/setup, or install what Debian calls ${debian}.")
  endif()
endmacro()

# dropbp_need_pkg_config(<prefix> <pkg-config module> <Debian package>): the same for what has no CMake package.
macro(dropbp_need_pkg_config prefix module debian)
  pkg_check_modules(${prefix} IMPORTED_TARGET QUIET ${module})
  if(NOT ${prefix}_FOUND)
    message(FATAL_ERROR "${module} was not found. Run tools/setup, or install what Debian calls ${debian}.")
  endif()
endmacro()

dropbp_need(Threads libc6-dev)
dropbp_need(absl libabsl-dev)
dropbp_need(Protobuf libprotobuf-dev)
dropbp_need(gRPC libgrpc++-dev)
dropbp_need(yaml-cpp libyaml-cpp-dev)
dropbp_need(spdlog libspdlog-dev)
dropbp_need(OpenSSL libssl-dev)
dropbp_need(SQLite3 libsqlite3-dev)
dropbp_need(nlohmann_json nlohmann-json3-dev)
dropbp_need(CLI11 libcli11-dev)
dropbp_need(civetweb libcivetweb-dev)
dropbp_need(prometheus-cpp prometheus-cpp-dev)
dropbp_need(PkgConfig pkg-config)
dropbp_need_pkg_config(ONIGURUMA oniguruma libonig-dev)
dropbp_need_pkg_config(RE2 re2 libre2-dev)
# It asks for -pthread, which code that uses the precompiled header of the torch island must not be compiled with alone.
set_target_properties(PkgConfig::RE2 PROPERTIES INTERFACE_COMPILE_OPTIONS "")
dropbp_need_pkg_config(UTF8PROC libutf8proc libutf8proc-dev)
# libcsv has neither a CMake package nor a pkg-config module.
find_path(LIBCSV_INCLUDE csv.h)
find_library(LIBCSV_LIBRARY csv)
if(NOT LIBCSV_INCLUDE OR NOT LIBCSV_LIBRARY)
  message(FATAL_ERROR "libcsv was not found. Run tools/setup, or install what Debian calls libcsv-dev.")
endif()
add_library(LibCsv::LibCsv INTERFACE IMPORTED)
target_include_directories(LibCsv::LibCsv INTERFACE ${LIBCSV_INCLUDE})
target_link_libraries(LibCsv::LibCsv INTERFACE ${LIBCSV_LIBRARY})
if(DROPBP_BUILD_TESTS)
  dropbp_need(GTest libgmock-dev)
endif()
if(DROPBP_BUILD_BENCH)
  dropbp_need(benchmark libbenchmark-dev)
endif()

find_program(PROTOC protoc)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin)
if(NOT PROTOC OR NOT GRPC_CPP_PLUGIN)
  message(FATAL_ERROR "protoc or grpc_cpp_plugin was not found. Run tools/setup, or install what Debian calls "
    "protobuf-compiler and protobuf-compiler-grpc.")
endif()

# google/rpc/*.proto come with the Python package googleapis-common-protos.
file(GLOB DROPBP_GOOGLEAPIS ${DROPBP_ENV}/lib/python3*/site-packages)
if(NOT EXISTS "${DROPBP_GOOGLEAPIS}/google/rpc/error_details.proto")
  message(FATAL_ERROR "google/rpc/error_details.proto was not found under ${DROPBP_ENV}. Run tools/setup.")
endif()
