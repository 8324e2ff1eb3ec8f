# LibTorch as imported targets, without torch's own CMake package (which insists on an installed CUDA toolkit).
# dropbp_torch: C++ LibTorch with c10d. dropbp_torch_cuda: the same with CUDA and NCCL, where their headers are there.
file(GLOB DROPBP_SITE_PACKAGES ${DROPBP_ENV}/lib/python3*/site-packages)
if(DROPBP_LIBTORCH)
  set(TORCH_ROOT ${DROPBP_LIBTORCH})
else()
  set(TORCH_ROOT ${DROPBP_SITE_PACKAGES}/torch)
endif()
if(NOT EXISTS ${TORCH_ROOT}/include/ATen/ATen.h)
  message(FATAL_ERROR "No LibTorch at '${TORCH_ROOT}'. Run tools/setup, or set DROPBP_LIBTORCH to a folder with include/ and lib/.")
endif()
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  message(FATAL_ERROR "LibTorch's headers need g++ here, found ${CMAKE_CXX_COMPILER_ID}. Use g++, or -DDROPBP_BUILD_TRAINER=OFF.")
endif()
find_path(GLOO_INCLUDE gloo/transport/tcp/device.h)
if(NOT GLOO_INCLUDE)
  message(FATAL_ERROR "gloo's headers were not found. Run tools/setup, or install what Debian calls libgloo-dev.")
endif()
message(STATUS "LibTorch: ${TORCH_ROOT}")

add_library(dropbp_torch INTERFACE)
target_include_directories(dropbp_torch SYSTEM INTERFACE
  ${TORCH_ROOT}/include ${TORCH_ROOT}/include/torch/csrc/api/include)
target_compile_definitions(dropbp_torch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
# LibTorch exports a copy of std::filesystem that crashes when others call it (remove_all, for one): let libstdc++ come
# first in the programs' search order.
target_link_libraries(dropbp_torch INTERFACE stdc++)
foreach(lib torch torch_cpu c10)
  target_link_libraries(dropbp_torch INTERFACE ${TORCH_ROOT}/lib/lib${lib}.so)
endforeach()

# CUDA: headers of an installed toolkit, or those of the nvidia-* packages that torch's wheel brings.
file(GLOB NVIDIA_INCLUDES ${DROPBP_SITE_PACKAGES}/nvidia/*/include)
find_path(CUDA_RUNTIME_INCLUDE cuda_runtime.h PATHS ${NVIDIA_INCLUDES} /usr/local/cuda/include NO_DEFAULT_PATH)
find_path(NCCL_INCLUDE nccl.h PATHS ${NVIDIA_INCLUDES} /usr/local/cuda/include NO_DEFAULT_PATH)
# CUDA's compiler as a library, for kernels of our own; only the build needs it.
file(GLOB NVRTC_LIBRARIES ${DROPBP_SITE_PACKAGES}/nvidia/*/lib/libnvrtc.so.* /usr/local/cuda/lib64/libnvrtc.so)
list(POP_FRONT NVRTC_LIBRARIES NVRTC_LIBRARY)
option(DROPBP_USE_CUDA "Train on GPUs too, where LibTorch can and CUDA's headers and compiler library and NCCL's header are found" ON)
if(DROPBP_USE_CUDA AND EXISTS ${TORCH_ROOT}/lib/libtorch_cuda.so AND CUDA_RUNTIME_INCLUDE AND NCCL_INCLUDE AND NVRTC_LIBRARY)
  set(DROPBP_CUDA ON)
  message(STATUS "CUDA headers: ${CUDA_RUNTIME_INCLUDE}, NCCL: ${NCCL_INCLUDE}")
  target_compile_definitions(dropbp_torch INTERFACE DROPBP_CUDA USE_C10D_NCCL)
  target_include_directories(dropbp_torch SYSTEM INTERFACE ${CUDA_RUNTIME_INCLUDE} ${NCCL_INCLUDE} ${NVIDIA_INCLUDES})
  # libtorch_cuda registers its kernels when it is loaded; no symbol of it may be needed, so keep it linked.
  target_link_libraries(dropbp_torch INTERFACE -Wl,--no-as-needed
    ${TORCH_ROOT}/lib/libtorch_cuda.so ${TORCH_ROOT}/lib/libc10_cuda.so -Wl,--as-needed)
else()
  set(DROPBP_CUDA OFF)
  message(STATUS "CUDA: switched off, or no headers, no libnvrtc or no libtorch_cuda; building for CPU only")
endif()

# One precompiled header for the island.
file(WRITE ${PROJECT_BINARY_DIR}/torch_pch/pch.cc "")
add_library(dropbp_torch_pch OBJECT ${PROJECT_BINARY_DIR}/torch_pch/pch.cc)
target_link_libraries(dropbp_torch_pch PUBLIC dropbp_compile dropbp_torch)
target_precompile_headers(dropbp_torch_pch PRIVATE <torch/torch.h>)

# dropbp_torch_library(<name> SOURCES <files> DEPS <targets>): a library of the island, with the precompiled header.
function(dropbp_torch_library name)
  dropbp_library(${name} ${ARGN})
  target_link_libraries(${name} PUBLIC dropbp_torch)
  target_precompile_headers(${name} REUSE_FROM dropbp_torch_pch)
endfunction()

# dropbp_torch_test(...): like dropbp_test, with the precompiled header.
function(dropbp_torch_test name)
  dropbp_test(${name} OPTIMIZED ${ARGN})  # a precompiled header wants the flags that it was made with
  target_link_libraries(${name} PRIVATE dropbp_torch)
  target_precompile_headers(${name} REUSE_FROM dropbp_torch_pch)
endfunction()
