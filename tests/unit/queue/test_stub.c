/* How a pending finds its stub. */
#include "queue/stub.h"

#include <stdlib.h>

#include "support/unit.h"

enum { COUNT = 100000 };

TEST(pending_of_any_number_finds_its_stub)
{
    struct stub *stub = calloc(1, sizeof(*stub) + COUNT * sizeof(struct pending));

    assert_non_null(stub);
    for (uint32_t i = 0; i < COUNT; i++)
        pending_place(stub, i);
    for (uint32_t i = 0; i < COUNT; i++) {
        expect_row(i, pending_stub(&stub->pendings[i]) == stub);
        expect_row(i, pending_number(&stub->pendings[i]) == i);
    }
    free(stub);
}
