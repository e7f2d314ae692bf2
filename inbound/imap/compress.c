/* compress.c - the connection is compressed from here on. */
#include "inbound/imap/compress.h"

#include "base/log.h"
#include "io/deflate.h"
#include "io/tls.h"

/* RFC 4978 section 3: after the tagged OK all is compressed, and the client says nothing before it
 * has read that. */
enum step imap_handle_compress(struct imap_session *session, struct bytes arguments)
{
    struct conn *conn = &session->access.session.conn;
    struct tls_facts tls;
    struct conn_layer *layer;

    if (!imap_take_space(&arguments) || !imap_take_word(&arguments, "DEFLATE") || arguments.len > 0)
        return imap_bad(session, "Syntax is COMPRESS DEFLATE");
    if (conn_is_deflated(conn))
        return imap_bad(session, "COMPRESS is active already");
    if (conn_input(conn).len > 0)
        return imap_bad(session, "Text stands behind COMPRESS");
    if (conn_tls_facts(conn, &tls) && tls.is_compressed)
        return imap_answer(session, "NO [COMPRESSIONACTIVE] TLS compresses");
    layer = pressure_is_high(&session->access.session.service->pressure) ? NULL : deflate_layer();
    if (layer == NULL)
        return imap_answer(session, "NO [UNAVAILABLE] Out of memory");
    if (imap_answer(session, "OK DEFLATE active") == STEP_CLOSE || !conn_stack(conn, layer)) {
        deflate_layer_free(&layer);
        return STEP_CLOSE;
    }
    metric_inc(METRIC_IMAP_COMPRESSED);
    return STEP_AGAIN;
}
