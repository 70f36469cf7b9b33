# Mends the include folders of the targets <package>__rosidl_generator_py, once this project's own
# CMakeLists is through and every target is known:
# - Those imported from the ROS 2 wheels of PyPI name folders of the machine that made the wheels;
#   this interpreter's stand in for them.
# - This project's own names the numpy of a .venv in the checkout, which CMake refuses to export
#   ("prefixed in the source directory"); it is needed for this build only.
include_guard(GLOBAL)

function(proxia_mend_generator_includes)
  get_property(imported DIRECTORY "${CMAKE_SOURCE_DIR}" PROPERTY IMPORTED_TARGETS)
  list(FILTER imported INCLUDE REGEX "__rosidl_generator_py$")
  foreach(target IN LISTS imported)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(folders MATCHES "/opt/python/")
      set_target_properties(${target} PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${Python3_INCLUDE_DIRS};${Python3_NumPy_INCLUDE_DIRS}")
    endif()
  endforeach()

  set(own ${PROJECT_NAME}__rosidl_generator_py)
  if(TARGET ${own})
    get_target_property(folders ${own} INTERFACE_INCLUDE_DIRECTORIES)
    list(TRANSFORM folders REPLACE "^(/.+)$" "$<BUILD_INTERFACE:\\1>")
    set_target_properties(${own} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${folders}")
  endif()
endfunction()

cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL proxia_mend_generator_includes)
