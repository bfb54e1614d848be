# zstd, simdjson and zlib: the system's first, a pinned and hashed download where it has none.
# TEXTASSAY_FETCH=ON takes the downloads in any case (wheels: one build for all machines).
include(FetchContent)

option(TEXTASSAY_FETCH "Build pinned copies of zstd, simdjson and zlib instead of using the system's" OFF)
find_package(PkgConfig QUIET)

function(textassay_alias name target)
  add_library(textassay::${name} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(textassay::${name} INTERFACE ${target})
endfunction()

# Debian: libzstd-dev
if(NOT TEXTASSAY_FETCH AND PkgConfig_FOUND)
  pkg_check_modules(ZSTD QUIET IMPORTED_TARGET "libzstd>=1.4.0")
endif()
if(ZSTD_FOUND)
  textassay_alias(zstd PkgConfig::ZSTD)
else()
  FetchContent_Declare(zstd
    URL https://github.com/facebook/zstd/releases/download/v1.5.7/zstd-1.5.7.tar.gz
    URL_HASH SHA256=eb33e51f49a15e023950cd7825ca74a4a2b43db8354825ac24fc1b7ee09e6fa3
    SOURCE_SUBDIR build/cmake)
  set(ZSTD_BUILD_PROGRAMS OFF CACHE BOOL "" FORCE)
  set(ZSTD_BUILD_SHARED OFF CACHE BOOL "" FORCE)
  set(ZSTD_BUILD_STATIC ON CACHE BOOL "" FORCE)
  set(ZSTD_BUILD_TESTS OFF CACHE BOOL "" FORCE)
  FetchContent_MakeAvailable(zstd)
  target_include_directories(libzstd_static INTERFACE $<BUILD_INTERFACE:${zstd_SOURCE_DIR}/lib>)
  textassay_alias(zstd libzstd_static)
endif()

# Debian: libsimdjson-dev
if(NOT TEXTASSAY_FETCH)
  find_package(simdjson QUIET CONFIG)
endif()
if(NOT TARGET simdjson::simdjson)
  FetchContent_Declare(simdjson
    URL https://github.com/simdjson/simdjson/archive/refs/tags/v3.10.1.tar.gz
    URL_HASH SHA256=1e8f881cb2c0f626c56cd3665832f1e97b9d4ffc648ad9e1067c134862bba060)
  set(SIMDJSON_DEVELOPER_MODE OFF CACHE BOOL "" FORCE)
  set(BUILD_SHARED_LIBS OFF)
  FetchContent_MakeAvailable(simdjson)
endif()
textassay_alias(simdjson simdjson::simdjson)

# Debian: zlib1g-dev
if(NOT TEXTASSAY_FETCH)
  find_package(ZLIB QUIET)
endif()
if(ZLIB_FOUND)
  textassay_alias(zlib ZLIB::ZLIB)
else()
  FetchContent_Declare(zlib
    URL https://github.com/madler/zlib/releases/download/v1.3.1/zlib-1.3.1.tar.gz
    URL_HASH SHA256=9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23)
  set(ZLIB_BUILD_EXAMPLES OFF CACHE BOOL "" FORCE)
  FetchContent_MakeAvailable(zlib)
  # Two, since a list inside the expression is cut at its semicolon.
  target_include_directories(zlibstatic INTERFACE
    $<BUILD_INTERFACE:${zlib_SOURCE_DIR}> $<BUILD_INTERFACE:${zlib_BINARY_DIR}>)
  textassay_alias(zlib zlibstatic)
endif()
