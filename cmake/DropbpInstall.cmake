# What `cmake --install` copies and what tools/bundle packs with CPack: the programs, the shared libraries they need,
# the quickstart and the systemd units. The result runs from any folder of another machine.
#
# Left out, and why:
#   LibTorch and CUDA: gigabytes, and they must fit the machine's driver; bin/dropbp-trainer finds them by
#     DROPBP_LIBTORCH.
#   glibc, libstdc++, libgcc: they belong to the machine's loader. A newer machine's own are always good enough, and
#     an older copy beside LibTorch, which loads the machine's, would break it.
foreach(program dropbp dropbp-coordinator dropbp-worker dropbp-trainer dropbp-parquet)
  if(NOT TARGET ${program})
    continue()  # switched off by DROPBP_BUILD_TRAINER or DROPBP_PARQUET
  endif()
  set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  # RPATH rather than RUNPATH: it also holds for the libraries that our libraries need.
  target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
  set(folder bin)
  if(program MATCHES "-(trainer|parquet)$")  # started by others of ours
    set(folder libexec)
  endif()
  install(TARGETS ${program} RUNTIME_DEPENDENCY_SET dropbp_dependencies RUNTIME DESTINATION ${folder})
endforeach()
install(RUNTIME_DEPENDENCY_SET dropbp_dependencies
  PRE_EXCLUDE_REGEXES "^lib(torch|c10)" "^ld-linux" "^lib(c|m|dl|pthread|rt|resolv|util)\\.so" "^lib(stdc\\+\\+|gcc_s)\\.so"
  DESTINATION lib)
install(PROGRAMS tools/trainer_with_libtorch DESTINATION bin RENAME dropbp-trainer)
install(PROGRAMS tools/run_quickstart DESTINATION bin RENAME dropbp-quickstart)
install(DIRECTORY configs/quickstart DESTINATION share/dropbp)
install(DIRECTORY deploy/systemd DESTINATION share/dropbp)
install(FILES LICENSE configs/coordinator.yaml DESTINATION share/dropbp)

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_FILE_NAME dropbp-${PROJECT_VERSION}-linux-x86_64)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_SOURCE_DIR}/build)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
include(CPack)
