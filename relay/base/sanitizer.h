/*
 * sanitizer.h - what the sanitizers cannot see: memory that we hand out or lend ourselves is told
 * to AddressSanitizer; HAVE_TSAN says that ThreadSanitizer watches.
 *
 * Without a sanitizer all of this is nothing.
 */
#pragma once

#ifdef __SANITIZE_ADDRESS__ /* gcc */
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) /* clang */
#define HAVE_ASAN 1
#endif
#endif
#ifndef HAVE_ASAN
#define HAVE_ASAN 0
#endif

#ifdef __SANITIZE_THREAD__
#define HAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif
#ifndef HAVE_TSAN
#define HAVE_TSAN 0
#endif

#if HAVE_ASAN
#include <sanitizer/asan_interface.h>
#define asan_poison(ptr, size) __asan_poison_memory_region((ptr), (size))
#define asan_unpoison(ptr, size) __asan_unpoison_memory_region((ptr), (size))
#define asan_is_poisoned(ptr) (__asan_address_is_poisoned(ptr) != 0)
#else
#define asan_poison(ptr, size) ((void)(ptr), (void)(size))
#define asan_unpoison(ptr, size) ((void)(ptr), (void)(size))
#define asan_is_poisoned(ptr) ((void)(ptr), 0)
#endif
