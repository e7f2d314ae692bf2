/* modules: mailbox */
/* fuzz_mail_annotations.c - a file of annotations of any bytes: what is read can be written. */
#include <stddef.h>
#include <stdint.h>

#include "inbound/mailbox/annotation_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_range(data, size);
    static struct annotation_list list;
    struct buf out;

    list = (struct annotation_list){0};
    buf_init(&list.text, ANNOTATIONS_FILE_MAX);
    if (!buf_append(&list.text, text) || !annotation_list_parse(&list)) {
        annotation_list_free(&list);
        return 0;
    }
    buf_init(&out, ANNOTATIONS_FILE_MAX);
    if (annotation_list_format(&list, &out) == 0)
        check(buf_len(&out) <= size); /* a length may have had zeros in front */
    for (size_t i = list.count; i-- > 0;) {
        struct annotation change = {list.of[i].name, BYTES_NONE};

        check(annotation_list_change(&list, &change) == 0 && list.count == i);
    }
    buf_free(&out);
    annotation_list_free(&list);
    return 0;
}
