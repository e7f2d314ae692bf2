/* program_process.c - metrics of the process, as every Prometheus exporter has them. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "relay/program.h"

/* Pages of memory; zero where /proc does not tell. */
static void read_memory(unsigned long long *virtual_out, unsigned long long *resident_out)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char line[128];
    char *end;

    *virtual_out = *resident_out = 0;
    if (file == NULL)
        return;
    if (fgets(line, sizeof(line), file) != NULL) {
        *virtual_out = strtoull(line, &end, 10);
        *resident_out = strtoull(end, NULL, 10);
    }
    fclose(file);
}

/* Without the one that the directory itself is read by. */
static unsigned long long count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned long long count = 0;
    const struct dirent *entry;

    if (directory == NULL)
        return 0;
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count > 0 ? count - 1 : 0;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void put(struct exposition *e, const char *name, enum exposition_type type, const char *help,
                double value)
{
    exposition_family(e, bytes_of(name), type, help);
    exposition_real(e, bytes_of(name), value);
}

void program_process_metrics(const struct program *program, struct exposition *e)
{
    double page = (double)sysconf(_SC_PAGESIZE);
    unsigned long long virtual_pages, resident_pages;
    struct rlimit limit = {0};

    read_memory(&virtual_pages, &resident_pages);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    exposition_family(e, BYTES("ringpost_build_info"), EXPOSITION_GAUGE,
                      "The program that runs; always 1");
    exposition_labelled(e, "ringpost_build_info", "version", BYTES(RINGPOST_VERSION), 1);
    put(e, "process_cpu_seconds_total", EXPOSITION_COUNTER, "User and system CPU time",
        cpu_seconds());
    put(e, "process_resident_memory_bytes", EXPOSITION_GAUGE, "Memory in use",
        (double)resident_pages * page);
    put(e, "process_virtual_memory_bytes", EXPOSITION_GAUGE, "Addresses in use",
        (double)virtual_pages * page);
    put(e, "process_open_fds", EXPOSITION_GAUGE, "Open file descriptors",
        (double)count_descriptors());
    put(e, "process_max_fds", EXPOSITION_GAUGE, "File descriptors there may be",
        (double)limit.rlim_cur);
    put(e, "process_start_time_seconds", EXPOSITION_GAUGE, "When it started, since 1970",
        (double)program->started_wall_ms / 1000);
}
