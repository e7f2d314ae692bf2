/*
 * nosync.c - a ringpost that answers 250 before its spool is durable, for powercut.py to catch.
 *
 * The linker is told --wrap=engine_write_durable, so that the very objects of the program call
 * this instead: the same write, without RWF_DSYNC. Nothing else differs.
 */
#include "io/engine.h"

void __wrap_engine_write_durable(struct engine *engine, struct op *op, int fd, struct bytes b,
                                 uint64_t offset);

void __wrap_engine_write_durable(struct engine *engine, struct op *op, int fd, struct bytes b,
                                 uint64_t offset)
{
    engine_write(engine, op, fd, b, offset);
}
