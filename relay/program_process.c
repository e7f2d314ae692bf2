/* program_process.c - metrics of the process, as every Prometheus exporter has them. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/program.h"

/* Pages of memory; zero where /proc does not tell. */
static void read_memory(unsigned long long *virtual_out, unsigned long long *resident_out)
{
    FILE *file = fopen("/proc/self/statm", "re");

    *virtual_out = *resident_out = 0;
    if (file == NULL)
        return;
    if (fscanf(file, "%llu %llu", virtual_out, resident_out) != 2)
        *virtual_out = *resident_out = 0;
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

static bool put(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    return buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name,
                      value);
}

bool program_process_metrics(const struct program *program, struct buf *out)
{
    double page = (double)sysconf(_SC_PAGESIZE);
    unsigned long long virtual_pages, resident_pages;
    struct rlimit limit = {0};

    read_memory(&virtual_pages, &resident_pages);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return buf_printf(out,
                      "# HELP ringpost_build_info The program that runs; always 1\n"
                      "# TYPE ringpost_build_info gauge\n"
                      "ringpost_build_info{version=\"%s\"} 1\n",
                      RINGPOST_VERSION) &&
           put(out, "process_cpu_seconds_total", "counter", "User and system CPU time",
               cpu_seconds()) &&
           put(out, "process_resident_memory_bytes", "gauge", "Memory in use",
               (double)resident_pages * page) &&
           put(out, "process_virtual_memory_bytes", "gauge", "Addresses in use",
               (double)virtual_pages * page) &&
           put(out, "process_open_fds", "gauge", "Open file descriptors",
               (double)count_descriptors()) &&
           put(out, "process_max_fds", "gauge", "File descriptors there may be",
               (double)limit.rlim_cur) &&
           put(out, "process_start_time_seconds", "gauge", "When it started, since 1970",
               (double)clocks_to_wall(clocks_read(), program->started_ms) / 1000);
}
