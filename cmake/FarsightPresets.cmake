# generated/presets.inc: every presets/NAME.toml as {"NAME", R"toml(...)toml"}, so that a program
# needs no file beside it. Only train/presets.cpp includes it.
file(GLOB preset_files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/presets/*.toml)
set(preset_entries "")
foreach(preset ${preset_files})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${preset})
  get_filename_component(preset_name ${preset} NAME_WE)
  file(READ ${preset} preset_text)
  string(APPEND preset_entries "{\"${preset_name}\", R\"toml(${preset_text})toml\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/presets.inc CONTENT "${preset_entries}" @ONLY)
set_source_files_properties(train/presets.cpp PROPERTIES
                            INCLUDE_DIRECTORIES ${CMAKE_BINARY_DIR}/generated)
