# How everything is compiled, and the two functions that declare targets.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness lets ccache serve files that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
endif()

add_library(dropbp_compile INTERFACE)
target_include_directories(dropbp_compile INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(dropbp_compile INTERFACE -Wall -Wextra)
target_compile_definitions(dropbp_compile INTERFACE DROPBP_VERSION="${PROJECT_VERSION}")
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(dropbp_compile INTERFACE -Wthread-safety -Werror)
else()
  # Clang never sees the torch island.
  target_compile_options(dropbp_compile INTERFACE -Werror=uninitialized)
endif()
if(DROPBP_SANITIZE)
  add_compile_options(-fsanitize=${DROPBP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DROPBP_SANITIZE})
endif()

# Reading gRPC's or torch's headers takes far longer than compiling one of our files. Several files at a time cut a build from
# nothing by minutes, but make the build after a small change longer. Files of a target then share their unnamed namespaces
# (tools/check_names holds their names apart); where that cannot be, the target turns UNITY_BUILD off again.
option(DROPBP_UNITY "Compile several files of a target at a time" OFF)
function(dropbp_unity name)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${DROPBP_UNITY} UNITY_BUILD_BATCH_SIZE 6)
endfunction()

# dropbp_library(<name> SOURCES <files> DEPS <targets>): one static library a folder.
function(dropbp_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC dropbp_compile ${ARG_DEPS})
  dropbp_unity(${name})
endfunction()

# dropbp_instrument_for_fuzzing(<library>): its code tells a fuzz target which paths an input takes. Other programs run it as
# well: AddressSanitizer's runtime has the functions that are called.
function(dropbp_instrument_for_fuzzing name)
  if(DROPBP_FUZZ)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# dropbp_test(<name> SOURCES <files> DEPS <targets> LABELS <unit|integration|parity>): a GoogleTest program.
# OPTIMIZED: its own code too. Its tests run as one CTest test; DROPBP_SOURCE_DIR, DROPBP_BIN_DIR and DROPBP_ORACLES tell it
# where things are.
function(dropbp_test name)
  cmake_parse_arguments(ARG "OPTIMIZED" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE dropbp_compile ${ARG_DEPS} GTest::gmock_main)
  dropbp_unity(${name})
  if(NOT ARG_OPTIMIZED)
    # The libraries under test are optimised; optimising the tests themselves only makes builds longer.
    target_compile_options(${name} PRIVATE -O0)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  # Tests that start processes or run a model count as two, so that `ctest -j2` runs them alone.
  set(processors 1)
  if("${ARG_LABELS}" MATCHES "integration|parity")
    set(processors 2)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} PROCESSORS ${processors}
    ENVIRONMENT "DROPBP_SOURCE_DIR=${PROJECT_SOURCE_DIR};DROPBP_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};DROPBP_ORACLES=${PROJECT_SOURCE_DIR}/build/oracles;DROPBP_MODELS=${PROJECT_SOURCE_DIR}/build/models;DROPBP_PROMETHEUS=${PROJECT_SOURCE_DIR}/build/prometheus;OMP_WAIT_POLICY=passive")
endfunction()
