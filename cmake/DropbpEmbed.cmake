# Files as part of a program. As a script (cmake -P) it writes the C++ file that dropbp_embed asks for.
if(CMAKE_SCRIPT_MODE_FILE)
  set(text "// Made by cmake/DropbpEmbed.cmake.\n#include \"server/web/assets.h\"\n\nnamespace dropbp::server {\nnamespace {\n\nusing std::string_view_literals::operator\"\"sv;\n\nconstexpr Asset kAssets[] = {\n")
  foreach(path ${FILES})
    get_filename_component(name ${path} NAME)
    file(READ ${path} content)
    string(APPEND text "    {\"${name}\", R\"dropbp_file(${content})dropbp_file\"sv},\n")
  endforeach()
  string(APPEND text "};\n\n}  // namespace\n\nabsl::Span<const Asset> Assets() { return kAssets; }\n\n}  // namespace dropbp::server\n")
  file(WRITE ${OUTPUT} "${text}")
  return()
endif()

set(DROPBP_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

# dropbp_embed(<output.cc> <files>): makes a C++ file that defines Assets() of server/web/assets.h.
function(dropbp_embed output)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} "-DFILES=${files}" -DOUTPUT=${output} -P ${DROPBP_EMBED_SCRIPT}
    DEPENDS ${files} ${DROPBP_EMBED_SCRIPT}
    VERBATIM)
endfunction()
