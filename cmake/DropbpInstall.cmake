# What `cmake --install` copies: the programs, which look for shared libraries in ../lib beside their own folder
# before the system's. tools/bundle fills that folder.
foreach(program dropbp dropbp-coordinator dropbp-worker dropbp-trainer)
  if(TARGET ${program})
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
    install(TARGETS ${program} RUNTIME DESTINATION bin)
  endif()
endforeach()
install(DIRECTORY configs/quickstart DESTINATION share/dropbp)
install(FILES LICENSE DESTINATION share/dropbp)
