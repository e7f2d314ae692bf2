# Scripts that play the server; the relay's delivery is the client.
relay_chat(client
    ${support}/chat.c ${CMAKE_CURRENT_LIST_DIR}/chat_client.c
    ${support}/chat_tls_server.c ${support}/tls_peer.c ${support}/tls_forge.c
    ${PROJECT_SOURCE_DIR}/tests/unit/delivery/world.c
    MODULES client line)
