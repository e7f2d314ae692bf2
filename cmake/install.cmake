# What `cmake --install` brings, and the Debian package made of it (`packaging/deb`).
#
# The configuration is the system's, whatever the prefix: program, unit, man pages and example name
# the same file. Units, sysusers and tmpfiles go below the prefix, where systemd looks for them with
# /usr and /usr/local.
set(RINGPOST_CONFIG_DIR /etc/ringpost)
set(RINGPOST_CONFIG_FILE ${RINGPOST_CONFIG_DIR}/ringpost.yaml)

include(GNUInstallDirs)
set(configured ${PROJECT_BINARY_DIR}/packaging)
foreach(name tmpfiles.conf ringpost.yaml)
    configure_file(packaging/${name}.in ${configured}/${name} @ONLY)
endforeach()

install(TARGETS ringpost RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
# The unit names the program where this installation puts it: the prefix is known then, not before.
install(CODE "
    set(sbin \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SBINDIR})
    set(RINGPOST_CONFIG_FILE ${RINGPOST_CONFIG_FILE})
    configure_file(${PROJECT_SOURCE_DIR}/packaging/ringpost.service.in
        ${configured}/ringpost.service @ONLY)")
install(FILES ${configured}/ringpost.service packaging/ringpost.socket
    DESTINATION lib/systemd/system)
install(FILES packaging/sysusers.conf DESTINATION lib/sysusers.d RENAME ringpost.conf)
install(FILES ${configured}/tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME ringpost.conf)
install(FILES docs/man/ringpost.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES docs/man/ringpost.yaml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES README.md CHANGELOG.md docs/spool.md docs/events.md docs/metrics.md docs/webmail.md
    DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES ${configured}/ringpost.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(DIRECTORY packaging/roundcube DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ringpost)
set(CPACK_PACKAGE_CONTACT "ringpost <postmaster@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "mail relay for applications that send in bulk")
set(CPACK_SET_DESTDIR ON) # not a staging folder for a prefix: the unit has the real one
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION mail)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/packaging/postinst
    ${PROJECT_SOURCE_DIR}/packaging/prerm
    ${PROJECT_SOURCE_DIR}/packaging/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
