/* tls_facts.c - what there is to know of a connection's TLS. */
#include <openssl/err.h>

#include "io/conn.h"
#include "io/tls_private.h"

enum { EXPORTER_LEN = 32 };

struct tls *tls_under(const struct conn *conn)
{
    struct conn_layer *layer = conn->layer;

    while (layer != NULL && layer->ops != &tls_layer_ops)
        layer = layer->below;
    return layer != NULL ? container_of(layer, struct tls, layer) : NULL;
}

bool conn_is_under_tls(const struct conn *conn)
{
    const struct tls *tls = tls_under(conn);

    return tls != NULL && tls->layer.is_secured;
}

bool conn_tls_facts(const struct conn *conn, struct tls_facts *out)
{
    if (!conn_is_under_tls(conn))
        return false;
    SSL *ssl = tls_under(conn)->ssl;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const char *cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl));

    *out = (struct tls_facts){
        .version = SSL_get_version(ssl),
        .cipher = cipher != NULL ? cipher : "unknown",
        .server_name = name != NULL ? bytes_of(name) : BYTES_NONE,
        .is_resumed = SSL_session_reused(ssl),
        .is_compressed = SSL_get_current_compression(ssl) != NULL,
    };
    return true;
}

static size_t export_binding(SSL *ssl, uint8_t out[static TLS_BINDING_MAX])
{
    static const char label[] = "EXPORTER-Channel-Binding";

    if (SSL_version(ssl) != TLS1_3_VERSION)
        return 0;
    int result =
        SSL_export_keying_material(ssl, out, EXPORTER_LEN, label, sizeof(label) - 1, NULL, 0, 0);
    return result == 1 ? EXPORTER_LEN : 0;
}

/* By the hash of its signature, or SHA-256 where that is MD5 or SHA-1; a signature that names no
 * hash (Ed25519) has no such binding. */
static size_t hash_certificate(const X509 *certificate, uint8_t out[static TLS_BINDING_MAX])
{
    int hash = NID_undef;
    unsigned len = 0;

    if (certificate == NULL ||
        X509_get_signature_info((X509 *)(uintptr_t)certificate, &hash, NULL, NULL, NULL) != 1 ||
        hash == NID_undef)
        return 0;
    if (hash == NID_md5 || hash == NID_sha1)
        hash = NID_sha256;
    const EVP_MD *md = EVP_get_digestbynid(hash);
    if (md == NULL || X509_digest(certificate, md, out, &len) != 1)
        return 0;
    return len;
}

size_t conn_tls_binding(const struct conn *conn, enum tls_binding binding,
                        uint8_t out[static TLS_BINDING_MAX])
{
    size_t len = 0;

    if (!conn_is_under_tls(conn))
        return 0;
    const struct tls *tls = tls_under(conn);
    ERR_clear_error();
    switch (binding) {
    case TLS_BINDING_EXPORTER:
        len = export_binding(tls->ssl, out);
        break;
    case TLS_BINDING_SERVER_END:
        len = hash_certificate(tls->context->is_client ? SSL_get0_peer_certificate(tls->ssl)
                                                       : SSL_get_certificate(tls->ssl),
                               out);
        break;
    }
    ERR_clear_error();
    return len;
}

const char *conn_tls_failure(const struct conn *conn)
{
    const struct tls *tls = tls_under(conn);

    return tls != NULL && tls->failure[0] != '\0' ? tls->failure : NULL;
}
