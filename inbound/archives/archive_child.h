/*
 * archive_child.h - the process that reads archives, and can do nothing else.
 *
 * Who breaks libarchive is in a process that holds no key and no mail but what it was sent, and may
 * make few system calls: read and write on what is open, get memory, end. No file can be opened, no
 * socket, no process. It may use ARCHIVE_CPU_S of CPU time an archive and ARCHIVE_MEMORY of memory;
 * beyond them it dies, and who asked tells the archive as unread.
 */
#pragma once

#define ARCHIVE_READER_COMMAND "archive-reader" /* which of the program's commands runs it */

enum { ARCHIVE_CPU_S = 2, ARCHIVE_MEMORY = 512 * 1024 * 1024 };

/* Answers what is asked at `fd` (archive_frame.h), which must be all that is open beside the
 * standard streams, until its end; the process's exit code. */
int archive_child_run(int fd);
