# generated/presets.inc: every presets/NAME.toml as {"NAME", "", R"toml(...)toml"}, and every
# presets/NAME/FAMILY.toml as {"NAME", "FAMILY", R"toml(...)toml"}, so that a program needs no file
# beside it. Only train/presets.cpp includes it.
file(GLOB preset_files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/presets/*.toml
     ${CMAKE_CURRENT_SOURCE_DIR}/presets/*/*.toml)
set(preset_entries "")
foreach(preset ${preset_files})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${preset})
  get_filename_component(preset_name ${preset} NAME_WE)
  get_filename_component(preset_folder ${preset} DIRECTORY)
  get_filename_component(preset_folder ${preset_folder} NAME)
  set(preset_family "")
  if(NOT preset_folder STREQUAL "presets")
    set(preset_family ${preset_name})
    set(preset_name ${preset_folder})
  endif()
  file(READ ${preset} preset_text)
  string(APPEND preset_entries "{\"${preset_name}\", \"${preset_family}\", R\"toml(${preset_text})toml\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/presets.inc CONTENT "${preset_entries}" @ONLY)
set_source_files_properties(train/presets.cpp PROPERTIES
                            INCLUDE_DIRECTORIES ${CMAKE_BINARY_DIR}/generated)
