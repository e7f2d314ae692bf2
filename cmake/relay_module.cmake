# Modules (one static library a folder), the program, tests and benches.
#
# The io module exists twice behind the same headers: `io` runs on io_uring, `io_fake` on
# tests/support/engine_fake.c. Modules take only io's headers and flags (`io_headers`); what is
# linked into a program chooses one of the two.

# Files of relay/io that the fake engine replaces.
set(IO_REAL_ONLY engine.c)

# relay_packages(<target> <scope> <pkg-config name>...)
function(relay_packages TARGET SCOPE)
    foreach(package IN LISTS ARGN)
        string(MAKE_C_IDENTIFIER "PKG_${package}" prefix)
        if(NOT TARGET PkgConfig::${prefix})
            pkg_check_modules(${prefix} REQUIRED IMPORTED_TARGET GLOBAL ${package})
        endif()
        target_link_libraries(${TARGET} ${SCOPE} PkgConfig::${prefix})
    endforeach()
endfunction()

# A static library, or an interface library while there is nothing to compile.
function(relay_add_library TARGET)
    if(ARGN)
        add_library(${TARGET} STATIC ${ARGN})
        set(scope PUBLIC)
    else()
        add_library(${TARGET} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_include_directories(${TARGET} ${scope} ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/relay)
    target_link_libraries(${TARGET} ${scope} Threads::Threads)
    set(scope ${scope} PARENT_SCOPE)
endfunction()

# relay_module(<name> DIR <folder> [PUBLIC <header>...] [DEPENDS <module>...]
#     [LIBRARIES <pkg-config name>...])
#
# PUBLIC headers are what other modules may include of it, all of them where none is named.
# DEPENDS names modules declared before, so there are no cycles and the declaration order is a
# topological order.
function(relay_module NAME)
    cmake_parse_arguments(ARG "" "DIR" "PUBLIC;DEPENDS;LIBRARIES" ${ARGN})
    get_property(modules GLOBAL PROPERTY RELAY_MODULES)
    set(closure ${ARG_DEPENDS})
    foreach(dependency IN LISTS ARG_DEPENDS)
        if(NOT dependency IN_LIST modules)
            message(FATAL_ERROR "module ${NAME} depends on ${dependency}, which is not declared before it")
        endif()
        get_property(more GLOBAL PROPERTY RELAY_CLOSURE_${dependency})
        list(APPEND closure ${more})
    endforeach()
    list(REMOVE_DUPLICATES closure)
    set_property(GLOBAL APPEND PROPERTY RELAY_MODULES ${NAME})
    set_property(GLOBAL PROPERTY RELAY_CLOSURE_${NAME} ${closure} ${NAME})
    list(JOIN ARG_DEPENDS " " depends)
    list(JOIN ARG_PUBLIC " " public)
    set_property(GLOBAL APPEND_STRING PROPERTY RELAY_LAYERS "${NAME} ${ARG_DIR} ${depends} : ${public}\n")

    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${ARG_DIR}/*.c)
    set(targets ${NAME})
    if(NAME STREQUAL "io")
        set(shared ${sources})
        foreach(file IN LISTS IO_REAL_ONLY)
            list(REMOVE_ITEM shared ${PROJECT_SOURCE_DIR}/${ARG_DIR}/${file})
        endforeach()
        file(GLOB fake CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/support/engine_fake*.c)
        add_library(io_headers INTERFACE)
        target_link_libraries(io_headers INTERFACE base)
        relay_packages(io_headers INTERFACE ${ARG_LIBRARIES})
        relay_add_library(io_fake ${shared} ${fake})
        target_link_libraries(io_fake ${scope} io_headers)
    endif()
    relay_add_library(${NAME} ${sources})
    foreach(dependency IN LISTS ARG_DEPENDS)
        if(dependency STREQUAL "io")
            set(dependency io_headers)
        endif()
        target_link_libraries(${NAME} ${scope} ${dependency})
    endforeach()
    relay_packages(${NAME} ${scope} ${ARG_LIBRARIES})
endfunction()

# Links <target> with the modules, everything they depend on, and one variant of io.
function(relay_link TARGET SCOPE ENGINE)
    set(closure "")
    foreach(module IN LISTS ARGN)
        get_property(more GLOBAL PROPERTY RELAY_CLOSURE_${module})
        if(NOT more)
            message(FATAL_ERROR "${TARGET} names the module ${module}, which does not exist")
        endif()
        list(APPEND closure ${more})
    endforeach()
    # Users before used: the reverse of the declaration order.
    get_property(modules GLOBAL PROPERTY RELAY_MODULES)
    list(REVERSE modules)
    foreach(module IN LISTS modules)
        if(NOT module IN_LIST closure)
            continue()
        elseif(module STREQUAL "io" AND ENGINE STREQUAL "FAKE")
            target_link_libraries(${TARGET} ${SCOPE} io_fake)
        else()
            target_link_libraries(${TARGET} ${SCOPE} ${module})
        endif()
    endforeach()
endfunction()

# relay_program(<name> LIBRARIES <pkg-config name>...): relay/*.c and relay/cli/*.c. All but
# main.c go into the library `program`, so that tests/unit/relay can link them.
function(relay_program NAME)
    cmake_parse_arguments(ARG "" "" "LIBRARIES" ${ARGN})
    get_property(modules GLOBAL PROPERTY RELAY_MODULES)
    set(main ${PROJECT_SOURCE_DIR}/relay/main.c)
    file(GLOB sources CONFIGURE_DEPENDS
        ${PROJECT_SOURCE_DIR}/relay/*.c ${PROJECT_SOURCE_DIR}/relay/cli/*.c)
    set(has_main FALSE)
    if(main IN_LIST sources)
        set(has_main TRUE)
        list(REMOVE_ITEM sources ${main})
    endif()
    relay_add_library(program ${sources})
    foreach(module IN LISTS modules)
        if(module STREQUAL "io")
            set(module io_headers)
        endif()
        target_link_libraries(program ${scope} ${module})
    endforeach()
    relay_packages(program ${scope} ${ARG_LIBRARIES})
    if(RINGPOST_JEMALLOC)
        target_compile_definitions(program ${scope} RINGPOST_JEMALLOC)
    endif()
    set_property(GLOBAL PROPERTY RELAY_PROGRAM ${NAME})
    if(NOT has_main)
        return()
    endif()
    add_executable(${NAME} ${main})
    target_link_libraries(${NAME} PRIVATE program)
    relay_link(${NAME} PRIVATE REAL ${modules})
    if(RINGPOST_JEMALLOC)
        pkg_check_modules(PKG_JEMALLOC REQUIRED jemalloc)
        # It takes malloc's place only if the linker keeps it, which --as-needed (the default of
        # some distributions) leaves to chance.
        target_link_options(${NAME} PRIVATE
            LINKER:--push-state,--no-as-needed,-ljemalloc,--pop-state)
    endif()
    set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()

# relay_bench(<source>): bench/x.c becomes build/<preset>/bench/ringpost-bench-x, with bench/x/*.c
# and bench/common/*.c beside it. A line `/* modules: a b */` names what it is linked with.
function(relay_bench SOURCE)
    get_filename_component(name ${SOURCE} NAME_WE)
    get_filename_component(folder ${SOURCE} DIRECTORY)
    set(target ringpost-bench-${name})
    relay_named_modules(${SOURCE} modules)
    if(NOT modules)
        set(modules io)
    endif()
    if(NOT TARGET bench_common)
        file(GLOB common CONFIGURE_DEPENDS ${folder}/common/*.c)
        relay_add_library(bench_common ${common})
        target_link_libraries(bench_common ${scope} io_headers)
    endif()
    file(GLOB parts CONFIGURE_DEPENDS ${folder}/${name}/*.c)
    add_executable(${target} ${SOURCE} ${parts})
    target_link_libraries(${target} PRIVATE bench_common)
    relay_link(${target} PRIVATE REAL ${modules})
    set_target_properties(${target} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
endfunction()

# What every test runs with.
set(RELAY_TEST_ENVIRONMENT
    "ASAN_OPTIONS=abort_on_error=0:strict_string_checks=1:detect_stack_use_after_return=1"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

# relay_test(<tests/unit/module/test_x.c> [FAKE|REAL] MODULES <module>...)
#
# A cmocka program and a CTest test, both called after the path: unit/module/x. `program` among the
# modules stands for relay/*.c and all modules.
function(relay_test SOURCE)
    cmake_parse_arguments(ARG "FAKE;REAL" "" "MODULES" ${ARGN})
    set(engine FAKE)
    if(ARG_REAL)
        set(engine REAL)
    endif()
    file(RELATIVE_PATH path ${PROJECT_SOURCE_DIR}/tests ${SOURCE})
    string(REGEX REPLACE "test_([^/]*)\\.c$" "\\1" name ${path})
    string(REPLACE "/" "-" target ${name})
    get_filename_component(folder ${name} DIRECTORY)
    add_executable(${target} ${SOURCE})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    # unit_main first: it may be the one who brings main(), which nothing else refers to.
    target_link_libraries(${target} PRIVATE unit_main)
    if("program" IN_LIST ARG_MODULES)
        get_property(ARG_MODULES GLOBAL PROPERTY RELAY_MODULES)
        target_link_libraries(${target} PRIVATE program)
    endif()
    relay_link(${target} PRIVATE ${engine} ${ARG_MODULES})
    relay_packages(${target} PRIVATE cmocka)
    get_filename_component(file ${SOURCE} NAME_WE)
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${file} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
    add_test(NAME ${name} COMMAND ${target} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 600
        ENVIRONMENT "${RELAY_TEST_ENVIRONMENT}")
    string(REPLACE "/" "-" group ${folder})
    if(NOT TARGET ${group})
        add_custom_target(${group})
    endif()
    add_dependencies(${group} ${target})
endfunction()

# relay_fuzz(<tests/fuzz/fuzz_x.c> MODULES <module>...)
#
# With RINGPOST_FUZZ a libFuzzer program, otherwise the same file behind a driver that replays
# inputs. Either way fuzz-replay/x runs the seeds in tests/fuzz/seeds/x. The libFuzzer program has a
# second test, fuzz-run/x: RUNS inputs of its own making, the same for the same program, so that a
# change answers for what it meets; `./dev fuzz` looks further.
function(relay_fuzz SOURCE)
    cmake_parse_arguments(ARG "" "RUNS" "MODULES" ${ARGN})
    get_filename_component(target ${SOURCE} NAME_WE)
    string(REGEX REPLACE "^fuzz_" "" name ${target})
    set(seeds ${PROJECT_SOURCE_DIR}/tests/fuzz/seeds/${name})
    add_executable(${target} ${SOURCE})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    # libFuzzer calls this by name; it has no header of its own.
    target_compile_options(${target} PRIVATE -Wno-missing-prototypes)
    if("program" IN_LIST ARG_MODULES)
        get_property(ARG_MODULES GLOBAL PROPERTY RELAY_MODULES)
        target_link_libraries(${target} PRIVATE program)
    endif()
    relay_link(${target} PRIVATE FAKE ${ARG_MODULES})
    # The worlds of the unit tests, which some targets use, claim by it.
    relay_packages(${target} PRIVATE cmocka)
    if(RINGPOST_FUZZ)
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        add_test(NAME fuzz-replay/${name} COMMAND ${target} -runs=0 ${seeds})
        add_test(NAME fuzz-run/${name}
            COMMAND ${PROJECT_SOURCE_DIR}/tests/fuzz/run --fresh $<TARGET_FILE:${target}>
                ${PROJECT_BINARY_DIR}/fuzz/found/${name} -runs=${ARG_RUNS} -seed=1)
        set_tests_properties(fuzz-run/${name} PROPERTIES TIMEOUT 600 LABELS fuzz
            ENVIRONMENT "${RELAY_TEST_ENVIRONMENT}")
    else()
        target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/fuzz_replay.c)
        add_test(NAME fuzz-replay/${name} COMMAND ${target} ${seeds})
    endif()
    set_tests_properties(fuzz-replay/${name} PROPERTIES TIMEOUT 600
        ENVIRONMENT "${RELAY_TEST_ENVIRONMENT}")
    set_target_properties(${target} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
endfunction()

# relay_named_modules(<source> <out>): the modules of a `/* modules: a b */` line, or nothing.
function(relay_named_modules SOURCE OUT)
    file(STRINGS ${SOURCE} lines REGEX "^/\\* modules: .*\\*/" LIMIT_COUNT 1)
    string(REGEX REPLACE "^/\\* modules: *([^*]*[^* ]) *\\*/.*" "\\1" names "${lines}")
    separate_arguments(names)
    set(${OUT} ${names} PARENT_SCOPE)
    # The line decides what is linked, so a change of the file is a change of the build.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${SOURCE})
endfunction()

# Writes the layer table for tests/lint/layers.py: module, folder, what it may see, and behind a
# colon its public headers.
function(relay_write_layers)
    get_property(layers GLOBAL PROPERTY RELAY_LAYERS)
    file(WRITE ${PROJECT_BINARY_DIR}/layers.txt "${layers}")
endfunction()
