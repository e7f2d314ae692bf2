/*
 * preflight.h - what a start will meet on this machine, tried without starting.
 *
 * `ringpost check` must not call a configuration good with which `serve` ends at once. Nothing is
 * left behind: no directory is made, no lock taken, no socket replaced; ports are bound for a
 * moment, unless a daemon of this state_dir holds them already or they were handed over (ports.h):
 * those it takes and closes.
 * Thread: the only one, where nothing else is said; it becomes the user to serve as for a while.
 */
#pragma once

#include "relay/config.h"

/* Takes one sentence. */
typedef void preflight_tell(void *context, const char *text);

/* The user to serve as, state_dir and what is in it, the control socket's path, the ports. False
 * after each that would end `serve` was told. Once a process: sockets are handed over once. */
must_use bool preflight_try(const struct config *config, preflight_tell *error, void *context);

/* Has this machine every address that `sources` send from? False after each that it has not was
 * told, with its line. Apart from config_load(): a file may be read elsewhere. Any thread. */
must_use bool preflight_sources(const struct config *config, preflight_tell *error, void *context);

/* Tells what is legal and dangerous: networks so wide that strangers are trusted, a hostname that
 * peers do not take, fewer open files than the limits allow for, metrics for everybody, serving as
 * root; and what certificates_warn() tells. */
void preflight_warn(const struct config *config, preflight_tell *warning, void *context);
