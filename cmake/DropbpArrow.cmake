# Apache Arrow's Parquet library as an imported target, out of the Python package pyarrow, which has its headers and shared
# libraries; Debian 12 has none of either.
# Arrow::Parquet: link no program of ours with it that needs OpenSSL too: libparquet exports a copy of all of OpenSSL.
set(DROPBP_PYARROW "" CACHE PATH "The folder of the Python package pyarrow; empty: the one of DROPBP_ENV")
if(DROPBP_PYARROW)
  set(PYARROW_ROOT ${DROPBP_PYARROW})
else()
  file(GLOB PYARROW_ROOT ${DROPBP_ENV}/lib/python3*/site-packages/pyarrow)
endif()
file(GLOB ARROW_LIBRARY ${PYARROW_ROOT}/libarrow.so.*)
file(GLOB PARQUET_LIBRARY ${PYARROW_ROOT}/libparquet.so.*)
if(NOT EXISTS "${PYARROW_ROOT}/include/parquet/arrow/reader.h" OR NOT ARROW_LIBRARY OR NOT PARQUET_LIBRARY)
  message(FATAL_ERROR "The Parquet library was not found: no pyarrow under ${DROPBP_ENV}. Run tools/setup, or build without "
    "Parquet by -DDROPBP_PARQUET=OFF.")
endif()
message(STATUS "Parquet: ${PARQUET_LIBRARY}")

add_library(Arrow::Parquet INTERFACE IMPORTED)
target_include_directories(Arrow::Parquet SYSTEM INTERFACE ${PYARROW_ROOT}/include)
target_link_libraries(Arrow::Parquet INTERFACE ${PARQUET_LIBRARY} ${ARROW_LIBRARY})
