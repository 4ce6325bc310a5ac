# sterna_embed(target namespace pattern): the files data/<pattern> of this folder become part of the target, as
# kEmbedded of the namespace (runtime/embedded.h).
function(sterna_embed target namespace pattern)
  file(GLOB files CONFIGURE_DEPENDS "data/${pattern}")
  set(out "${CMAKE_CURRENT_BINARY_DIR}/embedded.cc")
  set(script "${PROJECT_SOURCE_DIR}/cmake/embed.cmake")
  add_custom_command(
    OUTPUT "${out}"
    COMMAND ${CMAKE_COMMAND} "-DOUT=${out}" "-DFILES=${files}" "-DNAMESPACE=${namespace}" -P "${script}"
    DEPENDS "${script}" ${files} VERBATIM)
  target_sources(${target} PRIVATE "${out}")
endfunction()
